"""Values whose gradients are known without autograd: by the envelope theorem, or computed beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["with_slopes"]


def with_slopes(value: Tensor, owners: Sequence[Tensor], slopes: Sequence[Tensor]) -> Tensor:
    """`value` (B,) with its derivatives by the owners (B,...), one slope of the owner's shape each.

    A value depends on its own row of every owner alone. Nothing but the slopes is kept for the backward pass.
    """
    result: Tensor = _WithSlopes.apply(value, len(owners), *owners, *slopes)  # type: ignore[no-untyped-call]
    return result


class _WithSlopes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, count: int, *rest: Tensor) -> Tensor:
        ctx.save_for_backward(*rest[count:])
        return value.view_as(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = outer
        slopes = ctx.saved_tensors
        asked = ctx.needs_input_grad[2 : 2 + len(slopes)]
        by_owner = [
            slope * grad.reshape(-1, *[1] * (slope.ndim - 1)) if needed else None
            for slope, needed in zip(slopes, asked, strict=True)
        ]
        return None, None, *by_owner, *[None] * len(slopes)
