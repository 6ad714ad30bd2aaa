"""Losses that hold the encoder near something: its start, or static vectors of words."""

from __future__ import annotations

import torch
from torch.nn.functional import cosine_similarity

from otkit.errors import ConfigError
from otkit.training.encoded import EncodedPairs, Part
from otkit.training.settings import ObjectiveSettings

__all__ = ["parameter_anchor", "static_anchor", "stay_close"]


def stay_close(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """The squared distance of the English vectors to those of the frozen start, summed (or averaged) over
    units.

    The regulariser of Cao et al. 2020 and Alqahtani et al. 2021, whose printed form is the sum.
    """
    if pairs.start is None:
        raise ConfigError("the anchor needs the frozen start's vectors", remedy="pass a FrozenStart")
    moved = (pairs.target.vectors - pairs.start).square().sum(-1).masked_fill(~pairs.target.mask, 0.0)
    total = moved.sum()
    mean = total / max(pairs.targets, 1)
    return Part(total if config.anchor_reduction == "sum" else mean, {"drift": mean.detach()})


def parameter_anchor(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """|theta - theta_0|, the norm (not its square) of what training has added to all trained weights.

    The regulariser of Wu and Dredze (EMNLP 2020, section 3), weight 1 there; at the start itself its gradient
    is 0. Counted once a language pair and micro-step, as every other part is.
    """
    if not pairs.moved:
        raise ConfigError("the parameter anchor needs the weights of the start", remedy="train some weights")
    squares = torch.stack([(now - was).square().sum() for now, was in pairs.moved]).sum()
    distance = torch.where(squares > 0, torch.where(squares > 0, squares, 1.0).sqrt(), 0.0)
    return Part(distance * pairs.batch_fraction, {"weight_drift": distance.detach() * pairs.batch_fraction})


def static_anchor(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """The angle between words in their sentences and a linear map of their static vectors: the mean of 1 - cosine over
    the words of both sides that have one.

    After Hämmerl, Libovický and Fraser (Findings of ACL 2022), who train XLM-R on towards static vectors that were
    aligned across languages, by squared distance or by the correlations of both spaces. Here a linear map is fitted
    once, to the encoder as it starts (`map_words`), and lengths do not count.
    """
    if pairs.static is None:
        raise ConfigError(
            "static-anchor needs static vectors of words",
            remedy="give `static_vectors`",
            setting="static_vectors",
        )
    total = count = pairs.source.vectors.new_zeros(())
    for side, aims in zip((pairs.source, pairs.target), pairs.static, strict=True):
        apart = 1 - cosine_similarity(side.vectors - aims.middle, aims.vectors, dim=2)
        total = total + torch.where(aims.mask, apart, 0.0).sum()
        count = count + aims.mask.sum()
    return Part(total / count.clamp(min=1) * pairs.batch_fraction, {"static_words": count.detach()})
