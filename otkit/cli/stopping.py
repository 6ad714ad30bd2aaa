"""How a run ends early: signals become an exception, and a person is told how to go on.

Ctrl-C, SIGTERM and SIGHUP raise `Stopped` in the main thread, so that files are closed and temporary ones removed on
the way out. A command whose work can be gone on with says so with `resumable`.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = [
    "Stopped",
    "end_silently",
    "resumable",
    "resume_command",
    "signals_raise",
    "stop_on_sigterm",
    "stopped_line",
]

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_go_on: list[Callable[[], bool]] = []


class Stopped(BaseException):
    """The run was asked to end by the signal of this number; no library takes it for an error of its own."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)

    @property
    def exit_code(self) -> int:
        """As shells count: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


@contextmanager
def signals_raise() -> Iterator[None]:
    """Within the block the first signal raises `Stopped`; a second one ends the process as it always does."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_silently() -> None:
    """From here on Ctrl-C ends the process as the other signals do: Python's own way is a traceback out of the midst of
    its taking itself apart, when all is done and written."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def resumable(begun: Callable[[], bool]) -> Iterator[None]:
    """Within the block an interruption prints the command that goes on, if `begun` says that there is work to keep."""
    _go_on.append(begun)
    try:
        yield
    except Stopped:
        raise  # the entry stays: the message is printed further up
    except BaseException:
        _go_on.clear()
        raise
    _go_on.clear()


def stopped_line() -> str:
    """What is said of an interruption."""
    if any(begun() for begun in _go_on):
        return f"interrupted; go on with: {resume_command()}"
    return "interrupted"


def resume_command() -> str:
    """The command line as it was given, with --resume; several processes are launched as several again."""
    import os

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    start = ["accelerate", "launch", "--num_processes", str(processes), "-m", "otkit"]
    words = [
        *(start if processes > 1 else ["otkit"]),
        *(word for word in sys.argv[1:] if word != "--overwrite"),
    ]
    return shlex.join(words if "--resume" in words else [*words, "--resume"])


@contextmanager
def stop_on_sigterm() -> Iterator[Callable[[], int]]:
    """Within the block the number of the signal that asked for an end, 0 as long as none did: the run saves and stops.
    A second Ctrl-C ends at once."""
    asked = 0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = number
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    before = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
