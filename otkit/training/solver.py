"""Which solver a run's transport takes on its device: one that never makes the host wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from otkit.data.lines import words_of
from otkit.data.views import PairCorpus
from otkit.encoders.torch import TorchEncoder
from otkit.training.encoded import EncodedPairs
from otkit.training.objectives import encode_units
from otkit.training.settings import ObjectiveSettings
from otkit.training.transport_losses import plan_between
from otkit.transport.fused import stops_unasked
from otkit.transport.marginals import uniform
from otkit.transport.sinkhorn import UNREAD

__all__ = ["kernel_converges", "without_waiting"]

# Pairs of each language that are tried, and the words of a sentence that is.
_TRIED, _WORDS = 4, 60
# The share of them that must converge.
_ENOUGH = 0.9


def without_waiting(
    objective: ObjectiveSettings, encoder: TorchEncoder, corpora: Sequence[PairCorpus]
) -> ObjectiveSettings:
    """The objective with a solver that does not ask the encoder's device whether its problems have converged.

    On a GPU the fused kernel need not ask, where its plain iterations get there at this temperature; else all problems
    take the same few Newton steps.
    """
    if encoder.device.type == "cpu" or objective.tolerance is None:
        return objective
    unasked = stops_unasked(objective.sinkhorn, encoder.device)
    if unasked and kernel_converges(objective, encoder, corpora):
        return objective
    return replace(objective, tolerance=None, iterations=UNREAD)


def kernel_converges(
    objective: ObjectiveSettings, encoder: TorchEncoder, corpora: Sequence[PairCorpus]
) -> bool:
    """Whether the plans of the first short pairs of each corpus reach the tolerance."""
    pairs = []
    for corpus in corpora:
        words = (
            [words_of(side) for side in (corpus[i].source, corpus[i].target)] for i in range(len(corpus))
        )
        short = (pair for pair in words if max(map(len, pair)) <= _WORDS)
        pairs += [pair for pair, _ in zip(short, range(_TRIED), strict=False)]
    if not pairs:
        return False
    with torch.no_grad():
        sides = [
            encoder.tokenize(list(side), prefix="").to(encoder.device) for side in zip(*pairs, strict=True)
        ]
        source, target = (encode_units(encoder, tokens, objective) for tokens in sides)
        tried = EncodedPairs(
            source, target, uniform(source.mask), uniform(target.mask), start=None, share=1.0, targets=0
        )
        plan = plan_between(tried, replace(objective, scope="pair"))
    return bool(plan.converged.double().mean() >= _ENOUGH)
