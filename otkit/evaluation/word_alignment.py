"""Word links against links made by people: scores by language, by layer, with a baseline; and the aligner's settings
chosen on gold links of a development set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from otkit.alignment.aligner import WordAligner
from otkit.alignment.layer_choice import layers_of
from otkit.alignment.links import find_all
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import UnitStore, averaged, encode_layers, tokenise
from otkit.data.gold import GoldPair, languages_of_gold
from otkit.encoders.encoder import Encoder
from otkit.errors import ConfigError, InputError, choose
from otkit.evaluation.metrics import ALIGNMENT_METRICS, FloatArray, alignment_table
from otkit.evaluation.protocol import Findings, Metric, Progress, Task
from otkit.evaluation.significance import Comparison, Interval, bootstrap, compare

__all__ = [
    "GRID",
    "WORD_ALIGNMENT_METRICS",
    "GoldSets",
    "Trial",
    "Tuned",
    "WordAlignmentScores",
    "aer_by_layer",
    "encode_gold",
    "evaluate_word_alignment",
    "score_store",
    "tune_word_alignment",
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
        aligner = WordAligner(encoder, config, batch_tokens=batch_tokens, languages=languages_of_gold(pairs))
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
    granularity, word vector and truecase."""
    sentences = [sentence for pair in pairs for sentence in (pair.source, pair.target)]
    with torch.inference_mode():
        return encode_layers(
            encoder,
            tokenise(
                encoder,
                sentences,
                joint=config.encoding == "joint",
                truecase=config.truecase,
                languages=None if (told := languages_of_gold(pairs)) is None else told * len(pairs),
            ),
            layers=layers,
            unit=config.granularity,
            word_vector=config.word_vector,
            batch_tokens=_BATCH_TOKENS,
        )


def score_store(
    store: UnitStore, pairs: Sequence[GoldPair], config: AlignmentSettings, *, links: str = "sure"
) -> FloatArray:
    """The `alignment_table` of encoded gold pairs under some settings."""
    if config.space != "none":
        store = store.without(store.spaces(config.space))
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

    def run(encoder: Encoder, seed: int, folder: Path, progress: Progress) -> Findings:
        total = sum(len(pairs) for pairs, _ in sets.values())
        scores = evaluate_word_alignment(
            encoder,
            {language: pairs for language, (pairs, _) in sets.items()},
            config=config,
            links=links,
            progress=lambda done: progress(done, total, "word alignment"),
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


GRID: Mapping[str, tuple[Any, ...]] = {
    "transport": ("unbalanced", "balanced", "partial", "semi", "none"),
    "strategy": ("threshold", "mutual", "itermax"),
    "epsilon": (0.04, 0.055, 0.075, 0.1, 0.15),
    "tau": (0.05, 0.1, 0.2, 0.5),
    "agreement": (0.0, 0.06, 0.1, 0.14),
    "distortion": (0.0, 0.1, 0.2, 0.4),
    "length_power": (0.0, 0.15, 0.25, 0.35),
    "attach_factor": (1.0, 1.5, 2.5, 4.0),
    "rival_factor": (0.0, 0.5, 0.8, 1.0),
    "threshold": (0.3, 0.35, 0.4, 0.45, 0.5, 0.55),
}
"""What is tried, in this order; the layers come first."""

# What only the strategy of that name looks at.
_OF_THRESHOLD = ("length_power", "attach_factor", "rival_factor", "threshold")


@dataclass(frozen=True)
class Trial:
    """One setting that was tried, on top of the best before it."""

    setting: str
    value: Any
    figure: float
    kept: bool


@dataclass(frozen=True)
class Tuned:
    """The chosen settings, their figure, and the way there."""

    config: AlignmentSettings
    metric: str
    figure: float
    trials: tuple[Trial, ...]


def tune_word_alignment(
    encoder: Encoder,
    sets: GoldSets,
    *,
    config: AlignmentSettings | None = None,
    grid: Mapping[str, Sequence[Any]] = GRID,
    metric: str = "aer",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tuned:
    """Coordinate descent on the mean of `metric` over the sets: the encoder runs once, a setting changes only
    where it is better.

    Few gold pairs tune noise: with under a hundred, expect the gain on other text to be smaller.
    """
    statistic = choose(metric, ALIGNMENT_METRICS, what="metric")
    _check(sets)
    sign = 1 if metric == "aer" else -1
    config = config or AlignmentSettings()
    every = tuple(range(1, encoder.layers + 1))
    stores = {name: encode_gold(encoder, pairs, layers=every, config=config) for name, pairs in sets.items()}

    def figure(trial: AlignmentSettings) -> float:
        places = [every.index(layer) for layer in layers_of(encoder, trial.layers)]
        tables = (
            score_store(averaged([stores[name][place] for place in places]), pairs, trial)
            for name, pairs in sets.items()
        )
        return float(np.mean([statistic(table.sum(axis=0)) for table in tables]))

    best = config.changed(layers=layers_of(encoder, config.layers))
    found = figure(best)
    trials = [Trial("start", list(layers_of(encoder, best.layers)), found, kept=True)]
    candidates = {"layers": [*((layer,) for layer in every), *pairwise(every)], **grid}
    total = sum(map(len, candidates.values()))
    done = 0
    for setting, values in candidates.items():
        start = best
        for value in values:
            done += 1
            progress(done, total)
            if value == getattr(start, setting) or (
                setting in _OF_THRESHOLD and best.strategy != "threshold"
            ):
                continue
            try:
                # A threshold is of its strategy.
                trial = best.changed(
                    **{setting: value, **({"threshold": None} if setting == "strategy" else {})}
                )
            except ConfigError:  # does not go with what was given, as a dot product with transport
                continue
            here = figure(trial)
            better = sign * here < sign * found
            trials.append(Trial(setting, value, here, kept=better))
            if better:
                best, found = trial, here
    return Tuned(best, metric, found, tuple(trials))
