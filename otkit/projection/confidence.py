"""How likely a span is right that was carried over, from the shares it was carried by.

A logistic regression on six figures of the span and its stretch, of 5,309 spans of people on real translations:
Europarl NER, answers of XQuAD, tags of Mozilla's strings, in six languages; each language of each counts the same.
Fitted without a language and asked for its spans, it is off by 0.03 on the average (expected calibration error).
`python -m benchmarks.confidence` prints the table, and fits the weights anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from otkit.alignment.shares import Shares
from otkit.projection.ranges import Ranged

__all__ = ["WEIGHTS", "Signs", "confidence_of", "signs_of"]

WEIGHTS = (1.49, 2.05, 1.29, -1.20, -0.43, -0.99)
BIAS = -1.70


@dataclass(frozen=True)
class Signs:
    """What tells whether a span is right.

    cover   the mean over its source words of their largest share with a word of the stretch
    dice    2 w(S, T) / (w(S, all) + w(all, T)), of the shares w
    last    the share of the span in the stretch's last word
    before  the share of the span in the word before the stretch, which should be none
    words   the logarithm of the number of source words
    length  how far the stretch's length is off what the sentences' lengths let expect, as a logarithm
    """

    cover: float
    dice: float
    last: float
    before: float
    words: float
    length: float


def signs_of(shares: Shares | Ranged, span: tuple[int, int], stretches: Sequence[tuple[int, int]]) -> Signs:
    """The signs of source words [start, end) carried to stretches of target words, in order."""
    ranged = shares if isinstance(shares, Ranged) else Ranged(shares)
    inside, total = ranged.sums.over(*span), ranged.total
    cover = np.max([ranged.reach.over(*stretch)[slice(*span)] for stretch in stretches], axis=0)
    places = np.concatenate([np.arange(*stretch) for stretch in stretches])
    first, last = stretches[0][0], stretches[-1][1]
    rows, columns = ranged.shares.shape
    count = span[1] - span[0]
    whole = float(inside.sum() + total[places].sum())
    return Signs(
        cover=float(cover.mean()),
        dice=2 * float(inside[places].sum()) / whole if whole > 0 else 0.0,
        last=min(1.0, float(inside[last - 1])),
        before=min(1.0, float(inside[first - 1])) if first else 0.0,
        words=math.log(count),
        length=abs(math.log(len(places) / count) - math.log(columns / rows)),
    )


def confidence_of(signs: Signs) -> float:
    """The probability, in [0, 1], that both ends are where people put them."""
    odds = BIAS + sum(weight * sign for weight, sign in zip(WEIGHTS, astuple(signs), strict=True))
    return 1 / (1 + math.exp(-odds))
