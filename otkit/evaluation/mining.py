"""Bitext mining in the manner of BUCC: find the translations hidden in two monolingual collections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from otkit.data.lines import LineSource, quote
from otkit.encoders.encoder import Encoder
from otkit.errors import ConfigError, InputError
from otkit.evaluation.retrieval import RetrievalConfig, encode_texts
from otkit.evaluation.search import SearchConfig, search_both_ways

__all__ = [
    "Mined",
    "MiningConfig",
    "MiningScores",
    "MiningSet",
    "best_threshold",
    "evaluate_mining",
    "mine",
    "read_mining",
    "score_mined",
]

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class MiningConfig:
    """How pairs are sought: the ratio margin over 4 neighbours as in Artetxe and Schwenk 2019, section 3.

    dev_share  share of the source sentences that chooses the threshold; the figures are those of the others
    """

    retrieval: RetrievalConfig = field(
        default_factory=lambda: RetrievalConfig(
            search=SearchConfig(score="margin", neighbourhood=4, candidates=16)
        )
    )
    dev_share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.dev_share < 1:
            raise ConfigError(f"dev_share is {self.dev_share}", remedy="give a share between 0 and 1")


@dataclass(frozen=True)
class MiningSet:
    """Two collections and the pairs of rows (source, target) that are translations."""

    name: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    gold: frozenset[tuple[int, int]]


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
    """Precision, recall and F1 at the threshold that the dev part chose; `gold` pairs in the scored part."""

    precision: float
    recall: float
    f1: float
    threshold: float
    dev_f1: float
    gold: int


def mine(source: Vectors, target: Vectors, config: SearchConfig) -> Mined:
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
    config: MiningConfig | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> MiningScores:
    """Mine the collections of `data`, choose the threshold on a part of the sources, score the rest."""
    config = config or MiningConfig()
    texts = [*data.source, *data.target]
    vectors = encode_texts(encoder, texts, config.retrieval, progress=progress)
    found = mine(vectors[: len(data.source)], vectors[len(data.source) :], config.retrieval.search)
    return score_mined(found, data, config)


def score_mined(found: Mined, data: MiningSet, config: MiningConfig) -> MiningScores:
    """The threshold of the dev part, applied to the rest."""
    rng = np.random.default_rng(config.seed)
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
    return MiningScores(
        precision=hits / mined if mined else 0.0,
        recall=hits / gold,
        f1=2 * hits / (mined + gold),
        threshold=threshold,
        dev_f1=dev_f1,
        gold=gold,
    )


def read_mining(source: str | Path, target: str | Path, gold: str | Path) -> MiningSet:
    """The three files of BUCC: `id<TAB>sentence` twice, and `id<TAB>id` for the pairs."""
    sides = [_collection(path) for path in (source, target)]
    places = [{name: row for row, (name, _) in enumerate(side)} for side in sides]
    pairs: set[tuple[int, int]] = set()
    for number, fields in _fields(gold):
        for name, known, path in zip(fields, places, (source, target), strict=True):
            if name not in known:
                raise InputError(
                    f"the gold names {quote(name)}, which {path} does not have",
                    where=f"{gold}:{number}",
                    remedy="give the gold of these two files",
                )
        pairs.add((places[0][fields[0]], places[1][fields[1]]))
    texts = [tuple(text for _, text in side) for side in sides]
    return MiningSet(name=str(gold), source=texts[0], target=texts[1], gold=frozenset(pairs))


def _collection(path: str | Path) -> list[tuple[str, str]]:
    rows = [fields for _, fields in _fields(path)]
    seen: set[str] = set()
    for number, (name, _) in enumerate(rows, 1):
        if name in seen:
            raise InputError(
                f"the id {quote(name)} occurs twice", where=f"{path}:{number}", remedy="make ids unique"
            )
        seen.add(name)
    return rows


def _fields(path: str | Path) -> Sequence[tuple[int, tuple[str, str]]]:
    found = []
    for number, line in enumerate(LineSource(path), 1):
        if isinstance(line, InputError):
            raise line
        first, tab, second = line.partition("\t")
        if not (tab and first.strip() and second.strip()):
            raise InputError(
                f"received {quote(line)}, expected two fields with a tab between",
                where=f"{path}:{number}",
                remedy="write id<TAB>sentence, and id<TAB>id in the gold",
            )
        found.append((number, (first.strip(), second.strip())))
    return found
