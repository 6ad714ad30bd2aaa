"""Entropic optimal transport for a batch of padded problems.

    OT_eps(a, b) = min over P >= 0 of  <P, C> + eps KL(P | a x b) + tau_a KL(P 1 | a) + tau_b KL(P^T 1 | b)

with KL(p | q) = sum p log(p/q) - p + q, hard marginals where tau is None (equation 1 of Alqahtani et al.
2021 is the balanced case) and free ones where it is 0. POT's `sinkhorn_unbalanced(reg_type="kl")` solves
the same problem.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from otkit.transport.batching import lengths, size_groups
from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import at_least_fp32, mean_cost
from otkit.transport.fused import solve_fused, stops_unasked, suits
from otkit.transport.log_domain import solve_log_domain
from otkit.transport.newton import solve_newton
from otkit.transport.plan import Plan
from otkit.transport.problem import Problem, check_shapes, working_dtype
from otkit.transport.scaling import solve_scaling
from otkit.transport.symmetric import solve_symmetric

__all__ = ["Plan", "SinkhornConfig", "sinkhorn"]

# Newton's iterations where nothing is read back: enough for 1e-6 at the paper's epsilons on an encoder's last layer,
# which takes 13 to 25.
UNREAD = 30
# From this tolerance on plain iterations get there sooner than Newton's.
ROUGH = 0.02


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
        if suits(cost, config):
            return solve_fused(cost, a, b, epsilon, unit=unit, config=config, symmetric=symmetric)
        actual = _unread(config, cost)
        with torch.set_grad_enabled(config.gradient == "unroll" and torch.is_grad_enabled()):
            problem = _prepare(cost, a, b, epsilon, unit, config=config)
            f, g, error, used = _solve(problem, config=actual, symmetric=symmetric, regroup=regroup)
            if unit is not None:
                f, g = f * unit.to(f.dtype)[:, None], g * unit.to(g.dtype)[:, None]
            # A problem with an empty side has no plan, and nothing to say about its potentials.
            some = ((a > 0).any(1) & (b > 0).any(1))[:, None]
            f, g = torch.where((a > 0) & some, f, 0.0), torch.where((b > 0) & some, g, 0.0)
            error = torch.where(some[:, 0], error, 0.0)
    return Plan(
        cost, a, b, f, g, epsilon, used, error.to(cost.dtype), actual, unit=unit, goal=config.tolerance
    )


def _unread(config: SinkhornConfig, cost: Tensor) -> SinkhornConfig:
    """Settings under which a rough tolerance on a GPU needs no host sync for problems too large for the kernel."""
    if stops_unasked(config, cost.device):
        return dataclasses.replace(config, tolerance=None, max_iterations=UNREAD)
    return config


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


def _solve(
    problem: Problem, *, config: SinkhornConfig, symmetric: bool, regroup: bool
) -> tuple[Tensor, Tensor, Tensor, int]:
    if config.gradient == "unroll":
        return solve_log_domain(problem, iterations=config.max_iterations, tolerance=config.tolerance)
    if not regroup or problem.cost.device.type != "cpu" or len(problem.cost) == 1:
        return _solve_group(problem, config=config, symmetric=symmetric)
    f, g = torch.zeros_like(problem.a), torch.zeros_like(problem.b)
    error, used = torch.zeros_like(problem.epsilon), 0
    for index, n, m in size_groups(lengths(problem.a), lengths(problem.b)):
        group = problem.select(index).trimmed(n, m)
        answer = _solve_group(group, config=config, symmetric=symmetric)
        f[index, :n], g[index, :m], error[index] = answer[:3]
        used = max(used, answer[3])
    return f, g, error, used


def _solve_group(
    problem: Problem, *, config: SinkhornConfig, symmetric: bool
) -> tuple[Tensor, Tensor, Tensor, int]:
    limits = config.max_iterations, config.tolerance
    if symmetric:
        f, error, used = solve_symmetric(problem, iterations=limits[0], tolerance=limits[1])
        left = ~(error <= limits[1]) if limits[1] is not None else None
        if left is None or not bool(left.any()):
            return f, f, error, used
        again = _solve_group(problem.select(left), config=config, symmetric=False)
        f[left], error[left] = 0.5 * (again[0] + again[1]), again[2]
        return f, f, error, max(used, again[3])
    # The first side's marginal is met exactly and the second is solved for by a factorisation: a free side
    # goes second, a soft one too if the other is hard, else the shorter.
    tau_a, tau_b = problem.tau
    if 0.0 in problem.tau:
        swap = tau_a == 0.0
    elif (tau_a is None) != (tau_b is None):
        swap = tau_b is None
    else:
        swap = problem.cost.shape[1] < problem.cost.shape[2]
    if swap:
        g, f, error, used = _solve_oriented(problem.transposed(), config=config)
        return f, g, error, used
    return _solve_oriented(problem, config=config)


def _solve_oriented(problem: Problem, *, config: SinkhornConfig) -> tuple[Tensor, Tensor, Tensor, int]:
    iterations, tolerance = config.max_iterations, config.tolerance
    if tolerance is None or tolerance < ROUGH or problem.tau != (None, None) or iterations < 100:
        return solve_newton(problem, iterations=iterations, tolerance=tolerance)
    f, g, error, used = solve_scaling(problem, tolerance=tolerance)
    left = ~(error <= tolerance)
    if bool(left.any()):
        again = solve_newton(problem.select(left), iterations=iterations, tolerance=tolerance)
        f[left], g[left], error[left] = again[:3]
        used = max(used, again[3])
    return f, g, error, used
