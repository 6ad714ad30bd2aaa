"""Sentence pairs from TSV, ` ||| `, JSONL or two line-aligned files, plain or gzip, files or stdin.

`read_pairs` streams; `open_corpus` spools to disk for random access. Neither holds a corpus in memory.
"""

from __future__ import annotations

import mmap
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, overload

import numpy as np

from otkit.data.formats import PARSERS, form_of
from otkit.data.languages import languages_of
from otkit.data.lines import LINE_LIMIT, ON_ERROR, LineSource, joint_sha256, located, quote
from otkit.errors import ConfigError, InputError, choose

__all__ = [
    "FORMATS",
    "BadLine",
    "Pair",
    "ParallelCorpus",
    "languages_of",
    "open_corpus",
    "read_pairs",
]

FilePath = str | Path
Block = list[str | InputError]

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


def read_pairs(
    path: FilePath,
    *,
    target: FilePath | None = None,
    format: str = "auto",
    on_error: str = "raise",
    line_limit: int = LINE_LIMIT,
) -> Iterator[Pair | BadLine]:
    """The pairs of one input in order, streamed; `-` is stdin. A bad line raises, or comes as a BadLine.

    A missing file raises here; a file that is no text, or two files of different length, whenever it is seen.
    """
    choose(on_error, ON_ERROR, what="way to treat bad lines")
    return _pairs(_sources(path, target, format, line_limit), format, on_error)


def _sources(path: FilePath, target: FilePath | None, format: str, line_limit: int) -> list[LineSource]:
    choose(format, FORMATS, what="format")
    if target is None:
        if format == "files":
            raise ConfigError("the format 'files' needs two files", remedy="name both: --source F --target F")
        return [LineSource(path, line_limit=line_limit)]
    if format not in ("auto", "files"):
        raise ConfigError(
            f"a target file was given, but the format {format!r} keeps both sides in one file",
            remedy="drop --target, or use --format files",
        )
    if str(path) == str(target):
        same = "standard input" if str(path) == "-" else str(path)
        raise ConfigError(f"{same} was given as source and as target", remedy="name two different files")
    return [LineSource(side, line_limit=line_limit) for side in (path, target)]


def _pairs(sources: list[LineSource], format: str, on_error: str) -> Iterator[Pair | BadLine]:
    if len(sources) == 2:
        return _two_files(sources[0], sources[1], on_error)
    return _one_file(sources[0], format, on_error)


def bad_line(error: InputError, where: str, line: int, on_error: str) -> BadLine:
    """Raise the complaint, or give it in the place of its line."""
    error = error if error.where else located(error, where)
    if on_error == "raise":
        raise error
    return BadLine(line, error)


def _one_file(source: LineSource, format: str, on_error: str) -> Iterator[Pair | BadLine]:
    blocks = source.blocks()
    if format == "auto":
        found, seen = seen_format(blocks)
        if found is None:
            _unknown_format(source, seen, on_error)
        format, blocks = found or "tsv", chain(seen, blocks)
    yield from parse_blocks(source.name, blocks, format, on_error)


def seen_format(blocks: Iterator[Block]) -> tuple[str | None, list[Block]]:
    """The format that the first line to speak for one speaks for, and the blocks that were read to see it."""
    seen: list[Block] = []
    found: str | None = None
    while not found and sum(map(len, seen)) < DECIDE_WITHIN and (block := next(blocks, None)):
        seen.append(block)
        found = next(filter(None, (form_of(line) for line in block if isinstance(line, str))), None)
    return found, seen


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
        raise first
    raise InputError(
        f"no tab, ||| or JSON object in the first {sum(map(len, seen))} lines (line 1: {quote(first)})",
        where=source.name,
        remedy="write source<TAB>target, or give two line-aligned files (--source F --target F)",
    )


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
            if isinstance(line, str) and not (line := line.strip()):
                line = InputError(
                    "the line is empty", where=f"{name}:{number}", remedy="fill it, or --on-error skip"
                )
            texts.append(line)
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
    first ten of those.
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
                    first, second = pair.source.encode(), pair.target.encode()
                    spool.write(first)
                    spool.write(second)
                    lengths.append(len(first))
                    lengths.append(len(second))
                    numbers.append(pair.line)
                if not numbers:
                    what = f"all {self.skipped} lines are bad; the first: {bad[0].error}"
                    raise InputError(what, where=name, remedy="check --format")
                spool.flush()
                self._text = mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            what = f"the temporary copy of the text cannot be kept ({error})"
            raise InputError(what, where=name, remedy="point TMPDIR at a disk with more room") from error
        self.bad = tuple(bad)
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
    choose(on_error, ON_ERROR, what="way to treat bad lines")
    languages: tuple[str, str] | InputError
    try:
        languages = languages_of(path, langs, target=target)
    except InputError as error:
        if langs is not None:
            raise
        languages = error
    sources = _sources(path, target, format, line_limit)
    name = " + ".join(source.name for source in sources)
    corpus = ParallelCorpus(_pairs(sources, format, on_error), name=name, languages=languages)
    corpus.sha256 = joint_sha256([source.sha256 for source in sources])
    return corpus
