"""Sinkhorn by stabilised scaling: the cheapest iterations there are, for when a rough plan is enough.

Epsilon is halved at each step from the problem's own largest cost, in the log domain; at the end of that path
the kernel exp((f + g - C) / eps) absorbs the potentials and the iterations are plain products with it, in
single precision, until it is formed anew from double precision potentials (Schmitzer 2019, "Stabilized sparse
scaling algorithms", section 3). Some forty iterations at eps = 1% of the mean cost leave 5% of the mass
misplaced; past that Newton's method is cheaper, and what has not reached the tolerance here is handed to it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otkit.transport.problem import TINY, Problem, Solution, marginal_error

__all__ = ["solve_scaling"]

ABSORB_EVERY = 10
ABSORPTIONS = 6


def solve_scaling(problem: Problem, *, tolerance: float) -> Solution:
    """The potentials of problems whose marginals are both hard.

    Both marginals are hard; f's is met exactly. A problem is frozen when it has reached the tolerance, at one
    of the absorptions.
    """
    cost, target = problem.cost, problem.epsilon
    # On the way an error of 1e-7 of the costs does no harm, so the path runs in single precision.
    rough, goal = cost.float(), target.float()
    log_a, log_b = problem.log_a.float(), problem.log_b.float()
    epsilon, used = problem.largest.float(), 0
    g = torch.zeros_like(log_b)
    while bool((epsilon > goal).any()):
        epsilon = torch.maximum(0.5 * epsilon, goal)
        f = _softmin(rough, log_b, g, epsilon, dim=2)
        g = _softmin(rough, log_a, f, epsilon, dim=1)
        used += 1
    f, g = _softmin(rough, log_b, g, goal, dim=2).to(cost.dtype), g.to(cost.dtype)
    error = marginal_error(problem, f, g)
    active = error > tolerance
    a, b = problem.a.float(), problem.b.float()
    for _ in range(ABSORPTIONS):
        if not bool(active.any()):
            break
        exponent = (f[:, :, None] + g[:, None, :]).sub_(cost).div_(target[:, None, None])
        kernel = exponent.float().exp_().mul_(a[:, :, None]).mul_(b[:, None, :])
        u, v = torch.ones_like(a), torch.ones_like(b)
        for _ in range(ABSORB_EVERY):
            v = b / (kernel * u[:, :, None]).sum(1).clamp_(min=TINY)
            u = a / (kernel * v[:, None, :]).sum(2).clamp_(min=TINY)
        used += ABSORB_EVERY
        columns = v * (kernel * u[:, :, None]).sum(1)
        moved = active[:, None]
        f = torch.where(moved & (problem.a > 0), f + target[:, None] * u.clamp(min=TINY).log(), f)
        g = torch.where(moved & (problem.b > 0), g + target[:, None] * v.clamp(min=TINY).log(), g)
        error = torch.where(active, (columns - b).abs().sum(1) / problem.mass, error)
        active = ~(error <= tolerance)
    return Solution(f, g, error, used)


def _softmin(cost: Tensor, log_weights: Tensor, potential: Tensor, epsilon: Tensor, *, dim: int) -> Tensor:
    other = 3 - dim
    exponent = (
        (potential.unsqueeze(other) - cost).div_(epsilon[:, None, None]).add_(log_weights.unsqueeze(other))
    )
    peak = exponent.amax(dim, keepdim=True)
    return -epsilon[:, None] * (exponent.sub_(peak).exp_().sum(dim).log_() + peak.squeeze(dim))
