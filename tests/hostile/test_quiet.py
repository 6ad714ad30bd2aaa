"""No command writes anywhere but to its outputs and to otkit's own cache, none opens a socket, and none runs a pickle
that lies where a library might look for one."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import mostly_slow
from tests.hostile.commands import LINES, Server, words_of

_WITHOUT_SOCKETS = """
import socket, sys
def refuse(event, args):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"):
        sys.stderr.write(f"SOCKET {event} {args}\\n")
        raise RuntimeError("no socket is to be opened")
sys.addaudithook(refuse)
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server in which no socket can be used, with a home of its own."""
    scratch, home = tmp_path_factory.mktemp("watched"), tmp_path_factory.mktemp("home")
    env = {
        "HOME": str(home),
        "XDG_CACHE_HOME": "",
        "TMPDIR": str(scratch / "tmp"),
        "ORT_DISABLE_TELEMETRY": "",
    }
    (scratch / "tmp").mkdir()
    with Server(scratch, env, first=_WITHOUT_SOCKETS) as server:
        yield server, home, scratch


@pytest.mark.parametrize(
    "name",
    mostly_slow(LINES, "extract", "search"),
)
def test_a_command_writes_its_outputs_and_nothing_else(name: str, watched: Any, here: Path) -> None:
    server, home, scratch = watched
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
    words = words_of(name)
    if name == "export":
        words[words.index("transformers")] = "onnx"
        words += ["--min-cosine", "0", "--min-agreement", "0", "--max-retrieval-loss", "100"]
    ended = server.start(words, here)
    assert ended.code == 0, ended.stderr
    assert "SOCKET" not in ended.stderr
    after = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
    assert {path: after.get(path) for path in before} == before
    new = {path.relative_to(here).parts[0] for path in after.keys() - before.keys()}
    assert all(one.startswith("out") or one == "o.json" for one in new), new
    written = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    # Beside otkit's own, only what Matplotlib keeps of the fonts, as for every program that draws.
    ours = (".cache/otkit/", ".cache/matplotlib/fontlist", ".config/matplotlib")
    assert all(path.startswith(ours) for path in written), written
    assert not list((scratch / "tmp").iterdir())


MODULES = ("otkit.exports.quantize", "otkit.exports.onnx", "otkit.encoders.onnx")


@pytest.mark.parametrize("module", mostly_slow(MODULES, "otkit.exports.quantize"))
def test_no_import_leaves_an_identifier_of_the_device(module: str, tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}
    env |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", f"import {module}"], env=env, check=True, capture_output=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# --- pickles


class _Payload:
    """Whoever unpickles it leaves a file: harmless, and seen."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def _plant(folder: Path, ran: Path) -> int:
    """In the place of every file that a library might unpickle, and beside."""
    data, count = pickle.dumps(_Payload(ran)), 0
    for path in [folder, *(one for one in folder.rglob("*") if one.is_dir())]:
        for name in (
            *("training_args.bin", "optimizer.bin", "scheduler.bin", "random_states_0.pkl", "sampler.bin"),
            *("custom_checkpoint_0.pkl", "rng_state.pth", "scaler.pt", "index.pkl", "docstore.pkl"),
            *(
                "tokenizer.pkl",
                "pytorch_model.bin.index.json",
                "adapter_model.bin",
                "metadata.npy",
                "data.npz",
            ),
        ):
            (path / name).write_bytes(data)
            count += 1
    return count


def test_no_pickle_runs_on_open_resume_and_search(server: Server, here: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    align = [*words_of("align"), "--steps", "2"]
    stopped = server.start(align, here, change=10, signal=15)
    assert stopped.code == 143, stopped.stderr
    assert _plant(here / "tiny", ran) + _plant(here / "out", ran) + _plant(here / "vectors", ran) > 45
    server.start([*align, "--resume"], here)  # refused or gone on with: nothing runs
    assert server.start(words_of("search"), here).code == 0
    assert server.start(words_of("extract"), here).code == 0
    assert server.start(words_of("info"), here).code in (0, 1)
    part = here / "vectors" / "part-00000.npy"
    objects = np.array([_Payload(ran)] * 16, dtype=object)
    np.save(part, objects, allow_pickle=True)
    manifest = here / "vectors" / "manifest.json"
    facts = json.loads(manifest.read_text())
    import hashlib

    facts["shards"][0]["files"][part.name] = {
        "bytes": part.stat().st_size,
        "sha256": hashlib.sha256(part.read_bytes()).hexdigest(),
    }
    manifest.write_text(json.dumps(facts))
    assert server.start(words_of("search"), here).code == 1
    assert not ran.exists()


@pytest.mark.slow
def test_no_pickle_of_a_checkpoint_runs_even_under_its_true_hash(
    server: Server, here: Path, tmp_path: Path
) -> None:
    """Whoever writes a checkpoint can write its manifest too."""
    import hashlib

    ran = tmp_path / "ran"
    assert server.start(words_of("align"), here, change=10, signal=15).code == 143
    (step,) = here.glob("out/**/step-*")
    manifest = step / "manifest.json"
    kept = {path: path.read_bytes() for path in step.rglob("*") if path.is_file()}
    places = [path for path in kept if path.suffix in (".bin", ".pkl", ".pt", ".pth")]
    assert len(places) >= 3
    for place in places:
        for path, content in kept.items():
            path.write_bytes(content)
        place.write_bytes(pickle.dumps(_Payload(ran)))
        facts = json.loads(manifest.read_text())
        for name in facts["files"]:
            facts["files"][name] = hashlib.sha256((step / name).read_bytes()).hexdigest()
        manifest.write_text(json.dumps(facts))
        ended = server.start([*words_of("align"), "--resume"], here)
        assert "Traceback" not in ended.stderr, ended.stderr
        assert not ran.exists(), place
        if ended.code == 0:  # of its random states it makes new ones
            assert place.name.startswith("random_states")
            return
