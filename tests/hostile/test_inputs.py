"""Every command that reads files, with files that are none: a folder, a device, nothing, emptiness, bytes, a bomb."""

from __future__ import annotations

import gzip
import os
import signal
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otkit.cli.app import main
from otkit.data.parallel import read_pairs
from tests.conftest import make_tiny_encoder

COMMANDS = {
    "extract": ["extract", "FILE", "--model", "tiny", "--output", "out.align"],
    "check": ["check", "FILE", "--model", "tiny", "--output", "out.jsonl"],
    "report": ["report", "FILE", "--model", "tiny", "--output", "pages"],
    "embed": ["embed", "FILE", "--model", "tiny", "--output", "vectors"],
    "align": ["align", "FILE", "--model", "tiny", "--output", "aligned", "--steps", "1", "--langs", "de-en"],
    "align --dev": [
        "align",
        "good.de-en.tsv",
        "--dev",
        "FILE",
        "--model",
        "tiny",
        "--output",
        "aligned",
        "--steps",
        "1",
    ],
    "retrieval": ["evaluate", "retrieval", "FILE", "--model", "tiny", "-o", "cells"],
    "word-alignment": ["evaluate", "word-alignment", "--gold", "FILE", "--model", "tiny", "-o", "cells"],
    "info": ["info", "FILE"],
    "search": ["search", "FILE", "a question"],
    "export": ["export", "FILE", "--output", "exported"],
    "recipe show": ["recipe", "show", "FILE"],
    "show-alignment": ["show-alignment", "das haus", "the house", "--model", "FILE"],
    "extract --recipe": [
        "extract",
        "good.de-en.tsv",
        "--recipe",
        "FILE",
        "--model",
        "tiny",
        "--output",
        "out.align",
    ],
}
FILES = (
    "folder",
    "/dev/null",
    "/dev/zero",
    "missing.de-en.tsv",
    "empty.de-en.tsv",
    "bytes.de-en.tsv",
    "bytes.de-en.tsv.gz",
    "long.de-en.tsv",
    "loop",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_tiny_encoder().save(folder / "tiny")
    (folder / "good.de-en.tsv").write_text("das haus\tthe house\n" * 4, encoding="utf-8")
    (folder / "folder").mkdir()
    (folder / "empty.de-en.tsv").touch()
    (folder / "bytes.de-en.tsv").write_bytes(bytes(range(256)) * 40)
    (folder / "bytes.de-en.tsv.gz").write_bytes(b"\x1f\x8b" + bytes(range(256)))
    (folder / "long.de-en.tsv").write_bytes(b"a" * 3_000_000)
    (folder / "loop").symlink_to("loop")
    return folder


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """What has no end is stopped; how long the rest takes is nobody's business."""

    def stop(number: int, frame: object) -> None:
        raise AssertionError("it does not end")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(os.name != "posix", reason="devices and alarms are POSIX's")
@pytest.mark.parametrize(
    ("command", "file"),
    [
        # Each command meets three kinds of files, and each kind four commands or five; the slow suite has all.
        pytest.param(command, file, marks=() if (m + n) % 3 == 0 else pytest.mark.slow)
        for m, command in enumerate(COMMANDS)
        for n, file in enumerate(FILES)
    ],
)
def test_a_file_that_is_none_is_one_line(
    command: str, file: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if file == "empty.de-en.tsv" and "recipe" in command:
        return  # a recipe that changes nothing
    monkeypatch.chdir(place)
    before = [path for path in sorted(place.rglob("*")) if "vectors.partial" not in str(path)]
    words = [file if word == "FILE" else word for word in COMMANDS[command]]
    monkeypatch.setattr(
        sys, "argv", ["otkit", *words, *([] if command in ("recipe show", "info") else ["--quiet"])]
    )
    with no_longer_than(120), pytest.raises(SystemExit) as ended:
        main()
    said = capfd.readouterr().err
    assert ended.value.code in (1, 2), said
    assert "Traceback" not in said
    assert len([line for line in said.splitlines() if line.startswith("error: ")]) == 1, said
    assert len(said) < 4000
    # What embed had done before a bad file is kept, to go on with.
    assert [path for path in sorted(place.rglob("*")) if "vectors.partial" not in str(path)] == before


def test_a_bomb_is_read_as_a_stream(tmp_path: Path) -> None:
    """Twenty megabytes of lines from some kilobytes: what memory holds is a piece of them."""
    path = tmp_path / "bomb.de-en.tsv.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(20):
            file.write(b"\n" * 1_000_000)
    tracemalloc.start()
    try:
        lines = sum(
            1 for _ in zip(range(100_000), read_pairs(path, format="tsv", on_error="skip"), strict=False)
        )
        assert lines == 100_000
        assert tracemalloc.get_traced_memory()[1] < 15_000_000
    finally:
        tracemalloc.stop()
