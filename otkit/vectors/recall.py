"""Exact neighbours from the shards, and how many of them an index finds.

Shapes: N vectors, D width, Q queries, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otkit.vectors.folder import Vectors
from otkit.vectors.index import sample, spread

__all__ = ["Recall", "exact", "measure_recall"]

Matrix = NDArray[np.float32]
Ids = NDArray[np.int64]

_RECALL_QUERIES = 500  # the standard error of a recall of 0.9 is then 1.3 points
_TIE = np.float32(1e-5)


def exact(vectors: Vectors, queries: Matrix, k: int) -> tuple[Matrix, Ids]:
    """The K nearest of each query by inner product, (Q, K) scores and ids, best first, from the shards."""
    import faiss

    k = min(k, len(vectors))
    scores = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    ids = np.zeros((len(queries), 0), dtype=np.int64)
    first = 0
    for block in vectors.blocks():
        near, numbers = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        scores = np.concatenate([scores, near], axis=1)
        ids = np.concatenate([ids, numbers + first], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, ids = np.take_along_axis(scores, best, 1), np.take_along_axis(ids, best, 1)
        first += len(block)
    return scores, ids


@dataclass(frozen=True)
class Recall:
    """Of the exact nearest 1 and 5 of some of the vectors, the share that the index finds."""

    at_1: float
    at_5: float
    queries: int


def measure_recall(vectors: Vectors, index: Any) -> Recall:
    """Evenly spread vectors of the folder look for their nearest neighbours, themselves left out.

    Corpora repeat sentences, so that many a fifth place is shared: a found neighbour counts when it is as near
    as the exact one.
    """
    own = spread(len(vectors), _RECALL_QUERIES)
    queries = sample(vectors, _RECALL_QUERIES)
    k = min(5, len(vectors) - 1)
    if k < 1:
        return Recall(1.0, 1.0, len(own))
    found = _without(own, index.search(queries, k + 1)[1])[:, :k]
    near = np.full(found.shape, -np.inf, dtype=np.float32)
    first = 0
    for block in vectors.blocks():  # an index with codes knows its scores only roughly: ask the vectors
        row, place = np.nonzero((found >= first) & (found < first + len(block)))
        near[row, place] = np.einsum("nd,nd->n", block[found[row, place] - first], queries[row])
        first += len(block)
    scores, ids = exact(vectors, queries, k + 1)
    best = np.take_along_axis(scores, _order_without(own, ids), 1)[:, :k]
    hits = [float((near[:, :top] >= best[:, top - 1 : top] - _TIE).mean()) for top in (1, k)]
    return Recall(hits[0], hits[1], len(own))


def _order_without(own: Ids, ids: Ids) -> Ids:
    """(Q, K) places in their order, that of the query itself last."""
    return np.argsort(ids == own[:, None], axis=1, kind="stable")


def _without(own: Ids, ids: Ids) -> Ids:
    return np.take_along_axis(ids, _order_without(own, ids), 1)
