"""A negation that one side has and the other does not, by the words that negate in many languages.

Where a language denies with an affix, or says "fail" and "without" for "not", a word of the other side excuses the
negation. What is left counts by how little of the negating word the other side accounts for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from otkit.checks.finding import NOTHING, Finding, Side
from otkit.checks.lexicon import lexicon_of

__all__ = ["negation"]

_EXCUSED, _COUNTED = 0.4, 0.15
"""What a negation counts that a word of the other side may stand for, and one beside others of both sides."""
_ALIGNED = 0.3
"""What is left of a negation whose word stands near one of the other side."""


def negation(source: Side, target: Side) -> Finding:
    """1 where one side denies and the other does not, less where the other may do so in another way."""
    sides = [each for side in (source, target) if (each := _read(side)) is not None]
    if len(sides) < 2:
        return NOTHING
    counts = [len(side.found) for side in sides]
    if counts[0] == counts[1]:
        return NOTHING
    what = " / ".join(", ".join(side.found) or "none" for side in sides)
    if 0 not in counts:
        return Finding(_COUNTED * min(abs(counts[0] - counts[1]), 2), what)
    speaking, silent = sides if counts[0] else sides[::-1]
    figure = _EXCUSED if silent.excused else 1.0
    return Finding(figure * (_ALIGNED + (1 - _ALIGNED) * speaking.far), what)


@dataclass(frozen=True)
class _Read:
    """The negations of a side, how far the farthest of them is from any word of the other side, and whether another
    word may stand for one."""

    found: list[str]
    far: float
    excused: bool


def _read(side: Side) -> _Read | None:
    known = lexicon_of(side.language)
    if known is None:
        return None
    text = known.exceptions.sub(" ", re.sub(r"\s+", " ", side.text.lower()))
    found = known.negations.findall(text)
    far = [
        figure
        for word, figure in zip(side.words, side.far, strict=True)
        if found and known.negations.search(word.lower())
    ]
    return _Read(found, max(far, default=0.5), known.excuses.search(text) is not None)
