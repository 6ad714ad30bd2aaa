"""A folder of vectors while it grows: shards that are whole or absent, and the state that a killed run goes on
from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otkit.encoders.manifest import file_facts, is_as_stated
from otkit.errors import ConfigError, ExportError, choose, reason_of
from otkit.export.shards import DTYPES, SHARDS, Row, pack

__all__ = [
    "FORMAT",
    "INDEX_FILE",
    "MANIFEST",
    "STATE",
    "VectorWriter",
    "read_state",
    "shard_name",
]

FORMAT = "otkit-vectors-1"
MANIFEST, STATE, INDEX_FILE = "manifest.json", "state.json", "index.faiss"
_TEMPORARY = ".new-"


def shard_name(number: int) -> str:
    """What a shard's files are called before their suffixes."""
    return f"part-{number:05d}"


def read_state(folder: Path) -> dict[str, Any] | None:
    """The state of an interrupted run; None where there is none."""
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        dict(state["of"]), list(state["shards"]), dict(state["known"])
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"is damaged ({error})", where=str(path), remedy="start again without --resume"
        ) from error
    return dict(state)


class VectorWriter:
    """Rows in order to shards of about `shard_rows` rows, each under a temporary name until it is whole.

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
    ) -> None:
        choose(dtype, DTYPES, what="number format")
        self.folder, self.shard_rows, self._dtype = folder, shard_rows, dtype
        self._format = choose(shards, SHARDS, what="kind of shard")
        self._fingerprint = json.loads(json.dumps(fingerprint))
        state = read_state(folder) if resume else None
        if state is None:
            _make_room(folder)
        else:
            self._compare(state)
            for leftover in folder.glob(f"{_TEMPORARY}*"):
                leftover.unlink()
        self.shards: list[dict[str, Any]] = [] if state is None else state["shards"]
        self.known: dict[str, Any] = {} if state is None else state["known"]
        """What the caller said last; at first, with the last whole shard of the run that goes on (empty at a
        new start)."""
        self._rows: list[Row] = []
        self._vectors: list[NDArray[np.float32]] = []
        if state is None:
            self._write_state()  # from here on the folder is known as ours

    def _compare(self, state: dict[str, Any]) -> None:
        changed = [key for key, value in self._fingerprint.items() if state["of"].get(key) != value]
        if changed:
            raise ConfigError(
                f"the interrupted run differs in {', '.join(changed)}",
                where=str(self.folder),
                remedy="run it with the same input and settings, or start again without --resume",
            )
        for name, facts in (
            (name, facts) for shard in state["shards"] for name, facts in shard["files"].items()
        ):
            file = self.folder / name
            if not (file.is_file() and is_as_stated(file, facts)):
                raise ExportError(
                    "is missing or not as it was written",
                    where=str(file),
                    remedy="start again without --resume",
                )

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
        """Write the manifest: the shards, and `facts`."""
        document = {"format": FORMAT, **facts, "rows": self.rows, "shards": self.shards}
        self._write_text(MANIFEST, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        (self.folder / STATE).unlink(missing_ok=True)

    def _write_shard(self) -> None:
        name = shard_name(len(self.shards))
        try:
            packed = pack(np.concatenate(self._vectors), self._dtype)
            self._format.write(lambda suffix: self.folder / f"{_TEMPORARY}{name}{suffix}", self._rows, packed)
            files = {}
            for suffix in self._format.suffixes:
                temporary = self.folder / f"{_TEMPORARY}{name}{suffix}"
                if temporary.exists():
                    files[f"{name}{suffix}"] = file_facts(temporary)
                    temporary.replace(self.folder / f"{name}{suffix}")
        except OSError as error:
            raise ExportError(
                f"cannot be written ({reason_of(error)})",
                where=str(self.folder / name),
                remedy="make room, then --resume",
            ) from error
        self.shards.append({"name": name, "rows": len(self._rows), "files": files})
        self._rows, self._vectors = [], []
        self._write_state()

    def _write_state(self) -> None:
        state = {"of": self._fingerprint, "shards": self.shards, "known": self.known}
        self._write_text(STATE, json.dumps(state))

    def _write_text(self, name: str, text: str) -> None:
        temporary = self.folder / f"{_TEMPORARY}{name}"
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self.folder / name)
        except OSError as error:
            raise ExportError(
                f"cannot be written ({reason_of(error)})", where=str(self.folder / name), remedy="make room"
            ) from error


def _make_room(folder: Path) -> None:
    """An empty folder, or an error where somebody else's files lie."""
    ours = ("part-*", f"{_TEMPORARY}*", INDEX_FILE, STATE, MANIFEST)
    if folder.is_dir():
        foreign = [path for path in folder.iterdir() if not any(path.match(pattern) for pattern in ours)]
        if foreign or (any(folder.iterdir()) and not _is_ours(folder)):
            named = (foreign or sorted(folder.iterdir()))[0].name
            raise ExportError(
                f"holds other files ({named})", where=str(folder), remedy="name a new folder with --output"
            )
        (folder / MANIFEST).unlink(missing_ok=True)  # first: what is being emptied is not whole any more
        for path in folder.iterdir():
            path.unlink()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"the folder cannot be written ({reason_of(error)})",
            where=str(folder),
            remedy="choose another --output",
        ) from error


def _is_ours(folder: Path) -> bool:
    if (folder / STATE).is_file() or any(folder.glob(f"{_TEMPORARY}*")):
        return True
    try:
        return FORMAT in (folder / MANIFEST).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
