"""The alignments of a corpus in a SQLite index, for as many pairs as there are: what goes into it.

The index fills in a thread of its own while the page shows what is there already. It lies in a temporary folder.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from otkit.alignment.aligner import Alignment
from otkit.data.gold import GoldPair
from otkit.data.parallel import ParallelCorpus
from otkit.data.segmentation import words_between
from otkit.errors import InputError
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table
from otkit.inspector import queries

__all__ = ["CorpusIndex", "Judged", "Line", "TextLines"]

_SCHEMA = """
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
CREATE TABLE pairs (
  id INTEGER PRIMARY KEY, line INTEGER, words INTEGER, strength REAL, unlinked REAL, cost REAL,
  precision REAL, recall REAL, f1 REAL, aer REAL, changed REAL, "check" REAL, class TEXT, verdict TEXT
);
CREATE TABLE texts (id INTEGER PRIMARY KEY, source TEXT, target TEXT, links TEXT, what TEXT);
CREATE TABLE cells (kind TEXT, source TEXT, target TEXT, pair INTEGER);
CREATE TABLE word_pairs (
  kind TEXT, source TEXT, target TEXT, times INTEGER, PRIMARY KEY (kind, source, target)
) WITHOUT ROWID;
CREATE TABLE findings (class TEXT, pair INTEGER, PRIMARY KEY (class, pair)) WITHOUT ROWID;
CREATE INDEX by_strength ON pairs (strength);
CREATE INDEX by_unlinked ON pairs (unlinked DESC, id);
CREATE INDEX by_words ON pairs (words DESC, id);
CREATE INDEX by_cost ON pairs (cost DESC, id);
CREATE INDEX by_f1 ON pairs (f1);
CREATE INDEX by_aer ON pairs (aer DESC, id);
CREATE INDEX by_changed ON pairs (changed DESC, id);
CREATE INDEX by_check ON pairs ("check" DESC, id);
CREATE INDEX by_verdict ON pairs (verdict);
CREATE INDEX by_source ON texts (source);
CREATE INDEX by_cells ON cells (kind, source, target, pair);
CREATE INDEX by_targets ON cells (kind, target, pair);
CREATE INDEX by_times ON word_pairs (kind, times DESC);
"""


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


@dataclass(frozen=True)
class Judged:
    """What a check says of a pair: its highest score, of which class, what a reader is told; `flagged` are the classes
    whose score is one to look at."""

    id: int
    score: float
    name: str
    what: str
    flagged: tuple[str, ...]


class CorpusIndex:
    """Pairs as they are aligned; every question is answered from what is there."""

    def __init__(self, total: int, *, gold: bool) -> None:
        self.total, self.gold = total, gold
        self.error: str | None = None
        self.checked = 0
        self._folder = tempfile.TemporaryDirectory(prefix="otkit-inspect-")
        self._lock = threading.Lock()
        self._base = sqlite3.connect(Path(self._folder.name) / "index.sqlite", check_same_thread=False)
        self._base.executescript(_SCHEMA)

    def close(self) -> None:
        """Remove the index."""
        with self._lock:
            self._base.close()
        self._folder.cleanup()

    def add(
        self,
        lines: Sequence[Line],
        found: Iterable[Sequence[Alignment]],
        verdicts: Iterable[str] | None = None,
    ) -> None:
        """Lines with what each model found for them, and what they were judged to be before."""
        rows, texts, cells = [], [], []
        judged = ["none"] * len(lines) if verdicts is None else list(verdicts)
        for place, (line, models, verdict) in enumerate(
            zip(lines, found, judged, strict=True), start=self.done
        ):
            rows.append((place, line.line, *_figures(line, models), None, None, verdict))
            sides = " ".join(line.source), " ".join(line.target)
            texts.append((place, *sides, models[0].pharaoh, None))
            cells += [(kind, source, target, place) for kind, source, target in _cells(line, models[0])]
        counted = [cell[:3] for cell in cells if all(side == "" or _is_word(side) for side in cell[1:3])]
        with self._lock, self._base:
            self._base.executemany(f"INSERT INTO pairs VALUES ({','.join('?' * len(rows[0]))})", rows)
            self._base.executemany("INSERT INTO texts VALUES (?,?,?,?,?)", texts)
            self._base.executemany("INSERT INTO cells VALUES (?,?,?,?)", cells)
            self._base.executemany(
                "INSERT INTO word_pairs VALUES (?,?,?,1) ON CONFLICT DO UPDATE SET times = times + 1", counted
            )

    def check(self, judged: Sequence[Judged]) -> None:
        """What a check says of pairs that are there."""
        with self._lock, self._base:
            self._base.executemany(
                'UPDATE pairs SET "check" = ?, class = ? WHERE id = ?',
                [(round(one.score, 4), one.name, one.id) for one in judged],
            )
            self._base.executemany(
                "UPDATE texts SET what = ? WHERE id = ?", [(one.what, one.id) for one in judged]
            )
            self._base.executemany(
                "INSERT INTO findings VALUES (?,?)",
                [(name, one.id) for one in judged for name in one.flagged],
            )
        self.checked += len(judged)

    def judge(self, source: Sequence[str], target: Sequence[str], verdict: str) -> None:
        """Accept or reject every pair of these words."""
        with self._lock, self._base:
            self._base.execute(
                "UPDATE pairs SET verdict = ? WHERE id IN (SELECT id FROM texts WHERE source = ? AND target = ?)",
                (verdict, " ".join(source), " ".join(target)),
            )

    @property
    def done(self) -> int:
        """Pairs that are in the index."""
        # Their ids count from 0 without a gap, and the last is found without a walk over all: this is asked for every
        # window that comes in.
        return int(self.ask("SELECT coalesce(max(id) + 1, 0) FROM pairs")[0][0])

    def page(
        self, *, order: str = "worst", offset: int = 0, limit: int = 25, **filters: Any
    ) -> dict[str, Any]:
        """Some rows in an order, and how many there are, of pairs that pass the filters."""
        by, where, values = queries.asked(order, filters)
        queries.check_rows(offset, limit)
        (count,) = self.ask(f"SELECT count(*) FROM pairs WHERE {where}", *values)[0]
        ids = self.ask(
            f"SELECT id FROM pairs WHERE {where} ORDER BY {by} LIMIT ? OFFSET ?", *values, limit, offset
        )
        return {
            "done": self.done,
            "checked": self.checked,
            "total": self.total,
            "matching": count,
            "rows": self._shown([row[0] for row in ids]),
            "error": self.error,
        }

    def rows(self, order: str = "worst", **filters: Any) -> Iterator[list[dict[str, Any]]]:
        """Every row that passes, in an order, in pieces."""
        by, where, values = queries.asked(order, filters)
        ids = [row[0] for row in self.ask(f"SELECT id FROM pairs WHERE {where} ORDER BY {by}", *values)]
        for start in range(0, len(ids), queries.MOST_ROWS):
            yield self._shown(ids[start : start + queries.MOST_ROWS])

    def _shown(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """The rows with these ids, in their order."""
        marks = ",".join("?" * len(ids))
        found = self.ask(
            f"SELECT {queries.SHOWN} FROM pairs JOIN texts USING (id) WHERE pairs.id IN ({marks})", *ids
        )
        by_id = {row[0]: dict(zip(queries.COLUMNS, row, strict=True)) for row in found}
        return [by_id[one] for one in ids]

    def texts(self, ids: Sequence[int]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """The words of pairs."""
        marks = ",".join("?" * len(ids))
        found = self.ask(f"SELECT id, source, target FROM texts WHERE id IN ({marks})", *ids)
        if len(found) < len(set(ids)):
            raise InputError("there is no such pair", remedy="give ids of pairs that are in the index")
        return [(tuple(source.split(" ")), tuple(target.split(" "))) for _, source, target in found]

    def histograms(self, **filters: Any) -> dict[str, dict[str, Any]]:
        """How many of the pairs that pass lie in each bin: `edges` are where the bins begin, the last has no end."""
        _, where, values = queries.asked("file", filters)
        shown = {}
        for name, (cut, edges) in queries.HISTOGRAMS.items():
            counts = [0] * len(edges)
            asked = f"SELECT {cut}, count(*) FROM pairs WHERE {queries.quoted(name)} IS NOT NULL AND {where} GROUP BY 1"
            for place, count in self.ask(asked, *values):
                counts[max(0, min(place, len(edges) - 1))] += count
            if any(counts):
                shown[name] = {"edges": list(edges), "counts": counts}
        return shown

    def counts(self) -> dict[str, dict[str, int]]:
        """How many pairs were judged to be what, and how many were flagged by each class of a check."""
        verdicts = self.ask("SELECT verdict, count(*) FROM pairs GROUP BY 1")
        classes = self.ask("SELECT class, count(*) FROM findings GROUP BY 1 ORDER BY 2 DESC, 1")
        return {"verdicts": dict(verdicts), "classes": dict(classes)}

    def word_pairs(self, kind: str = "link", limit: int = 50) -> list[tuple[str, str, int]]:
        """The words that are most often of a kind: linked, missed, linked against gold, or without a link."""
        queries.check_kind(kind)
        by = "ORDER BY times DESC, source, target LIMIT ?"
        asked = f"SELECT source, target, times FROM word_pairs WHERE kind = ? {by}"
        return [(str(s), str(t), int(n)) for s, t, n in self.ask(asked, kind, min(limit, queries.MOST_ROWS))]

    def ask(self, query: str, *values: Any) -> list[Any]:
        """The rows that a query of ours finds."""
        with self._lock:
            return self._base.execute(query, values).fetchall()


def _figures(line: Line, models: Sequence[Alignment]) -> tuple[Any, ...]:
    """The columns of a pair from its words to what changed."""
    first = models[0]
    words = len(line.source) + len(line.target)
    touched = sum(link.score for link in first.links)
    linked = len({i for i, _ in first.pairs}) + len({j for _, j in first.pairs})
    errors: Mapping[str, float | None] = dict.fromkeys(queries.ERRORS)
    if line.gold is not None:
        sums = alignment_table([first.pairs], [line.gold]).sum(0)
        errors = {name: round(float(ALIGNMENT_METRICS[name](sums)), 9) for name in queries.ERRORS}
    changed = None
    if len(models) > 1:
        union = first.pairs | models[1].pairs
        changed = round(len(first.pairs ^ models[1].pairs) / max(len(union), 1), 9)
    return (
        words,
        round(2 * touched / max(words, 1), 9),
        round(1 - linked / max(words, 1), 9),
        None if first.cost != first.cost else round(first.cost, 9),
        *errors.values(),
        changed,
    )


def _cells(line: Line, found: Alignment) -> Iterator[tuple[str, str, str]]:
    """Kind, source word and target word of every link, of every error against gold, and of words without a link."""
    source, target = ([word.casefold() for word in side] for side in (line.source, line.target))
    yield from (("link", source[i], target[j]) for i, j in sorted(found.pairs))
    if line.gold is not None:
        yield from (("extra", source[i], target[j]) for i, j in sorted(found.pairs - line.gold.possible))
        yield from (("missed", source[i], target[j]) for i, j in sorted(line.gold.sure - found.pairs))
    linked = {i for i, _ in found.pairs}, {j for _, j in found.pairs}
    yield from (("alone", word, "") for i, word in enumerate(source) if i not in linked[0])
    yield from (("alone", "", word) for j, word in enumerate(target) if j not in linked[1])


def _is_word(text: str) -> bool:
    return any(map(str.isalnum, text))
