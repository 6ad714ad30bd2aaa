"""Sinkhorn's iterations in the log domain: slow, differentiable and exact at any epsilon.

The loop behind `unroll` gradients, and what the faster solver falls back to.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

__all__ = ["Problem", "damping", "marginal_error", "safe_log", "softmin", "solve_log_domain", "working_dtype"]

# A log weight that no cost outbids and that is finite, so that differences of two of them are 0 and not NaN.
NOTHING = -1e30


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """B problems inside the solver: padding cleared, weights also as logs, epsilon per problem."""

    cost: Tensor
    """(B,N,M), finite, 0 at padding."""
    a: Tensor
    b: Tensor
    log_a: Tensor
    log_b: Tensor
    epsilon: Tensor
    """(B,)"""
    tau: tuple[float | None, float | None]
    symmetric: bool = False
    """The two sides are one measure and the cost is symmetric: one potential serves both."""


def working_dtype(values: Tensor) -> torch.dtype:
    """Double for potentials where the device has it (Apple's does not)."""
    return torch.float32 if values.device.type == "mps" else torch.float64


def safe_log(weights: Tensor) -> Tensor:
    """The log, `NOTHING` at exact zeros; the zeros are replaced first, so that the gradient at padding is
    0, not NaN."""
    positive = weights > 0
    return torch.where(positive, torch.where(positive, weights, 1.0).log(), NOTHING)


def softmin(cost: Tensor, log_weights: Tensor, potential: Tensor, epsilon: Tensor) -> Tensor:
    """(B,N): -eps log sum_j w_j exp((p_j - C_ij) / eps), for C (B,N,M), log w and p (B,M), eps (B,)."""
    scale = epsilon[:, None, None]
    return -epsilon[:, None] * torch.logsumexp(
        (potential[:, None, :] - cost) / scale + log_weights[:, None, :], dim=2
    )


def damping(tau: float | None, epsilon: Tensor) -> Tensor:
    """(B,): the one multiplication that a soft marginal adds after a softmin (Chizat et al. 2018, table
    1)."""
    return torch.ones_like(epsilon) if tau is None else tau / (tau + epsilon)


def marginal_error(problem: Problem, f: Tensor, g: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(B,): |P1 - a exp(-f/tau_a)|_1 + |P^T 1 - b exp(-g/tau_b)|_1 over the mass (0 at the solution, soft
    or hard)."""
    total = torch.zeros_like(rows[:, 0])
    for weights, potential, reached, tau in (
        (problem.a, f, rows, problem.tau[0]),
        (problem.b, g, columns, problem.tau[1]),
    ):
        if tau == 0.0:
            continue
        wanted = weights if tau is None else weights * torch.exp(-potential / tau)
        total = total + (reached - wanted).abs().sum(1)
    return total / torch.minimum(problem.a.sum(1), problem.b.sum(1)).clamp(min=1e-30)


def translate(problem: Problem, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """The best constant to add to f and take from g: closed form, and what makes large tau converge
    (Sejourne, Vialard, Peyre 2022, "Faster unbalanced optimal transport", prop. 2)."""
    tau_a, tau_b = problem.tau
    if (tau_a is None and tau_b is None) or tau_a == 0.0 or tau_b == 0.0:
        return f, g
    log_mass_a = torch.logsumexp(problem.log_a - (f / tau_a if tau_a is not None else 0.0), dim=1)
    log_mass_b = torch.logsumexp(problem.log_b - (g / tau_b if tau_b is not None else 0.0), dim=1)
    rate = 1.0 / ((1.0 / tau_a if tau_a is not None else 0.0) + (1.0 / tau_b if tau_b is not None else 0.0))
    shift = (rate * (log_mass_a - log_mass_b))[:, None]
    return f + shift, g - shift


def sums(problem: Problem, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column sums of the plan of two potentials."""
    exponent = (f[:, :, None] + g[:, None, :] - problem.cost) / problem.epsilon[:, None, None]
    plan = torch.exp(exponent + problem.log_a[:, :, None] + problem.log_b[:, None, :])
    return plan.sum(2), plan.sum(1)


def solve_log_domain(
    problem: Problem, *, iterations: int, tolerance: float | None, check_every: int = 10
) -> tuple[Tensor, Tensor, int]:
    """Potentials (B,N), (B,M) after annealing epsilon down from each problem's own range, halved at each
    iteration.

    With a tolerance each problem is frozen when it reaches it, so that its answer does not depend on its
    neighbours.
    """
    cost, epsilon = problem.cost, problem.epsilon
    transposed = cost.transpose(1, 2)
    start = cost.flatten(1).amax(1)
    f, g = torch.zeros_like(problem.a), torch.zeros_like(problem.b)
    active = torch.ones_like(epsilon, dtype=torch.bool)
    done = 0
    for step in range(iterations):
        warm = torch.maximum(epsilon, start * 0.5**step)
        if problem.symmetric:
            new_f = 0.5 * (f + damping(problem.tau[0], warm)[:, None] * softmin(cost, problem.log_b, g, warm))
            new_g = new_f
        else:
            new_g = damping(problem.tau[1], warm)[:, None] * softmin(transposed, problem.log_a, f, warm)
            new_f = damping(problem.tau[0], warm)[:, None] * softmin(cost, problem.log_b, new_g, warm)
            new_f, new_g = translate(problem, new_f, new_g)
        keep = active[:, None]
        f, g = torch.where(keep, new_f, f), torch.where(keep, new_g, g)
        done = step + 1
        if tolerance is not None and done % check_every == 0:
            settled = epsilon >= warm
            error = marginal_error(problem, f, g, *sums(problem, f, g))
            active = active & ~(settled & (error <= tolerance))
            if not bool(active.any()):
                break
    if not problem.symmetric:
        f, g = _finish(problem, f, g)
    return f, g, done


def _finish(problem: Problem, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """One half-step more, so that a hard side is met exactly (the source where both are hard)."""
    if problem.tau[1] is None and problem.tau[0] is not None:
        return f, softmin(problem.cost.transpose(1, 2), problem.log_a, f, problem.epsilon)
    return damping(problem.tau[0], problem.epsilon)[:, None] * softmin(
        problem.cost, problem.log_b, g, problem.epsilon
    ), g
