"""The debiased Sinkhorn divergence, equation 1 of Alqahtani et al. (2021).

S(a, b) = OT_eps(a, b) - OT_eps(a, a) / 2 - OT_eps(b, b) / 2
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import pad

from otkit.errors import ConfigError
from otkit.transport.cost import pairwise_cost
from otkit.transport.plan import Plan
from otkit.transport.sinkhorn import SinkhornConfig, sinkhorn, temperatures

__all__ = ["Divergence", "sinkhorn_divergence"]


@dataclasses.dataclass(frozen=True, eq=False)
class Divergence:
    """S of B pairs of weighted clouds, with the transport between them."""

    value: Tensor
    """(B,), in units of the cost; at least 0, and 0 where the clouds are the same (up to the tolerance)."""
    plan: Plan
    """The cross term."""
    marginal_error: Tensor
    """(B,), the largest of the three problems of each pair."""


def sinkhorn_divergence(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, cost: str, config: SinkhornConfig
) -> Divergence:
    """S between clouds x (B,N,D) with weights a (B,N) and y (B,M,D) with weights b (B,M), 0 at padding.

    The self terms take their own cost matrices and the temperature of the cross term (with
    `epsilon_relative` too: three different temperatures would not cancel). They are symmetric problems,
    solved with one potential by averaged updates (Feydy et al. 2019, section 3.1), both in one batch. The
    unbalanced divergence has a further term eps/2 (m_a - m_b)^2 (Sejourne et al. 2019, def. 3), which is 0
    for weights that sum to 1.
    """
    if config.tau is not None and config.penalties[0] != config.penalties[1]:
        raise ConfigError(
            "a divergence needs the same tau on both sides", remedy="give one tau, or None for hard marginals"
        )
    if a.shape != x.shape[:2] or b.shape != y.shape[:2]:
        raise ConfigError(
            f"weights {tuple(a.shape)} and {tuple(b.shape)} for clouds {tuple(x.shape)} and {tuple(y.shape)}",
            remedy="give one weight per vector",
        )
    cross_cost = pairwise_cost(x, y, cost=cost)
    a, b = a.to(cross_cost.dtype), b.to(cross_cost.dtype)
    epsilon = temperatures(cross_cost, a, b, config=config)
    cross = sinkhorn(cross_cost, a, b, config=config, epsilon=epsilon)
    width = max(x.shape[1], y.shape[1])
    self_cost = torch.cat([_padded(pairwise_cost(z, z, cost=cost), width) for z in (x, y)])  # (2B,W,W)
    weights = torch.cat([pad(w, (0, width - w.shape[1])) for w in (a, b)])  # (2B,W)
    own = sinkhorn(self_cost, weights, weights, config=config, epsilon=epsilon.repeat(2), symmetric=True)
    source, target = own.value.chunk(2)
    mass_gap = 0.5 * epsilon * (a.sum(1) - b.sum(1)).square() if config.tau is not None else 0.0
    value = cross.value - 0.5 * (source + target) + mass_gap
    errors = torch.stack([cross.marginal_error, *own.marginal_error.chunk(2)])
    return Divergence(value, cross, errors.amax(0))


def _padded(cost: Tensor, width: int) -> Tensor:
    missing = width - cost.shape[1]
    return pad(cost, (0, missing, 0, missing)) if missing else cost
