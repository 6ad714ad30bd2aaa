"""Translation errors as a task of the protocol: a row a direction, intervals and classes as notes."""

from __future__ import annotations

import math
from pathlib import Path

from otkit.alignment.settings import OTHER_DESIGNS, CheckSettings
from otkit.data.halomi import CLASSES, JudgedSet
from otkit.data.lines import skipped_note
from otkit.encoders.encoder import Encoder
from otkit.evaluation.protocol import Findings, Metric, Task, TaskObserver
from otkit.evaluation.significance import Interval
from otkit.evaluation.translation_errors import (
    BASELINES,
    ERRORS,
    OURS,
    ErrorTask,
    evaluate_translation_errors,
)

__all__ = ["ERROR_METRICS", "translation_errors_task"]


def _metrics(error: str) -> tuple[Metric, ...]:
    compared = [Metric(f"{error} {name}", headline=name == OURS, group=error) for name in (OURS, *BASELINES)]
    own = [Metric(f"{error} {name}", headline=False, group=error) for name in ("order", "words")]
    group = f"{error}, null designs:"
    others = [Metric(f"{group} {name}", headline=False, group=group) for name in OTHER_DESIGNS]
    return (*compared, *own, *others)


ERROR_METRICS = tuple(metric for error in ERRORS for metric in _metrics(error))


def translation_errors_task(data: JudgedSet, config: CheckSettings) -> Task:
    """Areas under the ROC curve of the check and of its baselines, the pairwise order, and words."""

    def run(encoder: Encoder, seed: int, folder: Path, observer: TaskObserver) -> Findings:
        total = len(data.items)
        scores = evaluate_translation_errors(
            encoder,
            data.items,
            config=config,
            progress=lambda done: observer.progress("translation errors", done, total),
        )
        figures: dict[str, dict[str, float]] = {}
        notes = [
            f"{total} translations; check, cosine (1 - that of sentence vectors), OT value and <P,C> (balanced "
            "transport): area under the ROC curve of any error against none; order: share of pairs of different "
            "class that check puts in order; words: area of marked words against the others",
            "omission is scored on translations without hallucination; a direction needs items of both kinds",
        ]
        if data.skipped:
            notes.append(skipped_note(data.bad, data.skipped))
        if data.unmarked:
            notes.append(f"{data.unmarked} texts differ from their marked copies: their words are not scored")
        for error, task in scores.tasks.items():
            for direction in task.names:
                row = _row(error, task, direction)
                figures.setdefault(direction, {}).update(row)
            notes += _notes(error, task)
        return Findings(tables={}, figures=figures, notes=tuple(notes))

    return Task(
        name="translation-errors",
        metrics=ERROR_METRICS,
        run=run,
        fingerprint={"config": config.to_dict(), "data": {data.name: data.sha256}},
    )


def _row(error: str, task: ErrorTask, direction: str) -> dict[str, float]:
    row = {f"{error} {name}": task.auc(name, direction=direction) for name in (OURS, *BASELINES)}
    row[f"{error} order"] = task.order(OURS, direction=direction)
    row[f"{error} words"] = task.words(OURS, direction=direction)
    for name in OTHER_DESIGNS:
        row[f"{error}, null designs: {name}"] = task.auc(name, direction=direction)
    return {name: value for name, value in row.items() if not math.isnan(value)}


def _notes(error: str, task: ErrorTask) -> list[str]:
    """Intervals of the mean over directions and over all items, and the classes."""
    if not task.names:
        return [f"{error}: no direction has items both with and without it"]
    leads = [f"{name} by {_text(task.mean(OURS, against=name), '+')}" for name in BASELINES]
    classes = [
        f"{CLASSES[severity]} {_text(task.pooled(OURS, severity=severity))}"
        for severity in (2, 3, 4)
        if (task.classes == severity).any()
    ]
    return [
        f"{error}, mean of directions: check {_text(task.mean(OURS))}, ahead of {', of '.join(leads)}",
        f"{error}, all directions together: check {_text(task.pooled(OURS))}; by class: {', '.join(classes)}",
    ]


def _text(found: Interval, sign: str = "") -> str:
    return f"{found.value:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"
