"""Run benchmarks again, and show what changed.

    python -m benchmarks.run --quick [--resume]              # all that an hour on one processor repeats
    python -m benchmarks.run projection space [--keep]

Each result of suite.toml is a command, run by itself; its tables and the facts of the run become `NAME.json` in the
output folder, beside its log. Then old and new stand side by side, cell by cell. `--keep` puts the new results in the
place of the old (benchmarks/results); the pages that claim a figure have to follow, as the tests say. `--resume` runs
only what has no result of this commit yet.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import children_seconds, ended
from benchmarks.record import RESULTS, ROOT, VARIABLE, Result, facts_of_this_run, read, results
from otkit.errors import InputError, choose
from otkit.files import differences, grow_folder, replace_file, to_json
from otkit.reports.tables import Column, Table, Value, to_markdown

SUITE = Path(__file__).with_name("suite.toml")


@dataclass(frozen=True)
class Entry:
    """A result that can be run again."""

    name: str
    words: str
    minutes: float
    quick: bool
    seeds: str
    sets: tuple[str, ...]
    in_folder: bool = False
    """Whether it keeps its parts in a folder, which it is told to go on with or to throw away."""

    @property
    def command(self) -> str:
        """As a user types it."""
        return f"python -m benchmarks.{self.words}"


def read_suite(path: Path = SUITE) -> dict[str, Entry]:
    """All entries by name."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"is no suite ({error})", where=str(path), remedy="check the path") from error
    return {name: Entry(name, **{**entry, "sets": tuple(entry["sets"])}) for name, entry in document.items()}


def run(entry: Entry, folder: Path, facts: Mapping[str, Any], *, resume: bool) -> Path | None:
    """Run an entry into the folder; None where it failed, which its log explains. resume: a run that was killed goes
    on with the parts that it finished."""
    own = folder.resolve() / f"{entry.name}-parts"
    more = ["--output", str(own), "--resume" if resume else "--overwrite"] if entry.in_folder else []
    begun = folder / f"{entry.name}.begun"
    head = {"command": entry.command, "run": {**facts, "seeds": entry.seeds}, "tables": []}
    replace_file(begun, to_json(head))
    before, clock = children_seconds(), time.monotonic()
    with (folder / f"{entry.name}.log").open("w", encoding="utf-8") as log:
        finished = subprocess.run(
            [sys.executable, "-m", *shlex.split(f"benchmarks.{entry.words}"), *more],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, VARIABLE: str(begun.resolve())},
        )
    processor = children_seconds() - before
    document = json.loads(begun.read_text(encoding="utf-8"))
    if finished.returncode or not document["tables"]:
        return None
    seconds = time.monotonic() - clock
    if earlier := document["run"].pop("before", None):  # parts, some of an earlier run
        seconds, processor = seconds + earlier["seconds"], processor + earlier["processor"]
        document["run"]["commit"] = ", ".join(earlier["commits"])
    document["run"] |= {"seconds": round(seconds, 1), "processor seconds": round(processor, 1)}
    replace_file(folder / f"{entry.name}.json", to_json(document))
    begun.unlink()
    return folder / f"{entry.name}.json"


def is_done(path: Path, entry: Entry, facts: Mapping[str, Any]) -> bool:
    """Whether a result of this very command and commit is there."""
    if not path.exists():
        return False
    found = read(path)
    same = found.command == entry.command and found.run.get("commit") == facts["commit"]
    # Two states "with changes" of one commit, or without git, need not be the same.
    return same and re.fullmatch(r"[0-9a-f]+", facts["commit"]) is not None


def changes(old: Result | None, new: Result) -> Iterator[tuple[str, str, Value, Value, float | None]]:
    """(row, column, old, new, difference) of each cell that both have, or the new one alone."""
    then = _cells(old) if old else {}
    for (row, column), value in _cells(new).items():
        was = then.get((row, column))
        numbers = [_number(one) for one in (was, value)]
        difference = None if None in numbers else float(numbers[1] or 0) - float(numbers[0] or 0)
        yield row, column, was, value, difference


def compared(old: Result | None, new: Result) -> str:
    """How much of a result has a figure of before, and whether that was another command or machine."""
    found = list(changes(old, new))
    both = [difference for *_, difference in found if difference is not None]
    gone = len(set(_cells(old) if old else ()) - set(_cells(new)))
    told = (
        f"{len(both)} figures compared, {sum(abs(one) > 1e-9 for one in both)} of them changed; "
        f"{sum(was is None for _, _, was, _, _ in found)} cells are new, {gone} are gone."
    )
    then = {} if old is None else {"command": old.command, "machine": old.run.get("machine")}
    now = {"command": new.command, "machine": new.run.get("machine")}
    other = differences(then, now) if old else ""
    return f"{told} Beware: {other}." if other else told


def _cells(result: Result) -> dict[tuple[str, str], Value]:
    """The cells by row and column; a table's title is part of the row's name where rows would meet otherwise."""
    found: dict[tuple[str, str], Value] = {}
    for table in result.tables:
        for cells in table.rows:
            label = _bare(table.shown(cells[0]))
            for column, value in zip(table.columns[1:], cells[1:], strict=True):
                key = (label, _bare(column))
                found[(f"{table.title}: {label}", _bare(column)) if key in found else key] = value
    return found


def _bare(text: str) -> str:
    return text.replace("*", "").replace("`", "").strip()


def _number(value: Value) -> float | None:
    try:
        return float(_bare(str(value)).split()[0].replace(",", ""))
    except (ValueError, IndexError):
        return None


def report(pairs: Sequence[tuple[Result | None, Result]]) -> str:
    """Old, new and difference of every result that was run, as Markdown."""
    parts = []
    for old, new in pairs:
        rows = [
            (row, column, "" if was is None else str(was), str(now if now is not None else ""), difference)
            for row, column, was, now, difference in changes(old, new)
            if was is not None or now is not None
        ]
        columns = (Column("row"), Column("column"), Column("old"), Column("new"), Column("difference", 3))
        title = f"{new.name}: {new.command}, {new.run['processor seconds']:.0f} s of processor time"
        parts.append(to_markdown(Table(title, columns, tuple(rows), notes=(compared(old, new),))))
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, show what changed, and say what failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of suite.toml")
    parser.add_argument("--quick", action="store_true", help="all entries that are marked so")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks"))
    parser.add_argument("--resume", action="store_true", help="run only what has no result of this commit")
    parser.add_argument("--keep", action="store_true", help="put the new results in the place of the old")
    parser.add_argument("--suite", type=Path, default=SUITE)
    options = parser.parse_args(arguments)
    suite = read_suite(options.suite)
    chosen = [choose(name, suite, what="benchmark") for name in options.names]
    chosen += [entry for entry in suite.values() if options.quick and entry not in chosen]
    chosen = [entry for entry in chosen if entry.quick or entry.name in options.names]
    if not chosen:
        parser.error(f"name a benchmark ({', '.join(suite)}), or give --quick")
    folder = grow_folder(options.output, "run")
    facts, before = facts_of_this_run(), results()
    made, failed = [], []
    print(f"about {sum(entry.minutes for entry in chosen):.0f} minutes of processor time", file=sys.stderr)
    for entry in chosen:
        path: Path | None = folder / f"{entry.name}.json"
        if not (options.resume and path and is_done(path, entry, facts)):
            print(f"$ {entry.command}", file=sys.stderr, flush=True)
            path = run(entry, folder, facts, resume=options.resume)
        if path is None:
            failed.append(entry.name)
            continue
        made.append((before.get(entry.name), read(path)))
        if options.keep:
            replace_file(RESULTS / path.name, path.read_bytes())
    if made:
        text = report(made)
        replace_file(folder / "changes.md", text)
        print(text)
    for name in failed:
        log = folder / f"{name}.log"
        last = [
            line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
        ]
        print(f"{name} failed: {last[-1] if last else 'it printed nothing'} ({log})", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    ended(main)
