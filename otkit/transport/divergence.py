"""The debiased Sinkhorn divergence, equation 1 of Alqahtani et al. (2021).

S(a, b) = OT_eps(a, b) - OT_eps(a, a) / 2 - OT_eps(b, b) / 2
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property, partial

import torch
from torch import Tensor

from otkit.errors import ConfigError
from otkit.transport.batching import lengths, size_groups, split
from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import at_least_fp32, pairwise_cost
from otkit.transport.plan import Plan, with_known_gradients
from otkit.transport.sinkhorn import problem_units, sinkhorn

__all__ = ["Divergence", "sinkhorn_divergence"]

# x (B,N,D), y (B,M,D), a (B,N), b (B,M)
Clouds = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class Divergence:
    """S of B pairs of weighted clouds."""

    value: Tensor
    """(B,), in units of the cost; at least 0, and 0 where the clouds are the same (up to the tolerance)."""
    marginal_error: Tensor
    """(B,), the largest of the three problems of each pair."""
    iterations: int
    """Iterations that the slowest of all the problems took."""
    clouds: Clouds
    cost: str
    config: SinkhornConfig
    """As it was asked for; what a plan was solved with is the plan's."""

    @cached_property
    def plan(self) -> Plan:
        """The transport between the clouds, solved again when it is asked for: a loss does not ask."""
        x, y, a, b = self.clouds
        return sinkhorn(pairwise_cost(x, y, cost=self.cost), a, b, config=self.config)


def sinkhorn_divergence(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, cost: str, config: SinkhornConfig
) -> Divergence:
    """S between clouds x (B,N,D) with weights a (B,N) and y (B,M,D) with weights b (B,M), 0 at padding.

    The self terms take their own cost matrices and the temperature and tau of the cross term (with
    the mean cost too: three different temperatures would not cancel). They are symmetric problems, solved with one
    potential by averaged updates (Feydy et al. 2019, section 3.1). The unbalanced divergence has a further
    term eps/2 (m_a - m_b)^2 (Sejourne et al. 2019, definition 3), which is 0 for weights that sum to 1.

    On a processor, pairs of like size are computed together, distances included, so that padding costs
    little. Of the (B,N,M) matrices only those of one problem stand at a time: in `envelope` mode what is kept
    for the backward pass is the gradient by the vectors, which is known as soon as a problem is solved.
    """
    if config.penalties[0] != config.penalties[1]:
        raise ConfigError(
            "a divergence needs the same tau on both sides", remedy="give one tau, or None for hard marginals"
        )
    if a.shape != x.shape[:2] or b.shape != y.shape[:2] or len(x) != len(y):
        raise ConfigError(
            f"weights {tuple(a.shape)} and {tuple(b.shape)} for clouds {tuple(x.shape)} and {tuple(y.shape)}",
            remedy="give one weight per vector",
        )
    groups = size_groups(lengths(a), lengths(b)) if x.device.type == "cpu" and len(x) > 1 else []
    if len(groups) <= 1:  # not worth a copy
        return Divergence(*_group(x, y, a, b, cost=cost, config=config), (x, y, a, b), cost, config)
    rows, columns = [(index, n) for index, n, _ in groups], [(index, m) for index, _, m in groups]
    pieces = zip(split(x, rows), split(y, columns), split(a, rows), split(b, columns), strict=True)
    found = [_group(*piece, cost=cost, config=config) for piece in pieces]
    back = torch.argsort(torch.cat([index for index, _, _ in groups]))
    return Divergence(
        torch.cat([values for values, _, _ in found])[back],
        torch.cat([errors for _, errors, _ in found])[back],
        max(steps for _, _, steps in found),
        (x, y, a, b),
        cost,
        config,
    )


def _group(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, cost: str, config: SinkhornConfig
) -> tuple[Tensor, Tensor, int]:
    """(B,) values, (B,) errors and the iterations of problems that are solved together."""
    x, y = at_least_fp32(x), at_least_fp32(y)
    a, b = a.to(x.dtype), b.to(x.dtype)
    terms = _Terms(cost, config)
    solve = _at_once if config.gradient == "envelope" else _as_it_is
    unit = solve(partial(terms.unit, a, b), x, y) if config.relative else torch.ones_like(x[:, 0, 0])
    source, target = solve(terms.itself, x, a, unit), solve(terms.itself, y, b, unit)
    value = solve(terms.cross, x, y, a, b, unit) - 0.5 * (source + target)
    if config.tau is not None:
        epsilon = config.epsilon * unit
        value = value + 0.5 * epsilon * (a.sum(1) - b.sum(1)).square()
    return value, torch.stack(terms.errors).amax(0), terms.iterations


@dataclasses.dataclass
class _Terms:
    """The problems of a divergence, and what solving them left: a marginal error (B,) each, and iterations."""

    cost: str
    config: SinkhornConfig
    errors: list[Tensor] = dataclasses.field(default_factory=list)
    iterations: int = 0

    def unit(self, a: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """(B,) the mean cost of the cross term, which is the unit of all three."""
        return problem_units(pairwise_cost(x, y, cost=self.cost), a, b)

    def cross(self, x: Tensor, y: Tensor, a: Tensor, b: Tensor, unit: Tensor) -> Tensor:
        """(B,) the transport between the clouds."""
        return self._value(x, y, a, b, unit, symmetric=False)

    def itself(self, x: Tensor, a: Tensor, unit: Tensor) -> Tensor:
        """(B,) the transport of a cloud to itself."""
        return self._value(x, x, a, a, unit, symmetric=True)

    def _value(self, x: Tensor, y: Tensor, a: Tensor, b: Tensor, unit: Tensor, *, symmetric: bool) -> Tensor:
        plan = sinkhorn(
            pairwise_cost(x, y, cost=self.cost),
            a,
            b,
            config=self.config,
            unit=unit if self.config.relative else None,
            symmetric=symmetric,
            regroup=False,
        )
        self.errors.append(plan.marginal_error)
        self.iterations = max(self.iterations, plan.iterations)
        return plan.value


def _as_it_is(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    return function(*inputs)


def _at_once(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """function(*inputs), (B,), with its gradient computed now, so that nothing else has to be kept.

    Every value depends on its own row of the inputs alone, so the gradient of the sum has those of all.
    """
    needed_by = [torch.is_grad_enabled() and tensor.requires_grad for tensor in inputs]
    if not any(needed_by):
        return function(*inputs)
    with torch.enable_grad():
        leaves = [t.detach().requires_grad_(needed) for t, needed in zip(inputs, needed_by, strict=True)]
        value = function(*leaves)
        asked = [leaf for leaf in leaves if leaf.requires_grad]
        gradients = torch.autograd.grad(value, asked, torch.ones_like(value), materialize_grads=True)
    owners = [tensor for tensor, needed in zip(inputs, needed_by, strict=True) if needed]
    return with_known_gradients(value.detach(), owners, gradients)
