"""Pairs whose cost matrix would not fit: cut along the diagonal into blocks that overlap.

Without paragraphs to go by, word i of N is looked for around word i M / N: a block on each side (a few
hundred words) is as far as it may stray.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from otkit.alignment.links import Found, Side, find_links
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import UnitStore

__all__ = ["MOST_CELLS", "align_in_blocks"]

MOST_CELLS = 1_000_000
"""Cells of one cost matrix that are solved whole: some ten such matrices live at once."""


def align_in_blocks(store: UnitStore, source: int, target: int, config: AlignmentSettings) -> Found:
    """The links between two long sentences of the store, each source unit decided in the block that owns it;
    no plan."""
    places = [torch.tensor([index], device=store.counts.device) for index in (source, target)]
    sides = [store.gather(place) for place in places]
    letters = [store.gather_letters(place) for place in places] if config.weighs_lengths else None
    n, m = (int(side[1].sum()) for side in sides)
    # Three blocks of both sides, the owned one and a neighbour each way, are the cells of one problem.
    blocks = max(1, math.ceil(3 * math.sqrt(n * m / MOST_CELLS)))
    edges = [(round(k * n / blocks), round(k * m / blocks)) for k in range(blocks + 1)]
    words = [side[2][0].cpu() for side in sides]
    links: dict[tuple[int, int], float] = {}
    nulls = [np.ones(int(each.max()) + 1, dtype=np.float32) for each in words]
    costs, weights = [], []
    for k in range(blocks):
        low, high = edges[max(k - 1, 0)], edges[min(k + 2, blocks)]
        parts = [_part(side, low[s], high[s]) for s, side in enumerate(sides)]
        if low[0] == high[0] or low[1] == high[1]:
            continue
        counted = letters and [x[:, low[s] : high[s]] for s, x in enumerate(letters)]
        (found,) = find_links(parts[0], parts[1], config, letters=counted, plans=False)
        firsts = [int(each[low[s]]) for s, each in enumerate(words)]
        owned = [(int(each[edges[k][s]]) if edges[k][s] < len(each) else 0) for s, each in enumerate(words)]
        ends = [
            int(each[edges[k + 1][s]]) if edges[k + 1][s] < len(each) else len(nulls[s])
            for s, each in enumerate(words)
        ]
        for i, j, score in zip(*found.links, strict=True):
            if owned[0] <= i + firsts[0] < ends[0]:
                links[i + firsts[0], j + firsts[1]] = score
        for s, null in enumerate((found.source_null, found.target_null)):
            nulls[s][owned[s] : ends[s]] = null[owned[s] - firsts[s] : ends[s] - firsts[s]]
        costs.append(found.cost)
        weights.append(high[0] - low[0])
    ordered = sorted(links)
    return Found(
        links=([i for i, _ in ordered], [j for _, j in ordered], [links[cell] for cell in ordered]),
        plan=None,
        source_null=nulls[0],
        target_null=nulls[1],
        cost=float(np.average(costs, weights=weights)) if costs else float("nan"),
    )


def _part(side: Side, low: int, high: int) -> Side:
    """Some units of one sentence, their words counted from the first of them."""
    vectors, mask, words = (x[:, low:high] for x in side)
    return vectors, mask, words - words[:, :1]
