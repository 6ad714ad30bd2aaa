"""What a run reads off its data and its encoder: held-out divergence, rarity of subwords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from otkit.data.batching import PairSource
from otkit.data.lines import words_of
from otkit.data.settings import BatchingSettings
from otkit.data.views import PairCorpus, names_of
from otkit.encoders.encoder import tokenize_fitting
from otkit.encoders.torch import TorchEncoder
from otkit.training.objectives import AlignmentModel
from otkit.training.protocols import Observer
from otkit.training.transport_losses import optimal_transport

__all__ = ["held_out_divergence", "inverse_document_frequency"]

_IDF_SAMPLE = 20_000
_DEV_BATCHING = BatchingSettings(batch_size=32, window=10**6)


def held_out_divergence(
    module: AlignmentModel, corpora: Sequence[PairCorpus], *, observer: Observer | None = None
) -> dict[str, float]:
    """The mean divergence of each corpus's pairs, under the run's cost and epsilon, one value a language; a second file
    of a language has one under its own name.

    Solved further than a training step is, so that the figure is the divergence's and not the solver's.
    """
    config = replace(module.config, scope="pair", iterations=300, tolerance=1e-6)
    found: dict[str, float] = {}
    done, pairs_in_all = 0, sum(map(len, corpora))
    was_training = module.training
    module.eval()
    names = names_of([(corpus.languages[0], corpus.name) for corpus in corpora])
    for name, corpus in zip(names, corpora, strict=True):
        if observer is not None:  # before a batch that may take long; those that were too long were skipped
            observer.progress("measuring held-out text", done, pairs_in_all)
        source = PairSource([corpus], module.encoder, replace(_DEV_BATCHING, on_error="skip"))
        total, count = torch.zeros((), dtype=torch.float64), 0
        with torch.no_grad():
            for parts in source.micro_steps(0, source.micro_steps_per_epoch):
                for batch in parts:
                    layers = module.encode_layers(batch, anchored=False)
                    for pairs, weight in zip(layers, config.layer_weights or (1.0,), strict=True):
                        part = optimal_transport(replace(pairs, batch_fraction=1.0), config)
                        total += weight * part.value.cpu().double() * len(batch.indices)
                    count += len(batch.indices)
                    if observer is not None:
                        observer.progress("measuring held-out text", done + count, pairs_in_all)
        found[name] = float(total) / count
        done += len(corpus)
    if observer is not None:
        observer.progress("measuring held-out text", done, pairs_in_all)
    module.train(was_training)
    return found


def inverse_document_frequency(
    encoder: TorchEncoder, corpora: Sequence[PairCorpus], *, observer: Observer | None = None
) -> Tensor:
    """idf(piece) = log((1 + n) / (1 + sentences with the piece)) + 1 over a sample of all sides,
    (vocabulary,).
    """
    rows = encoder.model.config.vocab_size
    counts = torch.zeros(rows)
    sentences = 0
    expected = 2 * sum(min(len(corpus), _IDF_SAMPLE) for corpus in corpora)
    for corpus in corpora:
        for first in range(0, min(len(corpus), _IDF_SAMPLE), 256):
            pairs = [corpus[index] for index in range(first, min(first + 256, len(corpus), _IDF_SAMPLE))]
            for side in ([pair.source for pair in pairs], [pair.target for pair in pairs]):
                # What is too long is skipped by the run, or refused by it with its line.
                kept, tokens = tokenize_fitting(encoder, [words_of(text) for text in side])
                if tokens is None:
                    continue
                # Each sentence counts once for a piece, however often it holds it.
                places = torch.arange(len(kept))[:, None] * rows + tokens.ids
                present = places[tokens.attention.bool()].unique() % rows
                counts += torch.bincount(present, minlength=rows)
                sentences += len(kept)
            if observer is not None:
                observer.progress("counting document frequencies", sentences, expected)
    return torch.log((1 + sentences) / (1 + counts)) + 1
