"""JSONL: an object a line, with spans of characters as {"start", "end", "label"} or [start, end, label]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otkit.data.lines import LineSource, checked, located, quote, refuse_unwritable, unskipped
from otkit.data.parallel import BadLine
from otkit.errors import InputError
from otkit.files import parse_json, to_json
from otkit.projection.labelled import Item, Labelled
from otkit.projection.places import Place, Placed, Text

__all__ = ["Jsonl"]


@dataclass
class Jsonl:
    """Objects with `text` (or `source`) and `spans` (or `labels`, `entities`); the translation under `target` or
    `translation`, or a line for each in a file of its own."""

    source: str | Path
    target: str | Path | None
    on_error: str = "raise"
    copies: bool = True
    rule: str = "price"
    chooses: bool = False
    state: dict[str, int] = field(default_factory=dict)

    def read(self) -> Iterator[Item]:
        lines = LineSource(self.source)
        others = iter(LineSource(self.target)) if self.target is not None else None
        for number, line in enumerate(lines, 1):
            where = f"{lines.name}:{number}"
            other = None
            if others is not None:
                other = next(others, None)
                if other is None:
                    raise InputError(
                        f"ends after line {number - 1}, and {lines.name} goes on",
                        where=str(self.target),
                        remedy="give one line of it for each labelled one",
                    )
            try:
                yield _json_item(checked(line), None if other is None else checked(other), number)
            except InputError as error:
                if self.on_error == "raise":
                    raise unskipped(error, where) from None
                yield BadLine(number, located(error, where))
        if others is not None and next(others, None) is not None:
            raise InputError(
                f"goes on after the last line of {lines.name}",
                where=str(self.target),
                remedy="give one line of it for each labelled one",
            )

    def write(self, item: Labelled, placed: Sequence[Placed]) -> str:
        keys, record = item.record
        spans, lost = [], []
        for each, given in zip(placed, record[keys["spans"]], strict=True):
            own = given if isinstance(given, dict) else {}
            rest = {key: value for key, value in own.items() if key not in ("start", "end", "text")}
            rest["label"] = each.place.label
            for start, end in each.stretches:
                text = item.target.text[start:end]
                found = {"start": start, "end": end, **rest, "text": text}
                spans.append({**found, "confidence": round(each.confidence, 4)})
            if each.lost is not None:
                found = {"start": each.place.start, "end": each.place.end, **rest, "reason": each.lost}
                lost.append({**found, "confidence": round(each.confidence, 4)})
        kept = {key: value for key, value in record.items() if key not in (*_TARGET_KEYS, *keys.values())}
        document = {**kept, keys["text"]: item.target.text, keys["spans"]: spans, "lost": lost}
        return to_json(document, indent=None)

    def skipped(self, item: BadLine) -> str:
        return to_json({"skipped": item.error.what}, indent=None)

    def end(self) -> str:
        return ""


_TEXT_KEYS, _TARGET_KEYS = ("text", "source", "sentence"), ("target", "translation")
_SPAN_KEYS = ("spans", "labels", "entities", "label", "rationales")


def _json_item(line: str, other: str | None, number: int) -> Labelled:
    try:
        record = parse_json(line)
    except ValueError as error:
        raise InputError(f"is no JSON ({error})", remedy="write one object a line") from None
    if not isinstance(record, dict):
        raise InputError(f"received {quote(line)}, expected an object", remedy="write one object a line")
    keys = {
        "text": next((key for key in _TEXT_KEYS if isinstance(record.get(key), str)), None),
        "spans": next((key for key in _SPAN_KEYS if isinstance(record.get(key), list)), None),
    }
    if keys["text"] is None or keys["spans"] is None:
        raise InputError(
            f"has the fields {', '.join(map(str, record))}",
            remedy='expected "text" and "spans"',
        )
    text = record[keys["text"]]
    target = (
        other
        if other is not None
        else next((record[key] for key in _TARGET_KEYS if isinstance(record.get(key), str)), None)
    )
    if target is None:
        raise InputError(
            'has no "target"', remedy="put the translation there, or give a file: `target='FILE'`"
        )
    for value, name in ((text, "text"), (target, "target")):
        refuse_unwritable(value, name)
        if not value.strip():
            raise InputError(f"the {name} is empty", remedy="fill it")
    places = tuple(_json_place(span, text) for span in record[keys["spans"]])
    source = Text.of(text, parts=True, cuts={end for place in places for end in (place.start, place.end)})
    return Labelled(source, Text.of(target, parts=True), places, number, (keys, record))


def _json_place(span: Any, text: str) -> Place:
    found: Sequence[Any] = ()
    if isinstance(span, dict):
        found = (span.get("start"), span.get("end"), span.get("label", "span"))
    elif isinstance(span, list) and len(span) in (2, 3):
        found = (*span, "span")[:3]
    match found:
        case (int(start), int(end), str(label)) if 0 <= start < end <= len(text):
            return Place(label, start, end)
    raise InputError(
        f"received the span {quote(to_json(span, indent=None).strip())} of a text of {len(text)} characters",
        remedy='expected {"start": 0, "end": 4, "label": "PER"}, in characters',
    )
