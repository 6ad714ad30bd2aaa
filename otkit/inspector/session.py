"""What an inspector works on: models, a corpus that is aligned while one looks, and annotations."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from otkit.alignment.aligner import Alignment, WordAligner
from otkit.errors import OtkitError
from otkit.inspector.annotations import Annotations
from otkit.inspector.corpus import CorpusIndex, Line
from otkit.inspector.models import Models

__all__ = ["Session"]

# Pairs between two looks of the page: it has the first of them soon, and requests come in between.
_WINDOW = 32


@dataclass(frozen=True, eq=False)
class Session:
    """Everything that a server answers from. `name` is the corpus's, as a person knows it."""

    models: Models
    name: str = ""
    lines: Sequence[Line] = ()
    corpus: CorpusIndex | None = None
    annotations: Annotations | None = None

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
            corpus = CorpusIndex(len(lines), gold=lines[0].gold is not None, models=len(models.names))
        return cls(models, name, lines, corpus, annotations)

    def fill(self, stop: threading.Event) -> None:
        """Align the corpus into the index, until all is done or a stop is asked for."""
        assert self.corpus is not None
        try:
            aligners = [self.models.plain_aligner(name) for name in self.models.names]
            lines = iter(self.lines)
            while (window := list(islice(lines, _WINDOW))) and not stop.is_set():
                with self.models.lock:
                    found = [_aligned(aligner, window) for aligner in aligners]
                self.corpus.add(window, zip(*found, strict=True))
        except OtkitError as error:  # for the page, which a person looks at
            self.corpus.error = str(error)

    def embed(self, name: str | None, sentences: Sequence[Sequence[str]]) -> list[list[float]]:
        """A unit vector for each sentence."""
        encoder = self.models.aligner(name, {}).encoder
        with self.models.lock, torch.inference_mode():
            vectors: Any = encoder.encode_sentences(encoder.tokenize(sentences).to(encoder.device))
        return [[round(value, 6) for value in row] for row in vectors.float().cpu().tolist()]


def _aligned(aligner: WordAligner, window: Sequence[Line]) -> list[Alignment]:
    found = aligner.align_window([(line.source, line.target) for line in window])
    return [one for one in found if one is not None]
