"""Scores to links: a literal dict of plain functions of one signature.

Every strategy takes scores (B,N,M), larger is better, and a mask (B,N,M) of the real cells, and gives the
links as (B,N,M) bool. What stands at padding has no influence; the mask clears it once, at the end.
Ties go to the first unit, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from otkit.alignment.settings import DEFAULT_THRESHOLDS
from otkit.errors import ConfigError, choose
from otkit.transport.plan import shares

__all__ = [
    "STRATEGIES",
    "Strategy",
    "entmax15",
    "extract_links",
    "strengths",
]

Strategy = Callable[[Tensor, Tensor, float], Tensor]

# itermax's second look at links of words that already have one (Jalili Sabet et al. 2020, section 3.3).
_ALPHA = 0.9


def _cleared(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, -torch.inf)


def _best(scores: Tensor, mask: Tensor, dim: int) -> Tensor:
    """The cell of the highest score of each row (dim 2) or column (dim 1), as (B,N,M) bool."""
    scores = _cleared(scores, mask)
    if 0 in scores.shape:
        return torch.zeros_like(mask)
    return torch.zeros_like(mask).scatter(dim, scores.argmax(dim, keepdim=True), True)


def forward(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """The best target of every source unit."""
    return _best(scores, mask, 2)


def backward(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """The best source of every target unit."""
    return _best(scores, mask, 1)


def mutual(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Pairs that are each other's best: SimAlign's "inter" (Jalili Sabet et al. 2020, section 3.3)."""
    return _best(scores, mask, 2) & _best(scores, mask, 1)


def union(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Forward and backward together."""
    return _best(scores, mask, 2) | _best(scores, mask, 1)


def grow_diag_final_and(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Mutual links, grown into the union along neighbours that link a free word; then links of the union
    between two free words (Koehn et al. 2005, figure 1)."""
    ahead, back = forward(scores, mask, 0) & mask, backward(scores, mask, 0) & mask
    grown = [_grow(f, b) for f, b in zip(ahead.cpu().numpy(), back.cpu().numpy(), strict=True)]
    return torch.from_numpy(np.stack(grown)).to(mask.device) if grown else torch.zeros_like(mask)


_NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def _grow(ahead: NDArray[np.bool_], back: NDArray[np.bool_]) -> NDArray[np.bool_]:
    links = ahead.copy()
    links &= back
    both = ahead | back
    rows, columns = np.asarray(links.any(1)), np.asarray(links.any(0))
    height, width = links.shape
    grows = True
    while grows:
        grows = False
        # In the order of the figure, cells that grew on the way included.
        for i, j in np.argwhere(both):
            for di, dj in _NEIGHBOURS if links[i, j] else ():
                x, y = i + di, j + dj
                inside = 0 <= x < height and 0 <= y < width
                if inside and both[x, y] and not links[x, y] and not (rows[x] and columns[y]):
                    links[x, y] = rows[x] = columns[y] = True
                    grows = True
    for direction in (ahead, back):
        for i, j in np.argwhere(direction):
            if not rows[i] and not columns[j]:
                links[i, j] = rows[i] = columns[j] = True
    return links


def itermax(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Mutual links, then mutual links once more where a word is still free (Jalili Sabet et al. 2020,
    section 3.3): scores between a free and a linked word count 0.9, those between two linked words nothing.

    Scores must be at least 0.  `threshold` is the number of rounds, the first included.
    """
    links = mutual(scores, mask, 0) & mask
    sides = mask.any(2).sum(1), mask.any(1).sum(1)
    going = torch.minimum(*sides) > 2  # a pair of at most two words is left with its mutual links
    for _ in range(int(threshold) - 1):
        free_rows = (mask.any(2) & ~links.any(2))[:, :, None]  # (B,N,1)
        free_columns = (mask.any(1) & ~links.any(1))[:, None, :]  # (B,1,M)
        going = going & free_rows.any((1, 2)) & free_columns.any((1, 2))
        weight = torch.where(
            free_rows & free_columns, 1.0, torch.where(free_rows | free_columns, _ALPHA, 0.0)
        )
        found = mutual(scores * weight, mask, 0) & (free_rows | free_columns) & mask
        links = links | (found & going[:, None, None])
    return links


def match(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """The one-to-one links of the largest total score (SimAlign's match; Kuhn 1955), through SciPy."""
    links = np.zeros(tuple(mask.shape), dtype=bool)
    heights, widths = mask.any(2).sum(1).tolist(), mask.any(1).sum(1).tolist()
    values = scores.detach().cpu().double().numpy()
    for pair, (height, width) in enumerate(zip(heights, widths, strict=True)):
        rows, columns = linear_sum_assignment(values[pair, :height, :width], maximize=True)
        links[pair, rows, columns] = True
    return torch.from_numpy(links).to(mask.device)


def softmax(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Pairs whose softmax over targets and over sources both pass the threshold: awesome-align, on raw dot
    products (Dou and Neubig 2021, section 2.1)."""
    return _softmax_both(scores, mask) > threshold


def _softmax_both(scores: Tensor, mask: Tensor) -> Tensor:
    scores = _cleared(scores, mask)
    return torch.minimum(scores.softmax(2).nan_to_num(0.0), scores.softmax(1).nan_to_num(0.0))


def entmax(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """The same with the sparse 1.5-entmax in place of softmax."""
    return _entmax_both(scores, mask) > threshold


def _entmax_both(scores: Tensor, mask: Tensor) -> Tensor:
    scores = _cleared(scores, mask)
    return torch.minimum(entmax15(scores), entmax15(scores.transpose(1, 2)).transpose(1, 2))


def entmax15(scores: Tensor) -> Tensor:
    """1.5-entmax over the last dimension, exactly, by sorting (Peters, Niculae and Martins 2019, algorithm
    2); -inf is padding and gets 0."""
    real = scores > -torch.inf
    x = scores - scores.amax(-1, keepdim=True).nan_to_num(neginf=0.0)
    x = torch.where(real, x / 2, -1e4)
    ordered = x.sort(dim=-1, descending=True).values
    rank = torch.arange(1, x.shape[-1] + 1, device=x.device, dtype=x.dtype)
    mean = ordered.cumsum(-1) / rank
    spread = rank * ((ordered**2).cumsum(-1) / rank - mean**2)
    threshold = mean - ((1 - spread) / rank).clamp(min=0).sqrt()  # tau if the first k were the support
    support = (threshold <= ordered).sum(-1, keepdim=True).clamp(min=1)
    tau = threshold.gather(-1, support - 1)
    return torch.where(real, (x - tau).clamp(min=0) ** 2, 0.0)


def relative_mass(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Cells whose share of row and column, as geometric mean, passes the threshold: links may be one to many,
    and words may stay free."""
    return shares(scores, mask) > threshold


def top_k(scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Cells among the k best of their row and of their column; the threshold is k."""
    scores = _cleared(scores, mask)
    return _among(scores, int(threshold), 2) & _among(scores, int(threshold), 1)


def _among(scores: Tensor, k: int, dim: int) -> Tensor:
    k = min(k, scores.shape[dim])
    order = scores.sort(dim=dim, descending=True, stable=True).indices.narrow(dim, 0, k)
    return torch.zeros_like(scores, dtype=torch.bool).scatter(dim, order, True)


def strengths(scores: Tensor, mask: Tensor, *, strategy: str) -> Tensor:
    """(B,N,M) what a strategy compares: the smaller of both probabilities, or the scores as they are."""
    compared = {"softmax": _softmax_both, "entmax": _entmax_both}.get(strategy)
    return scores if compared is None else compared(scores, mask)


STRATEGIES: Mapping[str, Strategy] = {
    "threshold": relative_mass,
    "mutual": mutual,
    "forward": forward,
    "backward": backward,
    "union": union,
    "grow-diag-final-and": grow_diag_final_and,
    "itermax": itermax,
    "match": match,
    "softmax": softmax,
    "entmax": entmax,
    "top-k": top_k,
}


def extract_links(scores: Tensor, mask: Tensor, *, strategy: str, threshold: float | None = None) -> Tensor:
    """The links (B,N,M) bool of the named strategy; False at padding."""
    function = choose(strategy, STRATEGIES, what="strategy")
    if scores.shape != mask.shape or mask.dtype != torch.bool:
        raise ConfigError(
            f"scores {tuple(scores.shape)} and mask {tuple(mask.shape)} do not belong together",
            remedy="give two (B,N,M) tensors, the mask in bool",
        )
    if threshold is None:
        threshold = DEFAULT_THRESHOLDS.get(strategy, 0.0)
    if mask.numel() == 0:
        return torch.zeros_like(mask)
    return function(scores, mask, threshold) & mask
