"""Positions of an English context to those of its copy in other languages, through word links: what a span head says
of one is to be what it says of the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from otkit.alignment.aligner import WordAligner
from otkit.data.examples import QaExample
from otkit.data.segmentation import Segment, segments
from otkit.encoders.pairs import PairTokenizer
from otkit.encoders.torch import TorchEncoder
from otkit.evaluation.answers import Window
from otkit.evaluation.protocol import Progress

__all__ = ["Carrying", "counterparts"]

Words = Sequence[tuple[int, int]]
"""The subwords [first, last) of a context that each of its words is made of."""


def counterparts(windows: Sequence[Window], copies: Sequence[Window]) -> list[int]:
    """For each window the number of the copy's window that stands at the same place among those of its question, or of
    its last one."""
    found: dict[int, list[int]] = {}
    for number, window in enumerate(copies):
        found.setdefault(window.example, []).append(number)
    seen: dict[int, int] = {}
    chosen = []
    for window in windows:
        place = seen.get(window.example, 0)
        seen[window.example] = place + 1
        own = found[window.example]
        chosen.append(own[min(place, len(own) - 1)])
    return chosen


class Carrying:
    """Word links between contexts and their copies, as the encoder's word aligner reads them before it is tuned."""

    def __init__(
        self,
        tokenizer: PairTokenizer,
        encoder: TorchEncoder,
        examples: Sequence[QaExample],
        copies: Sequence[QaExample],
        *,
        progress: Progress,
    ) -> None:
        self._contexts = [(one.context, two.context) for one, two in zip(examples, copies, strict=True)]
        pairs = list(dict.fromkeys(self._contexts))
        words = {text: segments(text) for pair in pairs for text in pair}
        pieces = tokenizer.pieces(words)
        self._words = {text: _subwords(found, pieces[text].spans) for text, found in words.items()}
        aligner = WordAligner(encoder)
        self._links: dict[tuple[str, str], frozenset[tuple[int, int]]] = {}
        sides = ((_bare(words[one]), _bare(words[two])) for one, two in pairs)
        for number, (pair, found) in enumerate(zip(pairs, aligner.align(sides, plans=False), strict=True), 1):
            self._links[pair] = found.pairs
            progress(number, len(pairs), "xquad: linking contexts and copies")

    def spread(self, rows: Sequence[tuple[Window, Window]], width: int, other: int) -> tuple[Tensor, Tensor]:
        """(B,T,T') for first and for last subwords: a word's position goes in equal parts to those of the words that it
        is linked to, and the answer "not here", position 0, to itself; a word without links goes nowhere."""
        starts, ends = (torch.zeros(len(rows), width, other) for _ in range(2))
        for row, (window, copy) in enumerate(rows):
            texts = self._contexts[window.example]
            linked: dict[int, list[int]] = {}
            for i, j in self._links[texts]:
                linked.setdefault(i, []).append(j)
            starts[row, 0, 0] = ends[row, 0, 0] = 1
            for i, targets in linked.items():
                sources, goals = self._words[texts[0]][i], [self._words[texts[1]][j] for j in targets]
                for side, matrix in ((0, starts), (1, ends)):
                    place = _inside(sources[0] if side == 0 else sources[1] - 1, window)
                    there = [_inside(goal[0] if side == 0 else goal[1] - 1, copy) for goal in goals]
                    there = [each for each in there if each is not None]
                    if place is not None and there:
                        matrix[row, place, there] = 1 / len(there)
        return starts, ends


def _bare(words: Sequence[Segment]) -> tuple[str, ...]:
    return tuple(word.text for word in words)


def _inside(subword: int, window: Window) -> int | None:
    """The position in the row of a subword of the context."""
    return subword - window.first + window.offset if window.first <= subword < window.last else None


def _subwords(words: Sequence[Segment], spans: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> Words:
    """The subwords of each word; a word shares one that covers its neighbour, too."""
    found = []
    for word in words:
        first = int(np.searchsorted(spans[:, 1], word.start, side="right"))
        last = int(np.searchsorted(spans[:, 0], word.end, side="left"))
        found.append((first, max(last, first + 1)))
    return found
