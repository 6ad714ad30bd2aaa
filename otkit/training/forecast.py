"""What a run would be: its pairs, its steps, its time, from micro-steps tried out, and its peak of memory.

A window's micro-steps are of all lengths, so a few of them are timed by the subword and the whole window is counted.
What a cache of the frozen start fills once is told from what comes again with each step by trying each twice.

The peak of a step is that of its longest batch: each layer keeps its activations for the backward pass, and attention
with dropout keeps matrices whose size is the square of the longest sentence's. So the longest batch of the run is
looked for, and what a forward pass keeps of two, four and six of its pairs is counted, padded as the whole is. A batch
keeps that by the pair (and contrasts between all its words by the square of the pairs), so its own follows without its
being run. To that come the process as it stands, the gradient and both moments of what is trained, and what a cache of
the frozen start will grow by.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from otkit.data.batching import PairBatch, PairSource
from otkit.data.views import PairCorpus, files_of
from otkit.encoders.device import autocast, slow_precision
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.training.loop import check_reached
from otkit.training.objectives import AlignmentModel
from otkit.training.protocols import Observer
from otkit.training.reading import LinkReader
from otkit.training.recipe import Recipe
from otkit.training.records import peak_memory, present_memory
from otkit.training.run import build_model
from otkit.training.schedule import total_steps
from otkit.training.static import StaticVectors
from otkit.training.supervision import GivenLinks, Teacher
from otkit.training.tuning import copy_layers_above, layers_kept

__all__ = ["CorpusForecast", "Forecast", "forecast"]

# Adam's two moments and the gradient, in fp32, beside the weight itself.
_BYTES_A_TRAINED_WEIGHT = 12
# Its number, its word's, and whether it is one.
_BYTES_A_TOKEN = 8 + 8 + 1
# What the process takes for a byte that is kept: passing results leave holes between those that stay. Measured with
# glibc on batches of 24 pairs of 30, 60, 100 and 200 subwords: 1.27 to 1.33. torch's own allocator on a GPU counts what
# it hands out.
_HOLES = {"cpu": 1.3, "cuda": 1.05}
# Pairs that are tokenised in search of the longest batch, those in the windows with the longest sentences.
_LOOKED_AT = 20_000
# Pairs of it that are run forward.
_TRIED = (2, 4, 6)
# Windows of a corpus that are looked through for them.
_WINDOWS = 64
# Micro-steps that are timed, as many as these seconds allow.
_TIMED, _PATIENCE = 8, 12.0
# Weights whose update is timed, in place of all.
_UPDATED = 2**22


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

    seconds    of all steps, without evaluations, at the speed of the micro-steps that were tried
    memory_gb  the peak of the process, or of the GPU
    longest    pairs of the batch that takes the most memory, and the subwords of its longest source and target
    batch_gb   what is kept of that batch between its forward and backward pass, holes included
    slow       what to know of the precision asked for, where the device has no instructions for it
    """

    corpora: tuple[CorpusForecast, ...]
    micro_steps_per_epoch: int
    steps: int
    weights: int
    trained: int
    seconds: float
    memory_gb: float
    longest: tuple[int, int, int]
    batch_gb: float
    slow: str | None


def forecast(
    encoder: TorchEncoder,
    corpora: Sequence[PairCorpus],
    settings: Recipe,
    *,
    links: GivenLinks | None = None,
    teacher: Teacher | None = None,
    static: StaticVectors | None = None,
    processes: int = 1,
    observer: Observer | None = None,
) -> Forecast:
    """Try micro-steps of the run, each twice, forward and backward; nothing is updated and nothing written.

    Of several `processes` each is taken to be as fast as this one, and its memory is what is given.
    """
    settings = settings.for_encoder(encoder).for_processes(processes)
    source = PairSource(corpora, encoder, settings.batching, seed=settings.training.seed)
    objective, device = settings.objective, encoder.device
    slow = slow_precision(device, settings.training.precision)
    if slow is not None and observer is not None:  # before what it is slow at is waited for
        observer.note(slow)
    untouched = copy_layers_above(
        encoder, layers_kept(encoder, settings.tuning)
    )  # memory that the run will take
    module = build_model(
        encoder,
        corpora,
        settings,
        observer=observer,
        links=links,
        teacher=teacher,
        static=static,
        processes=processes,
    ).train()
    steps = total_steps(settings.training, source.micro_steps_per_epoch, processes=processes)
    standing, peak = present_memory(device), peak_memory(device)
    look = _look_at(source, steps * settings.training.grad_accum * processes, observer=observer)
    batch_gb, longest = max(
        ((_kept(module, batch, settings) / 1e9, batch) for batch in look.longest), key=lambda each: each[0]
    )
    batch_gb *= _HOLES.get(device.type, 1.0)
    trained = sum(w.numel() for w in module.parameters() if w.requires_grad)
    pace = _pace(module, source, settings, observer=observer)
    del untouched
    learning = trained * _BYTES_A_TRAINED_WEIGHT / 1e9
    # A checkpoint is put together in memory, when nothing is kept of a batch.
    written = sum(w.numel() * w.element_size() for w in module.parameters()) / 1e9
    cached = module.start.growth / 1e9 if module.start is not None else 0.0
    # Whoever reads links goes through the text once more, ahead of the steps.
    tokenised = look.tokenised / 1e9 * (2 if objective.reads_links else 1)
    files = files_of(corpora)
    quota = source.quota * len(corpora) / len(files)  # a mixed corpus has as many of each
    return Forecast(
        tuple(CorpusForecast(each.name, each.languages, len(each), quota / len(each)) for each in files),
        source.micro_steps_per_epoch,
        steps,
        sum(w.numel() for w in encoder.model.parameters()),
        trained,
        steps * (pace.micro_step * settings.training.grad_accum + _update(trained, device))
        + pace.once / processes,
        max(peak, standing + learning + cached + tokenised + max(batch_gb, written)),
        (len(longest.indices), longest.source.ids.shape[1], longest.target.ids.shape[1]),
        batch_gb,
        slow,
    )


@dataclass(frozen=True)
class _Pace:
    """Seconds of a micro-step, and of what the whole run computes once."""

    micro_step: float
    once: float


def _pace(
    module: AlignmentModel, source: PairSource, settings: Recipe, *, observer: Observer | None
) -> _Pace:
    """Time micro-steps of the first window, by the subwords in them."""
    count = min(source.config.window, source.micro_steps_per_epoch)
    window = list(source.micro_steps(0, count))
    sizes = [sum(part.source.ids.numel() + part.target.ids.numel() for part in parts) for parts in window]
    _descend(module, window[0], settings.training.precision)  # warms up
    before = module.start.filled if module.start is not None else 1.0
    began, tried, seconds, filling = time.perf_counter(), 0, 0.0, 0.0
    most = min(_TIMED, count - 1) or 1
    # The last ones first: of few, the one that warmed up is tried only where it is alone.
    for parts in window[: -most - 1 : -1]:
        cold, again = (_descend(module, parts, settings.training.precision) for _ in range(2))
        filling += max(0.0, cold - again)
        seconds, tried = seconds + again, tried + 1
        if observer is not None:
            observer.progress("trying steps out", tried, most)
        if time.perf_counter() - began > _PATIENCE:
            break
    if observer is not None:
        observer.progress("trying steps out", most, most)
    filled = (module.start.filled if module.start is not None else 1.0) - before
    once = filling / filled if filled > 0 else 0.0
    if settings.objective.reads_links:  # every pair that comes is read once
        began = time.perf_counter()
        LinkReader(module, source, settings.training.precision).renew(count - tried, count, 1)
        seconds += time.perf_counter() - began
    return _Pace(seconds / sum(sizes[-tried:]) * sum(sizes) / count, once)


def _descend(module: AlignmentModel, parts: Sequence[PairBatch], precision: str) -> float:
    """Seconds of a micro-step, forward and backward."""
    began = time.perf_counter()
    for batch in parts:
        with autocast(module.encoder.device, precision):
            loss = torch.stack(list(module(batch).parts.values())).sum()
        check_reached(loss)
        loss.backward()  # type: ignore[no-untyped-call]
    _ = [float(w.grad.flatten()[0]) for w in module.parameters() if w.grad is not None][:1]  # waits for a GPU
    module.zero_grad()
    return time.perf_counter() - began


def _update(trained: int, device: torch.device) -> float:
    """Seconds of Adam's step, measured on as many numbers as are soon done with."""
    weights = torch.zeros(min(trained, _UPDATED), device=device, requires_grad=True)
    weights.grad = torch.ones_like(weights)
    adam, seconds = torch.optim.AdamW([weights], fused=True), 0.0
    for _ in range(2):  # the first makes room for the moments
        began = time.perf_counter()
        torch.nn.utils.clip_grad_norm_([weights], 1.0)
        adam.step()
        float(weights.detach()[0])  # waits for a GPU
        seconds = time.perf_counter() - began
    return seconds * trained / len(weights)


@dataclass(frozen=True)
class _Look:
    """What the text is like.

    longest    the batch that has the most subwords, padding included, and the one with the most of them squared
    tokenised  bytes of a window of each corpus, which stand tokenised at a time
    """

    longest: tuple[PairBatch, ...]
    tokenised: float


def _look_at(source: PairSource, stop: int, *, observer: Observer | None) -> _Look:
    """What the batches up to micro-step `stop` of the first epoch are like."""
    most = max(1, _WINDOWS // len(source.corpora))
    windows = []
    for index, corpus in enumerate(source.corpora):
        for first, members in islice(source.windows(index, stop), most):
            pairs = (corpus[member] for member in members.tolist())
            length = max(len(pair.source.encode()) + len(pair.target.encode()) for pair in pairs)
            windows.append((length, index, first, len(members)))
    windows.sort(reverse=True)
    found: dict[int, tuple[int, PairBatch]] = {}
    looked, total = 0, min(_LOOKED_AT, sum(count for *_, count in windows))
    padded = 0
    for _, index, first, count in windows:
        if looked and looked + count > _LOOKED_AT:
            break
        end = min(first + source.config.window, source.micro_steps_per_epoch, stop)
        widest = [0, 0]
        for parts in islice(source.batches_of(index, first), end - first):
            for batch in parts:
                sizes = batch.source.ids.shape[1], batch.target.ids.shape[1]
                widest = [max(pair) for pair in zip(widest, sizes, strict=True)]
                for power in (1, 2):
                    size = len(batch.indices) * sum(n**power for n in sizes)
                    if size > found.get(power, (0, batch))[0]:
                        found[power] = size, batch
        looked, padded = looked + count, padded + count * sum(widest)
        if observer is not None:
            observer.progress("looking for the longest batch", min(looked, total), total)
    if observer is not None:
        observer.progress("looking for the longest batch", total, total)
    standing = sum(count for _, _, first, count in windows if first == 0)
    return _Look(
        tuple(batch for _, batch in found.values()), padded / max(looked, 1) * standing * _BYTES_A_TOKEN
    )


def _kept(module: AlignmentModel, batch: PairBatch, settings: Recipe) -> float:
    """Bytes that a forward pass keeps of a batch for the backward pass, counted on its first pairs."""
    plain = _by_pairs(module, batch, settings.training.precision)
    if not settings.tuning.gradient_checkpointing:
        return plain
    # What enters each layer is kept out of sight, and one layer at a time is computed again, with all that it keeps.
    with _without_recomputation(module):
        whole = _by_pairs(module, batch, settings.training.precision)
    layers, width = module.encoder.layers, module.encoder.dimension
    subwords = len(batch.indices) * (batch.source.ids.shape[1] + batch.target.ids.shape[1])
    return plain + 4 * layers * width * subwords + (whole - plain) / layers


def _by_pairs(module: AlignmentModel, batch: PairBatch, precision: str) -> float:
    """The bytes of a batch from those of a few of its pairs, padded as the whole is."""
    pairs = len(batch.indices)
    if pairs <= max(_TRIED):
        return _counted(module, batch, precision)
    counted = [_counted(module, _first(batch, count), precision) for count in _TRIED]
    line = np.polyfit(_TRIED, counted, 2)
    return max(float(np.polyval(line, pairs)), *counted)


def _counted(module: AlignmentModel, batch: PairBatch, precision: str) -> int:
    """Bytes of all that autograd keeps of a forward pass, weights excepted."""
    weights = {weight.untyped_storage().data_ptr() for weight in module.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        # Not itself: a result that its own step keeps would hold on to the step, and nothing would ever be let go of.
        return tensor.detach()

    with (
        autocast(module.encoder.device, precision),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        losses = module(batch)
    size = sum(storage.nbytes() for storage in kept.values())
    del losses
    return size


def _first(batch: PairBatch, count: int) -> PairBatch:
    """At least two pairs of a batch, those with the most words on either side first, padded as the whole batch is."""
    sides = batch.source.counts, batch.target.counts
    widest = [max(range(len(counts)), key=counts.__getitem__) for counts in sides]
    rows = list(dict.fromkeys([*widest, *range(len(batch.indices))]))[:count]

    def side(tokens: Tokens) -> Tokens:
        counts = tuple(tokens.counts[row] for row in rows)
        attention = tokens.attention[rows]
        # Attention takes another way where nothing is padding: a token at the end, which is no word, is made so.
        attention[:, -1] &= bool(tokens.attention.all())
        return Tokens(tokens.ids[rows], attention, tokens.word_ids[rows], counts)

    return replace(
        batch,
        indices=tuple(batch.indices[row] for row in rows),
        source=side(batch.source),
        target=side(batch.target),
        letters=(batch.letters[0][rows], batch.letters[1][rows]),
    )


@contextmanager
def _without_recomputation(module: nn.Module) -> Iterator[None]:
    """Layers keep their activations for as long as the block lasts."""
    recomputing = [each for each in module.modules() if getattr(each, "gradient_checkpointing", False)]

    def recompute(wanted: bool) -> None:
        for each in recomputing:
            vars(each)["gradient_checkpointing"] = wanted

    recompute(False)
    try:
        yield
    finally:
        recompute(True)
