"""Files that lie: folders and files of encoders, vectors and runs, crafted or broken, end in one clear error."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from otkit.encoders.open import open_encoder
from otkit.errors import OtkitError
from otkit.evaluation.protocol import CellStore, Findings, Task
from otkit.files import check_file, json_in, made_here, parse_json
from otkit.recipes import read_recipe
from otkit.settings import declared
from otkit.training.checkpoints import latest_checkpoint
from otkit.training.recipe import Recipe
from otkit.vectors.folder import open_vectors
from otkit.vectors.writer import read_state
from tests.conftest import make_tiny_encoder
from tests.encoders.test_checkpoint import write_gguf_file

DEEP = b"[" * 100_000
Spoil = Callable[[Path], object]

JUNK: dict[str, bytes] = {
    "empty": b"",
    "list": b"[]",
    "null": b"null",
    "number": b"1e999",
    "text": b'"x"',
    "cut": b'{"a": ',
    "binary": bytes(range(256)),
    "deep": DEEP,
    "surrogate": b'{"model_type": "\\ud800"}',
    "digits": b'{"vocab_size": ' + b"9" * 5000 + b"}",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    make_tiny_encoder().save(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


def _changed(name: str, **values: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / name
        document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        path.write_text(json.dumps({**document, **values}), encoding="utf-8")

    return spoil


def _weights(change: Callable[[bytearray, dict[str, Any]], bytes | None]) -> Spoil:
    """Change the safetensors file by its header and its bytes."""

    def spoil(folder: Path) -> None:
        path = folder / "model.safetensors"
        data = bytearray(path.read_bytes())
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + size])
        found = change(data, header)
        if found is None:
            text = json.dumps(header).encode()
            found = struct.pack("<Q", len(text)) + text + bytes(data[8 + size :])
        path.write_bytes(found)

    return spoil


def _offsets(first: int, last: int) -> Spoil:
    def change(data: bytearray, header: dict[str, Any]) -> None:
        next(v for k, v in header.items() if k != "__metadata__")["data_offsets"] = [first, last]

    return _weights(change)


def _shape(*shape: int) -> Spoil:
    def change(data: bytearray, header: dict[str, Any]) -> None:
        next(v for k, v in header.items() if k != "__metadata__")["shape"] = list(shape)

    return _weights(change)


def _elsewhere(place: str) -> Spoil:
    def spoil(folder: Path) -> None:
        shutil.copy(folder / "model.safetensors", folder.parent / "outside.safetensors")
        names = json.loads(_header(folder / "model.safetensors"))
        shards = dict.fromkeys((name for name in names if name != "__metadata__"), place)
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": shards})
        )

    return spoil


def _header(path: Path) -> bytes:
    data = path.read_bytes()
    return data[8 : 8 + struct.unpack("<Q", data[:8])[0]]


SPOILT: dict[str, Spoil] = {
    **{
        f"{name} {kind}": (lambda folder, name=name, junk=junk: (folder / name).write_bytes(junk))
        for name in ("config.json", "tokenizer.json", "model.safetensors")
        for kind, junk in JUNK.items()
    },
    **{
        f"config.json {key}={value}": _changed("config.json", **{key: value})
        for key, values in {
            "num_hidden_layers": (10**9, -1, "two", 2.5, [2], 1e300),
            "hidden_size": (10**9, 0, -32, "x"),
            "vocab_size": (10**12, -5, 1),
            "num_attention_heads": (0, 7, 10**9),
            "intermediate_size": (10**12, 3),
            "max_position_embeddings": (0, 10**12),
            "model_type": ("\x1b[31mbert", "../../x", 7, None, "no such"),
            "hidden_act": ("no such", 7),
        }.items()
        for value in values
    },
    "weights: a header of 2^63 bytes": _weights(lambda data, _: struct.pack("<Q", 2**63) + bytes(data[8:])),
    "weights: a header longer than the file": _weights(
        lambda data, _: struct.pack("<Q", len(data)) + bytes(data[8:])
    ),
    "weights: cut in the header": _weights(lambda data, _: bytes(data[:50])),
    "weights: cut by a byte": _weights(lambda data, _: bytes(data[:-1])),
    "weights: bytes after the end": _weights(lambda data, _: bytes(data) + b"x"),
    "weights: overlapping": _offsets(0, 8),
    "weights: past the end": _offsets(0, 2**62),
    "weights: negative": _offsets(-8, 0),
    "weights: a shape of 2^40": _shape(2**40, 2**40),
    "index: a parent": _elsewhere("../outside.safetensors"),
    "index: a root": _elsewhere("/outside.safetensors"),
    "index: no table": lambda folder: (folder / "model.safetensors.index.json").write_text(
        '{"weight_map": [1]}'
    ),
    "pooling: no table": lambda folder: (folder / "otkit.json").write_text('{"encoder": 7}'),
    "layers: texts": lambda folder: (folder / "otkit.json").write_text(
        '{"encoder": {"alignment_layers": ["x"]}}'
    ),
    "layers: outside": lambda folder: (folder / "otkit.json").write_text(
        '{"encoder": {"alignment_layers": [9]}}'
    ),
    "settings: deep": lambda folder: (folder / "otkit.json").write_bytes(DEEP),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_folder_is_one_error(kind: str, folder: Path) -> None:
    SPOILT[kind](folder)
    with pytest.raises(OtkitError):
        open_encoder(folder, device="cpu")


class _Payload:
    """Whoever unpickles it leaves a file: harmless, and seen."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


PICKLES = (
    "training_args.bin",
    "optimizer.bin",
    "pytorch_model.bin",
    "scheduler.bin",
    "random_states_0.pkl",
    "x.npy",
)


def test_a_pickle_beside_an_encoder_is_never_read(folder: Path, tmp_path: Path) -> None:
    for name in PICKLES:
        (folder / name).write_bytes(pickle.dumps(_Payload(tmp_path / "ran")))
    open_encoder(folder, device="cpu")
    (folder / "model.safetensors").unlink()
    with pytest.raises(OtkitError, match="pickle"):
        open_encoder(folder, device="cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["tiny/aligned", "tiny/deep/er", "./x", "/no/such"])
def test_a_mistyped_path_is_not_asked_of_the_hub(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the Hub"))
    (folder / "deep").mkdir()
    with pytest.raises(OtkitError, match="no such file or folder"):
        open_encoder(name, device="cpu")


@pytest.mark.parametrize(
    "junk", [*JUNK.values(), b"{}", b'{"of": 1, "shards": 2, "known": 3}'], ids=lambda junk: repr(junk[:12])
)
def test_a_file_of_a_run_that_is_junk_is_named_or_passed_over(junk: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(junk)
    with pytest.raises(OtkitError):
        read_state(tmp_path)
    (tmp_path / "manifest.json").write_bytes(junk)
    with pytest.raises(OtkitError):
        open_vectors(tmp_path)
    store = CellStore(tmp_path / "cells", resume=True)
    (store.place("t", "model", 0) / "cell.json").write_bytes(junk)
    with suppress(OtkitError):
        assert store.load(Task("t", (), lambda *_: Findings({}), {}), "model", 0, {}) is None
    step = tmp_path / "step-1"
    step.mkdir()
    (step / "manifest.json").write_bytes(junk)
    notes: list[str] = []
    assert latest_checkpoint(tmp_path, note=notes.append) is None
    (tmp_path / "made.txt").write_text("x")
    assert made_here(tmp_path / "made.txt") is None
    with pytest.raises(OtkitError, match="did not make"):
        check_file(tmp_path / "made.txt")


RECIPES = {
    "a table of a name": "[alignment]\ntransport = {a = 1}\n",
    "a list of a name": '[alignment]\ntransport = ["balanced"]\n',
    "a truth of a name": "[alignment]\ntransport = true\n",
    "a number of a name": "[alignment]\ntransport = 7\n",
    "a date": "[alignment]\nepsilon = 1979-05-27\n",
    "a table of a number": "[alignment]\nepsilon = {a = 1}\n",
    "a list of a number": "[alignment]\nepsilon = [1]\n",
    "a list in a list": "[alignment]\nlayers = [[1]]\n",
    "infinity": "[alignment]\nepsilon = inf\n",
    "nan": "[alignment]\ntau = nan\n",
    "digits": f"[alignment]\nepsilon = {'9' * 5000}\n",
    "large": f"[alignment]\nepsilon = {'9' * 400}\n",
    "no table": "alignment = 7\n",
    "a list of tables": "[[alignment]]\nepsilon = 1\n",
    "losses": "[objective]\nlosses = [1, 2]\n",
    "weights": '[objective]\nlosses = {ot = "x"}\n',
    "steps": "[training]\nsteps = [1]\n",
    "freeze": "[tuning]\nfreeze = []\n",
    "deep": "[alignment]\nx = " + "[" * 20_000,
    "huge": "#" * 2_000_000,
    "NUL": "[alignment]\x00",
}


@pytest.mark.parametrize("kind", RECIPES)
def test_a_recipe_of_wrong_types_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(RECIPES[kind], encoding="utf-8")
    with pytest.raises(OtkitError) as refused:
        Recipe.read(path)
    assert len(str(refused.value)) < 2000
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OtkitError):
        read_recipe(path)


EVERY = [
    (table, known)
    for table in ("alignment", "check", "objective", "batching", "training", "tuning")
    for known in declared(type(getattr(Recipe(), table))).values()
]


@pytest.mark.parametrize(("table", "known"), EVERY, ids=[f"{table}.{known.name}" for table, known in EVERY])
def test_every_key_of_a_recipe_refuses_what_is_of_no_type_of_its_own(table: str, known: Any) -> None:
    for value in ({"a": {"b": 1}}, [[1, 2, 3]], [{"a": 1}], b"x", object(), 1j):
        with pytest.raises(OtkitError):
            Recipe().changed(**{table: {known.name: value}})


def test_json_has_one_door(tmp_path: Path) -> None:
    (tmp_path / "x.json").touch()
    os.truncate(tmp_path / "x.json", 8 << 30)
    for path in (tmp_path / "x.json", Path("/dev/zero")):
        with pytest.raises(ValueError, match=r"bytes, expected at most 268,435,456"):
            json_in(path)
    for junk in (DEEP, b"\xff", b"", b"9" * 5000):
        with pytest.raises(ValueError, match=r"."):
            parse_json(junk)


GGUF: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    **{
        f"{key}={value}": (lambda fields, tensors, key=key, value=value: fields.update({key: value}))
        for key, values in {
            "bert.block_count": (10**9, 0, 4_000_000_000, 1e9, float("nan"), float("inf"), "x", [1, 2]),
            "bert.embedding_length": (0, 2**31, float("inf"), "x"),
            "bert.attention.head_count": (0, 3, 2**31, float("nan")),
            "bert.feed_forward_length": (0, 2**31),
            "bert.context_length": (0, 2**31),
            "bert.vocab_size": (2**31, "x", [1]),
            "architecture": ("\x1b[31mbert", "llama", ""),
        }.items()
        for value in values
    },
    "a flat table": lambda fields, tensors: tensors.update(
        {"token_embd.weight": tensors["token_embd.weight"][0]}
    ),
    "a flat table of types": lambda fields, tensors: tensors.update(
        {"token_types.weight": tensors["token_types.weight"][0]}
    ),
    "a foreign tensor": lambda fields, tensors: tensors.update({"\x1b[2Jx": tensors["token_embd.weight"]}),
    "no tensors": lambda fields, tensors: tensors.clear(),
}


@pytest.mark.parametrize("kind", GGUF)
def test_a_gguf_file_that_lies_is_one_error(kind: str, tmp_path: Path) -> None:
    path = write_gguf_file(tmp_path / "x.gguf", GGUF[kind])
    with pytest.raises(OtkitError) as refused:
        open_encoder(path, device="cpu")
    assert len(str(refused.value)) < 1000


def test_a_gguf_file_whose_texts_are_no_text_is_one_error(tmp_path: Path) -> None:
    whole = write_gguf_file(tmp_path / "x.gguf").read_bytes()
    for word in (b"bert", b"general.architecture", b"token_embd.weight", b"bert.block_count"):
        (tmp_path / "y.gguf").write_bytes(whole.replace(word, b"\xff" * len(word)))
        with pytest.raises(OtkitError):
            open_encoder(tmp_path / "y.gguf", device="cpu")
