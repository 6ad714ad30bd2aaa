"""Which solver a run's transport takes on its device: one that never makes the host wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from otkit.data.lines import words_of
from otkit.data.views import PairCorpus
from otkit.encoders.encoder import tokenize_fitting
from otkit.encoders.torch import TorchEncoder
from otkit.training.encoded import EncodedPairs
from otkit.training.objectives import encode_units
from otkit.training.settings import ObjectiveSettings
from otkit.training.transport_losses import plan_between
from otkit.transport.marginals import uniform
from otkit.transport.solve import sync_free_training

__all__ = ["kernel_converges", "sync_free_objective"]

# Pairs of each language that are tried, and the words of a sentence that is.
_TRIED, _WORDS = 4, 60
# The share of them that must converge.
_ENOUGH = 0.9


def sync_free_objective(
    objective: ObjectiveSettings, encoder: TorchEncoder, corpora: Sequence[PairCorpus]
) -> ObjectiveSettings:
    """The objective with a solver that does not ask the encoder's device whether its problems have converged."""
    config = sync_free_training(
        objective.sinkhorn,
        encoder.device,
        kernel_converges=lambda: kernel_converges(objective, encoder, corpora),
    )
    return replace(objective, tolerance=config.tolerance, iterations=config.max_iterations)


def kernel_converges(
    objective: ObjectiveSettings, encoder: TorchEncoder, corpora: Sequence[PairCorpus]
) -> bool:
    """True where the plans of the first short pairs of each corpus reach the tolerance."""
    pairs = []
    for corpus in corpora:
        words = (
            [words_of(side) for side in (corpus[i].source, corpus[i].target)] for i in range(len(corpus))
        )
        short = (pair for pair in words if max(map(len, pair)) <= _WORDS)
        pairs += [pair for pair, _ in zip(short, range(_TRIED), strict=False)]
    if not pairs:
        return False
    fitting = [set(tokenize_fitting(encoder, list(side))[0]) for side in zip(*pairs, strict=True)]
    pairs = [pair for number, pair in enumerate(pairs) if all(number in kept for kept in fitting)]
    if not pairs:
        return False
    with torch.no_grad():
        sides = [
            encoder.tokenize(list(side), prefix="").to(encoder.device) for side in zip(*pairs, strict=True)
        ]
        source, target = (encode_units(encoder, tokens, objective) for tokens in sides)
        tried = EncodedPairs(
            source,
            target,
            uniform(source.mask),
            uniform(target.mask),
            start=None,
            batch_fraction=1.0,
            targets=0,
        )
        plan = plan_between(tried, replace(objective, scope="pair"))
    return bool(plan.converged.float().mean() >= _ENOUGH)
