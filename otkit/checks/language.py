"""Copies of the source, and translations into another language than the file's.

The identifier is py3langid (139 languages, offline), of the extra `language`.
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from otkit.checks.finding import NOTHING, Finding, Side
from otkit.data.languages import languages_of, short_code
from otkit.errors import InputError, require_extra

__all__ = ["can_identify", "copied", "expected_languages", "other_language"]

_COPIED_FROM = 0.6
"""Share of the translation's letters that stand in words of the source: below, they are names."""
_SURE, _LEAST = 0.5, 10.0
"""Log-odds against the expected language: for each byte of a text, where it is sure; in all, where it begins."""
_MOST_FITS = 60
"""Lines that say which languages a file has, where its name does not."""


def copied(source: Side, target: Side) -> Finding:
    """How much of the translation is words of the source, from `_COPIED_FROM` on."""
    words = [re.findall(r"[^\W\d_]+", side.text.lower()) for side in (source, target)]
    letters = sum(map(len, words[1]))
    if not letters:
        return NOTHING
    shared = Counter(words[0]) & Counter(words[1])
    share = sum(len(word) * count for word, count in shared.items()) / letters
    if share <= _COPIED_FROM:
        return NOTHING
    return Finding((share - _COPIED_FROM) / (1 - _COPIED_FROM), f"{share:.0%} of it are words of the source")


def other_language(source: Side, target: Side) -> Finding:
    """How surely one side is not of its language, up to 1."""
    worst = NOTHING
    for side in (source, target):
        ranked = _identifier().rank(side.text)
        found, best = ranked[0]
        own = dict(ranked).get(side.language)
        if own is None or (odds := float(best - own)) < _LEAST:
            continue
        figure = min(1.0, odds / len(side.text.encode("utf-8", "replace")) / _SURE)
        if figure > worst.figure:
            worst = Finding(figure, f"{found}, not {side.language}")
    return worst


def can_identify() -> bool:
    """Whether the identifier is installed."""
    return importlib.util.find_spec("py3langid") is not None


def expected_languages(
    place: str, target: str | None, pairs: Sequence[tuple[str, str]], langs: str | None = None
) -> tuple[str, str]:
    """The languages of a file's sides: those stated, else those of its name, else those of most of its first lines;
    "" for unknown.

    A name that has them the other way round is believed as a pair, and the lines as to their order.
    """
    named: tuple[str, str] | None = None
    try:
        source, other = languages_of(place, langs, target=target)
        named = short_code(source.split("_")[0]), short_code(other.split("_")[0])
    except InputError:
        if langs is not None:
            raise
    if langs is not None or not can_identify():
        return named or ("", "")
    seen = _usual([pair[0] for pair in pairs]), _usual([pair[1] for pair in pairs])
    if named is not None:
        return seen if seen == named[::-1] else named
    return seen


def _usual(texts: Sequence[str]) -> str:
    found = Counter(_identifier().classify(text)[0] for text in texts[:_MOST_FITS])
    return str(found.most_common(1)[0][0]) if found else ""


@cache
def _identifier() -> Any:
    module = require_extra("py3langid.langid", extra="language")
    return module.LanguageIdentifier.from_model_file(module.MODEL_FILE)
