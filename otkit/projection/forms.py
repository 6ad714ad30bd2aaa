"""The forms in which people have labelled text: how each is read, and written on the translation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from otkit.projection.conll import Conll
from otkit.projection.jsonl import Jsonl
from otkit.projection.labelled import Form
from otkit.projection.squad import Squad

__all__ = ["FORMS", "FORM_NAMES", "form_of"]

FORM_NAMES = {
    "auto": "seen from the name: .json is squad, .jsonl jsonl, others conll",
    "conll": "a token a line, labels in a column, a blank line between sentences",
    "jsonl": 'an object a line: {"text": "...", "spans": [{"start": 0, "end": 4, "label": "PER"}]}',
    "squad": "SQuAD or XQuAD",
    "nli": "XNLI, to be augmented: premise, hypothesis and label between tabs",
}
FORMS: Mapping[str, Callable[..., Form]] = {"conll": Conll, "jsonl": Jsonl, "squad": Squad}


def form_of(path: str | Path) -> str:
    """The form that a name shows."""
    name = str(path).removesuffix(".gz").lower()
    return "squad" if name.endswith(".json") else "jsonl" if name.endswith((".jsonl", ".ndjson")) else "conll"
