"""Checked translations, worst first: as a table for programs, as JSON lines, and as a page that marks words."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from otkit.checks.classes import CLASSES
from otkit.data.languages import languages_told
from otkit.errors import choose
from otkit.files import to_json
from otkit.reports.html import page_style
from otkit.reports.languages import drawn_language, lang
from otkit.reports.words import cell_text, visible

if TYPE_CHECKING:
    from otkit.alignment.checking import Checked
    from otkit.checks.reader import Found

__all__ = ["CHECK_FORMATS", "FLAGGED", "ORDERS", "CheckedLine", "WorstLines"]

FLAGGED = 0.93
"""The score from which a pair is counted as one to look at: the figures of 98 of 100 clean pairs lie below."""


@dataclass(frozen=True, eq=False)
class CheckedLine:
    """A checked pair, what each class of errors found in it, and where it came from; its line counts from 1."""

    file: str
    line: int
    checked: Checked
    found: Mapping[str, Found]

    @property
    def worst(self) -> str:
        """The class with the highest score; of equal ones the first."""
        return max(self.found, key=lambda name: self.found[name].score)

    @property
    def score(self) -> float:
        """The highest score of all classes."""
        return self.found[self.worst].score

    def score_of(self, name: str) -> float:
        """The score of one class, -1 where it is off."""
        return self.found[name].score if name in self.found else -1.0


ORDERS: Mapping[str, Callable[[CheckedLine], float]] = {
    "max": lambda line: line.score,
    **{name: partial(CheckedLine.score_of, name=name) for name in CLASSES},
    "hallucination": lambda line: line.checked.hallucination,
    "omission": lambda line: line.checked.omission,
}


@dataclass
class WorstLines:
    """The `most` worst pairs of a stream and what they all had in common: memory does not grow with the
    stream. Of equal scores the first comes first."""

    order: str
    most: int
    pairs: int = 0
    sums: dict[str, float] = field(default_factory=lambda: {"hallucination": 0.0, "omission": 0.0})
    flagged: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    _heap: list[tuple[float, int, CheckedLine]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._score = choose(self.order, ORDERS, what="order")

    def add(self, entry: CheckedLine) -> None:
        """Count a pair, and keep it while it is among the worst."""
        self.pairs += 1
        for name in self.sums:
            self.sums[name] += getattr(entry.checked, name)
        for name, found in entry.found.items():
            self.flagged[name] += found.score >= FLAGGED
        item = (self._score(entry), -self.pairs, entry)
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, item)
        else:
            heapq.heappushpop(self._heap, item)

    def lines(self) -> list[CheckedLine]:
        """Worst first."""
        return [entry for _, _, entry in sorted(self._heap, key=lambda item: item[:2], reverse=True)]

    def mean(self, name: str) -> float:
        """Over all pairs seen; 0 where there were none."""
        return self.sums[name] / max(self.pairs, 1)


def _jsonl(entries: Sequence[CheckedLine], several: bool, title: str) -> Iterable[str]:
    for entry in entries:
        one = entry.checked
        document: dict[str, Any] = {"file": entry.file} if several else {}
        document |= {
            "line": entry.line,
            "score": round(entry.score, 4),
            "class": entry.worst,
            "classes": {name: round(found.score, 4) for name, found in entry.found.items()},
            "what": {name: found.what for name, found in entry.found.items() if found.what},
            "hallucination": round(one.hallucination, 4),
            "omission": round(one.omission, 4),
            "source": list(one.source),
            "target": list(one.target),
            "source_scores": [round(float(score), 4) for score in one.source_scores],
            "target_scores": [round(float(score), 4) for score in one.target_scores],
        }
        yield to_json(document, indent=None).rstrip("\n")


def _tsv(entries: Sequence[CheckedLine], several: bool, title: str) -> Iterable[str]:
    heads = ["line", "score", "class", *CLASSES, "what", "source", "target"]
    yield "\t".join([*(["file"] if several else []), *heads])
    for entry in entries:
        scores = [f"{found.score:.4f}" if (found := entry.found.get(name)) else "" for name in CLASSES]
        texts = [cell_text(text) for text in (entry.found[entry.worst].what, *_texts(entry))]
        figures = [str(entry.line), f"{entry.score:.4f}", entry.worst, *scores]
        yield "\t".join([*([cell_text(entry.file)] if several else []), *figures, *texts])


def _text(entries: Sequence[CheckedLine], several: bool, title: str) -> Iterable[str]:
    yield title
    for entry in entries:
        place = f"{entry.file}:{entry.line}" if several else f"line {entry.line}"
        said = "; ".join(_said(name, found) for name, found in _shown(entry))
        yield ""
        yield visible(f"{place}  {said}")
        yield from (f"  {visible(text)}" for text in _texts(entry))


def _texts(entry: CheckedLine) -> tuple[str, str]:
    return " ".join(entry.checked.source), " ".join(entry.checked.target)


def _shown(entry: CheckedLine) -> list[tuple[str, Found]]:
    """The worst class, and what else is flagged, worst first."""
    ordered = sorted(entry.found.items(), key=lambda item: -item[1].score)
    return [item for place, item in enumerate(ordered) if not place or item[1].score >= FLAGGED]


def _said(name: str, found: Found) -> str:
    return f"{name} {found.score:.2f}{f' ({found.what})' if found.what else ''}"


def _html(entries: Sequence[CheckedLine], several: bool, title: str) -> Iterable[str]:
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield (
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
    )
    yield f"<title>{escape(title)}</title><style>{page_style()}</style></head><body>"
    yield f"<header><h1>{escape(title)}</h1>"
    yield (
        '<p class="note">Worst first. A score is how rare the figure of its class is: from 0.93 on, 98 of 100 clean '
        "pairs lie below. The stronger a word is marked, the less of it the other side accounts for: lost words above, "
        "words from nowhere below.</p>"
    )
    meanings = "".join(f"<dt>{name}</dt><dd>{escape(meaning)}</dd>" for name, meaning in CLASSES.items())
    yield f"<details><summary>The classes</summary><dl>{meanings}</dl></details></header>"
    yield "<main><h2>Translations</h2>"
    for entry in entries:
        one = entry.checked
        place = f"{entry.file}, line {entry.line}" if several else f"line {entry.line}"
        yield f'<section class="pair"><h3>{escape(place)}</h3>'
        said = "; ".join(_said(name, found) for name, found in _shown(entry))
        yield f'<p class="note" dir="auto">{escape(visible(said))}</p>'
        spoken = languages_told(entry.file) or (None, None)
        yield _marked(one.source, one.source_scores.tolist(), "source", spoken[0])
        yield f"{_marked(one.target, one.target_scores.tolist(), 'translation', spoken[1])}</section>"
    yield "</main></body></html>"


def _marked(words: Sequence[str], scores: Sequence[float], side: str, language: str | None) -> str:
    """Each word as text, its score as the strength of its colour and as its tooltip."""
    items = "".join(
        f'<li class="word" style="--share:{score:.2f}" title="{score:.2f}">{escape(word)}</li>'
        for word, score in zip(words, scores, strict=True)
    )
    own = lang(drawn_language(words, language))
    return f'<ul class="words" dir="auto"{own} aria-label="{side}">{items}</ul>'


CHECK_FORMATS: Mapping[str, Callable[[Sequence[CheckedLine], bool, str], Iterable[str]]] = {
    "jsonl": _jsonl,
    "tsv": _tsv,
    "text": _text,
    "html": _html,
}
"""Lines of text from entries, whether they are of several files, and a title."""
