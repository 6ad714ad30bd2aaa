"""Word order: what a link costs off the diagonal, and what its neighbours' links say for it."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["distortion_cost", "neighbour_support"]

# Width of the neighbourhood across the diagonal and along it, in words: the second moments of a Gaussian.
_ACROSS, _ALONG, _RADIUS = 1.0, 2.0, 3
# Words in a span of the distortion, and the largest squared distance in spans.
_SPAN, _FARTHEST = 20, 16.0


def distortion_cost(rows: Tensor, columns: Tensor) -> Tensor:
    """(B,N,M) squared distance from the diagonal, for masks (B,N) and (B,M).

    The distance is the difference of the relative positions i/(N-1) and j/(M-1) (Jalili Sabet et al. 2020,
    section 3.4), times the longer side in spans of 20 words where that is more than one: in a sentence of 25
    words a link may lie anywhere, in a page of 1,000 it stays within a few dozen words. At most 16 (four
    spans).
    """
    places = []
    longest = torch.maximum(rows.sum(1), columns.sum(1))
    for mask in (rows, columns):
        last = (mask.sum(1) - 1).clamp(min=1)[:, None]
        places.append(torch.arange(mask.shape[1], device=mask.device)[None] / last)
    spans = (longest / _SPAN).clamp(min=1)[:, None, None]
    distance = (places[0][:, :, None] - places[1][:, None, :]) * spans
    return (distance**2).clamp(max=_FARTHEST)


def neighbour_support(share: Tensor) -> Tensor:
    """(B,N,M): how far the links around a cell, the cell left out, agree with it on word order.

    share (B,N,M) in [0, 1], 0 at padding. A neighbour at (i + s, j + t) counts by a Gaussian in s - t (a
    translation that keeps the order moves along the diagonal) and a wider one in s + t; the next cell on the
    diagonal counts 1. It is one linearisation of a Gromov-Wasserstein term over the distances within a few
    words, as a convolution.
    """
    kernel = _kernel(share.dtype, share.device)
    with torch.autocast(device_type=share.device.type, enabled=False):
        return torch.nn.functional.conv2d(share[:, None], kernel, padding=_RADIUS)[:, 0]


@lru_cache
def _kernel(dtype: torch.dtype, device: torch.device) -> Tensor:
    steps = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    across, along = steps[:, None] - steps, steps[:, None] + steps
    kernel = torch.exp(-(across**2) / (2 * _ACROSS**2) - along**2 / (2 * _ALONG**2))
    kernel /= kernel[_RADIUS + 1, _RADIUS + 1].clone()
    kernel[_RADIUS, _RADIUS] = 0.0
    shaped: Tensor = kernel[None, None].to(dtype=dtype, device=device)
    return shaped
