"""Ground costs between two padded clouds of vectors, as (B,N,M) matrices.

Every cost takes x (B,N,D) and y (B,M,D), computes in at least fp32 whatever the autocast state, and is
finite with finite gradients everywhere, padding (any finite vector) and zero vectors included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from otkit.errors import ConfigError, choose

__all__ = [
    "COSTS",
    "CostFunction",
    "at_least_fp32",
    "cosine",
    "euclidean",
    "mean_cost",
    "pairwise_cost",
    "sqeuclidean",
]

CostFunction = Callable[[Tensor, Tensor], Tensor]


def at_least_fp32(values: Tensor) -> Tensor:
    """Half precision and integers become fp32; fp32 and float64 stay as they are."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def _squared_distance(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances (B,N,M) by one product, and the (B,N,M) level below which they are rounding noise.

    |x|^2 + |y|^2 - 2xy cancels to a few ulps of |x|^2 + |y|^2 where the points coincide: below that level the
    difference says nothing, not even its sign.
    """
    norms_x, norms_y = (x * x).sum(2), (y * y).sum(2)
    scale = norms_x[:, :, None] + norms_y[:, None, :]
    squared = torch.baddbmm(scale, x, y.transpose(1, 2), alpha=-2.0)
    return squared, scale.detach() * (8 * torch.finfo(x.dtype).eps)


def euclidean(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|, GeomLoss's p=1. Coincident points have cost 0 and gradient 0 (a subgradient), not NaN."""
    distance: Tensor = _Euclidean.apply(x, y)  # type: ignore[no-untyped-call]
    return distance


class _Euclidean(torch.autograd.Function):
    """Distances with their gradient (x_i - y_j) / d_ij as two products, and nothing kept but d."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        squared, noise = _squared_distance(x, y)
        distance = squared.masked_fill_(squared <= noise, 0.0).sqrt_()
        ctx.save_for_backward(x, y, distance)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, y, distance = ctx.saved_tensors
        pull = (grad / distance).masked_fill_(distance == 0, 0.0)
        by_x = by_y = None
        if ctx.needs_input_grad[0]:
            by_x = torch.baddbmm(pull.sum(2)[:, :, None] * x, pull, y, alpha=-1.0)
        if ctx.needs_input_grad[1]:
            by_y = torch.baddbmm(pull.sum(1)[:, :, None] * y, pull.transpose(1, 2), x, alpha=-1.0)
        return by_x, by_y


def sqeuclidean(x: Tensor, y: Tensor) -> Tensor:
    """Half the squared distance, |x_i - y_j|^2 / 2: GeomLoss's p=2, with its factor."""
    squared, noise = _squared_distance(x, y)
    # The gradient x_i - y_j is right at coincident points too, so the value is cut and the gradient is not.
    return 0.5 * (squared - torch.where(squared > noise, 0.0, squared.detach()))


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """1 - cos(x_i, y_j), in [0, 2]; a zero vector has cosine 0 with everything."""
    return 1.0 - torch.bmm(_unit(x), _unit(y).transpose(1, 2))


def _unit(x: Tensor) -> Tensor:
    squared = (x * x).sum(2, keepdim=True)
    return x * torch.where(squared > 0, squared, 1.0).rsqrt()


COSTS: Mapping[str, CostFunction] = {"euclidean": euclidean, "sqeuclidean": sqeuclidean, "cosine": cosine}


def pairwise_cost(x: Tensor, y: Tensor, *, cost: str) -> Tensor:
    """The named cost, (B,N,D) and (B,M,D) to (B,N,M), in fp32 or float64 and outside autocast."""
    function = choose(cost, COSTS, what="cost")
    if x.ndim != 3 or y.ndim != 3 or x.shape[0] != y.shape[0] or x.shape[2] != y.shape[2]:
        raise ConfigError(
            f"vectors of shapes {tuple(x.shape)} and {tuple(y.shape)} do not form a batch of problems",
            remedy="give (B,N,D) and (B,M,D)",
        )
    with torch.autocast(device_type=x.device.type, enabled=False):
        return function(at_least_fp32(x), at_least_fp32(y))


def mean_cost(cost: Tensor, mask: Tensor) -> Tensor:
    """(B,) mean over the real cells, the unit in which relative settings count; 1 where it is 0."""
    mean = torch.where(mask, cost, 0.0).sum((1, 2)) / mask.sum((1, 2)).clamp(min=1)
    return torch.where(mean > 0, mean, 1.0)
