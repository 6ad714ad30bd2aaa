"""How an encoder is measured: the settings of each task. It imports no torch: `otkit evaluate --help` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from otkit.alignment.settings import WORD_VECTORS, space_setting
from otkit.settings import Settings, setting
from otkit.training.settings import PRECISIONS, TrainingSettings

__all__ = [
    "FINE_TUNINGS",
    "INDEXES",
    "POOLS",
    "SCORES",
    "XNLI_FINE_TUNING",
    "XQUAD_FINE_TUNING",
    "FineTuningSettings",
    "MiningSettings",
    "RetrievalSettings",
    "SearchSettings",
    "WordRetrievalSettings",
    "XnliSettings",
    "XquadSettings",
]

SCORES = {
    "cosine": "the cosine",
    "csls": "twice the cosine, minus how crowded both places are (Conneau et al. 2018)",
    "margin": "the cosine over how crowded both places are (Artetxe and Schwenk 2019)",
}
INDEXES = {
    "flat": "exact",
    "hnsw": "a graph of neighbours: approximate, for large pools",
    "ivf": "cells: approximate, for large pools",
}
POOLS = {
    "aligned": "the linked words of the other language",
    "all": "every word of the other language's sentences",
}
POOLINGS = {
    "cls": "the first token through a dense layer and tanh",
    "mean": "the mean of the tokens",
}
FINE_TUNINGS = {"small": "on two cores, in under half an hour", "xtreme": "as XTREME published it"}
_SEARCH, _TUNING = "Search", "Fine-tuning"
_APPROXIMATE = (
    100  # asked for a thousand neighbours, an approximate index would visit everything and save no time
)


def _score(default: str) -> Any:
    return setting(default, "What orders the candidates.", choices=SCORES, panel=_SEARCH, everyday=True)


def _neighbours(default: int) -> Any:
    return setting(
        default, "The nearest items that csls and margin measure crowding by.", least=1, panel=_SEARCH
    )


@dataclass(frozen=True)
class SearchSettings(Settings):
    """How neighbours are sought across languages."""

    score: str = _score("cosine")
    neighbours: int = _neighbours(10)
    index: str = setting("flat", "The FAISS index.", choices=INDEXES, panel=_SEARCH)
    # Flat search is exact for pools up to this size; beyond it, a true CSLS or margin neighbour could lie further down
    # the cosine list.
    candidates: int | None = setting(
        None,
        "Items that a query is compared with under the score; by default up to 1024, of an approximate index 100.",
        least=1,
        panel=_SEARCH,
    )
    effort: int = setting(
        128,
        "The nodes that hnsw visits; ivf looks into this many thousandths of its cells.",
        least=1,
        most=100_000,
        panel=_SEARCH,
    )
    space: str = space_setting(_SEARCH)
    batch_tokens: int = setting(4096, "The most padded subwords of one forward pass.", least=1, panel="Run")

    most: ClassVar[int] = 1024

    @property
    def compared(self) -> int:
        """`candidates` as a number."""
        usual = self.most if self.index == "flat" else min(self.most, _APPROXIMATE)
        return usual if self.candidates is None else self.candidates


@dataclass(frozen=True)
class RetrievalSettings(SearchSettings):
    """How sentences are compared; pooling and prefix are the encoder's own."""

    layer: int | None = setting(
        None,
        "The hidden state to pool; negative numbers count from the end. Without it, the encoder's sentence vector.",
        panel=_SEARCH,
        everyday=True,
    )


@dataclass(frozen=True)
class WordRetrievalSettings(SearchSettings):
    """What a word's vector is and where its translation is sought (Cao et al. 2020, section 5.1)."""

    score: str = _score("csls")
    pool: str = setting("aligned", "Where words are sought.", choices=POOLS, panel=_SEARCH, everyday=True)
    word_vector: str = setting(
        "last", "Which subword stands for a word.", choices=WORD_VECTORS, panel=_SEARCH
    )
    layers: tuple[int, ...] | None = setting(
        None,
        "The hidden states to use, averaged; negative numbers count from the end. Without it, the encoder's own"
        " choice.",
        option="--layer",
        metavar="N[,N...]",
        panel=_SEARCH,
        everyday=True,
    )

    most: ClassVar[int] = 128


@dataclass(frozen=True)
class MiningSettings(SearchSettings):
    """How hidden translations are sought: the ratio margin over 4 neighbours (Artetxe and Schwenk 2019, section 3)."""

    score: str = _score("margin")
    neighbours: int = _neighbours(4)
    dev_share: float = setting(
        0.2,
        "The share of the source sentences that chooses the threshold; the others are scored.",
        above=0,
        below=1,
        panel=_SEARCH,
        everyday=True,
    )
    split_seed: int = setting(0, "The seed of the draw of that share.", least=0, panel=_SEARCH)

    most: ClassVar[int] = 16


def _count(default: int, help: str) -> Any:
    return setting(default, help, least=1, panel=_TUNING)


def _some(default: int | None, help: str) -> Any:
    return setting(default, help, least=1, panel=_TUNING, everyday=True)


def _epochs(default: float) -> Any:
    return setting(default, "Passes over the training examples.", above=0, panel=_TUNING, everyday=True)


def _lr(default: float) -> Any:
    return setting(default, "The peak learning rate.", above=0, most=1e3, panel=_TUNING, everyday=True)


def _warmup(default: int) -> Any:
    help = "Optimiser steps over which the learning rate rises, at most half of all."
    return setting(default, help, least=0, panel=_TUNING)


def _freeze(default: int) -> Any:
    help = "Keep the embeddings (0), or also the first N layers, as they are; none trains all."
    return setting(default, help, least=0, panel=_TUNING)


@dataclass(frozen=True)
class FineTuningSettings(Settings):
    """How a head and the encoder under it are trained on English. Each task has its own defaults."""

    epochs: float = _epochs(1.0)
    lr: float = _lr(5e-5)
    batch_size: int = _count(32, "Examples of a micro-step.")
    grad_accum: int = _count(1, "Micro-steps of an optimiser step.")
    weight_decay: float = setting(0.0, "The decoupled weight decay of matrices.", least=0, panel=_TUNING)
    warmup_steps: int = _warmup(0)
    max_length: int = _count(96, "Subwords of an input with its special tokens.")
    window: int = _count(16, "Batches that are sorted by length together; 1 leaves the order random.")
    dropout: float = setting(0.1, "The dropout of the head.", least=0, below=1, panel=_TUNING)
    freeze: int | None = _freeze(0)
    train_examples: int | None = _some(
        12_000, "Train on this many examples, the same for all seeds and encoders; none for all."
    )
    test_examples: int | None = _some(
        900, "Score this many examples of each language, the same in all; none for all."
    )
    precision: str = setting(
        "fp32", "The autocast of training, and of scoring.", choices=PRECISIONS, panel=_TUNING
    )
    batch_tokens: int = setting(
        4096, "The most padded subwords of one forward pass when scoring.", least=1, panel=_TUNING
    )

    @property
    def training(self) -> TrainingSettings:
        """The loop's part of these settings; a run of minutes keeps no checkpoints."""
        return TrainingSettings(
            epochs=self.epochs,
            lr=self.lr,
            grad_accum=self.grad_accum,
            weight_decay=self.weight_decay,
            precision=self.precision,
            save_minutes=None,
            log_every=10,
        )


@dataclass(frozen=True)
class XnliSettings(FineTuningSettings):
    """How the classifier of XNLI is trained. By default in a quarter of an hour on two cores with the sample encoder,
    whose embeddings stay."""

    head_pooling: str = setting("mean", "What the classifier sees.", choices=POOLINGS, panel=_TUNING)
    eval_every: int | None = setting(
        None,
        "Score English dev pairs every N steps and keep the best; none: keep the last.",
        least=1,
        panel=_TUNING,
    )

    @property
    def training(self) -> TrainingSettings:
        return replace(super().training, eval_every=self.eval_every)


@dataclass(frozen=True)
class XquadSettings(FineTuningSettings):
    """How the span finder of XQuAD is trained. By default in under half an hour on two cores with the sample encoder,
    whose embeddings and first layers stay."""

    epochs: float = _epochs(2.0)
    lr: float = _lr(1e-4)
    batch_size: int = _count(16, "Examples of a micro-step.")
    warmup_steps: int = _warmup(20)
    max_length: int = _count(256, "Subwords of a window with question and special tokens.")
    freeze: int | None = _freeze(4)
    train_examples: int | None = _some(
        2_000, "Train on this many questions, the same for all seeds and encoders; none for all."
    )
    test_examples: int | None = _some(
        160, "Score this many questions of each language, the same in all; none for all."
    )
    batch_tokens: int = setting(
        8192, "The most padded subwords of one forward pass when scoring.", least=1, panel=_TUNING
    )
    stride: int = _count(96, "How far apart the windows of a context begin, in subwords.")
    max_question: int = _count(64, "Subwords of the question that are kept.")
    max_answer: int = _count(30, "Subwords of the longest answer.")
    n_best: int = _count(20, "Starts, and ends, that are combined in a window.")


XNLI_FINE_TUNING: Mapping[str, XnliSettings] = {
    "small": XnliSettings(),
    # XTREME's scripts/train_xnli.sh and run_classify.py for mBERT, which the OT paper follows.
    "xtreme": XnliSettings(
        epochs=5,
        lr=2e-5,
        batch_size=8,
        grad_accum=4,
        max_length=128,
        window=1,
        freeze=None,
        train_examples=None,
        test_examples=None,
        head_pooling="cls",
        eval_every=100,
    ),
}

XQUAD_FINE_TUNING: Mapping[str, XquadSettings] = {
    "small": XquadSettings(),
    # XTREME's scripts/train_qa.sh and run_squad.py for mBERT, which the OT paper follows; last weights.
    "xtreme": XquadSettings(
        epochs=3,
        lr=3e-5,
        batch_size=4,
        grad_accum=8,
        weight_decay=1e-4,
        warmup_steps=500,
        max_length=384,
        window=1,
        freeze=None,
        train_examples=None,
        test_examples=None,
        stride=128,
    ),
}
