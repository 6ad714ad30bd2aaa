"""Groups of problems of like size, so that little of a padded batch is padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["lengths", "size_groups", "split"]

# In cells of a cost matrix: below this much work another group costs more in calls than it saves in padding.
WORTHWHILE = 60_000
# And this many double precision cells stay in a processor's cache.
CACHED = 300_000


def lengths(weights: Tensor) -> Tensor:
    """(B,) how many leading units hold all the mass of (B,N) weights."""
    places = torch.arange(1, weights.shape[1] + 1, device=weights.device)
    return (places * (weights > 0)).amax(1)


def size_groups(n: Tensor, m: Tensor) -> list[tuple[Tensor, int, int]]:
    """Partition problems of sizes n (B,) by m (B,) into (indices, largest n, largest m), big ones first."""
    order = torch.argsort(n * m, descending=True, stable=True)
    taken = zip(order.tolist(), n[order].tolist(), m[order].tolist(), strict=True)
    groups: list[tuple[list[int], int, int]] = []
    for index, rows, columns in taken:
        rows, columns = max(rows, 1), max(columns, 1)
        if groups:
            members, height, width = groups[-1]
            taller, wider = max(height, rows), max(width, columns)
            cells = taller * wider
            snug = rows * columns >= 0.55 * cells and (len(members) + 1) * cells <= CACHED
            if snug or len(members) * cells < WORTHWHILE:
                members.append(index)
                groups[-1] = (members, taller, wider)
                continue
        groups.append(([index], rows, columns))
    return [(torch.tensor(members), height, width) for members, height, width in groups]


class _Split(torch.autograd.Function):
    """Rows of a (B,L,...) tensor by groups, each cut to its own length, with one gradient tensor for all of
    them.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: list[tuple[Tensor, int]]) -> tuple[Tensor, ...]:
        ctx.shape, ctx.places = values.shape, places
        return tuple(values[:, :length].index_select(0, index) for index, length in places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None]:
        gradient = outer[0].new_zeros(ctx.shape)
        for (index, length), piece in zip(ctx.places, outer, strict=True):
            gradient[:, :length].index_copy_(0, index, piece)
        return gradient, None


def split(values: Tensor, places: list[tuple[Tensor, int]]) -> tuple[Tensor, ...]:
    """The groups (indices, length) of a padded (B,L,...) tensor; every row belongs to exactly one of them."""
    pieces: tuple[Tensor, ...] = _Split.apply(values, places)  # type: ignore[no-untyped-call]
    return pieces
