"""The one way to stdout: data in UTF-8, tables and pictures in the signs that the terminal has.

A reader that has gone (`| head`) is no error: what is still to come goes nowhere, and files are written all the
same. A disk that is full is one, in one line.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from otkit.errors import OtkitError, reason_of

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["finish", "prepare", "show", "write_data"]

UNBOUNDED = 1 << 20
"""The width of a pipe, which has none."""


def prepare() -> None:
    """From now on a sign that stdout's encoding lacks is a question mark, and no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def show(*things: RenderableType, width: int | None = None, piped: int = UNBOUNDED) -> bool:
    """Draw tables or pictures, `piped` cells wide where nothing says how wide; False when nobody reads any more."""
    from rich.console import Console

    console = Console(width=width, highlight=False)
    if width is None and not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console = Console(width=piped, highlight=False)
    with console.capture() as drawn:
        for thing in things:
            console.print(thing)
    with _watched() as reading:
        sys.stdout.write(drawn.get())
    return bool(reading)


def write_data(text: str) -> bool:
    """Write text that is for programs; False when nobody reads any more."""
    with _watched() as reading:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
    return bool(reading)


def finish() -> None:
    """Bring out what is left: an interpreter that finds a full disk at its end has no clear words for it."""
    with _watched():
        pass


@contextmanager
def _watched() -> Iterator[list[bool]]:
    """Flush after the block. The list is empty afterwards where the reader has gone."""
    reading = [True]
    try:
        yield reading
        sys.stdout.flush()
    except BrokenPipeError:
        reading.clear()
        _go_nowhere()
    except OSError as error:
        _go_nowhere()
        raise OtkitError(
            f"cannot be written: {reason_of(error)}",
            where="<stdout>",
            remedy="make room there, or send the output to another place",
        ) from error


def _go_nowhere() -> None:
    """What stdout still holds would fail once more when the interpreter ends: give it somewhere to go."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
