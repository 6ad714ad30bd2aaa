"""The alignments of a corpus in a SQLite index: pages of it, worst first, and filters, for as many pairs as there are.

The index fills in a thread of its own while the page shows what is there already. It lies in a temporary folder.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from otkit.alignment.aligner import Alignment
from otkit.data.gold import GoldPair
from otkit.data.parallel import ParallelCorpus
from otkit.data.segmentation import words_between
from otkit.errors import ConfigError, choose
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table

__all__ = ["FILTERS", "ORDERS", "CorpusIndex", "Line", "TextLines"]

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE pairs (
  id INTEGER PRIMARY KEY, line INTEGER, source TEXT, target TEXT, links TEXT, words INTEGER,
  strength REAL, unlinked REAL, cost REAL, aer REAL, changed REAL
);
CREATE TABLE cells (source TEXT, target TEXT, pair INTEGER);
CREATE INDEX by_strength ON pairs (strength);
CREATE INDEX by_unlinked ON pairs (unlinked);
CREATE INDEX by_words ON pairs (words);
CREATE INDEX by_aer ON pairs (aer);
CREATE INDEX by_changed ON pairs (changed);
CREATE INDEX by_cells ON cells (source, target, pair);
CREATE INDEX by_targets ON cells (target, pair);
"""
ORDERS: Mapping[str, str] = {
    "worst": "strength, id",
    "best": "strength DESC, id",
    "unlinked": "unlinked DESC, id",
    "errors": "aer DESC, id",
    "changed": "changed DESC, id",
    "long": "words DESC, id",
    "file": "id",
}
FILTERS: Mapping[str, str] = {
    "least_unlinked": "unlinked >= ?",
    "least_words": "words >= ?",
    "most_words": "words <= ?",
    "least_strength": "strength >= ?",
    "most_strength": "strength <= ?",
    "least_aer": "aer >= ?",
}
_HISTOGRAMS = ("strength", "unlinked")
_MOST_ROWS = 200
_COLUMNS = (
    "id",
    "line",
    "source",
    "target",
    "links",
    "words",
    "strength",
    "unlinked",
    "cost",
    "aer",
    "changed",
)


@dataclass(frozen=True)
class Line:
    """A pair of the corpus; `gold` where a person linked it."""

    line: int
    source: tuple[str, ...]
    target: tuple[str, ...]
    gold: GoldPair | None = None


class TextLines(Sequence[Line]):
    """The lines of a corpus, whose words are found when a line is asked for: memory does not grow with them."""

    def __init__(self, texts: ParallelCorpus, *, raw: bool) -> None:
        self._texts, self._raw = texts, raw

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> Line: ...
    @overload
    def __getitem__(self, index: slice) -> list[Line]: ...
    def __getitem__(self, index: int | slice) -> Line | list[Line]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        pair = self._texts[index]
        source, target = (words_between(side, raw=self._raw) for side in (pair.source, pair.target))
        return Line(pair.line, source, target)


class CorpusIndex:
    """Pairs as they are aligned; every question is answered from what is there."""

    def __init__(self, total: int, *, gold: bool) -> None:
        self.total, self.gold = total, gold
        self.error: str | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="otkit-inspect-")
        self._lock = threading.Lock()
        self._base = sqlite3.connect(Path(self._folder.name) / "index.sqlite", check_same_thread=False)
        self._base.executescript(_SCHEMA)

    def close(self) -> None:
        """Remove the index."""
        with self._lock:
            self._base.close()
        self._folder.cleanup()

    def add(self, lines: Iterable[Line], found: Iterable[Sequence[Alignment]]) -> None:
        """Lines with what each model found for them."""
        rows, cells = [], []
        start = self.done
        for place, (line, models) in enumerate(zip(lines, found, strict=True), start=start):
            first = models[0]
            words = len(line.source) + len(line.target)
            touched = sum(link.score for link in first.links)
            linked = len({i for i, _ in first.pairs}) + len({j for _, j in first.pairs})
            aer = None
            if line.gold is not None:
                sums = alignment_table([first.pairs], [line.gold]).sum(0)
                aer = float(ALIGNMENT_METRICS["aer"](sums))
            changed = None
            if len(models) > 1:
                union = first.pairs | models[1].pairs
                changed = len(first.pairs ^ models[1].pairs) / max(len(union), 1)
            strength = 2 * touched / max(words, 1)
            cost = None if first.cost != first.cost else first.cost
            texts = " ".join(line.source), " ".join(line.target)
            rows.append(
                (
                    place,
                    line.line,
                    *texts,
                    first.pharaoh,
                    words,
                    strength,
                    1 - linked / max(words, 1),
                    cost,
                    aer,
                    changed,
                )
            )
            cells += [
                (first.source[i].casefold(), first.target[j].casefold(), place)
                for i, j in sorted(first.pairs)
            ]
        with self._lock, self._base:
            self._base.executemany(f"INSERT INTO pairs VALUES ({','.join('?' * len(_COLUMNS))})", rows)
            self._base.executemany("INSERT INTO cells VALUES (?,?,?)", cells)

    @property
    def done(self) -> int:
        """Pairs that are in the index."""
        # Their ids count from 0 without a gap, and the last is found without a walk over all: this is asked for every
        # window that comes in.
        return int(self._ask("SELECT coalesce(max(id) + 1, 0) FROM pairs")[0][0])

    def page(
        self,
        *,
        order: str = "worst",
        offset: int = 0,
        limit: int = 25,
        source: str | None = None,
        target: str | None = None,
        text: str | None = None,
        **bounds: float,
    ) -> dict[str, Any]:
        """Some rows in an order, and how many there are: of pairs within the bounds, that link `source` with
        `target` (either alone will do), and that hold a text."""
        by = choose(order, ORDERS, what="order", setting="order")
        if not (offset >= 0 and 1 <= limit <= _MOST_ROWS):
            raise ConfigError(
                f"rows {offset} and {limit} more", remedy=f"ask for 1 to {_MOST_ROWS} at a time"
            )
        where, values = _where(source, target, text, bounds)
        (count,) = self._ask(f"SELECT count(*) FROM pairs WHERE {where}", *values)[0]
        rows = self._ask(
            f"SELECT * FROM pairs WHERE {where} ORDER BY {by} LIMIT ? OFFSET ?", *values, limit, offset
        )
        return {
            "done": self.done,
            "total": self.total,
            "matching": count,
            "rows": [dict(zip(_COLUMNS, row, strict=True)) for row in rows],
            "error": self.error,
        }

    def histograms(self, bins: int = 20) -> dict[str, list[int]]:
        """How many pairs lie in each of the bins between 0 and 1, by link strength and by words without a link."""
        counted = {}
        for name in _HISTOGRAMS:
            bars = [0] * bins
            asked = f"SELECT min(CAST({name} * ? AS INTEGER), ?), count(*) FROM pairs GROUP BY 1"
            for place, count in self._ask(asked, bins, bins - 1):
                bars[place] = count
            counted[name] = bars
        return counted

    def word_pairs(self, limit: int = 50) -> list[tuple[str, str, int]]:
        """The words that are linked most often."""
        asked = "SELECT source, target, count(*) FROM cells GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT ?"
        return [(str(s), str(t), int(n)) for s, t, n in self._ask(asked, min(limit, _MOST_ROWS))]

    def _ask(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._base.execute(query, values).fetchall()


def _where(
    source: str | None, target: str | None, text: str | None, bounds: Mapping[str, float]
) -> tuple[str, list[Any]]:
    parts, values = ["1"], list[Any]()
    for name, bound in bounds.items():
        parts.append(choose(name, FILTERS, what="filter", setting=name))
        values.append(float(bound))
    linked = [(column, word) for column, word in (("source", source), ("target", target)) if word]
    if linked:
        same = " AND ".join(f"{column} = ?" for column, _ in linked)
        parts.append(f"id IN (SELECT pair FROM cells WHERE {same})")
        values += [word.casefold() for _, word in linked]
    if text:
        parts.append("(instr(source, ?) OR instr(target, ?))")
        values += [text, text]
    return " AND ".join(parts), values
