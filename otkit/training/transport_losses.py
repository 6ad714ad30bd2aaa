"""Losses that a transport plan between the words of two sentences defines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from otkit.encoders.pooling import Encoded
from otkit.errors import ConfigError
from otkit.training.encoded import EncodedPairs, Part
from otkit.training.settings import ObjectiveSettings
from otkit.transport.cost import pairwise_cost
from otkit.transport.divergence import sinkhorn_divergence
from otkit.transport.marginals import uniform
from otkit.transport.plan import Plan
from otkit.transport.sinkhorn import sinkhorn

__all__ = [
    "optimal_transport",
    "ot_distill",
    "ot_linear",
    "ot_value",
    "plan_between",
    "word_alignment_supervised",
]

Given = TypeVar("Given")

# Keeps the logarithm of a plan's smallest and largest entries finite, and their gradient below 1e3.
_MARGIN = 1e-3


def optimal_transport(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """The debiased Sinkhorn divergence between both sides' clouds, averaged over sentence pairs (or one a
    batch).

    S(a,b) = OT(a,b) - OT(a,a)/2 - OT(b,b)/2, equation 1 of Alqahtani et al. 2021. Their loss prints a minus
    before S; minimised, that would push languages apart, so the sign here is plus.
    """
    points, weights = _clouds(pairs, config)
    divergence = sinkhorn_divergence(
        points[0], points[1], weights[0], weights[1], cost=config.cost, config=config.sinkhorn
    )
    return Part(
        divergence.value.mean() * pairs.batch_fraction,
        {"marginal_error": divergence.marginal_error.detach().mean() * pairs.batch_fraction},
    )


def ot_value(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """The entropic transport value itself: OT_eps = min <P,C> + eps KL(P | a x b), without the self terms.

    The first term of equation 1 of Alqahtani et al. 2021. Its minimum over the vectors is 0, which it reaches
    where all words of both sides coincide: unlike the divergence it also pulls a sentence's own words
    together.
    """
    plan = plan_between(pairs, config)
    return Part(plan.value.mean() * pairs.batch_fraction, _metric(plan, pairs))


def ot_linear(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """<P,C> with the plan P held fixed: every word is pulled towards what the plan sends it to.

    The value that OPTICAL (Huang et al. 2023) distils with; at the optimum its gradient is that of
    `ot-value`.
    """
    plan = plan_between(pairs, config)
    return Part(plan.linear_value.mean() * pairs.batch_fraction, _metric(plan, pairs))


def ot_distill(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """Both sides' student tokens against a frozen teacher's tokens of the target side: <P,C>, P held fixed.

    OPTICAL (Huang, Yu, Allan, WSDM 2023): the plan between student and teacher is solved without gradient,
    and the student pays its cost. Where the teacher has another width the student is first projected by a
    learned matrix. Here the source sentence and its translation are both distilled, each from the teacher's
    translation.
    """
    teacher = _needed(pairs.teacher, "ot-distill", "a teacher")
    project = pairs.heads.get("teacher", torch.nn.Identity())
    weights = uniform(teacher.mask)
    values: list[Tensor] = []
    for side, mass in ((pairs.source, pairs.source_weights), (pairs.target, pairs.target_weights)):
        student = side.with_vectors(project(side.vectors) * side.mask[..., None])
        values.append(_solve(student, teacher, mass, weights, config).linear_value.mean())
    return Part((values[0] + values[1]) / 2 * pairs.batch_fraction)


def word_alignment_supervised(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """Binary cross-entropy of the transport plan with gold links, through the unrolled solver.

    L = mean over pairs of  - sum_ij [ G_ij log p_ij + (1 - G_ij) log(1 - p_ij) ],  p = minmax(P) of each
    pair, P the plan under the min-max scaled cost of tanh(W h) (OTAlign: Arase, Bao, Yokoi, ACL 2023, section
    4.3). p is drawn from [0, 1] into [0.001, 0.999], so that the largest and the smallest entry, which are
    always 1 and 0, have a finite loss and gradient.
    """
    links = _needed(pairs.links, "word-alignment-supervised", "gold links")
    head = pairs.heads.get("tanh", torch.nn.Identity())
    sides = [side.with_vectors(head(side.vectors)) for side in pairs.compared(config.center)]
    real = pairs.source.mask[:, :, None] & pairs.target.mask[:, None, :]  # (B,N,M)
    cost = _min_max(pairwise_cost(sides[0].vectors, sides[1].vectors, cost=config.cost), real)
    solver = replace(config.sinkhorn, gradient="unroll", tolerance=None)
    plan = sinkhorn(cost, pairs.source_weights, pairs.target_weights, config=solver)
    likely = _min_max(plan.matrix, real) * (1 - 2 * _MARGIN) + _MARGIN
    loss = -torch.where(links, likely.log(), (1 - likely).log()).masked_fill(~real, 0.0)
    return Part(loss.sum((1, 2)).mean() * pairs.batch_fraction)


def plan_between(pairs: EncodedPairs, config: ObjectiveSettings) -> Plan:
    """The plan between both sides, a problem a pair or one a batch."""
    points, weights = _clouds(pairs, config)
    cost = pairwise_cost(points[0], points[1], cost=config.cost)
    return sinkhorn(cost, weights[0], weights[1], config=config.sinkhorn)


def _solve(x: Encoded, y: Encoded, a: Tensor, b: Tensor, config: ObjectiveSettings) -> Plan:
    points = [_placed(side, config) for side in (x, y)]
    return sinkhorn(pairwise_cost(points[0], points[1], cost=config.cost), a, b, config=config.sinkhorn)


def _clouds(pairs: EncodedPairs, config: ObjectiveSettings) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Points and weights of both sides, under the configuration's scope."""
    points = [_placed(side, config) for side in pairs.compared(config.center)]
    weights = [pairs.source_weights, pairs.target_weights]
    if config.scope == "batch":
        # Padding stays in the cloud with weight 0: dropping it would need a host sync for the count.
        points = [side.flatten(0, 1)[None] for side in points]  # (1, B*N, D)
        weights = [side.flatten()[None] / side.sum() for side in weights]  # (1, B*N)
    return points, weights


def _placed(side: Encoded, config: ObjectiveSettings) -> Tensor:
    """(B,N,D) or, with a position feature, (B,N,D+1): the unit's place in its sentence as one more
    coordinate.

    ZeroSwot (Tsiamas et al. 2024): w * i / (n - 1), so that links far from the diagonal cost more.
    """
    if config.position == 0:
        return side.vectors
    order = side.mask.cumsum(1) - 1  # (B,N)
    place = order / (side.mask.sum(1, keepdim=True) - 1).clamp(min=1)
    feature = (config.position * place).masked_fill(~side.mask, 0.0)
    return torch.cat([side.vectors, feature[..., None].to(side.vectors.dtype)], 2)


def _metric(plan: Plan, pairs: EncodedPairs) -> dict[str, Tensor]:
    return {"marginal_error": plan.marginal_error.detach().mean() * pairs.batch_fraction}


def _min_max(values: Tensor, real: Tensor) -> Tensor:
    """(B,N,M) scaled to [0, 1] over the real entries of each pair; all zeros where they are all equal."""
    least = values.masked_fill(~real, torch.inf).amin((1, 2), keepdim=True)
    most = values.masked_fill(~real, -torch.inf).amax((1, 2), keepdim=True)
    span = most - least
    scaled = (values - least) / torch.where(span > 0, span, 1.0)
    return torch.where(real, scaled, 0.0)


def _needed(value: Given | None, name: str, what: str) -> Given:
    if value is None:
        raise ConfigError(f"the objective {name!r} needs {what}", remedy=f"give {what}, or leave it out")
    return value
