"""Fonts of this machine that can draw given words, or a note that says which script has none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from matplotlib.font_manager import fontManager, get_font

__all__ = ["families_for"]

_FIRST = "DejaVu Sans"  # comes with matplotlib
_LIKED = (
    "Noto Sans",
    "Noto Naskh",
    "Source Han Sans",
    "WenQuanYi",
    "Droid Sans",
    "FreeSans",
    "Arial Unicode",
)
_SUGGESTED = {
    "CJK": "Noto Sans CJK",
    "HIRAGANA": "Noto Sans CJK",
    "KATAKANA": "Noto Sans CJK",
    "HANGUL": "Noto Sans CJK",
    "ARABIC": "Noto Sans Arabic",
    "DEVANAGARI": "Noto Sans Devanagari",
}


def families_for(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """(font families in order of trial, notes on scripts that no installed font can draw)."""
    wanted = {ord(character) for word in words for character in word if character.isprintable()}
    families = [_FIRST]
    missing = wanted - _characters_of(_FIRST)
    for family in _candidates():
        if not missing:
            break
        if found := missing & _characters_of(family):
            families.append(family)
            missing -= found
    scripts = sorted({unicodedata.name(chr(code), "?").split()[0] for code in missing})
    return families, [_note(script) for script in scripts]


def _note(script: str) -> str:
    font = _SUGGESTED.get(script, f"Noto Sans {script.capitalize()}")
    name = script if script == "CJK" else script.capitalize()
    return f"no installed font draws {name} characters, boxes stand for them; install {font}"


@lru_cache(maxsize=1)
def _candidates() -> Sequence[str]:
    """Every family once, those made for many scripts first; sans before serif."""

    def rank(name: str) -> tuple[int, bool, str]:
        liked = [place for place, prefix in enumerate(_LIKED) if name.startswith(prefix)]
        return (liked[0] if liked else len(_LIKED), "Serif" in name, name)

    return sorted({font.name for font in fontManager.ttflist}, key=rank)


@lru_cache(maxsize=512)
def _characters_of(family: str) -> frozenset[int]:
    for font in fontManager.ttflist:
        if font.name == family and font.style == "normal":
            try:
                return frozenset(get_font(font.fname).get_charmap())
            except (OSError, RuntimeError):  # a broken font file is no font
                continue
    return frozenset()
