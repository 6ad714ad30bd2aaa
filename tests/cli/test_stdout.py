"""stdout as it may be: without the signs that are printed, on a full disk, or read by nobody any more."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from otkit.cli.app import app, main
from otkit.cli.stdout import write_data
from tests.cli.conftest import COMMANDS

DATA = ("show-alignment pairs", "show-alignment json", "extract", "check", "check tsv")

Run = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def run(bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command of COMMANDS with a stdout of ours: (exit code, its bytes, stderr)."""
    monkeypatch.chdir(bench)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def call(name: str, stdout: TextIO, *more: str) -> tuple[int, bytes, str]:
        monkeypatch.setattr(sys, "argv", ["otkit", *COMMANDS[name], *more])
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stdout)
            with pytest.raises(SystemExit) as stop:
                main()
        kept = stdout.buffer.getvalue() if isinstance(stdout.buffer, io.BytesIO) else b""
        return int(stop.value.code or 0), kept, capsys.readouterr().err

    return call


@contextlib.contextmanager
def nobody_reads() -> Iterator[TextIO]:
    """A pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    file = os.fdopen(writing, "w", encoding="utf-8")
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


@contextlib.contextmanager
def full_disk() -> Iterator[TextIO]:
    with Path("/dev/full").open("w", encoding="utf-8") as file:
        yield file


def test_every_command_is_here() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    elsewhere = {"embed", "export", "recipe", "project", "tags", "lexicon", "cache", "inspect"}
    assert set(group.commands) - elsewhere == {words[0] for words in COMMANDS.values()}


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", COMMANDS)
def test_signs_that_an_encoding_lacks(run: Run, name: str, encoding: str) -> None:
    """Data is UTF-8 whatever the encoding; what is drawn for people keeps to its signs."""
    code, found, err = run(name, io.TextIOWrapper(io.BytesIO(), encoding=encoding), "--quiet")
    assert (code, err) == (0, "")
    code, expected, _ = run(name, io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), "--quiet")
    assert code == 0
    if name in DATA:
        assert found == expected
        assert "房子".encode() in found
    else:
        text = found.decode(encoding)
        assert not re.search("[─│●░█…]", text)
        assert len(text.splitlines()) >= len(expected.decode().splitlines()) // 2
        for word in re.findall(r"\b0\.\d+|\btiny\b|\bhouse\b", expected.decode()):
            assert word in text


def test_words_of_a_grid_keep_the_letters_that_the_encoding_has(run: Run) -> None:
    _, found, _ = run("show-alignment", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"), "--quiet")
    assert "Häuser" in found.decode("cp1252")
    assert "\\u623f\\u5b50" in found.decode("cp1252")
    _, found, _ = run("search", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"), "--quiet")
    assert "die Straße ??" in found.decode("cp1252")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_exit_one(run: Run, name: str) -> None:
    with full_disk() as full:
        code, _, err = run(name, full, "--quiet")
    assert code == 1
    assert err == (
        "error: <stdout>: cannot be written: No space left on device; make room there, or send the output to another "
        "place\n"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_has_gone_is_no_error(run: Run, name: str) -> None:
    with nobody_reads() as pipe:
        code, _, err = run(name, pipe, "--quiet")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("name", ["evaluate", "check", "search", "info"])
def test_figures_are_written_whoever_reads_stdout(run: Run, bench: Path, tmp_path: Path, name: str) -> None:
    for kind in (nobody_reads, full_disk):
        path = tmp_path / f"{kind.__name__}.json"
        with kind() as file:
            run(name, file, "--json", str(path), "--quiet")
        assert json.loads(path.read_text(encoding="utf-8"))["versions"]


@pytest.mark.parametrize(
    "words", [("--version",), pytest.param(("info", "{tiny}", "--quiet"), marks=pytest.mark.slow)]
)
def test_a_real_process_ends_as_it_should(bench: Path, words: tuple[str, ...]) -> None:
    """An interpreter flushes stdout once more at its end, when nobody can answer."""
    command = [sys.executable, "-m", "otkit", *(word.format(tiny=bench / "tiny") for word in words)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    with full_disk() as full:
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert found.returncode == 1
    assert re.fullmatch(rb"error: <stdout>: cannot be written: [^\n]*\n", found.stderr), found.stderr
    with nobody_reads() as pipe:
        found = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, env=environment, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
    found = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
    assert found.stdout.decode("ascii")


def test_the_onnx_example_says_what_it_needs() -> None:
    script = Path(__file__).parents[2] / "examples" / "use_onnx.py"
    for words, complaint in (
        ((), "are required: folder, source, target"),
        (("x", "a", "b"), "x has no model.onnx"),
    ):
        found = subprocess.run(
            [sys.executable, str(script), *words], capture_output=True, text=True, check=False
        )
        assert found.returncode == 2
        assert complaint in found.stderr
        assert "Traceback" not in found.stderr


def test_a_stdout_without_bytes_takes_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a notebook, or a StringIO."""
    taken = io.StringIO()
    monkeypatch.setattr(sys, "stdout", taken)
    assert write_data("das Haus\n")
    assert taken.getvalue() == "das Haus\n"
