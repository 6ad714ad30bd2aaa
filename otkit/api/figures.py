"""What a training run measures of its encoder beside the divergence, and the curve that it draws of all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from otkit.alignment.aligner import WordAligner
from otkit.alignment.layers import CHOOSES, layer_curves, pair_words
from otkit.data.gold import GoldSet, languages_of_gold
from otkit.data.views import PairCorpus, names_of
from otkit.encoders.encoder import resolve_layers
from otkit.encoders.torch import TorchEncoder
from otkit.errors import MissingExtraError
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table
from otkit.evaluation.retrieval import evaluate_retrieval
from otkit.reports.curves import CurvePanel, write_curve
from otkit.training.recipe import Recipe
from otkit.training.records import Record

__all__ = ["CURVE_PANELS", "Figures", "draw_curve"]

CURVE_PANELS = (
    CurvePanel("held-out divergence", "lower", {"divergence": "mean of languages"}, "divergence"),
    CurvePanel(
        "held-out sentence retrieval, accuracy@1",
        "higher",
        {"retrieval": "mean of languages"},
        "retrieval",
        share=True,
    ),
    CurvePanel(
        "held-out words that are each other's nearest", "higher", {"score": "all languages"}, share=True
    ),
    CurvePanel(
        "word-alignment error rate, AER",
        "lower",
        {"aer": "mean of languages", "aer_trained": "mean, trained layers"},
        "aer",
        share=True,
    ),
)
"""The panels of a run's curve: what is better higher and what is better lower do not share one."""


class Figures:
    """Retrieval on held-out text and AER on gold links, of the encoder as it is at the moment."""

    def __init__(
        self,
        encoder: TorchEncoder,
        dev: Sequence[PairCorpus],
        gold: Sequence[GoldSet],
        recipe: Recipe,
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._encoder, self._dev, self._gold, self._progress = encoder, dev, gold, progress
        self._scores = recipe.training.select == "score"
        # Alignments are read where the encoder says they are best, which need not be where it is trained.
        self._aligners = {"aer": WordAligner(encoder, recipe.alignment)}
        trained = resolve_layers(recipe.objective.compared, encoder.layers)
        if trained != encoder.settings.alignment_layers:
            self._aligners["aer_trained"] = WordAligner(encoder, replace(recipe.alignment, layers=trained))

    def __call__(self) -> Record:
        """Means over languages (retrieval: over both directions too), each in [0, 1], and `NAME/LANGUAGE` of each; the
        score where it selects."""
        record: Record = {}
        self._encoder.eval()
        for name, aligner in self._aligners.items() if self._gold else ():
            scores: dict[str, float] = {}
            done = 0
            names = names_of([(_language(gold), gold.name) for gold in self._gold])
            for name_of_gold, gold in zip(names, self._gold, strict=True):
                self._progress("measuring word alignment", done, sum(map(len, self._gold)))
                scores[name_of_gold] = _aer(aligner, gold)
                done += len(gold)
            self._progress("measuring word alignment", done, done)
            record[name] = sum(scores.values()) / len(scores)
            if name == "aer" and len(scores) > 1:
                record |= {f"{name}/{language}": score for language, score in scores.items()}
        if self._dev:
            total = 2 * sum(map(len, self._dev))
            self._progress("measuring retrieval", 0, total)
            found = evaluate_retrieval(
                self._encoder,
                self._dev,
                on_error="skip",  # too long a pair is left out, as in the divergence
                names=names_of([(corpus.languages[0], corpus.name) for corpus in self._dev]),
                progress=lambda done: self._progress("measuring retrieval", done, total),
            )
            self._progress("measuring retrieval", total, total)
            record["retrieval"] = sum(score.mean for score in found.values()) / len(found)
            if len(found) > 1:
                record |= {f"retrieval/{language}": score.mean for language, score in found.items()}
        if self._dev and self._scores:
            record["score"] = self._score()
        return record

    def _score(self) -> float:
        """The share of held-out words that are each other's nearest, where the encoder says they are aligned best."""
        total = sum(map(len, self._dev))
        self._progress("measuring nearest words", 0, total)
        layers = self._aligners["aer"].layers
        texts = {
            corpus.name: list(pair_words(corpus[index] for index in range(len(corpus))))
            for corpus in self._dev
        }
        found = layer_curves(
            self._encoder,
            texts,
            layers=[layers],
            languages={corpus.name: corpus.languages for corpus in self._dev},
            progress=lambda done: self._progress("measuring nearest words", done, total),
        )
        return found[CHOOSES][0]


def _language(gold: GoldSet) -> str:
    """The language that is not English, or what the file is called."""
    languages = languages_of_gold(gold) or (Path(gold.name).name, "en")
    return languages[languages[0] == "en"]


def _aer(aligner: WordAligner, gold: GoldSet) -> float:
    aligner.languages = languages_of_gold(gold)
    links = [
        {(link.source, link.target) for link in alignment.links}
        for alignment in aligner.align(((pair.source, pair.target) for pair in gold), plans=False)
    ]
    return float(ALIGNMENT_METRICS["aer"](alignment_table(links, gold).sum(0)))


def draw_curve(history: Sequence[Record], folder: Path, losses: Sequence[tuple[str, float]]) -> str | None:
    """The losses and the figures over the steps as `curve.png`; without matplotlib, what is missing."""
    first = [
        CurvePanel(f"loss {name}, before its weight of {weight:g}", "lower", {}, name, by_step=True)
        for name, weight in losses
    ]
    try:
        write_curve(history, folder / "curve.png", panels=[*first, *CURVE_PANELS], overwrite=True)
    except MissingExtraError as error:
        return f"no curve was drawn: {error}"
    return None
