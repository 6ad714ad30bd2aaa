"""From word vectors to what a link costs."""

from __future__ import annotations

import torch
from torch import Tensor

from otkit.transport.cost import pairwise_cost

__all__ = ["layered_cost", "mean_cost"]


def layered_cost(x: Tensor, y: Tensor, *, cost: str) -> Tensor:
    """(B,N,M): the named cost between x (B,N,K,D) and y (B,M,K,D), averaged over the K layers."""
    layers = x.shape[2]
    costs = [_one_cost(x[:, :, k], y[:, :, k], cost) for k in range(layers)]
    return costs[0] if layers == 1 else torch.stack(costs).mean(0)


def _one_cost(x: Tensor, y: Tensor, cost: str) -> Tensor:
    if cost == "dot":
        return -torch.bmm(x.float(), y.float().transpose(1, 2))
    return pairwise_cost(x, y, cost=cost)


def mean_cost(cost: Tensor, mask: Tensor) -> Tensor:
    """(B,) mean over the real cells, the unit in which relative settings count; 1 where it is 0."""
    mean = torch.where(mask, cost, 0.0).sum((1, 2)) / mask.sum((1, 2)).clamp(min=1)
    return torch.where(mean > 0, mean, 1.0)
