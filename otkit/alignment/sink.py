"""A text file that is finished or absent, and that an interrupted run can go on with, byte for byte."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from otkit.errors import InputError, OutputError, reason_of
from otkit.files import (
    check_file,
    clear_killed,
    differences,
    is_packed,
    is_stream,
    json_in,
    made_here,
    open_new,
    remember,
    replace_file,
    to_json,
    undisturbed,
)

__all__ = ["Sink", "as_left", "finished_facts", "forget_partial", "partial_of", "was_begun"]

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def as_left() -> Iterator[None]:
    """Around what takes up an interrupted run: a state that no run of otkit left is one error."""
    try:
        yield
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        OverflowError,
        RuntimeError,
    ) as error:
        raise InputError(
            f"what the interrupted run left is damaged ({type(error).__name__}: {str(error)[:100]})",
            remedy="start over with `overwrite=True`",
        ) from error


class Sink:
    """Pieces of text to `path`, gzip where it ends in .gz.

    Until `finish` the text lies in `path.partial`, and `path.state` says how much of it is whole and what the
    writer knew then. A piece of a gzip file is a member of its own, so that the file can be cut after any of
    them. `fingerprint` is what must be equal for a run to go on. What an interrupted run left is gone on with
    (`resume`) or begun anew (`overwrite`), never silently. A pipe or a device gets the pieces as they come.
    """

    def __init__(
        self, path: Path, *, fingerprint: Mapping[str, Any], resume: bool = False, overwrite: bool = False
    ) -> None:
        self.path, self._fingerprint = path, json.loads(to_json(fingerprint))
        self._packed = is_packed(path)
        self._stream = is_stream(path)
        self.known: dict[str, Any] = {}
        """What the writer said with the last whole piece of the run that goes on; empty at a new start."""
        self._written = 0
        if self._stream:
            try:
                self._file: BinaryIO = path.open("wb")
            except OSError as error:
                raise _unwritable(path, error) from error
            return
        place = check_file(path, overwrite=overwrite)
        self._partial, self._state = partial_of(place), state_of(place)
        self._place = place
        self._refuse_strangers()
        if resume:
            self._read_state()
        elif not overwrite and self._state.exists():
            raise OutputError(
                "an interrupted run left a part of this output",
                where=str(self._partial),
                remedy="go on with `resume=True`, or start over with `overwrite=True`",
            )
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if not self.known:
                self._partial.unlink(missing_ok=True)
                self._state.unlink(missing_ok=True)
                self._file = os.fdopen(open_new(self._partial), "wb")
            else:
                self._file = os.fdopen(os.open(self._partial, os.O_RDWR | _NOFOLLOW), "r+b")
                self._file.truncate(self._written)
                self._file.seek(self._written)
        except OSError as error:
            raise _unwritable(path, error) from error

    def _refuse_strangers(self) -> None:
        """A file of the user's stays, whatever was asked for: of ours nothing is written before its state."""
        if self._partial.is_symlink() or (
            self._partial.exists() and self._partial.stat().st_size and not self._state.exists()
        ):
            raise OutputError(
                "stands where unfinished work is kept, and otkit did not make it",
                where=str(self._partial),
                remedy="choose another output, or move that file",
            )

    def _read_state(self) -> None:
        if not self._state.is_file() or not self._partial.is_file():
            return
        try:
            state = json_in(self._state)
            written, found, then = int(state["bytes"]), dict(state["known"]), dict(state["of"])
            if written < 0:
                raise ValueError("it is of less than nothing")
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(
                f"is damaged ({error})", where=str(self._state), remedy="start over with `overwrite=True`"
            ) from error
        changed = differences(then, self._fingerprint)
        if changed:
            raise OutputError(
                f"the interrupted run differs: {changed}",
                where=str(self.path),
                remedy="run it with the same settings, or start over with `overwrite=True`",
            )
        if written > self._partial.stat().st_size:
            raise InputError(
                "is shorter than it was", where=str(self._partial), remedy="start over with `overwrite=True`"
            )
        self._written, self.known = written, found

    def write(self, text: str, known: Mapping[str, Any]) -> None:
        """Append a piece; from then on a resumed run begins behind it, with `known`."""
        piece = text.encode("utf-8", "surrogatepass")
        if not self._stream and not self._written:
            self._note(0, {})
        # Level 6 and no time stamp: the same text is the same bytes.
        try:
            self._file.write(gzip.compress(piece, compresslevel=6, mtime=0) if self._packed else piece)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritable(self.path, error) from error
        if self._stream:
            return
        self._written = self._file.tell()
        self._note(self._written, known)

    def _note(self, written: int, known: Mapping[str, Any]) -> None:
        state = {"bytes": written, "of": self._fingerprint, "known": dict(known)}
        replace_file(self._state, to_json(state, indent=None))

    def kept(self) -> str:
        """The pieces of the run that goes on."""
        if not self._written:
            return ""
        with self._partial.open("rb") as file:
            raw = file.read(self._written)
        return (gzip.decompress(raw) if self._packed else raw).decode("utf-8", "surrogatepass")

    def finish(self, facts: Mapping[str, Any], *, whole: str | None = None) -> None:
        """Give the file its name; `facts` (lines, hash of the input) let a later run see whether it is the same.

        whole: what the file holds in the end, where the pieces are only what it is made from.
        """
        if whole is not None:
            self._replace(whole)
        if self._stream:
            self._file.close()
            return
        with undisturbed():
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._partial.replace(self._place)
            except OSError as error:
                raise _unwritable(self.path, error) from error
            remember(self._place, {"of": self._fingerprint, **facts})
            self._state.unlink(missing_ok=True)  # last: what is killed before is not taken for finished

    def _replace(self, whole: str) -> None:
        """Put the end of the work in the place of its pieces; they stay until it is written."""
        text = whole.encode("utf-8", "surrogatepass")
        content = gzip.compress(text, compresslevel=6, mtime=0) if self._packed else text
        if self._stream:
            self._file.write(content)
            return
        self._file.close()
        replace_file(self._partial, content)
        self._file = self._partial.open("r+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError:  # said before, by the write that failed
            if kind is None:
                raise
        if not self._stream and kind is not None and not self._written:
            self._partial.unlink(missing_ok=True)  # nothing is in it: the next run starts without a word
            self._state.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """Where an output lies until it is finished."""
    return path.with_name(path.name + ".partial")


def state_of(path: Path) -> Path:
    """What says how far an unfinished output is."""
    return path.with_name(path.name + ".state")


def was_begun(path: Path) -> bool:
    """Whether an unfinished run left something to go on with."""
    return not is_stream(path) and state_of(path.resolve() if path.is_symlink() else path).exists()


def forget_partial(path: Path) -> None:
    """Remove what a run that was killed before its first state, and so before its first piece, left beside a finished
    output."""
    if not is_stream(path):
        place = path.resolve() if path.is_symlink() else path
        partial = partial_of(place)
        if partial.is_file() and not partial.is_symlink() and not partial.stat().st_size:
            partial.unlink()
        clear_killed(state_of(place))


def finished_facts(path: Path, fingerprint: Mapping[str, Any]) -> dict[str, Any] | None:
    """The facts of a finished output that was made under the same settings; an error for other settings.

    None where there is nothing finished, or where a part of a newer run lies beside it. A finished file without a
    record (it was copied here, or the cache was emptied) has no facts: {}.
    """
    if is_stream(path) or not path.is_file() or state_of(path).exists():
        return None
    facts = made_here(path)
    if facts is None or "of" not in facts:
        return {}
    changed = differences(facts["of"], json.loads(to_json(fingerprint)))
    if changed:
        raise OutputError(
            f"the finished output differs: {changed}",
            where=str(path),
            remedy="choose another output, or make this one again with `overwrite=True`",
        )
    return facts


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot be written ({reason_of(error)})",
        where=str(path),
        remedy="make room, then go on with `resume=True`, or choose another output",
    )
