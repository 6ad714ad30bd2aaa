"""The forms in which people have labelled text: how each is read, and written on the translation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from otkit.errors import ConfigError
from otkit.files import either, ending_of
from otkit.projection.conll import Conll
from otkit.projection.jsonl import Jsonl
from otkit.projection.labelled import Form
from otkit.projection.squad import Squad

__all__ = ["FORMS", "FORM_NAMES", "check_ending", "form_of"]

FORM_NAMES = {
    "auto": "seen from the name: .json is squad, .jsonl jsonl, others conll",
    "conll": "a token a line, labels in a column, a blank line between sentences",
    "jsonl": 'an object a line: {"text": "...", "spans": [{"start": 0, "end": 4, "label": "PER"}]}',
    "squad": "SQuAD or XQuAD",
    "nli": "XNLI, to be augmented: premise, hypothesis and label between tabs",
}
FORMS: Mapping[str, Callable[..., Form]] = {"conll": Conll, "jsonl": Jsonl, "squad": Squad}


# By form, what the name of a file of it may end in; those of examples that are augmented among them.
_ENDINGS = {
    "conll": (".conll", ".iob", ".bio", ".bioes", ".tsv", ".txt"),
    "jsonl": (".jsonl", ".ndjson"),
    "squad": (".json",),
    "nli": (".tsv", ".txt"),
}


def check_ending(output: str | Path | None, form: str) -> None:
    """A ConfigError where the name of the output promises another form than what is written into it."""
    ending = ending_of(Path(output or ""))
    if ending and form in _ENDINGS and ending not in _ENDINGS[form]:
        raise ConfigError(
            f"received {str(output)!r}, and {form} is written",
            remedy=f"end it in {either(_ENDINGS[form])}",
            setting="output",
        )


def form_of(path: str | Path) -> str:
    """The form that a name shows."""
    name = str(path).removesuffix(".gz").lower()
    return "squad" if name.endswith(".json") else "jsonl" if name.endswith((".jsonl", ".ndjson")) else "conll"
