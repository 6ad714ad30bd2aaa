"""One scale for all classes: how rare a figure is in clean text, and beyond that in text that does not belong together.

`scale.json` holds what each class finds in clean pairs of fifteen languages with English and in the same pairs out of
step: the figures at some shares of the pairs. `benchmarks/checking.py --fit` measures them. Those of the transport
depend on the encoder: they are counted from what it finds in the aligned sample sentences (0) to what it finds in them
out of step (1).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["SHARES", "Scale", "scale_of"]

SHARES = (
    0.0,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.85,
    0.9,
    0.93,
    0.95,
    0.97,
    0.98,
    0.99,
    0.995,
    0.998,
    1.0,
)
"""The shares of the pairs at which figures are kept."""

_CLEAN = 0.95
"""The part of the scale that clean text fills."""


@dataclass(frozen=True)
class Scale:
    """Figures of one class at `SHARES` of clean pairs, and of pairs out of step."""

    clean: Sequence[float]
    unaligned: Sequence[float]

    def place(self, value: float) -> float:
        """0.95 of the share of clean pairs with a lower figure; above them all, the rest by that of unaligned ones."""
        if (share := _share_below(self.clean, value)) < 1:
            return _CLEAN * share
        return _CLEAN + (1 - _CLEAN) * _share_below(self.unaligned, value)


def _share_below(figures: Sequence[float], value: float) -> float:
    place = bisect_left(figures, value)
    if place in (0, len(figures)):
        return float(place > 0)
    low, high = figures[place - 1], figures[place]
    return SHARES[place - 1] + (value - low) / (high - low) * (SHARES[place] - SHARES[place - 1])


def scale_of(name: str) -> Scale:
    """The scale of a class."""
    return _scales()[name]


@cache
def _scales() -> dict[str, Scale]:
    read = json.loads((Path(__file__).parent / "scale.json").read_text(encoding="utf-8"))
    return {name: Scale(tuple(each["clean"]), tuple(each["unaligned"])) for name, each in read.items()}
