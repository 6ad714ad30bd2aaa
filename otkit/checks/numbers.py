"""Numbers that one side has and the other does not, in any script's digits.

What is compared are digits: 1,000 and 1.000, ٢٥ and 25 are the same. Words for small numbers, months and Roman numerals
stand for their number where the other side lacks one. A number that is missing on both sides, so that one stands in
the place of the other, is the sure sign of an error; what one side alone lacks may be written in words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from otkit.checks.finding import NOTHING, Finding, Side
from otkit.checks.lexicon import lexicon_of

__all__ = ["numbers"]

# Groups of three digits, or plain digits; and a decimal part.
_NUMBER = re.compile(r"(?<!\d)\d{1,3}(?:[.,'’٬ \u202f\u00a0]\d{3}(?!\d))+(?:[.,٫]\d+)?|\d+(?:[.,٫]\d+)?")
_DATE = re.compile(r"\b(\d{1,2})[./](\d{1,2})[./](?=\s|\d|$)")
_ROMAN = re.compile(r"\b(?=[IVXLC])(C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})\b")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
# What counts thousands and millions: 230万 is 2.3 million.
_SCALED = re.compile(
    "[万萬亿億千百兆만억천]|लाख|करोड़|हज़ार|हजार|अरब|ہزار|لاکھ|کروڑ|ارب|พัน|หมื่น|แสน|ล้าน|ألف|آلاف|مليون|مليار|тыс|млн|млрд|"
    r"χιλ|εκατ|δισ|хил|тыщ|m[iíy]l|tausend|mio\b|mrd|b[iy]lion|thousand|lakh|crore|\bbin\b|ng[hà]|tri[ệe]u|tỷ|elfu|"
    r"\d ?[kmb]n?\b",
    re.IGNORECASE,
)
_LONGEST = 100  # Python turns no row of thousands of digits into a number
_ALONE = {1: 0.25, 2: 0.5}
"""What a number counts that one side alone has, by its digits: a short one may stand in words on the other."""


def numbers(source: Side, target: Side) -> Finding:
    """1 for each number in the place of another, less for one that has no counterpart at all."""
    found = [_digits_of(side.text) for side in (source, target)]
    left, right = _minus(*found), _minus(*found[::-1])
    if left or right:
        scaled = _SCALED.search(source.text) or _SCALED.search(target.text)
        left, right = _without_twins(left, right, same=_same_figures if scaled else _same_shortened)
        said = [set(_in_words(side)) for side in (source, target)]
        left, right = (
            [one for one in left if one not in said[1]],
            [one for one in right if one not in said[0]],
        )
    if "".join(left) == "".join(right):  # 5:30 and 5.30, too
        return NOTHING
    both = min(len(left), len(right))
    alone = sorted(left, key=len)[both:] + sorted(right, key=len)[both:]
    score = both + sum(_ALONE.get(len(one), 0.5) for one in alone)
    return Finding(score, f"{', '.join(left) or 'none'} / {', '.join(right) or 'none'}")


def _digits_of(text: str) -> list[str]:
    """The digits of each number, without what groups them and without leading zeros."""
    plain = "".join(str(unicodedata.digit(sign)) if sign.isdecimal() else sign for sign in text)
    plain = _DATE.sub(r"\1 \2 ", plain)
    return [
        "".join(filter(str.isdigit, found[0])).lstrip("0")[:_LONGEST] or "0"
        for found in _NUMBER.finditer(plain)
    ]


def _minus(some: Iterable[str], others: Iterable[str]) -> list[str]:
    return list((Counter(some) - Counter(others)).elements())


def _same_figures(one: str, other: str) -> bool:
    return one.rstrip("0") == other.rstrip("0") or _same_shortened(one, other)


def _same_shortened(one: str, other: str) -> bool:
    """A year may lack its century, or be Buddhist; 3 in the afternoon is 15."""
    low, high = sorted((int(one), int(other)))
    if high > 1000:
        return (low < 100 and high % 100 == low and high < 2100) or (high < 2700 and high - low == 543)
    return high - low == 12 and high <= 24


def _without_twins(
    left: list[str], right: list[str], *, same: Callable[[str, str], bool]
) -> tuple[list[str], list[str]]:
    """Both without those that are written otherwise on the other side."""
    rest, kept = list(right), []
    for one in left:
        twin = next((other for other in rest if same(one, other)), None)
        if twin is None:
            kept.append(one)
        else:
            rest.remove(twin)
    return kept, rest


def _in_words(side: Side) -> Iterator[str]:
    """Numbers that words, months and Roman numerals of a text stand for."""
    for found in _ROMAN.finditer(side.text):
        yield str(_roman(found[0]))
    if (known := lexicon_of(side.language)) is not None:
        for word in re.findall(r"[^\W\d_]+", side.text.lower()):
            if word in known.numbers:
                yield known.numbers[word]
            yield from (number for month, number in known.months.items() if word.startswith(month))


def _roman(numeral: str) -> int:
    values = [_VALUES[sign] for sign in numeral]
    return sum(-one if one < after else one for one, after in zip(values, [*values, 0][1:], strict=True))
