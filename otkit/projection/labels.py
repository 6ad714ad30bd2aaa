"""Labels of words, a letter and a name each, to spans and back, in the schemes IOB1, IOB2, BIOES and BILOU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otkit.data.lines import quote
from otkit.errors import InputError

__all__ = ["SCHEMES", "decode", "encode", "scheme_of"]

SCHEMES = {
    "auto": "as the source has it",
    "iob1": "I- begins a span, B- where one follows another of its kind at once",
    "iob2": "B- begins a span",
    "bioes": "B- begins, E- ends, S- is a whole span",
    "bilou": "B- begins, L- ends, U- is a whole span",
}
# How a span ends, and what it is where it is one word, in the schemes that say so.
_ENDS = {"bioes": ("E", "S"), "bilou": ("L", "U")}


def decode(labels: Sequence[str], *, where: Sequence[str] = ()) -> list[tuple[str, int, int]]:
    """Spans (label, start, end) of labels in any of the schemes, as seqeval's lenient mode and conlleval count them.

    O, or a prefix, "-" and a label; B and S begin a span, and so do U, and I after another label or after an end (E, S,
    L, U, O). `where` names each label's place in errors.
    """
    spans: list[tuple[str, int, int]] = []
    begun: tuple[str, int] | None = None
    ended = True
    for place, label in enumerate(labels):
        prefix, dash, kind = label.partition("-")
        if label == "O":
            prefix, kind = "O", ""
        elif not dash or prefix not in ("B", "I", "E", "S", "L", "U", "M") or not kind:
            raise InputError(
                f"received the label {quote(label)}, expected O, or B-, I-, E- or S- and a name",
                where=where[place] if where else None,
                remedy="say in which column the labels are: `column=N`",
            )
        begins = prefix in ("B", "S", "U") or (prefix != "O" and (ended or begun is None or kind != begun[0]))
        if begun is not None and (begins or prefix == "O"):
            spans.append((*begun, place))
            begun = None
        if begins:
            begun = (kind, place)
        ended = prefix in ("E", "S", "L", "U", "O")
    if begun is not None:
        spans.append((*begun, len(labels)))
    return spans


def encode(spans: Iterable[tuple[str, int, int]], length: int, scheme: str) -> list[str]:
    """Labels of `length` words; where spans overlap, the first has the words."""
    labels = ["O"] * length
    for label, start, end in spans:
        if any(each != "O" for each in labels[start:end]):
            continue
        for place in range(start, end):
            labels[place] = f"{_prefix(place, start, end, scheme)}-{label}"
    if scheme == "iob1":
        for place in range(1, length):
            if labels[place][:1] == "B" and labels[place - 1][2:] != labels[place][2:]:
                labels[place] = f"I{labels[place][1:]}"
        if length and labels[0][:1] == "B":
            labels[0] = f"I{labels[0][1:]}"
    return labels


def _prefix(place: int, start: int, end: int, scheme: str) -> str:
    last, whole = _ENDS.get(scheme, ("I", "B"))
    if end - start == 1:
        return whole
    return "B" if place == start else last if place == end - 1 else "I"


def scheme_of(sentences: Iterable[Sequence[str]]) -> str:
    """The scheme that labels show; IOB2 where they show none."""
    begins_inside = False
    for labels in sentences:
        for scheme, ends in _ENDS.items():
            if any(label[:1] in ends and label[1:2] == "-" for label in labels):
                return scheme
        for before, label in zip(["O", *labels], labels, strict=False):
            begins_inside |= label[:2] == "I-" and before[2:] != label[2:]
    return "iob1" if begins_inside else "iob2"
