"""Checked translations, worst first: as a table for programs, as JSON lines, and as a page that marks words."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from otkit.errors import choose
from otkit.files import to_json
from otkit.reports.html import asset
from otkit.reports.words import visible

if TYPE_CHECKING:
    from otkit.alignment.checking import Checked

__all__ = ["CHECK_FORMATS", "ORDERS", "CheckedLine", "WorstLines"]


@dataclass(frozen=True, eq=False)
class CheckedLine:
    """A checked pair and where it came from; its line counts from 1."""

    file: str
    line: int
    checked: Checked


ORDERS: Mapping[str, Callable[[Checked], float]] = {
    "max": lambda one: max(one.hallucination, one.omission),
    "hallucination": lambda one: one.hallucination,
    "omission": lambda one: one.omission,
}


@dataclass
class WorstLines:
    """The `most` worst pairs of a stream and what they all had in common: memory does not grow with the
    stream. Of equal scores the first comes first."""

    order: str
    most: int
    pairs: int = 0
    sums: dict[str, float] = field(default_factory=lambda: {"hallucination": 0.0, "omission": 0.0})
    _heap: list[tuple[float, int, CheckedLine]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._score = choose(self.order, ORDERS, what="order")

    def add(self, entry: CheckedLine) -> None:
        """Count a pair, and keep it while it is among the worst."""
        self.pairs += 1
        for name in self.sums:
            self.sums[name] += getattr(entry.checked, name)
        item = (self._score(entry.checked), -self.pairs, entry)
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
            "hallucination": round(one.hallucination, 4),
            "omission": round(one.omission, 4),
            "source": list(one.source),
            "target": list(one.target),
            "source_scores": [round(float(score), 4) for score in one.source_scores],
            "target_scores": [round(float(score), 4) for score in one.target_scores],
        }
        yield to_json(document, indent=None).rstrip("\n")


def _tsv(entries: Sequence[CheckedLine], several: bool, title: str) -> Iterable[str]:
    yield "\t".join([*(["file"] if several else []), "line", "hallucination", "omission", "source", "target"])
    for entry in entries:
        one = entry.checked
        figures = [str(entry.line), f"{one.hallucination:.4f}", f"{one.omission:.4f}"]
        texts = [_cell(" ".join(words)) for words in (one.source, one.target)]
        yield "\t".join([*([_cell(entry.file)] if several else []), *figures, *texts])


def _cell(text: str) -> str:
    """A text as a cell that no terminal obeys and no spreadsheet computes: `'=1+1`."""
    return f"'{visible(text)}" if text.startswith(("=", "+", "-", "@")) else visible(text)


def _html(entries: Sequence[CheckedLine], several: bool, title: str) -> Iterable[str]:
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield (
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
    )
    yield f"<title>{escape(title)}</title><style>{asset('page.css')}</style></head><body>"
    yield f"<header><h1>{escape(title)}</h1>"
    yield (
        '<p class="note">Worst first. The stronger a word is marked, the less of it the other side accounts '
        "for: lost words above, words from nowhere below.</p></header><main><h2>Translations</h2>"
    )
    for entry in entries:
        one = entry.checked
        place = f"{entry.file}, line {entry.line}" if several else f"line {entry.line}"
        yield f'<section class="pair"><h3>{escape(place)}</h3>'
        yield f'<p class="note">omission {one.omission:.2f}, hallucination {one.hallucination:.2f}</p>'
        yield _marked(one.source, one.source_scores.tolist(), "source")
        yield f"{_marked(one.target, one.target_scores.tolist(), 'translation')}</section>"
    yield "</main></body></html>"


def _marked(words: Sequence[str], scores: Sequence[float], side: str) -> str:
    """Each word as text, its score as the strength of its colour and as its tooltip."""
    items = "".join(
        f'<li class="word" style="--share:{score:.2f}" title="{score:.2f}">{escape(word)}</li>'
        for word, score in zip(words, scores, strict=True)
    )
    return f'<ul class="words" dir="auto" aria-label="{side}">{items}</ul>'


CHECK_FORMATS: Mapping[str, Callable[[Sequence[CheckedLine], bool, str], Iterable[str]]] = {
    "jsonl": _jsonl,
    "tsv": _tsv,
    "html": _html,
}
"""Lines of text from entries, whether they are of several files, and a title."""
