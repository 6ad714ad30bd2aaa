"""A transport problem between the words of each pair, and the seven ways to solve it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from otkit.extraction.config import AlignerConfig
from otkit.extraction.costs import equidistant_cost, layered_cost, mean_cost, neighbour_support
from otkit.extraction.strategies import shares
from otkit.transport.scaling import capped_plan, soft_plan
from otkit.transport.sinkhorn import SinkhornConfig, sinkhorn

__all__ = ["PLANS", "Problem", "similarity", "solve"]

# Relative error of a plan at which its links no longer change.
_ERROR = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """B pairs of N source and M target units.

    cost (B,N,M)         what a link costs, word order included
    a (B,N), b (B,M)     weights, exactly 0 at padding
    unit (B,)            the mean cost before word order was added
    source, target       (B,N,K,D) and (B,M,K,D) vectors, 0 at padding
    """

    cost: Tensor
    a: Tensor
    b: Tensor
    unit: Tensor
    source: Tensor
    target: Tensor

    @property
    def mask(self) -> Tensor:
        """(B,N,M) the real cells."""
        return (self.a > 0)[:, :, None] & (self.b > 0)[:, None, :]

    def with_cost(self, cost: Tensor) -> Problem:
        """The same pairs under another cost."""
        return dataclasses.replace(self, cost=cost)

    def transposed(self) -> Problem:
        """Target to source."""
        return Problem(self.cost.transpose(1, 2), self.b, self.a, self.unit, self.target, self.source)


def temperature(problem: Problem, config: AlignerConfig) -> tuple[Tensor, Tensor]:
    """(B,) epsilon and (B,) tau in units of the cost."""
    if config.epsilon is None:
        return config.epsilon_relative * problem.unit, config.tau * problem.unit
    ones = torch.ones_like(problem.unit)
    return config.epsilon * ones, config.tau * ones


def null_cost(problem: Problem, config: AlignerConfig) -> Tensor:
    """(B,) the cost of having no partner, for the source side."""
    rule = config.null_cost
    if isinstance(rule, float):
        return torch.full_like(problem.unit, rule)
    mean, median = mean_cost(problem.cost, problem.mask), _median(problem.cost, problem.mask)
    if rule == "mean":
        return mean
    if rule == "median":
        return median
    equidistant = equidistant_cost(problem.source, problem.a > 0)
    return equidistant if rule == "equidistant" else torch.maximum(equidistant, median)


def _median(cost: Tensor, mask: Tensor) -> Tensor:
    """(B,) the median over real cells, the mean of the middle two where their number is even."""
    ordered = torch.where(mask, cost, torch.inf).flatten(1).sort(1).values
    count = mask.sum((1, 2))[:, None]
    middle = torch.cat([(count - 1).clamp(min=0) // 2, count // 2], dim=1).clamp(max=ordered.shape[1] - 1)
    return ordered.gather(1, middle).mean(1).nan_to_num(posinf=0.0)


def _with_null(problem: Problem, config: AlignerConfig) -> Problem:
    """A null word on both sides that can take all mass; two null words meet at no cost."""
    ahead = null_cost(problem, config)[:, None, None].expand(-1, problem.cost.shape[1], 1)
    back = null_cost(problem.transposed(), config)[:, None, None].expand(-1, 1, problem.cost.shape[2])
    below = torch.cat([back, torch.zeros_like(ahead[:, :1])], dim=2)
    cost = torch.cat([torch.cat([problem.cost, ahead], dim=2), below], dim=1)
    one = torch.ones_like(problem.unit)[:, None]
    return dataclasses.replace(
        problem, cost=cost, a=torch.cat([problem.a, one], 1), b=torch.cat([problem.b, one], 1)
    )


def _unbalanced(problem: Problem, config: AlignerConfig) -> Tensor:
    epsilon, tau = temperature(problem, config)
    ratio = config.tau / (config.tau + (config.epsilon or config.epsilon_relative))
    needed = math.ceil(math.log(_ERROR) / (2 * math.log(ratio)))
    return soft_plan(
        problem.cost,
        problem.a,
        problem.b,
        epsilon=epsilon,
        tau=(tau, tau),
        iterations=min(max(needed, 3), 500),
    )


def _balanced(problem: Problem, config: AlignerConfig) -> Tensor:
    epsilon, _ = temperature(problem, config)
    settings = SinkhornConfig(tolerance=_ERROR, max_iterations=500)
    return sinkhorn(problem.cost, problem.a, problem.b, config=settings, epsilon=epsilon).matrix


def _partial(problem: Problem, config: AlignerConfig) -> Tensor:
    epsilon, _ = temperature(problem, config)
    mass = config.mass * torch.minimum(problem.a.sum(1), problem.b.sum(1))
    return capped_plan(
        problem.cost, problem.a, problem.b, epsilon=epsilon, hard_source=False, mass=mass, iterations=100
    )


def _semi(problem: Problem, config: AlignerConfig) -> Tensor:
    """Both one-sided plans with their null column, as a geometric mean of row and column shares; nothing
    where the null word takes more than the cell in either of them."""
    ahead = _one_sided(problem, config)
    back = _one_sided(problem.transposed(), config).transpose(1, 2)
    return (ahead * back).sqrt()


def _one_sided(problem: Problem, config: AlignerConfig) -> Tensor:
    """(B,N,M): the source all moves; targets take up to their weight, the null word anything (Huang et al.
    2024, section 3)."""
    if config.null_cost is None:
        config = dataclasses.replace(config, null="adaptive")
    epsilon, _ = temperature(problem, config)
    null = null_cost(problem, config)[:, None, None].expand(-1, problem.cost.shape[1], 1)
    one = torch.ones_like(problem.unit)[:, None]
    plan = capped_plan(
        torch.cat([problem.cost, null], 2),
        problem.a,
        torch.cat([problem.b, one], 1),
        epsilon=epsilon,
        hard_source=True,
        iterations=50,
    )
    return torch.where(plan[:, :, :-1] >= plan[:, :, -1:], plan[:, :, :-1], 0.0)


def _exact(problem: Problem, config: AlignerConfig) -> Tensor:
    from otkit.transport.exact import exact

    return exact(problem.cost, problem.a, problem.b).matrix


def _fgw(problem: Problem, config: AlignerConfig) -> Tensor:
    from otkit.transport.exact import fused_gromov_wasserstein

    cost = "sqeuclidean" if config.cost == "dot" else config.cost
    within = [layered_cost(side, side, cost=cost) for side in (problem.source, problem.target)]
    return fused_gromov_wasserstein(
        problem.cost, within[0], within[1], problem.a, problem.b, structure=config.structure
    ).matrix


PLANS: Mapping[str, Callable[[Problem, AlignerConfig], Tensor]] = {
    "unbalanced": _unbalanced,
    "balanced": _balanced,
    "semi": _semi,
    "partial": _partial,
    "exact": _exact,
    "fgw": _fgw,
}


def solve(problem: Problem, config: AlignerConfig) -> Tensor:
    """(B,N,M) plan, 0 at padding: solved once, then `rounds` times more with the cost lowered where the
    neighbours of a cell are linked in the same order."""
    plan = _solve_once(problem, config)
    if config.agreement == 0:
        return plan
    bonus = config.agreement * problem.unit[:, None, None]
    for _ in range(config.rounds):
        support = neighbour_support(shares(plan, problem.mask))
        plan = _solve_once(problem.with_cost(problem.cost - bonus * support), config)
    return plan


def _solve_once(problem: Problem, config: AlignerConfig) -> Tensor:
    method = PLANS[config.transport]
    if config.null_cost is None or config.transport == "semi":
        return method(problem, config)
    return method(_with_null(problem, config), config)[:, :-1, :-1]


def similarity(problem: Problem, config: AlignerConfig) -> Tensor:
    """(B,N,M) scores without transport: SimAlign's (1 + cos)/2 for the cosine cost, the dot product for dot,
    1/(1 + cost) for distances."""
    if config.cost == "dot":
        return -problem.cost
    if config.cost == "cosine":
        return 1 - problem.cost / 2
    return 1 / (1 + problem.cost.clamp(min=0))
