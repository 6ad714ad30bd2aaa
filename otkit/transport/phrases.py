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
    share: Tensor, rows: Tensor, columns: Tensor, *, power: float, attach_factor: float, threshold: float
) -> Tensor:
    """(B,N,M) shares of a plan, times what the length of both words says of a link between them.

    share (B,N,M); rows (B,N) and columns (B,M) letters of the words, 0 for punctuation and padding. The factor is
    (l/4) ** `power` for each of the two words, l its letters and at least 2, and `attach_factor` where one of them
    leans on the word after it: it has at most 3 letters, that word has a share above the `threshold` with the very
    same partner, and it has itself no such share with anything that is not a partner of that word. 0.25 and 2.5 to
    3 are best on the development sets of XL-WA, with a threshold of 0.45.
    """
    sizes = [(side.clamp(min=_LEAST) / _TYPICAL) ** power for side in (rows, columns)]
    linked = share > threshold
    leans = _leans(linked, rows) | _leans(linked.mT, columns).mT
    weight = torch.where(leans, attach_factor, 1.0) * sizes[0][:, :, None] * sizes[1][:, None, :]
    return share * weight.to(share.dtype)


def _leans(linked: Tensor, letters: Tensor) -> Tensor:
    """(B,N,M): cells in which the word of the row leans on the next row's."""
    short = (letters > 0) & (letters < _TYPICAL)
    after = short[:, :, None] & _next(linked)
    # "the" of "the house" with "la casa" has a partner of its own, and stays with it.
    return after & ~(linked & ~after).any(2, keepdim=True)


def _next(linked: Tensor) -> Tensor:
    """(B,N,M) the row after each; False after the last."""
    return torch.cat([linked[:, 1:], torch.zeros_like(linked[:, :1])], 1)
