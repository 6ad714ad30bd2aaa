"""Sentence pairs from TSV, ` ||| `, JSONL or two line-aligned files, plain or gzip, files or stdin, or from a data set
of the Hugging Face Hub.

`read_pairs` streams; `open_corpus` spools to disk for random access. Neither holds a corpus in memory.
"""

from __future__ import annotations

import mmap
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, overload

import numpy as np

from otkit.data.formats import MARKS, PARSERS, forms_of
from otkit.data.hub import Rows, data_set
from otkit.data.languages import languages_of
from otkit.data.lines import (
    LINE_LIMIT,
    ON_ERROR,
    LineSource,
    SpaceCount,
    joint_sha256,
    located,
    quote,
    read_once,
    skipped_note,
    trimmed,
    unskipped,
)
from otkit.errors import ConfigError, InputError, choose

__all__ = [
    "FORMATS",
    "BadLine",
    "Pair",
    "PairReader",
    "ParallelCorpus",
    "bad_line",
    "is_passing",
    "languages_of",
    "open_corpus",
    "read_pairs",
    "silent",
    "sources_of",
]

FilePath = str | Path
Block = list[str | InputError]
Note = Callable[[str], None]


def is_passing(file: FilePath) -> bool:
    """Whether there is no file to take the hash of, or to read again: a pipe, or a data set of the Hub."""
    return read_once(file) or data_set(file) is not None


FORMATS: dict[str, str] = {
    "auto": "seen from the content",
    "tsv": "source<TAB>target",
    "bars": "source ||| target",
    "jsonl": '{"source": "...", "target": "..."}',
    "files": "two line-aligned files",
}
DECIDE_WITHIN = 1000  # lines without any sign of a format before "auto" gives up


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences and the line, counted from 1, that they were read from."""

    source: str
    target: str
    line: int


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be used, in the place of its pair."""

    line: int
    error: InputError


def silent(text: str) -> None:
    """Nobody is told."""


class PairReader:
    """The pairs of one input in order, streamed, to be read once; `-` is stdin, `hf://datasets/NAME:CONFIG` a set of
    the Hub, whose rows count as lines.

    A bad line raises, or comes as a BadLine in its place. A missing file raises at once; a file that is no text, or two
    files of different length, whenever it is seen. `note` is told what was decided on the way. `sha256` is that of
    what was read so far.
    """

    def __init__(
        self,
        path: FilePath,
        *,
        target: FilePath | None = None,
        format: str = "auto",
        langs: str | None = None,
        on_error: str = "raise",
        line_limit: int = LINE_LIMIT,
        note: Note = silent,
    ) -> None:
        choose(on_error, ON_ERROR, what="way to treat bad lines")
        found = data_set(path)
        self._rows = None if found is None else Rows(found, langs)
        self._sources = [] if found is not None else sources_of(path, target, format, line_limit=line_limit)
        if found is not None and (target is not None or format != "auto"):
            raise ConfigError("a data set of the Hub holds both sides, in its own form", where=str(found))
        self._format, self._on_error, self._note = format, on_error, note
        self.name = str(found) if found is not None else " + ".join(source.name for source in self._sources)

    @property
    def sha256(self) -> str:
        if self._rows is not None:
            return self._rows.sha256
        return joint_sha256([source.sha256 for source in self._sources])

    @property
    def languages(self) -> tuple[str, str] | None:
        """Of a data set of the Hub: the languages that it says it has, once a row was read."""
        return None if self._rows is None else self._rows.languages

    def __iter__(self) -> Iterator[Pair | BadLine]:
        if self._rows is not None:
            return _of_rows(self._rows, self.name, self._on_error)
        if len(self._sources) == 2:
            source, target = self._sources
            return _two_files(source, target, self._on_error)
        return _one_file(self._sources[0], self._format, self._on_error, self._note)


def read_pairs(
    path: FilePath,
    *,
    target: FilePath | None = None,
    format: str = "auto",
    on_error: str = "raise",
    line_limit: int = LINE_LIMIT,
    note: Note = silent,
) -> Iterator[Pair | BadLine]:
    """The pairs of a `PairReader`."""
    return iter(
        PairReader(path, target=target, format=format, on_error=on_error, line_limit=line_limit, note=note)
    )


def sources_of(
    path: FilePath, target: FilePath | None, format: str, *, line_limit: int = LINE_LIMIT
) -> list[LineSource]:
    """The files of one input, opened: one, or two where there is a target."""
    choose(format, FORMATS, what="format")
    if target is None:
        if format == "files":
            raise ConfigError(
                "the format 'files' needs two files", remedy="name both: `source='F'` `target='F'`"
            )
        return [LineSource(path, line_limit=line_limit)]
    if format not in ("auto", "files"):
        raise ConfigError(
            f"a target file was given, but the format {format!r} keeps both sides in one file",
            remedy=("leave the target file out", "say `format='files'`"),
        )
    if str(path) == str(target):
        same = "standard input" if str(path) == "-" else str(path)
        raise ConfigError(f"{same} was given as source and as target", remedy="name two different files")
    return [LineSource(side, line_limit=line_limit) for side in (path, target)]


def bad_line(error: InputError, where: str, line: int, on_error: str) -> BadLine:
    """Raise the complaint, or give it in the place of its line."""
    if on_error == "raise":
        raise unskipped(error, where)
    return BadLine(line, located(error, where))


def _one_file(source: LineSource, format: str, on_error: str, note: Note) -> Iterator[Pair | BadLine]:
    blocks: Iterator[Block] = source.blocks()
    if format == "auto":
        seen = see_format(source.name, blocks)
        if seen.format is None:
            _unknown_format(source, seen.blocks, on_error)
        format, blocks = seen.format or "tsv", seen.and_rest(blocks, note)
    yield from parse_blocks(source.name, blocks, format, on_error)


@dataclass(frozen=True)
class SeenFormat:
    """The format that a line of the file shows, which line that is, and the blocks that were read to see it."""

    name: str
    format: str | None
    line: int
    blocks: list[Block]

    def and_rest(self, blocks: Iterator[Block], note: Note) -> Iterator[Block]:
        """All blocks; the first line that has both separators is noted."""
        number, said = 0, self.format not in MARKS
        for block in chain(self.blocks, blocks):
            line = None if said else _first_with_both(block)
            if line is not None:
                said = True
                other = next(form for form in MARKS if form != self.format)
                note(
                    f"{self.name}: line {number + line} has both a tab and |||; the file is read as "
                    f"{FORMATS[self.format or 'tsv']}, as line {self.line} shows (else say `format='{other}'`)"
                )
            number += len(block)
            yield block


def _first_with_both(block: Block) -> int | None:
    return next(
        (
            line
            for line, text in enumerate(block, 1)
            if isinstance(text, str) and all(mark in text for mark in MARKS.values())
        ),
        None,
    )


def see_format(name: str, blocks: Iterator[Block]) -> SeenFormat:
    """The format of the first line that can be in one only, among the first thousand.

    A line with a tab and bars may be in two: the lines after it decide. An error where none of them does.
    """
    seen: list[Block] = []
    number = contested = 0
    while number < DECIDE_WITHIN and (block := next(blocks, None)):
        seen.append(block)
        for line in block:
            number += 1
            forms = forms_of(line) if isinstance(line, str) else ()
            if len(forms) == 1:
                return SeenFormat(name, forms[0], number, seen)
            if forms:
                contested = contested or number
    if contested:
        raise InputError(
            "either a tab or ||| may separate the sides of this line, and no other line decides",
            where=f"{name}:{contested}",
            remedy="say which: `format='tsv'` or `format='bars'`",
        )
    return SeenFormat(name, None, 0, seen)


def parse_blocks(name: str, blocks: Iterable[Block], format: str, on_error: str) -> Iterator[Pair | BadLine]:
    """The pairs of all lines; `name` is the file's, for messages."""
    parse, number = PARSERS[format], 0
    for block in blocks:
        for line in block:
            number += 1
            if isinstance(line, str):
                try:
                    first, second = parse(line)
                except InputError as error:
                    yield bad_line(error, f"{name}:{number}", number, on_error)
                else:
                    yield Pair(first, second, number)
            else:
                yield bad_line(line, name, number, on_error)


def _unknown_format(source: LineSource, seen: Sequence[Block], on_error: str) -> None:
    """Raise, unless bad lines are to be skipped: then every line of it is one."""
    if on_error == "skip":
        return
    first = next(line for block in seen for line in block)
    if isinstance(first, InputError):
        raise unskipped(first, source.name)
    raise InputError(
        f"no tab, ||| or JSON object in the first {sum(map(len, seen))} lines (line 1: {quote(first)})",
        where=source.name,
        remedy=("write source<TAB>target", "give two line-aligned files (`source='F'` `target='F'`)"),
    )


def _of_rows(rows: Rows, name: str, on_error: str) -> Iterator[Pair | BadLine]:
    for number, row in enumerate(rows, 1):
        if isinstance(row, InputError):
            yield bad_line(row, f"{name}:{number}", number, on_error)
        else:
            yield Pair(*row, number)


def _two_files(source: LineSource, target: LineSource, on_error: str) -> Iterator[Pair | BadLine]:
    for number, sides in enumerate(zip_longest(source, target), 1):
        texts = []
        for name, other, line in zip(
            (source.name, target.name), (target.name, source.name), sides, strict=True
        ):
            if line is None:
                raise InputError(
                    f"the file ends after line {number - 1}, while {other} goes on",
                    where=name,
                    remedy="the two files must have one line for each other's line: compare wc -l",
                )
            if isinstance(line, str) and not line.strip():
                line = InputError("the line is empty", where=f"{name}:{number}", remedy="fill it")
            texts.append(trimmed(line) if isinstance(line, str) else line)
        first, second = texts
        if isinstance(first, str) and isinstance(second, str):
            yield Pair(first, second, number)
        else:
            error = next(text for text in texts if isinstance(text, InputError))
            yield bad_line(error, error.where or source.name, number, on_error)


class ParallelCorpus(Sequence[Pair]):
    """Random access to the pairs of one input, in constant memory.

    The text lies in an anonymous temporary file (TMPDIR chooses the disk), memory-mapped; what stays in
    memory is the offsets, 16 bytes a pair, and 8 more for line numbers if lines were skipped. `bad` holds the
    first ten of those; `notes` what a person should know of how the input was read; `spaces` the lines whose words
    other programs may count otherwise.
    """

    def __init__(
        self,
        pairs: Iterator[Pair | BadLine],
        *,
        name: str,
        languages: tuple[str, str] | InputError,
        keep_bad: int = 10,
    ) -> None:
        self.name = name
        self._languages = languages
        self.sha256 = ""
        self.skipped = 0
        self.notes: tuple[str, ...] = ()
        self.spaces = SpaceCount()
        bad: list[BadLine] = []
        lengths, numbers = array("q"), array("q")
        try:
            with tempfile.TemporaryFile() as spool:
                for pair in pairs:
                    if isinstance(pair, BadLine):
                        self.skipped += 1
                        if len(bad) < keep_bad:
                            bad.append(pair)
                        continue
                    self.spaces.look(pair.line, pair.source, pair.target)
                    first, second = pair.source.encode(), pair.target.encode()
                    spool.write(first)
                    spool.write(second)
                    lengths.append(len(first))
                    lengths.append(len(second))
                    numbers.append(pair.line)
                if not numbers:
                    what = f"all {self.skipped} lines are bad; the first: {bad[0].error}"
                    raise InputError(what, where=name, remedy="check its format (`format`)")
                spool.flush()
                self._text = mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            what = f"the temporary copy of the text cannot be kept ({error})"
            raise InputError(what, where=name, remedy="point TMPDIR at a disk with more room") from error
        self.bad = tuple(bad)
        if self.skipped:
            self.notes = (skipped_note([one.error for one in bad], self.skipped),)
        self._ends = np.cumsum(np.frombuffer(lengths, dtype=np.int64))
        self._lines = np.frombuffer(numbers, dtype=np.int64) if self.skipped else None

    def __len__(self) -> int:
        return len(self._ends) // 2

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        start = int(self._ends[2 * index - 1]) if index else 0
        middle, end = int(self._ends[2 * index]), int(self._ends[2 * index + 1])
        line = index + 1 if self._lines is None else int(self._lines[index])
        return Pair(self._text[start:middle].decode(), self._text[middle:end].decode(), line)

    @property
    def languages(self) -> tuple[str, str]:
        """(source, target); an error where neither the name nor `langs` told them."""
        if isinstance(self._languages, InputError):
            raise self._languages
        return self._languages

    @property
    def lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(pairs, 2) bytes of each side: enough to bucket by length without reading the text."""
        return np.diff(self._ends, prepend=0).reshape(-1, 2)


def open_corpus(
    path: FilePath,
    *,
    target: FilePath | None = None,
    format: str = "auto",
    langs: str | None = None,
    on_error: str = "raise",
    line_limit: int = LINE_LIMIT,
) -> ParallelCorpus:
    """Read one input to its end, for random access; settings as in `read_pairs` and `languages_of`."""
    languages: tuple[str, str] | InputError
    try:
        languages = languages_of(path, langs, target=target)
    except InputError as error:
        if langs is not None:
            raise
        languages = error
    notes: list[str] = []
    reader = PairReader(
        path,
        target=target,
        format=format,
        langs=langs,
        on_error=on_error,
        line_limit=line_limit,
        note=notes.append,
    )
    corpus = ParallelCorpus(iter(reader), name=reader.name, languages=languages)
    corpus._languages = reader.languages or languages
    corpus.notes = (*notes, *corpus.notes)
    corpus.sha256 = reader.sha256
    return corpus
