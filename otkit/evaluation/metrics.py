"""Figures of merit: word alignment, classification, retrieval. Pure functions of NumPy arrays.

Every metric is a function of sums over examples. So an evaluation keeps a table, one row for each example, a
metric takes the sum of its rows (or of resamples of them, in leading axes), and `significance` needs to know
nothing else. All values lie in [0, 1] but skewness.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from otkit.data.gold import GoldPair
from otkit.errors import InputError, choose

__all__ = [
    "ALIGNMENT_METRICS",
    "Statistic",
    "accuracy",
    "accuracy_at",
    "alignment_table",
    "class_table",
    "column_mean",
    "hubness",
    "macro_f1",
    "mean_table",
    "reciprocal_rank",
]

FloatArray = NDArray[np.float64]
Links = Collection[tuple[int, int]]
Statistic = Callable[[FloatArray], FloatArray]
"""(..., C) sums of table rows -> (...) values."""

# columns of an alignment table; the last five groups are ratios of one sentence, whose means OTAlign reports
A, S, A_AND_S, A_AND_P, EXACT, ONE, LINK_P, LINK_R, NULL_P, NULL_R, TOTAL_P, TOTAL_R = range(12)


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """top / bottom, and 0 where there is nothing to divide by."""
    return np.divide(top, bottom, out=np.zeros(np.broadcast(top, bottom).shape), where=bottom > 0)


def _harmonic(precision: FloatArray, recall: FloatArray) -> FloatArray:
    return _ratio(2 * precision * recall, precision + recall)


def _aer(sums: FloatArray) -> FloatArray:
    """0 where no link is asked for and none is given."""
    asked = sums[..., A] + sums[..., S]
    return np.where(asked > 0, 1 - _ratio(sums[..., A_AND_S] + sums[..., A_AND_P], asked), 0.0)


def _precision(sums: FloatArray) -> FloatArray:
    return _ratio(sums[..., A_AND_P], sums[..., A])


def _recall(sums: FloatArray) -> FloatArray:
    return _ratio(sums[..., A_AND_S], sums[..., S])


def _f1(sums: FloatArray) -> FloatArray:
    return _harmonic(_precision(sums), _recall(sums))


def _mean_of(column: int) -> Statistic:
    return lambda sums: _ratio(sums[..., column], sums[..., ONE])


def _f1_of_means(precision: int, recall: int) -> Statistic:
    return lambda sums: _harmonic(_mean_of(precision)(sums), _mean_of(recall)(sums))


ALIGNMENT_METRICS: dict[str, Statistic] = {
    "aer": _aer,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "exact_match": _mean_of(EXACT),
    "link_f1": _f1_of_means(LINK_P, LINK_R),
    "null_precision": _mean_of(NULL_P),
    "null_recall": _mean_of(NULL_R),
    "null_f1": _f1_of_means(NULL_P, NULL_R),
    "total_precision": _mean_of(TOTAL_P),
    "total_recall": _mean_of(TOTAL_R),
    "total_f1": _f1_of_means(TOTAL_P, TOTAL_R),
}


def alignment_table(
    predicted: Sequence[Links], gold: Sequence[GoldPair], *, links: str = "sure"
) -> FloatArray:
    """(sentences, 12) counts and ratios, to be summed and given to one of ALIGNMENT_METRICS.

    With A the predicted, S the sure and P the possible links (P includes S):

    aer, precision, recall, f1
        corpus level: precision |A and P| / |A|, recall |A and S| / |S|, F1 of the two, and
        AER 1 - (|A and S| + |A and P|) / (|A| + |S|) (Och and Ney 2003, section 5)
    exact_match
        share of sentences with S <= A <= P
    null_*
        words without a link, of both sides, taken as items: mean over sentences of each one's precision and
        recall, F1 of these means (Arase, Bao and Yokoi 2023, "Unbalanced Optimal Transport for Unbalanced
        Word Alignment")
    total_*, link_f1
        the same over links and null words together, and over links alone

    `links` says which gold links null_*, total_* and link_f1 compare with: "sure" or "possible".
    """
    choose(links, {"sure": 0, "possible": 0}, what="kind of gold links")
    if len(predicted) != len(gold):
        raise InputError(
            f"{len(predicted)} predicted alignments for {len(gold)} gold sentence pairs",
            remedy="the two must belong together, line by line",
        )
    rows = [
        _row(index, set(found), pair, links)
        for index, (found, pair) in enumerate(zip(predicted, gold, strict=True))
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 12)


def _row(index: int, found: set[tuple[int, int]], pair: GoldPair, links: str) -> tuple[float, ...]:
    rows, columns = len(pair.source), len(pair.target)
    for i, j in found:
        if not (0 <= i < rows and 0 <= j < columns):
            raise InputError(
                f"the link {i}-{j} predicted for pair {index + 1} is outside its {rows} x {columns} words",
                remedy="the prediction must count the same words, from 0",
            )
    gold = pair.sure if links == "sure" else pair.possible
    found_null, gold_null = (_null(items, rows, columns) for items in (found, gold))
    return (
        len(found),
        len(pair.sure),
        len(found & pair.sure),
        len(found & pair.possible),
        pair.sure <= found <= pair.possible,
        1,
        *_overlap(found, gold),
        *_overlap(found_null, gold_null),
        *_overlap(found | found_null, gold | gold_null),
    )


def _null(links: Links, rows: int, columns: int) -> set[tuple[int, int]]:
    """Words without a link, as (i, -1) and (-1, j)."""
    sources, targets = {i for i, _ in links}, {j for _, j in links}
    return {(i, -1) for i in range(rows) if i not in sources} | {
        (-1, j) for j in range(columns) if j not in targets
    }


def _overlap(found: Collection[Any], gold: Collection[Any]) -> tuple[float, float]:
    """Precision and recall of one sentence; both 1 where nothing is gold and nothing found."""
    if not found or not gold:
        return (1.0, 1.0) if not found and not gold else (0.0, 0.0)
    both = len(set(found) & set(gold))
    return both / len(found), both / len(gold)


def column_mean(column: int) -> Statistic:
    """The mean of a column of tables whose last column counts the examples."""
    return lambda sums: np.asarray(sums[..., column] / sums[..., -1])


def mean_table(values: ArrayLike) -> FloatArray:
    """(n, 2) of any score an example has by itself, for `accuracy`, which is then its mean."""
    column = np.asarray(values, dtype=np.float64)
    return np.stack([column, np.ones_like(column)], axis=-1)


def accuracy(sums: FloatArray) -> FloatArray:
    """Mean of the values of a `mean_table`."""
    return _ratio(sums[..., 0], sums[..., 1])


def class_table(
    gold: Sequence[Hashable], predicted: Sequence[Hashable], *, labels: Sequence[Hashable]
) -> FloatArray:
    """(n, 3 * labels) for `macro_f1`: for each label whether it was right, predicted, gold."""
    if len(gold) != len(predicted):
        raise InputError(f"{len(predicted)} predictions for {len(gold)} labels", remedy="give one for each")
    right, found = (
        np.array([[item == label for label in labels] for item in items]) for items in (gold, predicted)
    )
    stacked = np.stack([right & found, found, right], axis=-1)
    return stacked.reshape(len(gold), -1).astype(np.float64)


def macro_f1(sums: FloatArray) -> FloatArray:
    """Mean over labels of 2 right / (predicted + gold), 0 for a label that is neither."""
    counts = sums.reshape(*sums.shape[:-1], -1, 3)  # (..., labels, 3)
    each = _ratio(2 * counts[..., 0], counts[..., 1] + counts[..., 2])
    return np.asarray(each.mean(axis=-1))


def accuracy_at(ranks: ArrayLike, k: int) -> FloatArray:
    """(n,) whether the right item is among the first k; ranks count from 1, 0 is past the candidates."""
    places = np.asarray(ranks)
    return ((places > 0) & (places <= k)).astype(np.float64)


def reciprocal_rank(ranks: ArrayLike) -> FloatArray:
    """(n,) one over the rank, 0 past the candidates; its mean is the MRR."""
    places = np.asarray(ranks, dtype=np.float64)
    return _ratio(np.ones_like(places), places)


def hubness(neighbours: NDArray[np.int64], count: int) -> float:
    """Skewness of how often each of `count` items is among the (Q, K) nearest items of the queries.

    E[(x - mean)^3] / sd^3 (Radovanovic, Nanopoulos and Ivanovic 2010, "Hubs in Space"); 0 where all occur
    equally often. Negative entries stand for no neighbour.
    """
    occurrences = np.bincount(neighbours[neighbours >= 0], minlength=count).astype(np.float64)
    centred = occurrences - occurrences.mean()
    spread = np.sqrt(np.mean(centred**2))
    return float(np.mean(centred**3) / spread**3) if spread > 0 else 0.0
