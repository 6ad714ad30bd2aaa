"""Raw text to words, for any script, with the place of each word in the text.

ICU's word boundaries (Unicode Standard Annex 29, with dictionaries for Chinese, Japanese, Thai, Lao, Khmer and
Burmese), through the package icu4py: one library and 13 MB to download for all languages, a million characters
a second. Its dictionaries know no inflection (しま|した for し|まし|た, 了一 for 了|一), so runs of Chinese,
Japanese and Thai are cut by a segmenter of their own where one is installed: see `SEGMENTERS`, and
`benchmarks/README.md` for what was compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

from otkit.data.lines import words_of
from otkit.errors import choose, require_extra

__all__ = ["SEGMENTERS", "RawText", "Segment", "segment", "segmenters_of", "segments", "words_between"]

RawText = bool | str
"""Whether a text is raw, so that its words have to be found: True finds them as well as what is installed can, and a
name of `SEGMENTERS` with that segmenter alone."""

Cutter = Callable[[str], Iterable[str]]


class Segment(NamedTuple):
    """A word and the characters of the text, [start, end), that it was cut from."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Segmenter:
    """What cuts the text of one language that writes no spaces.

    language  whose it is
    packages  what it needs, the one that is imported first
    extra     of otkit that brings them
    open      gives the function that cuts a run of text into words, which together are the run
    """

    language: str
    packages: tuple[str, ...]
    extra: str
    open: Callable[[], Cutter]

    @property
    def installed(self) -> bool:
        return all(find_spec(package) is not None for package in self.packages)


def _jieba() -> Cutter:
    jieba = require_extra("jieba", extra="chinese")
    jieba.setLogLevel("WARNING")
    return jieba.cut  # type: ignore[no-any-return]


def _sudachi() -> Cutter:
    sudachipy = require_extra("sudachipy", extra="japanese")
    require_extra("sudachidict_core", extra="japanese")
    tokenizer = sudachipy.Dictionary().tokenizer(
        sudachipy.SplitMode.B
    )  # between short units (A) and names (C)
    return lambda run: [word.surface() for word in tokenizer.tokenize(run)]


def _newmm() -> Cutter:
    thai = require_extra("pythainlp.tokenize", extra="thai")
    return lambda run: thai.word_tokenize(run, engine="newmm")


SEGMENTERS: Mapping[str, Segmenter | None] = {
    "icu": None,
    "jieba": Segmenter("zh", ("jieba",), "chinese", _jieba),
    "sudachi": Segmenter("ja", ("sudachipy", "sudachidict_core"), "japanese", _sudachi),
    "newmm": Segmenter("th", ("pythainlp",), "thai", _newmm),
}
"""What finds words in raw text: ICU in any script, and others in runs of one language."""

_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_RUNS = {
    "zh": re.compile(f"[{_HAN}]+"),
    "ja": re.compile(f"[{_HAN}{_KANA}]+"),
    "th": re.compile("[\u0e01-\u0e3a\u0e40-\u0e4e]+"),
}
_JAPANESE = re.compile(f"[{_KANA}]")
_SHORTENED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")  # and a full stop: U.S. e.g. Ph.D.


def segment(text: str, raw: RawText = True) -> list[str]:
    """The words and punctuation marks of a text, without white space."""
    return [word for word, _, _ in segments(text, raw)]


def segments(text: str, raw: RawText = True) -> list[Segment]:
    """The same with their places, counted in characters. Text with kana in it is Japanese, other ideographs Chinese."""
    # Half a surrogate pair is no character to ICU; one "?" stands for it, so that places stay.
    clean = text.encode("utf-8", "replace").decode("utf-8")
    used = segmenters_of(raw)
    languages = ("ja" if _JAPANESE.search(clean) else "zh", "th")
    found: list[Segment] = []
    done = 0
    for start, end, cut in sorted(
        (*match.span(), _cutter(used[language]))
        for language in languages
        if language in used
        for match in _RUNS[language].finditer(clean)
    ):
        found += _by_icu(clean, done, start)
        for word in cut(clean[start:end]):
            found.append(Segment(word, start, start + len(word)))
            start += len(word)
        done = end
    return [*found, *_by_icu(clean, done, len(clean))]


@cache  # looking for packages takes longer than cutting a sentence
def segmenters_of(raw: RawText) -> Mapping[str, str]:
    """What cuts the runs of each language that is not left to ICU: by its name here."""
    if raw is True:
        return {each.language: name for name, each in SEGMENTERS.items() if each and each.installed}
    name = str(raw)
    choose(name, SEGMENTERS, what="segmenter", setting="raw")
    chosen = SEGMENTERS[name]
    return {} if chosen is None else {chosen.language: name}


def words_between(text: str, *, raw: RawText) -> tuple[str, ...]:
    """The words of a sentence: those between its spaces, or those that are found in `raw` text."""
    return tuple(segment(text, raw)) if raw else words_of(text)


@cache
def _cutter(name: str) -> Cutter:
    chosen = SEGMENTERS[name]
    assert chosen is not None
    return chosen.open()


def _by_icu(text: str, begin: int, end: int) -> list[Segment]:
    """The words of a part of a text."""
    part = text[begin:end]
    if not part or part.isspace():
        return []
    breakers = require_extra("icu4py.breakers", extra="raw")
    places = _character_places(part)
    found: list[Segment] = []
    # The root locale: ICU chooses the dictionary by script, and languages differ in nothing else here.
    for first, last in breakers.WordBreaker(part, "root").segments():
        first, last = (first, last) if places is None else (places[first], places[last])
        for word in _without_space(part, first, last):
            before = found[-1] if found else None
            if word.text == "." and before and before.end == begin + word.start and _is_shortened(before):
                found[-1] = Segment(f"{before.text}.", before.start, before.end + 1)
            else:
                found.append(Segment(word.text, begin + word.start, begin + word.end))
    return found


def _is_shortened(word: Segment) -> bool:
    return _SHORTENED.fullmatch(word.text) is not None


def _character_places(text: str) -> list[int] | None:
    """For each UTF-16 unit (what ICU counts) the character it begins or is in; None where both counts are the
    same."""
    if not any(character > "\uffff" for character in text):
        return None
    places: list[int] = []
    for place, character in enumerate(text):
        places.extend([place] * (2 if character > "\uffff" else 1))
    return [*places, len(text)]


def _without_space(text: str, start: int, end: int) -> Iterator[Segment]:
    """A segment without the white space around it, of any kind; what the breaker kept together stays together, such as
    the digits of a number around a narrow no-break space."""
    word = text[start:end].strip()
    if word:
        start = text.index(word, start)
        yield Segment(word, start, start + len(word))
