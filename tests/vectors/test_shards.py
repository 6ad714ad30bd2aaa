"""Shards: every number format within its bound, every kind of file with its text, odd text included."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from otkit.vectors.shards import DTYPES, SHARDS, Row, pack

ROWS = [
    Row("c.tsv", 1, "source", "de", 'Sie sagte: "nein"\\'),
    Row("c.tsv", 1, "target", "en", "tabs\tand \u2028 separators"),
    Row("c.tsv", 2, "source", "ar", "مرحبا بالعالم"),
    Row("c.tsv", 3, "target", "", "two\nlines"),
    Row("d.tsv", 1, "text", "zh", "𠮷野家"),
]


@pytest.fixture
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    found = rng.normal(size=(len(ROWS), 24)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    found[3] = 0
    found[4] *= 1e-3
    return found


def test_int8_is_off_by_half_a_step_at_most(vectors: np.ndarray) -> None:
    packed = pack(vectors, "int8")
    assert packed.scales is not None
    assert packed.values.dtype == np.int8
    np.testing.assert_array_equal(packed.scales, (np.abs(vectors).max(axis=1) / 127).astype(np.float32))
    error = np.abs(packed.unpack() - vectors)
    assert (error <= packed.scales[:, None] * 0.5001).all()
    np.testing.assert_array_equal(packed.unpack()[3], 0)


def test_float16_is_rounded_and_float32_is_kept(vectors: np.ndarray) -> None:
    np.testing.assert_array_equal(pack(vectors, "float32").unpack(), vectors)
    np.testing.assert_allclose(pack(vectors, "float16").unpack(), vectors, rtol=2**-11, atol=2**-25)


@pytest.mark.parametrize("kind", SHARDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_is_read(vectors: np.ndarray, kind: str, dtype: str, tmp_path: Path) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    form, packed = SHARDS[kind], pack(vectors, dtype)
    form.write(lambda suffix: tmp_path / f"part{suffix}", ROWS, packed)
    written = {path.name.removeprefix("part") for path in tmp_path.iterdir()}
    assert written == set(form.suffixes) - (set() if dtype == "int8" else {".scales.npy"})
    found = form.vectors(lambda suffix: tmp_path / f"part{suffix}", *vectors.shape)
    assert found.values.dtype == packed.values.dtype
    np.testing.assert_array_equal(found.unpack(), packed.unpack())
    asked = [4, 0, 3, 1, 2, 0]
    assert form.rows(lambda suffix: tmp_path / f"part{suffix}", len(ROWS), asked) == [ROWS[i] for i in asked]


@pytest.mark.parametrize("kind", SHARDS)
def test_words_keep_their_place(kind: str, tmp_path: Path) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    rows = [Row("c", 1, "text", "de", word, place) for place, word in enumerate(["ein", "Haus"])]
    SHARDS[kind].write(
        lambda suffix: tmp_path / f"part{suffix}", rows, pack(np.eye(2, dtype=np.float32), "float32")
    )
    assert SHARDS[kind].rows(lambda suffix: tmp_path / f"part{suffix}", len(rows), [1, 0]) == rows[::-1]


def test_a_row_carries_the_hash_of_its_text(tmp_path: Path) -> None:
    rows = ROWS[:2]
    SHARDS["npy"].write(
        lambda suffix: tmp_path / f"p{suffix}", rows, pack(np.eye(2, dtype=np.float32), "float32")
    )
    lines = (tmp_path / "p.jsonl").read_text(encoding="utf-8").split("\n")[:2]
    import hashlib

    for row, line in zip(rows, lines, strict=True):
        assert json.loads(line)["hash"] == hashlib.sha256(row.text.encode()).hexdigest()[:16]
