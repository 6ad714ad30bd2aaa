"""Words of a text replaced by words of another language: code-switched training data.

Qin et al. 2020 (CoSDA-ML) take the words from dictionaries, of several languages at once; UniPSDA (2024) from what
aligned text says. Here they come from lexicons that `otkit lexicon` made, or from the translation of the very text by
the shares of its transport plan.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from otkit.alignment.shares import Shares
from otkit.projection.lexicon import open_lexicon, sound, values
from otkit.projection.places import Place, Text
from otkit.projection.words import is_punctuation

__all__ = ["LexiconWords", "Switched", "aligned_words", "chosen", "drawing", "switch", "switched"]

_CANDIDATES = 20  # of a word, the most frequent ones
_PROBABLE = 0.1  # p(t|s) of a candidate that may be taken
_LINKED = 0.45  # the share of an aligned word that may be taken


@dataclass(frozen=True)
class Switched:
    """A text with some words replaced, its places with the same words as before, and how many were replaced."""

    text: str
    places: tuple[Place, ...]
    replaced: int


def switch(text: Text, places: Sequence[Place], words: Mapping[int, str]) -> Switched:
    """Replace the words of these indices. A word that the end of a place cuts in two stays as it is."""
    parts: list[str] = []
    ends: list[
        tuple[int, int]
    ] = []  # where a replaced word ended, and how much longer the text is from there on
    at = longer = 0
    for index in sorted(words):
        word = text.words[index]
        if any(word.start < end < word.end for place in places for end in (place.start, place.end)):
            continue
        parts += [text.text[at : word.start], words[index]]
        at = word.end
        longer += len(words[index]) - (word.end - word.start)
        ends.append((word.end, longer))
    parts.append(text.text[at:])

    def moved(place: int) -> int:
        return place + next((more for end, more in reversed(ends) if end <= place), 0)

    kept = tuple(replace(each, start=moved(each.start), end=moved(each.end)) for each in places)
    return Switched("".join(parts), kept, len(ends))


def drawing(key: str, *, seed: int) -> random.Random:
    """What draws the words of a text: its key, not its turn, decides."""
    return random.Random(f"{seed} {key}")


def switched(
    text: Text, places: Sequence[Place], lexicon: LexiconWords, share: float, generator: random.Random
) -> Switched:
    """Each word replaced with the probability `share`, where a lexicon has a translation."""
    return switch(text, places, lexicon.words(text, chosen(text, share, generator), generator))


def chosen(text: Text, share: float, generator: random.Random) -> list[int]:
    """The words whose turn it is, each with the probability `share`; punctuation never."""
    return [
        index
        for index, word in enumerate(text.bare)
        if generator.random() < share and not is_punctuation(word)
    ]


def aligned_words(text: Text, target: Text, shares: Shares, indices: Sequence[int]) -> dict[int, str]:
    """For each of these words, where it has one, the word of the translation that it is most surely linked to."""
    found = {}
    for index in indices:
        other = int(shares[index].argmax()) if shares.shape[1] else 0
        if not shares.shape[1] or shares[index, other] < _LINKED:
            continue
        word = target.words[other].text
        if word != text.words[index].text and not is_punctuation(word):
            found[index] = word
    return found


File = tuple[str | Path, sqlite3.Connection]


class LexiconWords:
    """Translations from lexicons of `otkit lexicon` (.sqlite), one of them drawn for each word.

    The side of a lexicon that has more of the words of `sample` is the one that is replaced.
    """

    def __init__(self, lexicons: Sequence[str | Path], sample: Sequence[str]) -> None:
        self._files = [(path, open_lexicon(path)) for path in lexicons]
        self._sides = [_side(file, sample) for file in self._files]
        self._known: dict[tuple[int, str], list[tuple[str, float]]] = {}

    def close(self) -> None:
        """Leave the files."""
        for _, base in self._files:
            base.close()

    def words(self, text: Text, indices: Sequence[int], generator: random.Random) -> dict[int, str]:
        """For each of these words, where a lexicon has one, a translation drawn by its probability."""
        found = {}
        for index in indices:
            word = text.words[index].text
            having = [each for at in range(len(self._files)) if (each := self._candidates(at, word))]
            if having:
                candidates = having[generator.randrange(len(having))]
                [found[index]] = generator.choices(
                    [target for target, _ in candidates], [probability for _, probability in candidates]
                )
        return found

    def _candidates(self, at: int, word: str) -> list[tuple[str, float]]:
        if (at, word) not in self._known:
            found: list[tuple[str, float]] = []
            for form in dict.fromkeys((word, word.lower())):
                found = found or [
                    (target, probability)
                    for target, probability in _entries(self._files[at], self._sides[at], form)
                    if target != word and 1 >= probability >= _PROBABLE and not is_punctuation(target)
                ]
            self._known[at, word] = found
        return self._known[at, word]


def _entries(file: File, side: str, word: str) -> list[tuple[str, float]]:
    other, probability = (
        ("target", "target_given_source") if side == "source" else ("source", "source_given_target")
    )
    # The index is one without regard to capitals.
    path, base = file
    with sound(path):
        rows = base.execute(
            f"SELECT {other}, {probability} FROM entries WHERE {side} = ?1 COLLATE NOCASE AND {side} = ?1"
            f" ORDER BY {probability} DESC, {other} LIMIT ?2",
            (word, _CANDIDATES),
        )
        return [(target, share) for target, share in (values(row, str, float) for row in rows)]


def _side(file: File, sample: Sequence[str]) -> str:
    hits = {
        side: sum(bool(_entries(file, side, word)) for word in dict.fromkeys(sample))
        for side in ("source", "target")
    }
    return max(hits, key=lambda side: hits[side])
