"""Answers against gold answers: exact match and token F1, by the rules of SQuAD v1.1 and of MLQA."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otkit.errors import InputError

__all__ = ["SpanScore", "mlqa_score", "normalise_mlqa", "normalise_squad", "squad_score"]

# MLQA's articles; it has none for hi and zh, and knows no other language
ARTICLES: dict[str, re.Pattern[str]] = {
    language: re.compile(pattern)
    for language, pattern in {
        "en": r"\b(?:a|an|the)\b",
        "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
        "vi": r"\b(?:của|là|cái|chiếc|những)\b",
        "de": r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
        "ar": "ال",  # wherever it stands; the script's other alternative can match nothing
    }.items()
}
HAN = re.compile("([\u4e00-\u9fa5])")
ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class SpanScore:
    """Of one question, the best over its gold answers; each of the two may come from another answer."""

    f1: float
    exact: float


def normalise_squad(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, words joined by one space."""
    bare = text.lower().translate(ASCII_PUNCTUATION)
    return " ".join(ARTICLES["en"].sub(" ", bare).split())


def normalise_mlqa(text: str, language: str) -> str:
    """Lower case, without Unicode punctuation and the language's articles; a Chinese character is a word.

    Languages outside MLQA keep their articles and are split at spaces (so Thai, whose F1 is then near EM).
    """
    bare = "".join(letter for letter in text.lower() if not _is_punctuation(letter))
    if language in ARTICLES:
        bare = ARTICLES[language].sub(" ", bare)
    if language == "zh":
        bare = HAN.sub(r" \1 ", bare)
    return " ".join(bare.split())


def _is_punctuation(letter: str) -> bool:
    return letter in string.punctuation or unicodedata.category(letter).startswith("P")


def squad_score(prediction: str, answers: Sequence[str]) -> SpanScore:
    """EM and F1 of SQuAD v1.1 (Rajpurkar et al. 2016, section 6.1): XQuAD uses them in every language."""
    return _best(prediction, answers, normalise_squad)


def mlqa_score(prediction: str, answers: Sequence[str], *, language: str) -> SpanScore:
    """EM and F1 with the language-aware normalisation of MLQA (Lewis et al. 2020)."""
    return _best(prediction, answers, lambda text: normalise_mlqa(text, language))


def _best(prediction: str, answers: Sequence[str], normalise: Callable[[str], str]) -> SpanScore:
    if not answers:
        raise InputError("a question without a gold answer cannot be scored", remedy="leave it out")
    given, wanted = normalise(prediction), [normalise(answer) for answer in answers]
    return SpanScore(max(_f1(given, text) for text in wanted), float(given in wanted))


def _f1(given: str, wanted: str) -> float:
    found, gold = given.split(), wanted.split()
    both = sum((Counter(found) & Counter(gold)).values())
    # two empty texts share no token: F1 is 0 there although they match exactly, as in the official script
    return 2 * both / (len(found) + len(gold)) if both else 0.0
