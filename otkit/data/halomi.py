"""Machine translations with human judgements of hallucination and omission, as HalOmi publishes them.

A TSV with a header (Dale et al. 2023, "HalOmi"): src_lang, tgt_lang, src_text, mt_text, omit_spans and
hall_spans (the texts again, with `<<<` and `>>>` around what is wrong), class_hall and class_omit (`1_...` for
none to `4_...` for full). Further columns do no harm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otkit.data.lines import ON_ERROR, LineSource, quote, unskipped
from otkit.errors import InputError, choose

__all__ = ["CLASSES", "JudgedSet", "JudgedTranslation", "Spans", "read_halomi", "spans_of"]

COLUMNS = ("src_lang", "tgt_lang", "src_text", "mt_text", "class_hall", "class_omit")
SPANS = {"source": "omit_spans", "target": "hall_spans"}
CLASSES = {1: "none", 2: "small", 3: "partial", 4: "full"}
_FORM = "give HalOmi's TSV with its header, or a file with the same columns"

Spans = tuple[tuple[int, int], ...]
"""Characters [start, end) of a text."""


@dataclass(frozen=True, slots=True)
class JudgedTranslation:
    """A translation with its classes (1 none to 4 full) and the spans that are wrong: lost from the source,
    made up in the target; None where the marked text is not the text itself."""

    source: str
    target: str
    languages: tuple[str, str]
    hallucination: int
    omission: int
    source_spans: Spans | None
    target_spans: Spans | None

    @property
    def direction(self) -> str:
        """`deu-eng`: the languages without their scripts."""
        return "-".join(code.split("_")[0] for code in self.languages)


@dataclass(frozen=True)
class JudgedSet:
    """Judged translations; `unmarked` sides have no spans to score words with, `skipped` lines were bad, `bad` holds
    the first ten."""

    name: str
    items: tuple[JudgedTranslation, ...]
    unmarked: int
    skipped: int
    bad: tuple[InputError, ...]
    sha256: str


def read_halomi(path: str | Path, *, on_error: str = "raise") -> JudgedSet:
    """All rows of a file, plain or gzip."""
    choose(on_error, ON_ERROR, what="way to treat bad lines")
    source = LineSource(path)
    places: dict[str, int] = {}
    width = 0
    items, bad = [], []
    for number, line in enumerate(source, 1):
        where = f"{source.name}:{number}"
        if isinstance(line, str) and not places:
            header = line.split("\t")
            places, width = _places(header, where), len(header)
            continue
        try:
            if isinstance(line, InputError):
                raise line
            items.append(_judged(line.split("\t"), places, width, where))
        except InputError as error:
            if on_error == "raise":
                raise unskipped(error, where) from None
            bad.append(error)
    if not items:
        raise InputError("no judged translation", where=source.name, remedy=_FORM)
    unmarked = sum((item.source_spans is None) + (item.target_spans is None) for item in items)
    return JudgedSet(source.name, tuple(items), unmarked, len(bad), tuple(bad[:10]), source.sha256)


def _places(header: Sequence[str], where: str) -> dict[str, int]:
    places = {name: place for place, name in enumerate(header)}
    if missing := [name for name in COLUMNS if name not in places]:
        raise InputError(
            f"the header lacks {', '.join(missing)} (received {quote(', '.join(header))})",
            where=where,
            remedy=_FORM,
        )
    return places


def _judged(cells: Sequence[str], places: dict[str, int], width: int, where: str) -> JudgedTranslation:
    if len(cells) != width:
        raise InputError(
            f"{len(cells)} columns, the header has {width}", where=where, remedy="mend or remove the line"
        )
    texts = {"source": cells[places["src_text"]], "target": cells[places["mt_text"]]}
    for side, text in texts.items():
        if not text.strip():
            raise InputError(f"the {side} is empty", where=where, remedy="mend or remove the line")
    spans = {
        side: spans_of(text, cells[places[SPANS[side]]]) if SPANS[side] in places else None
        for side, text in texts.items()
    }
    return JudgedTranslation(
        texts["source"],
        texts["target"],
        (cells[places["src_lang"]], cells[places["tgt_lang"]]),
        _class(cells[places["class_hall"]], where),
        _class(cells[places["class_omit"]], where),
        spans["source"],
        spans["target"],
    )


def _class(cell: str, where: str) -> int:
    match = re.match(r"([1-4])(_|$)", cell)
    if match is None:
        raise InputError(
            f"received the class {quote(cell)}, expected 1 (none) to 4 (full)",
            where=where,
            remedy="write for instance 2_Small_omission",
        )
    return int(match[1])


def spans_of(text: str, marked: str) -> Spans | None:
    """The places in `text` of what `<<<` and `>>>` enclose in `marked`; None unless it is that text."""
    spans, plain, start = [], 0, None
    pieces = re.split(r"(<<<|>>>)", marked)
    for piece in pieces:
        if piece == "<<<" and start is None:
            start = plain
        elif piece == ">>>" and start is not None:
            spans.append((start, plain))
            start = None
        elif piece in ("<<<", ">>>") or not text.startswith(piece, plain):
            return None
        else:
            plain += len(piece)
    return tuple(spans) if start is None and plain == len(text) else None
