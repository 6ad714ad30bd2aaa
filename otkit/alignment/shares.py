"""The shares of a finished plan, or of links: what pictures draw and spans are carried by. Without torch.

The aligner scores its links in the same way (`otkit.transport.plan.shares`, on batches): a threshold means the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from otkit.errors import ConfigError, InputError

if TYPE_CHECKING:
    from otkit.alignment.aligner import Alignment

__all__ = ["Shares", "shares_between", "shares_of", "shares_of_links"]

Shares = NDArray[np.float64]
_MOST = 1 << 24  # cells that are held at once: 128 MB


def shares_of(plan: NDArray[np.floating]) -> Shares:
    """(N, M) in [0, 1] from masses, those below 0 as 0: the geometric mean of a cell's share of its row and of its
    column."""
    masses = np.asarray(plan, dtype=np.float64).clip(0.0, None)
    total = masses.sum(1, keepdims=True) * masses.sum(0, keepdims=True)
    return np.asarray(masses / np.sqrt(np.where(total > 0, total, 1.0))).clip(0.0, 1.0)


def shares_between(alignment: Alignment) -> Shares:
    """The shares of an alignment's plan, or of its links where the pair was too large for a plan."""
    if alignment.plan is not None:
        return shares_of(alignment.plan)
    return shares_of_links(alignment.links, len(alignment.source), len(alignment.target))


def shares_of_links(links: Iterable[tuple[int, int, float]], rows: int, columns: int) -> Shares:
    """The same from links with their scores, 1 where they have none: a word that is linked twice shares itself out."""
    if rows * columns > _MOST:
        raise InputError(
            f"{rows} times {columns} words are too many to carry anything between them",
            remedy="cut the texts at their sentences",
        )
    masses = np.zeros((rows, columns))
    for i, j, score in links:
        if not (0 <= i < rows and 0 <= j < columns):
            raise ConfigError(
                f"there is a link {i}-{j}, and the sentences have {rows} and {columns} words",
                remedy="give links of these very words, counted from 0",
            )
        masses[i, j] = score
    totals = np.maximum(masses.sum(1, keepdims=True), 1.0) * np.maximum(masses.sum(0, keepdims=True), 1.0)
    shares: Shares = masses / np.sqrt(totals)
    return shares
