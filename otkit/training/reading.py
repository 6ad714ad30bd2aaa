"""Links that the word aligner reads with the encoder in training: now and then, for the pairs that come next.

An encoder that learns from what it reads at each step feeds on itself and links more and more; one that learns from a
reading of some steps ago does so far less.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from otkit.data.batching import PairBatch, PairSource
from otkit.data.views import PairCorpus
from otkit.encoders.device import autocast
from otkit.training.link_losses import aligner_links, aligner_shares
from otkit.training.protocols import Observer

if TYPE_CHECKING:
    from otkit.training.objectives import AlignmentModel
    from otkit.training.recipe import Recipe

__all__ = ["LinkReader", "ReadLinks", "link_reader"]

_FILE = "links-{process}.safetensors"


class ReadLinks:
    """Links between the units of pairs of some corpora, as the word aligner read them."""

    def __init__(self) -> None:
        self._links: dict[tuple[int, int], Tensor] = {}

    def has(self, batch: PairBatch) -> bool:
        """Whether all pairs of the batch were read."""
        return all((batch.corpus, index) in self._links for index in batch.indices)

    def keep(self, batch: PairBatch, links: Tensor) -> None:
        """Remember the links (B,N,M) bool of a batch."""
        for row, index in enumerate(batch.indices):
            self._links[batch.corpus, index] = links[row].nonzero().to(torch.int32)

    def units(self, batch: PairBatch, size: tuple[int, int]) -> Tensor:
        """(B,N,M) bool on the CPU, for sides of `size` units."""
        matrix = torch.zeros(len(batch.indices), *size, dtype=torch.bool)
        for row, index in enumerate(batch.indices):
            i, j = self._links[batch.corpus, index].long().unbind(1)
            matrix[row, i, j] = True
        return matrix

    def save(self, path: Path) -> None:
        """Write all links as tensors: pairs (P,3) int64 of corpus, place in it and number of links; cells (C,2)."""
        pairs = [(*key, len(cells)) for key, cells in self._links.items()]
        cells = [torch.zeros(0, 2, dtype=torch.int32), *self._links.values()]
        save_file({"pairs": torch.tensor(pairs).reshape(-1, 3), "cells": torch.cat(cells)}, path)

    @classmethod
    def load(cls, path: Path) -> ReadLinks:
        """What `save` wrote."""
        found, tensors = cls(), load_file(path)
        pairs = tensors["pairs"].tolist()
        parts = torch.split(tensors["cells"], [count for *_, count in pairs])
        found._links = {(corpus, place): part for (corpus, place, _), part in zip(pairs, parts, strict=True)}
        return found


class LinkReader:
    """Reads the links of what a run visits next into `module.read`; what it read is part of a checkpoint."""

    def __init__(
        self,
        module: AlignmentModel,
        source: PairSource,
        precision: str,
        *,
        observer: Observer | None = None,
    ) -> None:
        self._module, self._source, self._precision, self._observer = module, source, precision, observer
        self.every = module.config.relink_every

    def renew(self, start: int, stop: int, stride: int) -> None:
        """Read the pairs of every `stride`-th micro-step from `start` to `stop`."""
        module, found = self._module, ReadLinks()
        module.eval()
        ahead = range(start, stop, stride)
        with torch.no_grad(), autocast(module.encoder.device, self._precision):
            for done, batches in enumerate(self._source.micro_steps(start, stop, stride), 1):
                for batch in batches:
                    if not found.has(batch):
                        pairs = module.encode(batch, anchored=False)
                        share = aligner_shares(pairs, module.config)
                        found.keep(batch, aligner_links(share, pairs, module.config).cpu())
                if self._observer is not None:
                    self._observer.progress("reading links", done, len(ahead))
        module.read = found
        module.train()

    def save(self, folder: Path, process: int) -> None:
        """Write what this process read into a checkpoint."""
        if self._module.read is not None:
            self._module.read.save(folder / _FILE.format(process=process))

    def load(self, folder: Path, process: int) -> None:
        """Take up what a checkpoint holds."""
        self._module.read = ReadLinks.load(folder / _FILE.format(process=process))


def link_reader(
    module: AlignmentModel, corpora: Sequence[PairCorpus], recipe: Recipe, *, observer: Observer
) -> LinkReader | None:
    """Who reads the links of a run, where its losses learn from such; it goes through the text by itself, ahead of the
    steps."""
    if not recipe.objective.reads_links:
        return None

    def tokenised(done: int, total: int) -> None:
        observer.progress("tokenising", done, total)

    ahead = PairSource(
        corpora, module.encoder, recipe.batching, seed=recipe.training.seed, progress=tokenised
    )
    return LinkReader(module, ahead, recipe.training.precision, observer=observer)
