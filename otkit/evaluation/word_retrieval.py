"""Contextual word retrieval: does a word find its translation, that very occurrence?

The measure of Cao, Kitaev and Klein 2020, section 5.1: CSLS over the words of a thousand sentence pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.data.gold import GoldPair, languages_of_gold
from otkit.encoders.encoder import Encoder
from otkit.encoders.sentences import encode_words
from otkit.encoders.tokens import Sentence
from otkit.errors import InputError
from otkit.evaluation.protocol import Findings, Progress, Task
from otkit.evaluation.retrieval import (
    RETRIEVAL_COLUMNS,
    RETRIEVAL_METRICS,
    RetrievalScores,
    equal_rows,
    retrieval_findings,
    score_retrieval,
)
from otkit.evaluation.settings import WordRetrievalSettings

__all__ = ["evaluate_word_retrieval", "one_to_one", "word_matrix", "word_retrieval_task"]

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Values = TypeVar("Values", Vectors, Rows)


def one_to_one(pair: GoldPair) -> list[tuple[int, int]]:
    """The sure links whose two words have no other link: only these have one right answer."""
    source = Counter(i for i, _ in pair.possible)
    target = Counter(j for _, j in pair.possible)
    return sorted((i, j) for i, j in pair.sure if source[i] == 1 == target[j])


def evaluate_word_retrieval(
    encoder: Encoder,
    pairs: Sequence[GoldPair],
    *,
    config: WordRetrievalSettings | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> RetrievalScores:
    """Scores of linked sentence pairs; links come from gold, or from any aligner put into the same form."""
    config = config or WordRetrievalSettings()
    here, there = languages_of_gold(pairs) or (None, None)
    links = [one_to_one(pair) for pair in pairs]
    if not any(links):
        raise InputError("no word has exactly one link", remedy="give pairs with sure one-to-one links")
    source, source_starts = word_matrix(
        encoder, [pair.source for pair in pairs], config, language=here, progress=progress
    )
    target, target_starts = word_matrix(
        encoder,
        [pair.target for pair in pairs],
        config,
        language=there,
        progress=lambda done: progress(len(pairs) + done),
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
        config=config,
        linked=len(rows),
        equals=(source_equals, target_equals),
    )


def word_matrix(
    encoder: Encoder,
    sentences: Sequence[Sentence],
    config: WordRetrievalSettings,
    *,
    language: str | None = None,
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
                languages=[language] * len(members),
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


def word_retrieval_task(
    sets: Mapping[str, tuple[Sequence[GoldPair], str]],
    config: WordRetrievalSettings,
    *,
    notes: Sequence[str] = (),
) -> Task:
    """Contextual word retrieval: sets[language] = (linked pairs, hash of the data)."""

    def run(encoder: Encoder, seed: int, folder: Path, progress: Progress) -> Findings:
        total = 2 * sum(len(pairs) for pairs, _ in sets.values())
        scores, before = {}, 0
        for language, (pairs, _) in sets.items():

            def step(done: int, start: int = before) -> None:
                progress(start + done, total, "word retrieval")

            scores[language] = evaluate_word_retrieval(encoder, pairs, config=config, progress=step)
            before += 2 * len(pairs)
        findings = retrieval_findings(scores)
        counts = ", ".join(f"{language} {score.count}" for language, score in scores.items())
        return Findings(
            findings.tables,
            findings.figures,
            (
                *notes,
                f"words with exactly one sure link: {counts}; equal are the words at one place of equal sentences",
                *findings.notes,
            ),
        )

    return Task(
        name="word-retrieval",
        metrics=RETRIEVAL_METRICS,
        run=run,
        fingerprint={
            "config": config.to_dict(),
            "columns": RETRIEVAL_COLUMNS,
            "data": {language: digest for language, (_, digest) in sets.items()},
        },
    )
