"""The self terms of a divergence: one measure transported to itself, so that one potential serves both sides.

The averaged update u <- sqrt(u / K(a u)) of u = exp(f / eps) contracts by at least 1/2 at any eps when the
kernel is positive definite (Feydy et al. 2019, section 3.1), as it is for all our costs: no annealing, one
exponential and some twenty products. The diagonal of the cost is 0, hence a u^2 <= 1 and double precision
holds the scalings.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otkit.transport.problem import Problem, Solution, damping

__all__ = ["solve_symmetric"]

CHECK_EVERY = 4


def solve_symmetric(problem: Problem, *, iterations: int, tolerance: float | None) -> Solution:
    """The one potential of problems whose sides are the same. A problem that has reached the
    tolerance is frozen, so that it does not depend on its neighbours; one that the method does not suit (an
    indefinite cost, a kernel that underflows) is left with a large or non-finite error."""
    a, epsilon = problem.a, problem.epsilon
    kernel = torch.exp(-problem.cost / epsilon[:, None, None]) * a[:, None, :]
    damped = damping(problem.tau[0], epsilon)
    u = torch.ones_like(a)
    done = torch.zeros_like(epsilon, dtype=torch.bool)
    error = torch.full_like(epsilon, torch.inf)
    used = 0
    for step in range(iterations):
        used = step + 1
        answer = torch.bmm(kernel, u[:, :, None])[:, :, 0].pow(-damped)
        # At the fixed point u = answer; the mass of row i misses a_i by a share of |u / answer - 1| (hard)
        if used % CHECK_EVERY == 0 or used == iterations:
            miss = _miss(problem, u, answer)
            error = torch.where(done, error, miss)
            done = done | (error <= (tolerance if tolerance is not None else 1e-12))
            if tolerance is not None and bool(done.all()):
                break
        u = torch.where(done[:, None], u, (u * answer).sqrt())
    f = torch.where(a > 0, epsilon[:, None] * u.log(), 0.0)
    return Solution(f, f, error, used)


def _miss(problem: Problem, u: Tensor, answer: Tensor) -> Tensor:
    """(B,) the marginal error of both sides: row sums are a u (K a u) against a exp(-f/tau)."""
    tau = problem.tau[0]
    epsilon = problem.epsilon[:, None]
    if tau is None:
        gap = u / answer - 1.0
    else:
        target = u.pow(-epsilon / tau)
        gap = u * answer.pow(-(tau + epsilon) / tau) - target
    return 2.0 * torch.where(problem.a > 0, problem.a * gap, 0.0).abs().sum(1) / problem.mass
