"""Links that people set by hand: every change is in a journal on the disk before it counts, and gold files follow.

The folder holds `journal.jsonl`, which only grows, and for each annotator the pairs that have links or are done, in
every format of gold: NAME.tsv (source, target, links), NAME.json, and the links alone as NAME.pharaoh, NAME.talp and
NAME.naacl, whose sentences are NAME.source.txt and NAME.target.txt.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otkit.data.gold import GoldPair
from otkit.data.gold_text import WRITERS, gold_text, side_text
from otkit.data.lines import SPACES
from otkit.errors import ConfigError, InputError, choose
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table
from otkit.files import append_line, grow_folder, journal_lines, parse_json, replace_file, to_json

__all__ = ["KINDS", "VERDICTS", "Agreement", "Annotations"]

Words = tuple[str, ...]
Key = tuple[Words, Words]
Cell = tuple[int, int]
KINDS = {"sure": "a link beyond doubt", "possible": "a link that some would draw", "none": "no link"}
VERDICTS = {"none": "nobody has judged it", "accepted": "a good translation", "rejected": "a bad one"}
_NAME = re.compile(r"[\w-]{1,40}")


@dataclass
class _Pair:
    """A pair in one annotator's hands: the kind of each link, what it is judged to be, and a note."""

    cells: dict[Cell, str] = field(default_factory=dict)
    done: bool = False
    note: str = ""
    verdict: str = "none"


@dataclass(frozen=True)
class Agreement:
    """Two annotators on the pairs that both have done.

    kappa  Cohen's, over all cells, linked or not;  aer  of the second against the first, 0 where they agree
    """

    pairs: int
    kappa: float
    aer: float


class Annotations:
    """The annotations of a folder, which is made, or gone on with."""

    def __init__(self, folder: Path) -> None:
        self.folder = grow_folder(folder, "annotations")
        self._journal = self.folder / "journal.jsonl"
        self._lock = threading.Lock()
        self._state: dict[str, dict[Key, _Pair]] = {}
        self._undo: dict[str, list[dict[str, Any]]] = {}
        self._verdicts: dict[Key, str] = {}
        for number, line in enumerate(journal_lines(self._journal), 1):
            try:
                entry = parse_json(line)
                self._take(entry)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    "is no entry of a journal", where=f"{self._journal}:{number}", remedy="remove the line"
                ) from error
        for by in self._state:
            self._write(by)

    @property
    def annotators(self) -> list[str]:
        return sorted(self._state)

    def change(
        self, by: str, source: Sequence[str], target: Sequence[str], changes: dict[str, Any]
    ) -> dict[str, Any]:
        """Set links (`cells`: [i, j, kind]), `done`, a `note` or a `verdict` of a pair; it is on the disk when this
        returns."""
        if not _NAME.fullmatch(by):
            raise ConfigError(
                f"the annotator is {by!r}", remedy="use up to 40 letters, digits, - and _", setting="by"
            )
        key = tuple(source), tuple(target)
        with self._lock:
            entry = {"by": by, "source": list(source), "target": list(target), **_checked(changes, key)}
            before = self._before(entry)
            self._commit(entry)
            self._undo.setdefault(by, []).append(before)
            return self._shown(by, key)

    def undo(self, by: str) -> dict[str, Any] | None:
        """Take the last change back, which is an entry of the journal too; None where there is none."""
        with self._lock:
            if not self._undo.get(by):
                return None
            entry = self._undo[by].pop()
            self._commit(entry)
            key = _key(entry)
            return {**self._shown(by, key), "source": key[0], "target": key[1]}

    def of(self, by: str, source: Sequence[str], target: Sequence[str]) -> dict[str, Any]:
        """What an annotator has set in a pair."""
        with self._lock:
            return self._shown(by, (tuple(source), tuple(target)))

    def verdict(self, source: Sequence[str], target: Sequence[str]) -> str:
        """What the pair was last judged to be, by whomever."""
        return self._verdicts.get((tuple(source), tuple(target)), "none")

    def agreement(self, first: str, second: str) -> Agreement:
        """How far two annotators agree on the pairs that both have."""
        for name in (first, second):
            choose(name, self._state, what="annotator", setting="by")
        mine, other = self._state[first], self._state[second]
        both = [key for key, pair in mine.items() if key in other and _is_gold(pair) and _is_gold(other[key])]
        return _agreement([_gold(key, mine[key]) for key in both], [_gold(key, other[key]) for key in both])

    def _commit(self, entry: dict[str, Any]) -> None:
        entry = {**entry, "at": time.strftime("%Y-%m-%dT%H:%M:%S")}
        append_line(self._journal, to_json(entry, indent=None).rstrip("\n"))
        self._take(entry)
        if entry.keys() & {"cells", "done"}:
            self._write(entry["by"])

    def _take(self, entry: dict[str, Any]) -> None:
        pair = self._state.setdefault(entry["by"], {}).setdefault(_key(entry), _Pair())
        for i, j, kind in entry.get("cells", ()):
            if kind == "none":
                pair.cells.pop((i, j), None)
            else:
                pair.cells[i, j] = kind
        pair.done = entry.get("done", pair.done)
        pair.note = entry.get("note", pair.note)
        pair.verdict = entry.get("verdict", pair.verdict)
        if "verdict" in entry:
            self._verdicts[_key(entry)] = entry.get("stands", pair.verdict)

    def _before(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The entry that takes this one back."""
        pair = self._state.get(entry["by"], {}).get(_key(entry), _Pair())
        back: dict[str, Any] = {name: entry[name] for name in ("by", "source", "target")}
        if "cells" in entry:
            back["cells"] = [[i, j, pair.cells.get((i, j), "none")] for i, j, _ in entry["cells"]]
        back |= {name: getattr(pair, name) for name in ("done", "note", "verdict") if name in entry}
        if "verdict" in entry:  # another annotator's may have stood before
            back["stands"] = self.verdict(entry["source"], entry["target"])
        return back

    def _shown(self, by: str, key: Key) -> dict[str, Any]:
        pair = self._state.get(by, {}).get(key, _Pair())
        return {
            "by": by,
            "cells": [[i, j, kind] for (i, j), kind in sorted(pair.cells.items())],
            "done": pair.done,
            "note": pair.note,
            "verdict": pair.verdict,
            "pairs": len(self._gold_of(by)),
            "can_undo": bool(self._undo.get(by)),
        }

    def _gold_of(self, by: str) -> list[GoldPair]:
        return [_gold(key, pair) for key, pair in self._state.get(by, {}).items() if _is_gold(pair)]

    def _write(self, by: str) -> None:
        pairs = self._gold_of(by)
        for format in WRITERS:
            replace_file(self.folder / f"{by}.{format}", gold_text(pairs, format))
        for side in ("source", "target"):
            replace_file(self.folder / f"{by}.{side}.txt", side_text(pairs, side))


def _key(entry: dict[str, Any]) -> Key:
    return tuple(entry["source"]), tuple(entry["target"])


def _checked(changes: dict[str, Any], key: Key) -> dict[str, Any]:
    known = {"cells": list, "done": bool, "note": str, "verdict": str}
    for name, value in changes.items():
        kind = choose(name, known, what="change", setting=name)
        if not isinstance(value, kind):
            raise ConfigError(f"{name} is no {kind.__name__}", remedy="mend the request", setting=name)
    choose(changes.get("verdict", "none"), VERDICTS, what="verdict", setting="verdict")
    for cell in changes.get("cells", ()):
        fits = isinstance(cell, list) and len(cell) == 3 and type(cell[0]) is type(cell[1]) is int
        if not fits or not (0 <= cell[0] < len(key[0]) and 0 <= cell[1] < len(key[1])):
            raise ConfigError(
                f"there is no cell {cell!r}",
                remedy=f"give [source word, target word, kind], counted from 0, in {len(key[0])} x {len(key[1])}",
                setting="cells",
            )
        choose(str(cell[2]), KINDS, what="kind of link", setting="cells")
    if any(not word or any(sign in SPACES for sign in word) for side in key for word in side):
        raise ConfigError("a word is empty or has a space in it", remedy="give words", setting="source")
    return changes


def _is_gold(pair: _Pair) -> bool:
    """Whether a person has linked it: a note or a verdict alone says nothing of links."""
    return bool(pair.cells) or pair.done


def _gold(key: Key, pair: _Pair) -> GoldPair:
    sure = frozenset(cell for cell, kind in pair.cells.items() if kind == "sure")
    return GoldPair(*key, sure, frozenset(pair.cells))


def _agreement(first: Sequence[GoldPair], second: Sequence[GoldPair]) -> Agreement:
    """Two annotations of the same pairs, in one order: Cohen's kappa of their cells, and the AER of the second's links
    (all of them) against the first's sure and possible ones."""
    cells = both = one = other = 0
    for mine, theirs in zip(first, second, strict=True):
        cells += len(mine.source) * len(mine.target)
        both += len(mine.possible & theirs.possible)
        one += len(mine.possible)
        other += len(theirs.possible)
    if not cells:
        return Agreement(0, float("nan"), float("nan"))
    observed = 1 - (one + other - 2 * both) / cells
    chance = (one * other + (cells - one) * (cells - other)) / cells**2
    kappa = 1.0 if chance == 1 else (observed - chance) / (1 - chance)
    sums = alignment_table([pair.possible for pair in second], first).sum(0)
    return Agreement(len(first), kappa, float(ALIGNMENT_METRICS["aer"](sums)))
