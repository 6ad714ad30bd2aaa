"""Words of any script made safe for a line of a terminal: width, clipping, right-to-left isolation."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from rich.cells import cell_len

__all__ = [
    "anchor_line",
    "cell_text",
    "cell_width",
    "clip",
    "is_rtl",
    "is_steady",
    "isolate",
    "mostly_rtl",
    "visible",
]

_RTL = {"R", "AL"}
_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_LEFT_TO_RIGHT_MARK = "\u200e"
_ISOLATE_START, _ISOLATE_END = "\u2067", "\u2069"


@lru_cache(maxsize=4096)
def visible(word: str) -> str:
    """The word without anything that could move the cursor, colour the terminal or turn the line round."""
    return "".join("\ufffd" if _is_unsafe(character) else character for character in word)


def cell_text(text: str) -> str:
    """A text as a cell of a table that no terminal obeys and no spreadsheet computes: `'=1+1`."""
    return f"'{visible(text)}" if text.startswith(("=", "+", "-", "@")) else visible(text)


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or (
        unicodedata.bidirectional(character) in _BIDI_CONTROLS
    )


@lru_cache(maxsize=4096)
def is_rtl(text: str) -> bool:
    """Whether the text holds a letter of a script written from right to left."""
    return any(unicodedata.bidirectional(character) in _RTL for character in text)


def mostly_rtl(words: Iterable[str]) -> bool:
    """Whether most of the words that hold a letter at all are of a script written from right to left."""
    lettered = [is_rtl(word) for word in words if any(map(str.isalpha, word))]
    return 2 * sum(lettered) > len(lettered)


@lru_cache(maxsize=4096)
def is_steady(text: str) -> bool:
    """Whether every terminal gives it the same width and order: nothing combining, joining or RTL."""
    return not any(
        unicodedata.category(character) in {"Mn", "Mc", "Me", "Cf", "So", "Sk", "Cn", "Co"}
        or unicodedata.bidirectional(character) in _RTL
        for character in text
    )


def cell_width(text: str) -> int:
    """Width in terminal cells; never less than what a terminal draws."""
    return cell_len(text)


def clip(word: str, cells: int, *, ellipsis: str = "…") -> str:
    """The visible word in at most `cells` cells, marked where it was cut, letters keeping their marks."""
    word = visible(word)
    if cell_width(word) <= cells:
        return word
    if cells < 1:
        return ""
    kept = ""
    for character in word:
        if cell_width(kept + character) > cells - 1:
            break
        kept += character
    return f"{kept}{ellipsis}"


def isolate(word: str) -> str:
    """The word set apart, so that a right-to-left one does not reorder what stands beside it."""
    return f"{_ISOLATE_START}{word}{_ISOLATE_END}" if is_rtl(word) else word


def anchor_line(line: str) -> str:
    """A line that a bidirectional terminal starts at the left even when its first letter is right-to-left."""
    return f"{_LEFT_TO_RIGHT_MARK}{line}" if is_rtl(line) else line
