"""Labelled examples as an endless sequence of micro-steps, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from otkit.errors import ConfigError, InputError

__all__ = ["ExampleSource"]


class _Indexed(Protocol):
    @property
    def indices(self) -> tuple[int, ...]: ...


Batch = TypeVar("Batch", bound=_Indexed)


class ExampleSource(Generic[Batch]):
    """Examples as an endless sequence of micro-steps: shuffled anew each epoch, the same for the same seed.

    `window` batches at a time are sorted by length, which saves padding; 1 leaves the order wholly random.
    """

    splits = False

    def __init__(
        self,
        lengths: Sequence[int],
        collate: Callable[[Sequence[int]], Batch],
        *,
        batch_size: int,
        window: int = 1,
        seed: int = 0,
    ) -> None:
        if not lengths:
            raise InputError("there is nothing to train on", remedy="give at least one example")
        if batch_size < 1 or window < 1:
            raise ConfigError(
                f"batch size {batch_size}, window {window}", remedy="give numbers of at least 1"
            )
        self._lengths, self._collate = np.asarray(lengths), collate
        self._size, self._window, self._seed = batch_size, window, seed
        self.micro_steps_per_epoch = -(-len(lengths) // batch_size)

    def micro_steps(self, start: int = 0, stop: int | None = None, stride: int = 1) -> Iterator[tuple[Batch]]:
        """Every `stride`-th micro-step from `start` on, one batch each."""
        step = start
        while stop is None or step < stop:
            epoch, first = divmod(step, self.micro_steps_per_epoch)
            for rows in self._epoch(epoch)[first::stride]:
                if stop is not None and step >= stop:
                    return
                yield (self._collate(rows.tolist()),)
                step += stride

    def _epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(len(self._lengths))
        batches: list[NDArray[np.int64]] = []
        span = self._size * self._window
        for first in range(0, len(order), span):
            rows = order[first : first + span]
            if self._window > 1:
                rows = rows[np.argsort(self._lengths[rows], kind="stable")]
            pieces = [rows[begin : begin + self._size] for begin in range(0, len(rows), self._size)]
            # The only short batch is an epoch's last one: it must stay so, whatever its length.
            shuffled = rng.permutation(len(pieces)) if self._window > 1 else np.arange(len(pieces))
            batches += [pieces[place] for place in shuffled]
        return batches
