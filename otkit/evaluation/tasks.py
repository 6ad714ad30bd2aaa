"""Measurements as tasks of the protocol: those that need no fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from otkit.data.gold import GoldPair
from otkit.data.lines import skipped_note
from otkit.data.views import PairCorpus
from otkit.encoders.encoder import Encoder
from otkit.errors import InputError
from otkit.evaluation.codes import short_code
from otkit.evaluation.metrics import FloatArray, Statistic, accuracy_at, reciprocal_rank
from otkit.evaluation.mining import MiningConfig, MiningSet, evaluate_mining
from otkit.evaluation.protocol import Findings, Metric, Task, TaskObserver
from otkit.evaluation.retrieval import Direction, RetrievalConfig, RetrievalScores, evaluate_retrieval
from otkit.evaluation.word_retrieval import WordRetrievalConfig, evaluate_word_retrieval

__all__ = ["RETRIEVAL_METRICS", "mining_task", "retrieval_findings", "retrieval_task", "word_retrieval_task"]

_DEPTHS = (1, 5, 10)


def _mean_of(column: int) -> Statistic:
    return lambda sums: np.asarray(sums[..., column] / sums[..., -1])


_COLUMNS = (*(f"@{depth}" for depth in _DEPTHS), "MRR", "strong", "@1 equal")


def _direction_metrics(name: str) -> tuple[Metric, ...]:
    means = [
        Metric(f"{name} {column}", _mean_of(place), table=name, headline=column == "@1", group=name)
        for place, column in enumerate(_COLUMNS)
    ]
    return (*means, Metric(f"{name} repeated", better="none", headline=False, group=name, digits=0))


RETRIEVAL_METRICS: tuple[Metric, ...] = (
    *_direction_metrics("forward"),
    *_direction_metrics("backward"),
    Metric("matched", headline=False, better="none", group="space"),
    Metric("random", headline=False, better="none", group="space"),
    Metric("gap", headline=False, group="space"),
    Metric("isotropy", headline=False, group="space"),
    Metric("hubness forward", headline=False, better="lower", group="space"),
    Metric("hubness backward", headline=False, better="lower", group="space"),
    Metric("index recall", headline=False, group="space"),
)

_SPACE_NOTE = (
    "forward: from the row's language; strong: also nearer than every sentence of the query's own language; "
    "matched, random: mean cosine of translations and of other pairs, gap their difference; isotropy: 1 - "
    "mean cosine within a language; hubness: skewness of 10-occurrence, 0 is even"
)
_EQUAL_NOTE = (
    "repeated: targets that occur twice or more; @1 wants the one of the query's own line, "
    "@1 equal takes any of them"
)


def retrieval_task(corpora: Sequence[PairCorpus], config: RetrievalConfig) -> Task:
    """Sentence retrieval of line-aligned files, one language each."""

    def run(encoder: Encoder, seed: int, folder: Path, observer: TaskObserver) -> Findings:
        total = 2 * sum(map(len, corpora))
        scores = evaluate_retrieval(
            encoder, corpora, config=config, progress=lambda done: observer.progress("retrieval", done, total)
        )
        return retrieval_findings(scores)

    return Task(
        name="retrieval",
        metrics=RETRIEVAL_METRICS,
        run=run,
        fingerprint={
            "config": asdict(config),
            "columns": _COLUMNS,
            "data": {corpus.name: corpus.sha256 for corpus in corpora},
        },
    )


def retrieval_findings(scores: Mapping[str, RetrievalScores]) -> Findings:
    """Scores by language as tables and numbers of the protocol."""
    names = {language: short_code(language) for language in scores}
    skipped = sum(score.skipped for score in scores.values())
    notes = [_SPACE_NOTE, _EQUAL_NOTE, "averages weigh every language alike"]
    if skipped:
        notes.append(f"{skipped} lines were skipped")
    return Findings(
        tables={
            names[language]: {"forward": _table(score.forward), "backward": _table(score.backward)}
            for language, score in scores.items()
        },
        figures={names[language]: _numbers(score) for language, score in scores.items()},
        notes=tuple(notes),
    )


def _table(direction: Direction) -> FloatArray:
    """(N, 7): hits within 1, 5 and 10, reciprocal rank, strong hit, equal hit, and one."""
    ranks = direction.ranks
    columns = [
        *(accuracy_at(ranks, depth) for depth in _DEPTHS),
        reciprocal_rank(ranks),
        direction.strong,
        direction.equal,
        np.ones(len(ranks)),
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def _numbers(score: RetrievalScores) -> dict[str, float]:
    """What is no mean over queries."""
    figures = {
        "forward repeated": score.forward.repeated,
        "backward repeated": score.backward.repeated,
        "matched": score.matched,
        "random": score.random,
        "gap": score.gap,
        "isotropy": score.isotropy,
        "hubness forward": score.forward.hubness,
        "hubness backward": score.backward.hubness,
    }
    return figures if score.recall is None else {**figures, "index recall": score.recall}


def word_retrieval_task(
    sets: Mapping[str, tuple[Sequence[GoldPair], str]],
    config: WordRetrievalConfig,
    *,
    notes: Sequence[str] = (),
) -> Task:
    """Contextual word retrieval: sets[language] = (linked pairs, hash of the data)."""

    def run(encoder: Encoder, seed: int, folder: Path, observer: TaskObserver) -> Findings:
        total = 2 * sum(len(pairs) for pairs, _ in sets.values())
        scores, before = {}, 0
        for language, (pairs, _) in sets.items():

            def step(done: int, start: int = before) -> None:
                observer.progress("word retrieval", start + done, total)

            scores[language] = evaluate_word_retrieval(encoder, pairs, config=config, progress=step)
            before += 2 * len(pairs)
        findings = retrieval_findings(scores)
        counts = ", ".join(f"{language} {score.count}" for language, score in scores.items())
        return Findings(
            findings.tables,
            findings.figures,
            (
                *notes,
                f"words with exactly one sure link: {counts}; equal are the words at one place of equal sentences",
                *findings.notes,
            ),
        )

    return Task(
        name="word-retrieval",
        metrics=RETRIEVAL_METRICS,
        run=run,
        fingerprint={
            "config": asdict(config),
            "columns": _COLUMNS,
            "data": {language: digest for language, (_, digest) in sets.items()},
        },
    )


_MINING_METRICS = (
    *(Metric(name) for name in ("F1", "precision", "recall")),
    Metric("F1 equal", headline=False),
    Metric("repeated", headline=False, better="none", digits=0),
    *(Metric(name, headline=False) for name in ("threshold", "dev F1")),
)


def mining_task(sets: Mapping[str, MiningSet], config: MiningConfig) -> Task:
    """Bitext mining with gold, the threshold chosen on a dev part."""
    if not sets:
        raise InputError("there is nothing to mine in", remedy="give two collections and their gold pairs")

    def run(encoder: Encoder, seed: int, folder: Path, observer: TaskObserver) -> Findings:
        figures: dict[str, dict[str, float]] = {}
        for language, data in sets.items():
            total = len(data.source) + len(data.target)
            scores = evaluate_mining(
                encoder,
                data,
                config=config,
                progress=lambda done, total=total: observer.progress("mining", done, total),  # type: ignore[misc]
            )
            figures[language] = {
                "F1": scores.f1,
                "precision": scores.precision,
                "recall": scores.recall,
                "F1 equal": scores.equal_f1,
                "repeated": scores.repeated,
                "threshold": scores.threshold,
                "dev F1": scores.dev_f1,
            }
        share = f"{config.dev_share:.0%}"
        notes = [
            f"the threshold was chosen on {share} of the source sentences; the figures are of the others",
            "repeated: sentences of both collections that occur twice or more; F1 equal: a pair of sentences equal "
            "to a gold pair counts as right",
        ]
        notes += [skipped_note(data.bad, data.skipped) for data in sets.values() if data.skipped]
        return Findings(tables={}, figures=figures, notes=tuple(notes))

    return Task(
        name="mining",
        metrics=_MINING_METRICS,
        run=run,
        fingerprint={
            "config": asdict(config),
            "metrics": [metric.name for metric in _MINING_METRICS],
            "data": {language: data.sha256 for language, data in sets.items()},
        },
    )
