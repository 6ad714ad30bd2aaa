"""One line of text as a pair of sentences, for each of the formats that keep both sides in one file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from otkit.data.lines import quote, refuse_unwritable, trimmed
from otkit.errors import InputError

__all__ = ["MARKS", "PARSERS", "forms_of"]

OBJECT = re.compile(r'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:')  # a sentence may begin with a brace too


def _split(line: str, separator: str, mark: str, form: str) -> tuple[str, str]:
    """One line of a format with a separator; `mark` is what may occur only once."""
    source, _, target = line.partition(separator)
    # What is seen of neither side is empty, whatever white space it is; what is kept loses no word.
    if source.strip() and target.strip() and line.count(mark) == 1:
        return trimmed(source), trimmed(target)
    raise _complaint(line, mark, form)


def _complaint(line: str, mark: str, form: str) -> InputError:
    """Which of the ways to be wrong it was (off the fast path)."""
    received = f"(received {quote(line)})"
    write = f"write {form}"
    if not line.strip():
        return InputError("the line is empty", remedy=write)
    count = line.count(mark)
    if count > 1:
        remedy = "keep two columns (cut -f1,2)" if mark == "\t" else f"{write}, the bars once"
        if "\r" in line:
            remedy = "the lines end in a bare CR: convert them (tr '\\r' '\\n')"
        return InputError(f"{count} separators {quote(mark)} where one is expected {received}", remedy=remedy)
    if count == 1:
        sides = [side.strip() for side in line.split(mark)]
        if not all(sides):
            empty = "source" if not sides[0] else "target"
            return InputError(f"the {empty} is empty {received}", remedy="fill it")
        return InputError(
            f"no space around the bars {received}", remedy=f"{write}, a space on each side of |||"
        )
    other = forms_of(line)
    seen = f"; the line looks like {' or '.join(other)}" if other else ""
    return InputError(
        f"no separator {quote(mark)} {received}{seen}", remedy=f"{write}, in every line the same format"
    )


def _tsv(line: str) -> tuple[str, str]:
    return _split(line, "\t", "\t", "source<TAB>target")


def _bars(line: str) -> tuple[str, str]:
    return _split(line, " ||| ", "|||", "source ||| target")


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        raise InputError("a key occurs twice in the JSON object", remedy="keep one of them")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _jsonl(line: str) -> tuple[str, str]:
    expected = 'write {"source": "...", "target": "..."}, one object a line'
    try:
        record = DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        # Other errors than those of the syntax end in advice for the interpreter.
        reason = str(error) if isinstance(error, json.JSONDecodeError) else str(error).partition(":")[0]
        what = f"invalid JSON ({reason}; received {quote(line)})" if line.strip() else "the line is empty"
        raise InputError(what, remedy=expected) from error
    if not isinstance(record, dict):
        raise InputError(f"received a JSON {_kind(record)}, expected an object", remedy=expected)
    source, target = _text(record, "source", expected), _text(record, "target", expected)
    if "\\u" in line:  # only an escape can hold what a line of checked text cannot
        refuse_unwritable(source, "source")
        refuse_unwritable(target, "target")
    return source, target


def _text(record: dict[str, Any], key: str, expected: str) -> str:
    if key not in record:
        raise InputError(
            f"the key {key!r} is missing (received the keys {quote(', '.join(record))})", remedy=expected
        )
    value = record[key]
    if not isinstance(value, str):
        raise InputError(f"{key!r} is a JSON {_kind(value)}, expected a string", remedy=expected)
    if not value.strip():
        raise InputError(f"the {key} is empty", remedy="fill it")
    return trimmed(value)


def _kind(value: object) -> str:
    kinds = {dict: "object", list: "array", str: "string", int: "number", float: "number", bool: "boolean"}
    return kinds.get(type(value), "null")


PARSERS: dict[str, Callable[[str], tuple[str, str]]] = {"tsv": _tsv, "bars": _bars, "jsonl": _jsonl}

MARKS = {"tsv": "\t", "bars": "|||"}
"""What separates the sides of a line in the formats that have a separator."""


def forms_of(line: str) -> tuple[str, ...]:
    """The formats that a line may be in, none where it has no sign of any.

    Of a line with both separators it is the one that the line has exactly as needed, or both where that is so of both.
    """
    if OBJECT.match(line):
        return ("jsonl",)
    marked = tuple(name for name, mark in MARKS.items() if mark in line)
    if len(marked) < 2:
        return marked
    fitting = tuple(name for name in marked if _fits(line, name))
    return fitting if len(fitting) == 1 else marked


def _fits(line: str, form: str) -> bool:
    try:
        PARSERS[form](line)
    except InputError:
        return False
    return True
