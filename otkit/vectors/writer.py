"""A folder of vectors while it grows: shards that are whole or absent, and the state that a killed run goes on
from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from otkit.errors import ExportError, OutputError, choose, reason_of
from otkit.files import (
    MARKER,
    check_folder,
    check_growing,
    differences,
    file_facts,
    finish_folder,
    grow_folder,
    is_as_stated,
    json_in,
    replace_file,
    to_json,
    undisturbed,
)
from otkit.vectors.shards import DTYPES, SHARDS, Row, pack

__all__ = [
    "FORMAT",
    "INDEX_FILE",
    "MANIFEST",
    "STATE",
    "VectorWriter",
    "has_part",
    "read_state",
    "shard_name",
    "working_folder",
]

FORMAT = "otkit-vectors-1"
MANIFEST, STATE, INDEX_FILE = "manifest.json", "state.json", "index.faiss"


def shard_name(number: int) -> str:
    """What a shard's files are called before their suffixes."""
    return f"part-{number:05d}"


def read_state(folder: Path) -> dict[str, Any] | None:
    """The state of an interrupted run; None where there is none."""
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        state = json_in(path)
        dict(state["of"])
        for shard in list(state["shards"]):
            if (
                shard["name"] != Path(shard["name"]).name
                or type(shard["rows"]) is not int
                or shard["rows"] < 1
            ):
                raise ValueError("a shard has no place, or no rows")
            for name, facts in shard["files"].items():
                if name != Path(name).name or not name.startswith(shard["name"]):
                    raise ValueError(f"{name!r:.60} is no file of a shard")
                dict(facts)
        if any(int(state["known"].get(name, 0)) < 0 for name in ("texts", "skipped")):
            raise ValueError("it is of less than nothing")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ExportError(
            f"is damaged ({error})", where=str(path), remedy="start over with `overwrite=True`"
        ) from error
    return dict(state)


def working_folder(final: Path) -> Path:
    """Where the folder of vectors grows until it is finished."""
    return final.with_name(f"{final.name}.partial")


def has_part(final: Path) -> bool:
    """Whether an interrupted run left something to go on with."""
    state = read_state(working_folder(final))
    return state is not None and bool(state["shards"])


class VectorWriter:
    """Rows in order to shards of about `shard_rows` rows, and none counts before the state says so.

    After every shard `state.json` says which shards there are and what the caller knew then; rows behind that
    are forgotten by a kill and come again. `fingerprint` is what must be equal for a run to go on. The
    manifest is written last: a folder without one is not finished.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fingerprint: Mapping[str, Any],
        dtype: str = "float32",
        shards: str = "parquet",
        shard_rows: int = 8192,
        resume: bool = False,
        overwrite: bool = False,
        inputs: Iterable[str | Path | None] = (),
    ) -> None:
        choose(dtype, DTYPES, what="number format")
        self.final = check_folder(folder, "vectors", inputs=inputs, overwrite=overwrite)
        self.folder = working_folder(self.final)
        """Where the run works; the final folder appears, or is replaced, when it is finished."""
        self.shard_rows, self._dtype = shard_rows, dtype
        self._format = choose(shards, SHARDS, what="kind of shard")
        self._fingerprint = json.loads(to_json(fingerprint))
        state = read_state(self.folder)
        if state is not None and not (resume or overwrite) and state["shards"]:
            raise OutputError(
                "holds a part of this output, which an interrupted run left",
                where=str(self.folder),
                remedy="go on with `resume=True`, or start over with `overwrite=True`",
            )
        if state is not None and resume:
            check_growing(self.folder, "vectors", inputs=inputs)
            self._compare(state)
            self._forget_what_is_not_in(state)
        else:
            state = None
            # `overwrite` speaks of the output, not of another's folder beside it.
            check_growing(self.folder, "vectors")
            grow_folder(self.folder, "vectors", inputs=inputs, overwrite=self._begun(overwrite))
        self.shards: list[dict[str, Any]] = [] if state is None else state["shards"]
        self.known: dict[str, Any] = {} if state is None else state["known"]
        """What the caller said last; at first, with the last whole shard of the run that goes on (empty at a
        new start)."""
        self._rows: list[Row] = []
        self._vectors: list[NDArray[np.float32]] = []
        if state is None:
            self._write_state()  # from here on the folder is known as ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """A run that made no shard leaves nothing to go on with."""
        if not self.shards and self.folder.is_dir():
            with undisturbed():
                shutil.rmtree(self.folder, ignore_errors=True)

    def _compare(self, state: dict[str, Any]) -> None:
        changed = differences(state["of"], self._fingerprint)
        if changed:
            raise OutputError(
                f"the interrupted run differs: {changed}",
                where=str(self.folder),
                remedy="run it with the same input and settings, or start over with `overwrite=True`",
            )
        for name, facts in (
            (name, facts) for shard in state["shards"] for name, facts in shard["files"].items()
        ):
            file = self.folder / name
            if not (file.is_file() and is_as_stated(file, facts)):
                raise ExportError(
                    "is missing or not as it was written",
                    where=str(file),
                    remedy="start over with `overwrite=True`",
                )

    def _forget_what_is_not_in(self, state: dict[str, Any]) -> None:
        """Remove files of a shard, or of an index, that a kill left behind the last state."""
        kept = {STATE, MARKER, *(name for shard in state["shards"] for name in shard["files"])}
        for path in self.folder.iterdir():
            if path.name not in kept and path.is_file():
                path.unlink()

    def _begun(self, overwrite: bool) -> bool:
        """Whether what stands in the working folder may go: asked for, or begun by otkit and without a shard."""
        return overwrite or read_state(self.folder) is not None

    @property
    def rows(self) -> int:
        """Rows in finished shards."""
        return sum(shard["rows"] for shard in self.shards)

    def add(self, rows: Sequence[Row], vectors: NDArray[np.float32], known: Mapping[str, Any]) -> None:
        """Append some rows; `known` is what a run that goes on behind them needs to know."""
        self._rows.extend(rows)
        self._vectors.append(vectors)
        self.known = dict(known)
        if len(self._rows) >= self.shard_rows:
            self._write_shard()

    def close(self, known: Mapping[str, Any]) -> None:
        """Write the last rows, and say so in the state."""
        self.known = dict(known)
        if self._rows:
            self._write_shard()
        else:
            self._write_state()

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write the manifest (the shards, and `facts`), and give the folder its name."""
        document = {"format": FORMAT, **facts, "rows": self.rows, "shards": self.shards}
        replace_file(self.folder / MANIFEST, to_json(document))
        finish_folder(self.folder, self.final, "vectors")
        # Last: flushing gigabytes to the disk takes a while, and a kill in it must leave what `resume` goes on from.
        (self.final / STATE).unlink(missing_ok=True)

    def _write_shard(self) -> None:
        name = shard_name(len(self.shards))
        try:
            packed = pack(np.concatenate(self._vectors), self._dtype)
            for suffix in self._format.suffixes:  # of a shard that a kill left without a state
                (self.folder / f"{name}{suffix}").unlink(missing_ok=True)
            self._format.write(lambda suffix: self.folder / f"{name}{suffix}", self._rows, packed)
            places = [self.folder / f"{name}{suffix}" for suffix in self._format.suffixes]
            files = {place.name: file_facts(place) for place in places if place.exists()}
        except OSError as error:
            raise ExportError(
                f"cannot be written ({reason_of(error)})",
                where=str(self.folder / name),
                remedy="make room, then go on with `resume=True`",
            ) from error
        self.shards.append({"name": name, "rows": len(self._rows), "files": files})
        self._rows, self._vectors = [], []
        self._write_state()

    def _write_state(self) -> None:
        state = {"of": self._fingerprint, "shards": self.shards, "known": self.known}
        replace_file(self.folder / STATE, to_json(state, indent=None))
