"""Raw text to words, for any script, with the place of each word in the text.

ICU's word boundaries (Unicode Standard Annex 29, with dictionaries for Chinese, Japanese, Thai, Lao, Khmer and
Burmese), through the package icu4py: one library and 13 MB to download for all languages, a million characters
a second. Compared on Chinese and Thai: jieba agrees better with hand-made Chinese words (F1 0.86 against 0.81 on
97 sentences) and knows only Chinese; pythainlp knows only Thai; BudouX is smallest and cuts phrases, not words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from otkit.data.lines import words_of
from otkit.errors import require_extra

__all__ = ["Segment", "segment", "segments", "words_between"]


class Segment(NamedTuple):
    """A word and the characters of the text, [start, end), that it was cut from."""

    text: str
    start: int
    end: int


def segment(text: str) -> list[str]:
    """The words and punctuation marks of a text, without white space."""
    return [word for word, _, _ in segments(text)]


def segments(text: str) -> list[Segment]:
    """The same with their places, counted in characters."""
    breakers = require_extra("icu4py.breakers", extra="raw")
    # Half a surrogate pair is no character to ICU; one "?" stands for it, so that places stay.
    clean = text.encode("utf-8", "replace").decode("utf-8")
    places = _character_places(clean)
    found: list[Segment] = []
    # The root locale: ICU chooses the dictionary by script, and languages differ in nothing else here.
    for start, end in breakers.WordBreaker(clean, "root").segments():
        start, end = (start, end) if places is None else (places[start], places[end])
        found.extend(_without_space(clean, start, end))
    return found


def words_between(text: str, *, raw: bool) -> tuple[str, ...]:
    """The words of a sentence: those between its spaces, or those that are found in `raw` text."""
    return tuple(segment(text)) if raw else words_of(text)


def _character_places(text: str) -> list[int] | None:
    """For each UTF-16 unit (what ICU counts) the character it begins or is in; None where both counts are the
    same."""
    if not any(character > "\uffff" for character in text):
        return None
    places: list[int] = []
    for place, character in enumerate(text):
        places.extend([place] * (2 if character > "\uffff" else 1))
    return [*places, len(text)]


def _without_space(text: str, start: int, end: int) -> Iterator[Segment]:
    """A segment without the white space around it, of any kind; what the breaker kept together stays together, such as
    the digits of a number around a narrow no-break space."""
    word = text[start:end].strip()
    if word:
        start = text.index(word, start)
        yield Segment(word, start, start + len(word))
