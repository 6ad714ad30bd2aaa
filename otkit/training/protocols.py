"""What the training loop is given from outside, each a protocol: where batches come from, and who watches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from otkit.training.records import Record

__all__ = ["Links", "MicroSteps", "Observer"]


class MicroSteps(Protocol):
    """Where batches come from: the same ones for the same numbers, from any start."""

    micro_steps_per_epoch: int
    splits: bool
    """Whether a micro-step may be cut into several batches, more in one process than in another."""

    def micro_steps(
        self, start: int = 0, stop: int | None = None, stride: int = 1
    ) -> Iterator[Sequence[Any]]:
        """Every `stride`-th micro-step, each a sequence of batches whose losses are added."""
        ...


class Links(Protocol):
    """Links that are read for the pairs to come, every so many steps (None: once)."""

    every: int | None

    def renew(self, start: int, stop: int, stride: int) -> None:
        """Read the pairs of every `stride`-th micro-step from `start` to `stop`."""
        ...

    def save(self, folder: Path, process: int) -> None:
        """Write what this process read into a checkpoint."""
        ...

    def load(self, folder: Path, process: int) -> None:
        """Take up what a checkpoint holds."""
        ...


class Observer(Protocol):
    """Whoever watches: progress goes out through here, never through print."""

    def record(self, record: Record, *, step: int, steps: int) -> None:
        """A history record was written."""
        ...

    def note(self, message: str) -> None:
        """Something a person should know."""
        ...

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Work beside the steps: so much of it is done, all of it where `done` is `total`."""
        ...
