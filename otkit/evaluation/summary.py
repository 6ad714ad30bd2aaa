"""Cells to figures: means and deviations over seeds, averages over languages, differences with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import block_diag

from otkit.errors import ConfigError
from otkit.evaluation.metrics import FloatArray, Statistic
from otkit.evaluation.protocol import BASELINE, MODEL, Cell, Findings, Metric
from otkit.evaluation.significance import bootstrap, compare

__all__ = ["Figure", "Summary", "summarise"]


@dataclass(frozen=True)
class Figure:
    """One metric of one language, or of an average over languages.

    std         sample standard deviation over seeds (None for one seed)
    interval    95 % bootstrap interval over test items, `baseline_interval` that of the baseline; of the metrics
                that are compared with one, where the task keeps its items
    chance      what guessing gives
    difference  model minus baseline; `low` and `high` bound its 95 % paired bootstrap interval over test
                items, each item's counts added over the seeds; `p_value` is that of no difference
    """

    mean: float
    std: float | None = None
    baseline: float | None = None
    baseline_std: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    interval: tuple[float, float] | None = None
    baseline_interval: tuple[float, float] | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Summary:
    """rows[language][metric name], and averages["seen" | "all"][metric name] over the languages."""

    metrics: tuple[Metric, ...]
    rows: dict[str, dict[str, Figure]]
    averages: dict[str, dict[str, Figure]]
    seeds: tuple[int, ...]
    notes: tuple[str, ...]


def summarise(
    cells: Sequence[Cell], metrics: Sequence[Metric], *, seen: Sequence[str] = (), resamples: int = 1000
) -> Summary:
    """Means, deviations, differences and intervals of the cells of one task.

    The average over languages is that of the languages' figures, taken within each seed. "seen" is over those
    languages of `seen` that were evaluated, and is left out where that is none or all of them.
    """
    if not cells:
        raise ConfigError("there is no cell to summarise", remedy="run the task first")
    model, baseline = ([cell.findings for cell in cells if cell.role == role] for role in (MODEL, BASELINE))
    languages = list(dict.fromkeys([*model[0].tables, *model[0].figures]))
    among = [language for language in languages if language in seen]
    groups = {"seen": among} if 0 < len(among) < len(languages) else {}
    if len(languages) > 1:
        groups["all"] = languages

    def row(members: Sequence[str]) -> dict[str, Figure]:
        known = [metric for metric in metrics if all(model[0].has(metric, member) for member in members)]
        return {metric.name: _figure(model, baseline, members, metric, resamples) for metric in known}

    return Summary(
        metrics=tuple(metrics),
        rows={language: row([language]) for language in languages},
        averages={name: row(members) for name, members in groups.items()},
        seeds=tuple(cell.seed for cell in cells if cell.role == MODEL),
        notes=tuple(dict.fromkeys(note for cell in cells for note in cell.findings.notes)),
    )


def _figure(
    model: Sequence[Findings],
    baseline: Sequence[Findings],
    members: Sequence[str],
    metric: Metric,
    resamples: int,
) -> Figure:
    ours, theirs = (_over_seeds(found, members, metric) for found in (model, baseline))
    mean = float(np.mean(ours))
    figure = Figure(mean, _deviation(ours), chance=_chance(model[0], members, metric))
    if len(theirs):
        other = float(np.mean(theirs))
        figure = replace(figure, baseline=other, baseline_std=_deviation(theirs), difference=mean - other)
    if metric.statistic is None or not metric.headline:
        return figure
    statistic = _mean_of_parts(metric.statistic, len(members))
    tables = [_joined(found, members, metric) for found in (model, baseline) if found]
    own = [bootstrap(table, statistic, resamples=resamples) for table in tables]
    figure = replace(figure, interval=(own[0].low, own[0].high))
    if not len(theirs):
        return figure
    found = compare(tables[0], tables[1], statistic, resamples=resamples)
    return replace(
        figure,
        low=found.difference.low,
        high=found.difference.high,
        p_value=found.p_value,
        baseline_interval=(own[1].low, own[1].high),
    )


def _chance(found: Findings, members: Sequence[str], metric: Metric) -> float | None:
    """The plain mean of what guessing gives in the members, where it is known of all."""
    known = [found.chance(metric, member) for member in members]
    return None if None in known else float(np.mean(known))  # type: ignore[arg-type]


def _over_seeds(found: Sequence[Findings], members: Sequence[str], metric: Metric) -> FloatArray:
    """(seeds,) the plain mean of the members' figures under each seed."""
    return np.array([np.mean([one.value(metric, member) for member in members]) for one in found])


def _joined(found: Sequence[Findings], members: Sequence[str], metric: Metric) -> FloatArray:
    """(items, languages * C) the members' tables side by side, added over the seeds.

    Languages with equally many items share their rows: the items of XNLI and XQuAD are translations of each
    other and must be drawn together. Rows of others stand below each other, zero in the columns of the rest.
    """
    tables = [np.sum([one.tables[member][metric.table] for one in found], axis=0) for member in members]
    if len({len(table) for table in tables}) == 1:
        return np.concatenate(tables, axis=1)
    return np.asarray(block_diag(*tables))


def _mean_of_parts(statistic: Statistic, parts: int) -> Statistic:
    """The mean of a statistic over equal blocks of columns."""
    return lambda sums: statistic(sums.reshape(*sums.shape[:-1], parts, -1)).mean(axis=-1)


def _deviation(values: FloatArray) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None
