"""Token states to units: words, subwords, or one vector a sentence. No Python loop runs over sentences
here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from otkit.encoders.device import send
from otkit.encoders.tokens import Tokens
from otkit.errors import choose

__all__ = [
    "POOLINGS",
    "SENTENCE_POOLINGS",
    "Encoded",
    "centred",
    "pool_sentences",
    "pool_words",
    "pooled",
    "poolings_of",
    "subword_units",
]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The units of a batch of sentences.

    vectors: (B, W, D), zero at padding.  mask: (B, W) bool, True at a unit.  word_ids: (B, W) int64, the word
    that a unit belongs to, -1 at padding; left out, each unit is a word of its own.
    """

    vectors: Tensor
    mask: Tensor
    word_ids: Tensor = None  # type: ignore[assignment]  # always set in __post_init__

    def __post_init__(self) -> None:
        if self.word_ids is None:
            order = torch.arange(self.mask.shape[-1], device=self.mask.device).expand(self.mask.shape)
            object.__setattr__(self, "word_ids", torch.where(self.mask, order, -1))
        if self.vectors.ndim != 3 or not self.mask.shape == self.word_ids.shape == self.vectors.shape[:2]:
            raise ValueError(
                f"vectors (B, W, D), mask (B, W) and word_ids (B, W) do not agree: "
                f"{tuple(self.vectors.shape)}, {tuple(self.mask.shape)}, {tuple(self.word_ids.shape)}"
            )
        if self.mask.dtype != torch.bool:
            raise ValueError(f"mask must be bool, got {self.mask.dtype}")

    def with_vectors(self, vectors: Tensor) -> Encoded:
        """The same units with other vectors (B, W, D)."""
        return Encoded(vectors, self.mask, self.word_ids)


def _edge(hidden: Tensor, slots: Tensor, width: int, *, last: bool) -> Tensor:
    """(B, W, D): the state of the last (or first) token of each slot."""
    batch, length, _ = hidden.shape
    places = torch.arange(length, device=hidden.device).expand(batch, length)
    start = torch.zeros(batch, width + 1, dtype=torch.int64, device=hidden.device)
    reduce = "amax" if last else "amin"
    chosen = start.scatter_reduce(1, slots, places, reduce=reduce, include_self=False)[:, :width]
    return hidden.gather(1, chosen.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))  # (B, W, D)


def _last(hidden: Tensor, slots: Tensor, width: int) -> Tensor:
    return _edge(hidden, slots, width, last=True)


def _first(hidden: Tensor, slots: Tensor, width: int) -> Tensor:
    return _edge(hidden, slots, width, last=False)


def _mean(hidden: Tensor, slots: Tensor, width: int) -> Tensor:
    """(B, W, D): the mean over the tokens of each slot, summed in fp32 whatever the encoder's precision."""
    batch, _, dim = hidden.shape
    rows = torch.arange(batch, device=hidden.device).unsqueeze(1) * (width + 1)
    flat = (rows + slots).flatten()  # (B * T,)
    sums = torch.zeros(batch * (width + 1), dim, dtype=torch.float32, device=hidden.device)
    sums = sums.index_add(0, flat, hidden.flatten(0, 1).float()).view(batch, width + 1, dim)[:, :width]
    tokens = torch.zeros(batch, width + 1, device=hidden.device)
    tokens = tokens.scatter_add(1, slots, torch.ones_like(slots, dtype=torch.float32))[:, :width]
    return (sums / tokens.clamp_min(1).unsqueeze(-1)).to(hidden.dtype)


POOLINGS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {"last": _last, "first": _first, "mean": _mean}


def pool_words(hidden: Tensor, tokens: Tokens, *, word_vector: str) -> Encoded:
    """One vector a word out of token states (B, T, D): its `last` or `first` subword, or the `mean` of
    them."""
    pool = choose(word_vector, POOLINGS, what="word vector")
    width = max(tokens.counts, default=0)
    counts = send(torch.tensor(tokens.counts), hidden.device)
    order = torch.arange(width, device=hidden.device).expand(len(tokens), width)
    mask = order < counts.unsqueeze(1)  # (B, W)
    # Specials, prefix and padding go to one slot past the last word, which is cut off again.
    slots = torch.where(tokens.word_ids < 0, width, tokens.word_ids)
    vectors = pool(hidden, slots, width) if width else hidden.new_zeros(len(tokens), 0, hidden.shape[-1])
    vectors = torch.where(mask.unsqueeze(-1), vectors, vectors.new_zeros(()))
    return Encoded(vectors, mask, torch.where(mask, order, -1))


def subword_units(hidden: Tensor, tokens: Tokens) -> Encoded:
    """Every subword of a word as a unit, moved together to the left: (B, T, D) to (B, W, D)."""
    inside = tokens.word_ids >= 0  # (B, T)
    counts = inside.sum(dim=1, keepdim=True)
    order = inside.to(torch.int8).argsort(
        dim=1, descending=True, stable=True
    )  # units first, in their own order
    width = hidden.shape[1] if _waits(hidden) else int(counts.amax()) if len(tokens) else 0
    order = order[:, :width]
    mask = torch.arange(width, device=hidden.device).unsqueeze(0) < counts
    vectors = hidden.gather(1, order.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
    vectors = torch.where(mask.unsqueeze(-1), vectors, vectors.new_zeros(()))
    return Encoded(vectors, mask, torch.where(mask, tokens.word_ids.gather(1, order), -1))


def _waits(values: Tensor) -> bool:
    """Whether it costs a wait for a device to ask it how many columns hold a unit."""
    return values.is_cuda


def _total(hidden: Tensor, weights: Tensor) -> Tensor:
    """(B, D): states (B, T, D) summed by weights (B, T); where the weight is 0 a state may be anything."""
    weights = weights.unsqueeze(-1)
    return torch.where(weights > 0, hidden * weights, hidden.new_zeros(())).sum(dim=1)


def _sentence_mean(hidden: Tensor, kept: Tensor) -> Tensor:
    return _total(hidden, kept) / kept.sum(dim=1, keepdim=True).clamp_min(1)


def _sentence_root_mean(hidden: Tensor, kept: Tensor) -> Tensor:
    return _total(hidden, kept) / kept.sum(dim=1, keepdim=True).clamp_min(1).sqrt()


def _sentence_weighted_mean(hidden: Tensor, kept: Tensor) -> Tensor:
    weights = kept * torch.arange(1, hidden.shape[1] + 1, device=hidden.device)  # later tokens have seen more
    return _total(hidden, weights) / weights.sum(dim=1, keepdim=True).clamp_min(1)


def _sentence_max(hidden: Tensor, kept: Tensor) -> Tensor:
    return torch.where(kept.unsqueeze(-1) > 0, hidden, hidden.new_tensor(-torch.inf)).amax(dim=1)


def _place(hidden: Tensor, place: Tensor) -> Tensor:
    """(B, D): the state at one place (B,) of each row."""
    return hidden.gather(1, place[:, None, None].expand(-1, 1, hidden.shape[-1])).squeeze(1)


def _sentence_first(hidden: Tensor, kept: Tensor) -> Tensor:
    return _place(hidden, kept.argmax(dim=1))


def _sentence_last(hidden: Tensor, kept: Tensor) -> Tensor:
    places = torch.arange(hidden.shape[1], device=hidden.device)
    return _place(hidden, (kept * places).argmax(dim=1))


SENTENCE_POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": _sentence_mean,
    "cls": _sentence_first,
    "max": _sentence_max,
    "mean_sqrt_len": _sentence_root_mean,
    "weightedmean": _sentence_weighted_mean,
    "lasttoken": _sentence_last,
}
"""One vector a sentence out of token states (B, T, D) and the tokens that count (B, T), 1 or 0: those of
sentence-transformers. Several are joined by `+`: their vectors stand side by side."""


def poolings_of(pooling: str) -> tuple[str, ...]:
    """The parts of a pooling such as `cls+mean`, each a name of `SENTENCE_POOLINGS`."""
    parts = tuple(pooling.split("+"))
    for part in parts:
        choose(part, SENTENCE_POOLINGS, what="pooling")
    return parts


def pooled(hidden: Tensor, attention: Tensor, pooling: str, *, skip: int = 0) -> Tensor:
    """(B, E) sentence vectors as they come, out of token states (B, T, D): all tokens count, specials and prefix
    included (E5, LaBSE), but for the first `skip`."""
    kept = attention.to(torch.int32)
    if skip:
        kept = kept * (torch.arange(kept.shape[1], device=kept.device) >= skip)
    hidden = hidden.float()
    parts = [SENTENCE_POOLINGS[part](hidden, kept) for part in pooling.split("+")]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def pool_sentences(hidden: Tensor, tokens: Tokens, *, pooling: str) -> Tensor:
    """(B, E) unit vectors of a pooling alone, without what an encoder may have behind it."""
    poolings_of(pooling)
    return torch.nn.functional.normalize(pooled(hidden, tokens.attention, pooling), dim=-1)


def centred(x: Tensor, y: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """x (B,N,D) and y (B,M,D) minus the mean over the units of both sides of each pair; 0 at padding.

    rows (B,N) and columns (B,M) say which units there are. What all words of an encoder share, which is most
    of their length, tells none of them from another (Ethayarajh 2019).
    """
    rows, columns = rows[..., None], columns[..., None]
    total = (x * rows).sum(1) + (y * columns).sum(1)
    mean = (total / (rows.sum(1) + columns.sum(1)).clamp(min=1))[:, None]
    return (x - mean) * rows, (y - mean) * columns
