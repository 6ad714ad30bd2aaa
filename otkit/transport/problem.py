"""A batch of transport problems as the solvers see it, and the few formulas that they share."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import torch
from torch import Tensor

from otkit.errors import ConfigError

__all__ = [
    "TINY",
    "Problem",
    "Solution",
    "check_shapes",
    "damping",
    "marginal_error",
    "safe_log",
    "softmin",
    "target_marginal",
    "widened",
    "working_dtype",
]

# A log weight that no cost outbids and that is finite, so that differences of two of them are 0 and not NaN.
NOTHING = -1e30
# The least mass that is told from none.
TINY = 1e-30


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """B problems inside a solver: padding cleared, in the working precision, epsilon per problem."""

    cost: Tensor
    """(B,N,M), finite, 0 at padding."""
    a: Tensor
    b: Tensor
    epsilon: Tensor
    """(B,)"""
    tau: tuple[float | None, float | None]

    @cached_property
    def mass(self) -> Tensor:
        """(B,) what marginal errors are a share of."""
        return torch.minimum(self.a.sum(1), self.b.sum(1)).clamp(min=TINY)

    @cached_property
    def largest(self) -> Tensor:
        """(B,) the largest cost of each problem."""
        return self.cost.flatten(1).amax(1)

    @cached_property
    def log_a(self) -> Tensor:
        return safe_log(self.a)

    @cached_property
    def log_b(self) -> Tensor:
        return safe_log(self.b)

    def select(self, keep: Tensor) -> Problem:
        """Some of the problems."""
        return Problem(self.cost[keep], self.a[keep], self.b[keep], self.epsilon[keep], self.tau)

    def trimmed(self, n: int, m: int) -> Problem:
        """Without the units from the n-th source and the m-th target on."""
        return Problem(self.cost[:, :n, :m], self.a[:, :n], self.b[:, :m], self.epsilon, self.tau)

    def transposed(self) -> Problem:
        """Sources and targets exchanged."""
        cost = self.cost.transpose(1, 2).contiguous()
        return Problem(cost, self.b, self.a, self.epsilon, (self.tau[1], self.tau[0]))


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """What a solver of B problems found.

    f, g        (B,N) and (B,M) potentials, in the problems' unit
    error       (B,) the marginal error, as `Plan.marginal_error`
    iterations  of the slowest problem
    """

    f: Tensor
    g: Tensor
    error: Tensor
    iterations: int

    def transposed(self) -> Solution:
        """Sources and targets exchanged."""
        return Solution(self.g, self.f, self.error, self.iterations)


def working_dtype(values: Tensor) -> torch.dtype:
    """Double for potentials where the device has it (Apple's does not)."""
    return torch.float32 if values.device.type == "mps" else torch.float64


def widened(values: Tensor) -> Tensor:
    """The values in the precision of potentials."""
    return values.to(working_dtype(values))


def safe_log(weights: Tensor) -> Tensor:
    """The log, `NOTHING` at exact zeros.

    The zeros are replaced before the log is taken, so that the gradient at padding is 0 and not NaN.
    """
    positive = weights > 0
    return torch.where(positive, torch.where(positive, weights, 1.0).log(), NOTHING)


def softmin(cost: Tensor, log_weights: Tensor, potential: Tensor, epsilon: Tensor) -> Tensor:
    """(B,N): -eps log sum_j w_j exp((p_j - C_ij) / eps), for C (B,N,M), log w and p (B,M), eps (B,)."""
    scale = epsilon[:, None, None]
    exponent = (potential[:, None, :] - cost) / scale + log_weights[:, None, :]
    return -epsilon[:, None] * torch.logsumexp(exponent, dim=2)


def damping(tau: float | None, epsilon: Tensor) -> Tensor | float:
    """(B,1): the one multiplication that a soft marginal adds after a softmin (Chizat et al. 2018, table
    1)."""
    return 1.0 if tau is None else (tau / (tau + epsilon))[:, None]


def target_marginal(weights: Tensor, potential: Tensor, tau: float | None) -> Tensor:
    """The marginal that the solution has: the weights where it is hard, w exp(-p/tau) where it is soft."""
    return weights if tau is None else weights * torch.exp(-potential / tau)


def marginal_error(problem: Problem, f: Tensor, g: Tensor) -> Tensor:
    """(B,): |P1 - a exp(-f/tau_a)|_1 + |P^T 1 - b exp(-g/tau_b)|_1 over the mass; 0 at the solution, soft
    or hard."""
    exponent = (f[:, :, None] + g[:, None, :] - problem.cost) / problem.epsilon[:, None, None]
    plan = torch.exp(exponent + problem.log_a[:, :, None] + problem.log_b[:, None, :])
    total = torch.zeros_like(problem.epsilon)
    for weights, potential, reached, tau in (
        (problem.a, f, plan.sum(2), problem.tau[0]),
        (problem.b, g, plan.sum(1), problem.tau[1]),
    ):
        if tau != 0.0:
            total = total + (reached - target_marginal(weights, potential, tau)).abs().sum(1)
    return total / problem.mass


def check_shapes(cost: Tensor, a: Tensor, b: Tensor) -> None:
    """Refuse a cost and weights that do not belong together."""
    if cost.ndim != 3 or a.shape != cost.shape[:2] or b.shape != (cost.shape[0], cost.shape[2]):
        raise ConfigError(
            f"a cost of shape {tuple(cost.shape)} with weights {tuple(a.shape)} and {tuple(b.shape)}",
            remedy="give cost (B,N,M), a (B,N) and b (B,M)",
        )
