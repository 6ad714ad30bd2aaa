"""No command destroys what a user has, whatever is named as an output; all of them, one table."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otkit.cli.app import main
from otkit.files import hold
from tests.conftest import make_tiny_encoder

PAIRS = [("das haus ist klein", "the house is small"), ("ein haus", "a house"), ("die", "the")]

# What each command needs beside the output, and its outputs: option, and what it writes there.
INPUTS = {
    "align": "c.de-en.tsv --model model --steps 1 --batch-size 2 --dev c.de-en.tsv --quiet --output run",
    "extract": "c.de-en.tsv --model model --quiet",
    "show-alignment": "'das haus' 'the house' --model model",
    "check": "c.de-en.tsv --model model --quiet",
    "report": "c.de-en.tsv --model model --quiet --output pages",
    "embed": "c.de-en.tsv --model model --shards npy --quiet --output vectors",
    "evaluate": "retrieval c.de-en.tsv --model model --quiet --output evaluation",
    "export": "model --to transformers --quiet --output exported",
    "info": "model",
    "search": "vectors 'das haus' --quiet",
    "project": "l.conll --target t.txt --model model --quiet",
    "tags": "m.txt t.txt --input-format lines --model model --quiet",
    "lexicon": "c.de-en.tsv --model model --quiet",
    "cache": "list --quiet",
}
FILES = [
    ("align", "--json"),
    ("extract", "--output"),
    ("extract", "--json"),
    ("show-alignment", "--output"),
    ("check", "--output"),
    ("check", "--json"),
    ("embed", "--json"),
    ("evaluate", "--json"),
    ("evaluate", "--chart"),
    ("evaluate", "--markdown"),
    ("export", "--json"),
    ("info", "--json"),
    ("search", "--json"),
    ("project", "--output"),
    ("project", "--json"),
    ("tags", "--output"),
    ("lexicon", "--output"),
    ("lexicon", "--json"),
    ("cache", "--json"),
]
ENDINGS = {"--json": ".json", "--chart": ".png", "--markdown": ".md"}
GIVEN = {"model", "c.de-en.tsv", "l.conll", "t.txt", "m.txt"}
FOLDERS = ["align", "report", "embed", "evaluate", "export"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a corpus and an encoder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    make_tiny_encoder().save(tmp_path / "model")
    (tmp_path / "l.conll").write_text("das\tO\nhaus\tB-X\nist\tO\nklein\tO\n")
    (tmp_path / "t.txt").write_text("the house is small\n")
    (tmp_path / "m.txt").write_text("das <b>haus</b> ist klein\n")
    (tmp_path / "c.de-en.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS))
    return tmp_path


Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, expect an exit code, and give what it said on stderr."""

    def call(command: str, *more: object, code: int | tuple[int, ...] = 0) -> str:
        words = [command, *shlex.split(INPUTS[command])]
        for option in [str(word) for word in more if str(word).startswith("--")]:  # the last one counts
            if option in words:
                place = words.index(option)
                del words[place : place + 2]
        monkeypatch.setattr(sys, "argv", ["otkit", *words, *map(str, more)])
        capfd.readouterr()
        try:
            main()
            ended = 0
        except SystemExit as end:
            ended = int(end.code or 0)
        said = capfd.readouterr().err
        assert ended in (code if isinstance(code, tuple) else (code,)), said
        return " ".join(said.split())

    return call


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_table_above_knows_every_output() -> None:
    """A new command or output option must be put into it."""
    from typer.main import get_command

    from otkit.cli.app import app

    found = set()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        if name == "evaluate":  # its sub-commands share their outputs
            command = command.commands["retrieval"]
        elif name in ("recipe", "inspect"):  # inspect ends when it is told to: tests/inspector has its folder
            continue
        for option in command.params:
            if option.name in ("output", "json_path", "chart", "markdown"):
                found.add((name, max(option.opts, key=len)))
    assert found == {*FILES, *((name, "--output") for name in FOLDERS)}


@pytest.mark.parametrize(("command", "option"), FILES)
def test_a_file_is_neither_an_input_nor_the_users(command: str, option: str, here: Path, run: Run) -> None:
    ending = ENDINGS.get(option, ".tsv")
    hard, theirs = f"hard{ending}", f"thesis{ending}"
    (here / hard).hardlink_to(here / "c.de-en.tsv")
    (here / theirs).write_text("five years")
    before = snapshot(here)
    inputs = {
        "info": ["model/config.json"],
        "cache": [],
        "project": ["l.conll"],
        "tags": ["m.txt"],
        "export": ["model/config.json"],
        "show-alignment": [],
    }.get(command, ["c.de-en.tsv", "./model/../c.de-en.tsv", hard, "model/config.json"])
    form = {"show-alignment": ["--format", "pairs"], "extract": ["--format", "pharaoh"]}.get(command, [])
    for place in (*inputs, theirs):
        said = run(command, option, place, *(form if option == "--output" else []), code=(1, 2))
        assert str(Path(place)) in said
        # An input whose ending the option refuses is safe too.
        reasons = (
            "input of this run",
            "replace it with --overwrite",
            "ends in",
            "whose ending tells no format",
        )
        assert any(reason in said for reason in reasons)
        if place in (hard, theirs):
            assert "input of this run" in said or "replace it with --overwrite" in said
    assert snapshot(here) == before


@pytest.mark.parametrize("command", FOLDERS)
def test_a_folder_is_neither_the_users_nor_an_input(command: str, here: Path, run: Run) -> None:
    (here / "work").mkdir()
    (here / "work" / "thesis.txt").write_text("five years")
    (here / "work" / "index.html").write_text("my page")
    (here / "link").symlink_to("work")
    before = snapshot(here)
    for place, reason in {
        "work": "files that otkit did not make (index.html); choose a new folder, or replace this one with --overwrite",
        "model": "holds" if command == "evaluate" else "input of this run",
        "link": "is a link",
        ".": "current folder",
        "..": "current folder",
        "/": "root folder",
    }.items():
        assert reason in run(command, "--output", place, code=1)
        if place != "work":
            run(command, "--output", place, "--overwrite", code=1)
    assert snapshot(here) == before
    assert (here / "link").is_symlink()
    assert {path.name for path in here.iterdir()} - GIVEN == {"work", "link"}


@pytest.mark.parametrize("command", [name for name in FOLDERS if name not in ("align", "evaluate")])
def test_a_folder_of_ours_is_replaced_until_somebody_changes_it(command: str, here: Path, run: Run) -> None:
    run(command, "--output", "out")
    run(command, "--output", "out")
    (here / "out" / "notes.txt").write_text("what I found")
    assert "notes.txt" in run(command, "--output", "out", code=1)
    assert (here / "out" / "notes.txt").read_text() == "what I found"
    run(command, "--output", "out", "--overwrite")
    assert not (here / "out" / "notes.txt").exists()
    assert {path.name for path in here.iterdir()} - GIVEN == {"out"}


@pytest.mark.parametrize(
    ("command", "option"), [*FILES, *((name, "--output") for name in FOLDERS if name != "evaluate")]
)
def test_a_second_run_is_refused(command: str, option: str, here: Path, run: Run) -> None:
    own = {"extract": ".align", "tags": ".txt", "lexicon": ".tsv"}
    ending = ENDINGS.get(option, own.get(command, ".json"))
    place = "out" if (command, option) not in FILES else f"out{ending}"
    with hold(here / place):
        said = run(command, option, place, code=1)
    assert f"another run writes it (process {os.getpid()}, since 2" in said
    assert "wait for that run" in said


@pytest.mark.parametrize(("command", "option"), [pair for pair in FILES if pair[1] in ("--output", "--json")])
def test_a_pipe_stays_a_pipe(command: str, option: str, here: Path, run: Run) -> None:
    if command == "search":
        run("embed", "--output", "vectors")
    os.mkfifo(here / "pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((here / "pipe").read_bytes()), daemon=True)
    reader.start()
    run(command, option, "pipe")
    reader.join(30)
    assert (here / "pipe").is_fifo()
    assert found[0].strip()


# --- what is interrupted


def test_a_rerun_over_partial_work_is_refused(here: Path, run: Run) -> None:
    """What a kill leaves of `extract`: a part and a state."""
    run("extract", "--output", "whole")
    process = start("extract", "--output", "out", corpus=here / "c.de-en.tsv", lines=200_000)
    wait_for(here / "out.state", process)
    process.kill()
    process.wait()
    kept = (here / "out.partial").read_bytes()
    assert kept
    said = run("extract", "--output", "out", code=1)
    assert "an interrupted run left a part" in said
    assert "go on with --resume, or start over with --overwrite" in said
    assert (here / "out.partial").read_bytes() == kept


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_says_how_to_go_on(here: Path, number: signal.Signals, code: int) -> None:
    process = start("extract", "--output", "o ut", corpus=here / "c.de-en.tsv", lines=200_000)
    wait_for(here / "o ut.state", process)
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == code
    assert "interrupted; go on with: otkit extract c.de-en.tsv" in said
    assert said.rstrip().endswith("--output 'o ut' --threads 1 --resume")
    assert "Traceback" not in said
    assert not list(here.glob(".*"))  # no lock and no temporary file stays


def test_an_interrupted_evaluation_is_gone_on_with_or_started_over(here: Path, run: Run) -> None:
    run("evaluate")
    run("evaluate")  # a finished one is measured again
    task = here / "evaluation" / "retrieval"
    cell = next(task.rglob("cell.json"))
    (task / "unfinished.json").write_text("{}")
    os.utime(task / "unfinished.json", (0, 0))
    assert "an interrupted run of retrieval left finished parts" in run("evaluate", code=1)
    assert cell.is_file()
    assert "finished before" in run("evaluate", "--resume").replace("\n", " ") or cell.is_file()
    run("evaluate")


def start(command: str, *more: str, corpus: Path, lines: int) -> subprocess.Popen[str]:
    with corpus.open("w") as file:
        for _ in range(lines // len(PAIRS)):
            file.writelines(f"{source}\t{target}\n" for source, target in PAIRS)
    words = [sys.executable, "-m", "otkit", command, *shlex.split(INPUTS[command]), *more, "--threads", "1"]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)


def test_a_training_run_is_not_spoilt(here: Path, run: Run) -> None:
    run("align", "--output", "run")
    before = snapshot(here / "run")
    assert "holds an earlier run" in run("align", "--output", "run", code=1)
    for change in (("--seed", "7"), ("--lr", "0.1"), ("--dev", "more.de-en.tsv")):
        (here / "more.de-en.tsv").write_text("a\tb\nc\td\n")
        said = run("align", "--output", "run", "--resume", *change, code=1)
        assert "the run was started otherwise" in said
    assert snapshot(here / "run") == before
    assert "input of this run" in run("align", "--model", "run", "--output", "run", "--overwrite", code=1)
    assert snapshot(here / "run") == before
    run("align", "--output", "run", "--overwrite", "--seed", "7")
    assert snapshot(here / "run") != before
