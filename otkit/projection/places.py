"""Spans of characters of one text to spans of characters of its translation: what answers, rationales and tags are."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from otkit.alignment.shares import Shares
from otkit.data.lines import SPACES
from otkit.data.segmentation import Segment
from otkit.projection.settings import SpanSettings
from otkit.projection.spans import Carried, Span, carry_spans
from otkit.projection.words import text_words

__all__ = ["Place", "Placed", "Text", "carry_places", "joined", "spaced"]


@dataclass(frozen=True)
class Text:
    """A text and its words with their places in it."""

    text: str
    words: tuple[Segment, ...]

    @classmethod
    def of(cls, text: str, *, parts: bool = False, cuts: Collection[int] = ()) -> Text:
        """Raw text; with `parts`, words with a hyphen in their parts; no word lies across one of the places `cuts`."""
        return cls(text, tuple(text_words(text, parts=parts, cuts=cuts)))

    @cached_property
    def bare(self) -> tuple[str, ...]:
        """The words alone."""
        return tuple(word.text for word in self.words)

    @cached_property
    def _starts(self) -> list[int]:
        return [word.start for word in self.words]

    @cached_property
    def _ends(self) -> list[int]:
        return [word.end for word in self.words]

    @cached_property
    def folded(self) -> str:
        """The text without regard to capitals."""
        return self.text.casefold()

    def covered(self, start: int, end: int) -> tuple[int, int]:
        """The words [first, last) that have a character in [start, end); the place of an empty one among them."""
        first = bisect_right(self._ends, start)
        return first, max(first, bisect_left(self._starts, end))


def spaced(text: str) -> Text:
    """Text whose words stand between ASCII spaces, as in tokenised corpora."""
    return Text(
        text, tuple(Segment(m[0], m.start(), m.end()) for m in re.finditer(f"[^{re.escape(SPACES)}]+", text))
    )


def joined(tokens: Sequence[str]) -> Text:
    """Words that are known already, a space between them."""
    words, start = [], 0
    for token in tokens:
        words.append(Segment(token, start, start + len(token)))
        start += len(token) + 1
    return Text(" ".join(tokens), tuple(words))


@dataclass(frozen=True)
class Place:
    """Characters [start, end) of the source text, with a label."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class Placed:
    """Where a place went: characters of the target text (several under the rule `words`), or why it has none."""

    place: Place
    stretches: tuple[tuple[int, int], ...]
    confidence: float
    lost: str | None


def carry_places(
    shares: Shares,
    source: Text,
    target: Text,
    places: Sequence[Place],
    settings: SpanSettings | None = None,
    *,
    copies: bool = True,
) -> list[Placed]:
    """Where places of the source text go, in the order given.

    copies: what the translation has letter for letter is that stretch, though it be a part of a word ("Mozilla" of
    "Mozilla-Stiftung").
    """
    spans = [Span(place.label, *source.covered(place.start, place.end)) for place in places]
    found = carry_spans(shares, source.bare, target.bare, spans, settings)
    hits = _Hits(target) if copies else None
    return [
        _placed(place, carried, source, target, hits) for place, carried in zip(places, found, strict=True)
    ]


def _placed(place: Place, carried: Carried, source: Text, target: Text, hits: _Hits | None) -> Placed:
    stretches = tuple(
        (target.words[start].start, target.words[end - 1].end) for start, end in carried.stretches
    )
    confidence, lost = carried.confidence, carried.lost
    copy = _copy(place, stretches, source, hits) if hits is not None and len(stretches) < 2 else None
    if copy is not None:
        return Placed(place, (copy,), max(confidence, 0.9), None)
    return Placed(place, stretches, confidence, lost)


class _Hits:
    """Where letters stand in a text, each searched once: a text may have a thousand tags around one word."""

    def __init__(self, target: Text) -> None:
        self.text = target.folded
        self.sound = len(self.text) == len(target.text)
        self._found: dict[str, list[int]] = {}

    def of(self, wanted: str) -> list[int]:
        """Where they begin, from left to right; none overlaps the one before."""
        if wanted not in self._found:
            starts, start = [], self.text.find(wanted)
            while start >= 0:
                starts.append(start)
                start = self.text.find(wanted, start + len(wanted))
            self._found[wanted] = starts
        return self._found[wanted]


def _copy(
    place: Place, found: Sequence[tuple[int, int]], source: Text, hits: _Hits
) -> tuple[int, int] | None:
    """The stretch of the target with the very letters of the place: where the span lies, or the only one."""
    wanted, text = source.text[place.start : place.end].casefold(), hits.text
    size = len(wanted)
    if len(wanted.strip()) < 2 or not hits.sound:
        return None
    starts = hits.of(wanted)
    if found:
        first, last = found[0]
        near = starts[bisect_right(starts, first - size) : bisect_left(starts, last)]
        if near:
            # The whole of a longer word is not given up for letters within it, such as "here" of "where".
            return next(
                ((start, start + size) for start in near if _apart((start, start + size), text)), None
            )
    alone = len(starts) == 1 and source.folded.count(wanted) == 1
    hit = (starts[0], starts[0] + size) if alone else None
    return hit if hit is not None and _apart(hit, text) else None


def _apart(hit: tuple[int, int], text: str) -> bool:
    """Whether a word can begin and end there: a name at its start may have an ending of the language, or be a part of
    a compound."""
    start, end = hit
    begins = start == 0 or not (text[start - 1].isalnum() and text[start].isalnum())
    ends = end == len(text) or not (text[end - 1].isalnum() and text[end].isalnum())
    return begins and (ends or end - start >= _NAME)


_NAME = 5  # letters from which a name is told from the beginning of a longer word
