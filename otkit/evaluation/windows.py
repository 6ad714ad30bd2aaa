"""A long context in overlapping windows behind its question, and the best span over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from otkit.data.examples import QaExample
from otkit.encoders.pairs import PairTokenizer, Pieces
from otkit.errors import ConfigError
from otkit.evaluation.finetune import Row

__all__ = ["Window", "answer_place", "best_span", "make_windows", "owners"]


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
                remedy="raise `max_length`",
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
    moved = window.offset - window.first
    return int(inside[0]) + moved, int(inside[-1]) + moved


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
