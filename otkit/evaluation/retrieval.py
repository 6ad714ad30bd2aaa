"""Sentence retrieval across languages: does a sentence find its translation, and how does the space look?

Line-aligned files, as in Tatoeba: line i of one side is the translation of line i of the other, and every
other line of the file is a distractor. A line equal to the right one counts as wrong, as in the published figures
(XTREME); beside them stands how many lines have such an equal, and the accuracy with those counted as right.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from otkit.data.languages import short_code
from otkit.data.lines import unskipped, words_of
from otkit.data.parallel import Pair
from otkit.data.views import PairCorpus, languages_of_pairs
from otkit.encoders.encoder import Encoder
from otkit.encoders.sentences import encode_sentences
from otkit.encoders.space import normalised_rows
from otkit.encoders.tokens import TooLongError, refuse_too_long
from otkit.errors import InputError
from otkit.evaluation.metrics import FloatArray, accuracy_at, column_mean, hubness, reciprocal_rank
from otkit.evaluation.protocol import Findings, Metric, Progress, Task
from otkit.evaluation.search import Neighbours, search_both_ways
from otkit.evaluation.settings import RetrievalSettings, SearchSettings

__all__ = [
    "RETRIEVAL_COLUMNS",
    "RETRIEVAL_METRICS",
    "Direction",
    "RetrievalScores",
    "encode_texts",
    "equal_rows",
    "evaluate_retrieval",
    "random_cosine",
    "retrieval_findings",
    "retrieval_task",
    "score_retrieval",
]

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

_DEPTHS = (1, 5, 10)


RETRIEVAL_COLUMNS = (*(f"@{depth}" for depth in _DEPTHS), "MRR", "strong", "@1 equal")


def _direction_metrics(name: str) -> tuple[Metric, ...]:
    means = [
        Metric(
            f"{name} {column}",
            column_mean(place),
            table=name,
            headline=column == "@1",
            group=name,
            chance=f"{name} chance" if column == "@1" else None,
        )
        for place, column in enumerate(RETRIEVAL_COLUMNS)
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


@dataclass(frozen=True)
class Direction:
    """Queries of one language against the pool of the other.

    ranks    (N,) the place of each query's translation, from 1; 0 where it is past the candidates
    strong   (N,) whether the translation is also nearer than every other sentence of the query's own language
             (strong alignment: both languages in the pool; by cosine)
    equal    (N,) whether the first place has the translation or an item equal to it
    repeated how many of the N translations have an equal in the pool
    hubness  skewness of how often an item is among the 10 nearest of a query: 0 is even, high means hubs
    pool     how many items the translation is sought among
    """

    ranks: Rows
    strong: NDArray[np.bool_]
    equal: NDArray[np.bool_]
    repeated: int
    hubness: float
    pool: int

    def accuracy(self, k: int) -> float:
        """Accuracy@k in [0, 1]."""
        return float(accuracy_at(self.ranks, k).mean())

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank; a translation past the candidates counts 0."""
        return float(reciprocal_rank(self.ranks).mean())


@dataclass(frozen=True)
class RetrievalScores:
    """Both directions of one corpus, and diagnostics of the space.

    forward, backward  source to target, target to source
    matched, random    mean cosine of translations, and of all other pairs of a source and a target sentence
    isotropy           1 - mean cosine of two sentences of one language: 1 where they point everywhere alike,
                       0 where they all point one way
    recall             recall@10 of an approximate index against the exact one; None for the exact one
    """

    forward: Direction
    backward: Direction
    matched: float
    random: float
    isotropy: float
    count: int
    skipped: int = 0
    recall: float | None = None

    @property
    def mean(self) -> float:
        """Accuracy@1, both directions' average."""
        return (self.forward.accuracy(1) + self.backward.accuracy(1)) / 2

    @property
    def gap(self) -> float:
        """How much nearer translations are than random pairs, which a high cosine alone does not say."""
        return self.matched - self.random


def evaluate_retrieval(
    encoder: Encoder,
    corpora: Sequence[PairCorpus],
    *,
    config: RetrievalSettings | None = None,
    on_error: str = "raise",
    names: Sequence[str] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, RetrievalScores]:
    """Scores of each corpus under its first language, or one of `names` each, every translation sought among all of
    that corpus.

    `on_error` "skip" leaves out, and counts, sentences that the encoder cannot take.
    """
    config = config or RetrievalSettings()
    scores: dict[str, RetrievalScores] = {}
    done = 0
    for name, corpus in zip(names or [one.languages[0] for one in corpora], corpora, strict=True):
        if name in scores:
            raise InputError(
                f"two files have the first language {name!r}",
                where=corpus.name,
                remedy="evaluate them one after another",
            )
        pairs, skipped = _usable(encoder, corpus, on_error)
        texts = [pair.source for pair in pairs] + [pair.target for pair in pairs]
        vectors = encode_texts(
            encoder,
            texts,
            layer=config.layer,
            languages=[code for side in languages_of_pairs(corpus, range(len(pairs))) for code in side],
            batch_tokens=config.batch_tokens,
            progress=_shifted(progress, done),
        )
        done += len(texts)
        source, target = vectors[: len(pairs)], vectors[len(pairs) :]
        equals = tuple(
            equal_rows([words_of(text) for text in side])
            for side in (texts[: len(pairs)], texts[len(pairs) :])
        )
        scores[name] = score_retrieval(
            source, target, config=config, skipped=corpus.skipped + skipped, equals=(equals[0], equals[1])
        )
    return scores


def equal_rows(items: Sequence[Hashable]) -> Rows:
    """(len(items),) a number for each item, the same for equal ones."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(item, len(numbers)) for item in items], dtype=np.int64)


def _shifted(progress: Callable[[int], None], start: int) -> Callable[[int], None]:
    return lambda done: progress(start + done)


def encode_texts(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    layer: int | None = None,
    languages: Sequence[str | None] | None = None,
    batch_tokens: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Vectors:
    """(len(texts), D) unit vectors; a text that occurs twice, in one language, is encoded once."""
    spoken = [None] * len(texts) if languages is None or encoder.subwords.usual is None else languages
    said = list(zip(texts, spoken, strict=True))
    places = {each: place for place, each in enumerate(dict.fromkeys(said))}
    vectors = encode_sentences(
        encoder,
        [text for text, _ in places],
        layer=layer,
        languages=[code for _, code in places],
        batch_tokens=batch_tokens,
        progress=progress,
    )
    progress(len(texts))
    return vectors[[places[each] for each in said]]


def score_retrieval(
    source: Vectors,
    target: Vectors,
    *,
    config: SearchSettings,
    skipped: int = 0,
    linked: int | None = None,
    equals: tuple[Rows, Rows] | None = None,
) -> RetrievalScores:
    """Scores of unit vectors (N, D) and (M, D) whose first `linked` rows (None: all) are translations; `equals`
    has the `equal_rows` of both sides (None: no two rows are equal)."""
    count = len(source) if linked is None else linked
    source = normalised_rows(source, config.space, of="the source")
    target = normalised_rows(target, config.space, of="the target")
    found = search_both_ways(source, target, config)
    matched = (source[:count] * target[:count]).sum(axis=1)
    everything = float(source.sum(axis=0, dtype=np.float64) @ target.sum(axis=0, dtype=np.float64))
    numbers = equals or (np.arange(len(source)), np.arange(len(target)))
    forward, backward = (
        _direction(
            side.first(count),
            ranks[:count],
            nearest[:count],
            rivals[:count] < matched,
            hubness(side.ids, len(pool)),
            pool,
        )
        for side, ranks, nearest, rivals, pool in zip(
            (found.forward, found.backward),
            found.ranks,
            found.nearest,
            found.rivals,
            numbers[::-1],
            strict=True,
        )
    )
    return RetrievalScores(
        forward=forward,
        backward=backward,
        matched=float(matched.mean()),
        random=(everything - float(matched.sum(dtype=np.float64)))
        / max(len(source) * len(target) - count, 1),
        isotropy=1 - (random_cosine(source) + random_cosine(target)) / 2,
        count=count,
        skipped=skipped,
        recall=found.recall,
    )


def _direction(
    found: Neighbours,
    ranks: Rows,
    nearest: Rows,
    beats_rivals: NDArray[np.bool_],
    skewness: float,
    pool: Rows,
) -> Direction:
    """The figures of queries whose translations are the first rows of the pool; `pool` says which rows are equal."""
    gold = np.arange(len(nearest))
    first = found.ids[:, 0]
    sizes = np.bincount(pool)
    return Direction(
        ranks=ranks,
        strong=(nearest == gold) & beats_rivals,
        equal=(first >= 0) & (pool[first] == pool[gold]),
        repeated=int((sizes[pool[gold]] > 1).sum()),
        hubness=skewness,
        pool=len(pool),
    )


def random_cosine(vectors: Vectors) -> float:
    """The mean cosine over all pairs of different rows (N, D), exact: |sum v|^2 holds them and N ones."""
    total = vectors.sum(axis=0, dtype=np.float64)
    squares = float((vectors.astype(np.float64) ** 2).sum())
    return (float(total @ total) - squares) / max(len(vectors) * (len(vectors) - 1), 1)


def _usable(encoder: Encoder, corpus: PairCorpus, on_error: str) -> tuple[list[Pair], int]:
    """The pairs that the encoder can take whole, and how many it cannot."""
    kept: list[Pair] = []
    for index in range(len(corpus)):
        pair = corpus[index]
        error = next(filter(None, (_refusal(encoder, text) for text in (pair.source, pair.target))), None)
        if error is None:
            kept.append(pair)
        elif on_error != "skip":
            raise unskipped(InputError(error.what, remedy="split the sentence"), f"{corpus.name}:{pair.line}")
    if not kept:
        raise InputError("the file has no usable sentence pair", where=corpus.name, remedy="check its lines")
    return kept, len(corpus) - len(kept)


def _refusal(encoder: Encoder, text: str) -> TooLongError | None:
    # A word has at most one subword more than characters, so a short text is known without tokenising.
    limit, prefix = encoder.settings.most_tokens(encoder.max_tokens), encoder.settings.prefix
    words = words_of(text)
    if sum(map(len, words)) + len(words) + len(prefix) + 16 < limit:
        return None
    try:
        refuse_too_long(encoder.subwords.encode_texts([text], prefix=prefix), limit)
    except TooLongError as error:
        return error
    return None


def retrieval_task(
    corpora: Sequence[PairCorpus], config: RetrievalSettings, *, on_error: str = "raise"
) -> Task:
    """Sentence retrieval of line-aligned files, one language each."""

    def run(encoder: Encoder, seed: int, folder: Path, progress: Progress) -> Findings:
        total = 2 * sum(map(len, corpora))
        scores = evaluate_retrieval(
            encoder,
            corpora,
            config=config,
            on_error=on_error,
            progress=lambda done: progress(done, total, "retrieval"),
        )
        return retrieval_findings(scores)

    return Task(
        name="retrieval",
        metrics=RETRIEVAL_METRICS,
        run=run,
        fingerprint={
            "config": config.to_dict(),
            "on_error": on_error,
            "columns": RETRIEVAL_COLUMNS,
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
        "forward chance": 1 / score.forward.pool,
        "backward chance": 1 / score.backward.pool,
        "matched": score.matched,
        "random": score.random,
        "gap": score.gap,
        "isotropy": score.isotropy,
        "hubness forward": score.forward.hubness,
        "hubness backward": score.backward.hubness,
    }
    return figures if score.recall is None else {**figures, "index recall": score.recall}
