"""How good projected labels are: spans as seqeval counts them, answers as SQuAD does, with bootstrap intervals.

A span is right if its label and both its ends are (CoNLL 2003). The table has a row for each sentence (right,
projected, gold), so that a resample draws sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from otkit.errors import InputError
from otkit.evaluation.answers import mlqa_score, squad_score
from otkit.evaluation.metrics import FloatArray
from otkit.evaluation.significance import Interval, bootstrap
from otkit.projection.conll import read_conll_labels
from otkit.projection.squad import read_answers

__all__ = ["ProjectionScores", "answer_scores", "score_files", "span_scores"]

Spans = Sequence[tuple[str, int, int]]


@dataclass(frozen=True)
class ProjectionScores:
    """Figures in [0, 1] with their intervals, by name; `labels` by label where there are any; `count` of sentences or
    questions."""

    figures: Mapping[str, Interval]
    labels: Mapping[str, Mapping[str, float]]
    count: int


def span_scores(
    projected: Sequence[Spans], gold: Sequence[Spans], *, resamples: int = 1000, seed: int = 0
) -> ProjectionScores:
    """Micro-averaged precision, recall and F1 of spans, as seqeval's default; 0 where nothing is there to divide by."""
    if len(projected) != len(gold):
        raise InputError(
            f"there are {len(projected)} projected sentences and {len(gold)} gold ones",
            remedy="score the same sentences",
        )
    table = np.array(
        [_counts(ours, theirs) for ours, theirs in zip(projected, gold, strict=True)], dtype=float
    )
    figures = {
        name: bootstrap(table, statistic, resamples=resamples, seed=seed)
        for name, statistic in (("precision", _precision), ("recall", _recall), ("f1", _f1))
    }
    kinds = sorted({span[0] for sentence in (*projected, *gold) for span in sentence})
    labels = {}
    for kind in kinds:
        sums = np.sum(
            [
                _counts([s for s in ours if s[0] == kind], [s for s in theirs if s[0] == kind])
                for ours, theirs in zip(projected, gold, strict=True)
            ],
            axis=0,
        ).astype(float)
        labels[kind] = {
            "precision": float(_precision(sums)),
            "recall": float(_recall(sums)),
            "f1": float(_f1(sums)),
            "gold": float(sums[2]),
        }
    return ProjectionScores(figures, labels, len(gold))


def _counts(ours: Spans, theirs: Spans) -> tuple[int, int, int]:
    mine, wanted = set(ours), set(theirs)
    return len(mine & wanted), len(mine), len(wanted)


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    ratio: NDArray[np.float64] = np.divide(
        above, below, out=np.zeros_like(np.asarray(above, dtype=np.float64)), where=np.asarray(below) > 0
    )
    return ratio


def _mean(sums: FloatArray) -> FloatArray:
    return _ratio(sums[..., 0], sums[..., 1])


def _precision(sums: FloatArray) -> FloatArray:
    return _ratio(sums[..., 0], sums[..., 1])


def _recall(sums: FloatArray) -> FloatArray:
    return _ratio(sums[..., 0], sums[..., 2])


def _f1(sums: FloatArray) -> FloatArray:
    return _ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def answer_scores(
    projected: Mapping[str, str],
    gold: Mapping[str, Sequence[str]],
    *,
    language: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> ProjectionScores:
    """Exact match and F1 of answers by question, normalised as SQuAD does; with a language as MLQA does too. A question
    without an answer counts as wrong."""
    if not gold:
        raise InputError("there are no gold answers", remedy="give a file with answers")
    rows = []
    for name, answers in gold.items():
        plain = squad_score(projected.get(name, ""), answers)
        row = [plain.exact, plain.f1]
        if language is not None:
            other = mlqa_score(projected.get(name, ""), answers, language=language)
            row += [other.exact, other.f1]
        rows.append([*row, 1.0])
    table = np.array(rows)
    names = ["exact", "f1", *(["mlqa exact", "mlqa f1"] if language is not None else [])]
    figures = {
        name: bootstrap(table[:, [at, -1]], _mean, resamples=resamples, seed=seed)
        for at, name in enumerate(names)
    }
    return ProjectionScores(figures, {}, len(rows))


def score_files(
    projected: str | Path,
    gold: str | Path,
    *,
    column: int = -1,
    language: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> ProjectionScores:
    """The scores of a projected file against a gold one of the same form: CoNLL, or SQuAD where both end in .json."""
    if str(gold).removesuffix(".gz").endswith(".json"):
        wanted = read_answers(gold)
        found = {name: answers[0] for name, answers in read_answers(projected).items() if answers}
        kept = {name: answers for name, answers in wanted.items() if answers}
        return answer_scores(found, kept, language=language, resamples=resamples, seed=seed)
    ours, theirs = read_conll_labels(projected, column), read_conll_labels(gold, column)
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if one.words != other.words:
            raise InputError(
                f"sentence {number} has {one.words} words, and {other.words} in {gold}",
                where=str(projected),
                remedy="score the same sentences",
            )
    return span_scores(
        [one.spans for one in ours], [one.spans for one in theirs], resamples=resamples, seed=seed
    )
