"""The classes of errors that a check looks for, what each means, and who finds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from otkit.checks.finding import Finding, Side
from otkit.checks.language import copied, other_language
from otkit.checks.names import names
from otkit.checks.negation import negation
from otkit.checks.numbers import numbers
from otkit.checks.runs import added, dropped, hallucination, omission

__all__ = ["CLASSES", "FINDERS", "OF_TRANSPORT"]

CLASSES: Mapping[str, str] = {
    "hallucination": "the translation, all in all, says what the source does not",
    "omission": "the translation, all in all, leaves out what the source says",
    "added": "a run of words in the translation that nothing in the source accounts for",
    "dropped": "a run of words in the source that nothing in the translation accounts for",
    "copy": "the translation is the source, or most of it",
    "language": "a side is in another language than its file",
    "numbers": "a number or a date stands on one side only",
    "names": "a name, an address or a placeholder has no counterpart",
    "negation": "one side denies what the other does not",
}

FINDERS: Mapping[str, Callable[[Side, Side], Finding]] = {
    "hallucination": hallucination,
    "omission": omission,
    "added": added,
    "dropped": dropped,
    "copy": copied,
    "language": other_language,
    "numbers": numbers,
    "names": names,
    "negation": negation,
}

OF_TRANSPORT = ("hallucination", "omission", "added", "dropped")
"""Classes whose figures depend on the encoder."""
