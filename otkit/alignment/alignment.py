"""What an aligner finds for one sentence pair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Alignment", "Link"]

FloatArray = NDArray[np.float32]


class Link(NamedTuple):
    """Source word i and target word j, and how sure: a share in [0, 1]."""

    source: int
    target: int
    score: float


@dataclass(frozen=True, eq=False)
class Alignment:
    """The word links of a sentence pair of N and M words.

    links        sorted by source, then target
    plan         (N, M) masses of the transport plan, or similarities where there is no transport; None where
                 it was not asked for
    source_null  (N,) share of each word's mass that found no partner, in [0, 1]; target_null (M,) likewise
    cost         mean cost of the mass that moved, in units of the cost (cosine: 0 the same, 1 unrelated); NaN
                 where a side is empty
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: tuple[Link, ...]
    plan: FloatArray | None
    source_null: FloatArray
    target_null: FloatArray
    cost: float

    @cached_property
    def pairs(self) -> frozenset[tuple[int, int]]:
        """The links as bare index pairs."""
        return frozenset((link.source, link.target) for link in self.links)

    @property
    def pharaoh(self) -> str:
        """`i-j` counted from 0, sorted."""
        return " ".join([f"{i}-{j}" for i, j, _ in self.links])

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON; without the plan."""
        return {
            "source": list(self.source),
            "target": list(self.target),
            "links": [[i, j, round(score, 4)] for i, j, score in self.links],
            "source_null": _rounded(self.source_null),
            "target_null": _rounded(self.target_null),
            "cost": None if np.isnan(self.cost) else round(self.cost, 4),
        }


def _rounded(values: FloatArray) -> list[float]:
    return [round(value, 4) for value in values.tolist()]
