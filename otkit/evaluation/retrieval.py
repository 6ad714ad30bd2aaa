"""Sentence retrieval across languages with FAISS: does a sentence find its translation?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from otkit.data.batching import sentence_words
from otkit.data.views import PairCorpus
from otkit.encoders.encoder import Encoder
from otkit.encoders.sentences import encode_sentences

__all__ = ["RetrievalScores", "evaluate_retrieval", "retrieve"]


@dataclass(frozen=True)
class RetrievalScores:
    """Accuracy@1 of each direction, in [0, 1]."""

    forward: float
    backward: float
    count: int

    @property
    def mean(self) -> float:
        """Both directions' average."""
        return (self.forward + self.backward) / 2


def retrieve(queries: NDArray[np.float32], pool: NDArray[np.float32], *, k: int) -> NDArray[np.int64]:
    """The k nearest rows of the pool by inner product for each query, (queries, k), exactly."""
    import faiss

    index = faiss.IndexFlatIP(pool.shape[1])
    index.add(np.ascontiguousarray(pool))
    _, found = index.search(np.ascontiguousarray(queries), k)
    return np.asarray(found, dtype=np.int64)


def evaluate_retrieval(encoder: Encoder, corpora: Sequence[PairCorpus]) -> dict[str, RetrievalScores]:
    """Accuracy@1 of each corpus, every sentence's translation sought among all of that corpus."""
    scores = {}
    for corpus in corpora:
        pairs = [corpus[index] for index in range(len(corpus))]
        source = encode_sentences(encoder, [sentence_words(pair.source) for pair in pairs])
        target = encode_sentences(encoder, [sentence_words(pair.target) for pair in pairs])
        gold = np.arange(len(pairs))
        scores[corpus.languages[0]] = RetrievalScores(
            forward=float((retrieve(source, target, k=1)[:, 0] == gold).mean()),
            backward=float((retrieve(target, source, k=1)[:, 0] == gold).mean()),
            count=len(pairs),
        )
    return scores
