"""A finished folder of vectors: its manifest, and its shards, each checked before it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otkit.encoders.encoder import read_json
from otkit.errors import ExportError, reason_of
from otkit.files import sha256_of
from otkit.vectors.settings import EmbeddingSettings
from otkit.vectors.shards import SHARDS, Row
from otkit.vectors.writer import FORMAT, MANIFEST, VectorWriter, shard_name, working_folder

__all__ = ["Vectors", "check_file", "growing", "open_vectors"]


@dataclass(frozen=True)
class Vectors:
    """The rows of a folder, in the order of the input; facts are the manifest's."""

    folder: Path
    dimension: int
    kind: str
    shards: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return sum(int(shard["rows"]) for shard in self.shards)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """The (R, D) vectors of shard after shard; one is in memory at a time."""
        for shard in self.shards:
            yield self._vectors(shard)

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        """What stands behind some rows, in the order asked."""
        ends = np.cumsum([int(shard["rows"]) for shard in self.shards])
        places = np.searchsorted(ends, numbers, side="right")
        found: dict[int, Row] = {}
        for place in np.unique(places).tolist():
            first = int(ends[place - 1]) if place else 0
            here = [number for number, where in zip(numbers, places, strict=True) if where == place]
            shard = self._checked(self.shards[place])
            rows = self._read(shard, "rows", shard["rows"], [number - first for number in here])
            found.update(zip(here, rows, strict=True))
        return [found[number] for number in numbers]

    def _vectors(self, shard: Mapping[str, Any]) -> NDArray[np.float32]:
        shape = (shard["rows"], self.dimension)
        vectors: NDArray[np.float32] = self._read(self._checked(shard), "vectors", *shape).unpack()
        if vectors.shape != shape:
            raise ExportError(
                f"holds {vectors.shape} numbers, expected {shape}",
                where=str(self.folder / str(shard["name"])),
                remedy="embed the corpus again",
            )
        if not np.isfinite(vectors).all():
            raise ExportError(
                "holds numbers that are not finite",
                where=str(self.folder / str(shard["name"])),
                remedy="embed the corpus again",
            )
        return vectors

    def _read(self, shard: Mapping[str, Any], what: str, *rest: Any) -> Any:
        read = getattr(SHARDS[self.kind], what)
        name = str(shard["name"])
        try:
            return read(lambda suffix: self.folder / f"{name}{suffix}", *rest)
        except (
            ValueError,  # pyarrow's errors are among these
            KeyError,
            OSError,
            IndexError,
            TypeError,
            AttributeError,
            EOFError,
            MemoryError,
        ) as error:
            raise ExportError(
                f"cannot be read ({reason_of(error)})",
                where=str(self.folder / name),
                remedy="embed the corpus again",
            ) from error

    def _checked(self, shard: Mapping[str, Any]) -> Mapping[str, Any]:
        for name, facts in shard["files"].items():
            check_file(self.folder / name, facts)
        return shard


def check_file(path: Path, facts: Mapping[str, Any]) -> None:
    """Refuse a file that is not the one the manifest describes."""
    remedy = "copy the folder again from where you trust it, or embed the corpus again"
    if not path.is_file():
        raise ExportError("is missing", where=str(path), remedy=remedy)
    size = path.stat().st_size
    if size != facts["bytes"]:
        raise ExportError(f"has {size} bytes, expected {facts['bytes']}", where=str(path), remedy=remedy)
    if sha256_of(path) != facts["sha256"]:
        raise ExportError(
            f"is not the file that was written (its SHA-256 differs from {MANIFEST})",
            where=str(path),
            remedy=remedy,
        )


_MOST = 1 << 31  # rows of a shard, and the width
_WINDOW = 1 << 18  # rows by which a shard may pass what its run was told: the words of a window of text
_MODEL: dict[str, Any] = {"name": {}, "path": {}, "sha256": {}, "settings": {"pooling": {}, "prefix": {}}}


def _need(facts: Mapping[str, Any], keys: Mapping[str, Any]) -> None:
    """A KeyError for the first key that a table, or a table in it, does not have."""
    for key, inner in keys.items():
        if inner or key not in facts:
            _need(facts[key], inner)


def open_vectors(folder: Path) -> Vectors:
    """The folder that `otkit embed` wrote, after a look at its manifest."""
    path = folder / MANIFEST
    if working_folder(folder).is_dir() and not path.is_file():
        raise ExportError(
            "is not finished", where=str(folder), remedy="run the same command with `resume=True`"
        )
    if not path.is_file():
        raise ExportError(
            f"holds no {MANIFEST}", where=str(folder), remedy="name a folder that otkit embed wrote"
        )
    facts = read_json(path)
    try:
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']!r}, expected {FORMAT!r}")
        shards, kind = tuple(facts["shards"]), SHARDS[facts["config"]["shards"]]
        for number, shard in enumerate(shards):
            if shard["name"] != shard_name(number):
                raise ValueError(f"shard {number} is called {shard['name']!r}")
            known = {f"{shard['name']}{suffix}" for suffix in kind.suffixes}
            needed = {name for name in known if not name.endswith(".scales.npy")}
            if not needed <= set(shard["files"]) <= known:
                raise ValueError(f"shard {number} has unknown files, or lacks one")
            if not all(type(one["bytes"]) is int and one["sha256"] for one in shard["files"].values()):
                raise ValueError(f"a file of shard {number} has no size and hash")
            if type(shard["rows"]) is not int or not 0 <= shard["rows"] <= _MOST:
                raise ValueError(f"shard {number} has {shard['rows']!r} rows")
        width = facts["model"]["dimension"]
        if type(width) is not int or not 0 < width <= _MOST:
            raise ValueError(f"the width is {width!r}")
        found = Vectors(folder, width, facts["config"]["shards"], shards, facts)
        _need(facts, {"index": {}, "config": {"unit": {}, "raw": {}}, "model": _MODEL})
        most = facts["config"].get("shard_rows", EmbeddingSettings.shard_rows) + _WINDOW
        if any(shard["rows"] > most for shard in shards):
            raise ValueError(f"a shard has more than {most:,} rows")
        if not isinstance(facts["model"]["path"], str | None):
            raise ValueError("the encoder's path is no text")
        if len(found) != facts["rows"]:
            raise ValueError(f"{len(found)} rows in shards, {facts['rows']} stated")
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ExportError(
            f"is not a manifest of vectors ({error})", where=str(path), remedy="embed the corpus again"
        ) from error
    return found


def growing(writer: VectorWriter, dimension: int, kind: str) -> Vectors:
    """The shards of a folder that has no manifest yet, for its index to be built from."""
    return Vectors(writer.folder, dimension, kind, tuple(writer.shards), {})
