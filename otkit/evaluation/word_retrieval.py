"""Contextual word retrieval: does a word find its translation, that very occurrence?

The measure of Cao, Kitaev and Klein 2020, section 5.1: CSLS over the words of a thousand sentence pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.data.gold import GoldPair
from otkit.encoders.encoder import Encoder
from otkit.encoders.sentences import encode_words
from otkit.encoders.tokens import Sentence
from otkit.errors import InputError, choose
from otkit.evaluation.retrieval import RetrievalConfig, RetrievalScores, equal_rows, score_retrieval
from otkit.evaluation.search import SearchConfig

__all__ = ["WordRetrievalConfig", "evaluate_word_retrieval", "one_to_one", "word_matrix"]

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Values = TypeVar("Values", Vectors, Rows)

POOLS = ("aligned", "all")


@dataclass(frozen=True)
class WordRetrievalConfig:
    """What a word's vector is and where its translation is sought.

    search       CSLS over 10 neighbours, as published; 128 candidates a word
    pool         "aligned": the linked words of the other language; "all": every word of its sentences
    word_vector  the "last" or "first" subword of a word, or their "mean"
    layers       hidden states, averaged (None: the encoder's alignment layers; the paper used the last)
    center       subtract each language's mean vector first
    """

    search: SearchConfig = field(default_factory=lambda: SearchConfig(score="csls", candidates=128))
    pool: str = "aligned"
    word_vector: str = "last"
    layers: tuple[int, ...] | None = None
    center: bool = False
    batch_tokens: int = 4096

    def __post_init__(self) -> None:
        choose(self.pool, {name: name for name in POOLS}, what="pool")


def one_to_one(pair: GoldPair) -> list[tuple[int, int]]:
    """The sure links whose two words have no other link: only these have one right answer."""
    source = Counter(i for i, _ in pair.possible)
    target = Counter(j for _, j in pair.possible)
    return sorted((i, j) for i, j in pair.sure if source[i] == 1 == target[j])


def evaluate_word_retrieval(
    encoder: Encoder,
    pairs: Sequence[GoldPair],
    *,
    config: WordRetrievalConfig | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> RetrievalScores:
    """Scores of linked sentence pairs; links come from gold, or from any aligner put into the same form."""
    config = config or WordRetrievalConfig()
    links = [one_to_one(pair) for pair in pairs]
    if not any(links):
        raise InputError("no word has exactly one link", remedy="give pairs with sure one-to-one links")
    source, source_starts = word_matrix(encoder, [pair.source for pair in pairs], config, progress=progress)
    target, target_starts = word_matrix(
        encoder, [pair.target for pair in pairs], config, progress=lambda done: progress(len(pairs) + done)
    )
    rows = np.array(
        [
            (source_starts[number] + i, target_starts[number] + j)
            for number, found in enumerate(links)
            for i, j in found
        ],
        dtype=np.int64,
    )
    # Nothing tells a word from the word at the same place of an equal sentence.
    sides = [
        (vectors, equal_rows([(words, i) for words in sentences for i in range(len(words))]), linked)
        for vectors, sentences, linked in (
            (source, [pair.source for pair in pairs], rows[:, 0]),
            (target, [pair.target for pair in pairs], rows[:, 1]),
        )
    ]
    chosen = [
        (_linked_first(vectors, linked), _linked_first(equals, linked))
        if config.pool == "all"
        else (vectors[linked], equals[linked])
        for vectors, equals, linked in sides
    ]
    (source, source_equals), (target, target_equals) = chosen
    return score_retrieval(
        source,
        target,
        config=RetrievalConfig(search=config.search, center=config.center),
        linked=len(rows),
        equals=(source_equals, target_equals),
    )


def word_matrix(
    encoder: Encoder,
    sentences: Sequence[Sentence],
    config: WordRetrievalConfig,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Vectors, Rows]:
    """(all words, D) unit vectors in reading order, and the row at which each sentence begins."""
    counts = np.array([len(words) for words in sentences], dtype=np.int64)
    starts = np.cumsum(counts) - counts
    vectors = np.zeros((int(counts.sum()), encoder.dimension), dtype=np.float32)
    layers = config.layers or encoder.settings.alignment_layers
    lengths = np.array([sum(map(len, words)) + len(words) for words in sentences])
    order, first = np.argsort(-lengths, kind="stable"), 0
    while first < len(order):
        width = max(int(lengths[order[first]]) // 3, 8)
        members = order[first : first + max(1, config.batch_tokens // width)]
        with torch.inference_mode():
            # The prefix belongs to sentence vectors; words are encoded as they are for alignment, without it.
            states = encode_words(
                encoder,
                [sentences[member] for member in members],
                layers=layers,
                word_vector=config.word_vector,
                long="window",
                prefix="",
            )
            vector = torch.stack([layer.vectors[layer.mask] for layer in states]).float().mean(dim=0)
            flat = torch.nn.functional.normalize(vector, dim=-1)
        rows = np.concatenate(
            [np.arange(starts[member], starts[member] + counts[member]) for member in members]
        )
        vectors[rows] = flat.cpu().numpy()
        first += len(members)
        progress(first)
    return vectors, starts


def _linked_first(values: Values, rows: Rows) -> Values:
    """All rows, those with a link first and in the order of the links."""
    others = np.ones(len(values), dtype=bool)
    others[rows] = False
    return np.concatenate([values[rows], values[others]])
