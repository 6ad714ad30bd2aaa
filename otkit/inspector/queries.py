"""What may be asked of the index of a corpus: orders, filters, histograms; nothing that a request says becomes SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otkit.checks.classes import CLASSES
from otkit.errors import ConfigError, choose
from otkit.inspector.annotations import VERDICTS

__all__ = [
    "COLUMNS",
    "ERRORS",
    "FILTERS",
    "HISTOGRAMS",
    "KINDS",
    "MOST_ROWS",
    "ORDERS",
    "SHOWN",
    "asked",
    "check_kind",
    "check_rows",
    "quoted",
]

ERRORS = ("precision", "recall", "f1", "aer")
COLUMNS = (
    *("id", "line", "source", "target", "links", "words", "strength", "unlinked", "cost"),
    *ERRORS,
    *("changed", "check", "class", "what", "verdict"),
)
SHOWN = ", ".join(f'"{name}"' for name in COLUMNS)
MOST_ROWS = 200
ORDERS: Mapping[str, str] = {
    "worst": "strength, id",
    "best": "strength DESC, id DESC",
    "errors": "aer DESC, id",
    "f1": "f1, id",
    "check": '"check" DESC, id',
    "changed": "changed DESC, id",
    "unlinked": "unlinked DESC, id",
    "cost": "cost DESC, id",
    "long": "words DESC, id",
    "file": "id",
}
KINDS: Mapping[str, str] = {
    "link": "words that are linked",
    "extra": "words that are linked and, in gold, are not",
    "missed": "words that are linked in gold, beyond doubt, and are not",
    "alone": "a word without a link",
}
NUMBERS = ("words", "strength", "unlinked", "cost", *ERRORS, "changed", "check")
_BOUNDS = {"least": ">=", "most": "<=", "below": "<"}
BOUNDS: Mapping[str, str] = {
    f"{bound}_{name}": f"{name} is {sign} this number" for bound, sign in _BOUNDS.items() for name in NUMBERS
}
FILTERS: Mapping[str, str] = {
    "source": "a source word, in any case, of the kind that `kind` says",
    "target": "a target word likewise; the one linked with that source word where both are given",
    "kind": "; ".join(f"{name}: {meaning}" for name, meaning in KINDS.items()) + " (link by default)",
    "text": "characters that stand in one of the sentences",
    "class": "a class of errors that the check has flagged: " + ", ".join(CLASSES),
    "verdict": "; ".join(f"{name}: {meaning}" for name, meaning in VERDICTS.items()),
    **BOUNDS,
}
_TWENTIETHS = tuple(k / 20 for k in range(20))
HISTOGRAMS: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "strength": ("CAST(strength * 20 AS INTEGER)", _TWENTIETHS),
    "unlinked": ("CAST(unlinked * 20 AS INTEGER)", _TWENTIETHS),
    "words": ("words / 5", tuple(5.0 * k for k in range(20))),
    "f1": ("CAST(f1 * 20 AS INTEGER)", _TWENTIETHS),
    "check": ('CAST("check" * 20 AS INTEGER)', _TWENTIETHS),
    "changed": ("CAST(changed * 20 AS INTEGER)", _TWENTIETHS),
}
"""The bin of a row, and where each bin begins."""


def quoted(name: str) -> str:
    """A column as SQL names it: `check` is one of its words."""
    return f'"{name}"'


def check_rows(offset: int, limit: int) -> None:
    """An error for rows that nobody may ask for."""
    if not (offset >= 0 and 1 <= limit <= MOST_ROWS):
        raise ConfigError(f"rows {offset} and {limit} more", remedy=f"ask for 1 to {MOST_ROWS} at a time")


def check_kind(kind: str) -> None:
    """An error for a kind of cells that is none."""
    choose(kind, KINDS, what="kind of words", setting="kind")


def asked(order: str, filters: Mapping[str, Any]) -> tuple[str, str, list[Any]]:
    """ORDER BY, WHERE and the values of its marks."""
    by = choose(order, ORDERS, what="order", setting="order")
    parts, values = ["1"], list[Any]()
    for name, value in filters.items():
        choose(name, FILTERS, what="filter", setting=name)
        if name in BOUNDS:
            bound, _, column = name.partition("_")
            parts.append(f"{quoted(column)} {_BOUNDS[bound]} ?")
            values.append(float(value))
    words = [(side, str(filters[side])) for side in ("source", "target") if filters.get(side)]
    kind = str(filters.get("kind", "link"))
    check_kind(kind)
    if words or "kind" in filters:
        same = "".join(f" AND {side} = ?" for side, _ in words)
        parts.append(f"id IN (SELECT pair FROM cells WHERE kind = ?{same})")
        values += [kind, *(word.casefold() for _, word in words)]
    if filters.get("text"):
        parts.append("id IN (SELECT id FROM texts WHERE instr(source, ?) OR instr(target, ?))")
        values += [filters["text"]] * 2
    if filters.get("class"):
        choose(filters["class"], CLASSES, what="class", setting="class")
        parts.append("id IN (SELECT pair FROM findings WHERE class = ?)")
        values.append(filters["class"])
    if "verdict" in filters:
        choose(filters["verdict"], VERDICTS, what="verdict", setting="verdict")
        parts.append("verdict = ?")
        values.append(filters["verdict"])
    return by, " AND ".join(parts), values
