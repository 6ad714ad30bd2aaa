"""The one way to stdout: data in UTF-8, tables and pictures in the signs that the terminal has.

A reader that has gone (`| head`) is no error: what is still to come goes nowhere, and files are written all the
same. A disk that is full is one, in one line.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from otkit.errors import OtkitError, reason_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from rich.console import RenderableType

__all__ = ["guarded", "is_terminal", "printable", "show", "write_data"]

UNBOUNDED = 1 << 20
"""The width of a pipe, which has none."""


# What moves a cursor, colours a terminal, rings it, ends a line or turns it round; a tab and a line feed stay.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A text of anyone's for a terminal: what commands it is escaped."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Guard(io.RawIOBase):
    """What stdout writes to, with an answer to what may go wrong there.

    It writes past the buffer of the stream that it stands for: what that one held, the interpreter would try to
    write once more at its end, when nobody can answer.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._raw = getattr(stream, "raw", stream)
        self.lost = False
        """Whether nothing arrives any more."""

    def write(self, data: ReadableBuffer, /) -> int | None:
        if self.lost:
            return memoryview(data).nbytes
        try:
            written: int | None = self._raw.write(data)
        except BrokenPipeError:
            self.lost = True
            return memoryview(data).nbytes
        except OSError as error:
            self.lost = True
            raise OtkitError(
                f"cannot be written: {reason_of(error)}",
                where="<stdout>",
                remedy="make room there, or send the output to another place",
            ) from error
        return written

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._raw.isatty())

    def fileno(self) -> int:
        return int(self._raw.fileno())


@contextmanager
def guarded() -> Iterator[None]:
    """Within the block stdout is guarded, and a sign that its encoding lacks is a question mark."""
    given = sys.stdout
    if not isinstance(given, io.TextIOWrapper):
        yield
        return
    given.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Guard(given.buffer)),
        encoding=given.encoding,
        errors="replace",
        line_buffering=given.line_buffering,
    )
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            sys.stdout = given


def show(*things: RenderableType, width: int | None = None, piped: int = UNBOUNDED) -> None:
    """Draw tables or pictures, `piped` cells wide where nothing says how wide."""
    from rich.console import Console

    console = Console(width=width, highlight=False)
    if width is None and not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console = Console(width=piped, highlight=False)
    for thing in things:
        console.print(thing)
    sys.stdout.flush()


def write_data(text: str) -> bool:
    """Write text that is for programs, a terminal's user being none; False when nobody reads it."""
    text = printable(text) if is_terminal() else text
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:  # a notebook's stdout, or a StringIO, takes text alone
        sys.stdout.write(text)
        return True
    buffer.write(text.encode("utf-8", "replace"))
    buffer.flush()
    raw = getattr(buffer, "raw", None)
    return not (isinstance(raw, _Guard) and raw.lost)


def is_terminal() -> bool:
    """Whether a person reads along."""
    return sys.stdout.isatty()
