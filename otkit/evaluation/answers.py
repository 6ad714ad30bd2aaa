"""Answers in a context: overlapping windows behind the question, the best span over all of them, and exact match and
token F1 by the rules of SQuAD v1.1 and of MLQA."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from otkit.data.examples import QaExample
from otkit.encoders.pairs import PairTokenizer, Pieces
from otkit.errors import ConfigError, InputError
from otkit.evaluation.finetune import Row

__all__ = [
    "SpanScore",
    "Window",
    "answer_place",
    "best_span",
    "make_windows",
    "mlqa_score",
    "normalise_mlqa",
    "normalise_squad",
    "owners",
    "squad_score",
]

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
    given, gold = normalise(prediction), [normalise(answer) for answer in answers]
    return SpanScore(max(_f1(given, text) for text in gold), float(given in gold))


def _f1(given: str, right: str) -> float:
    found, gold = given.split(), right.split()
    both = sum((Counter(found) & Counter(gold)).values())
    # two empty texts share no token: F1 is 0 there although they match exactly, as in the official script
    return 2 * both / (len(found) + len(gold)) if both else 0.0


@dataclass(frozen=True)
class Window:
    """A stretch of a context behind its question, as the encoder sees it.

    example       the question's number
    row           ids and types with the special tokens
    offset        the place in the row of the first context subword
    first, last   context subwords [first, last) that the window holds
    """

    example: int
    row: Row
    offset: int
    first: int
    last: int


def make_windows(
    tokenizer: PairTokenizer,
    examples: Sequence[QaExample],
    *,
    max_length: int,
    stride: int,
    max_question: int,
) -> tuple[list[Window], dict[str, Pieces]]:
    """The windows of every question, in order, and the subwords of every context."""
    limit = min(max_length, tokenizer.limit)
    questions = tokenizer.pieces(example.question for example in examples)
    contexts = tokenizer.pieces(example.context for example in examples)
    windows = []
    for number, example in enumerate(examples):
        question = questions[example.question].ids[:max_question]
        context = contexts[example.context].ids
        room = limit - tokenizer.added - len(question)
        if room < 1:
            raise ConfigError(
                f"a length of {limit} has no room beside a question of {len(question)} subwords",
                remedy="raise `max_length`" if max_length < tokenizer.limit else "lower `max_question`",
            )
        first = 0
        while True:
            last = min(first + room, len(context))
            row = tokenizer.join(question, context[first:last])
            offset = tokenizer.lead + len(question) + tokenizer.middle
            windows.append(Window(number, row, offset, first, last))
            if last == len(context):
                break
            first += min(stride, room)
    return windows, contexts


def answer_place(
    window: Window, examples: Sequence[QaExample], contexts: Mapping[str, Pieces]
) -> tuple[int, int]:
    """The row's positions of the first answer's first and last subword; 0, 0 where a part is outside."""
    example = examples[window.example]
    answer = example.answers[0]
    spans = contexts[example.context].spans
    inside = np.flatnonzero((spans[:, 0] < answer.start + len(answer.text)) & (spans[:, 1] > answer.start))
    if len(inside) == 0 or inside[0] < window.first or inside[-1] >= window.last:
        return 0, 0
    offset = window.offset - window.first
    return int(inside[0]) + offset, int(inside[-1]) + offset


def best_span(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    *,
    allowed: NDArray[np.bool_],
    n_best: int,
    max_answer: int,
) -> tuple[float, int, int]:
    """(score, start, end) of the span with the highest start + end logit, end included; -inf without any.

    starts, ends: (T,) logits of a window's context subwords.  allowed: (T,) where a span may begin.  Of the
    `n_best` best starts and ends each pair is tried that is in order and at most `max_answer` subwords long.
    """
    first, last = (np.argsort(-side, kind="stable")[:n_best] for side in (starts, ends))
    length = last[None, :] - first[:, None] + 1
    scores = starts[first][:, None].astype(np.float64) + ends[last][None, :]
    scores = np.where((length >= 1) & (length <= max_answer) & allowed[first][:, None], scores, -np.inf)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    return float(scores[row, column]), int(first[row]), int(last[column])


def owners(windows: Sequence[Window], examples: int) -> list[NDArray[np.bool_]]:
    """For each window, which of its context subwords it sees with more text around than any other window.

    A subword in several windows counts in the one where the shorter of its two sides is longest, as in
    BERT's own SQuAD code; the length of the window breaks ties, then the earlier one has it.
    """
    sizes = [0] * examples
    for window in windows:
        sizes[window.example] = max(sizes[window.example], window.last)
    scores = [np.full(size, -np.inf) for size in sizes]
    holders = [np.full(size, -1) for size in sizes]
    for number, window in enumerate(windows):
        places = np.arange(window.first, window.last)
        around = np.minimum(places - window.first, window.last - 1 - places)
        around = around + 0.01 * (window.last - window.first)
        part = slice(window.first, window.last)
        better = around > scores[window.example][part]
        scores[window.example][part] = np.where(better, around, scores[window.example][part])
        holders[window.example][part] = np.where(better, number, holders[window.example][part])
    return [
        holders[window.example][window.first : window.last] == number for number, window in enumerate(windows)
    ]
