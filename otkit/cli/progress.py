"""Progress on stderr: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from otkit.training.records import Record

__all__ = [
    "Progress",
    "Step",
    "Total",
    "TrainingProgress",
    "count_lines",
    "counted",
    "last_line",
    "progress_bar",
    "stderr_console",
]

_FIRST, _EVERY = 2.0, 10.0
"""Seconds until a step says its first line where there is no terminal, and from one line to the next."""

_COUNTED = 1 << 26
"""Bytes of a file, as it lies on the disk, in which lines are counted; the rest is estimated."""


@dataclass(frozen=True)
class Total:
    """How much there is to do; `exact` is False for an estimate."""

    count: int
    exact: bool = True


@dataclass(eq=False)
class Step:
    """How far one step of a command is, and what is said of it: count, elapsed time, rate, remaining time.

    `first` was done by an earlier run, and does not count for the rate.
    """

    name: str
    unit: str = ""
    total: Total | None = None
    detail: str = ""
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._told = False
        self._held: float | None = None
        self.start_from(0)

    def start_from(self, first: int) -> None:
        """Reckon from here on: what an earlier run did took none of this run's time."""
        self.first = self.done = self._settled = first
        self.begun = self._moved = self._now()

    def hold(self) -> None:
        """Something else is under way, whose time is not that of this step."""
        self._held = self._now()

    def go_on(self) -> None:
        """The step moves again."""
        if self._held is not None:
            away, self._held = self.clock() - self._held, None
            self.begun, self._moved = self.begun + away, self._moved + away

    def _now(self) -> float:
        return self.clock() if self._held is None else self._held

    def turn_to(self, name: str) -> None:
        """Begin with something else, of unknown size, at the moment when the last thing was seen to move."""
        self.name, self.begun, self.total = name, self._moved, None
        self.first = self.done = self._settled = 0

    def update(self, done: int, *, total: int | None = None, detail: str | None = None) -> None:
        """So much is finished."""
        if total is not None:
            self.total = Total(total)
        self.detail = self.detail if detail is None else detail
        self._settled, self.done = done, max(done, self.done)
        self._moved = self._now()

    def under_way(self, more: int) -> None:
        """Beside what is finished, so much of what is worked on together is past the longest part of the work."""
        self.done, self._moved = max(self.done, self._settled + more), self._now()

    def reached(self, done: int, total: int | None) -> None:
        """What the library tells; its first word is what was done before anybody looked, by an earlier run say."""
        if not self._told:
            self._told = True
            self.total = self.total if total is None else Total(total)
            self.start_from(done)
        else:
            self.update(done, total=total)

    @property
    def share(self) -> float | None:
        """How much of the whole is done, in [0, 1]."""
        return None if self.total is None else min(1.0, self.done / max(1, self.total.count))

    @property
    def elapsed(self) -> float:
        """Seconds since the step began, without those in which it was held."""
        return self._now() - self.begun

    def line(self) -> str:
        """`1,024/9,800 pairs in 0:00:12, 85 pairs/s, 0:01:43 left`."""
        if self.total is None and self.done == 0:
            return f"{_duration(self.elapsed)} so far"
        count = f"{self.done:,}"
        if self.total is not None:
            most = max(self.total.count, self.done)
            count += f"/{most:,}" if self.total.exact else f"/~{most:,}"
        unit = f" {self.unit}" if self.unit else ""
        parts = [f"{count}{unit} in {_duration(self.elapsed)}"]
        spent = self._moved - self.begun
        rate = (self.done - self.first) / spent if spent > 0 else 0.0
        if rate > 0:
            parts.append(f"{_rate(rate)}{unit}/s")
            if self.total is not None and self.done < self.total.count:
                ahead = (self.total.count - self.done) / rate - (self._now() - self._moved)
                parts.append(f"{_duration(max(0.0, ahead))} left")
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


class Progress:
    """The steps of a command that are under way, for a person who waits."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.quiet, self._clock = quiet, clock
        self.console = stderr_console()
        self.steps: list[Step] = []
        self._said: dict[Step, float] = {}

    def step(
        self, name: str, *, unit: str = "", total: Total | int | None = None, alone: bool = False
    ) -> Step:
        """A new step, which is shown from now on; `alone`: in the place of those before it."""
        total = Total(total) if isinstance(total, int) else total
        step = Step(name, unit, total, clock=self._clock)
        self.steps = [step] if alone else [*self.steps, step]
        return step

    def end(self, step: Step) -> None:
        """Show the step no more."""
        self.steps = [other for other in self.steps if other is not step]

    def note(self, message: str) -> None:
        """A line above the bar."""
        if not self.quiet:
            self.console.print(message, markup=False)

    def tick(self) -> None:
        """Without a terminal: a line for each step that has been silent for long enough."""
        now = self._clock()
        for step in list(self.steps):
            due = self._said[step] + _EVERY if step in self._said else step.begun + _FIRST
            if now >= due:
                self._said[step] = now
                detail = f"; {step.detail}" if step.detail else ""
                self.console.print(f"{step.name}: {step.line()}{detail}", markup=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for step in list(self.steps):
            line = Text(step.line(), no_wrap=True)
            room = options.max_width - len(step.name) - len(line) - 2
            row = Table.grid(padding=(0, 1))
            bar = ProgressBar(
                total=None if step.share is None else 1.0, completed=step.share or 0.0, width=min(24, room)
            )
            cells = [Text(step.name, no_wrap=True), bar, line] if room >= 4 else [Text(step.name), line]
            row.add_row(*cells)
            yield row
            if step.detail:
                yield Text(f"  {step.detail}", no_wrap=True, overflow="ellipsis")


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress]:
    """Steps that show themselves while the block runs."""
    progress = Progress(quiet=quiet)
    if quiet:
        yield progress
    elif sys.stderr.isatty() and not progress.console.is_dumb_terminal:
        with Live(progress, console=progress.console, refresh_per_second=8):
            yield progress
    else:
        with _ticking(progress):
            yield progress


@contextmanager
def _ticking(progress: Progress) -> Iterator[None]:
    """A thread that looks once a second: a step may be silent for minutes, and says so then."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(1.0):
            progress.tick()

    thread = threading.Thread(target=look, name="otkit-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Tolerant:
    """stderr, whose loss (a full disk, a closed pipe) is no reason to lose the work that is reported there."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def stderr_console() -> Console:
    """A console on stderr, where progress and logs belong."""
    return Console(file=_Tolerant(sys.stderr), highlight=False, soft_wrap=True)  # type: ignore[arg-type]


def counted(number: int, thing: str, things: str | None = None) -> str:
    """`1 line`, `1,024 lines`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def last_line(what: str, *, then: str = "", quiet: bool) -> None:
    """How a command ends: what was written where and how much, and what to do next."""
    if not quiet:
        stderr_console().print(f"{what}; next: {then}" if then else what, markup=False)


def count_lines(paths: Sequence[str | Path], *, most: int = _COUNTED, chunk: int = 1 << 20) -> Total | None:
    """The lines of files, plain or gzip, for the remaining time; None where one cannot be read twice.

    Of a file of more than `most` bytes that many are counted, and the rest is taken to be like them.
    """
    total, exact = 0, True
    for path in map(Path, paths):
        try:
            if not path.is_file():
                return None
            counted = _count(path, most, chunk)
        except OSError:
            return None
        total, exact = total + counted.count, exact and counted.exact
    return Total(total, exact)


def _count(path: Path, most: int, chunk: int) -> Total:
    import zlib

    size, read, lines, last = path.stat().st_size, 0, 0, b"\n"
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        inflate = zlib.decompressobj(wbits=31)
        while read < most and (raw := file.read(chunk)):
            read += len(raw)
            try:
                while raw:
                    text = inflate.decompress(raw) if packed else raw
                    lines, last = lines + text.count(b"\n"), text[-1:] or last
                    raw = inflate.unused_data.lstrip(b"\0") if packed else b""
                    if raw:
                        inflate = zlib.decompressobj(wbits=31)
            except zlib.error:  # whoever reads the text says what is wrong with it
                break
    if read < size:
        return Total(max(1, round(lines * size / max(read, 1))), exact=False)
    return Total(lines + (last != b"\n"))


class TrainingProgress:
    """The observer of a training run on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._step = progress, progress.step("align", unit="steps")
        self._beside: Step | None = None
        self._ended = False

    def record(self, record: Record, *, step: int, steps: int) -> None:
        """Move the bar on and show the losses."""
        shown = [
            f"{name} {record[name]:.4g}" for name in ("ot", "anchor", "loss", "divergence") if name in record
        ]
        if "pairs_per_second" in record:
            shown.append(f"{record['pairs_per_second']:.0f} pairs/s")
        # What came before the first word (reading, measuring, an earlier run) took none of the steps' time.
        self._step.reached(step, steps)
        self._step.detail = "  ".join(shown) or self._step.detail
        if (
            step == steps and "lr" in record
        ):  # a log would say the same again and again while the run is measured
            self._progress.note(f"align: {self._step.line()}; {self._step.detail}")
            self._progress.end(self._step)
            self._ended = True

    def progress(self, what: str, done: int, total: int | None) -> None:
        """How far something beside the steps is, such as a measurement; it ends when all is done."""
        if self._beside is None and done == total:  # its end, told once more
            return
        if self._beside is None or self._beside.name != what:
            if self._beside is not None:
                self._progress.end(self._beside)
            self._beside = self._progress.step(what, total=total)
            self._step.hold()
            if self._ended:  # nobody should wait and wonder after the last step
                self._progress.note(f"{what} ...")
        self._beside.reached(done, total)  # what was done when it was first told of took an unknown time
        if done == total:
            self._progress.end(self._beside)
            self._beside = None
            self._step.go_on()

    def note(self, message: str) -> None:
        """Print a line above the bar."""
        self._progress.note(message)
