"""Folders of vectors and of graphs whose manifests lie: refused before FAISS or ONNX Runtime reads what they name."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from otkit.encoders.onnx import read_manifest
from otkit.errors import OtkitError
from otkit.vectors.embedder import Embedder
from otkit.vectors.embeddings import TextInput, embed_corpora
from otkit.vectors.folder import open_vectors
from otkit.vectors.index import build_index, exact, open_index
from otkit.vectors.settings import EmbeddingSettings
from tests.conftest import make_tiny_encoder

Change = Callable[[Path, dict[str, Any]], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors")
    text = folder / "de-en.tsv"
    text.write_text("".join(f"das haus {n}\tthe house {n}\n" for n in range(12)), encoding="utf-8")
    config = EmbeddingSettings(shards="npy", index="hnsw")
    inputs = [TextInput(str(text), languages={"source": "de", "target": "en"})]
    embed_corpora(Embedder(make_tiny_encoder()), inputs, folder / "out", config=config)
    return folder / "out"


def _facts(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _shard(**values: Any) -> Change:
    return lambda folder, facts: facts["shards"][0].update(values)


def _file(name: str) -> Change:
    def change(folder: Path, facts: dict[str, Any]) -> None:
        (folder.parent / "outside.npy").write_bytes(b"x")
        facts["shards"][0]["files"] = {name: _facts(folder.parent / "outside.npy")}

    return change


def _array(data: bytes) -> Change:
    """Another array under its true hash: whoever writes the manifest can do this."""

    def change(folder: Path, facts: dict[str, Any]) -> None:
        (folder / "part-00000.npy").write_bytes(data)
        facts["shards"][0]["files"]["part-00000.npy"] = _facts(folder / "part-00000.npy")

    return change


def _rows(data: bytes) -> Change:
    def change(folder: Path, facts: dict[str, Any]) -> None:
        (folder / "part-00000.jsonl").write_bytes(data)
        facts["shards"][0]["files"]["part-00000.jsonl"] = _facts(folder / "part-00000.jsonl")

    return change


def _index(spoil: Callable[[bytes], bytes]) -> Change:
    def change(folder: Path, facts: dict[str, Any]) -> None:
        path = folder / "index.faiss"
        path.write_bytes(spoil(path.read_bytes()))
        facts["index"].update(_facts(path))

    return change


def _npy_header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(64)


LIES: dict[str, Change] = {
    **{
        f"shards are {value!r}": (lambda folder, facts, value=value: facts.update(shards=value))
        for value in (7, None, "x", [7], [None], {"a": 1})
    },
    **{
        f"rows of a shard are {value!r}": _shard(rows=value)
        for value in (10**30, -24, "24", None, [24], 1e300, 23.5)
    },
    **{
        f"a shard is called {value!r}": _shard(name=value)
        for value in ("../../x", "/etc/passwd", None, 7, "part-00001")
    },
    **{
        f"files of a shard are {value!r}": _shard(files=value)
        for value in (None, 7, [], {"part-00000.npy": None}, {"part-00000.npy": {}}, {})
    },
    **{f"a file is {value!r}": _file(value) for value in ("../outside.npy", "/etc/passwd", "..")},
    **{
        f"the width is {value!r}": (lambda folder, facts, value=value: facts["model"].update(dimension=value))
        for value in (0, -1, 10**12, "x", None, 1e400)
    },
    **{
        f"the number of rows is {value!r}": (lambda folder, facts, value=value: facts.update(rows=value))
        for value in (0, 10**12, "x", None)
    },
    "config is a list": lambda folder, facts: facts.update(config=[]),
    "an unknown kind": lambda folder, facts: facts["config"].update(shards="pickle"),
    "a kind of no type": lambda folder, facts: facts["config"].update(shards=[1]),
    "a pickle": _array(pickle.dumps({"a": 1})),
    "an array of objects": _array(_npy_header("(24, 32)").replace(b"<f4", b"|O ")),
    "a terabyte": _array(_npy_header("(1000000000, 1000)")),
    "a negative shape": _array(_npy_header("(-1, 32)")),
    "another shape": _array(_npy_header("(4, 4)")),
    "no array": _array(b""),
    "not finite": lambda folder, facts: (
        np.save(folder / "part-00000.npy", np.full((24, 32), np.nan, np.float32)),
        facts["shards"][0]["files"].update({"part-00000.npy": _facts(folder / "part-00000.npy")}),
    ),
    "rows of another type": _rows(b"7\n" * 24),
    "rows without keys": _rows(b"{}\n" * 24),
    "rows too deep": _rows((b"[" * 100_000 + b"\n") * 24),
    "no rows": _rows(b""),
    **{
        f"an index cut at {size}": _index(lambda data, size=size: data[:size])
        for size in (0, 3, 16, 40, 200, 1000, -1)
    },
    "an index of one letter": _index(lambda data: b"I" * len(data)),
    "the plan of the index": lambda folder, facts: facts["index"].update(plan={"kind": "x"}),
    "the index is text": lambda folder, facts: facts.update(index="x"),
}


def _read_all(folder: Path) -> None:
    vectors = open_vectors(folder)
    if vectors.dimension != 32:  # seen when the first block is
        next(vectors.blocks())
    question = np.ones((1, 32), np.float32)
    exact(vectors, question, 3)
    vectors.rows([0, 5])
    open_index(vectors, vectors.facts["index"]).search(question, 3)


def test_the_folder_itself_is_read(made: Path) -> None:
    _read_all(made)


@pytest.mark.parametrize("kind", LIES)
def test_a_folder_of_vectors_that_lies_is_one_error(kind: str, made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "out"))
    facts = json.loads((folder / "manifest.json").read_text())
    LIES[kind](folder, facts)
    (folder / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(OtkitError):
        _read_all(folder)


@pytest.mark.skipif(os.name != "posix", reason="a process is forked")
@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["hnsw", "ivf", "flat"])
def test_an_index_with_any_numbers_changed_ends_no_process(
    kind: str, count: int, made: Path, tmp_path: Path
) -> None:
    """Entry points, levels, counts and sizes, under a true hash: FAISS refuses them, or finds something."""
    folder = Path(shutil.copytree(made, tmp_path / "out"))
    vectors = open_vectors(folder)
    facts = build_index(vectors, kind)
    assert facts is not None
    path, question = folder / "index.faiss", next(vectors.blocks())[:3]
    whole, luck = path.read_bytes(), random.Random(kind)
    child = os.fork()
    if child == 0:
        signal.alarm(600)
        faiss.omp_set_num_threads(
            1
        )  # OpenMP's other threads are not in a forked child: it would wait for them
        ended = 1
        try:
            for _ in range(count):
                data = bytearray(whole)
                for _ in range(luck.randint(1, 3)):
                    at = luck.choice((luck.randrange(16, 400), luck.randrange(16, len(data) - 8))) & ~3
                    number = luck.choice((-1, 0, 1, 2**31 - 1, -(2**31), luck.randrange(2**31)))
                    data[at : at + 4] = number.to_bytes(4, "little", signed=True)
                path.write_bytes(data)
                with suppress(OtkitError):
                    open_index(vectors, {**facts, **_facts(path)}).search(question, 3)
            ended = 0
        finally:
            os._exit(ended)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


GRAPHS: dict[str, Any] = {
    "no files": {},
    "a list": [],
    "the graph is missing": {"tokenizer.json": {}},
    "a parent": {"model.onnx": {}, "tokenizer.json": {}, "../x": {}},
    "a root": {"model.onnx": {}, "tokenizer.json": {}, "/etc/passwd": {}},
    "no facts": {"model.onnx": None, "tokenizer.json": 7},
    "weights beside it that nobody lists": {"model.onnx": {}, "tokenizer.json": {}},
}


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_is_opened_only_where_the_manifest_lists_all_of_it(kind: str, tmp_path: Path) -> None:
    for name in ("model.onnx", "tokenizer.json", "model.onnx.data"):
        (tmp_path / name).write_bytes(b"x")
    files = GRAPHS[kind]
    if isinstance(files, dict):
        files = {
            name: _facts(tmp_path / name)
            if facts == {} and (tmp_path / name).is_file() and "/" not in name
            else facts
            for name, facts in files.items()
        }
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "otkit-onnx-1", "files": files}))
    with pytest.raises(OtkitError):
        read_manifest(tmp_path)
