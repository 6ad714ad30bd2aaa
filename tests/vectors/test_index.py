"""The index: parameters that fit the size, exact search against NumPy, recall against truth, the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from otkit.errors import ConfigError
from otkit.vectors import index as vector_index
from otkit.vectors.folder import Vectors, growing
from otkit.vectors.index import IndexPlan, build_index, exact, measure_recall, open_index, plan
from otkit.vectors.settings import INDEXES
from otkit.vectors.shards import Row
from otkit.vectors.writer import VectorWriter

WIDTH = 16


def folder_of(folder: Path, parts: Sequence[np.ndarray]) -> Vectors:
    """A folder with a shard for each matrix."""
    writer = VectorWriter(folder, fingerprint={}, shards="npy", shard_rows=1)
    for part in parts:
        writer.add([Row("f", 1, "text", "", "x")] * len(part), part, {})
    return growing(writer, parts[0].shape[1], "npy")


def clouds(count: int, *, seed: int = 0) -> np.ndarray:
    """Unit vectors around forty centres, as sentences lie around topics."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(40, WIDTH))[rng.integers(40, size=count)] + 0.6 * rng.normal(
        size=(count, WIDTH)
    )
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def vectors(tmp_path: Path) -> Vectors:
    return folder_of(tmp_path / "v", np.array_split(clouds(3000), 7))


@pytest.mark.parametrize("count", [1, 2, 38, 39, 1000, 100_000, 10_000_000])
@pytest.mark.parametrize("width", [1, 7, 32, 384, 1024])
def test_parameters_are_possible_at_every_size(count: int, width: int) -> None:
    for kind in INDEXES:
        chosen = plan(kind, count, width)
        if kind == "ivf":
            assert chosen.cells is not None
            assert chosen.probes is not None
            assert 1 <= chosen.probes <= chosen.cells <= max(1, count // 39)
            assert chosen.codes is None or (width % chosen.codes == 0 and count >= 39 * 256)
    if width == 384 and count >= 100_000:
        assert plan("ivf", count, width).codes == 192  # an eighth of float32
    with pytest.raises(ConfigError, match="did you mean 'hnsw'"):
        plan("hsnw", 1, 1)


def test_exact_search_is_exact_over_shards(vectors: Vectors) -> None:
    everything = np.concatenate(list(vectors.blocks()))
    queries = clouds(20, seed=1)
    scores, ids = exact(vectors, queries, 7)
    expected = queries @ everything.T
    np.testing.assert_array_equal(ids, np.argsort(-expected, axis=1, kind="stable")[:, :7])
    np.testing.assert_allclose(scores, np.take_along_axis(expected, ids, 1), atol=1e-5)
    assert exact(vectors, queries, 9999)[1].shape == (20, 3000)


@pytest.mark.parametrize(("kind", "least"), [("flat", 1.0), ("hnsw", 0.97), ("ivf", 0.85)])
def test_an_index_finds_the_neighbours_and_says_how_many(vectors: Vectors, kind: str, least: float) -> None:
    facts = build_index(vectors, kind)
    assert facts is not None
    index = open_index(vectors, facts)
    assert index.ntotal == 3000
    recall = measure_recall(vectors, index)
    assert least <= recall.at_5 <= 1
    # The same figure by brute force: neighbours of evenly spread vectors, themselves left out.
    everything = np.concatenate(list(vectors.blocks()))
    own = np.unique(np.linspace(0, 2999, 500).astype(int))
    cosines = everything[own] @ everything.T
    cosines[np.arange(len(own)), own] = -np.inf
    best = np.argsort(-cosines, axis=1)[:, :5]
    found = index.search(everything[own], 6)[1]
    hits = []
    for row, truth, me in zip(found.tolist(), best.tolist(), own.tolist(), strict=True):
        others = [number for number in row if number != me][:5]
        hits.append(len({*others} & {*truth}) / 5)
    assert recall.at_5 == pytest.approx(np.mean(hits), abs=0.003)


def test_a_tie_counts_as_found(tmp_path: Path) -> None:
    """A corpus of one sentence a hundred times over: any copy is the right answer."""
    vectors = folder_of(tmp_path / "v", [np.tile(clouds(1), (50, 1))] * 2)
    facts = build_index(vectors, "hnsw")
    assert facts is not None
    recall = measure_recall(vectors, open_index(vectors, facts))
    assert (recall.at_1, recall.queries) == (1.0, 100)


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf"])
def test_the_same_vectors_give_the_same_bytes(vectors: Vectors, kind: str) -> None:
    assert build_index(vectors, kind) == build_index(vectors, kind)


def test_codes_are_a_fraction_of_the_vectors(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    small = IndexPlan("ivf", cells=8, probes=8, codes=8)
    monkeypatch.setattr(vector_index, "plan", lambda kind, count, dimension: small)
    facts = build_index(vectors, "ivf")
    assert facts is not None
    codebooks, ids = 256 * WIDTH * 4 + 8 * WIDTH * 4, 3000 * 8
    assert facts["bytes"] <= 3000 * 8 + codebooks + ids + 2000
    assert measure_recall(vectors, open_index(vectors, facts)).at_5 > 0.5
