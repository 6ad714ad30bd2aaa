"""Pairs of documents: a line of parallel text each, or two files with blank lines between their documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from otkit.data.lines import ON_ERROR, LineSource, checked, trimmed, words_of
from otkit.data.parallel import BadLine, Pair, bad_line, read_pairs, silent, sources_of
from otkit.errors import InputError, choose

__all__ = ["read_documents", "sentences_in"]

Sentence = tuple[str, ...]


def read_documents(
    path: str | Path,
    *,
    target: str | Path | None = None,
    format: str = "auto",
    on_error: str = "raise",
    note: Callable[[str], None] = silent,
) -> Iterator[Pair | BadLine]:
    """Pairs of documents, numbered from 1, their lines joined by line feeds.

    Of one file each line is a pair. Of two files each has the same documents in the same order, with a blank line or
    more between them; how many lines a document has may differ. A document with a line that cannot be used is bad.
    """
    choose(on_error, ON_ERROR, what="way to treat bad lines")
    if target is None:
        return read_pairs(path, format=format, on_error=on_error, note=note)
    source, other = sources_of(path, target, format)
    return _two_files(source, other, on_error)


def _two_files(source: LineSource, target: LineSource, on_error: str) -> Iterator[Pair | BadLine]:
    sides = _documents(source, on_error), _documents(target, on_error)
    for number, (first, second) in enumerate(zip_longest(*sides), 1):
        if first is None or second is None:
            short, long = (source, target) if first is None else (target, source)
            raise InputError(
                f"ends after document {number - 1}, while {long.name} goes on",
                where=short.name,
                remedy="a blank line ends a document: put the same ones into both files",
            )
        bad = next((side for side in (first, second) if isinstance(side, BadLine)), None)
        if bad is not None:
            yield replace(bad, line=number)
        elif isinstance(first, str) and isinstance(second, str):
            yield Pair(first, second, number)


def _documents(source: LineSource, on_error: str) -> Iterator[str | BadLine]:
    """The documents of a file: runs of lines that are not blank, or what is wrong with one."""
    lines: list[str] = []
    bad: BadLine | None = None
    for number, line in enumerate(source, 1):
        if isinstance(line, InputError):
            bad = bad or bad_line(line, source.name, number, on_error)
        elif text := trimmed(line):
            lines.append(text)
        elif lines or bad:
            yield bad or "\n".join(lines)
            lines, bad = [], None
    if lines or bad:
        yield bad or "\n".join(lines)


def sentences_in(source: LineSource) -> tuple[Sentence, ...]:
    """A document of one sentence a line; a line without a word is a sentence too, so that places stay."""
    return tuple([words_of(checked(line)) for line in source])
