"""Plan-free distances between the word clouds of two sentences: cheap baselines that need no solver."""

from __future__ import annotations

import torch
from torch import Tensor

from otkit.training.encoded import EncodedPairs, Part
from otkit.training.settings import ObjectiveSettings
from otkit.transport.cost import pairwise_cost

__all__ = ["gaussian_w2", "mmd"]

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def gaussian_w2(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """The squared 2-Wasserstein distance between the diagonal Gaussians of both clouds, averaged over pairs.

    W2^2 = |m_x - m_y|^2 + |s_x - s_y|^2 with m and s the weighted mean and standard deviation of each
    coordinate (Dowson and Landau 1982). MINOTAUR (Sherborne et al., TACL 2023, equation 6) applies the same
    closed form to Gaussians that its latent bottleneck predicts for every token, averaged over all token
    pairs; without the bottleneck that average is least where a sentence's words all coincide, so the words
    themselves are the sample here.
    """
    moments = [
        _moments(side.vectors, weights)
        for side, weights in ((pairs.source, pairs.source_weights), (pairs.target, pairs.target_weights))
    ]
    gap = sum((x - y).square().sum(1) for x, y in zip(*moments, strict=True))
    assert isinstance(gap, Tensor)
    return Part(gap.mean() * pairs.batch_fraction)


def mmd(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """The squared maximum mean discrepancy of both clouds under inverse multi-quadratic kernels.

    MMD^2 = a' k(x,x) a + b' k(y,y) b - 2 a' k(x,y) b,  k(x,y) = sum_s C_s / (C_s + |x - y|^2),  C_s = 2 D s,
    s in 0.1 ... 10 (Tolstikhin et al. 2018; the aggregate term of MINOTAUR, Sherborne et al. 2023, section
    3.3). All seven kernels count in all three terms, and padding has weight 0, so identical clouds give
    exactly 0. Over the clouds of each pair, or with scope "batch" over all words of the micro-step.
    """
    sides = [pairs.source.vectors, pairs.target.vectors]
    weights = [pairs.source_weights, pairs.target_weights]
    if config.scope == "batch":
        sides = [side.flatten(0, 1)[None] for side in sides]  # (1, B*N, D)
        weights = [side.flatten()[None] / side.sum() for side in weights]  # (1, B*N)
    (x, y), (a, b) = sides, weights
    value = _kernel_mean(x, x, a, a) + _kernel_mean(y, y, b, b) - 2 * _kernel_mean(x, y, a, b)
    return Part(value.mean() * pairs.batch_fraction)


def _kernel_mean(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """(B,) the kernel's mean over all pairs of points of (B,N,D) and (B,M,D)."""
    squared = 2 * pairwise_cost(x, y, cost="sqeuclidean")  # (B,N,M)
    kernel = sum(scale / (scale + squared) for scale in (2 * x.shape[2] * s for s in _SCALES))
    return torch.einsum("bn,bnm,bm->b", a, kernel, b)


def _moments(vectors: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation (B,D) of (B,N,D); the deviation has gradient 0 where it is 0."""
    mean = torch.einsum("bn,bnd->bd", weights, vectors)
    variance = torch.einsum("bn,bnd->bd", weights, (vectors - mean[:, None]).square())
    some = variance > 0
    return mean, torch.where(some, torch.where(some, variance, 1.0).sqrt(), 0.0)
