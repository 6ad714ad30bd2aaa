"""Names that have no counterpart, and pieces of text that no translation changes: addresses, placeholders, markup.

A name is a word with a capital letter that does not begin its sentence. Its counterpart sounds like it, in whatever
script, or is a translation of it, which the encoder knows: what counts is how little a name sounds like any word of the
other side, times how surely no word there is near it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from otkit.checks.finding import NOTHING, Finding, Side
from otkit.checks.spelling import likeness

__all__ = ["names"]

_KEPT = re.compile(
    r"https?://[^\s\"'<>）)]+|www\.[^\s\"'<>）)]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+\.[\w.]+|%\d*\$?[sd]\b|\{\w*\}|\$\{\w+\}|&[a-z]\w+;|</?[a-zA-Z]\w*[^<>]*>"
)
_ENDS = ".!?:;…\"'«»“”„‘’()[]-–—·•*。؟।`"
_NOUNS_TOO = frozenset({"de", "lb"})
"""Languages in which every noun has a capital."""
_LEAST = 0.25
"""A name of which the other side accounts for more is not looked for."""
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff]")


def names(source: Side, target: Side) -> Finding:
    """How surely a name or a piece that stays as it is stands on one side alone: 1 and more where a piece does."""
    kept = [Counter(_KEPT.findall(side.text)) for side in (source, target)]
    lost, new = list((kept[0] - kept[1]).elements()), list((kept[1] - kept[0]).elements())
    if lost or new:
        return Finding(1.0 + bool(lost and new), f"{', '.join(lost) or 'none'} / {', '.join(new) or 'none'}")
    found = [*_alone(source, target), *_alone(target, source)]
    return Finding(*max(found)) if found else NOTHING


def _alone(side: Side, other: Side) -> Iterator[tuple[float, str]]:
    """The names of a side, with how surely they have no counterpart on the other."""
    if side.language in _NOUNS_TOO:
        return
    known = set(other.words)
    for place, word in enumerate(side.words):
        if side.far[place] >= _LEAST and word not in known and _is_name(side.words, place):
            nearest = max((likeness(word, each) for each in _spans(other.words)), default=0.0)
            yield (1 - nearest) * side.far[place], word


def _is_name(words: Sequence[str], place: int) -> bool:
    word = words[place].strip(_ENDS)
    return (
        len(word) > 2
        and word[0].isupper()
        and word[1:].islower()
        and place > 0
        and words[place - 1][-1] not in _ENDS
    )


def _spans(words: Sequence[str]) -> Iterator[str]:
    """The words; of a script without spaces also those that stand side by side as one, for segmenters cut names that
    they do not know."""
    for first, word in enumerate(words):
        yield word
        if _SPACELESS.match(word):
            for last in range(first + 2, min(first + 5, len(words) + 1)):
                yield "".join(words[first:last])
