"""A bilingual lexicon from word links: counts, probabilities and measures of association, with example sentences.

A pair of words counts once for each link between them. With phrases, all pairs of at most n words on each side count
that are consistent with the links (Koehn, Och and Marcu 2003, section 4.1; Koehn 2010, figure 5.5): at least one link
within, and none from a word within to one without.

    p(t|s) = c(s,t) / c(s),  c(s) = sum_t c(s,t)      PMI = log2( c(s,t) N / (c(s) c(t)) ),  N = sum c
    log-likelihood ratio of the table (c(s,t), c(s) - c(s,t); c(t) - c(s,t), N - c(s) - c(t) + c(s,t))  (Dunning 1993)

Counts are kept in memory up to a bound and then added to an SQLite file, so a corpus may be of any size.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otkit.errors import InputError, OutputError
from otkit.projection.settings import LexiconSettings

__all__ = ["Entry", "Example", "LexiconCounts", "count_into", "look_up", "phrase_pairs"]

Links = Sequence[tuple[int, int]]
Stretch = tuple[int, int]

_HELD = 500_000  # entries in memory before they are added to the file: about 150 MB


@dataclass(frozen=True)
class Example:
    """A sentence pair in which an entry was seen, and its line."""

    line: int
    source: str
    target: str


@dataclass(frozen=True)
class Entry:
    """A pair of words or phrases."""

    source: str
    target: str
    count: int
    target_given_source: float
    source_given_target: float
    log_likelihood: float
    pmi: float
    examples: tuple[Example, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "source": self.source,
            "target": self.target,
            "count": self.count,
            "target_given_source": self.target_given_source,
            "source_given_target": self.source_given_target,
            "log_likelihood": round(self.log_likelihood, 4),
            "pmi": round(self.pmi, 4),
            "examples": [vars(example) for example in self.examples],
        }


def phrase_pairs(links: Links, rows: int, columns: int, *, longest: int) -> Iterator[tuple[Stretch, Stretch]]:
    """All pairs of stretches [start, end) that are consistent with the links, of at most `longest` words each.

    Unaligned words at the edges of the target side are taken in and left out (Koehn 2010, figure 5.5, lines 8-20).
    """
    across: list[list[int]] = [[] for _ in range(rows)]
    back: list[list[int]] = [[] for _ in range(columns)]
    for i, j in links:
        across[i].append(j)
        back[j].append(i)
    for start in range(rows):
        low, high = columns, -1
        for end in range(start + 1, min(rows, start + longest) + 1):
            for j in across[end - 1]:
                low, high = min(low, j), max(high, j)
            if high < 0 or high - low >= longest:
                continue
            if any(not start <= i < end for j in range(low, high + 1) for i in back[j]):
                continue
            first = low
            while True:
                last = high
                while last - first < longest:
                    yield (start, end), (first, last + 1)
                    last += 1
                    if last >= columns or back[last]:
                        break
                first -= 1
                if first < 0 or back[first] or high - first >= longest:
                    break


class LexiconCounts:
    """Counts of a corpus, sentence pair by sentence pair, in a file that is at last a lexicon.

    The file is an SQLite database: `entries` with all figures, `examples` with their lines, `sentences` by line,
    `about` with what it was made from.
    """

    def __init__(self, path: Path, settings: LexiconSettings | None = None) -> None:
        self.settings = settings or LexiconSettings()
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.executescript(_SCHEMA)
        self._base.execute("BEGIN")
        self._counts: Counter[tuple[str, str]] = Counter()
        self._seen: dict[tuple[str, str], list[int]] = {}
        self._sentences: dict[int, tuple[str, str]] = {}
        self.pairs = 0

    def add(
        self, line: int, source: Sequence[str], target: Sequence[str], links: Iterable[tuple[int, int, float]]
    ) -> None:
        """Count a sentence pair."""
        settings = self.settings
        kept = [(i, j) for i, j, score in links if score >= settings.min_score]
        if settings.lower:
            source, target = [word.lower() for word in source], [word.lower() for word in target]
        self.pairs += 1
        if settings.phrases == 1:
            found = [(source[i], target[j]) for i, j in kept]
        else:
            found = [
                (" ".join(source[slice(*one)]), " ".join(target[slice(*other)]))
                for one, other in phrase_pairs(kept, len(source), len(target), longest=settings.phrases)
            ]
        for pair in found:
            self._counts[pair] += 1
            lines = self._seen.setdefault(pair, []) if settings.examples else None
            if lines is not None and len(lines) < settings.examples and line not in lines:
                lines.append(line)
                self._sentences[line] = (" ".join(source), " ".join(target))
        if len(self._counts) >= _HELD:
            self._flush()

    def _flush(self) -> None:
        self._base.executemany(
            "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            ((source, target, count) for (source, target), count in self._counts.items()),
        )
        self._base.executemany(
            "INSERT OR IGNORE INTO seen SELECT ?1, ?2, ?3"
            " WHERE (SELECT COUNT(*) FROM seen WHERE source = ?1 AND target = ?2) < ?4",
            ((*pair, line, self.settings.examples) for pair, lines in self._seen.items() for line in lines),
        )
        self._base.executemany(
            "INSERT OR IGNORE INTO sentences VALUES (?, ?, ?)",
            ((line, *texts) for line, texts in self._sentences.items()),
        )
        self._counts.clear()
        self._seen.clear()
        self._sentences.clear()

    def finish(self, about: dict[str, str] | None = None) -> int:
        """Work out the figures, drop what the settings do not keep, and give the number of entries."""
        self._flush()
        base, settings = self._base, self.settings
        base.create_function("association", 4, _association, deterministic=True)
        base.create_function("pmi", 4, _pmi, deterministic=True)
        total = base.execute("SELECT TOTAL(count) FROM counts").fetchone()[0]
        base.executescript(
            "BEGIN;"
            "CREATE TABLE s AS SELECT source AS w, SUM(count) AS n FROM counts GROUP BY source;"
            "CREATE TABLE t AS SELECT target AS w, SUM(count) AS n FROM counts GROUP BY target;"
            "CREATE UNIQUE INDEX s_w ON s (w); CREATE UNIQUE INDEX t_w ON t (w);"
        )
        base.execute(
            "INSERT INTO entries (source, target, count, target_given_source, source_given_target,"
            " log_likelihood, pmi)"
            " SELECT c.source, c.target, c.count, 1.0 * c.count / s.n, 1.0 * c.count / t.n,"
            " association(c.count, s.n, t.n, ?1), pmi(c.count, s.n, t.n, ?1)"
            " FROM counts c JOIN s ON s.w = c.source JOIN t ON t.w = c.target"
            " WHERE c.count >= ?2 AND 1.0 * c.count / s.n >= ?3 AND 1.0 * c.count / t.n >= ?3"
            " ORDER BY c.source, c.count DESC, c.target",
            (total, settings.min_count, settings.min_probability),
        )
        base.executescript(
            "BEGIN; INSERT INTO examples SELECT e.id, x.line FROM entries e"
            " JOIN seen x ON x.source = e.source AND x.target = e.target ORDER BY e.id, x.line;"
            "DELETE FROM sentences WHERE line NOT IN (SELECT line FROM examples);"
            "DROP TABLE counts; DROP TABLE seen; DROP TABLE s; DROP TABLE t;"
            "CREATE INDEX by_source ON entries (source COLLATE NOCASE);"
            "CREATE INDEX by_target ON entries (target COLLATE NOCASE); COMMIT;"
        )
        base.executemany("INSERT INTO about VALUES (?, ?)", (about or {}).items())
        base.execute("VACUUM")
        entries: int = base.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
        return entries

    def close(self) -> None:
        """Leave the file."""
        self._base.close()


@contextmanager
def count_into(path: Path, settings: LexiconSettings | None = None) -> Iterator[LexiconCounts]:
    """Counts in a new file, which is left at the end; a disk without room is an error in one line."""
    try:
        counts = LexiconCounts(path, settings)
        try:
            yield counts
        finally:
            counts.close()
    except sqlite3.Error as error:
        raise OutputError(
            f"the counts cannot be written ({error})",
            where=str(path),
            remedy="make room there, or set TMPDIR to a folder with room",
        ) from error


_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;
CREATE TABLE counts (source TEXT, target TEXT, count INTEGER, PRIMARY KEY (source, target)) WITHOUT ROWID;
CREATE TABLE seen (source TEXT, target TEXT, line INTEGER, PRIMARY KEY (source, target, line)) WITHOUT ROWID;
CREATE TABLE sentences (line INTEGER PRIMARY KEY, source TEXT, target TEXT);
CREATE TABLE entries (
  id INTEGER PRIMARY KEY, source TEXT, target TEXT, count INTEGER, target_given_source REAL, source_given_target REAL,
  log_likelihood REAL, pmi REAL
);
CREATE TABLE examples (entry INTEGER, line INTEGER, PRIMARY KEY (entry, line)) WITHOUT ROWID;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
"""


def _association(both: int, source: int, target: int, total: float) -> float:
    """Dunning's G2 of one pair against all others; negative where it is rarer than by chance."""
    table = (both, source - both, target - both, total - source - target + both)
    rows, columns = (source, total - source), (target, total - target)
    ratio = 0.0
    for at, seen in enumerate(table):
        expected = rows[at // 2] * columns[at % 2] / total
        if seen > 0 and expected > 0:
            ratio += 2 * seen * math.log(seen / expected)
    return ratio if both * total >= source * target else -ratio


def _pmi(both: int, source: int, target: int, total: float) -> float:
    return math.log2(both * total / (source * target))


_COLUMNS = (
    "e.source, e.target, e.count, e.target_given_source, e.source_given_target, e.log_likelihood, e.pmi"
)


def open_lexicon(path: str | Path) -> sqlite3.Connection:
    """A lexicon file to read; an error for a file of another kind."""
    path = Path(path)
    try:
        base = sqlite3.connect(f"file:{path.resolve().as_posix()}?mode=ro", uri=True)
        base.execute("SELECT id FROM entries LIMIT 1")
    except sqlite3.Error as error:
        raise InputError(
            f"is no lexicon of otkit ({error})", where=str(path), remedy="make one: --output NAME.sqlite"
        ) from None
    return base


def read_entries(base: sqlite3.Connection, where: str = "", values: Sequence[Any] = ()) -> Iterator[Entry]:
    """The entries of a lexicon file with their examples, the surest of each source first."""
    for number, *figures in base.execute(
        f"SELECT e.id, {_COLUMNS} FROM entries e {where} ORDER BY e.id", values
    ):
        examples = base.execute(
            "SELECT x.line, s.source, s.target FROM examples x JOIN sentences s ON s.line = x.line"
            " WHERE x.entry = ? ORDER BY x.line",
            (number,),
        )
        yield Entry(*(*figures, tuple(Example(*row) for row in examples)))


def look_up(path: str | Path, word: str, *, most: int = 20) -> list[Entry]:
    """What a word, or phrase, is linked to, from either side: first as it is written, else whatever its capitals."""
    base = open_lexicon(path)
    try:
        for same in ("", " COLLATE NOCASE"):
            for side in ("source", "target"):
                found = list(read_entries(base, f"WHERE e.{side} = ?{same}", (word,)))
                if found:
                    return sorted(found, key=lambda entry: -entry.count)[:most]
    finally:
        base.close()
    return []
