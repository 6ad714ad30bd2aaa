"""What an inspector works on: models, a corpus that is aligned while one looks, and annotations."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from otkit.alignment.aligner import Alignment, WordAligner
from otkit.alignment.checking import Checked, TranslationChecker
from otkit.errors import OtkitError
from otkit.inspector.annotations import Annotations
from otkit.inspector.corpus import CorpusIndex, Line
from otkit.inspector.models import Models

__all__ = ["Session"]

# Pairs of the corpus in one turn: a person who waits for a picture waits no longer than these take.
_WINDOW = 8


@dataclass(frozen=True, eq=False)
class Session:
    """Everything that a server answers from. `name` is the corpus's, as a person knows it."""

    models: Models
    name: str = ""
    lines: Sequence[Line] = ()
    corpus: CorpusIndex | None = None
    annotations: Annotations | None = None
    _checkers: dict[str, TranslationChecker] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        models: Models,
        *,
        name: str = "",
        lines: Sequence[Line] = (),
        annotations: Annotations | None = None,
    ) -> Session:
        """A session, with an index where there are lines."""
        corpus = None
        if lines:
            corpus = CorpusIndex(len(lines), gold=lines[0].gold is not None)
        return cls(models, name, lines, corpus, annotations)

    def fill(self, stop: threading.Event) -> None:
        """Align the corpus into the index, until all is done or a stop is asked for."""
        assert self.corpus is not None
        try:
            aligners = [self.models.plain_aligner(name) for name in self.models.names]
            lines = iter(self.lines)
            while (window := list(islice(lines, _WINDOW))) and not stop.is_set():
                with self.models.turns.turn(background=True):
                    found = [_aligned(aligner, window) for aligner in aligners]
                self.corpus.add(window, zip(*found, strict=True))
        except OtkitError as error:  # for the page, which a person looks at
            self.corpus.error = str(error)

    def check(self, name: str | None, pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[Checked]:
        """How much of each translation nothing accounts for."""
        encoder = self.models.aligner(name, {}).encoder
        with self.models.turns.turn():
            # It measures its prices once.
            new = TranslationChecker(encoder, languages=self.models.languages)
            checker = self._checkers.setdefault(name or self.models.names[0], new)
            return list(checker.check((tuple(source), tuple(target)) for source, target in pairs))

    def embed(self, name: str | None, sentences: Sequence[Sequence[str]]) -> list[list[float]]:
        """A unit vector for each sentence."""
        encoder = self.models.aligner(name, {}).encoder
        with self.models.turns.turn(), torch.inference_mode():
            vectors: Any = encoder.encode_sentences(encoder.tokenize(sentences).to(encoder.device))
        return [[round(value, 6) for value in row] for row in vectors.float().cpu().tolist()]


def _aligned(aligner: WordAligner, window: Sequence[Line]) -> list[Alignment]:
    found = aligner.align_window([(line.source, line.target) for line in window])
    return [one for one in found if one is not None]
