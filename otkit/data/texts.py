"""Single texts, in order, from parallel files (one side or both) and from plain files with a sentence a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from otkit.data.hub import data_set
from otkit.data.languages import language_of, languages_of
from otkit.data.lines import LINE_LIMIT, ON_ERROR, LineSource, trimmed
from otkit.data.parallel import (
    FORMATS,
    BadLine,
    Block,
    FilePath,
    Note,
    Pair,
    bad_line,
    parse_blocks,
    read_pairs,
    see_format,
    silent,
)
from otkit.errors import InputError, choose

__all__ = ["SIDES", "TEXT_FORMATS", "Text", "languages_of_texts", "read_texts"]

TEXT_FORMATS: dict[str, str] = {**FORMATS, "text": "one sentence a line"}

SIDES: dict[str, tuple[str, ...]] = {
    "source": ("source",),
    "target": ("target",),
    "both": ("source", "target"),
}


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence, the line that it was read from (counted from 1), and its side: `source`, `target`, or
    `text` in a file of one language."""

    text: str
    side: str
    line: int


def read_texts(
    path: FilePath,
    *,
    target: FilePath | None = None,
    format: str = "auto",
    side: str = "both",
    on_error: str = "raise",
    note: Note = silent,
) -> Iterator[Text | BadLine]:
    """The texts of one input, the source of a line before its target; as `read_pairs` otherwise.

    A file without any sign of a parallel format in its first thousand lines has one sentence a line.
    """
    choose(on_error, ON_ERROR, what="way to treat bad lines")
    choose(format, TEXT_FORMATS, what="format")
    sides = choose(side, SIDES, what="side")
    if target is not None or format not in ("auto", "text") or data_set(path) is not None:
        return _sides(read_pairs(path, target=target, format=format, on_error=on_error, note=note), sides)
    return _one_file(LineSource(path, line_limit=LINE_LIMIT), format, sides, on_error, note)


def _one_file(
    source: LineSource, format: str, sides: tuple[str, ...], on_error: str, note: Note
) -> Iterator[Text | BadLine]:
    blocks: Iterator[Block] = source.blocks()
    if format == "text":
        yield from _plain(source.name, blocks, on_error)
        return
    seen = see_format(source.name, blocks)
    rest = seen.and_rest(blocks, note)
    if seen.format is None:
        yield from _plain(source.name, rest, on_error)
    else:
        yield from _sides(parse_blocks(source.name, rest, seen.format, on_error), sides)


def _sides(pairs: Iterator[Pair | BadLine], sides: tuple[str, ...]) -> Iterator[Text | BadLine]:
    for pair in pairs:
        if isinstance(pair, BadLine):
            yield pair
        else:
            for side in sides:
                yield Text(pair.source if side == "source" else pair.target, side, pair.line)


def _plain(name: str, blocks: Iterator[Block], on_error: str) -> Iterator[Text | BadLine]:
    for number, line in enumerate(chain.from_iterable(blocks), 1):
        if isinstance(line, str) and not line.strip():
            line = InputError("the line is empty", remedy="remove it")
        if isinstance(line, InputError):
            yield bad_line(line, f"{name}:{number}", number, on_error)
        else:
            yield Text(trimmed(line), "text", number)


def languages_of_texts(
    path: FilePath, langs: str | None = None, *, target: FilePath | None = None
) -> dict[str, str]:
    """The language of each side, as stated (`de-en`, or `de` for a file of one language) or told by the
    names of the files; sides of which nothing is known are left out."""
    if langs is not None and "-" not in langs:
        return {"text": langs}
    try:
        source, other = languages_of(path, langs, target=target)
    except InputError:
        if langs is not None:
            raise
        known = language_of(path)
        return {"text": known} if known else {}
    return {"source": source, "target": other}
