"""What projection knows of words: where they stand in raw text, which are punctuation, and which lean on others.

Nothing here is a list of one language's words: what is used is punctuation, brackets, the length of words and, in
Japanese, the script.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from otkit.data.segmentation import Segment, segments

__all__ = [
    "BRACKETS",
    "BREAK",
    "after_inflection",
    "is_punctuation",
    "is_unspaced",
    "leans",
    "same_mark",
    "text_words",
]

BRACKETS = {
    "(": ")",
    "[": "]",
    "{": "}",
    "«": "»",
    "“": "”",
    "„": "“",
    '"': '"',
    "‘": "’",
    "（": "）",
    "［": "］",
    "「": "」",
    "『": "』",
    "《": "》",
    "【": "】",
}
_MARKS = (
    ".。．",
    "!！",
    "?？",
    ":：",
    ";；",
    ",，、",
    "(（",
    ")）",
    "[［",
    "]］",
    "…⋯",
    "\"“”„«»「」『』'‘’",
)

BREAK = "\u2028"
"""What a line break in markup is in plain text: it parts words, and is no space."""
_SPACED = re.compile(r"[^ \t\n\r\x0b\x0c\u00a0\u2000-\u200a\u2028\u202f\u3000]+")
# Scripts that write no spaces between words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]"
)
_KATAKANA = re.compile("[\u30a0-\u30ff\u31f0-\u31ff\uff66-\uff9f]+")
_HIRAGANA = re.compile("[\u3041-\u309f]+")
# Within a word: a hyphen between letters or digits, a plus or a slash between letters, the end of a sentence or clause
# without a space behind it, and the marks of scripts without spaces.
_SEAM = re.compile(
    r"(?<=\w)[-\u2010\u2011](?=\w)|(?<=[^\W\d_])[+/](?=[^\W\d_])|(?<=[^\W\d_A-Z])[.!?:;,](?=[^\W\d_a-z])"
    "|[\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f]"
)
_SHORT = 3  # letters of the longest word that may lean on another


def is_punctuation(word: str) -> bool:
    """True for a word without a letter, a digit or an ideograph."""
    return all(unicodedata.category(sign)[0] in "PSZ" for sign in word)


def is_unspaced(sign: str) -> bool:
    """True for a sign of a script that writes no spaces between words, and for its punctuation."""
    return bool(_UNSPACED.match(sign)) or "\u3001" <= sign <= "\u303f" or "\uff00" <= sign <= "\uffef"


def leans(word: str) -> bool:
    """True for a short word in small letters, such as an article or a preposition, and for a single hiragana.

    Scripts without small letters have none.
    """
    if _HIRAGANA.fullmatch(word):
        return len(word) == 1
    return word.islower() and sum(sign.isalnum() for sign in word) <= _SHORT


def same_mark(one: str, other: str) -> bool:
    """Whether two signs are the same mark, in whatever script and style of quotation."""
    return one == other or any(one in marks and other in marks for marks in _MARKS if one and other)


def text_words(text: str, *, parts: bool = False, cuts: Collection[int] = ()) -> list[Segment]:
    """The words of raw text with their places: between spaces, with the punctuation around them as words of its own.

    With `parts`, a word with a hyphen is its parts: a span may end there ("Qing-Dynastie"). No word lies across one of
    the places `cuts`.

    Text in scripts without spaces is cut by ICU's dictionaries, but a run of katakana is one word: the dictionary does
    not know most of them. In `Segment`, places count characters.
    """
    found: list[Segment] = []
    inner = sorted(cuts)
    for match in _SPACED.finditer(text):
        start, end = match.span()
        within = inner[bisect_right(inner, start) : bisect_left(inner, end)]
        for first, last in pairwise([start, *within, end]):
            found += _bare(text, first, last, parts=parts)
    return found


def _bare(text: str, start: int, end: int, *, parts: bool) -> Iterator[Segment]:
    """The words of a stretch without spaces."""
    for seam in _SEAM.finditer(text, start, end) if parts else ():
        yield from _bare(text, start, seam.start(), parts=False)
        yield Segment(seam[0], seam.start(), seam.end())
        start = seam.end()
    while start < end and is_punctuation(text[start]):
        yield Segment(text[start], start, start + 1)
        start += 1
    last = end
    while last > start and is_punctuation(text[last - 1]):
        last -= 1
    if start < last:
        yield from _cut(text[start:last], start)
    yield from (Segment(text[place], place, place + 1) for place in range(last, end))


def _cut(core: str, start: int) -> list[Segment]:
    if not _UNSPACED.search(core):
        return [Segment(core, start, start + len(core))]
    words: list[Segment] = []
    for word, first, end in segments(core, "icu"):
        before = words[-1] if words else None
        if before and _KATAKANA.fullmatch(word) and _KATAKANA.fullmatch(before.text):
            words[-1] = Segment(before.text + word, before.start, start + end)
        else:
            words.append(Segment(word, start + first, start + end))
    return words


def after_inflection(words: Sequence[str], start: int, end: int) -> int:
    """The end of a stretch of words [start, end) that stops within a Japanese ending before punctuation, behind that
    ending; its own end else.

    The dictionary cuts endings into bits (し|て|くだ|さい). A last word of one hiragana is a particle or a bit; only a
    run that reaches the end of the clause is surely an ending.
    """
    if start >= end or not _HIRAGANA.fullmatch(words[end - 1]) or words[end - 1] in "はがをにでとのへもや":
        return end
    last = end
    while last < len(words) and _HIRAGANA.fullmatch(words[last]):
        last += 1
    return last if last == len(words) or is_punctuation(words[last]) else end
