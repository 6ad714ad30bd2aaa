"""How sure a figure is: bootstrap intervals, and paired tests of one system against another.

Means and ratios take tables as in `metrics`: a row for each example, a statistic of the summed rows. How well scores
put items in the order of their classes takes matrices of pairs of items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from otkit.errors import ConfigError, InputError
from otkit.evaluation.metrics import FloatArray, Statistic

__all__ = [
    "Comparison",
    "Interval",
    "Ordering",
    "area",
    "bootstrap",
    "compare",
    "intervals",
    "pairwise_order",
    "resampled",
]

CELLS = 1 << 22  # weights held at a time: 32 MB


@dataclass(frozen=True)
class Interval:
    """A value with the `level` interval around it."""

    value: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Comparison:
    """System minus baseline on the same examples; `p_value` two-sided, of no difference."""

    difference: Interval
    p_value: float


def bootstrap(
    table: FloatArray, statistic: Statistic, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Percentile bootstrap over examples (Efron and Tibshirani 1993, section 13.3).

    It fails with a handful of examples (the interval is too narrow) and where one outweighs the rest.
    """
    _check(table, resamples, level)
    draws = np.concatenate(
        [statistic(weights @ table) for weights in _resamples(len(table), resamples, seed)]
    )
    return _interval(float(statistic(table.sum(axis=0))), draws, level)


def compare(
    table: FloatArray,
    baseline: FloatArray,
    statistic: Statistic,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Paired bootstrap interval of the difference (Koehn 2004), and a paired permutation test.

    The test swaps the two systems on random examples (approximate randomisation, Riezler and Maxwell 2005);
    the observed order counts as one of the permutations, so that no p-value is 0.
    """
    _check(table, resamples, level)
    if table.shape != baseline.shape:
        what = f"{len(table)} examples are compared with {len(baseline)}"
        raise InputError(what, remedy="score both systems on the same data")
    pair = np.concatenate([table, baseline], axis=1)
    columns = table.shape[1]

    def difference(sums: FloatArray) -> FloatArray:
        return statistic(sums[..., :columns]) - statistic(sums[..., columns:])

    found = bootstrap(pair, difference, resamples=resamples, level=level, seed=seed)
    swapped = np.concatenate([baseline - table, table - baseline], axis=1)
    total = pair.sum(axis=0)
    draws = np.concatenate(
        [difference(total + flips @ swapped) for flips in _flips(len(table), resamples, seed)]
    )
    # sums of ratios differ in their last bits from the observed one: a tie must count as a tie
    extreme = int(np.sum(np.abs(draws) >= abs(found.value) - 1e-12))
    return Comparison(found, (extreme + 1) / (resamples + 1))


def _check(table: FloatArray, resamples: int, level: float) -> None:
    if resamples < 1 or not 0 < level < 1:
        what = f"{resamples} resamples at level {level}"
        raise ConfigError(what, remedy="give at least 1 resample and a level between 0 and 1")
    if not len(table):
        raise InputError("there is nothing to score", remedy="give at least one example")


def _interval(value: float, draws: FloatArray, level: float) -> Interval:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level)


def _resamples(count: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """(r, count) how often each example is drawn, in pieces of bounded size."""
    generator = np.random.default_rng(seed)
    for size in _pieces(count, resamples):
        draws = generator.integers(count, size=(size, count))
        draws += np.arange(size)[:, None] * count
        yield np.bincount(draws.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def _flips(count: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    generator = np.random.default_rng([seed, 1])
    for size in _pieces(count, resamples):
        yield generator.integers(2, size=(size, count)).astype(np.float64)


def _pieces(count: int, resamples: int) -> Iterator[int]:
    most = max(1, CELLS // count)
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


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
