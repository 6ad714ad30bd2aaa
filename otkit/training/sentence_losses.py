"""Losses on whole sentences."""

from __future__ import annotations

import torch
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_gather
from torch.nn.functional import cross_entropy, pad

from otkit.errors import ConfigError
from otkit.training.encoded import EncodedPairs, Part
from otkit.training.settings import ObjectiveSettings

__all__ = ["sentence_contrastive"]


def sentence_contrastive(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """A sentence must prefer its translation to the other translations of the batch, in both directions.

    InfoNCE: L = 1/2B sum_b [ CE(u_b . V / temperature, b) + CE(v_b . U / temperature, b) ] on unit sentence
    vectors (van den Oord et al. 2018; LaBSE: Feng et al. 2022, equation 1, without its margin). The negatives
    are those of all processes, whose gradients travel back to where the vectors were made.
    """
    if pairs.sentences is None:
        raise ConfigError("sentence-contrastive needs sentence vectors", remedy="encode the pairs with them")
    source, target = pairs.sentences
    losses = []
    for own, other in ((source, target), (target, source)):
        everyone, first, real = _gathered(other)
        scores = (own @ everyone.T / config.temperature).masked_fill(~real[None, :], -torch.inf)
        losses.append(cross_entropy(scores, torch.arange(len(own), device=own.device) + first))
    return Part((losses[0] + losses[1]) / 2 * pairs.batch_fraction)


def _gathered(vectors: Tensor) -> tuple[Tensor, int, Tensor]:
    """The vectors of all processes (B*R,D), where this process's begin, and (B*R,) which of them are no
    padding.
    """
    here = torch.ones(len(vectors), dtype=torch.bool, device=vectors.device)
    if not distributed.is_available() or not distributed.is_initialized():
        return vectors, 0, here
    world = distributed.get_world_size()
    counts = [torch.zeros((), dtype=torch.int64, device=vectors.device) for _ in range(world)]
    distributed.all_gather(counts, torch.tensor(len(vectors), device=vectors.device))
    sizes = [int(count) for count in counts]
    width = max(sizes)
    parts = all_gather(pad(vectors, (0, 0, 0, width - len(vectors))))  # type: ignore[no-untyped-call]
    real = torch.cat([torch.arange(width, device=vectors.device) < size for size in sizes])
    return torch.cat(list(parts)), distributed.get_rank() * width, real
