"""The page of results, from the JSON that the benchmarks write: every claim of the documentation with the run that it
rests on, and all tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from modules import write_if_new
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the benchmarks are no part of the package

from benchmarks.record import ROOT, Result, claims, pages, results

INTRODUCTION = """# Results

Made from the JSON in `benchmarks/results`, which the scripts write (`python -m benchmarks.run`), never by hand. First
every figure that these pages and the README claim, with the cell that it stands in; then each result with its run and
its tables. What they mean is said in `benchmarks/README.md`, what was tried and failed in `benchmarks/diary.md`.

`python -m benchmarks.data` fetches the sets. `python -m benchmarks.run --quick` repeats what an hour on one processor
can, and shows what changed. Results that say that they are older were copied, once, from the tables of the commit that
they name.

## What is claimed

| figure | page | row, column and cell | result |
|---|---|---|---|
"""


def write_page(app: Sphinx) -> None:
    known = results()
    parts = [INTRODUCTION.rstrip("\n"), *claimed(known), ""]
    for result in known.values():
        parts += [f"## {title(result.name)}", "", run_of(result), ""]
        for table in result.tables:
            parts += [f"{table.title}:", ""] if table.title else []
            parts.append(table.markdown())
    write_if_new(Path(app.srcdir) / "results.md", "\n".join(parts))


def claimed(known: dict[str, Result]) -> Iterator[str]:
    """A row for each claim."""
    for page in pages():
        for figure, name, column, row in claims(page.read_text(encoding="utf-8")):
            cell = known[name].cell(column, row)
            place = f"{row}; {column}: {cell}".replace("|", "\\|")
            link = f"[{title(name)}](#{title(name).lower().replace(' ', '-')})"
            yield f"| {figure} | {page.relative_to(ROOT).as_posix()} | {place} | {link} |"


def title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def run_of(result: Result) -> str:
    """Command, commit, day, machine, versions and seeds of a result; what was not recorded is said."""
    run = result.run
    if "source" in run:
        return f"Published by others: {run['source']}."
    command = (
        f"`{result.command}`"
        if result.command.startswith("python")
        else result.command[:1].upper() + result.command[1:]
    )
    if run.get("older"):
        return (
            f"{command}. Published on {run['on']} in commit {run['published in']}; the run is older than that commit. "
            f"Machine: {run['machine']}. Versions were not recorded; seeds and intervals stand in the tables."
        )
    named = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    return (
        f"{command}. Run on {run['on']} at commit {run['commit']}, {run['seconds']:.0f} s "
        f"({run['processor seconds']:.0f} s of processor time). Machine: {run['machine']}. Versions: {named}. "
        f"Seeds: {run['seeds']}."
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
