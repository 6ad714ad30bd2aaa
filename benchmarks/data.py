"""The public sets that the benchmarks read, by one command: fetched from their homes, checked, laid out.

    python -m benchmarks.data --list
    python -m benchmarks.data xl-wa tatoeba --accept [--output runs/benchmark-data]
    OTKIT_BENCHMARK_DATA=runs/benchmark-data python -m benchmarks.word_alignment

Every set has a licence of its own, which is shown and asked for (`--accept` says yes to all that are named). What was
fetched lies under `downloads/` and is not fetched again; a download that was cut is gone on with. `--mirror URL` reads
`URL/host/path` instead of `https://host/path`. The table of sets is data.toml.
"""

from __future__ import annotations

import argparse
import gzip
import io
import itertools
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.common import FETCHED, patterns, reported
from benchmarks.download import Remote, fetch
from benchmarks.layouts import LAYOUTS
from otkit.errors import ConfigError, InputError, OtkitError, choose
from otkit.files import grow_folder, replace_file, sha256_of, to_json

TABLE = Path(__file__).with_name("data.toml")
RECORD = "sets.json"
"""In the data folder: what was accepted and fetched, with sums, and what was laid out."""


@dataclass(frozen=True)
class PublicSet:
    """One set of the table."""

    name: str
    title: str
    home: str
    licence: str
    gives: str
    files: tuple[Remote, ...]
    by_hand: str | None = None
    """What to do where no address is known."""

    def shown(self) -> str:
        """For a person who decides."""
        size = sum(remote.most for remote in self.files) / 1e6
        return (
            f"{self.name}: {self.title}\n  home     {self.home}\n  licence  {self.licence}\n"
            f"  gives    {self.gives}\n  fetches  {len(self.files)} files, at most {size:.0f} MB"
        )


def read_table(path: Path = TABLE) -> dict[str, PublicSet]:
    """All sets by name."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"is no table of sets ({error})", where=str(path), remedy="check the path"
        ) from error
    return {
        name: PublicSet(
            name=name,
            title=entry["title"],
            home=entry["home"],
            licence=entry["licence"],
            gives=entry["gives"],
            files=tuple(remote for files in entry.get("files", ()) for remote in _expanded(files)),
            by_hand=entry.get("by_hand"),
        )
        for name, entry in document.items()
    }


def _expanded(files: Mapping[str, Any]) -> Iterator[Remote]:
    """A file for each combination of the values of `each`; a value may name another (`{language}`)."""
    each = files.get("each", {})
    sums = files.get("sha256", {})
    for values in itertools.product(*each.values()):
        filled = dict(zip(each, values, strict=True))
        filled = {key: value.format(**filled) for key, value in filled.items()}
        name = files["name"].format(**filled)
        known = sums if isinstance(sums, str) else sums.get(name)
        yield Remote(name, files["url"].format(**filled), files["most"], known)


def bring(entry: PublicSet, folder: Path, *, mirror: str | None = None, pause: float = 2.0) -> None:
    """Fetch a set into the data folder and lay it out; what is there already stays."""
    record = read_record(folder)
    seen = record.get(entry.name, {})
    if _is_laid_out(folder, seen):
        print(f"{entry.name}: is there")
        return
    raw = folder / "downloads" / entry.name
    fetched: dict[str, Any] = dict(seen.get("fetched", {}))
    for remote in entry.files:
        recorded = fetched.get(remote.name, {}).get("sha256")
        found = fetch(
            remote, raw / remote.name, expected=remote.sha256 or recorded, mirror=mirror, pause=pause
        )
        fetched[remote.name] = {
            "url": remote.at(mirror),
            "sha256": found,
            "published": remote.sha256 is not None,
        }
        _keep(folder, entry, {"licence": entry.licence, "fetched": fetched})
    unknown = [name for name, facts in fetched.items() if not facts["published"]]
    if unknown:
        print(
            f"{entry.name}: no sum is published for {len(unknown)} of {len(fetched)} files; those of this fetch are "
            f"recorded in {folder / RECORD} and asked of every later one"
        )
    laid: dict[str, str] = {}
    try:
        for name, lines in LAYOUTS[entry.name](raw):
            lay(folder / name, packed(lines))
            laid[name] = sha256_of(folder / name)
    except (InputError, ValueError, KeyError, IndexError) as error:
        if not unknown:
            raise
        # A file without a published sum may have come cut, or as something else: it is not kept as if it were the set.
        for name in unknown:
            (raw / name).unlink(missing_ok=True)
            del fetched[name]
        _keep(folder, entry, {"licence": entry.licence, "fetched": fetched})
        raise InputError(
            f"what was fetched cannot be laid out ({type(error).__name__}: {error})",
            where=entry.name,
            remedy="run again: files without a published sum are fetched anew",
        ) from error
    today = datetime.now(UTC).date().isoformat()
    _keep(folder, entry, {"licence": entry.licence, "fetched": fetched, "laid out": laid, "on": today})
    print(f"{entry.name}: {len(laid)} files laid out")


def lay(path: Path, content: bytes) -> None:
    """Write a file of the data folder; one with other content is moved aside and said."""
    if path.exists():
        if path.read_bytes() == content:
            return
        aside = next(
            name
            for number in itertools.count(1)
            if not (name := path.with_name(f"{path.name}.old{number}")).exists()
        )
        path.rename(aside)
        print(f"{path} was another file: it is {aside.name} now")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)


def read_record(folder: Path) -> dict[str, Any]:
    """What the data folder holds, by set."""
    path = folder / RECORD
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except ValueError as error:
        raise InputError(
            f"is no record of sets ({error})", where=str(path), remedy="delete it: the sets are laid out anew"
        ) from error


def has_set(folder: Path, entry: PublicSet) -> bool:
    """Whether the folder holds a set: whole, where this script brought it; of any other folder each kind of its files
    is asked for."""
    if seen := read_record(folder).get(entry.name):
        return _is_laid_out(folder, seen)
    return all(any(folder.glob(pattern)) for pattern in patterns(entry.gives))


def _keep(folder: Path, entry: PublicSet, facts: Mapping[str, Any]) -> None:
    replace_file(folder / RECORD, to_json({**read_record(folder), entry.name: facts}))


def _is_laid_out(folder: Path, seen: Mapping[str, Any]) -> bool:
    laid = seen.get("laid out", {})
    return bool(laid) and all(
        (folder / name).exists() and sha256_of(folder / name) == sum_ for name, sum_ in laid.items()
    )


def packed(lines: Iterable[str]) -> bytes:
    """The same bytes for the same lines, whenever they are packed."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        file.writelines(line.encode("utf-8") + b"\n" for line in lines)
    return buffer.getvalue()


def accepted(entry: PublicSet, everything: bool) -> bool:
    """Whether the licence is accepted: by `--accept`, or by a person who is asked."""
    print(entry.shown(), file=sys.stderr)
    if everything:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(
            f"the licence of {entry.name} ({entry.licence}) is not accepted",
            remedy="read it, then say --accept",
        )
    return input("Accept the licence and fetch? [y/N] ").strip().lower() in ("y", "yes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch what is named, or show the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="sets; all of them where none is named")
    parser.add_argument("--list", action="store_true", help="show the sets and stop")
    parser.add_argument("--output", type=Path, default=Path(os.environ.get("OTKIT_BENCHMARK_DATA", FETCHED)))
    parser.add_argument("--accept", action="store_true", help="the licences of the sets that are fetched")
    parser.add_argument("--mirror", help="address under which hosts and paths of the homes lie")
    parser.add_argument("--table", type=Path, default=TABLE, help="another table of sets")
    options = parser.parse_args(arguments)
    try:
        table = read_table(options.table)
        chosen = [choose(name, table, what="set") for name in options.names] or list(table.values())
        if options.list:
            print("\n".join(entry.shown() for entry in chosen))
            return 0
        folder = grow_folder(options.output, "data")
        if options.mirror and "://" not in options.mirror:
            raise ConfigError(
                f"received {options.mirror!r}", remedy="give an address: https://host/path", setting="mirror"
            )
        refused = []
        for entry in chosen:
            if entry.by_hand:
                print(f"{entry.name}: {entry.by_hand} ({entry.home} -> {folder / entry.gives})")
            elif accepted(entry, options.accept):
                bring(entry, folder, mirror=options.mirror)
            else:
                refused.append(entry.name)
        if refused:
            raise ConfigError(f"not fetched, since the licence was not accepted: {', '.join(refused)}")
    except OtkitError as error:
        return reported(error)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
