"""The transport problem between the units of each pair, and the ways to solve it.

Training reads the same plans as the aligner: it gives `problem_of` and `solve` its own weights and solver.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from otkit.alignment.settings import AlignmentSettings
from otkit.encoders.pooling import Encoded, centred
from otkit.transport.approximate import capped_plan, soft_plan
from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import mean_cost, pairwise_cost
from otkit.transport.exact import exact, fused_gromov
from otkit.transport.marginals import MARGINALS
from otkit.transport.null import null_cost
from otkit.transport.order import distortion_cost, neighbour_support
from otkit.transport.plan import shares
from otkit.transport.sinkhorn import sinkhorn

__all__ = [
    "PLANS",
    "Problem",
    "Solver",
    "ordered",
    "problem_of",
    "similarity",
    "solve",
    "solver_of",
    "temperature",
]

# Relative error of a plan at which its links no longer change.
_ERROR = 1e-3
_CAPPED_ITERATIONS = 100


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """B pairs of N source and M target units.

    cost (B,N,M)         what a link costs: by meaning alone, until `solve` adds word order
    ground_cost (B,N,M)  what it costs by meaning alone, 0 at padding
    a (B,N), b (B,M)     weights, exactly 0 at padding
    unit (B,)            the mean of the ground cost
    source, target       (B,N,D) and (B,M,D) vectors, 0 at padding
    order_price (B,N,M)  what of the cost is for leading away from the links around; None before word order
    telling (B,N,M)      the cells between words, whose links tell of their neighbours; None where marks are not known
    """

    cost: Tensor
    ground_cost: Tensor
    a: Tensor
    b: Tensor
    unit: Tensor
    source: Tensor
    target: Tensor
    order_price: Tensor | None = None
    telling: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """(B,N,M) the real cells."""
        return (self.a > 0)[:, :, None] & (self.b > 0)[:, None, :]

    def transposed(self) -> Problem:
        """Target to source."""
        costs = self.cost.transpose(1, 2), self.ground_cost.transpose(1, 2)
        return Problem(*costs, self.b, self.a, self.unit, self.target, self.source)


Solver = Callable[[Problem], Tensor]
"""Problems to their plans (B,N,M), 0 at padding."""


def problem_of(
    source: Encoded,
    target: Encoded,
    config: AlignmentSettings,
    weights: tuple[Tensor, Tensor] | None = None,
    letters: tuple[Tensor, Tensor] | None = None,
) -> Problem:
    """The problems of B pairs, differentiable in their vectors.

    Centre the vectors, take the ground cost. The `weights` (B,N) and (B,M), exactly 0 at padding, are those of the
    settings where none are given; `letters` (B,N) and (B,M) are those of the units' words, 0 for punctuation.
    """
    x, y, rows, columns = source.vectors, target.vectors, source.mask, target.mask
    if config.center == "sentence":
        x, y = centred(x, y, rows, columns)
    mask = rows[:, :, None] & columns[:, None, :]
    ground = torch.where(mask, _ground_cost(x, y, cost=config.cost), 0.0)
    unit = mean_cost(ground, mask) if config.cost != "dot" else torch.ones_like(ground[:, 0, 0])
    a, b = weights or (_weights(x, rows, config), _weights(y, columns, config))
    telling = None if letters is None else (letters[0] > 0)[:, :, None] & (letters[1] > 0)[:, None, :]
    return Problem(ground, ground, a, b, unit, x, y, telling=telling)


def _ground_cost(x: Tensor, y: Tensor, *, cost: str) -> Tensor:
    """(B,N,M) the named cost between x (B,N,D) and y (B,M,D); minus the dot product is one of transport none alone."""
    if cost == "dot":
        with torch.autocast(device_type=x.device.type, enabled=False):
            return -torch.bmm(x.float(), y.float().transpose(1, 2))
    return pairwise_cost(x, y, cost=cost)


def _weights(x: Tensor, mask: Tensor, config: AlignmentSettings) -> Tensor:
    return MARGINALS[config.weights](mask, x if config.weights == "norm" else None)


def temperature(problem: Problem, config: AlignmentSettings) -> tuple[Tensor, Tensor]:
    """(B,) epsilon and (B,) tau in units of the cost."""
    unit = problem.unit if config.unit == "mean-cost" else torch.ones_like(problem.unit)
    return config.epsilon * unit, config.tau * unit


def null_prices(problem: Problem, config: AlignmentSettings, default: str | None = None) -> Tensor:
    """(B,) the cost of having no partner, for the source side."""
    rule = default if config.null is None else config.null
    if rule is None or isinstance(rule, float):
        return torch.full_like(problem.unit, rule or 0.0)
    # The rules are made for (1 - cos)/2, ours is 1 - cos.
    vectors = torch.nn.functional.normalize(problem.source, dim=-1)
    return 2 * null_cost(problem.cost / 2, problem.a, problem.b, name=rule, vectors=vectors)


def _with_null(problem: Problem, config: AlignmentSettings) -> Problem:
    """A null word on both sides that can take all mass; two null words meet at no cost."""
    ahead = null_prices(problem, config)[:, None, None].expand(-1, problem.cost.shape[1], 1)
    back = null_prices(problem.transposed(), config)[:, None, None].expand(-1, 1, problem.cost.shape[2])
    below = torch.cat([back, torch.zeros_like(ahead[:, :1])], dim=2)
    cost = torch.cat([torch.cat([problem.cost, ahead], dim=2), below], dim=1)
    one = torch.ones_like(problem.unit)[:, None]
    return dataclasses.replace(
        problem, cost=cost, a=torch.cat([problem.a, one], 1), b=torch.cat([problem.b, one], 1)
    )


def _unbalanced(problem: Problem, config: AlignmentSettings) -> Tensor:
    epsilon, tau = temperature(problem, config)
    # The error shrinks by (tau / (tau + epsilon))^2 an iteration.
    needed = math.ceil(-math.log(_ERROR) / (2 * math.log1p(config.epsilon / config.tau)))
    return soft_plan(
        problem.cost,
        problem.a,
        problem.b,
        epsilon=epsilon,
        tau=(tau, tau),
        iterations=min(max(needed, 3), 500),
    )


def _balanced(problem: Problem, config: AlignmentSettings) -> Tensor:
    epsilon, _ = temperature(problem, config)
    settings = SinkhornConfig(tolerance=_ERROR, max_iterations=500)
    return sinkhorn(problem.cost, problem.a, problem.b, config=settings, epsilon=epsilon).matrix


def _partial(problem: Problem, config: AlignmentSettings) -> Tensor:
    epsilon, _ = temperature(problem, config)
    mass = config.mass * torch.minimum(problem.a.sum(1), problem.b.sum(1))
    return capped_plan(
        problem.cost,
        problem.a,
        problem.b,
        epsilon=epsilon,
        hard_source=False,
        mass=mass,
        iterations=_CAPPED_ITERATIONS,
    )


def _semi(problem: Problem, config: AlignmentSettings) -> Tensor:
    """Both one-sided plans, as their geometric mean; nothing where the null takes more than the cell in
    either of them."""
    ahead = _one_sided(problem, config)
    back = _one_sided(problem.transposed(), config).transpose(1, 2)
    return (ahead * back).sqrt()


def _one_sided(problem: Problem, config: AlignmentSettings) -> Tensor:
    """(B,N,M): the source all moves, to targets up to their weight or to a null word that takes anything
    (Huang et al. 2024, section 3); their null costs the larger of equidistant and median."""
    epsilon, _ = temperature(problem, config)
    null = null_prices(problem, config, default="larger" if config.cost == "cosine" else "median")
    plan = capped_plan(
        torch.cat([problem.cost, null[:, None, None].expand(-1, problem.cost.shape[1], 1)], 2),
        problem.a,
        torch.cat([problem.b, torch.ones_like(null)[:, None]], 1),
        epsilon=epsilon,
        hard_source=True,
        iterations=_CAPPED_ITERATIONS,
    )
    return torch.where(plan[:, :, :-1] >= plan[:, :, -1:], plan[:, :, :-1], 0.0)


def _exact(problem: Problem, config: AlignmentSettings) -> Tensor:
    return exact(problem.cost, problem.a, problem.b).matrix


def _fgw(problem: Problem, config: AlignmentSettings) -> Tensor:
    """Distances within a sentence are those of the same cost, or of the places of its words."""
    sides = ((problem.source, problem.a), (problem.target, problem.b))
    if config.distances == "position":
        source, target = (_apart(weights) * problem.unit[:, None, None] for _, weights in sides)
    else:
        source, target = (pairwise_cost(side, side, cost=config.cost) for side, _ in sides)
    plan = fused_gromov(
        problem.cost, problem.a, problem.b, source=source, target=target, alpha=config.structure
    )
    return plan.matrix


def _apart(weights: Tensor) -> Tensor:
    """(B,N,N) |i - j| / (n - 1) between the units of each sentence, from their weights (B,N)."""
    real = weights > 0
    place = (real.cumsum(1) - 1) / (real.sum(1, keepdim=True) - 1).clamp(min=1)
    return (place[:, :, None] - place[:, None, :]).abs()


PLANS: Mapping[str, Callable[[Problem, AlignmentSettings], Tensor]] = {
    "unbalanced": _unbalanced,
    "balanced": _balanced,
    "semi": _semi,
    "partial": _partial,
    "exact": _exact,
    "fgw": _fgw,
}


def solve(problem: Problem, config: AlignmentSettings, solver: Solver | None = None) -> Tensor:
    """(B,N,M) plan, 0 at padding: by meaning alone, then under word order, `rounds` times (once without any).

    Each plan says for the next one where the words around each word go, and so what a link costs more that leads
    elsewhere, and which cells have neighbours that are linked in the same order, and so cost less.

    Only the last of these plans has a gradient, where the `solver` gives one; it can see by
    `torch.is_grad_enabled()` which is asked for. Without a solver it is that of the settings' transport.
    """
    solver = solver or solver_of(config)
    return solver(ordered(problem, config, solver))


def ordered(problem: Problem, config: AlignmentSettings, solver: Solver) -> Problem:
    """The problem whose plan counts: under word order, as the plans before say it."""
    rounds = config.rounds if config.agreement else 0
    found, unit = problem, problem.unit[:, None, None]
    for _ in range(max(rounds, 1) if rounds or config.distortion else 0):
        with torch.no_grad():
            share = shares(solver(found), problem.mask)
            astray = config.distortion * distortion_cost(share, problem.a > 0, problem.b > 0)
            # A full stop stands where the sentence ends, in any order of its words.
            told = share if problem.telling is None else share * problem.telling
            price = astray - config.agreement * neighbour_support(told) if rounds else astray
        found = dataclasses.replace(problem, cost=problem.cost + unit * price, order_price=unit * astray)
    return found


def solver_of(config: AlignmentSettings) -> Solver:
    """The solver of the settings' transport, with a null word where they ask for one."""
    method = PLANS[config.transport]
    if config.null is None or config.transport in ("semi", "fgw"):
        return lambda problem: method(problem, config)
    return lambda problem: method(_with_null(problem, config), config)[:, :-1, :-1]


def similarity(problem: Problem, config: AlignmentSettings) -> Tensor:
    """(B,N,M) scores without transport: SimAlign's (1 + cos)/2 for the cosine cost, the dot product for dot,
    1/(1 + cost) for distances."""
    if config.cost == "dot":
        return -problem.cost
    if config.cost == "cosine":
        return 1 - problem.cost / 2
    return 1 / (1 + problem.cost.clamp(min=0))
