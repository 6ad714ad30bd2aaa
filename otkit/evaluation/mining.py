"""Bitext mining in the manner of BUCC: find the translations hidden in two monolingual collections."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from otkit.data.lines import (
    ON_ERROR,
    LineSource,
    joint_sha256,
    quote,
    skipped_note,
    trimmed,
    unskipped,
    words_of,
)
from otkit.encoders.encoder import Encoder
from otkit.encoders.space import normalised_rows
from otkit.errors import InputError, choose
from otkit.evaluation.protocol import Findings, Metric, Progress, Task
from otkit.evaluation.retrieval import encode_texts, equal_rows
from otkit.evaluation.search import search_both_ways
from otkit.evaluation.settings import MiningSettings, SearchSettings

__all__ = [
    "MINING_METRICS",
    "Mined",
    "MiningScores",
    "MiningSet",
    "best_threshold",
    "evaluate_mining",
    "mine",
    "mining_task",
    "read_mining",
    "score_mined",
]

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class MiningSet:
    """Two collections and the pairs of rows (source, target) that are translations, and the languages of both where
    they are known; `skipped` lines were bad, `bad` holds the first ten."""

    name: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    gold: frozenset[tuple[int, int]]
    languages: tuple[str, str] | None = None
    skipped: int = 0
    bad: tuple[InputError, ...] = ()
    sha256: str = ""


@dataclass(frozen=True)
class Mined:
    """Candidate pairs, one-to-one, best first.

    source, target: (C,) int64 rows.  scores: (C,) float32.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class MiningScores:
    """Precision, recall and F1 at the threshold that the dev part chose; `gold` pairs in the scored part.

    equal_f1  F1 where a pair of sentences equal to a gold pair counts as right
    repeated  sentences of both collections that occur twice or more
    """

    precision: float
    recall: float
    f1: float
    equal_f1: float
    repeated: int
    threshold: float
    dev_f1: float
    gold: int


def mine(source: Vectors, target: Vectors, config: SearchSettings) -> Mined:
    """Candidate pairs of unit vectors (N, D) and (M, D).

    The best target of each source and the best source of each target, together, taken best first as long as
    both sentences are free (the "max" retrieval of Artetxe and Schwenk 2019, section 3.2).
    """
    found = search_both_ways(source, target, config)
    rows = np.concatenate([np.arange(len(source)), found.backward.ids[:, 0]])
    columns = np.concatenate([found.forward.ids[:, 0], np.arange(len(target))])
    scores = np.concatenate([found.forward.scores[:, 0], found.backward.scores[:, 0]])
    order = np.argsort(-scores, kind="stable")
    used: tuple[set[int], set[int]] = (set(), set())
    kept = []
    for place in order[np.isfinite(scores[order])].tolist():
        row, column = int(rows[place]), int(columns[place])
        if row not in used[0] and column not in used[1]:
            used[0].add(row)
            used[1].add(column)
            kept.append(place)
    return Mined(rows[kept], columns[kept], scores[kept])


def best_threshold(scores: NDArray[np.float32], right: NDArray[np.bool_], gold: int) -> tuple[float, float]:
    """(threshold, F1) of the cut with the highest F1; scores descending, `right` says which are gold.

    The threshold lies halfway between the last pair kept and the first left out; equal scores stay together.
    """
    if len(scores) == 0 or gold == 0:
        raise InputError(
            "there is no gold pair in the dev part", remedy="give more gold pairs or a larger dev share"
        )
    hits = np.cumsum(right)
    kept = np.arange(1, len(scores) + 1)
    f1 = 2 * hits / (kept + gold)
    # A cut inside a run of equal scores cannot be made by a threshold.
    f1[:-1] = np.where(scores[:-1] == scores[1:], -1.0, f1[:-1])
    best = int(f1.argmax())
    after = scores[best + 1] if best + 1 < len(scores) else scores[best]
    return float((scores[best] + after) / 2), float(f1[best])


def evaluate_mining(
    encoder: Encoder,
    data: MiningSet,
    *,
    config: MiningSettings | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> MiningScores:
    """Mine the collections of `data`, choose the threshold on a part of the sources, score the rest."""
    config = config or MiningSettings()
    texts = [*data.source, *data.target]
    here, there = data.languages or (None, None)
    vectors = encode_texts(
        encoder,
        texts,
        languages=[here] * len(data.source) + [there] * len(data.target),
        batch_tokens=config.batch_tokens,
        progress=progress,
    )
    source, target = vectors[: len(data.source)], vectors[len(data.source) :]
    source = normalised_rows(source, config.space, of="the source")
    target = normalised_rows(target, config.space, of="the target")
    found = mine(source, target, config)
    return score_mined(found, data, config)


def score_mined(found: Mined, data: MiningSet, config: MiningSettings) -> MiningScores:
    """The threshold of the dev part, applied to the rest."""
    rng = np.random.default_rng(config.split_seed)
    dev_rows = rng.random(len(data.source)) < config.dev_share
    right = np.array(
        [pair in data.gold for pair in zip(found.source.tolist(), found.target.tolist(), strict=True)],
        dtype=bool,
    )
    in_dev = dev_rows[found.source]
    gold_in_dev = sum(bool(dev_rows[i]) for i, _ in data.gold)
    threshold, dev_f1 = best_threshold(found.scores[in_dev], right[in_dev], gold_in_dev)
    gold = len(data.gold) - gold_in_dev
    if gold == 0:
        raise InputError(
            "there is no gold pair outside the dev part", where=data.name, remedy="lower the dev share"
        )
    kept = ~in_dev & (found.scores >= threshold)
    hits, mined = int(right[kept].sum()), int(kept.sum())
    sides = [equal_rows([words_of(text) for text in side]) for side in (data.source, data.target)]
    scored = frozenset((i, j) for i, j in data.gold if not dev_rows[i])
    return MiningScores(
        precision=hits / mined if mined else 0.0,
        recall=hits / gold,
        f1=2 * hits / (mined + gold),
        equal_f1=_equal_f1(
            list(zip(found.source[kept].tolist(), found.target[kept].tolist(), strict=True)), scored, sides
        ),
        repeated=sum(int((np.bincount(side)[side] > 1).sum()) for side in sides),
        threshold=threshold,
        dev_f1=dev_f1,
        gold=gold,
    )


def _equal_f1(
    mined: Sequence[tuple[int, int]], gold: frozenset[tuple[int, int]], sides: Sequence[NDArray[np.int64]]
) -> float:
    """F1 of pairs of rows, each standing for all rows that are equal to it."""
    source, target = sides
    found, right = ([(int(source[i]), int(target[j])) for i, j in pairs] for pairs in (mined, gold))
    precision, recall = _share(found, set(right)), _share(right, set(found))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _share(pairs: Sequence[tuple[int, int]], among: Collection[tuple[int, int]]) -> float:
    return sum(pair in among for pair in pairs) / len(pairs) if pairs else 0.0


def read_mining(
    source: str | Path, target: str | Path, gold: str | Path, *, on_error: str = "raise"
) -> MiningSet:
    """The three files of BUCC: `id<TAB>sentence` twice, and `id<TAB>id` for the pairs. A skipped sentence takes the
    pairs with it."""
    choose(on_error, ON_ERROR, what="way to treat bad lines")
    files = [_Fields(path) for path in (source, target, gold)]
    bad: list[InputError] = []

    def refuse(error: InputError) -> None:
        if on_error == "raise":
            raise unskipped(error, str(gold))
        bad.append(error)

    sides = [_collection(file, refuse) for file in files[:2]]
    places = [{name: row for row, name in enumerate(side)} for side in sides]
    pairs: set[tuple[int, int]] = set()
    for where, names in files[2].rows(refuse):
        unknown = [
            (name, file) for name, known, file in zip(names, places, files, strict=False) if name not in known
        ]
        for name, file in unknown[:1]:
            refuse(
                InputError(
                    f"the gold names {quote(name)}, which {file.name} does not have",
                    where=where,
                    remedy="give the gold of these two files",
                )
            )
        if not unknown:
            pairs.add((places[0][names[0]], places[1][names[1]]))
    texts = [tuple(side.values()) for side in sides]
    return MiningSet(
        name=str(gold),
        source=texts[0],
        target=texts[1],
        gold=frozenset(pairs),
        skipped=len(bad),
        bad=tuple(bad[:10]),
        sha256=joint_sha256([file.sha256 for file in files]),
    )


Refuse = Callable[[InputError], None]


def _collection(file: _Fields, refuse: Refuse) -> dict[str, str]:
    """The sentences by id, in order."""
    sentences: dict[str, str] = {}
    for where, (name, text) in file.rows(refuse):
        if name in sentences:
            refuse(InputError(f"the id {quote(name)} occurs twice", where=where, remedy="make ids unique"))
        else:
            sentences[name] = text
    return sentences


class _Fields:
    """A file of two fields with a tab between."""

    def __init__(self, path: str | Path) -> None:
        self._source = LineSource(path)
        self.name = self._source.name

    @property
    def sha256(self) -> str:
        return self._source.sha256

    def rows(self, refuse: Refuse) -> Iterator[tuple[str, tuple[str, str]]]:
        """(place, fields) of every line that is not refused."""
        for number, line in enumerate(self._source, 1):
            where = f"{self.name}:{number}"
            first, tab, second = ("", "", "") if isinstance(line, InputError) else line.partition("\t")
            if isinstance(line, InputError):
                refuse(line)
            elif tab and first.strip() and second.strip():
                yield where, (trimmed(first), trimmed(second))
            else:
                refuse(
                    InputError(
                        f"received {quote(line)}, expected two fields with a tab between",
                        where=where,
                        remedy="write id<TAB>sentence, and id<TAB>id in the gold",
                    )
                )


MINING_METRICS = (
    *(Metric(name) for name in ("F1", "precision", "recall")),
    Metric("F1 equal", headline=False),
    Metric("repeated", headline=False, better="none", digits=0),
    *(Metric(name, headline=False) for name in ("threshold", "dev F1")),
)


def mining_task(sets: Mapping[str, MiningSet], config: MiningSettings) -> Task:
    """Bitext mining with gold, the threshold chosen on a dev part."""
    if not sets:
        raise InputError("there is nothing to mine in", remedy="give two collections and their gold pairs")

    def run(encoder: Encoder, seed: int, folder: Path, progress: Progress) -> Findings:
        figures: dict[str, dict[str, float]] = {}
        for language, data in sets.items():
            total = len(data.source) + len(data.target)
            scores = evaluate_mining(
                encoder,
                data,
                config=config,
                progress=lambda done, total=total: progress(done, total, "mining"),  # type: ignore[misc]
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
        metrics=MINING_METRICS,
        run=run,
        fingerprint={
            "config": config.to_dict(),
            "metrics": [metric.name for metric in MINING_METRICS],
            "data": {language: data.sha256 for language, data in sets.items()},
        },
    )
