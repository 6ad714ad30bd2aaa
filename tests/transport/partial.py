"""The reference for plans that leave mass behind: slow, in the log domain, in double precision.

    min <P, C> + eps KL(P | Q)   with   P1 <= a (or = a),   P^T 1 <= b,   1^T P 1 = m (where a mass is asked
    for)

The reference Q is the product of the weights, as everywhere in otkit, or the counting measure (all ones),
which is the entropy of Benamou et al. 2015 (section 5), POT's `entropic_partial_wasserstein` and OTTAWA. It
makes a difference wherever weights differ: a unit of small weight is also less likely under the product.

The dual is maximised block by block, which is what their Dykstra iterations amount to: in P = Q exp((f + g
+ s - C) / eps) a capacity is min(0, .) after the usual softmin, an equality is the softmin itself, and s is
the shift that gives the mass. In the log domain and annealed, in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import at_least_fp32
from otkit.transport.problem import Problem, softmin, working_dtype
from otkit.transport.sinkhorn import problem_units, temperatures

Reference = Literal["product", "counting"]
CHECK_EVERY = 10


@dataclass(frozen=True, eq=False)
class LeavingPlan:
    """A plan (B,N,M), and by how much it misses its constraints, as a share of the mass (B,)."""

    cost: Tensor
    a: Tensor
    b: Tensor
    matrix: Tensor
    marginal_error: Tensor
    iterations: int

    @property
    def linear_value(self) -> Tensor:
        """(B,) <P, C>."""
        return torch.where(self.matrix > 0, self.matrix * self.cost, 0.0).sum((1, 2))


def partial(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    mass: float,
    config: SinkhornConfig,
    reference: Reference = "product",
) -> LeavingPlan:
    """Move a share `mass` of the smaller total, where it is cheapest: cost (B,N,M), a (B,N), b (B,M).

    `config` gives epsilon, tolerance and `max_iterations`; its tau has no meaning here. No gradients
    through the plan.
    """
    return _solve(cost, a, b, config=config, reference=reference, mass=mass, hard_source=False)


def capacitated(
    cost: Tensor, a: Tensor, b: Tensor, *, config: SinkhornConfig, reference: Reference = "product"
) -> LeavingPlan:
    """Every source moves all its mass and no target takes more than its weight: P1 = a, P^T 1 <= b.

    Feasible where b has at least the mass of a, for instance because one column is a null (see `null`).
    """
    return _solve(cost, a, b, config=config, reference=reference, mass=None, hard_source=True)


def _solve(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    config: SinkhornConfig,
    reference: Reference,
    mass: float | None,
    hard_source: bool,
) -> LeavingPlan:
    with torch.no_grad(), torch.autocast(device_type=cost.device.type, enabled=False):
        outer = at_least_fp32(cost)
        a, b = a.to(outer.dtype), b.to(outer.dtype)
        real = (a > 0)[:, :, None] & (b > 0)[:, None, :]
        wide = working_dtype(outer)
        unit = problem_units(outer, a, b) if config.relative else None
        epsilon = temperatures(outer, unit, config=config)
        problem = Problem(
            torch.where(real, outer, 0.0).to(wide),
            a.to(wide),
            b.to(wide),
            epsilon.to(wide),
            (None, None),
        )
        plan, error, used = _iterate(problem, real, config, reference == "counting", mass, hard_source)
    return LeavingPlan(outer, a, b, plan.to(outer.dtype), error.to(outer.dtype), used)


def _iterate(
    problem: Problem,
    real: Tensor,
    config: SinkhornConfig,
    counting: bool,
    mass: float | None,
    hard_source: bool,
) -> tuple[Tensor, Tensor, int]:
    cost, log_a, log_b = problem.cost, problem.log_a, problem.log_b
    moved = problem.mass if mass is None else mass * problem.mass
    f, g = torch.zeros_like(problem.a), torch.zeros_like(problem.b)
    shift = torch.zeros_like(moved)
    active = torch.ones_like(moved, dtype=torch.bool)
    plan, error, used = torch.zeros_like(cost), torch.full_like(moved, torch.inf), 0
    for step in range(config.max_iterations):
        used = step + 1
        epsilon = torch.maximum(problem.epsilon, problem.largest * 0.5**used)
        if used == config.max_iterations:
            epsilon = problem.epsilon
        # Under the counting measure the potentials absorb the weights: a unit's potential starts at eps log
        # w.
        own = [epsilon[:, None] * log for log in (log_a, log_b)] if counting else [0.0 * f, 0.0 * g]
        effective = cost + torch.where(real, own[0][:, :, None] + own[1][:, None, :], 0.0)
        new_f = softmin(effective, log_b, g, epsilon)
        new_f = new_f if hard_source else (new_f - shift[:, None]).clamp(max=0.0)
        new_g = softmin(effective.transpose(1, 2), log_a, new_f, epsilon)
        new_g = (new_g - shift[:, None]).clamp(max=0.0)
        new_shift = shift
        if mass is not None:
            rest = softmin(effective, log_b, new_g, epsilon)
            log_mass = torch.logsumexp(log_a + (new_f - rest) / epsilon[:, None], dim=1)
            new_shift = epsilon * (moved.log() - log_mass)
        else:
            new_f = softmin(effective, log_b, new_g, epsilon)
        f, g = torch.where(active[:, None], new_f, f), torch.where(active[:, None], new_g, g)
        shift = torch.where(active, new_shift, shift)
        if used % CHECK_EVERY and used != config.max_iterations:
            continue
        exponent = (f[:, :, None] + g[:, None, :] + shift[:, None, None] - effective) / epsilon[:, None, None]
        current = torch.exp(exponent + log_a[:, :, None] + log_b[:, None, :])
        missed = _violation(problem.a, current.sum(2), f, hard_source) + _violation(
            problem.b, current.sum(1), g, False
        )
        plan = torch.where(active[:, None, None] & real, current, plan)
        error = torch.where(active, missed / moved, error)
        if config.tolerance is not None:
            active = active & ~((error <= config.tolerance) & (epsilon <= problem.epsilon))
            if not bool(active.any()):
                break
    some = real.flatten(1).any(1)
    return torch.where(some[:, None, None], plan, 0.0), torch.where(some, error, 0.0), used


def _violation(weights: Tensor, reached: Tensor, potential: Tensor, hard: bool) -> Tensor:
    """(B,) how far marginals are from where they must be: at the weight where hard or where the potential
    says that the capacity is used up, at most there elsewhere."""
    gap = reached - weights
    full = torch.ones_like(potential, dtype=torch.bool) if hard else potential < 0
    return torch.where(full, gap.abs(), gap.clamp(min=0.0)).sum(1)


@dataclass(frozen=True, eq=False)
class NullPlan:
    """A plan over the targets, and the mass (B,N) that each source sent to the null."""

    plan: LeavingPlan
    null: Tensor

    @property
    def matrix(self) -> Tensor:
        return self.plan.matrix


def one_sided(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    *,
    null_cost: Tensor | float,
    null_weight: float = 1.0,
    config: SinkhornConfig,
    reference: Reference = "counting",
) -> NullPlan:
    """P1 + null = a, P^T 1 <= b, 1^T null <= null_weight: cost (B,N,M), null_cost (B,) or one number.

    With weights that sum to 1 and a null weight of 1 the null can absorb everything. OTTAWA: the counting
    reference, eps 0.05 on costs scaled to [0, 1] together with the null's. For the other direction
    transpose the cost.
    """
    cost = at_least_fp32(cost)
    nothing = torch.as_tensor(null_cost, dtype=cost.dtype, device=cost.device).expand(len(cost))
    column = nothing[:, None, None].expand(-1, cost.shape[1], 1)
    capacity = torch.full_like(cost[:, 0, :1], null_weight)
    wider = torch.cat([b.to(cost.dtype), capacity], dim=1)  # (B,M+1)
    plan = capacitated(torch.cat([cost, column], dim=2), a, wider, config=config, reference=reference)
    inner = LeavingPlan(
        cost, plan.a, b.to(cost.dtype), plan.matrix[:, :, :-1], plan.marginal_error, plan.iterations
    )
    return NullPlan(inner, plan.matrix[:, :, -1])
