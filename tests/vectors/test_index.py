"""The index: parameters that fit the size, exact search against NumPy, recall against truth, the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
import pytest

from otkit.errors import ConfigError
from otkit.vectors import index as vector_index
from otkit.vectors.folder import Vectors, growing
from otkit.vectors.index import IndexPlan, Recall, build_index, exact, measure_recall, open_index, plan
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


def test_a_corpus_of_one_sentence_has_no_neighbours_to_miss(tmp_path: Path) -> None:
    vectors = folder_of(tmp_path / "v", [np.tile(clouds(1), (50, 1))] * 2)
    facts = build_index(vectors, "hnsw")
    assert facts is not None
    assert measure_recall(vectors, open_index(vectors, facts)) == Recall(1.0, 1.0, 1)


@pytest.mark.parametrize("lost", [0, 100, 400])
def test_recall_is_of_distinct_sentences_however_many_copies_find_each_other(
    lost: int, tmp_path: Path
) -> None:
    """Half of the corpus is one sentence. An exact index that lost some of the others, neighbours of all alike, is one
    whose recall is known."""
    alone = np.random.default_rng(2).standard_normal((400, WIDTH)).astype(np.float32)
    alone /= np.linalg.norm(alone, axis=1, keepdims=True)
    rows = np.concatenate([alone, np.tile(clouds(1), (400, 1))])[np.random.default_rng(3).permutation(800)]
    vectors = folder_of(tmp_path / "v", [rows[:500], rows[500:]])
    single = np.flatnonzero((rows @ clouds(1)[0]) < 0.999)
    index = faiss.IndexFlatIP(WIDTH)
    missing = np.random.default_rng(4).permutation(single)[:lost]
    held = rows.copy()
    held[missing] = 0  # nearest to nobody
    index.add(held)
    recall = measure_recall(vectors, index)
    # By hand: each single sentence and the copied one, what is nearest to it and no copy, and whether it is held.
    copied = int(np.setdiff1d(np.arange(800), single)[0])
    hits = []
    for query in [*single.tolist(), copied]:
        cosines = rows @ rows[query]
        cosines[cosines > 0.9999] = -2
        hits.append(int(cosines.argmax()) not in missing)
    hits.pop()  # the six places of its answer are all its own copies: nothing is left to be judged
    assert recall.queries == 401
    assert recall.at_1 == pytest.approx(np.mean(hits), abs=0.02)
    if lost == 400:
        assert recall.at_5 < 0.05
    elif not lost:
        assert recall == Recall(1.0, 1.0, 401)


def test_copies_fill_places_and_are_no_neighbours(tmp_path: Path) -> None:
    """Every sentence twice: of six places two are its own, four are judged."""
    rows = np.repeat(clouds(300, seed=5), 2, axis=0)
    vectors = folder_of(tmp_path / "v", [rows])
    facts = build_index(vectors, "flat")
    assert facts is not None
    assert measure_recall(vectors, open_index(vectors, facts)) == Recall(1.0, 1.0, 300)
    wrong = faiss.IndexFlatIP(WIDTH)
    wrong.add(np.concatenate([rows[:2], -rows[2:]]))  # near is what is farthest
    assert measure_recall(vectors, wrong).at_5 < 0.05


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
