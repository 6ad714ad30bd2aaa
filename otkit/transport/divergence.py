"""The debiased Sinkhorn divergence, equation 1 of Alqahtani et al. (2021).

S(a, b) = OT_eps(a, b) - OT_eps(a, a) / 2 - OT_eps(b, b) / 2
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from otkit.errors import ConfigError
from otkit.transport.batching import lengths, size_groups, split
from otkit.transport.cost import pairwise_cost
from otkit.transport.plan import Plan
from otkit.transport.sinkhorn import SinkhornConfig, sinkhorn, temperatures

__all__ = ["Divergence", "sinkhorn_divergence"]


@dataclasses.dataclass(frozen=True, eq=False)
class Divergence:
    """S of B pairs of weighted clouds, with the transport between them."""

    value: Tensor
    """(B,), in units of the cost; at least 0, and 0 where the clouds are the same (up to the tolerance)."""
    marginal_error: Tensor
    """(B,), the largest of the three problems of each pair."""
    iterations: int
    """Iterations that the slowest of all the problems took."""
    parts: tuple[tuple[Tensor, Plan], ...]
    """The cross terms as they were solved: groups of problems of like size, each with its indices."""
    shape: tuple[int, int, int]

    @cached_property
    def plan(self) -> Plan:
        """The cross term of the whole batch, put together when it is asked for."""
        first = self.parts[0][1]
        if first.cost.shape == self.shape:
            return first
        b, n, m = self.shape
        blank = {
            "cost": first.cost.new_zeros(b, n, m),
            "a": first.a.new_zeros(b, n),
            "b": first.b.new_zeros(b, m),
            "source_potential": first.source_potential.new_zeros(b, n),
            "target_potential": first.target_potential.new_zeros(b, m),
            "epsilon": first.epsilon.new_ones(b),
            "marginal_error": first.marginal_error.new_zeros(b),
        }
        for index, part in self.parts:
            for name, whole in blank.items():
                piece: Tensor = getattr(part, name)
                missing = [size - piece.shape[k] for k, size in enumerate(whole.shape)][:0:-1]
                whole[index] = pad(piece, [side for size in missing for side in (0, size)])
        return Plan(**blank, iterations=max(part.iterations for _, part in self.parts), config=first.config)


def sinkhorn_divergence(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, cost: str, config: SinkhornConfig
) -> Divergence:
    """S between clouds x (B,N,D) with weights a (B,N) and y (B,M,D) with weights b (B,M), 0 at padding.

    The self terms take their own cost matrices and the temperature of the cross term (with `epsilon_relative`
    too: three different temperatures would not cancel). They are symmetric problems, solved with one
    potential by averaged updates (Feydy et al. 2019, section 3.1). The unbalanced divergence has a further
    term eps/2 (m_a - m_b)^2 (Sejourne et al. 2019, definition 3), which is 0 for weights that sum to 1.

    On a processor, pairs of like size are computed together, distances included, so that padding costs
    little.
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
    shape = (len(x), x.shape[1], y.shape[1])
    everything = [(torch.arange(len(x), device=x.device), x.shape[1], y.shape[1])]
    groups = size_groups(lengths(a), lengths(b)) if x.device.type == "cpu" and len(x) > 1 else everything
    if len(groups) == 1:
        groups = everything  # not worth a copy
    if groups is everything:
        pieces = [(x, y, a, b)]
    else:
        rows, columns = [(index, n) for index, n, _ in groups], [(index, m) for index, _, m in groups]
        pieces = list(zip(split(x, rows), split(y, columns), split(a, rows), split(b, columns), strict=True))
    value, error, used, parts = [], [], 0, []
    for (index, _, _), piece in zip(groups, pieces, strict=True):
        values, plan, errors, steps = _group(*piece, cost=cost, config=config)
        value.append(values)
        error.append(errors)
        used = max(used, steps)
        parts.append((index, plan))
    back = torch.argsort(torch.cat([index for index, _, _ in groups]))
    return Divergence(torch.cat(value)[back], torch.cat(error)[back], used, tuple(parts), shape)


def _group(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, *, cost: str, config: SinkhornConfig
) -> tuple[Tensor, Plan, Tensor, int]:
    cross_cost = pairwise_cost(x, y, cost=cost)
    a, b = a.to(cross_cost.dtype), b.to(cross_cost.dtype)
    epsilon = temperatures(cross_cost, a, b, config=config)
    cross = sinkhorn(cross_cost, a, b, config=config, epsilon=epsilon, regroup=False)
    source, target = (
        sinkhorn(
            pairwise_cost(z, z, cost=cost),
            w,
            w,
            config=config,
            epsilon=epsilon,
            symmetric=True,
            regroup=False,
        )
        for z, w in ((x, a), (y, b))
    )
    value = cross.value - 0.5 * (source.value + target.value)
    if config.tau is not None:
        value = value + 0.5 * epsilon * (a.sum(1) - b.sum(1)).square()
    errors = torch.stack([cross.marginal_error, source.marginal_error, target.marginal_error]).amax(0)
    return value, cross, errors, max(cross.iterations, source.iterations, target.iterations)
