"""Every command with all of its outputs, and the quick way to start it as a process of its own: a server that has
imported everything forks for each start."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.cli.option_table import BASES
from tests.cli.test_every_option import SOURCE, TARGET, make_inputs

__all__ = [
    "LINES",
    "RESUMED",
    "SERVED",
    "Ended",
    "Server",
    "command_of",
    "make_bench",
    "snapshot",
    "words_of",
]

LINES: dict[str, str] = {
    **{
        name: f"{BASES[base]} {more}".strip()
        for name, base, more in (
            ("align", "align", "--dev fr-en.tsv --eval-every 1 --save-every 1 --json o.json"),
            ("extract", "extract to", "--json o.json"),
            ("show-alignment", "show-alignment grid", "-q --format svg --output out.svg"),
            ("report", "report", ""),
            ("check", "check", "--output out.tsv --json o.json"),
            ("embed", "embed", "--json o.json"),
            ("search", "search", "--json o.json"),
            ("project", "project to", "--json o.json"),
            ("tags", "tags to", ""),
            ("lexicon", "lexicon to", "--json o.json"),
            ("export", "export", "--json o.json"),
            ("info", "info", "--json o.json"),
            ("cache", "cache", "list --json o.json -q"),
            ("recipe list", "recipe list", ""),
            ("recipe show", "recipe show", ""),
            ("recipe keys", "recipe keys", ""),
        )
    },
    **{
        name: f"{words} --json o.json" if "--json" not in words else words
        for name, words in BASES.items()
        if name.startswith("evaluate ") and name not in ("evaluate two", "evaluate bad")
    },
}
LINES["evaluate all"] = LINES["evaluate all"].replace("--data pairs", "--data every --fine-tuning xtreme")
"""By the words that call them; all write `out*` and `o.json` in the folder that `make_bench` fills."""

LINES |= {
    "extract --documents": f"{BASES['extract books']} --documents --output out.align --json o.json",
    "project --augment": "project nli/train-en.tsv --augment --target nli/dev-de.tsv --model tiny --share 0.9"
    " --output out.tsv --json o.json -q",
    "lexicon .sqlite": LINES["lexicon"].replace("out.tsv", "out.sqlite"),
    "evaluate xnli --align": BASES["xnli aligned"],
    "export .onnx": LINES["export"].replace("transformers", "onnx")
    + " --min-cosine 0 --min-agreement 0 --max-retrieval-loss 100",
}
"""The same commands at other work, by the option that asks for it."""

SERVED = {"inspect": BASES["inspect"] + " --output out"}
"""Those that end only when they are told."""


def make_bench(folder: Path) -> Path:
    """The inputs of all commands; `every` has the benchmarks of all tasks."""
    make_inputs(folder)
    for name, inner in (("pairs", ""), ("golden", ""), ("nli", "xnli"), ("qa", "xquad")):
        shutil.copytree(folder / name, folder / "every" / inner, dirs_exist_ok=True)
    return folder


def command_of(name: str) -> str:
    """The command of a line, which may have more to its name."""
    return re.split(r" (?=--|\.)", name)[0]


_GO_ON = ("align", "extract", "project", "tags", "lexicon", "embed")
RESUMED = {name for name in LINES if command_of(name) in _GO_ON or name.startswith("evaluate ")}
RESUMED.discard("evaluate projection")
"""Those that go on with --resume."""

# Forks with everything imported are quick. A start ends itself at its n-th change of the file system, or after some
# seconds, by the signal that it is told.
_SERVER = """
import atexit, ctypes, gc, json, os, resource, signal, sys, time
import faiss, torch, transformers.models.bert.modeling_bert
import otkit.api.check, otkit.api.embed, otkit.api.evaluate, otkit.api.export, otkit.api.project, otkit.api.train
import otkit.exports.onnx, otkit.reports.corpus, otkit.training.run, otkit.vectors.search
from otkit.cli.app import main

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "shutil.rmtree")


def as_anybody():
    # Without root's right to read and write what it may not: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER.
    version, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    ctypes.CDLL(None).capget(version, held)
    held[0] &= ~0b1110
    ctypes.CDLL(None).capset(version, held)


def start(job):
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    for number, name in ((0, os.devnull), (1, job["stdout"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o666), number)
    os.dup2(job["said"], 2)
    seen = 0

    def watch(event, args):
        nonlocal seen
        opened = args[2] if event == "open" and isinstance(args[2], int) else 0
        if not (event in CHANGES or opened & (os.O_WRONLY | os.O_RDWR)) or str(args[0]).startswith("/dev/"):
            return
        seen += 1
        if seen == job["change"]:
            os.kill(os.getpid(), job["signal"])

    if job["change"] is not None:
        sys.addaudithook(watch)
    if job["after"] is not None:
        signal.signal(signal.SIGALRM, lambda number, frame: os.kill(os.getpid(), job["signal"]))
        signal.setitimer(signal.ITIMER_REAL, job["after"])
    for name, value in job["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if job["anybody"]:
        as_anybody()
    sys.argv = ["otkit", *job["words"]]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.write(job["count"], f"{seen}\\n".encode())
    os._exit(code)  # an interpreter that takes all of this apart first is slow


gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    (read, job["count"]), (errors, job["said"]) = os.pipe(), os.pipe()
    begun, child = time.monotonic(), os.fork()
    if child == 0:
        start(job)
    os.close(job["count"])
    os.close(job["said"])
    with open(errors, "rb") as said, open(read, "rb") as counted:
        ended = {"stderr": said.read().decode("utf-8", "replace"), "changes": int(counted.read() or 0)}
    _, status, used = os.wait4(child, 0)
    ended |= {"code": os.waitstatus_to_exitcode(status), "peak": used.ru_maxrss}
    print(json.dumps({**ended, "seconds": time.monotonic() - begun}), flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """How a start ended: as subprocess has exit codes; changes of the file system where they were counted."""

    code: int
    stdout: str
    stderr: str
    changes: int
    seconds: float
    peak: int
    """Kilobytes of memory at most."""


class Server:
    """Starts commands as processes of their own."""

    def __init__(
        self,
        scratch: Path,
        env: Mapping[str, str] | None = None,
        *,
        under: Sequence[str] = (),
        first: str = "",
    ) -> None:
        """under: the command that starts the server; first: what it does before it imports anything."""
        self.scratch = scratch
        self.env = {**os.environ, **(env or {}), "PYTHONPATH": str(Path(__file__).parents[2])}
        self.env.pop("ORT_DISABLE_TELEMETRY", None)  # which this process has set for itself
        self._process = subprocess.Popen(
            [*under, sys.executable, "-c", first + _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.env,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self.pid = self._process.pid

    def start(
        self,
        words: list[str],
        cwd: Path,
        *,
        signal: int = 0,
        change: int | None = None,
        after: float | None = None,
        env: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
        anybody: bool = False,
    ) -> Ended:
        """Run a command; `change=0` counts its changes of the file system, `anybody` is root without its rights."""
        out = self.scratch / "stdout"
        out.write_bytes(b"")
        job = {
            "words": words,
            "cwd": str(cwd),
            "env": self.env if env is None else dict(env),
            "stdout": str(out),
            "signal": int(signal),
            "change": change,
            "after": after,
            "limits": dict(limits or {}),
            "anybody": anybody,
        }
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        return Ended(**json.loads(process.stdout.readline()), stdout=out.read_text("utf-8", "replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def words_of(name: str, *more: str) -> list[str]:
    """The words behind `otkit`: of a command by its name, or of a line of them."""
    line = {**LINES, **SERVED}.get(name, name)
    return [{"SOURCE": SOURCE, "TARGET": TARGET}.get(word, word) for word in line.split()] + [*more]


# What differs from run to run, wherever it stands in a document.
_PASSING = {"command", "seconds", "pairs_per_second", "memory_gb", "time", "written", "mtime", "checkpoint"}


def snapshot(folder: Path) -> dict[str, Any]:
    """The outputs of a command, by name: bytes, of JSON without what passes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or not re.match(r"out|o\.json", name) or path.name == ".made-by-otkit.json":
            continue
        if path.name.startswith(".otkit-"):  # what a kill left half written; the next run has to clear it
            continue
        data = path.read_bytes()
        if path.suffix in (".json", ".jsonl"):
            lines = [data] if path.suffix == ".json" else data.splitlines()
            found[name] = [_plain(json.loads(line)) for line in lines]
        elif path.suffix not in (".bin", ".pkl", ".png", ".md"):  # of the optimiser; of what took how long
            found[name] = data
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if name not in _PASSING}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
