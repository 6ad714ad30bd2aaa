"""The aligner's settings chosen on gold links of a development set, one setting at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import averaged
from otkit.encoders.encoder import Encoder
from otkit.errors import InputError, choose, reason_of
from otkit.evaluation.metrics import ALIGNMENT_METRICS
from otkit.evaluation.word_alignment import GoldSets, encode_gold, score_store

__all__ = ["GRID", "Trial", "Tuned", "read_aligner_config", "tune_word_alignment"]

GRID: Mapping[str, tuple[Any, ...]] = {
    "transport": ("unbalanced", "balanced", "partial", "semi", "none"),
    "strategy": ("threshold", "mutual", "itermax"),
    "epsilon": (0.04, 0.055, 0.075, 0.1, 0.15),
    "tau": (0.05, 0.1, 0.2, 0.5),
    "agreement": (0.0, 0.06, 0.1, 0.14),
    "distortion": (0.0, 0.1, 0.3),
    "length_power": (0.0, 0.15, 0.25, 0.35),
    "attach_factor": (1.0, 1.5, 2.5, 4.0),
    "threshold": (0.3, 0.35, 0.4, 0.45, 0.5, 0.55),
}
"""What is tried, in this order; the layers come first."""

# What only the strategy of that name looks at.
_OF_THRESHOLD = ("length_power", "attach_factor", "threshold")


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
    if not sets or not all(sets.values()):
        raise InputError("there are no gold pairs", remedy="give a file with at least one pair of sentences")
    sign = 1 if metric == "aer" else -1
    config = config or AlignmentSettings()
    every = tuple(range(1, encoder.layers + 1))
    stores = {name: encode_gold(encoder, pairs, layers=every, config=config) for name, pairs in sets.items()}

    def figure(trial: AlignmentSettings) -> float:
        places = [every.index(layer) for layer in trial.layers or ()]
        tables = (
            score_store(averaged([stores[name][place] for place in places]), pairs, trial)
            for name, pairs in sets.items()
        )
        return float(np.mean([statistic(table.sum(axis=0)) for table in tables]))

    best = config.changed(layers=tuple(config.layers or encoder.settings.alignment_layers))
    found = figure(best)
    trials = [Trial("start", list(best.layers or ()), found, kept=True)]
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
            trial = best.changed(**{setting: value})
            here = figure(trial)
            better = sign * here < sign * found
            trials.append(Trial(setting, value, here, kept=better))
            if better:
                best, found = trial, here
    return Tuned(best, metric, found, tuple(trials))


def read_aligner_config(path: Path) -> AlignmentSettings:
    """Settings that tuning (or a person) wrote: a JSON object, or one under the name `aligner`."""
    remedy = "give a JSON object of aligner settings, such as `otkit extract --json` writes"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({reason_of(error)})", where=str(path), remedy=remedy) from error
    except ValueError as error:
        raise InputError(f"is not valid JSON ({error})", where=str(path), remedy=remedy) from error
    values = document.get("aligner", document) if isinstance(document, dict) else None
    if not isinstance(values, dict):
        raise InputError("holds no aligner settings", where=str(path), remedy=remedy)
    return AlignmentSettings.from_dict(values)
