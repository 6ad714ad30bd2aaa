"""What a solver returns: the potentials of each problem, and everything that follows from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from otkit.transport.config import SinkhornConfig

__all__ = ["FixedPlan", "Plan", "shares", "with_known_gradients"]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """The solution of B entropic transport problems, held as potentials relative to the product of the
    marginals.

        P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps)

    Potentials are in double precision where the device has it (but for those of the GPU's kernel): at eps = 0.0025 and
    costs near 100 an fp32 potential alone would shift the plan by 0.3%. Gradients: in `envelope` mode `value` is
    differentiable through the cost, the weights and eps by the envelope theorem, while `matrix` is a constant (so that
    `linear_value` has the plan as its gradient: the plan held fixed, as in distillation); in `unroll` mode
    everything is differentiable through the iterations.
    """

    cost: Tensor
    """(B,N,M), as given, in fp32 or float64."""
    a: Tensor
    """(B,N) weights of the sources, exactly 0 at padding."""
    b: Tensor
    """(B,M) weights of the targets, exactly 0 at padding."""
    source_potential: Tensor
    """f, (B,N), in units of the cost; 0 at padding."""
    target_potential: Tensor
    """g, (B,M), in units of the cost; 0 at padding."""
    epsilon: Tensor
    """(B,), in units of the cost."""
    iterations: int
    """Iterations that the slowest problem of the batch took; the config's `max_iterations` where nothing is read back
    from the device."""
    marginal_error: Tensor
    """(B,), the total absolute deviation of both marginals from those of the solution, as a share of the
    mass."""
    config: SinkhornConfig
    """What it was solved with: what was asked for, but where a device is not read back, which takes iterations of its
    own number and, beside the kernel's, no tolerance. Each problem's own temperature is `epsilon`."""
    known: tuple[Tensor, Tensor] | None = None
    """(B,N,M) masses and (B,) values, where the solver has them already."""
    unit: Tensor | None = None
    """(B,) what the config's tau is in units of; None: the cost."""
    goal: float | None = None
    """The tolerance that was asked for."""

    @cached_property
    def matrix(self) -> Tensor:
        """(B,N,M) masses, exactly 0 at padding."""
        if self.known is not None:
            return self.known[0]
        if self.config.gradient == "envelope":
            with torch.no_grad():
                return self._masses()
        return self._masses()

    def _masses(self) -> Tensor:
        real = (self.a > 0)[:, :, None] & (self.b > 0)[:, None, :]
        f, g, epsilon = (
            self.source_potential,
            self.target_potential,
            self.epsilon.to(self.source_potential.dtype),
        )
        # The differences are taken in the precision of the potentials, the exponential in that of the cost.
        reduced = (f[:, :, None] + g[:, None, :] - self.cost) / epsilon[:, None, None]
        exponent = torch.where(real, reduced.to(self.cost.dtype), 0.0)
        # At padding the exponential is 1 and the weights are exactly 0.
        return exponent.exp() * self.a[:, :, None] * self.b[:, None, :]

    @cached_property
    def value(self) -> Tensor:
        """(B,) OT_eps: <P,C> + eps KL(P | a x b) + tau KL(P1 | a) + tau KL(P^T 1 | b), KL corrected for mass.

        Read from the dual, whose error is of second order in that of the potentials.
        """
        if self.config.gradient == "unroll":
            return self._dual(self.a, self.b, self.matrix.sum((1, 2)))
        if self.known is not None:
            value = self.known[1]
        else:
            with torch.no_grad():
                value = self._dual(self.a, self.b, self.matrix.sum((1, 2)))
        if not (
            torch.is_grad_enabled()
            and any(
                t.requires_grad for t in (self.cost, self.a, self.b, self.epsilon, self.unit) if t is not None
            )
        ):
            return value
        return _envelope(self, value)

    def _dual(self, a: Tensor, b: Tensor, mass: Tensor) -> Tensor:
        f, g = self.source_potential, self.target_potential
        wide = f.dtype
        tau_a, tau_b = self.config.penalties
        reached = (a.to(wide) * self._earned(f, tau_a)).sum(1) + (b.to(wide) * self._earned(g, tau_b)).sum(1)
        excess = mass.to(wide) - a.to(wide).sum(1) * b.to(wide).sum(1)
        return (reached - self.epsilon.to(wide) * excess).to(self.cost.dtype)

    def _earned(self, potential: Tensor, tau: float | None) -> Tensor:
        """What a unit of weight earns in the dual, in units of the cost."""
        if self.unit is None:
            return marginal_utility(potential, tau)
        unit = self.unit.to(potential.dtype)[:, None]
        return unit * marginal_utility(potential / unit, tau)

    @cached_property
    def linear_value(self) -> Tensor:
        """(B,) <P, C>."""
        real = (self.a > 0)[:, :, None] & (self.b > 0)[:, None, :]
        return (self.matrix * torch.where(real, self.cost, 0.0)).sum((1, 2))

    @cached_property
    def converged(self) -> Tensor:
        """(B,) bool: the marginal error is within the tolerance asked for (within 1e-3 where none was)."""
        return self.marginal_error <= (1e-3 if self.goal is None else self.goal)


def marginal_utility(potential: Tensor, tau: float | None) -> Tensor:
    """What a unit of weight earns in the dual: f where the marginal is hard, tau (1 - exp(-f/tau)) where it
    is soft."""
    if tau is None:
        return potential
    if tau == 0.0:
        return torch.zeros_like(potential)
    return -tau * torch.expm1(-potential / tau)


def shares(scores: Tensor, mask: Tensor) -> Tensor:
    """(B,N,M) in [0,1]: the geometric mean of a cell's share of its row and of its column; scores at least 0.

    Under the aligner's default it is close to the probability that a link is right: on the 12 gold sets of
    `benchmarks/word_alignment.py`, of the cells with shares 0.2-0.25, 0.45-0.5, 0.7-0.75 and 0.9-0.95 the
    links of 24, 49, 82 and 95 percent are in the gold.
    """
    scores = torch.where(mask, scores, 0.0)
    total = scores.sum(2, keepdim=True) * scores.sum(1, keepdim=True)
    return (scores * torch.where(total > 0, total, 1.0).rsqrt()).clamp(max=1.0)


def _envelope(plan: Plan, value: Tensor) -> Tensor:
    """`value` with the gradient of the dual at fixed potentials, which is that of OT_eps at the optimum
    (Danskin)."""
    with torch.no_grad():
        matrix = plan.matrix
        f, g = plan.source_potential, plan.target_potential
        wide = f.dtype
        gradients = []
        for given, opposite, potential, side, tau in (
            (plan.a, plan.b, f, 2, plan.config.penalties[0]),
            (plan.b, plan.a, g, 1, plan.config.penalties[1]),
        ):
            if given.requires_grad:
                own, other, epsilon = given.to(wide), opposite.to(wide), plan.epsilon.to(wide)[:, None]
                density = matrix.sum(side).to(wide) / torch.where(own > 0, own, 1.0)
                gradient = plan._earned(potential, tau) - epsilon * (density - other.sum(1, keepdim=True))
                gradients.append(torch.where(own > 0, gradient, 0.0).to(plan.cost.dtype))
            else:
                gradients.append(given)  # never asked for
        by_epsilon = plan.epsilon
        if plan.epsilon.requires_grad:
            # d/d eps of -eps (sum P - sum a sum b), with dP/d eps = -P (f + g - C) / eps^2
            gap = (f * matrix.sum(2)).sum(1) + (g * matrix.sum(1)).sum(1) - plan.linear_value.detach()
            excess = matrix.sum((1, 2)) - plan.a.to(wide).sum(1) * plan.b.to(wide).sum(1)
            by_epsilon = (gap / plan.epsilon.to(wide) - excess).to(plan.cost.dtype)
        owners = [plan.cost, plan.a, plan.b, plan.epsilon]
        gradients = [matrix, *gradients, by_epsilon]
        if plan.unit is not None:
            unit = plan.unit.to(wide)[:, None]
            gradient = torch.zeros_like(unit[:, 0])
            for given, potential, tau in zip((plan.a, plan.b), (f, g), plan.config.penalties, strict=True):
                if tau:  # d/du of u tau (1 - exp(-f / (u tau))): tau times the KL divergence of this marginal
                    kept = (-potential / (unit * tau)).exp()
                    earned = marginal_utility(potential / unit, tau) - potential / unit * kept
                    gradient = gradient + (given.to(wide) * earned).sum(1)
            owners.append(plan.unit)
            gradients.append(gradient.to(plan.cost.dtype))
    return with_known_gradients(value, owners, gradients)


@dataclasses.dataclass(frozen=True, eq=False)
class FixedPlan:
    """A batch of plans that are known as matrices only: exact, partial, with null. They carry no gradient,
    but the `linear_value` of a cost that needs one has the plan as its gradient."""

    cost: Tensor
    """(B,N,M), as given, in fp32 or float64."""
    a: Tensor
    b: Tensor
    matrix: Tensor
    """(B,N,M) masses, exactly 0 at padding."""
    marginal_error: Tensor
    """(B,), the total violation of the constraints, as a share of the mass; 0 for exact solvers."""
    iterations: int

    @cached_property
    def linear_value(self) -> Tensor:
        """(B,) <P, C>."""
        real = (self.a > 0)[:, :, None] & (self.b > 0)[:, None, :]
        return (self.matrix * torch.where(real, self.cost, 0.0)).sum((1, 2))


def with_known_gradients(value: Tensor, owners: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """`value` (B,) with its derivatives by the owners (B,...), one gradient of the owner's shape each.

    A value depends on its own row of every owner alone. Nothing but the gradients is kept for the backward pass.
    """
    result: Tensor = _KnownGradients.apply(value, len(owners), *owners, *gradients)  # type: ignore[no-untyped-call]
    return result


class _KnownGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, count: int, *rest: Tensor) -> Tensor:
        ctx.save_for_backward(*rest[count:])
        return value.view_as(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = outer
        gradients = ctx.saved_tensors
        asked = ctx.needs_input_grad[2 : 2 + len(gradients)]
        by_owner = [
            gradient * grad.reshape(-1, *[1] * (gradient.ndim - 1)) if needed else None
            for gradient, needed in zip(gradients, asked, strict=True)
        ]
        return None, None, *by_owner, *[None] * len(gradients)
