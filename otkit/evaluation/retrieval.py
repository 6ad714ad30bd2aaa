"""Sentence retrieval across languages: does a sentence find its translation, and how does the space look?

Line-aligned files, as in Tatoeba: line i of one side is the translation of line i of the other, and every
other line of the file is a distractor. A line equal to the right one counts as wrong, as in the published figures
(XTREME); beside them stands how many lines have such an equal, and the accuracy with those counted as right.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from otkit.data.lines import unskipped, words_of
from otkit.data.parallel import Pair
from otkit.data.views import PairCorpus
from otkit.encoders.encoder import Encoder
from otkit.encoders.sentences import encode_sentences
from otkit.encoders.tokens import TooLongError
from otkit.errors import InputError
from otkit.evaluation.metrics import accuracy_at, hubness, reciprocal_rank
from otkit.evaluation.search import Neighbours, SearchConfig, search_both_ways

__all__ = [
    "Direction",
    "RetrievalConfig",
    "RetrievalScores",
    "encode_texts",
    "equal_rows",
    "evaluate_retrieval",
    "random_cosine",
    "score_retrieval",
]

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

_HUBNESS_K = 10


@dataclass(frozen=True)
class RetrievalConfig:
    """How sentences become vectors and are compared; pooling and prefix are the encoder's own settings.

    layer         hidden state to pool (None: the encoder's sentence vector, which is its last)
    center        subtract each language's mean vector first
    batch_tokens  padded subwords of one forward pass
    on_error      "skip" leaves out, and counts, sentences that the encoder cannot take
    """

    search: SearchConfig = field(default_factory=SearchConfig)
    layer: int | None = None
    center: bool = False
    batch_tokens: int = 4096
    on_error: str = "raise"


@dataclass(frozen=True)
class Direction:
    """Queries of one language against the pool of the other.

    ranks    (N,) the place of each query's translation, from 1; 0 where it is past the candidates
    strong   (N,) whether the translation is also nearer than every other sentence of the query's own language
             (strong alignment: both languages in the pool; by cosine)
    equal    (N,) whether the first place has the translation or an item equal to it
    repeated how many of the N translations have an equal in the pool
    hubness  skewness of how often an item is among the 10 nearest of a query: 0 is even, high means hubs
    """

    ranks: Rows
    strong: NDArray[np.bool_]
    equal: NDArray[np.bool_]
    repeated: int
    hubness: float

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
    config: RetrievalConfig | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, RetrievalScores]:
    """Scores of each corpus under its first language, every translation sought among all of that corpus."""
    config = config or RetrievalConfig()
    scores: dict[str, RetrievalScores] = {}
    done = 0
    for corpus in corpora:
        language = corpus.languages[0]
        if language in scores:
            raise InputError(
                f"two files have the first language {language!r}",
                where=corpus.name,
                remedy="evaluate them one after another",
            )
        pairs, skipped = _usable(encoder, corpus, config.on_error)
        texts = [pair.source for pair in pairs] + [pair.target for pair in pairs]
        vectors = encode_texts(encoder, texts, config, progress=_shifted(progress, done))
        done += len(texts)
        source, target = vectors[: len(pairs)], vectors[len(pairs) :]
        equals = tuple(
            equal_rows([words_of(text) for text in side])
            for side in (texts[: len(pairs)], texts[len(pairs) :])
        )
        scores[language] = score_retrieval(
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
    config: RetrievalConfig,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> Vectors:
    """(len(texts), D) unit vectors; a text that occurs twice is encoded once."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    vectors = encode_sentences(
        encoder,
        [words_of(text) for text in places],
        layer=config.layer,
        batch_tokens=config.batch_tokens,
        progress=progress,
    )
    progress(len(texts))
    return vectors[[places[text] for text in texts]]


def score_retrieval(
    source: Vectors,
    target: Vectors,
    *,
    config: RetrievalConfig,
    skipped: int = 0,
    linked: int | None = None,
    equals: tuple[Rows, Rows] | None = None,
) -> RetrievalScores:
    """Scores of unit vectors (N, D) and (M, D) whose first `linked` rows (None: all) are translations; `equals`
    has the `equal_rows` of both sides (None: no two rows are equal)."""
    count = len(source) if linked is None else linked
    if config.center:
        source, target = _centred(source), _centred(target)
    found = search_both_ways(source, target, config.search)
    matched = (source[:count] * target[:count]).sum(axis=1)
    everything = float(source.sum(axis=0, dtype=np.float64) @ target.sum(axis=0, dtype=np.float64))
    numbers = equals or (np.arange(len(source)), np.arange(len(target)))
    forward, backward = (
        _direction(
            side.first(count),
            nearest[:count],
            rivals[:count] < matched,
            hubness(side.ids[:, :_HUBNESS_K], len(pool)),
            pool,
        )
        for side, nearest, rivals, pool in zip(
            (found.forward, found.backward), found.nearest, found.rivals, numbers[::-1], strict=True
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
    found: Neighbours, nearest: Rows, beats_rivals: NDArray[np.bool_], skewness: float, pool: Rows
) -> Direction:
    """The figures of queries whose translations are the first rows of the pool; `pool` says which rows are equal."""
    gold = np.arange(len(nearest))
    first = found.ids[:, 0]
    sizes = np.bincount(pool)
    return Direction(
        ranks=found.ranks(gold),
        strong=(nearest == gold) & beats_rivals,
        equal=(first >= 0) & (pool[first] == pool[gold]),
        repeated=int((sizes[pool[gold]] > 1).sum()),
        hubness=skewness,
    )


def random_cosine(vectors: Vectors) -> float:
    """The mean cosine over all pairs of different rows (N, D), exact: |sum v|^2 holds them and N ones."""
    total = vectors.sum(axis=0, dtype=np.float64)
    squares = float((vectors.astype(np.float64) ** 2).sum())
    return (float(total @ total) - squares) / max(len(vectors) * (len(vectors) - 1), 1)


def _centred(vectors: Vectors) -> Vectors:
    moved = vectors - vectors.mean(axis=0, keepdims=True)
    return np.asarray(
        moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12), dtype=np.float32
    )


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
    words = words_of(text)
    if sum(map(len, words)) + len(words) + len(encoder.settings.prefix) + 16 < encoder.max_tokens:
        return None
    try:
        encoder.tokenize([words])
    except TooLongError as error:
        return error
    return None
