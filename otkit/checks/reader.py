"""All classes of errors in one pair, on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean, median
from typing import Any

from otkit.alignment.checking import Checked, TranslationChecker
from otkit.checks.classes import FINDERS, OF_TRANSPORT
from otkit.checks.finding import Side
from otkit.checks.language import can_identify, expected_languages
from otkit.checks.lexicon import lexicon_of
from otkit.checks.runs import weight_of
from otkit.checks.scale import scale_of
from otkit.data.segmentation import RawText, words_between
from otkit.encoders.measured import keep_measured, read_measured

__all__ = ["Found", "PairReader", "means_of", "sides_of"]


@dataclass(frozen=True)
class Found:
    """What a class finds in a pair: its place on the scale in [0, 1], and what a reader is told of it."""

    score: float
    what: str


class PairReader:
    """Reads checked pairs of one file after another; `off` says which classes cannot be told, and why."""

    def __init__(self, checker: TranslationChecker) -> None:
        self._checker = checker
        self._anchors: Mapping[str, tuple[float, float]] = {}
        self.languages = ("", "")
        self.off: dict[str, str] = {}

    def begin(
        self,
        place: str,
        target: str | None,
        pairs: Sequence[tuple[str, str]],
        *,
        raw: RawText,
        langs: str | None = None,
    ) -> None:
        """A file, of which `pairs` are the first lines: they tell how long the words of both are, and its languages
        where `langs` does not state them."""
        self.languages = expected_languages(place, target, pairs, langs)
        weights = [[weight_of(words_between(text, raw=raw)) for text in pair] for pair in pairs]
        ratios = [source / target for source, target in weights if source and target]
        self._checker.weight_ratio = median(ratios) if ratios else 1.0
        self.off = {}
        if not can_identify():
            self.off["language"] = "needs the package py3langid: pip install 'otkit[language]'"
        elif not all(self.languages):
            self.off["language"] = "the languages of the file are not known"
        unknown = [
            language or "an unknown language" for language in self.languages if lexicon_of(language) is None
        ]
        if unknown:
            self.off["negation"] = f"there are no words for {' and '.join(unknown)}"

    def read(self, checked: Checked, source: str, target: str) -> dict[str, Found]:
        """What each class that is on finds."""
        sides = sides_of(checked, (source, target), self.languages)
        found = {}
        for name, finder in FINDERS.items():
            if name not in self.off:
                finding = finder(*sides)
                found[name] = Found(scale_of(name).place(self._figure(name, finding.figure)), finding.what)
        return found

    def measure(self) -> None:
        """Find the scale of the encoder's figures on the sample sentences, once for an encoder; whoever does not ask
        pays for it with the first pair."""
        if self._anchors:
            return
        checker = self._checker
        key = checker.key_of_sample("scale", checker.config.to_dict())
        self._anchors = _anchors_in(read_measured(key))
        if not self._anchors:
            clean, unaligned = (means_of(pairs) for pairs in checker.check_sample())
            self._anchors = {each: (clean[each], unaligned[each]) for each in OF_TRANSPORT}
            keep_measured(key, checker.encoder, "scale of otkit check", self._anchors)

    def _figure(self, name: str, figure: float) -> float:
        """A class's figure in the unit of the scale."""
        if name not in OF_TRANSPORT:
            return figure
        self.measure()
        low, high = self._anchors[name]
        return (figure - low) / max(high - low, 1e-6)


def _anchors_in(kept: Any) -> dict[str, tuple[float, float]]:
    """What was kept; empty where nothing was, or it is damaged."""
    try:
        found = {name: (float(kept[name][0]), float(kept[name][1])) for name in OF_TRANSPORT}
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return {}
    return found if all(map(math.isfinite, chain(*found.values()))) else {}


def sides_of(checked: Checked, texts: tuple[str, str], languages: tuple[str, str]) -> tuple[Side, Side]:
    """A checked pair as classes see it."""
    evidence = checked.source_evidence, checked.target_evidence
    words = checked.source, checked.target
    scores = checked.source_scores, checked.target_scores
    source, target = (
        Side(
            texts[k],
            languages[k],
            words[k],
            tuple(scores[k].tolist()),
            tuple(scores[k].tolist() if each is None else each.missing.tolist()),
            tuple(scores[k].tolist() if each is None else each.far.tolist()),
        )
        for k, each in enumerate(evidence)
    )
    return source, target


def means_of(pairs: Iterable[Checked]) -> dict[str, float]:
    """The mean figure of each class of the transport."""
    every = [sides_of(pair, ("", ""), ("", "")) for pair in pairs]
    return {name: fmean(FINDERS[name](*sides).figure for sides in every) for name in OF_TRANSPORT}
