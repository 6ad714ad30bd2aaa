"""Losses that hold the encoder near its start."""

from __future__ import annotations

import torch

from otkit.errors import ConfigError
from otkit.training.encoded import EncodedPairs, Part
from otkit.training.settings import ObjectiveSettings

__all__ = ["parameter_anchor", "stay_close"]


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
