"""What it costs a word to go nowhere: the price of a null beside the targets (OTTAWA, Huang et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from otkit.errors import ConfigError, choose
from otkit.transport.cost import at_least_fp32
from otkit.transport.problem import check_shapes, widened

__all__ = ["NULL_COSTS", "null_cost"]


NullCost = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def _mean(cost: Tensor, real: Tensor, vectors: Tensor | None = None) -> Tensor:
    """The mean cost of the real cells."""
    return torch.where(real, cost, 0.0).sum((1, 2)) / real.sum((1, 2)).clamp(min=1)


def _median(cost: Tensor, real: Tensor, vectors: Tensor | None = None) -> Tensor:
    """The median cost of the real cells (the mean of the middle two)."""
    cells = torch.where(real, cost, torch.nan).flatten(1)
    return torch.nanquantile(cells, 0.5, dim=1).nan_to_num(0.0)


def _middle(cost: Tensor, real: Tensor, vectors: Tensor | None = None) -> Tensor:
    """Half-way between the smallest and the largest cost."""
    low = torch.where(real, cost, torch.inf).flatten(1).amin(1)
    high = torch.where(real, cost, -torch.inf).flatten(1).amax(1)
    return (0.5 * (low + high)).nan_to_num(0.0, 0.0, 0.0)


def _equidistant(cost: Tensor, real: Tensor, vectors: Tensor | None = None) -> Tensor:
    """(1 - cos)/2 to the unit vector that has the same, and the largest, cosine with all rows.

    Writing it as V^T c for unit rows V, equal cosines mean V V^T c = t 1, hence cos = (1^T (V V^T)^+
    1)^(-1/2).
    """
    if vectors is None or vectors.shape[:2] != cost.shape[:2]:
        raise ConfigError(
            "this null cost needs the vectors of the sources", remedy="give vectors of shape (B,N,D)"
        )
    mask = real.any(2)
    unit = torch.nn.functional.normalize(widened(at_least_fp32(vectors)), dim=2) * mask[:, :, None]
    inverse = torch.linalg.pinv(unit @ unit.transpose(1, 2), hermitian=True)
    ones = widened(mask)[:, :, None]
    spread = (ones.transpose(1, 2) @ inverse @ ones)[:, 0, 0]
    cosine = torch.where(spread > 0, spread.clamp(min=1.0).rsqrt(), 0.0)
    return (0.5 * (1.0 - cosine)).to(cost.dtype)


def _larger(cost: Tensor, real: Tensor, vectors: Tensor | None = None) -> Tensor:
    """The larger of `equidistant` and `median`: OTTAWA's default."""
    return torch.maximum(_equidistant(cost, real, vectors), _median(cost, real))


NULL_COSTS: Mapping[str, NullCost] = {
    "mean": _mean,
    "median": _median,
    "middle": _middle,
    "equidistant": _equidistant,
    "larger": _larger,
}


def null_cost(cost: Tensor, a: Tensor, b: Tensor, *, name: str, vectors: Tensor | None = None) -> Tensor:
    """(B,) the named cost of the null; `equidistant` and `larger` take the vectors (B,N,D) of the sources
    and suit a cost of (1 - cos)/2."""
    check_shapes(cost, a, b)
    real = (a > 0)[:, :, None] & (b > 0)[:, None, :]
    return choose(name, NULL_COSTS, what="null cost")(at_least_fp32(cost), real, vectors)
