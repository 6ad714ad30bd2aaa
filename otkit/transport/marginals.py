"""Weights of the units of a sentence: (B,N) masks in, (B,N) weights out, each row summing to 1.

Weights are exactly 0 at padding; the solver takes a zero weight for padding. A row whose mask or whose
values are all zero falls back to uniform (or to all zeros when there is no unit at all), never to NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from otkit.errors import ConfigError
from otkit.transport.cost import at_least_fp32

__all__ = ["MARGINALS", "Marginal", "idf", "norm", "uniform"]

Marginal = Callable[[Tensor, Tensor | None], Tensor]


def uniform(mask: Tensor, values: Tensor | None = None) -> Tensor:
    """The same weight for every unit. Half precision and other `values` only choose the dtype."""
    dtype = torch.float64 if values is not None and values.dtype == torch.float64 else torch.float32
    kept = mask.to(dtype)
    return kept / kept.sum(1, keepdim=True).clamp(min=1.0)


def idf(mask: Tensor, values: Tensor | None = None) -> Tensor:
    """Weights proportional to `values` (B,N), the inverse document frequency of each unit; negatives count
    as 0."""
    if values is None or values.shape != mask.shape:
        raise ConfigError(
            "idf weights need one value per unit", remedy="give values of the shape of the mask"
        )
    return _normalised(mask, at_least_fp32(values).clamp(min=0.0))


def norm(mask: Tensor, values: Tensor | None = None) -> Tensor:
    """Weights proportional to the length of each unit's vector, `values` (B,N,D) (Yokoi et al., EMNLP 2020,
    sec. 4)."""
    if values is None or values.ndim != 3 or values.shape[:2] != mask.shape:
        raise ConfigError("norm weights need one vector per unit", remedy="give values of shape (B,N,D)")
    squared = torch.where(mask[:, :, None], at_least_fp32(values), 0.0).square().sum(2)
    positive = squared > 0
    return _normalised(mask, torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0))


def _normalised(mask: Tensor, values: Tensor) -> Tensor:
    # Masked before the sum, so that a NaN at padding reaches neither the weights nor the gradient.
    kept = torch.where(mask, values, 0.0)
    total = kept.sum(1, keepdim=True)
    some = total > 0
    return torch.where(some, kept / torch.where(some, total, 1.0), uniform(mask, values))


MARGINALS: Mapping[str, Marginal] = {"uniform": uniform, "idf": idf, "norm": norm}
