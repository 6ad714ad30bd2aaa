"""Where in the matrix of two long documents to look for beads: chains of anchors, and lanes around them.

An anchor is a sentence and its translation, each the other's nearest. Chains of anchors that rise together are what a
document has in order; where it jumps, a chain ends and another begins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from otkit.alignment.lanes import Lane

__all__ = ["Anchor", "anchors_of", "chains_of", "lanes_of"]

FloatArray = NDArray[np.float32]

_ROWS = 512  # of the matrix of similarities that are looked at together
_LOOK_BACK = 64  # anchors that a chain may go on from
_DRIFT = 0.05  # price of a sentence by which two anchors of a chain stray from the diagonal
_WIDTH = 24  # sentences to each side of a chain
_WIDEST = 3000  # columns of one row of a lane


class Anchor(NamedTuple):
    """Source sentence, target sentence, similarity."""

    source: int
    target: int
    weight: float


def anchors_of(source: FloatArray, target: FloatArray, *, least: float) -> list[Anchor]:
    """Pairs of unit vectors (N, D) and (M, D) that are each other's nearest, with a similarity of at least `least`; the
    matrix is never held whole."""
    ahead = np.zeros(len(source), dtype=np.int64)
    weight = np.zeros(len(source), dtype=np.float32)
    back = np.zeros(len(target), dtype=np.int64)
    highest = np.full(len(target), -np.inf, dtype=np.float32)
    for begin in range(0, len(source), _ROWS):
        block = source[begin : begin + _ROWS] @ target.T
        rows = slice(begin, begin + len(block))
        ahead[rows] = block.argmax(1)
        weight[rows] = block.max(1)
        nearest = block.argmax(0)
        value = block[nearest, np.arange(len(target))]
        better = value > highest
        highest[better] = value[better]
        back[better] = nearest[better] + begin
    mutual = (back[ahead] == np.arange(len(source))) & (weight >= least)
    return [Anchor(int(i), int(ahead[i]), float(weight[i])) for i in mutual.nonzero()[0]]


def chains_of(anchors: list[Anchor], *, jump: float) -> list[list[Anchor]]:
    """The runs of anchors of the greatest weight, less `jump` between one run and the next; they follow each other on
    the source side, and rise within a run on both sides."""
    if not anchors:
        return []
    places = np.array([(i, j) for i, j, _ in anchors])
    total = np.zeros(len(anchors))
    before = np.full(len(anchors), -1)
    joined = np.zeros(len(anchors), dtype=bool)
    best, where = -np.inf, -1
    for k, (i, j, weight) in enumerate(anchors):
        low = max(0, k - _LOOK_BACK)
        value, last, on = max((0.0, -1, False), (best - jump, where, False))
        if k > low:
            steps = np.array((i, j)) - places[low:k]
            reached = total[low:k] - np.where(
                steps[:, 1] > 0, _DRIFT * np.abs(steps[:, 0] - steps[:, 1]), np.inf
            )
            nearest = int(reached.argmax())
            if reached[nearest] >= value:
                value, last, on = float(reached[nearest]), low + nearest, True
        total[k], before[k], joined[k] = value + weight, last, on
        if total[k] > best:
            best, where = float(total[k]), k
    chains: list[list[Anchor]] = [[]]
    while where >= 0:
        chains[-1].append(anchors[where])
        if not joined[where]:
            chains.append([])
        where = int(before[where])
    return [chain[::-1] for chain in reversed(chains) if chain]


def lanes_of(shape: tuple[int, int], chains: list[list[Anchor]]) -> list[Lane]:
    """A lane around each chain, from the end of the chain before to the begin of the one after; around the diagonal
    where there is no chain."""
    n, m = shape
    if not chains:
        return [_lane([(0, 0), (n, m)], shape, 4 * _WIDTH)]
    lanes = []
    for place, chain in enumerate(chains):
        top = chains[place - 1][-1].source + 1 if place else 0
        bottom = chains[place + 1][0].source if place + 1 < len(chains) else n
        corners = [(each.source, each.target) for each in chain]
        corners.append((chain[-1].source + 1, chain[-1].target + 1))
        (i, j), (k, l) = corners[0], corners[-1]  # noqa: E741
        # Beyond its ends a chain goes on along a diagonal, to the edge of the document where nothing else lies there.
        corners.insert(0, (top, 0 if top == 0 and j <= 2 * (i + _WIDTH) else max(0, j - (i - top))))
        corners.append(
            (bottom, m if bottom == n and m - l <= 2 * (n - k + _WIDTH) else min(m, l + bottom - k))
        )
        lanes.append(_lane(corners, shape, _WIDTH))
    return lanes


def _lane(corners: list[tuple[int, int]], shape: tuple[int, int], width: int) -> Lane:
    """The boxes between one corner and the next, widened on all sides."""
    first, end = max(0, corners[0][0] - width), min(shape[0], corners[-1][0] + width)
    rows = np.arange(first, end + 1)
    tops, lefts = np.array(corners).T
    # Of the corners around a row, that at or before it and that after it.
    after = np.searchsorted(tops, rows, side="right").clip(1, len(tops) - 1)
    low, high = lefts[after - 1] - width, lefts[after] + width
    middle = np.interp(rows, tops, lefts).astype(np.int64)
    low, high = np.maximum(low, middle - _WIDEST // 2), np.minimum(high, middle + _WIDEST // 2)
    return Lane(first, low.clip(0, shape[1]), (high + 1).clip(1, shape[1] + 1))
