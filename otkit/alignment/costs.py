"""From word vectors to what a link costs."""

from __future__ import annotations

import torch
from torch import Tensor

from otkit.transport.cost import pairwise_cost

__all__ = ["layered_cost"]


def layered_cost(x: Tensor, y: Tensor, *, cost: str) -> Tensor:
    """(B,N,M): the named cost between x (B,N,K,D) and y (B,M,K,D), averaged over the K layers."""
    layers = x.shape[2]
    costs = [_one_cost(x[:, :, k], y[:, :, k], cost) for k in range(layers)]
    return costs[0] if layers == 1 else torch.stack(costs).mean(0)


def _one_cost(x: Tensor, y: Tensor, cost: str) -> Tensor:
    if cost == "dot":
        return -torch.bmm(x.float(), y.float().transpose(1, 2))
    return pairwise_cost(x, y, cost=cost)
