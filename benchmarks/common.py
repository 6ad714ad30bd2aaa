"""What the benchmarks share: where the data lies, and how a table is printed and kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import record
from otkit.data.gold import GoldPair, read_gold
from otkit.reports.tables import Column, Table, Value, to_markdown

__all__ = ["FETCHED", "Silent", "data", "data_root", "show", "xlwa"]

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
            f"{path} is missing: fetch it with `python -m benchmarks.data`, or set OTKIT_BENCHMARK_DATA to the folder "
            "of the benchmark data"
        )
    return path


def xlwa() -> dict[str, list[GoldPair]]:
    """The ten development sets of XL-WA by language."""
    files = sorted(data("word-alignment").glob("xlwa-en-*.dev.tsv.gz"))
    return {path.name[8:10]: list(read_gold(path)) for path in files}


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Value]], *, digits: int = 3) -> None:
    """Print a Markdown table, and add it to the result of this run where one is kept."""
    record(title, columns, rows, digits)
    print(to_markdown(Table(title, tuple(Column(name, digits) for name in columns), tuple(map(tuple, rows)))))
