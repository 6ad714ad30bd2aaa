"""How alike two words sound, whatever script each is in.

The name that Unicode gives a letter holds its sound: ARABIC LETTER BEH, DEVANAGARI LETTER KA, THAI CHARACTER KO KAI. A
word is the row of its consonants, by where in the mouth they are made; vowels, which scripts treat so differently, are
left out, unless there is nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["likeness", "skeleton"]

_CLASS = {
    **dict.fromkeys("bpfv", "P"),
    **dict.fromkeys("kq", "K"),
    **dict.fromkeys("td", "T"),
    **dict.fromkeys("szxj", "S"),
    **dict.fromkeys("cg", "C"),
    "l": "L",
    "r": "R",
    "m": "M",
    "n": "N",
}
"""Of Latin consonants; c and g are K or S, w is a vowel as often as not."""

_DIGRAPHS = (
    ("tsch", "s"),
    ("tch", "s"),
    ("sch", "s"),
    ("sh", "s"),
    ("zh", "s"),
    ("ts", "s"),
    ("ph", "f"),
    ("x", "ks"),
)

_SPELLED, _SOUNDED = (0.4, 0.75), (0.5, 0.8)
"""Likeness of letters, and of consonants, below which two words are two names, and from which on they are one."""

_KIND = re.compile(r"(?:LETTER|CHARACTER|SYLLABLE|SIGN) (?:(?:SMALL|CAPITAL|FINAL|LONG) )*(.+)")
# Letters whose names say the sound after a vowel, or otherwise than by their first consonant.
_NAMED = {
    "EF": "f", "EL": "l", "EM": "m", "EN": "n", "ER": "r", "ES": "s", "HA": "k", "HE": "", "HEH": "", "HAH": "",
    "ZHE": "s", "CHE": "s", "SHA": "s", "SHCHA": "s", "TSE": "s", "XI": "ks", "PSI": "ps", "CHI": "k", "PHI": "f",
    "THETA": "t", "ETA": "", "IOTA": "", "UPSILON": "v", "OMEGA": "", "OMICRON": "", "EPSILON": "", "ALPHA": "",
    "AIN": "", "ALEF": "", "YEH": "", "WAW": "", "YOD": "", "VAV": "v", "KHAH": "k", "GHAIN": "k", "JEEM": "g",
    "SHEEN": "s", "THEH": "t", "THAL": "t", "TCHEH": "s", "PEH": "p", "GAF": "g", "KEHEH": "k", "RREH": "r",
    "TTEH": "t", "DDAL": "d", "NOON GHUNNA": "n", "FARSI YEH": "", "HEH GOAL": "", "HEH DOACHASHMEE": "",
    "SHORT I": "", "I": "", "U": "", "YU": "", "YA": "", "YERU": "", "E": "", "A": "", "O": "", "IE": "", "IO": "",
    "HARD SIGN": "", "SOFT SIGN": "", "ANUSVARA": "n", "VIRAMA": "", "NUKTA": "", "VISARGA": "",
}  # fmt: skip


@lru_cache(maxsize=1 << 16)
def likeness(one: str, other: str) -> float:
    """From 0 to 1, how surely two words are one name: by their letters, where these are of one script, else by their
    consonants; a name of few consonants sounds like too many words to be sure."""
    if one.isascii() == other.isascii() or (_latin(one) and _latin(other)):
        a, b = one.lower(), other.lower()
        alike = 1 - _distance(a, b) / max(len(a), len(b), 1)
        return _sure(alike, _SPELLED)
    a, b = skeleton(one), skeleton(other)
    if min(len(a), len(b)) < 2:
        return 0.0
    return _sure(1 - _distance(a, b) / max(len(a), len(b)), _SOUNDED) * min(1.0, len(a) / 3)


def _sure(alike: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return min(1.0, max(0.0, (alike - low) / (high - low)))


def _latin(word: str) -> bool:
    return all(unicodedata.name(letter, "").startswith("LATIN") for letter in word if letter.isalpha())


@lru_cache(maxsize=1 << 16)
def skeleton(word: str) -> str:
    """The classes of a word's consonants; a doubled one counts once."""
    plain = filter(str.isalpha, unicodedata.normalize("NFKC", word.lower()))
    sounds = re.sub(
        r"(.)\1+", r"\1", "".join(letter if letter.isascii() else _sound(letter) for letter in plain)
    )
    for letters, one in _DIGRAPHS:
        sounds = sounds.replace(letters, one)
    return "".join(_CLASS.get(letter, "") for letter in sounds)


@lru_cache(maxsize=1 << 12)
def _sound(letter: str) -> str:
    """The consonants of a letter, as Latin ones."""
    base = unicodedata.normalize("NFD", letter)[0]
    if base.isascii():
        return base
    name = unicodedata.name(letter, "")
    found = _KIND.search(name)
    if found is None or name.startswith("CJK"):
        return ""
    said = found[1].partition(" WITH ")[0]
    if name.startswith("HANGUL"):
        return re.sub("[AEIOUWY]", "", said).lower()
    said = said.rpartition(" ")[0] if name.startswith("THAI") else said
    if said in _NAMED:
        return _NAMED[said]
    consonants = re.match(r"[^AEIOUY]*", said)
    return (consonants[0] if consonants else "").lower().replace("h", "")[:1]


def _distance(a: str, b: str) -> int:
    """Edits between two rows of classes."""
    last = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            same = one == other or {one, other} in ({"C", "K"}, {"C", "S"})
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (not same)))
        last = row
    return last[-1]
