"""Losses on the words around linked words."""

from __future__ import annotations

import torch
from torch import Tensor

from otkit.encoders.pooling import Encoded
from otkit.training.encoded import EncodedPairs, Part
from otkit.training.link_losses import single_links
from otkit.training.settings import ObjectiveSettings
from otkit.transport.divergence import sinkhorn_divergence

__all__ = ["window_ot"]


def window_ot(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """The debiased Sinkhorn divergence between the windows of words around both ends of a link, averaged over links
    that are one to one.

    mean over links (i,j) of S({x_i-r ... x_i+r}, {y_j-r ... y_j+r}), r words to each side, fewer where a sentence ends.
    The OT affinity of UniPSDA (Li et al., LREC-COLING 2024), whose windows stand around a word that
    was replaced by one of another language; here they stand around a word and its partner. Its released code takes
    the Euclidean cost, 5 words and an epsilon of 0.1 or 0.5, and cuts the gradient off by mistake.
    """
    single = single_links(pairs, config)
    linked = single.any(2)  # (B,N)
    own = torch.arange(linked.shape[1], device=linked.device).expand_as(linked)
    sides = pairs.compared(config.center)
    x, a = _windows(sides[0], own, config.context_words)
    y, b = _windows(sides[1], single.to(torch.int8).argmax(2), config.context_words)
    divergence = sinkhorn_divergence(x, y, a, b, cost=config.cost, config=config.sinkhorn)
    count = linked.sum()
    total = torch.where(linked.flatten(), divergence.value, 0.0).sum()
    return Part(total / count.clamp(min=1) * pairs.batch_fraction, {"links": count.detach().float()})


def _windows(side: Encoded, centres: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """(B*N,W,D) the units around each of `centres` (B,N), the first in front, and (B*N,W) uniform weights, 0 behind
    the last."""
    size, lengths = side.mask.shape[1], side.mask.sum(1, keepdim=True)  # (B,1)
    first = (centres - width // 2).clamp(min=0)
    behind = torch.minimum(centres + width // 2 + 1, lengths)
    places = first[..., None] + torch.arange(width, device=centres.device)  # (B,N,W)
    inside = places < behind[..., None]
    # A centre that is padding has a window of one unit: no problem is without mass.
    inside[..., 0] |= ~inside.any(2)
    index = places.clamp(max=size - 1).flatten(1)[..., None].expand(-1, -1, side.vectors.shape[2])
    vectors = side.vectors.gather(1, index).view(*places.shape, -1)
    weights = inside / inside.sum(2, keepdim=True)
    return vectors.flatten(0, 1), weights.flatten(0, 1).to(vectors.dtype)
