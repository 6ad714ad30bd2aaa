"""What a run would be: its pairs, its steps, and, from one micro-step tried out, its time and memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from otkit.data.batching import PairSource
from otkit.data.views import PairCorpus, files_of
from otkit.encoders.device import autocast, slow_precision
from otkit.encoders.encoder import Encoded, Tokens, TorchEncoder
from otkit.training.frozen import CopiedStart, copy_dtype
from otkit.training.layers import copy_layers_above
from otkit.training.measures import inverse_document_frequency
from otkit.training.objectives import AlignmentModel, encode_units
from otkit.training.reading import LinkReader
from otkit.training.records import peak_memory
from otkit.training.run import AlignSettings
from otkit.training.schedule import total_steps
from otkit.training.supervision import GivenLinks, Teacher
from otkit.training.tuning import prepare_encoder

__all__ = ["CorpusForecast", "Forecast", "forecast"]

# Adam's two moments and the gradient, in fp32, beside the weight itself.
_BYTES_A_TRAINED_WEIGHT = 12


@dataclass(frozen=True)
class CorpusForecast:
    """One language pair: its pairs, and how often an epoch visits each of them."""

    name: str
    languages: tuple[str, str]
    pairs: int
    visits: float


@dataclass(frozen=True)
class Forecast:
    """A run before it is run.

    seconds    of all steps, without evaluations, at the speed of the micro-step that was tried
    memory_gb  peak of that micro-step and what the optimiser will add to it
    slow       what to know of the precision asked for, where the device has no instructions for it
    """

    corpora: tuple[CorpusForecast, ...]
    micro_steps_per_epoch: int
    steps: int
    weights: int
    trained: int
    seconds: float
    memory_gb: float
    slow: str | None


def forecast(
    encoder: TorchEncoder,
    corpora: Sequence[PairCorpus],
    settings: AlignSettings,
    *,
    links: GivenLinks | None = None,
    teacher: Teacher | None = None,
    processes: int = 1,
) -> Forecast:
    """Try one micro-step of the run, twice, forward and backward; nothing is updated and nothing written.

    Of several `processes` each is taken to be as fast as this one, and its memory is what is given.
    """
    source = PairSource(corpora, encoder, settings.batching)
    objective = settings.objective

    def encode(which: TorchEncoder, tokens: Tokens) -> Encoded:
        return encode_units(which, tokens, objective)

    start = None
    if objective.needs & {"start", "teacher"}:
        start = CopiedStart(encoder, encode, dtype=copy_dtype(encoder.device))
    rarity = None
    if objective.weights == "idf":
        rarity = inverse_document_frequency(encoder, corpora).to(encoder.device)
    untouched = copy_layers_above(encoder, settings.tuning.discarded_above)  # memory that the run will take
    prepare_encoder(encoder, settings.tuning, seed=settings.train.seed)
    module = AlignmentModel(
        encoder, objective, start=start, inverse_document_frequency=rarity, links=links, teacher=teacher
    ).train()
    steps = total_steps(settings.train, source.micro_steps_per_epoch, processes=processes)
    seconds = 0.0
    for parts in source.micro_steps(0, 2):  # the first warms up
        began = time.perf_counter()
        for batch in parts:
            with autocast(encoder.device, settings.train.precision):
                loss = torch.stack(list(module(batch).parts.values())).sum()
            loss.backward()  # type: ignore[no-untyped-call]
        _ = [float(w.grad.flatten()[0]) for w in module.parameters() if w.grad is not None][:1]
        seconds = time.perf_counter() - began
        module.zero_grad()
    if objective.reads_links:  # every pair that comes is read once
        began = time.perf_counter()
        LinkReader(module, source, settings.train.precision).renew(0, 1, 1)
        seconds += time.perf_counter() - began
    memory_gb = peak_memory(encoder.device)
    del untouched
    trained = sum(w.numel() for w in module.parameters() if w.requires_grad)
    files = files_of(corpora)
    quota = source.quota * len(corpora) / len(files)  # a mixed corpus has as many of each
    return Forecast(
        tuple(CorpusForecast(each.name, each.languages, len(each), quota / len(each)) for each in files),
        source.micro_steps_per_epoch,
        steps,
        sum(w.numel() for w in encoder.model.parameters()),
        trained,
        seconds * steps * settings.train.grad_accum,
        memory_gb + trained * _BYTES_A_TRAINED_WEIGHT / 1e9,
        slow_precision(encoder.device, settings.train.precision),
    )
