"""Sums and maxima of many ranges of rows: what spans of words, nested as they like, ask of one matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from otkit.alignment.shares import Shares

__all__ = ["Ranged", "RowRanges"]

_BLOCK = 16


class RowRanges:
    """A ufunc such as `np.add` over the rows [start, end) of a matrix (N, M), as a row of M.

    The rows of blocks of 16, of 256, ... are taken together once, so that a range costs some 30 rows a level, and not
    its length: thousands of spans, one within the other, would else cost the third power of the words. Ranges without
    a whole block in them have the sum that the rows themselves have, to the bit.
    """

    def __init__(self, values: Shares, ufunc: np.ufunc) -> None:
        self._ufunc = ufunc
        self._levels = [values]
        while len(self._levels[-1]) >= 2 * _BLOCK:
            below = self._levels[-1]
            whole = len(below) // _BLOCK * _BLOCK
            self._levels.append(ufunc.reduceat(below[:whole], np.arange(0, whole, _BLOCK), axis=0))

    def over(self, start: int, end: int) -> Shares:
        """Of the rows [start, end); zeros where there are none."""
        ahead: list[Shares] = []
        behind: list[Shares] = []
        for level in self._levels:
            first, last = -(-start // _BLOCK), end // _BLOCK
            if first >= last or level is self._levels[-1]:
                ahead.append(level[start:end])
                break
            ahead.append(level[start : first * _BLOCK])
            behind.append(level[last * _BLOCK : end])
            start, end = first, last
        rows = np.concatenate([*ahead, *reversed(behind)]) if behind else ahead[0]
        return np.asarray(self._ufunc.reduce(rows, axis=0, initial=0.0))


@dataclass(frozen=True, eq=False)
class Ranged:
    """Shares (N, M), and what their spans are asked for."""

    shares: Shares

    @cached_property
    def total(self) -> Shares:
        """(M,): of each target word with all source words."""
        return np.asarray(self.shares.sum(0))

    @cached_property
    def sums(self) -> RowRanges:
        """Over source words, for each target word: what it shares with them."""
        return RowRanges(self.shares, np.add)

    @cached_property
    def tops(self) -> RowRanges:
        """Over source words, for each target word: the most that it shares with one of them."""
        return RowRanges(self.shares, np.maximum)

    @cached_property
    def reach(self) -> RowRanges:
        """Over target words, for each source word: the most that it shares with one of them."""
        return RowRanges(self.shares.T, np.maximum)
