"""Nearest neighbours across languages: FAISS finds candidates by cosine, a score re-ranks them.

Shapes: Q queries, P items of the pool, D width, K candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otkit.errors import ConfigError, choose
from otkit.evaluation.settings import SearchSettings

__all__ = [
    "INDEXES",
    "SCORES",
    "BothWays",
    "Neighbours",
    "build_index",
    "nearest",
    "neighbourhood_mean",
    "recall",
    "rescore",
    "search_both_ways",
]

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]

_BLOCK = 1024  # queries whose candidates are held together
_KEPT = 10  # candidates that are kept of each query: what hubness and recall count
_RECALL_SAMPLE = 1000  # queries: the recall's standard error is then below one point


@dataclass(frozen=True)
class Neighbours:
    """The best K of the pool for each query, best first; id -1 where an approximate index found fewer.

    ids: (Q, K) int64.  scores: (Q, K) float32, -inf at id -1.
    """

    ids: Ids
    scores: NDArray[np.float32]

    def ranks(self, gold: Ids) -> Ids:
        """(Q,) the place of each query's gold item, counted from 1; 0 where it is no candidate."""
        hits = self.ids == gold[:, None]
        return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)

    def first(self, queries: int) -> Neighbours:
        """Those of the first queries."""
        return Neighbours(self.ids[:queries], self.scores[:queries])

    def best(self, k: int) -> Neighbours:
        """The best k of each query, copied: the rest can be forgotten."""
        return Neighbours(self.ids[:, :k].copy(), self.scores[:, :k].copy())


@dataclass(frozen=True)
class BothWays:
    """A search from each side into the other.

    forward, backward  the ten best of the targets for each source, and of the sources for each target
    ranks              (N,) and (M,) the place of the item of the same number, from 1; 0 where it is no candidate
    nearest            (N,) and (M,) the nearest of the other side by plain cosine
    rivals             (N,) and (M,) the highest cosine to another item of the own side
    recall             recall@10 of the index against the exact one; None for the exact one itself
    """

    forward: Neighbours
    backward: Neighbours
    ranks: tuple[Ids, Ids]
    nearest: tuple[Ids, Ids]
    rivals: tuple[Vectors, Vectors]
    recall: float | None


def _flat(pool: Vectors, config: SearchSettings) -> Any:
    import faiss

    return faiss.IndexFlatIP(pool.shape[1])


def _hnsw(pool: Vectors, config: SearchSettings) -> Any:
    import faiss

    index = faiss.IndexHNSWFlat(pool.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.hnsw.efSearch = config.effort
    return index


def _ivf(pool: Vectors, config: SearchSettings) -> Any:
    import faiss

    # FAISS wants at least 39 points a cell to place its centre.
    cells = max(1, min(int(4 * math.sqrt(len(pool))), len(pool) // 39))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(pool.shape[1]), pool.shape[1], cells, faiss.METRIC_INNER_PRODUCT
    )
    index.nprobe = max(1, min(cells, math.ceil(cells * config.effort / 1000)))
    index.train(pool)
    return index


INDEXES: dict[str, Callable[[Vectors, SearchSettings], Any]] = {"flat": _flat, "hnsw": _hnsw, "ivf": _ivf}

# A score takes cosines (Q, K), mean cosines of the query's neighbours (Q, 1) and of each candidate's (Q, K).
Score = Callable[[Vectors, Vectors, Vectors], Vectors]


def _cosine(cosines: Vectors, query: Vectors, candidate: Vectors) -> Vectors:
    return cosines


def _csls(cosines: Vectors, query: Vectors, candidate: Vectors) -> Vectors:
    """2 cos(x, y) - r(x) - r(y): Conneau et al. 2018, section 2.3."""
    return 2 * cosines - query - candidate


def _margin(cosines: Vectors, query: Vectors, candidate: Vectors) -> Vectors:
    """cos(x, y) / ((r(x) + r(y)) / 2), the ratio margin: Artetxe and Schwenk 2019, equation 3.

    The means are kept above zero: the ratio has no meaning for a neighbourhood that points away.
    """
    crowding = np.maximum((query + candidate) / 2, np.float32(1e-6))
    return np.asarray(cosines / crowding, dtype=np.float32)


SCORES: dict[str, Score] = {"cosine": _cosine, "csls": _csls, "margin": _margin}


def build_index(pool: Vectors, config: SearchSettings) -> Any:
    """A FAISS index over unit vectors (P, D), searched by inner product."""
    if pool.ndim != 2 or len(pool) == 0:
        raise ConfigError(
            f"there is nothing to search in: the pool is {pool.shape}", remedy="give at least one item"
        )
    index = choose(config.index, INDEXES, what="index")(np.ascontiguousarray(pool), config)
    index.add(np.ascontiguousarray(pool))
    return index


def nearest(index: Any, queries: Vectors, *, k: int) -> Neighbours:
    """The k nearest items of an index by cosine."""
    scores, ids = index.search(np.ascontiguousarray(queries), min(k, index.ntotal))
    ids = np.asarray(ids, dtype=np.int64)
    return Neighbours(ids, np.where(ids < 0, np.float32(-np.inf), scores))


def neighbourhood_mean(found: Neighbours, k: int) -> Vectors:
    """(Q,) the mean cosine of each query's k nearest; of fewer where fewer were found."""
    scores, inside = found.scores[:, :k], found.ids[:, :k] >= 0
    sums = np.where(inside, scores, 0).sum(axis=1)
    return np.asarray(sums / np.maximum(inside.sum(axis=1), 1), dtype=np.float32)


def rescore(found: Neighbours, query_mean: Vectors, pool_mean: Vectors, *, score: str) -> Neighbours:
    """The same candidates under a score, best first; ties keep the order of the cosine."""
    values = choose(score, SCORES, what="score")(found.scores, query_mean[:, None], pool_mean[found.ids])
    values = np.where(found.ids < 0, np.float32(-np.inf), values)
    order = np.argsort(-values, axis=1, kind="stable")
    return Neighbours(np.take_along_axis(found.ids, order, 1), np.take_along_axis(values, order, 1))


def search_both_ways(source: Vectors, target: Vectors, config: SearchSettings) -> BothWays:
    """Search line-aligned or unaligned sides (N, D) and (M, D) through one index of each.

    All candidates of all queries would take 24 KB a sentence: they are looked at in blocks, and what is kept of each
    query is small. Each side's re-ranking needs the means of the other; those of the targets come with their search,
    those of the sources from a search of their own before.
    """
    indexes = build_index(source, config), build_index(target, config)
    wide = max(config.compared, config.neighbours)
    crowding = None if config.score == "cosine" else _crowding(indexes[1], source, wide, config)
    backward = _looked_up(indexes[0], target, crowding, wide, config)
    forward = _looked_up(indexes[1], source, backward.means, wide, config)
    return BothWays(
        forward=forward.best,
        backward=backward.best,
        ranks=(forward.ranks, backward.ranks),
        nearest=(forward.closest.ids[:, 0], backward.closest.ids[:, 0]),
        rivals=(_rivals(indexes[0], source), _rivals(indexes[1], target)),
        recall=None if config.index == "flat" else recall(forward.closest, source, target),
    )


@dataclass(frozen=True)
class _Lookup:
    """What is kept of a search: the best by the score and by cosine, `ranks` as in `BothWays`, and the mean cosine of
    each query's nearest; None where the score is the cosine."""

    best: Neighbours
    closest: Neighbours
    ranks: Ids
    means: Vectors | None


def _looked_up(
    index: Any, queries: Vectors, pool_means: Vectors | None, wide: int, config: SearchSettings
) -> _Lookup:
    best, closest, ranks, means = [], [], [], []
    for rows in _blocks(len(queries)):
        found = nearest(index, queries[rows], k=wide)
        closest.append(found.best(_KEPT))
        if pool_means is not None:
            means.append(neighbourhood_mean(found, config.neighbours))
            found = rescore(found, means[-1], pool_means, score=config.score)
        best.append(found.best(_KEPT))
        ranks.append(found.ranks(rows))
    own = np.concatenate(means) if means else None
    return _Lookup(_together(best), _together(closest), np.concatenate(ranks), own)


def _crowding(index: Any, queries: Vectors, wide: int, config: SearchSettings) -> Vectors:
    """(Q,) the mean cosine of each query's nearest."""
    # An approximate index finds other neighbours where it is asked for more.
    k = config.neighbours if config.index == "flat" else wide
    found = (nearest(index, queries[rows], k=k) for rows in _blocks(len(queries)))
    return np.concatenate([neighbourhood_mean(each, config.neighbours) for each in found])


def _rivals(index: Any, side: Vectors) -> Vectors:
    """(N,) the highest cosine of each item to another of its own side."""
    within = nearest(index, side, k=2)
    itself = within.ids == np.arange(len(side))[:, None]
    return np.asarray(np.where(itself, np.float32(-np.inf), within.scores).max(axis=1), dtype=np.float32)


def _blocks(count: int) -> Iterator[Ids]:
    """The numbers of `count` rows, a block at a time."""
    for start in range(0, count, _BLOCK):
        yield np.arange(start, min(start + _BLOCK, count))


def _together(parts: Sequence[Neighbours]) -> Neighbours:
    return Neighbours(
        np.concatenate([part.ids for part in parts]), np.concatenate([part.scores for part in parts])
    )


def recall(found: Neighbours, queries: Vectors, pool: Vectors, *, k: int = 10) -> float:
    """The share of the exact k nearest that were found, over at most a thousand evenly spread queries."""
    rows = np.unique(np.linspace(0, len(queries) - 1, min(len(queries), _RECALL_SAMPLE)).astype(np.int64))
    exact = nearest(build_index(pool, SearchSettings()), queries[rows], k=k).ids
    return float((exact[:, :, None] == found.ids[rows, None, :k]).any(axis=2).mean())
