"""The best chain of beads through a document, by dynamic programming in lanes: parts of the matrix of sentences.

A cell (row, column) stands for so many source and target sentences that are done. A lane says, for each of its rows,
which columns are looked at; a small document is one lane that holds all. Within a lane beads follow each other in
order; from the best cell of a row any column of any lane may be entered, at the price of a jump. Work and memory grow
with the cells of the lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lane", "Step", "best_path"]

FloatArray = NDArray[np.float64]
Gain = Callable[[int, int, int, int, int], FloatArray]
"""gain(a, b, row, low, high): what the beads of the a source sentences before `row` with the b target sentences before
the columns low, ..., high - 1 are worth."""

_NOTHING, _START, _SKIP_SOURCE, _SKIP_TARGET, _JUMP = -1, -2, -3, -4, -5


@dataclass(frozen=True, eq=False)
class Lane:
    """Rows first, ..., first + len(low) - 1, each with the columns low, ..., high - 1."""

    first: int
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    def columns(self, row: int) -> tuple[int, int]:
        """Low and high of a row; nothing where the lane does not have it."""
        place = row - self.first
        if not 0 <= place < len(self.low):
            return 0, 0
        return int(self.low[place]), int(self.high[place])


class Step(NamedTuple):
    """A bead of the source sentences [source - a, source) and the target sentences [target - b, target); `run` counts
    the jumps between it and the end."""

    source: int
    target: int
    a: int
    b: int
    gain: float
    run: int


class _Place(NamedTuple):
    """The best cell up to a row; `value` is less what was skipped since."""

    value: float
    lane: int
    row: int
    column: int


@dataclass(frozen=True, eq=False)
class _Row:
    """Values of a lane's row, how each cell was reached (a type's number or one of the marks above)."""

    low: int
    values: FloatArray
    back: NDArray[np.int16]

    def improve(self, first: int, values: FloatArray | float, mark: int) -> None:
        """Take better values for the columns from `first` on."""
        there = self.values[first - self.low :]
        if isinstance(values, np.ndarray):
            there = there[: len(values)]
        better = values > there
        np.copyto(there, values, where=better)
        self.back[first - self.low :][: len(there)][better] = mark

    def skip_along(self, price: float) -> None:
        """Reach columns from earlier ones of the row by leaving target sentences out."""
        rising = price * np.arange(len(self.values))
        reached = np.maximum.accumulate(self.values + rising) - rising
        better = reached > self.values + 1e-7  # more than rounding makes of the same value
        self.values[better] = reached[better]
        self.back[better] = _SKIP_TARGET


def best_path(
    shape: tuple[int, int],
    lanes: Sequence[Lane],
    gain: Gain,
    *,
    types: Sequence[tuple[int, int]],
    skip: float,
    jump: float,
) -> list[Step]:
    """The beads between (0, 0) and the cell `shape` that are worth most in sum, less `skip` for each sentence that is
    left out and `jump` for each break of the order, in the order of the source."""
    rows: list[dict[int, _Row]] = [{} for _ in lanes]
    best: list[_Place] = []
    for row in range(shape[0] + 1):
        place = best[-1]._replace(value=best[-1].value - skip) if best else _Place(0.0, -1, 0, 0)
        here = []
        for k, lane in enumerate(lanes):
            low, high = lane.columns(row)
            if low >= high:
                continue
            reached = _reached(rows[k], row, low, high, gain, types, skip)
            rows[k][row] = reached
            here.append((k, reached))
            if row == 0 and low == 0:
                reached.improve(0, np.zeros(1), _START)
            column = int(reached.values.argmax())
            place = max(place, _Place(float(reached.values[column]), k, row, low + column))
        best.append(place)
        for _, reached in here:
            reached.skip_along(skip)
            reached.improve(reached.low, place.value - jump, _JUMP)
            reached.skip_along(skip)
    return _traced(shape, rows, best, types, jump)


def _reached(
    done: dict[int, _Row],
    row: int,
    low: int,
    high: int,
    gain: Gain,
    types: Sequence[tuple[int, int]],
    skip: float,
) -> _Row:
    """A row as its lane's earlier rows reach it, by beads and by leaving a source sentence out."""
    size = high - low
    found = _Row(low, np.full(size, -np.inf), np.full(size, _NOTHING, dtype=np.int16))
    for mark, (a, b) in [(_SKIP_SOURCE, (1, 0)), *enumerate(types)]:
        before = done.get(row - a)
        if before is None:
            continue
        first, last = max(low, before.low + b), min(high, before.low + len(before.values) + b)
        if first >= last:
            continue
        values = before.values[first - b - before.low : last - b - before.low]
        worth = gain(a, b, row, first, last) if b else -skip
        found.improve(first, values + worth, mark)
    return found


def _traced(
    shape: tuple[int, int],
    rows: Sequence[dict[int, _Row]],
    best: Sequence[_Place],
    types: Sequence[tuple[int, int]],
    jump: float,
) -> list[Step]:
    row, column = shape
    lane, value = -1, best[-1].value - jump
    for k, each in enumerate(rows):
        last = each.get(row)
        if last is not None and last.low <= column < last.low + len(last.values):
            reached = float(last.values[column - last.low])
            if reached >= value:
                lane, value = k, reached
    if lane < 0:
        _, lane, row, column = best[-1]
    steps, run = [], 0
    while lane >= 0:
        here = rows[lane][row]
        mark = int(here.back[column - here.low])
        if mark == _SKIP_SOURCE:
            row -= 1
        elif mark == _SKIP_TARGET:
            column -= 1
        elif mark == _JUMP:
            _, lane, row, column = best[row]
            run += 1
        elif mark >= 0:
            a, b = types[mark]
            before = rows[lane][row - a]
            worth = float(here.values[column - here.low] - before.values[column - b - before.low])
            steps.append(Step(row, column, a, b, worth, run))
            row, column = row - a, column - b
        else:
            break
    return steps[::-1]
