"""What `otkit align` measures around a run, and the table it prints at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import AlignmentSettings
from otkit.data.gold import GoldSet
from otkit.data.views import PairCorpus
from otkit.encoders.encoder import resolve_layers
from otkit.encoders.torch import TorchEncoder
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table
from otkit.evaluation.retrieval import evaluate_retrieval
from otkit.training.card import FIGURES

if TYPE_CHECKING:
    from otkit.reports.tables import Table
    from otkit.training.forecast import Forecast
    from otkit.training.loop import Record

__all__ = ["PANELS", "Figures", "change_table", "draw_curve", "forecast_table"]

# The panels of the curve: what is better higher and what is better lower do not share one.
PANELS = {
    "held-out divergence (lower is better)": ["divergence"],
    "held-out sentence retrieval, accuracy@1 (higher is better)": ["retrieval"],
    "word-alignment error rate, AER (lower is better)": ["aer", "aer_trained"],
}


class Figures:
    """Retrieval on the held-out text and AER on the gold links, of the encoder as it is at the moment."""

    def __init__(
        self,
        encoder: TorchEncoder,
        dev: Sequence[PairCorpus],
        gold: Sequence[GoldSet],
        *,
        layers: tuple[int, ...],
        progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    ) -> None:
        self._encoder, self._dev, self._gold, self._progress = encoder, dev, gold, progress
        # Alignments are read where the encoder says they are best, which need not be where it is trained.
        self._aligners = {"aer": WordAligner(encoder)}
        trained = resolve_layers(layers, encoder.layers)
        if trained != encoder.settings.alignment_layers:
            self._aligners["aer_trained"] = WordAligner(encoder, AlignmentSettings(layers=trained))

    def __call__(self) -> Record:
        """Means over languages (retrieval: over both directions too), each in [0, 1]."""
        record: Record = {}
        self._encoder.eval()
        for name, aligner in self._aligners.items() if self._gold else ():
            scores, done = [], 0
            for gold in self._gold:
                self._progress("measuring word alignment", done, sum(map(len, self._gold)))
                scores.append(_aer(aligner, gold))
                done += len(gold)
            self._progress("measuring word alignment", done, done)
            record[name] = sum(scores) / len(scores)
        if self._dev:
            total = 2 * sum(map(len, self._dev))
            self._progress("measuring retrieval", 0, total)
            found = evaluate_retrieval(
                self._encoder,
                self._dev,
                progress=lambda done: self._progress("measuring retrieval", done, total),
            )
            self._progress("measuring retrieval", total, total)
            retrieval = [score.mean for score in found.values()]
            record["retrieval"] = sum(retrieval) / len(retrieval)
        return record


def _aer(aligner: WordAligner, gold: GoldSet) -> float:
    links = [
        {(link.source, link.target) for link in alignment.links}
        for alignment in aligner.align(((pair.source, pair.target) for pair in gold), plans=False)
    ]
    return float(ALIGNMENT_METRICS["aer"](alignment_table(links, gold).sum(0)))


def change_table(before: Record, after: Record, *, output: Path) -> Table:
    """The figures before and after, those that were measured."""
    from otkit.reports.tables import before_after

    rows: list[Any] = [
        (title, before[name], after[name], better)
        for name, (title, better) in FIGURES.items()
        if name in before and name in after
    ]
    return before_after(f"before and after: {output}", rows)


def draw_curve(history: Sequence[Record], path: Path, *, names: Sequence[str]) -> str | None:
    """The losses and the held-out figures over the steps as a picture; without matplotlib, what is missing."""
    from otkit.errors import MissingExtraError
    from otkit.reports.charts import write_curve

    losses = {f"loss {name}": [name] for name in names}
    try:
        write_curve(history, path, panels={**losses, **PANELS}, overwrite=True)
    except MissingExtraError as error:
        return f"no curve was drawn: {error}"
    return None


def forecast_table(plan: Forecast) -> Table:
    """The plan of a run that was not run."""
    from otkit.reports.tables import Column, Table

    return Table(
        title="the run as it would be",
        columns=(
            Column("file", kind="path"),
            Column("languages", drop=1),
            Column("pairs", kind="figure"),
            Column("visits of each in an epoch", digits=2),
        ),
        rows=tuple(
            (corpus.name, "-".join(corpus.languages), f"{corpus.pairs:,}", corpus.visits)
            for corpus in plan.corpora
        ),
        notes=(
            f"{plan.micro_steps_per_epoch:,} micro-steps an epoch, {plan.steps:,} optimiser steps",
            f"{plan.trained:,} of {plan.weights:,} weights trained (heads included)",
            f"about {plan.seconds / 60:,.1f} minutes without evaluations, {plan.memory_gb:.1f} GB of memory",
            f"{plan.batch_gb:.1f} GB of it for the longest batch: {plan.longest[0]} pairs of up to {plan.longest[1]} "
            f"and {plan.longest[2]} subwords",
            *(() if plan.slow is None else (plan.slow,)),
        ),
    )
