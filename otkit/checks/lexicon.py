"""The words that classes of errors go by, one language at a time, from `lexicon.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from otkit.data.languages import short_code

__all__ = ["Lexicon", "lexicon_of"]

_NONE = re.compile(r"(?!)")
_LETTER = r"[\w\u0300-\u036f\u0600-\u06ff\u0900-\u0dff]"  # \w has no vowel signs


@dataclass(frozen=True)
class Lexicon:
    """Words of one language: patterns of what negates, of what excuses a negation that the other side has, of what only
    looks like one; and the words for numbers and months, with their numbers."""

    negations: re.Pattern[str]
    excuses: re.Pattern[str]
    exceptions: re.Pattern[str]
    numbers: dict[str, str]
    months: dict[str, str]


@cache
def lexicon_of(language: str) -> Lexicon | None:
    """The words of a language by its code, of two letters or of three, with or without a script; None where there are
    none."""
    table = _tables().get(short_code(re.split("[_-]", language)[0]))
    if table is None:
        return None
    # Letters of a script without spaces stand side by side.
    parts = [re.escape(part) for part in table.get("parts", ())]
    whole = [_word(word) for word in table.get("not", "").split()]
    like = table.get("like", "").split()
    spaceless = bool(parts) and not whole
    return Lexicon(
        negations=_any([*parts, *whole]),
        excuses=_any([re.escape(word) if spaceless else _word(word) for word in like]),
        exceptions=_any(map(re.escape, table.get("except", ()))),
        numbers={word: str(1 + k) for k, word in enumerate(table.get("numbers", "").split())},
        months={word: str(1 + k) for k, word in enumerate(table.get("months", "").split())},
    )


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "lexicon.toml").read_text(encoding="utf-8"))


def _word(word: str) -> str:
    """A pattern of a whole word; * stands for letters."""
    before = rf"(?<!{_LETTER})" if not word.startswith("*") else rf"(?<={_LETTER})"
    after = rf"(?!{_LETTER})" if not word.endswith("*") else rf"(?={_LETTER})"
    return before + re.escape(word.strip("*")) + after


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    some = list(patterns)
    return re.compile("|".join(some), re.IGNORECASE) if some else _NONE
