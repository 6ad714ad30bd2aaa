"""Word links against links made by people: scores by language, by layer, and with a baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from otkit.alignment.aligner import WordAligner
from otkit.alignment.links import find_all
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import UnitStore, encode_layers, tokenise
from otkit.data.gold import GoldPair
from otkit.encoders.encoder import Encoder
from otkit.errors import InputError, choose
from otkit.evaluation.metrics import ALIGNMENT_METRICS, FloatArray, alignment_table
from otkit.evaluation.protocol import Findings, Metric, Task, TaskObserver
from otkit.evaluation.significance import Comparison, Interval, bootstrap, compare

__all__ = [
    "WORD_ALIGNMENT_METRICS",
    "GoldSets",
    "WordAlignmentScores",
    "aer_by_layer",
    "encode_gold",
    "evaluate_word_alignment",
    "score_store",
    "word_alignment_task",
]

GoldSets = Mapping[str, Sequence[GoldPair]]
"""Gold pairs under the name of their language."""

_BATCH_TOKENS = 4096
_SHOWN = ("aer", "precision", "recall", "f1", "null_f1", "total_f1", "exact_match")

WORD_ALIGNMENT_METRICS: tuple[Metric, ...] = tuple(
    Metric(
        name,
        ALIGNMENT_METRICS[name],
        table="links",
        better="lower" if name == "aer" else "higher",
        headline=name in ("aer", "f1"),
    )
    for name in _SHOWN
)


@dataclass(frozen=True)
class WordAlignmentScores:
    """tables[language]: an `alignment_table`, a row for each sentence pair."""

    tables: dict[str, FloatArray]
    config: AlignmentSettings

    def value(self, language: str, metric: str = "aer") -> float:
        """A figure of one language."""
        statistic = choose(metric, ALIGNMENT_METRICS, what="metric")
        return float(statistic(self.tables[language].sum(axis=0)))

    def mean(self, metric: str = "aer") -> float:
        """The plain mean over languages."""
        return float(np.mean([self.value(language, metric) for language in self.tables]))

    def interval(self, language: str, metric: str = "aer") -> Interval:
        """The bootstrap interval of one language's figure."""
        return bootstrap(self.tables[language], choose(metric, ALIGNMENT_METRICS, what="metric"))

    def against(self, baseline: WordAlignmentScores, language: str, metric: str = "aer") -> Comparison:
        """These scores minus others on the same pairs."""
        statistic = choose(metric, ALIGNMENT_METRICS, what="metric")
        return compare(self.tables[language], baseline.tables[language], statistic)


def evaluate_word_alignment(
    encoder: Encoder,
    sets: GoldSets,
    *,
    config: AlignmentSettings | None = None,
    links: str = "sure",
    batch_tokens: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> WordAlignmentScores:
    """Align every gold pair and score the links; `links` as in `alignment_table`, `progress` gets pairs
    done."""
    _check(sets)
    config = config or AlignmentSettings()
    tables, done = {}, 0
    for language, pairs in sets.items():
        aligner = WordAligner(encoder, config, batch_tokens=batch_tokens)
        found = aligner.align([(pair.source, pair.target) for pair in pairs], plans=False)
        tables[language] = alignment_table([alignment.pairs for alignment in found], pairs, links=links)
        done += len(pairs)
        progress(done)
    return WordAlignmentScores(tables, config)


def aer_by_layer(
    encoder: Encoder,
    sets: GoldSets,
    *,
    config: AlignmentSettings | None = None,
    layers: Sequence[int] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[int, WordAlignmentScores]:
    """The scores with each single hidden state (None: all of them), from one pass through the encoder."""
    _check(sets)
    config = config or AlignmentSettings()
    asked = tuple(range(encoder.layers + 1)) if layers is None else tuple(layers)
    tables: dict[int, dict[str, FloatArray]] = {layer: {} for layer in asked}
    done = 0
    for language, pairs in sets.items():
        stores = encode_gold(encoder, pairs, layers=asked, config=config)
        for layer, store in zip(asked, stores, strict=True):
            tables[layer][language] = score_store(store, pairs, config)
        done += len(pairs)
        progress(done)
    return {layer: WordAlignmentScores(tables[layer], replace(config, layers=(layer,))) for layer in asked}


def encode_gold(
    encoder: Encoder, pairs: Sequence[GoldPair], *, layers: Sequence[int], config: AlignmentSettings
) -> tuple[UnitStore, ...]:
    """The vectors of gold pairs, source and target in turn, one store a layer, for settings that differ in all but
    granularity and word vector."""
    sentences = [sentence for pair in pairs for sentence in (pair.source, pair.target)]
    with torch.inference_mode():
        return encode_layers(
            encoder,
            tokenise(encoder, sentences, joint=config.encoding == "joint"),
            layers=layers,
            unit=config.granularity,
            word_vector=config.word_vector,
            batch_tokens=_BATCH_TOKENS,
        )


def score_store(
    store: UnitStore, pairs: Sequence[GoldPair], config: AlignmentSettings, *, links: str = "sure"
) -> FloatArray:
    """The `alignment_table` of encoded gold pairs under some settings."""
    if config.center == "corpus":
        store = store.minus(store.means_of_sides())
    with torch.inference_mode():
        found = find_all(store, config, plans=False)
    return alignment_table(
        [set(zip(each.links[0], each.links[1], strict=True)) for each in found], pairs, links=links
    )


def word_alignment_task(
    sets: Mapping[str, tuple[Sequence[GoldPair], str]],
    config: AlignmentSettings,
    *,
    links: str = "sure",
    notes: Sequence[str] = (),
) -> Task:
    """Word alignment as a task of the protocol: sets[language] = (gold pairs, hash of the data)."""

    def run(encoder: Encoder, seed: int, folder: Path, observer: TaskObserver) -> Findings:
        total = sum(len(pairs) for pairs, _ in sets.values())
        scores = evaluate_word_alignment(
            encoder,
            {language: pairs for language, (pairs, _) in sets.items()},
            config=config,
            links=links,
            progress=lambda done: observer.progress("word alignment", done, total),
        )
        return Findings(
            tables={language: {"links": table} for language, table in scores.tables.items()},
            notes=(*notes, f"{total} pairs; null_*, total_*: words without a link count as items"),
        )

    return Task(
        name="word-alignment",
        metrics=WORD_ALIGNMENT_METRICS,
        run=run,
        fingerprint={
            "config": config.used(),
            "units": config.units(),
            "links": links,
            "data": {language: sha256 for language, (_, sha256) in sets.items()},
        },
    )


def _check(sets: GoldSets) -> None:
    if not sets or not all(sets.values()):
        raise InputError("there are no gold pairs", remedy="give a file with at least one pair of sentences")
