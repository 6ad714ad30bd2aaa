"""What `otkit align` measures around a run, and the table it prints at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otkit.data.gold import GoldSet
from otkit.data.views import PairCorpus
from otkit.encoders.encoder import TorchEncoder, resolve_layers
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table
from otkit.evaluation.retrieval import evaluate_retrieval
from otkit.extraction.aligner import AlignerConfig, WordAligner

if TYPE_CHECKING:
    from rich.console import RenderableType

    from otkit.training.forecast import Forecast
    from otkit.training.loop import Record

__all__ = ["Figures", "change_table", "draw_curve", "forecast_table"]

# How a figure is called in the table, and which way is better.
_SHOWN = {
    "divergence": ("held-out Sinkhorn divergence", "lower"),
    "aer": ("word-alignment AER", "lower"),
    "aer_trained": ("word-alignment AER of the trained layers", "lower"),
    "retrieval": ("sentence retrieval, accuracy@1", "higher"),
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
    ) -> None:
        self._encoder, self._dev, self._gold = encoder, dev, gold
        # Alignments are read where the encoder says they are best, which need not be where it is trained.
        self._aligners = {"aer": WordAligner(encoder)}
        trained = resolve_layers(layers, encoder.layers)
        if trained != encoder.settings.alignment_layers:
            self._aligners["aer_trained"] = WordAligner(encoder, AlignerConfig(layers=trained))

    def __call__(self) -> Record:
        """Means over languages (retrieval: over both directions too), each in [0, 1]."""
        record: Record = {}
        self._encoder.eval()
        for name, aligner in self._aligners.items() if self._gold else ():
            scores = [_aer(aligner, gold) for gold in self._gold]
            record[name] = sum(scores) / len(scores)
        if self._dev:
            retrieval = [score.mean for score in evaluate_retrieval(self._encoder, self._dev).values()]
            record["retrieval"] = sum(retrieval) / len(retrieval)
        return record


def _aer(aligner: WordAligner, gold: GoldSet) -> float:
    links = [
        {(link.source, link.target) for link in alignment.links}
        for alignment in aligner.align(((pair.source, pair.target) for pair in gold), plans=False)
    ]
    return float(ALIGNMENT_METRICS["aer"](alignment_table(links, gold).sum(0)))


def change_table(before: Record, after: Record, *, output: Path) -> RenderableType:
    """The figures before and after, those that were measured."""
    from otkit.report.tables import before_after

    rows: list[Any] = [
        (title, before[name], after[name], better)
        for name, (title, better) in _SHOWN.items()
        if name in before and name in after
    ]
    return before_after(f"before and after: {output}", rows)


def draw_curve(history: Sequence[Record], path: Path, *, names: Sequence[str]) -> str | None:
    """The losses and the held-out figures over the steps as a picture; without matplotlib, what is missing."""
    from otkit.errors import MissingExtraError
    from otkit.report.curve import write_curve

    held_out = {"held-out divergence": ["divergence"], "held-out accuracy": ["retrieval", "aer"]}
    losses = {f"loss {name}": [name] for name in names}
    try:
        write_curve(history, path, panels={**losses, **held_out}, overwrite=True)
    except MissingExtraError as error:
        return f"no curve was drawn: {error}"
    return None


def forecast_table(plan: Forecast) -> RenderableType:
    """The plan of a run that was not run."""
    from rich.console import Group
    from rich.table import Table

    table = Table("file", "languages", "pairs", "visits of each in an epoch")
    for corpus in plan.corpora:
        table.add_row(corpus.name, "-".join(corpus.languages), f"{corpus.pairs:,}", f"{corpus.visits:.2f}")
    lines = (
        f"{plan.micro_steps_per_epoch:,} micro-steps an epoch, {plan.steps:,} optimiser steps",
        f"{plan.trained:,} of {plan.weights:,} weights trained (heads included)",
        f"about {plan.seconds / 60:,.1f} minutes without evaluations, {plan.memory_gb:.1f} GB of memory",
    )
    return Group(table, *lines, *([] if plan.slow is None else [plan.slow]))
