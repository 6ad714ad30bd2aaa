"""A FAISS index over a folder of vectors: built from one shard after another, checked before it is read, and measured
against exact search.

Shapes: N vectors, D width, Q queries, K neighbours.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.errors import ExportError, choose
from otkit.files import file_facts, replace_file
from otkit.vectors.folder import Vectors, check_file
from otkit.vectors.settings import INDEXES
from otkit.vectors.writer import INDEX_FILE

__all__ = ["IndexPlan", "Recall", "build_index", "exact", "measure_recall", "open_index", "plan"]

Matrix = NDArray[np.float32]
Ids = NDArray[np.int64]

# How many of the numbers of a vector share a byte of its product quantiser. On 100,000 real sentences two find the
# nearest in 78 % of searches where four find it in 58 %.
_NUMBERS_A_BYTE = 2
# FAISS asks for 39 to 256 training vectors a centre. 64 place it well, and bound the sample's memory.
_SAMPLE_A_CENTRE = 64
_LEAST_A_CENTRE = 39
_PQ_CENTRES = 256
_RECALL_QUERIES = 500  # the standard error of a recall of 0.9 is then 1.3 points
_ROWS_AT_ONCE = 4096
_TIE = np.float32(1e-5)


@dataclass(frozen=True)
class IndexPlan:
    """The parameters of an index, chosen by `plan`; None where they mean nothing.

    neighbours, build, search   hnsw: links a node, nodes looked at when one is added, and in a search
    cells, probes               ivf: cells, and cells that a search looks into
    codes                       ivf: bytes that stand for a vector; None: the vector itself
    """

    kind: str
    neighbours: int | None = None
    build: int | None = None
    search: int | None = None
    cells: int | None = None
    probes: int | None = None
    codes: int | None = None


def plan(kind: str, count: int, dimension: int) -> IndexPlan:
    """The parameters for N vectors of width D."""
    choose(kind, INDEXES, what="index")
    if kind == "hnsw":
        # Malkov and Yashunin 2020, section 4.1: 12 to 48 links for wide vectors. More links and a wider search
        # keep the recall as the graph grows; below 100,000 the smaller graph loses nothing.
        large = count > 100_000
        return IndexPlan(kind, neighbours=32 if large else 16, build=100, search=128 if large else 64)
    if kind == "ivf":
        # About 4 sqrt(N) cells balance finding the cells (cells x D) and reading them (probes x N / cells x D);
        # no more than the training vectors allow. A sixteenth of the cells is read, and never fewer than 8:
        # translations lie on both sides of cell borders.
        cells = max(1, min(round(4 * math.sqrt(count)), count // _LEAST_A_CENTRE))
        probes = min(cells, max(8, cells // 16))
        # The codebooks take as much room as 256 vectors and need 39 x 256 to learn from: small corpora keep
        # their vectors.
        trainable = count >= _LEAST_A_CENTRE * _PQ_CENTRES
        return IndexPlan(
            kind, cells=cells, probes=probes, codes=_code_bytes(dimension) if trainable else None
        )
    return IndexPlan(kind)


def _code_bytes(dimension: int) -> int:
    """The largest divisor of D that gives each byte at least two numbers."""
    return max(m for m in range(1, max(2, dimension // _NUMBERS_A_BYTE + 1)) if dimension % m == 0)


def build_index(vectors: Vectors, kind: str) -> dict[str, Any] | None:
    """Write the index beside the shards, whole or not at all, and give what the manifest says of it.

    In memory are the index and one shard, and for ivf a sample of the vectors. The same vectors and threads
    give the same bytes.
    """
    import faiss

    chosen = plan(kind, len(vectors), vectors.dimension)
    if kind == "none":
        return None
    # Several threads would link the nodes of an HNSW graph in whatever order they come.
    with _threads(1 if kind == "hnsw" else torch.get_num_threads()):
        index = _BUILDERS[kind](vectors, chosen)
        for block in vectors.blocks():
            index.add(block)
    path = vectors.folder / INDEX_FILE
    try:
        replace_file(path, lambda temporary: faiss.write_index(index, str(temporary)))
    except RuntimeError as error:  # faiss's word for a full disk
        raise ExportError(
            "the index cannot be written", where=str(path), remedy="make room, then go on with `resume=True`"
        ) from error
    return {"plan": asdict(chosen), "file": path.name, **file_facts(path)}


def _flat(vectors: Vectors, chosen: IndexPlan) -> Any:
    import faiss

    return faiss.IndexFlatIP(vectors.dimension)


def _hnsw(vectors: Vectors, chosen: IndexPlan) -> Any:
    import faiss

    links, build, search = chosen.neighbours or 16, chosen.build or 100, chosen.search or 64
    index = faiss.IndexHNSWFlat(vectors.dimension, links, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = build, search
    return index


def _ivf(vectors: Vectors, chosen: IndexPlan) -> Any:
    import faiss

    cells, width = chosen.cells or 1, vectors.dimension
    coarse = faiss.IndexFlatIP(width)
    index: Any
    if chosen.codes is None:
        index = faiss.IndexIVFFlat(coarse, width, cells, faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.IndexIVFPQ(coarse, width, cells, chosen.codes, 8, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1  # few points are no fault here, and nothing to warn about
    index.nprobe = chosen.probes
    index.train(_sample(vectors, max(cells, _PQ_CENTRES) * _SAMPLE_A_CENTRE))
    return index


_BUILDERS: dict[str, Callable[[Vectors, IndexPlan], Any]] = {"flat": _flat, "hnsw": _hnsw, "ivf": _ivf}


def _spread(count: int, most: int) -> Ids:
    """At most `most` numbers below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _sample(vectors: Vectors, most: int) -> Matrix:
    """Evenly spread rows: every part of the corpus is there, and no chance is involved."""
    wanted = _spread(len(vectors), most)
    parts, first = [], 0
    for block in vectors.blocks():
        here = wanted[(wanted >= first) & (wanted < first + len(block))]
        parts.append(block[here - first])
        first += len(block)
    return np.concatenate(parts)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


_HEADERS = {
    "flat": (b"IxFI", b"IxF2"),
    "hnsw": (b"IHNf",),
    "ivf": (b"IwFl", b"IwPQ"),
}


def open_index(vectors: Vectors, facts: dict[str, Any]) -> Any:
    """The index that the manifest describes. FAISS reads sizes from the file and believes them, so the file's
    own size, hash and header are compared first."""
    import faiss

    path = vectors.folder / INDEX_FILE
    try:
        chosen = IndexPlan(**facts["plan"])
        check_file(path, facts)
        _check_header(path, _HEADERS[chosen.kind], (vectors.dimension, len(vectors)))
    except (KeyError, TypeError) as error:
        raise ExportError(
            f"the manifest's index cannot be used ({error})", where=str(vectors.folder), remedy="embed again"
        ) from error
    try:
        index: Any = faiss.read_index(str(path))  # efSearch and nprobe lie in the file
    except (RuntimeError, MemoryError) as error:  # it asks for what a count in the file says
        raise ExportError("FAISS cannot read the index", where=str(path), remedy="embed again") from error
    effort = index.nprobe if chosen.kind == "ivf" else index.hnsw.efSearch if chosen.kind == "hnsw" else 1
    if effort < 1:
        raise ExportError("the index looks at nothing", where=str(path), remedy="embed again")
    if not index.is_trained:  # FAISS searches none that says so of itself
        raise ExportError("the index is not finished", where=str(path), remedy="embed again")
    return index


def _check_header(path: Path, kinds: tuple[bytes, ...], shape: tuple[int, int]) -> None:
    """The first 16 bytes: four letters for the kind, D as int32, N as int64."""
    with path.open("rb") as file:
        head = file.read(16)
    if len(head) < 16 or head[:4] not in kinds or struct.unpack("<iq", head[4:]) != shape:
        raise ExportError(
            f"is not an index of {shape[1]} vectors of width {shape[0]}",
            where=str(path),
            remedy="embed the corpus again",
        )


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
    """Of the exact nearest 1 and 5 of some distinct vectors, the share that the index finds."""

    at_1: float
    at_5: float
    queries: int


def measure_recall(vectors: Vectors, index: Any) -> Recall:
    """Evenly spread vectors of the folder look for their nearest neighbours, copies of themselves left out.

    Corpora repeat sentences, and copies find each other whatever the index has lost: a sentence asks once, however
    often it stands there, and its copies are no neighbours of it. They fill places of an answer all the same, so that
    fewer are left to be judged. A found neighbour counts when it is as near as the exact one: many a fifth place is
    shared.
    """
    own, queries = _distinct(vectors)
    k = min(5, len(vectors) - 1)
    if k < 1:
        return Recall(1.0, 1.0, len(own))
    itself = np.einsum("nd,nd->n", queries, queries)[:, None] - _TIE  # from here on it is a copy
    best = _others(vectors, queries, itself, k)
    found = index.search(queries, k + 1)[1]
    near = np.full(found.shape, -np.inf, dtype=np.float32)
    first = 0
    for block in vectors.blocks():  # an index with codes knows its scores only roughly: ask the vectors
        row, place = np.nonzero((found >= first) & (found < first + len(block)))
        near[row, place] = np.einsum("nd,nd->n", block[found[row, place] - first], queries[row])
        first += len(block)
    copies = near >= itself
    near = np.take_along_axis(near, np.argsort(copies, axis=1, kind="stable"), 1)[:, :k]
    judged = np.minimum(k + 1 - copies.sum(1), np.isfinite(best).sum(1)).clip(0, k)
    return Recall(_share(near, best, judged.clip(0, 1)), _share(near, best, judged), len(own))


def _distinct(vectors: Vectors) -> tuple[Ids, Matrix]:
    """Evenly spread rows that are no copies of each other."""
    numbers = _spread(len(vectors), 8 * _RECALL_QUERIES)
    rows = _sample(vectors, 8 * _RECALL_QUERIES)
    alike = rows @ rows.T
    alike = np.tril(alike, -1) >= np.maximum(alike.diagonal()[:, None] - _TIE, np.float32(1e-30))
    kept = np.flatnonzero(~alike.any(1))
    kept = kept[_spread(len(kept), _RECALL_QUERIES)]
    return numbers[kept], rows[kept]


def _others(vectors: Vectors, queries: Matrix, itself: Matrix, k: int) -> Matrix:
    """(Q, K) scores of the nearest that are no copies of the query, best first; minus infinity where there are none."""
    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for block in vectors.blocks():
        for first in range(0, len(block), _ROWS_AT_ONCE):
            scores = queries @ block[first : first + _ROWS_AT_ONCE].T
            scores = np.concatenate([best, np.where(scores >= itself, -np.inf, scores)], axis=1)
            best = np.partition(scores, -k, axis=1)[:, -k:]
    return np.asarray(-np.sort(-best, axis=1), dtype=np.float32)


def _share(near: Matrix, best: Matrix, judged: Ids) -> float:
    """Of the first neighbours of each query, as many as are judged, the share that is as near as the exact ones."""
    last = np.take_along_axis(best, (judged - 1).clip(0)[:, None], 1)
    asked = np.arange(near.shape[1]) < judged[:, None]
    hits = (near >= np.where(np.isfinite(last), last, 0) - _TIE) & asked
    return float(hits.sum() / asked.sum()) if asked.any() else 1.0
