"""What the scripts measured, as JSON: the tables of README.md and the page of results are made of it, and every figure
that the documentation claims is a cell of it.

    python -m benchmarks.record [--check]     # write the tables of all pages anew

A result is a file of `results/`: a command, the run of it, and the tables that the script showed; `python -m
benchmarks.run` makes one. A claim in the documentation is followed by a comment that names its cell: `14.6<!--=
word_alignment: mean @ otkit, the default -->` is the result, the column and the row. A test compares them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from otkit.errors import InputError
from otkit.files import replace_file, to_json, versions, write_file
from otkit.reports.tables import Value

__all__ = [
    "RESULTS",
    "ROOT",
    "VARIABLE",
    "Measured",
    "Result",
    "claims",
    "facts_of_this_run",
    "pages",
    "read",
    "record",
    "results",
    "took_before",
    "with_tables",
]

VARIABLE = "OTKIT_BENCHMARK_RESULT"
"""The file that the tables of a run are added to."""
RESULTS = Path(__file__).with_name("results")
ROOT = Path(__file__).resolve().parent.parent
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d[\d,]*)?\.?\d+(?:e-?\d+)?")
_BLOCK = re.compile(r"(<!-- table: (\w+) (\d+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Measured:
    """A table that a script showed: figures as numbers, or as text where it was written by hand."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    digits: int = 3

    def shown(self, cell: Value) -> str:
        """A cell as the tables have it."""
        return "" if cell is None else f"{cell:.{self.digits}f}" if isinstance(cell, float) else str(cell)

    def markdown(self) -> str:
        """The table as it stands in README.md."""
        figures = [all(_is_figure(row[place]) for row in self.rows) for place in range(len(self.columns))]
        lines = [self.columns, *(tuple(map(self.shown, row)) for row in self.rows)]
        head, *body = (re.sub(r"(?<=\|)  (?=\|)", " ", f"| {' | '.join(cells)} |") for cells in lines)
        rule = "".join("---:|" if figure else "---|" for figure in figures)
        return "\n".join([head, f"|{rule}", *body]) + "\n"


@dataclass(frozen=True)
class Result:
    """A command and what it measured."""

    name: str
    command: str
    run: Mapping[str, Any]
    tables: tuple[Measured, ...]

    def cell(self, column: str, row: str) -> str:
        """The cell as text; an error where no table has it, or several have."""
        found = [
            table.shown(cells[table.columns.index(column)])
            for table in self.tables
            if column in map(_plain, table.columns)
            for cells in table.rows
            if _plain(table.shown(cells[0])) == row
            for table in [_renamed(table)]
        ]
        if len(found) != 1:
            raise InputError(
                f"{len(found)} cells stand in the column {column!r} and the row {row!r}, expected one",
                where=f"{RESULTS.name}/{self.name}.json",
            )
        return found[0]

    def says(self, column: str, row: str, figure: str) -> bool:
        """Whether the cell, rounded as the figure is, is the figure."""
        digits = len(figure.partition(".")[2])
        claimed = round(float(figure.replace(",", "")), digits)
        return any(
            abs(round(float(number.replace(",", "")), digits) - claimed) < 1e-9
            for number in _NUMBER.findall(_plain(self.cell(column, row)))
        )


def _renamed(table: Measured) -> Measured:
    return Measured(table.title, tuple(map(_plain, table.columns)), table.rows, table.digits)


def _plain(text: str) -> str:
    """Without the marks of Markdown."""
    return re.sub(r"[*`]", "", text).strip()


def _is_figure(cell: Value) -> bool:
    return not isinstance(cell, str) or bool(re.match(r"^[*<>~]*[-+]?\.?\d|^$", cell))


def results(folder: Path = RESULTS) -> dict[str, Result]:
    """All results by name."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.json"))}


def read(path: Path) -> Result:
    """One result."""
    document = json.loads(path.read_text(encoding="utf-8"))
    tables = tuple(
        Measured(
            table["title"], tuple(table["columns"]), tuple(map(tuple, table["rows"])), table.get("digits", 3)
        )
        for table in document["tables"]
    )
    return Result(path.stem, document["command"], document["run"], tables)


def record(title: str, columns: Sequence[str], rows: Sequence[Sequence[Value]], digits: int) -> None:
    """Add a table to the result of this run, where `python -m benchmarks.run` asks for one."""
    if VARIABLE not in os.environ:
        return
    path = Path(os.environ[VARIABLE])
    document = json.loads(path.read_text(encoding="utf-8"))
    document["tables"].append(
        {"title": title, "columns": list(columns), "rows": [list(row) for row in rows], "digits": digits}
    )
    replace_file(path, to_json(document))


def took_before(seconds: float, processor_seconds: float, commit: str) -> None:
    """Say of a part of this result at which commit it was measured, and how long it took in an earlier run (0 where it
    was measured in this one): the result has all commits, and the sum."""
    if VARIABLE not in os.environ:
        return
    path = Path(os.environ[VARIABLE])
    document = json.loads(path.read_text(encoding="utf-8"))
    before = document["run"].get("before", {"seconds": 0.0, "processor": 0.0, "commits": []})
    document["run"]["before"] = {
        "seconds": before["seconds"] + seconds,
        "processor": before["processor"] + processor_seconds,
        "commits": sorted({*before["commits"], commit}),
    }
    replace_file(path, to_json(document))


def facts_of_this_run() -> dict[str, Any]:
    """What a figure rests on beside its command: commit, day, machine, versions."""
    git = ["git", "-C", str(Path(__file__).parent)]
    commit = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no", "--", "..", ":!results"],
        capture_output=True,
        text=True,
    ).stdout
    return {
        "commit": (commit or "unknown") + (" with changes" if changed.strip() else ""),
        "on": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
        "versions": versions(),
    }


def _machine() -> str:
    import torch

    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        named = re.search(r"model name\s*: (.+)", information.read_text(encoding="utf-8"))
        processor = named[1] if named else processor
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores of {processor}{device}"


def with_tables(text: str, known: Mapping[str, Result]) -> str:
    """A page with its tables, `<!-- table: RESULT 1 -->` to `<!-- end -->`, as the results have them."""

    def table(found: re.Match[str]) -> str:
        name, number = found[2], int(found[3])
        tables = known[name].tables if name in known else ()
        if not 1 <= number <= len(tables):
            raise InputError(
                f"a page asks for table {number}, and there are {len(tables)}",
                where=f"{RESULTS.name}/{name}.json",
                remedy="change the page, or run the benchmark again",
            )
        return f"{found[1]}{tables[number - 1].markdown()}{found[4]}"

    return _BLOCK.sub(table, text)


def claims(text: str) -> Iterator[tuple[str, str, str, str]]:
    """(figure, result, column, row) of a page's claims."""
    for found in re.finditer(
        r"([-+]?\d[\d,]*(?:\.\d+)?)[*]*<!--= (\w+):\s(.*?)\s@\s(.*?) -->", text, re.DOTALL
    ):
        yield found[1], found[2], " ".join(found[3].split()), " ".join(found[4].split())


# What the build of the docs writes beside the pages.
_GENERATED = ("api", "commands", "settings.md", "results.md")


def pages() -> list[Path]:
    """What is written by hand and may claim something."""
    docs = ROOT / "docs"
    written = (
        path for path in sorted(docs.glob("**/*.md")) if path.relative_to(docs).parts[0] not in _GENERATED
    )
    return [ROOT / "README.md", Path(__file__).with_name("README.md"), *written]


def main() -> None:
    """Write the tables of the pages anew, or say which are not as the results have them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where something would change"
    )
    options = parser.parse_args()
    known = results()
    for path in pages():
        text = path.read_text(encoding="utf-8")
        written = with_tables(text, known)
        if written == text:
            continue
        if options.check:
            raise SystemExit(f"{path} is not as the results have it: python -m benchmarks.record")
        write_file(path, written, overwrite=True)


if __name__ == "__main__":
    main()
