"""All pairs of a store of encoded sentences, in batches of pairs alike in size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.alignment.blocks import MOST_CELLS, align_in_blocks
from otkit.alignment.links import Found, find_links
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import UnitStore

__all__ = ["by_size", "find_all"]

# Padded cells of the cost matrices that are solved at once.
_BATCH_CELLS, _BATCH_PAIRS = 1 << 17, 256


def find_all(store: UnitStore, config: AlignmentSettings, *, plans: bool) -> list[Found]:
    """What there is between sentences 0 and 1, 2 and 3, ... of the store; a pair past `MOST_CELLS` in blocks,
    and without its plan."""
    sizes = store.counts.view(-1, 2).cpu().numpy()
    results: dict[int, Found] = {}
    for members in by_size(sizes):
        if int(sizes[members].prod(1).max()) > MOST_CELLS:
            for member in members.tolist():
                results[member] = align_in_blocks(store, 2 * member, 2 * member + 1, config)
            continue
        rows = torch.from_numpy(members).to(store.counts.device)
        places = 2 * rows, 2 * rows + 1
        letters = tuple(map(store.gather_letters, places)) if config.weighs_lengths else None
        source, target = map(store.gather, places)
        batch = find_links(source, target, config, letters=letters, plans=plans)
        results.update(zip(members.tolist(), batch, strict=True))
    return [results[member] for member in range(len(sizes))]


def by_size(sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs sorted by size, cut where the padded matrices would pass the budget."""
    order = np.lexsort((sizes[:, 1], sizes[:, 0]))
    begin, tall, wide = 0, 1, 1
    for place, index in enumerate(order.tolist()):
        height, width = max(1, int(sizes[index, 0])), max(1, int(sizes[index, 1]))
        tall, wide = max(tall, height), max(wide, width)
        count = place + 1 - begin
        if count > 1 and (count > _BATCH_PAIRS or count * tall * wide > _BATCH_CELLS):
            yield order[begin:place]
            begin, tall, wide = place, height, width
    if len(order):
        yield order[begin:]
