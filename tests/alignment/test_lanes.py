"""The best chain through a document: known answers, and a search of all chains."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from otkit.alignment.lanes import Gain, Lane, best_path

TYPES = [(1, 1), (1, 2), (2, 1), (2, 2)]
Worth = dict[tuple[int, int], NDArray[np.float64]]


def _worth(shape: tuple[int, int], seed: int) -> Worth:
    random = np.random.default_rng(seed)
    return {
        (a, b): random.normal(-0.4, 0.6, (shape[0] - a + 1, shape[1] - b + 1))
        for a, b in TYPES
        if a <= shape[0] and b <= shape[1]
    }


def _gain(worth: Worth) -> Gain:
    return lambda a, b, row, low, high: worth[a, b][row - a, low - b : high - b]


def _all(shape: tuple[int, int]) -> Lane:
    return Lane(0, np.zeros(shape[0] + 1, dtype=np.int64), np.full(shape[0] + 1, shape[1] + 1))


@pytest.mark.parametrize("seed", range(8))
def test_without_jumps_the_chain_is_the_best_of_all(seed: int) -> None:
    shape, skip = (4, 5), 0.1
    worth = _worth(shape, seed)

    @functools.cache
    def best(row: int, column: int) -> float:
        if row == column == 0:
            return 0.0
        ways = [best(row - 1, column) - skip] if row else []
        ways += [best(row, column - 1) - skip] if column else []
        ways += [
            best(row - a, column - b) + float(worth[a, b][row - a, column - b])
            for a, b in TYPES
            if a <= row and b <= column
        ]
        return max(ways)

    steps = best_path(shape, [_all(shape)], _gain(worth), types=TYPES, skip=skip, jump=100.0)
    skipped = sum(shape) - sum(step.a + step.b for step in steps)
    assert sum(step.gain for step in steps) - skip * skipped == pytest.approx(best(*shape))
    assert all(step.run == 0 for step in steps)
    for step in steps:
        assert step.gain == pytest.approx(worth[step.a, step.b][step.source - step.a, step.target - step.b])


@pytest.mark.parametrize("jump", [0.0, 1.0])
def test_halves_exchanged_are_two_runs(jump: int) -> None:
    order = [*range(6, 12), *range(6)]
    worth = {(1, 1): np.full((12, 12), -1.0)}
    worth[1, 1][np.arange(12), order] = 1.0
    steps = best_path((12, 12), [_all((12, 12))], _gain(worth), types=[(1, 1)], skip=0.1, jump=jump)
    assert [step.target - 1 for step in steps] == order
    assert len({step.run for step in steps[:6]}) == len({step.run for step in steps[6:]}) == 1
    assert steps[0].run != steps[6].run


def test_a_lane_that_holds_the_chain_gives_the_same_chain() -> None:
    worth = {(1, 1): np.where(np.eye(30, dtype=bool), 1.0, -1.0)}
    rows = np.arange(31)
    lane = Lane(0, (rows - 2).clip(0), (rows + 3).clip(max=31))
    whole, part = (
        best_path((30, 30), [lanes], _gain(worth), types=[(1, 1)], skip=0.1, jump=3.0)
        for lanes in (_all((30, 30)), lane)
    )
    assert whole == part
    assert len(whole) == 30


def test_two_lanes_are_joined_by_a_jump_and_a_gap_between_them() -> None:
    worth = {(1, 1): np.full((20, 20), -1.0)}
    for row in [*range(8), *range(12, 20)]:
        worth[1, 1][row, (row + 12) % 20] = 1.0
    lanes = []
    for first, last, ahead in ((0, 8, 12), (12, 20, -8)):
        low = np.arange(first, last + 1) + ahead - 2
        lanes.append(Lane(first, low, (low + 5).clip(max=21)))
    steps = best_path((20, 20), lanes, _gain(worth), types=[(1, 1)], skip=0.1, jump=1.0)
    assert [(s.source - 1, s.target - 1) for s in steps] == [
        (row, (row + 12) % 20) for row in [*range(8), *range(12, 20)]
    ]


def test_nothing_is_worth_anything() -> None:
    worth = {(1, 1): np.full((5, 7), -1.0)}
    assert best_path((5, 7), [_all((5, 7))], _gain(worth), types=[(1, 1)], skip=0.0, jump=1.0) == []
