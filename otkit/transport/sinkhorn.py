"""Entropic optimal transport for a batch of padded problems.

    OT_eps(a, b) = min over P >= 0 of  <P, C> + eps KL(P | a x b) + tau_a KL(P 1 | a) + tau_b KL(P^T 1 | b)

with KL(p | q) = sum p log(p/q) - p + q, hard marginals where tau is None (equation 1 of Alqahtani et al.
2021 is the balanced case) and free ones where it is 0. POT's `sinkhorn_unbalanced(reg_type="kl")` solves
the same problem.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import at_least_fp32, mean_cost
from otkit.transport.fused import solve_fused
from otkit.transport.plan import Plan
from otkit.transport.problem import Problem, check_shapes, working_dtype
from otkit.transport.solve import fits_fused, solve, sync_free

__all__ = ["Plan", "SinkhornConfig", "sinkhorn"]


def sinkhorn(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    config: SinkhornConfig,
    epsilon: Tensor | None = None,
    unit: Tensor | None = None,
    symmetric: bool = False,
    regroup: bool = True,
) -> Plan:
    """Solve B problems: cost (B,N,M), weights a (B,N) and b (B,M), exactly 0 at padding.

    `epsilon` (B,) replaces the temperature of the config: it and tau are then in units of the cost. `unit` (B,)
    replaces the cost or the mean cost as what the config's epsilon and tau are in units of. `symmetric` says that a
    is b and the cost its own transpose, and halves the work. Half precision is solved in fp32 and autocast is
    switched off inside. What stands in the cost at padding (NaN included) has no influence, and neither have the
    other problems of the batch.

    Fails softly: a problem that has not reached the tolerance within `max_iterations` says so in
    `marginal_error` and `converged`; balanced weights of unequal mass never converge.
    """
    check_shapes(cost, a, b)
    with torch.autocast(device_type=cost.device.type, enabled=False):
        cost = at_least_fp32(cost)
        a, b = a.to(cost.dtype), b.to(cost.dtype)
        if epsilon is not None:
            unit = None
        else:
            if unit is None and config.relative:
                unit = problem_units(cost, a, b)
            epsilon = temperatures(cost, unit, config=config)
        if not any(config.penalties):
            unit = None  # nothing beside epsilon is in it
        if fits_fused(cost, config):
            return solve_fused(cost, a, b, epsilon, unit=unit, config=config, symmetric=symmetric)
        actual = sync_free(config, cost.device)
        with torch.set_grad_enabled(config.gradient == "unroll" and torch.is_grad_enabled()):
            problem = _prepare(cost, a, b, epsilon, unit, config=config)
            found = solve(problem, config=actual, symmetric=symmetric, regroup=regroup)
            f, g = found.f, found.g
            if unit is not None:
                f, g = f * unit.to(f.dtype)[:, None], g * unit.to(g.dtype)[:, None]
            # A problem with an empty side has no plan, and nothing to say about its potentials.
            some = ((a > 0).any(1) & (b > 0).any(1))[:, None]
            f, g = torch.where((a > 0) & some, f, 0.0), torch.where((b > 0) & some, g, 0.0)
            error = torch.where(some[:, 0], found.error, 0.0)
    return Plan(
        cost,
        a,
        b,
        f,
        g,
        epsilon,
        found.iterations,
        error.to(cost.dtype),
        actual,
        unit=unit,
        goal=config.tolerance,
    )


def problem_units(cost: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """(B,) the mean cost of each problem over the rectangle of its real units."""
    # Where every cost is 0 any unit gives the same plan.
    return mean_cost(cost, (a > 0)[:, :, None] & (b > 0)[:, None, :])


def temperatures(cost: Tensor, unit: Tensor | None, *, config: SinkhornConfig) -> Tensor:
    """(B,) epsilon of each problem in units of its cost, from the config's in units of `unit`."""
    if unit is None:
        return torch.full_like(cost[:, 0, 0], config.epsilon)
    return config.epsilon * unit


def _prepare(
    cost: Tensor, a: Tensor, b: Tensor, epsilon: Tensor, unit: Tensor | None, *, config: SinkhornConfig
) -> Problem:
    """The problems as solvers take them: costs and temperatures in `unit`, as tau is, which is one for all."""
    wide = working_dtype(cost)
    real = (a > 0)[:, :, None] & (b > 0)[:, None, :]
    cost, epsilon = torch.where(real, cost, 0.0).to(wide), epsilon.to(wide)
    if unit is not None:
        cost, epsilon = cost / unit.to(wide)[:, None, None], epsilon / unit.to(wide)
    return Problem(cost, a.to(wide), b.to(wide), epsilon, config.penalties)
