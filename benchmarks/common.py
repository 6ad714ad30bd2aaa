"""What the benchmarks share: where the data lies, and how a table is printed and kept."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tomllib
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.record import record
from otkit.data.gold import GoldPair, read_gold
from otkit.errors import OtkitError, OutputError
from otkit.files import MARKER, grow_folder
from otkit.reports.tables import Column, Table, Value, to_markdown

__all__ = [
    "FETCHED",
    "Silent",
    "children_seconds",
    "data",
    "data_root",
    "ended",
    "numbers",
    "patterns",
    "reported",
    "run_folder",
    "show",
    "xlwa",
]

FETCHED = Path("runs/benchmark-data")


class Silent:
    """An observer that looks away."""

    def record(self, record: object, *, step: int, steps: int) -> None:
        """Nothing to see."""

    def note(self, message: str) -> None:
        """Nothing to see."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Nothing to see."""


def data_root() -> Path:
    """Where the benchmark data lies: OTKIT_BENCHMARK_DATA, ../shared/data beside the checkout, or the folder that
    `python -m benchmarks.data` fills."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("OTKIT_BENCHMARK_DATA", beside if beside.exists() else FETCHED))


def data(*parts: str) -> Path:
    """A file of the benchmark data."""
    path = data_root().joinpath(*parts)
    if not path.exists():
        raise SystemExit(
            f"{path} is missing: fetch it with `python -m benchmarks.data{_sets_of(parts)}`, or set"
            " OTKIT_BENCHMARK_DATA to the folder of the benchmark data"
        )
    return path


def _sets_of(parts: Sequence[str]) -> str:
    """The names of the sets that lie in a folder of the benchmark data, as words of a command."""
    document = tomllib.loads(Path(__file__).with_name("data.toml").read_text(encoding="utf-8"))
    asked = "/".join(parts)
    gives = {name: entry["gives"] for name, entry in document.items()}
    fit = [name for name, files in gives.items() if any(fnmatch(asked, each) for each in patterns(files))]
    near = [name for name, files in gives.items() if Path(files).parts[:1] == parts[:1]]
    return "".join(f" {name}" for name in fit or near)


def patterns(gives: str) -> list[str]:
    """The file patterns of a set: `a.{dev,train}.gz` is two."""
    before, brace, rest = gives.partition("{")
    inside, _, after = rest.partition("}")
    return [f"{before}{each}{after}" for each in inside.split(",")] if brace else [gives]


def numbers(description: str | None, **usual: int) -> list[int]:
    """The whole numbers of the command line, in this order; what is left out is as usual."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in usual.items():
        parser.add_argument(
            name, nargs="?", type=_above_zero, default=value, metavar=name.upper(), help=f"default {value}"
        )
    return list(vars(parser.parse_args()).values())


def children_seconds() -> float:
    """Processor time of the processes that this one started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _above_zero(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number of at least 1")
    return int(word)


def run_folder(path: Path, *, resume: bool, overwrite: bool) -> Path:
    """A folder for a run of hours: new, or a run's own, which is gone on with or thrown away only where that is said.

    OutputError: it holds something else, or a run and nothing was said.
    """
    place = grow_folder(path, "run")  # refuses what otkit did not make, also under `overwrite`
    if overwrite and not resume:
        return grow_folder(path, "run", overwrite=True)
    if not resume and any(entry.name != MARKER for entry in place.iterdir()):
        raise OutputError(
            "holds a run already",
            where=str(path),
            remedy=("go on with it: --resume", "throw it away: --overwrite", "name another --output"),
        )
    return place


def ended(main: Callable[[], int | None]) -> None:
    """Run a script; an error of otkit is a line and a status, as it is for the commands."""
    try:
        raise SystemExit(main() or 0)
    except OtkitError as error:
        raise SystemExit(reported(error)) from None


def reported(error: OtkitError) -> int:
    """Print an error for a person, and return its status; scripts have no `overwrite` for what they did not make."""
    print(f"error: {error.told(lambda remedy: None if '=True' in remedy else remedy)}", file=sys.stderr)
    return error.exit_code


def xlwa() -> dict[str, list[GoldPair]]:
    """The ten development sets of XL-WA by language."""
    files = sorted(data("word-alignment").glob("xlwa-en-*.dev.tsv.gz"))
    if not files:
        data("word-alignment", "xlwa-en-bg.dev.tsv.gz")  # says what is missing
    return {path.name[8:10]: list(read_gold(path)) for path in files}


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Value]], *, digits: int = 3) -> None:
    """Print a Markdown table, and add it to the result of this run where one is kept."""
    record(title, columns, rows, digits)
    print(to_markdown(Table(title, tuple(Column(name, digits) for name in columns), tuple(map(tuple, rows)))))
