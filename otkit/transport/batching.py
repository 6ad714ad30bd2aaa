"""Groups of problems of like size, so that little of a padded batch is padding."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["lengths", "size_groups"]

# In cells of a cost matrix: below this much work another group costs more in calls than it saves in padding.
WORTHWHILE = 60_000
# And this many double precision cells stay in a processor's cache.
CACHED = 300_000


def lengths(weights: Tensor) -> Tensor:
    """(B,) how many leading units hold all the mass of (B,N) weights."""
    places = torch.arange(1, weights.shape[1] + 1, device=weights.device)
    return (places * (weights > 0)).amax(1)


def size_groups(n: Tensor, m: Tensor) -> list[tuple[Tensor, int, int]]:
    """Partition problems of sizes n (B,) by m (B,) into (indices, largest n, largest m), big ones first."""
    order = torch.argsort(n * m, descending=True, stable=True)
    sizes = [(int(index), max(int(n[index]), 1), max(int(m[index]), 1)) for index in order]
    groups: list[tuple[list[int], int, int]] = []
    for index, rows, columns in sizes:
        if groups:
            members, height, width = groups[-1]
            taller, wider = max(height, rows), max(width, columns)
            cells = taller * wider
            snug = rows * columns >= 0.55 * cells and (len(members) + 1) * cells <= CACHED
            if snug or len(members) * cells < WORTHWHILE:
                members.append(index)
                groups[-1] = (members, taller, wider)
                continue
        groups.append(([index], rows, columns))
    return [(torch.tensor(members), height, width) for members, height, width in groups]
