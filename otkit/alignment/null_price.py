"""The price of having no partner, from sentences that do not belong together.

How near a word comes to the nearest word of a sentence it has nothing to do with depends on the encoder and
the layer, and on little else: so it is measured once an encoder, on unaligned pairs of the sample data (ten
languages with English), and scores of different files mean the same.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.data.lines import words_of
from otkit.data.parallel import Pair, read_pairs
from otkit.resources import sample_data
from otkit.transport.cost import pairwise_cost

if TYPE_CHECKING:
    from otkit.alignment.checking import TranslationChecker

__all__ = ["read_unaligned", "unaligned_minima"]

_PAIRS = 16
"""Of each language: some 6,000 words in all, which fixes the 5 % quantile to a hundredth of the cost."""


def read_unaligned() -> list[tuple[str, ...]]:
    """Sentences in turn: a source, and the translation of the line after it (of the first, for the last)."""
    sentences: list[tuple[str, ...]] = []
    for path in sorted((sample_data() / "parallel").glob("??-??.dev.tsv")):
        pairs = [pair for pair in islice(read_pairs(path), _PAIRS) if isinstance(pair, Pair)]
        for pair, other in zip(pairs, [*pairs[1:], *pairs[:1]], strict=True):
            sentences += [words_of(pair.source), words_of(other.target)]
    return sentences


def unaligned_minima(checker: TranslationChecker) -> NDArray[np.float32]:
    """Of each word of the unaligned pairs, both sides, the cost of its nearest word on the other side."""
    store = checker.encode(read_unaligned())
    every = torch.arange(0, len(store.counts), 2, device=store.counts.device)
    (x, rows, _), (y, columns, _) = store.gather(every), store.gather(every + 1)
    cost = pairwise_cost(x, y, cost="cosine")
    cost = cost.masked_fill(~(rows[:, :, None] & columns[:, None, :]), torch.inf)
    minima: NDArray[np.float32] = torch.cat([cost.amin(2)[rows], cost.amin(1)[columns]]).cpu().numpy()
    return minima
