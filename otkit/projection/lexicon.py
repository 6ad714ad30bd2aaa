"""A bilingual lexicon from word links: counts, probabilities and measures of association, with example sentences.

A pair of words counts once for each link between them, or the share of each (`weigh`). With phrases, all pairs of at
most n words on each side count that are consistent with the links (Koehn, Och and Marcu 2003, section 4.1; Koehn 2010,
figure 5.5): at least one link within, and none from a word within to one without.

    p(t|s) = c(s,t) / c(s),  c(s) = sum_t c(s,t)      PMI = log2( c(s,t) N / (c(s) c(t)) ),  N = sum c
    log-likelihood ratio of the table (c(s,t), c(s) - c(s,t); c(t) - c(s,t), N - c(s) - c(t) + c(s,t))  (Dunning 1993)

Counts are kept in memory up to a bound and then added to an SQLite file, so a corpus may be of any size, and a run that
was killed goes on from what the file holds. Shares are summed as whole ten-thousandths: the sum does not depend on
where a run was cut.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otkit.errors import ConfigError, InputError, OutputError
from otkit.files import differences, parse_json, to_json
from otkit.projection.settings import LexiconSettings

__all__ = [
    "Entry",
    "Example",
    "LexiconCounts",
    "count_into",
    "counts_begun",
    "counts_or_nothing",
    "forget_counts",
    "look_up",
    "open_lexicon",
    "phrase_pairs",
    "read_entries",
    "sound",
    "values",
]

Links = Sequence[tuple[int, int]]
Stretch = tuple[int, int]

# Entries, and lines, in memory before they are added to the file: about 150 MB, and about a minute's work.
_HELD, _HELD_LINES = 500_000, 20_000
_UNIT = 10_000  # of shares


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

    The file is an SQLite database. While it grows it holds counts, and in `run` what a run needs to go on: one that is
    there already is gone on with, if its `fingerprint` is the same. `finish` makes a lexicon of it: `entries` with all
    figures, `examples` with their lines, `sentences` by line, `about` with what it was made from.
    """

    def __init__(
        self,
        path: Path,
        settings: LexiconSettings | None = None,
        *,
        fingerprint: Mapping[str, Any] | None = None,
    ) -> None:
        self.settings = settings or LexiconSettings()
        if self.settings.weigh == "shares" and self.settings.phrases > 1:
            raise ConfigError(
                "phrases are counted by links, not by shares",
                remedy="leave one of the two out",
                setting="weigh",
            )
        self.known: dict[str, Any] = {}
        """What the writer said when counts were kept last; empty at a new start."""
        self.finished = False
        begun = path.exists() and path.stat().st_size > 0
        self._base = sqlite3.connect(path, isolation_level=None)
        now = parse_json(to_json(fingerprint or {}))
        if begun:
            self._go_on(path, now)
        else:
            self._base.executescript(_SCHEMA)
            self._base.execute("INSERT INTO run VALUES ('fingerprint', ?)", (to_json(now, indent=None),))
        self._base.execute("PRAGMA synchronous = OFF")
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._seen: dict[tuple[str, str], list[int]] = {}
        self._sentences: dict[int, tuple[str, str]] = {}
        self._lines = 0

    def _go_on(self, path: Path, now: Mapping[str, Any]) -> None:
        try:
            run = dict(self._base.execute("SELECT name, value FROM run"))
            then, self.known = (dict(parse_json(run.get(name, "{}"))) for name in ("fingerprint", "known"))
            if "known" in run and not self.known:
                raise ValueError("it does not say how far it is")
            self.finished = "finished" in run
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise InputError(
                f"is damaged ({error})", where=str(path), remedy="start over with `overwrite=True`"
            ) from error
        if changed := differences(then, now):
            raise OutputError(
                f"the interrupted run differs: {changed}",
                where=str(path),
                remedy="run it with the same settings, or start over with `overwrite=True`",
            )

    def add(
        self, line: int, source: Sequence[str], target: Sequence[str], links: Iterable[tuple[int, int, float]]
    ) -> None:
        """Count a sentence pair."""
        settings = self.settings
        kept = [link for link in links if link[2] >= settings.min_score]
        if settings.lower:
            source, target = [word.lower() for word in source], [word.lower() for word in target]
        self._lines += 1
        if settings.phrases == 1:
            shares = settings.weigh == "shares"
            found = [
                (source[i], target[j], max(1, round(_UNIT * score)) if shares else _UNIT)
                for i, j, score in kept
            ]
        else:
            pairs = [(i, j) for i, j, _ in kept]
            found = [
                (" ".join(source[slice(*one)]), " ".join(target[slice(*other)]), _UNIT)
                for one, other in phrase_pairs(pairs, len(source), len(target), longest=settings.phrases)
            ]
        for one, other, weight in found:
            sums = self._counts.setdefault((one, other), [0, 0])
            sums[0] += 1
            sums[1] += weight
            lines = self._seen.setdefault((one, other), []) if settings.examples else None
            if lines is not None and len(lines) < settings.examples and line not in lines:
                lines.append(line)
                self._sentences[line] = (" ".join(source), " ".join(target))

    def keep(self, known: Mapping[str, Any], *, now: bool = False) -> None:
        """Go on from here, with `known`, if this run is killed: at once, or as soon as there is enough to be kept."""
        if not now and len(self._counts) < _HELD and self._lines < _HELD_LINES:
            return
        self._base.execute("BEGIN")
        self._flush()
        self._base.execute("INSERT OR REPLACE INTO run VALUES ('known', ?)", (to_json(known, indent=None),))
        self._base.execute("COMMIT")
        self.known = dict(known)

    def _flush(self) -> None:
        self._base.executemany(
            "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " count = count + excluded.count, weight = weight + excluded.weight",
            ((*pair, *sums) for pair, sums in self._counts.items()),
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
        self._lines = 0

    def finish(self, lexicon: Path, about: Mapping[str, str] | None = None) -> int:
        """Work out the figures, drop what the settings do not keep, write it all to the new file `lexicon`, and give
        the number of entries."""
        base = self._base
        if not self.finished:
            base.execute("BEGIN")
            self._flush()
            self._work_out()
            base.executemany("INSERT INTO about VALUES (?, ?)", (about or {}).items())
            base.execute("INSERT INTO run VALUES ('finished', '')")
            base.execute("COMMIT")
            self.finished = True
        base.execute("VACUUM INTO ?", (str(lexicon),))
        with sqlite3.connect(lexicon, isolation_level=None) as copy:
            # Whatever number of runs it took, the file is the same, byte for byte.
            for table in ("counts", "seen", "run"):
                copy.execute(f"DROP TABLE {table}")
            copy.execute("VACUUM")
        copy.close()
        entries: int = base.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
        return entries

    def _work_out(self) -> None:
        base, settings = self._base, self.settings
        base.create_function("association", 4, _association, deterministic=True)
        base.create_function("pmi", 4, _pmi, deterministic=True)
        total = base.execute(f"SELECT TOTAL(weight) / {_UNIT}.0 FROM counts").fetchone()[0]
        for side, name in (("source", "s"), ("target", "t")):
            base.execute(
                f"CREATE TEMP TABLE {name} AS SELECT {side} AS w, SUM(weight) / {_UNIT}.0 AS n"
                f" FROM counts GROUP BY {side}"
            )
            base.execute(f"CREATE UNIQUE INDEX temp.{name}_w ON {name} (w)")
        base.execute(
            "INSERT INTO entries (source, target, count, target_given_source, source_given_target,"
            " log_likelihood, pmi)"
            " SELECT c.source, c.target, c.count, c.w / s.n, c.w / t.n,"
            " association(c.w, s.n, t.n, ?1), pmi(c.w, s.n, t.n, ?1)"
            f" FROM (SELECT *, weight / {_UNIT}.0 AS w FROM counts) c"
            " JOIN s ON s.w = c.source JOIN t ON t.w = c.target"
            " WHERE c.count >= ?2 AND c.w / s.n >= ?3 AND c.w / t.n >= ?3"
            " ORDER BY c.source, c.w DESC, c.target",
            (total, settings.min_count, settings.min_probability),
        )
        base.execute(
            "INSERT INTO examples SELECT e.id, x.line FROM entries e"
            " JOIN seen x ON x.source = e.source AND x.target = e.target ORDER BY e.id, x.line"
        )
        base.execute("DELETE FROM sentences WHERE line NOT IN (SELECT line FROM examples)")
        for side in ("source", "target"):
            base.execute(f"CREATE INDEX by_{side} ON entries ({side} COLLATE NOCASE)")

    def close(self) -> None:
        """Leave the file."""
        self._base.close()


@contextmanager
def count_into(
    path: Path, settings: LexiconSettings | None = None, *, fingerprint: Mapping[str, Any] | None = None
) -> Iterator[LexiconCounts]:
    """Counts in a file, which is left at the end; a disk without room is an error in one line."""
    try:
        counts = LexiconCounts(path, settings, fingerprint=fingerprint)
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


def counts_begun(path: Path) -> bool:
    """Whether a file holds counts to go on with: not where there is none, nor where a run was killed before it kept
    any. What is no file of counts stays, and is an error to whoever goes on with it."""
    if not path.exists() or not path.stat().st_size:
        return False
    base = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        kept = base.execute("SELECT COUNT(*) FROM run WHERE name = 'known'").fetchone()[0]
        return bool(kept)
    except sqlite3.Error:
        return True
    finally:
        base.close()


def counts_or_nothing(path: Path) -> bool:
    """Whether there is no file, an empty one, or a database of SQLite's: anything else is the user's."""
    if not path.exists():
        return True
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) in (b"", _SQLITE)


def forget_counts(path: Path) -> None:
    """Remove unfinished counts, and the journal that SQLite leaves where a run is killed while it writes."""
    for place in (path, path.with_name(f"{path.name}-journal")):
        place.unlink(missing_ok=True)


_SQLITE = b"SQLite format 3\0"

_SCHEMA = """
PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;
CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE counts (
  source TEXT, target TEXT, count INTEGER, weight INTEGER, PRIMARY KEY (source, target)
) WITHOUT ROWID;
CREATE TABLE seen (source TEXT, target TEXT, line INTEGER, PRIMARY KEY (source, target, line)) WITHOUT ROWID;
CREATE TABLE sentences (line INTEGER PRIMARY KEY, source TEXT, target TEXT);
CREATE TABLE entries (
  id INTEGER PRIMARY KEY, source TEXT, target TEXT, count INTEGER, target_given_source REAL, source_given_target REAL,
  log_likelihood REAL, pmi REAL
);
CREATE TABLE examples (entry INTEGER, line INTEGER, PRIMARY KEY (entry, line)) WITHOUT ROWID;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
"""


def _association(both: float, source: float, target: float, total: float) -> float:
    """Dunning's G2 of one pair against all others; negative where it is rarer than by chance."""
    table = (both, source - both, target - both, total - source - target + both)
    rows, columns = (source, total - source), (target, total - target)
    ratio = 0.0
    for at, seen in enumerate(table):
        expected = rows[at // 2] * columns[at % 2] / total
        if seen > 0 and expected > 0:
            ratio += 2 * seen * math.log(seen / expected)
    return ratio if both * total >= source * target else -ratio


def _pmi(both: float, source: float, target: float, total: float) -> float:
    return math.log2(both * total / (source * target))


_COLUMNS = (
    "e.source, e.target, e.count, e.target_given_source, e.source_given_target, e.log_likelihood, e.pmi"
)


_TABLES = ("entries", "examples", "sentences")
_LONGEST = 1 << 22  # bytes of a row: two sentences of the longest kind


def open_lexicon(path: str | Path) -> sqlite3.Connection:
    """A lexicon file to read; an error for a file of another kind.

    Anyone may have made it: only plain tables are asked (a view may have no end), what a value is called for has the
    type that otkit writes, and nothing is created beside the file.
    """
    path = Path(path)
    base = None
    try:
        base = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        base.execute("PRAGMA trusted_schema = OFF")
        found = base.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
        plain = {name for name, made in found if str(made).upper().startswith("CREATE TABLE")}
        if missing := [name for name in _TABLES if name not in plain]:
            raise sqlite3.DatabaseError(f"it has no table {missing[0]}")
        base.execute("SELECT id FROM entries LIMIT 1")
    except (sqlite3.Error, ValueError) as error:
        if base is not None:
            base.close()
        raise InputError(
            f"is no lexicon of otkit ({error})",
            where=str(path),
            remedy="count one: `otkit lexicon` writes it under a name in .sqlite",
        ) from None
    return base


@contextmanager
def sound(path: str | Path) -> Iterator[None]:
    """What is wrong with a lexicon that has been opened, as an error about its file."""
    try:
        yield
    except (sqlite3.Error, _DamagedError) as error:
        raise InputError(f"is damaged ({error})", where=str(path), remedy="make the lexicon again") from None


class _DamagedError(Exception):
    """A value of another type than otkit writes."""


def values(row: Sequence[Any], *types: type) -> Sequence[Any]:
    """A row of a lexicon, whose values have these types."""
    for value, kind in zip(row, types, strict=True):
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            raise _DamagedError(f"{value!r:.60} stands where {kind.__name__} is expected")
    return row


def read_entries(
    base: sqlite3.Connection,
    where: str = "",
    given: Sequence[Any] = (),
    *,
    order: str = "e.id",
    most: int = -1,
) -> Iterator[Entry]:
    """The entries of a lexicon file with their examples, the surest of each source first; at most so many, or all."""
    select = f"SELECT e.id, {_COLUMNS} FROM entries e {where} ORDER BY {order} LIMIT ?"
    for row in base.execute(select, (*given, most)):
        number, *figures = values(row, int, str, str, int, *[float] * 4)
        examples = base.execute(
            "SELECT x.line, s.source, s.target FROM examples x JOIN sentences s ON s.line = x.line"
            " WHERE x.entry = ? ORDER BY x.line LIMIT 1000",
            (number,),
        )
        yield Entry(*(*figures, tuple(Example(*values(one, int, str, str)) for one in examples)))


_SURENESS = {"source": "target_given_source", "target": "source_given_target"}


def look_up(path: str | Path, word: str, *, most: int = 20) -> list[Entry]:
    """What a word, or phrase, is linked to, from either side, the surest first: as it is written, else whatever its
    capitals."""
    base = open_lexicon(path)
    try:
        with sound(path):
            # SQLite knows the capitals of ASCII alone.
            forms = dict.fromkeys((word, word.lower(), word.capitalize(), word.title(), word.upper()))
            for form, same in (*((form, "") for form in forms), (word, " COLLATE NOCASE")):
                found: list[Entry] = []
                for side, sureness in _SURENESS.items():
                    where, order = f"WHERE e.{side} = ?{same}", f"e.{sureness} DESC, e.id"
                    found += read_entries(base, where, (form,), order=order, most=most - len(found))
                if found:
                    return found
    finally:
        base.close()
    return []
