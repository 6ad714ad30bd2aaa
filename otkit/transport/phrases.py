"""What the length of words says of their links, as a prior on the shares of a plan.

Function words are short. Many have no partner of their own in the other language, which says the same with an ending or
not at all; people then link them with the partner of their phrase, and in most languages they stand before it: "of the
house", "de la casa", "в доме". Word vectors know little of this.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["weighted_shares"]

# A word of this many letters is neutral, and what is shorter leans on the next word.
_TYPICAL = 4
# A word of one letter says no less than one of two, and neither does punctuation.
_LEAST = 2


def weighted_shares(
    share: Tensor, rows: Tensor, columns: Tensor, *, power: float, leaning: float, threshold: float
) -> Tensor:
    """(B,N,M) shares of a plan, times what the length of both words says of a link between them.

    share (B,N,M); rows (B,N) and columns (B,M) letters of the words, 0 for punctuation and padding. The factor is
    (l/4) ** `power` for each of the two words, l its letters and at least 2, and `leaning` where one of them is a word
    of at most 3 letters and the word after it has a share above the `threshold` with the very same partner. 0.25 and 2
    are best on the development sets of XL-WA, with a threshold of 0.45.
    """
    sizes = [(side.clamp(min=_LEAST) / _TYPICAL) ** power for side in (rows, columns)]
    linked = share > threshold
    leans = _short(rows)[:, :, None] & _after(linked, 1) | _short(columns)[:, None, :] & _after(linked, 2)
    weight = torch.where(leans, leaning, 1.0) * sizes[0][:, :, None] * sizes[1][:, None, :]
    return share * weight.to(share.dtype)


def _short(letters: Tensor) -> Tensor:
    return (letters > 0) & (letters < _TYPICAL)


def _after(linked: Tensor, side: int) -> Tensor:
    """(B,N,M) the next cell along a dimension; False after the last."""
    none = torch.zeros_like(linked.narrow(side, 0, min(1, linked.shape[side])))
    return torch.cat([linked, none], side).narrow(side, min(1, linked.shape[side]), linked.shape[side])
