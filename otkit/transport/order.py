"""Word order: what a link costs that leads away from the links around it, and what its neighbours' links say for it."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["distortion_cost", "neighbour_support"]

# Width of the neighbourhood across the diagonal and along it, in words: the second moments of a Gaussian.
_ACROSS, _ALONG, _RADIUS = 1.0, 2.0, 3
# How far around a word the others say where it goes, in words; the weight of one that is on the diagonal, for where
# nobody says; the variance of a word's place that is no surprise; and the largest cost.
_AROUND, _DIAGONAL, _VARIANCE, _FARTHEST = 4.0, 0.02, 200.0, 16.0
# Stands for no mass in a quotient.
_TINY = 1e-6


def distortion_cost(share: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(B,N,M) squared distance from where the words around lead, in units of its variance, for shares (B,N,M) of a
    plan, 0 at padding, and masks (B,N) and (B,M).

    Each word k of a side of N words lies o_k = j N/M - k off the diagonal, j the mean place of its partners. The words
    around word i, less itself, have a mean offset m_i and a variance v_i, weighed by a Gaussian of 4 words and the
    fourth powers of their shares, beside a word of weight 0.02 on the diagonal; a link that lies o off the diagonal
    costs (o - m_i)^2 / (200 + v_i), the mean of both sides and at most 16. So sentences may order their words as they
    like, a text whose parts are exchanged is as good as any, one that says everything twice is read along the
    diagonal, and where the words around go anywhere nothing is far.
    """
    weight = share**4
    n, m = rows.sum(1), columns.sum(1)
    with torch.autocast(device_type=share.device.type, enabled=False):
        return ((_astray(weight, n, m) + _astray(weight.mT, m, n).mT) / 2).clamp(max=_FARTHEST)


def _astray(weight: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """(B,N,M) what `distortion_cost` says of one side of `own` (B,) words."""
    n, m = weight.shape[1:]
    places = torch.arange(max(n, m), device=weight.device, dtype=weight.dtype)
    ratio = (own / other.clamp(min=1)).to(weight.dtype)[:, None, None]
    offsets = places[:m] * ratio - places[:n, None]  # (B,N,M)
    mass = weight.sum(2)
    mean = (weight * offsets).sum(2) / mass.clamp(min=_TINY)
    around = torch.exp(-((places[:n, None] - places[:n]) ** 2) / (2 * _AROUND**2)).fill_diagonal_(0.0)
    total = mass @ around + _DIAGONAL
    expected = (mass * mean) @ around / total
    variance = ((mass * mean**2) @ around / total - expected**2).clamp(min=0.0)
    return (offsets - expected[:, :, None]) ** 2 / (_VARIANCE + variance[:, :, None])


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
