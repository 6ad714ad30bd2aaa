"""Sinkhorn's iterations in the log domain, differentiable and slow: the way of `unroll`."""

from __future__ import annotations

import torch
from torch import Tensor

from otkit.transport.problem import Problem, Solution, damping, marginal_error, softmin

__all__ = ["solve_unroll"]

CHECK_EVERY = 10


def solve_unroll(problem: Problem, *, iterations: int, tolerance: float | None) -> Solution:
    """The potentials of any problem, with gradients.

    Epsilon is halved at each iteration from the problem's own largest cost. With a tolerance each problem
    is frozen when it has reached it, so that its answer does not depend on its neighbours.
    """
    cost, target = problem.cost, problem.epsilon
    log_a, log_b = problem.log_a, problem.log_b
    hottest = problem.largest
    f, g = torch.zeros_like(problem.a), torch.zeros_like(problem.b)
    active = torch.ones_like(target, dtype=torch.bool)
    used = 0
    for step in range(iterations):
        used = step + 1
        epsilon = torch.maximum(target, hottest * 0.5**used) if used < iterations else target
        new_g = damping(problem.tau[1], epsilon) * softmin(cost.transpose(1, 2), log_a, f, epsilon)
        new_f = damping(problem.tau[0], epsilon) * softmin(cost, log_b, new_g, epsilon)
        if used < iterations:
            new_f, new_g = _translated(problem, new_f, new_g)
        f, g = torch.where(active[:, None], new_f, f), torch.where(active[:, None], new_g, g)
        if tolerance is not None and used % CHECK_EVERY == 0:
            with torch.no_grad():
                reached = marginal_error(problem, f, g) <= tolerance
                active = active & ~(reached & (epsilon <= target))
            if not bool(active.any()):
                break
    with torch.no_grad():
        error = marginal_error(problem, f, g)
    return Solution(f, g, error, used)


def _translated(problem: Problem, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """f and g with the best constant added to the one and taken from the other: what makes a large tau
    converge (Sejourne, Vialard, Peyre 2022, "Faster unbalanced optimal transport", proposition 2)."""
    tau_a, tau_b = problem.tau
    if (tau_a is None and tau_b is None) or tau_a == 0.0 or tau_b == 0.0:
        return f, g

    def log_mass(log_weights: Tensor, potential: Tensor, tau: float | None) -> Tensor:
        soft = potential / tau if tau is not None else torch.zeros_like(potential)
        return torch.logsumexp(log_weights - soft, dim=1)

    rate = 1.0 / sum(1.0 / tau for tau in (tau_a, tau_b) if tau is not None)
    shift = (rate * (log_mass(problem.log_a, f, tau_a) - log_mass(problem.log_b, g, tau_b)))[:, None]
    return f + shift, g - shift
