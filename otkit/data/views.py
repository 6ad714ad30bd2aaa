"""Views of corpora: a part of one, its sides swapped, or several as one, without copying a sentence."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from otkit.data.parallel import Pair
from otkit.errors import InputError

__all__ = [
    "CorpusView",
    "MixedCorpus",
    "PairCorpus",
    "english_last",
    "files_of",
    "hold_out",
    "languages_of_pairs",
    "names_of",
]

# Dev sentences past this many cost evaluation time and no longer sharpen the mean.
_MOST_HELD_OUT = 200
_MOST_IN_ALL = 1000
_SHARE_HELD_OUT = 0.05


class PairCorpus(Protocol):
    """Sentence pairs by number, with the name and languages that messages and records need."""

    name: str
    sha256: str
    skipped: int

    @property
    def languages(self) -> tuple[str, str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pair: ...


class CorpusView:
    """Some pairs of a corpus, optionally with source and target swapped."""

    def __init__(self, corpus: PairCorpus, indices: NDArray[np.int64], *, swap: bool = False) -> None:
        self._corpus, self._indices, self._swap = corpus, indices, swap
        # Whether the sides stand the other way round than in the file, through all views.
        self.swapped: bool = swap != (isinstance(corpus, CorpusView) and corpus.swapped)
        self.name, self.sha256, self.skipped = corpus.name, corpus.sha256, corpus.skipped
        first, second = corpus.languages
        self.languages = (second, first) if swap else (first, second)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Pair:
        pair = self._corpus[int(self._indices[index])]
        return Pair(pair.target, pair.source, pair.line) if self._swap else pair


class MixedCorpus:
    """Several corpora as one of language `mul`: as many pairs of each, a small one over and over.

    parts  the corpora;  quota  pairs of each (None: as many as the largest has), drawn at random by the seed
    """

    def __init__(self, parts: Sequence[PairCorpus], *, quota: int | None, seed: int) -> None:
        self.parts = tuple(parts)
        self.quota = size = quota or max(len(part) for part in parts)
        self._members: list[NDArray[np.int64]] = []
        for number, part in enumerate(parts):
            if len(part) == 0:
                raise InputError("the file has no usable sentence pair", where=part.name)
            rng = np.random.default_rng([seed, number])
            rounds = [rng.permutation(len(part)) for _ in range(math.ceil(size / len(part)))]
            self._members.append(np.concatenate(rounds)[:size])
        self.name = "+".join(part.name for part in parts)
        self.sha256 = hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest()
        self.skipped = sum(part.skipped for part in parts)
        targets = {part.languages[1] for part in parts}
        self.languages = ("mul", targets.pop() if len(targets) == 1 else "mul")

    def __len__(self) -> int:
        return sum(map(len, self._members))

    def part_of(self, index: int) -> PairCorpus:
        """The corpus that a pair comes from."""
        return self.parts[index % len(self.parts)]

    def __getitem__(self, index: int) -> Pair:
        place, number = divmod(index, len(self.parts))
        return self.parts[number][int(self._members[number][place])]


def languages_of_pairs(
    corpus: PairCorpus, members: Sequence[int]
) -> tuple[list[str | None], list[str | None]]:
    """The languages of the sources and of the targets of some pairs; None where a corpus does not know its own."""
    try:
        found = [_languages_at(corpus, index) for index in members]
    except InputError:
        return [None] * len(members), [None] * len(members)
    return [first for first, _ in found], [second for _, second in found]


def _languages_at(corpus: PairCorpus, index: int) -> tuple[str, str]:
    return corpus.part_of(index).languages if isinstance(corpus, MixedCorpus) else corpus.languages


def names_of(files: Sequence[tuple[str, str]]) -> list[str]:
    """What the figures of each (language, path) stand under: the language, or the file where another has that."""
    names: list[str] = []
    for language, path in files:
        wanted = (language, Path(path).name, path)
        counted = (f"{path} {number}" for number in itertools.count(2))
        names.append(next(name for name in itertools.chain(wanted, counted) if name not in names))
    return names


def files_of(corpora: Sequence[PairCorpus]) -> list[PairCorpus]:
    """The corpora that those are made of."""
    return [part for each in corpora for part in (each.parts if isinstance(each, MixedCorpus) else (each,))]


def english_last(corpus: PairCorpus) -> PairCorpus:
    """The corpus with English as its target, the side that the anchor holds; unchanged where neither side is
    English.
    """
    if corpus.languages[0] == "en" and corpus.languages[1] != "en":
        return CorpusView(corpus, np.arange(len(corpus)), swap=True)
    return corpus


def hold_out(corpora: Sequence[PairCorpus], *, seed: int) -> tuple[list[PairCorpus], list[PairCorpus]]:
    """Split every corpus into training pairs and a small held-out part (5 %, at most 200 pairs and 1,000
    of all corpora together, at least one).
    """
    train: list[PairCorpus] = []
    dev: list[PairCorpus] = []
    most = min(_MOST_HELD_OUT, _MOST_IN_ALL // max(len(corpora), 1))
    for number, corpus in enumerate(corpora):
        if len(corpus) == 1:
            raise InputError(
                "the file has one usable sentence pair, and one is held out to measure on",
                where=corpus.name,
                remedy="give more pairs, or held-out text as `dev`",
            )
        order = np.random.default_rng([seed, number]).permutation(len(corpus))
        count = max(1, min(most, int(len(corpus) * _SHARE_HELD_OUT)))
        train.append(CorpusView(corpus, np.sort(order[count:])))
        dev.append(CorpusView(corpus, np.sort(order[:count])))
    return train, dev
