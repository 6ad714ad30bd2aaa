"""How well scores put items in the order of their classes: area under the ROC curve, pairwise order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from otkit.errors import InputError
from otkit.evaluation.metrics import FloatArray
from otkit.evaluation.significance import Interval

__all__ = ["Ordering", "area", "intervals", "pairwise_order", "resampled"]


@dataclass(frozen=True, eq=False)
class Ordering:
    """The (n, n) pairs of items of different class, [higher, lower], and the credit of each.

    Both as matrices, so that a bootstrap is two products: n items take 16 n^2 bytes, which is meant for gold
    sets of some thousands.
    """

    credit: FloatArray
    pairs: FloatArray

    def share(self, weights: FloatArray | None = None) -> FloatArray:
        """(...) credit over pairs with each item counted `weights` (..., n) times; NaN where there is no
        pair."""
        counted = np.ones(len(self.pairs)) if weights is None else weights
        won, all_pairs = (((counted @ matrix) * counted).sum(-1) for matrix in (self.credit, self.pairs))
        empty = np.full(np.shape(all_pairs), np.nan)
        return np.asarray(np.divide(won, all_pairs, out=empty, where=all_pairs > 0))


def area(positive: ArrayLike, scores: ArrayLike) -> Ordering:
    """The area under the ROC curve: how often a positive item is above a negative one, ties counting half."""
    return _ordering(np.asarray(positive, dtype=np.int64), scores, tie=0.5)


def pairwise_order(classes: ArrayLike, scores: ArrayLike) -> Ordering:
    """Of all pairs of items of different class the share in the right order, strictly (Dale et al. 2023,
    section 5; Huang et al. 2024, section 4)."""
    return _ordering(np.asarray(classes), scores, tie=0.0)


def _ordering(classes: FloatArray, scores: ArrayLike, *, tie: float) -> Ordering:
    values = np.asarray(scores, dtype=np.float64)
    if classes.shape != values.shape or values.ndim != 1:
        what = f"{values.size} scores for {classes.size} items"
        raise InputError(what, remedy="give one score for each item")
    pairs = (classes[:, None] > classes[None, :]).astype(np.float64)
    above = (values[:, None] > values[None, :]) + tie * (values[:, None] == values[None, :])
    return Ordering(pairs * above, pairs)


def resampled(groups: Sequence[np.ndarray], resamples: int, seed: int) -> list[FloatArray]:
    """How often each item is drawn: (resamples, n) for each group of item numbers, items drawn within their
    group."""
    generator = np.random.default_rng(seed)
    return [
        generator.multinomial(len(group), np.full(len(group), 1 / len(group)), size=resamples).astype(float)
        for group in groups
    ]


def intervals(values: ArrayLike, draws: FloatArray, *, level: float = 0.95) -> Interval:
    """A figure with the percentiles of its bootstrap draws, those left out that have no value."""
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.asarray(values)), float(low), float(high), level)
