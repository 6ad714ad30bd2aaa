"""What `otkit align` measures around a run, and the table it prints at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otkit.data.gold import GoldSet
from otkit.data.views import PairCorpus
from otkit.encoders.encoder import TorchEncoder
from otkit.evaluation.retrieval import evaluate_retrieval
from otkit.evaluation.word_alignment import evaluate_word_alignment
from otkit.extraction.aligner import AlignerConfig

if TYPE_CHECKING:
    from otkit.training.loop import Record, TrainResult

__all__ = ["Figures", "print_change"]


class Figures:
    """Retrieval on the held-out text and AER on the gold links, of the encoder as it is at the moment."""

    def __init__(self, encoder: TorchEncoder, dev: Sequence[PairCorpus], gold: Sequence[GoldSet]) -> None:
        self._encoder, self._dev, self._gold = encoder, dev, gold

    def __call__(self) -> Record:
        """Means over languages, each in [0, 1]."""
        retrieval = evaluate_retrieval(self._encoder, self._dev)
        record: Record = {"retrieval": sum(score.mean for score in retrieval.values()) / len(retrieval)}
        return record
