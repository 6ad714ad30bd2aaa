"""Scores of translations against people's judgements of hallucination and omission, beside plain baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from otkit.alignment.checking import TranslationChecker, mean_score
from otkit.alignment.links import by_size
from otkit.alignment.settings import OTHER_DESIGNS, CheckSettings
from otkit.alignment.store import UnitStore, averaged, encode_layers, tokenise
from otkit.data.halomi import CLASSES, JudgedSet, JudgedTranslation, Spans
from otkit.data.lines import skipped_note, words_of
from otkit.data.segmentation import segments
from otkit.encoders.encoder import Encoder, resolve_layers
from otkit.encoders.pooling import centred
from otkit.encoders.sentences import encode_sentences, token_states
from otkit.encoders.soundness import refuse_not_finite
from otkit.errors import InputError
from otkit.evaluation.metrics import FloatArray
from otkit.evaluation.protocol import Findings, Metric, Progress, Task
from otkit.evaluation.significance import Interval, Ordering, area, intervals, pairwise_order, resampled
from otkit.transport.config import SinkhornConfig
from otkit.transport.cost import mean_cost, pairwise_cost
from otkit.transport.sinkhorn import sinkhorn

__all__ = [
    "BASELINES",
    "ERRORS",
    "ERROR_METRICS",
    "OURS",
    "ErrorScores",
    "ErrorTask",
    "evaluate_translation_errors",
    "translation_errors_task",
]

ERRORS = ("hallucination", "omission")
OURS = "check"
BASELINES = COSINE, VALUE, COST = ("cosine", "OT value", "<P,C>")
_WINDOW = 256  # pairs encoded at a time


@dataclass(frozen=True, eq=False)
class ErrorTask:
    """One kind of error over n items: classes (n,), directions, the scores (n,) of each system, and word
    marks and scores end to end with the direction of each."""

    classes: np.ndarray
    directions: np.ndarray
    scores: Mapping[str, FloatArray]
    word_marks: np.ndarray
    word_directions: np.ndarray
    word_scores: Mapping[str, FloatArray]

    def auc(self, system: str, *, direction: str | None = None, severity: int | None = None) -> float:
        """Of any error against none; of one class against none where `severity` is given. All directions
        together, or one."""
        ordering, _ = self._area(system, direction, severity)
        return float(ordering.share())

    def _area(self, system: str, direction: str | None, severity: int | None) -> tuple[Ordering, np.ndarray]:
        keep = np.ones(len(self.classes), bool) if direction is None else self.directions == direction
        if severity is not None:
            keep &= (self.classes == 1) | (self.classes == severity)
        (places,) = keep.nonzero()
        return area(self.classes[places] > 1, self.scores[system][places]), places

    def order(self, system: str, *, direction: str | None = None) -> float:
        """The pairwise order over all four classes."""
        keep = slice(None) if direction is None else self.directions == direction
        return float(pairwise_order(self.classes[keep], self.scores[system][keep]).share())

    def words(self, system: str, *, direction: str | None = None) -> float:
        """The area under the ROC curve of marked against unmarked words; NaN where none is marked."""
        keep = slice(None) if direction is None else self.word_directions == direction
        marks, scores = self.word_marks[keep], self.word_scores[system][keep]
        return _rank_area(marks, scores)

    def pooled(self, system: str, *, against: str | None = None, severity: int | None = None) -> Interval:
        """The area over all directions together, or its lead over another system, with a paired bootstrap
        interval over items."""
        ordering, places = self._area(system, None, severity)
        other = None if against is None else self._area(against, None, severity)[0]
        (weights,) = resampled([places], 500, 0)
        value, draws = ordering.share(), ordering.share(weights)
        if other is not None:
            value, draws = value - other.share(), draws - other.share(weights)
        return intervals(value, draws)

    def mean(self, system: str, *, against: str | None = None, order: bool = False) -> Interval:
        """The same for the plain mean over directions, items drawn within each."""
        groups = [np.flatnonzero(self.directions == name) for name in self.names]
        weights = resampled(groups, 1000, 0)
        make = pairwise_order if order else lambda classes, scores: area(classes > 1, scores)

        def figures(name: str) -> tuple[FloatArray, FloatArray]:
            found = [make(self.classes[group], self.scores[name][group]) for group in groups]
            draws = [one.share(weight) for one, weight in zip(found, weights, strict=True)]
            return np.array([one.share() for one in found]), np.stack(draws)

        values, draws = figures(system)
        if against is not None:
            theirs = figures(against)
            values, draws = values - theirs[0], draws - theirs[1]
        return intervals(_known_mean(values), _known_mean(draws))

    @property
    def names(self) -> list[str]:
        """Directions with items both with and without the error, sorted."""
        found = sorted(set(self.directions.tolist()))
        return [name for name in found if len(set((self.classes[self.directions == name] > 1).tolist())) == 2]


@dataclass(frozen=True)
class ErrorScores:
    """Hallucination over all items; omission over those without a hallucination, as OTTAWA scores it."""

    tasks: Mapping[str, ErrorTask]


def evaluate_translation_errors(
    encoder: Encoder,
    items: Sequence[JudgedTranslation],
    *,
    config: CheckSettings | None = None,
    more: Mapping[str, CheckSettings] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> ErrorScores:
    """The check with `config` as `check`, other designs and `more` under their names, and three baselines: cosine
    of sentence vectors, the entropic balanced transport cost at the alignment layers, and its <P, C>.

    Raw text: words are found by a segmenter, and a word is marked where a marked span touches it.
    """
    if not items:
        raise InputError("there is no judged translation", remedy="give a file with at least one")
    named = {OURS: config or CheckSettings(), **OTHER_DESIGNS, **(more or {})}
    checkers = {name: TranslationChecker(encoder, one) for name, one in named.items()}
    for checker in checkers.values():
        if checker.layers == checkers[OURS].layers:
            checker.share_prices(checkers[OURS])
    ours = resolve_layers(encoder.settings.alignment_layers, encoder.layers)
    cut = [(segments(item.source, "icu"), segments(item.target, "icu")) for item in items]
    words = [tuple(word.text for word in side) for pair in cut for side in pair]
    languages = [language for item in items for language in item.languages]
    sides: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in named}
    plain: dict[str, list[FloatArray]] = {COSINE: [], VALUE: [], COST: []}
    for first in range(0, len(items), _WINDOW):
        part = words[2 * first : 2 * (first + _WINDOW)]
        spoken = encoder.subwords.known(languages[2 * first : 2 * (first + _WINDOW)])
        with torch.inference_mode():
            stores = _encode(
                encoder, part, spoken, {*ours, *(layer for one in checkers.values() for layer in one.layers)}
            )
            for name, checker in checkers.items():
                sides[name] += checker.check_store(averaged([stores[layer] for layer in checker.layers]))
            value, linear = _balanced(averaged([stores[layer] for layer in ours]))
            plain[VALUE].append(value)
            plain[COST].append(linear)
            texts = [item for one in items[first : first + _WINDOW] for item in (one.source, one.target)]
            vectors = _sentences(encoder, texts, spoken)
            plain[COSINE].append(1 - (vectors[0::2] * vectors[1::2]).sum(1))
        progress(min(first + _WINDOW, len(items)))
    baselines = {name: np.concatenate(parts) for name, parts in plain.items()}
    return ErrorScores({error: _task(error, items, cut, sides, baselines) for error in ERRORS})


def _encode(
    encoder: Encoder, words: Sequence[tuple[str, ...]], spoken: Sequence[str | None], layers: Collection[int]
) -> dict[int, UnitStore]:
    """One pass through the encoder for every layer that somebody asks for."""
    asked = sorted(layers)
    stores = encode_layers(
        encoder,
        tokenise(encoder, words, languages=spoken),
        layers=asked,
        unit="word",
        word_vector="mean",
        batch_tokens=1024,
    )
    return dict(zip(asked, stores, strict=True))


def _balanced(store: UnitStore) -> tuple[FloatArray, FloatArray]:
    """(pairs,) the value of balanced transport between the centred words, and <P, C> of its plan."""
    sizes = store.counts.view(-1, 2).cpu().numpy()
    value, linear = (np.zeros(len(sizes)) for _ in range(2))
    for members in by_size(sizes):
        rows = torch.from_numpy(members).to(store.counts.device)
        source, target = store.gather(2 * rows), store.gather(2 * rows + 1)
        n, m = source.mask, target.mask
        cost = pairwise_cost(*centred(source.vectors, target.vectors, n, m), cost="cosine")
        a, b = (side.float() / side.sum(1, keepdim=True).clamp(min=1) for side in (n, m))
        epsilon = 0.05 * mean_cost(cost, n[:, :, None] & m[:, None, :])
        plan = sinkhorn(cost, a, b, config=SinkhornConfig(tolerance=1e-3), epsilon=epsilon)
        value[members], linear[members] = plan.value.cpu().numpy(), plan.linear_value.cpu().numpy()
    return value, linear


def _sentences(encoder: Encoder, texts: Sequence[str], spoken: Sequence[str | None]) -> FloatArray:
    """(n, D) L2-normalised vectors of texts of any length."""
    words = [words_of(text) for text in texts]
    lengths = encoder.subwords.encode_texts(texts, prefix=encoder.settings.prefix).lengths
    fits = (lengths <= encoder.settings.most_tokens(encoder.max_tokens)).tolist()
    vectors = np.zeros((len(texts), encoder.sentence_dimension))
    short = [place for place, fit in enumerate(fits) if fit]
    vectors[short] = encode_sentences(
        encoder, [texts[place] for place in short], languages=[spoken[place] for place in short]
    )
    for place in np.flatnonzero(~np.array(fits)).tolist():
        tokens = encoder.subwords.encode([words[place]], prefix=encoder.settings.prefix)
        tokens = encoder.subwords.in_languages(tokens, spoken[place])
        (states,) = token_states(encoder, tokens, layers=[encoder.layers])
        pooled = encoder.pool(states, tokens)
        refuse_not_finite(pooled, encoder, "a sentence vector")
        vectors[place] = pooled[0].float().cpu().numpy()
    return vectors


def _task(
    error: str,
    items: Sequence[JudgedTranslation],
    cut: Sequence[tuple[Sequence[tuple[str, int, int]], ...]],
    sides: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]],
    baselines: Mapping[str, FloatArray],
) -> ErrorTask:
    side = 0 if error == "omission" else 1
    kept = [k for k, item in enumerate(items) if error == "hallucination" or item.hallucination == 1]
    scores = {name: np.array([mean_score(found[k][side]) for k in kept]) for name, found in sides.items()} | {
        name: values[kept] for name, values in baselines.items()
    }
    spans = {k: (items[k].source_spans, items[k].target_spans)[side] for k in kept}
    marked = [k for k in kept if spans[k] is not None]
    marks = [_marks(cut[k][side], spans[k] or ()) for k in marked]
    directions = np.array([item.direction for item in items])
    return ErrorTask(
        classes=np.array([getattr(items[k], error) for k in kept]),
        directions=directions[kept],
        scores=scores,
        word_marks=np.concatenate([np.zeros(0, bool), *marks]),
        word_directions=np.repeat(directions[marked], [len(each) for each in marks]),
        word_scores={
            name: np.concatenate([np.zeros(0), *(found[k][side] for k in marked)])
            for name, found in sides.items()
        },
    )


def _known_mean(values: FloatArray) -> FloatArray:
    """Mean over the first axis, numbers alone; NaN where a resample left both classes in no direction."""
    known = ~np.isnan(values)
    count = known.sum(0)
    return np.asarray(np.where(known, values, 0.0).sum(0) / np.where(count > 0, count, np.nan))


def _marks(words: Sequence[tuple[str, int, int]], spans: Spans) -> np.ndarray:
    """(W,) whether a span touches each word."""
    return np.array([any(a < end and start < b for a, b in spans) for _, start, end in words], dtype=bool)


def _rank_area(marks: np.ndarray, scores: FloatArray) -> float:
    """The area from ranks: words are too many for a matrix of their pairs."""
    from scipy.stats import rankdata

    positive = int(marks.sum())
    negative = len(marks) - positive
    if not positive or not negative:
        return float("nan")
    return float((rankdata(scores)[marks].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _metrics_of(error: str) -> tuple[Metric, ...]:
    compared = [
        Metric(f"{error} {name}", headline=name == OURS, group=error, chance=0.5)
        for name in (OURS, *BASELINES)
    ]
    own = [Metric(f"{error} {name}", headline=False, group=error) for name in ("order", "words")]
    group = f"{error}, null designs:"
    others = [Metric(f"{group} {name}", headline=False, group=group) for name in OTHER_DESIGNS]
    return (*compared, *own, *others)


ERROR_METRICS = tuple(metric for error in ERRORS for metric in _metrics_of(error))


def translation_errors_task(data: JudgedSet, config: CheckSettings) -> Task:
    """Areas under the ROC curve of the check and of its baselines, the pairwise order, and words."""

    def run(encoder: Encoder, seed: int, folder: Path, progress: Progress) -> Findings:
        total = len(data.items)
        scores = evaluate_translation_errors(
            encoder,
            data.items,
            config=config,
            progress=lambda done: progress(done, total, "translation errors"),
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
                row = _row_of(error, task, direction)
                figures.setdefault(direction, {}).update(row)
            notes += _notes(error, task)
        return Findings(tables={}, figures=figures, notes=tuple(notes))

    return Task(
        name="translation-errors",
        metrics=ERROR_METRICS,
        run=run,
        fingerprint={"config": config.to_dict(), "data": {data.name: data.sha256}},
    )


def _row_of(error: str, task: ErrorTask, direction: str) -> dict[str, float]:
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
