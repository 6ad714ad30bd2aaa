"""The language that words are drawn in: fonts have one shape of 直 for Chinese, another for Japanese."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from otkit.data.languages import web_language

__all__ = ["drawn_language", "lang"]

# Letters, and the languages that are written in them; the first is meant where nobody says which. The live page has the
# same table (dom.js), since its text is typed there.
_SCRIPTS = tuple(
    (re.compile(letters), languages.split())
    for letters, languages in (
        ("[\u3040-\u30ff]", "ja"),
        ("[\uac00-\ud7af]", "ko"),
        ("[\u4e00-\u9fff]", "zh ja yue ko"),
        ("[\u0600-\u06ff]", "ar fa ur ps ug sd ckb"),
        ("[\u0900-\u097f]", "hi mr ne sa"),
        ("[\u0980-\u09ff]", "bn as"),
        ("[\u0b80-\u0bff]", "ta"),
        ("[\u0c00-\u0c7f]", "te"),
        ("[\u0e00-\u0e7f]", "th"),
        ("[\u0590-\u05ff]", "he yi"),
        ("[\u10a0-\u10ff]", "ka"),
        ("[\u0530-\u058f]", "hy"),
        ("[\u0370-\u03ff]", "el"),
        ("[\u0400-\u04ff]", "ru bg uk sr mk be kk ky tg mn"),
    )
)


def drawn_language(words: Iterable[str], known: str | None) -> str | None:
    """As a browser calls it: the language that is known, if the letters agree, else the first that is written so.
    Latin letters tell none."""
    text = " ".join(words)
    own = None if known is None else web_language(known)
    spoken = own and own.split("-")[0]
    for letters, languages in _SCRIPTS:
        if letters.search(text):
            return own if spoken in languages else languages[0]
    return None if any(spoken in languages for _, languages in _SCRIPTS) else own


def lang(language: str | None) -> str:
    """The attribute of an element of HTML, or nothing."""
    return "" if language is None else f' lang="{escape(language)}"'
