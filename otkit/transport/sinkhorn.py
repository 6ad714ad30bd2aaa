"""Entropic optimal transport for a batch of padded problems.

    OT_eps(a, b) = min over P >= 0 of  <P, C> + eps KL(P | a x b) + tau_a KL(P 1 | a) + tau_b KL(P^T 1 | b)

with KL(p | q) = sum p log(p/q) - p + q, hard marginals where tau is None (equation 1 of Alqahtani et al.
2021 is the balanced case) and free ones where it is 0. POT's `sinkhorn_unbalanced(reg_type="kl")` solves
the same problem.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otkit.errors import ConfigError
from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import at_least_fp32
from otkit.transport.log_domain import (
    Problem,
    marginal_error,
    safe_log,
    solve_log_domain,
    sums,
    working_dtype,
)
from otkit.transport.plan import Plan

__all__ = ["Plan", "SinkhornConfig", "sinkhorn"]


def sinkhorn(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    config: SinkhornConfig,
    epsilon: Tensor | None = None,
    symmetric: bool = False,
) -> Plan:
    """Solve B problems: cost (B,N,M), weights a (B,N) and b (B,M), exactly 0 at padding.

    `epsilon` (B,) replaces the temperature of the config; `symmetric` says that a is b and the cost its own
    transpose, and halves the work. Half precision is solved in fp32 and autocast is switched off inside.
    What stands in the cost at padding (NaN included) has no influence, and neither have the other problems
    of the batch.

    Fails softly: a problem that has not reached the tolerance within `max_iterations` says so in
    `marginal_error` and `converged`; balanced weights of unequal mass never converge.
    """
    if cost.ndim != 3 or a.shape != cost.shape[:2] or b.shape != (cost.shape[0], cost.shape[2]):
        raise ConfigError(
            f"a cost of shape {tuple(cost.shape)} with weights {tuple(a.shape)} and {tuple(b.shape)}",
            remedy="give cost (B,N,M), a (B,N) and b (B,M)",
        )
    with torch.autocast(device_type=cost.device.type, enabled=False):
        cost = at_least_fp32(cost)
        a, b = a.to(cost.dtype), b.to(cost.dtype)
        if epsilon is None:
            epsilon = temperatures(cost, a, b, config=config)
        unroll = config.gradient == "unroll"
        with torch.set_grad_enabled(unroll and torch.is_grad_enabled()):
            problem = _prepare(cost, a, b, epsilon, config=config, symmetric=symmetric)
            f, g, done = _solve(problem, config=config)
        with torch.no_grad():
            error = marginal_error(problem, f, g, *sums(problem, f, g))
        f, g = torch.where(a > 0, f, 0.0), torch.where(b > 0, g, 0.0)
    return Plan(cost, a, b, f, g, epsilon, done, error.to(cost.dtype), config)


def temperatures(cost: Tensor, a: Tensor, b: Tensor, *, config: SinkhornConfig) -> Tensor:
    """(B,) epsilon of each problem: fixed, or in units of its mean cost over the rectangle of its real
    units."""
    if config.epsilon_relative is None:
        return torch.full_like(cost[:, 0, 0], config.epsilon)
    real = (a > 0)[:, :, None] & (b > 0)[:, None, :]
    mean = torch.where(real, cost, 0.0).sum((1, 2)) / real.sum((1, 2)).clamp(min=1)
    # Where every cost is 0 any temperature gives the same plan.
    return config.epsilon_relative * torch.where(mean > 0, mean, 1.0)


def _prepare(
    cost: Tensor, a: Tensor, b: Tensor, epsilon: Tensor, *, config: SinkhornConfig, symmetric: bool
) -> Problem:
    wide = working_dtype(cost)
    real = (a > 0)[:, :, None] & (b > 0)[:, None, :]
    a, b = a.to(wide), b.to(wide)
    return Problem(
        cost=torch.where(real, cost, 0.0).to(wide),
        a=a,
        b=b,
        log_a=safe_log(a),
        log_b=safe_log(b),
        epsilon=epsilon.to(wide),
        tau=config.penalties,
        symmetric=symmetric,
    )


def _solve(problem: Problem, *, config: SinkhornConfig) -> tuple[Tensor, Tensor, int]:
    return solve_log_domain(problem, iterations=config.max_iterations, tolerance=config.tolerance)
