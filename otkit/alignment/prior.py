"""The corpus as teacher: what its own links say of two words that stand in the same pair.

A first pass counts, over a sample of the corpus, how often two words stand in the same pair and how much of them goes
between them there. In the second pass a link between words that seldom go together is the weaker for it. Nothing makes
a link stronger: an aligner that is rewarded for what it found grows surer of its own habits, on function words first.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.alignment.settings import AlignmentSettings
from otkit.encoders.tokens import Sentence
from otkit.errors import ConfigError

__all__ = ["COUNTED_PAIRS", "CorpusPrior", "KnownWords", "LinkCounts", "check_prior", "countable", "sampled"]

COUNTED_PAIRS = 10_000
"""Pairs that are counted at most: a thousand of the corpus' own kind say nearly all that there is to know."""
COUNTED_SHARE = 0.05
"""The least share of a cell that is counted."""
_MOST_WORDS = 128  # of a side: in longer texts nearly all words stand with nearly all
_MOST_LETTERS = 32 * _MOST_WORDS
_MOST_ENTRIES = 1 << 22  # of the table: 64 MB

# Chosen on five development sets of XL-WA beside their silver text (bg, da, es, et, hu).
_POWER = 0.3
_TRUSTED = 20  # of so many pairs, half of the power
_USUAL = 0.5  # the mean share from which on nothing is held against a link
_SMOOTH = 0.02  # a pair of words never linked is not impossible

_IDS = 32  # bits of an id

Item = TypeVar("Item")


def check_prior(settings: AlignmentSettings, *, documents: bool, readable_twice: bool) -> None:
    """An error where the corpus cannot teach."""
    if settings.strategy != "threshold":
        raise ConfigError(
            f"a prior weighs link strengths, and the strategy {settings.strategy!r} compares none",
            remedy="use it with the strategy threshold",
            setting="corpus_prior",
        )
    if documents:
        raise ConfigError(
            "a prior counts pairs of sentences, and these are documents",
            remedy="leave one of them out",
            setting="corpus_prior",
        )
    if not readable_twice:
        raise ConfigError(
            "a prior reads the corpus twice, and a stream can be read once",
            remedy="write it to a file first",
            setting="corpus_prior",
        )


def countable(source: str, target: str) -> bool:
    """False for what is surely too long to be counted, however it is cut into words."""
    return max(len(source), len(target)) <= _MOST_LETTERS


def sampled(items: Iterable[Item], most: int = COUNTED_PAIRS) -> list[Item]:
    """So many of the items, in their order, each as probably as any other: the same ones every time (Vitter 1985,
    algorithm R)."""
    luck = random.Random(0)
    kept: list[tuple[int, Item]] = []
    for number, item in enumerate(items):
        if number < most:
            kept.append((number, item))
        elif (place := luck.randrange(number + 1)) < most:
            kept[place] = number, item
    return [item for _, item in sorted(kept, key=lambda each: each[0])]


@dataclass(frozen=True, eq=False)
class CorpusPrior:
    """What is held against links between words.

    pairs    sentence pairs that were counted
    sources, targets  the ids of words, in lower case
    keys     (K,) of pairs of words, sorted; factors (K,) in (0, 1) that their link strength is multiplied by
    """

    pairs: int
    sources: dict[str, int]
    targets: dict[str, int]
    keys: NDArray[np.int64]
    factors: NDArray[np.float32]

    @cached_property
    def sha256(self) -> str:
        """Of all that it holds against links."""
        words = "\n".join([*self.sources, "", *self.targets])
        digest = hashlib.sha256(words.encode("utf-8", "surrogatepass"))
        digest.update(self.keys.tobytes() + self.factors.tobytes())
        return digest.hexdigest()

    def between(self, source: Sequence[str], target: Sequence[str]) -> NDArray[np.float32]:
        """(N, M) factors of link strengths; 1 where nothing is known."""
        rows, columns = _ids(self.sources, source), _ids(self.targets, target)
        found = np.ones((len(rows), len(columns)), dtype=np.float32)
        if not len(self.keys):
            return found
        keys = (rows[:, None] << _IDS) | columns
        places = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        known = (self.keys[places] == keys) & (rows >= 0)[:, None] & (columns >= 0)
        return np.where(known, self.factors[places], found)


def _ids(table: dict[str, int], words: Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter((table.get(word.lower(), -1) for word in words), dtype=np.int64, count=len(words))


class LinkCounts:
    """How often two words stood in the same pair, and how much of them went between them there.

    The table is bounded: where it would grow past `most` entries, those that were seen least are forgotten.
    """

    def __init__(self, most: int = _MOST_ENTRIES) -> None:
        self.pairs, self._most = 0, most
        self._sources: dict[str, int] = {}
        self._targets: dict[str, int] = {}
        self._keys = np.zeros(0, dtype=np.int64)
        self._sums = np.zeros((0, 2), dtype=np.float32)  # together, shares
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        self._cells = 0

    def add(self, source: Sentence, target: Sentence, links: Sequence[tuple[int, int, float]]) -> None:
        """One pair: its words, and links (i, j, share). A pair with an empty side, or with a side that is longer than
        a sentence, is left out."""
        if not 0 < len(source) <= _MOST_WORDS or not 0 < len(target) <= _MOST_WORDS:
            return
        self.pairs += 1
        rows, columns = (
            np.array([table.setdefault(word.lower(), len(table)) for word in words], dtype=np.int64)
            for table, words in ((self._sources, source), (self._targets, target))
        )
        together = ((np.unique(rows)[:, None] << _IDS) | np.unique(columns)).ravel()
        linked = np.array([(rows[i] << _IDS) | columns[j] for i, j, _ in links], dtype=np.int64)
        sums = np.zeros((len(together) + len(linked), 2), dtype=np.float32)
        sums[: len(together), 0] = 1
        sums[len(together) :, 1] = [share for _, _, share in links]
        self._waiting.append((np.concatenate([together, linked]), sums))
        self._cells += len(sums)
        if self._cells > self._most // 4:
            self._merge()

    def _merge(self) -> None:
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._waiting)])
        sums = np.concatenate([self._sums, *(sums for _, sums in self._waiting)])
        self._waiting, self._cells = [], 0
        self._keys, places = np.unique(keys, return_inverse=True)
        self._sums = np.stack(
            [np.bincount(places, sums[:, column], len(self._keys)) for column in (0, 1)], 1
        ).astype(np.float32)
        least = 1
        while len(self._keys) > self._most:
            kept = self._sums[:, 0] > least
            self._keys, self._sums, least = self._keys[kept], self._sums[kept], 2 * least

    def prior(self) -> CorpusPrior:
        """What the counts hold against links: a mean share below one half, the more of it the oftener the two words
        stood in the same pair."""
        if self._waiting:
            self._merge()
        together, shares = self._sums[:, 0].astype(np.float64), self._sums[:, 1]
        usual = ((shares + 0.5) / (together + 1) + _SMOOTH) / _USUAL
        factors = np.minimum(1.0, usual ** (_POWER * together / (together + _TRUSTED)))
        kept = factors < 1
        return CorpusPrior(
            self.pairs, self._sources, self._targets, self._keys[kept], factors[kept].astype(np.float32)
        )


@dataclass(frozen=True, eq=False)
class KnownWords:
    """The prior between the words of pairs that are aligned together."""

    prior: CorpusPrior
    pairs: Sequence[tuple[Sentence, Sentence]]

    def part(self, pair: int, rows: slice, columns: slice) -> Tensor:
        """(1, N, M) factors between some words of one pair."""
        source, target = self.pairs[pair]
        return torch.from_numpy(self.prior.between(source[rows], target[columns]))[None]

    def batch(self, pairs: Sequence[int], height: int, width: int) -> Tensor:
        """(B, height, width) factors, 1 at padding."""
        found = torch.ones(len(pairs), height, width)
        for place, pair in enumerate(pairs):
            source, target = self.pairs[pair]
            found[place, : len(source), : len(target)] = torch.from_numpy(self.prior.between(source, target))
        return found
