"""A text file that is finished or absent, and that an interrupted run can go on with, byte for byte."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from otkit.errors import ConfigError, InputError, reason_of

__all__ = ["Sink"]


class Sink:
    """Pieces of text to `path`, gzip where it ends in .gz.

    Until `finish` the text lies in `path.partial`, and `path.state` says how much of it is whole and what the
    writer knew then. A piece of a gzip file is a member of its own, so that the file can be cut after any of
    them. `fingerprint` is what must be equal for a run to go on.
    """

    def __init__(self, path: Path, *, fingerprint: Mapping[str, Any], resume: bool) -> None:
        self.path, self._fingerprint = path, json.loads(json.dumps(fingerprint))
        self._partial, self._state = (path.with_name(path.name + end) for end in (".partial", ".state"))
        self._packed = path.suffix == ".gz"
        if path.is_dir():
            raise InputError("is a folder", where=str(path), remedy="name a file")
        self.known: dict[str, Any] = self._read_state() if resume else {}
        """What the writer said with the last whole piece of the run that goes on; empty at a new start."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self._partial.open("r+b" if self.known else "wb")
        except OSError as error:
            raise InputError(
                f"cannot be written ({reason_of(error)})", where=str(path), remedy="choose another --output"
            ) from error
        self._file.truncate(self._written)
        self._file.seek(self._written)

    def _read_state(self) -> dict[str, Any]:
        self._written = 0
        if not self._state.is_file() or not self._partial.is_file():
            return {}
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            written, found = int(state["bytes"]), dict(state["known"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"is damaged ({error})", where=str(self._state), remedy="delete it and start again"
            ) from error
        changed = [key for key, value in self._fingerprint.items() if state.get("of", {}).get(key) != value]
        if changed:
            raise ConfigError(
                f"the interrupted run differs in {', '.join(changed)}",
                where=str(self.path),
                remedy="run it with the same settings, or without --resume",
            )
        if written > self._partial.stat().st_size:
            raise InputError(
                "is shorter than it was", where=str(self._partial), remedy="run without --resume"
            )
        self._written = written
        return found

    _written = 0

    def write(self, text: str, known: Mapping[str, Any]) -> None:
        """Append a piece; from then on a resumed run begins behind it, with `known`."""
        piece = text.encode("utf-8", "surrogatepass")
        # Level 6 and no time stamp: the same text is the same bytes.
        self._file.write(gzip.compress(piece, compresslevel=6, mtime=0) if self._packed else piece)
        self._file.flush()
        self._written = self._file.tell()
        state = {"bytes": self._written, "of": self._fingerprint, "known": dict(known)}
        temporary = self._state.with_name(self._state.name + ".new")
        temporary.write_text(json.dumps(state), encoding="utf-8")
        temporary.replace(self._state)

    def finish(self) -> None:
        """Give the file its name."""
        self._file.close()
        self._partial.replace(self.path)
        self._state.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
