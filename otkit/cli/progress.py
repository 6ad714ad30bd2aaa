"""Progress on stderr: bars with rate, remaining time and current loss; nothing when quiet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from otkit.training.loop import Record

__all__ = ["TrainingProgress", "progress_bar", "stderr_console"]


def stderr_console() -> Console:
    """A console on stderr, where progress and logs belong."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress]:
    """A progress bar with counts, rate text, elapsed and remaining time."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=stderr_console(), disable=quiet) as bar:
        yield bar


class TrainingProgress:
    """The observer of a training run on a terminal."""

    def __init__(self, bar: Progress, *, quiet: bool) -> None:
        self._bar, self._quiet = bar, quiet
        self._task = bar.add_task("align", total=None, text="")

    def record(self, record: Record, *, step: int, steps: int) -> None:
        """Move the bar on and show the losses."""
        shown = [
            f"{name} {record[name]:.4g}" for name in ("ot", "anchor", "loss", "divergence") if name in record
        ]
        if "pairs_per_second" in record:
            shown.append(f"{record['pairs_per_second']:.0f} pairs/s")
        self._bar.update(self._task, completed=step, total=steps, text="  ".join(shown))

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Say what goes on beside the steps."""
        self._bar.update(self._task, text="" if done == total else f"{what} {done}/{total}")

    def note(self, message: str) -> None:
        """Print a line above the bar."""
        if not self._quiet:
            self._bar.console.print(message, markup=False)
