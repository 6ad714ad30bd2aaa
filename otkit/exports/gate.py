"""The gate of an export: real sentences through both encoders, and limits on what may differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.data.lines import words_of
from otkit.data.parallel import Pair, read_pairs
from otkit.encoders.onnx import OnnxEncoder
from otkit.encoders.pooling import pool_words
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ExportError
from otkit.exports.settings import ExportSettings
from otkit.resources import sample_data

__all__ = [
    "Limits",
    "Parity",
    "Views",
    "compare",
    "fitting",
    "limits_of",
    "look_at",
    "missed",
    "real_sentences",
]

Vectors = NDArray[np.float32]
_BATCH = 32


@dataclass(frozen=True)
class Limits:
    """The worst that passes. difference: of any token state or sentence vector; cosine: of any sentence
    vector with its original; agreement: F1 of the two encoders' word links, 0 to 1; retrieval_loss: points of
    accuracy."""

    difference: float
    cosine: float
    agreement: float
    retrieval_loss: float


_LIMITS = {
    None: Limits(difference=1e-4, cosine=0.9999, agreement=0.995, retrieval_loss=0.0),
    "int8": Limits(difference=math.inf, cosine=0.99, agreement=0.90, retrieval_loss=0.5),
    "int4": Limits(difference=math.inf, cosine=0.97, agreement=0.85, retrieval_loss=1.0),
}


def limits_of(settings: ExportSettings) -> Limits:
    """The limits of the chosen quantisation, and in their place those that the settings name."""
    given = {
        "cosine": settings.min_cosine,
        "agreement": settings.min_agreement,
        "retrieval_loss": settings.max_retrieval_loss,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    return replace(_LIMITS[settings.quantize], **changed)


@dataclass(frozen=True)
class Parity:
    """What was measured; retrieval in percent, averaged over languages and both directions."""

    sentences: int
    largest_difference: float
    lowest_cosine: float
    mean_cosine: float
    mean_token_cosine: float
    link_agreement: float
    retrieval_before: float
    retrieval_after: float


@dataclass(frozen=True)
class Views:
    """What one encoder makes of the sentences: token states (tokens, D), word vectors, sentence vectors (S,
    D)."""

    states: list[Vectors]
    words: list[Vectors]
    vectors: Vectors


def real_sentences(
    languages: Sequence[str] = ("de", "ar", "zh", "hi", "ru"), pairs: int = 40
) -> dict[str, list[Pair]]:
    """The first training pairs of the sample data in several scripts: 40 candidates for each retrieval."""
    folder = sample_data() / "parallel"
    found: dict[str, list[Pair]] = {}
    for language in languages:
        path = folder / f"{language}-en.train.tsv"
        found[language] = [pair for pair, _ in zip(_pairs(path), range(pairs), strict=False)]
    return found


def _pairs(path: Path) -> list[Pair]:
    return [pair for pair in read_pairs(path) if isinstance(pair, Pair)]


def fitting(pairs: Mapping[str, list[Pair]], *encoders: TorchEncoder) -> dict[str, list[Pair]]:
    """The pairs whose sentences every one of the encoders can take whole."""

    def fits(pair: Pair) -> bool:
        sides = [words_of(pair.source), words_of(pair.target)]
        return all(
            int(e.subwords.encode(sides, prefix=e.settings.prefix).lengths.max()) <= e.max_tokens
            for e in encoders
        )

    found = {language: [pair for pair in some if fits(pair)] for language, some in pairs.items()}
    found = {language: some for language, some in found.items() if some}
    if not found:
        raise ExportError(
            f"none of the gate's sentences fits into {min(e.max_tokens for e in encoders)} tokens",
            remedy="an encoder with so few positions cannot be checked on real text",
        )
    return found


def look_at(encoder: TorchEncoder | OnnxEncoder, texts: Sequence[str]) -> Views:
    """Encode every text once, in batches by length."""
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    states: dict[int, Vectors] = {}
    words: dict[int, Vectors] = {}
    vectors: dict[int, Vectors] = {}
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        tokens = encoder.tokenize([words_of(texts[row]) for row in rows])
        with torch.inference_mode():
            token_states, pooled = (part.float().cpu() for part in _both(encoder, tokens))
        units = pool_words(token_states, tokens, word_vector="mean")
        for place, row in enumerate(rows):
            states[row] = token_states[place, tokens.attention[place]].numpy()
            words[row] = units.vectors[place, units.mask[place]].numpy()
            vectors[row] = pooled[place].numpy()
    everything = range(len(texts))
    return Views(
        [states[i] for i in everything],
        [words[i] for i in everything],
        np.stack([vectors[i] for i in everything]),
    )


def _both(encoder: TorchEncoder | OnnxEncoder, tokens: Tokens) -> tuple[Tensor, Tensor]:
    """Alignment states and sentence vectors in one pass through the encoder."""
    if isinstance(encoder, OnnxEncoder):
        states, vectors = encoder.run(tokens, ["token_states", "sentence_vector"])
        return states, encoder.cut(vectors)
    layers = encoder.settings.alignment_layers
    *chosen, last = encoder.hidden_states(tokens, layers=[*layers, -1])
    return torch.stack(chosen).mean(dim=0), encoder.pool(last, tokens)


def _rowwise_cosine(x: Vectors, y: Vectors) -> Vectors:
    norms = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    return np.asarray((x * y).sum(axis=-1) / np.maximum(norms, 1e-12), dtype=np.float32)


def _links(source: Vectors, target: Vectors) -> set[tuple[int, int]]:
    """Mutual nearest words."""
    if not len(source) or not len(target):
        return set()
    unit = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (source, target)]
    similarity = unit[0] @ unit[1].T
    forward, backward = similarity.argmax(axis=1), similarity.argmax(axis=0)
    return {(i, int(j)) for i, j in enumerate(forward) if backward[j] == i}


def _accuracy(source: Vectors, target: Vectors) -> float:
    """Percent of sentences whose nearest on the other side is their translation, over both directions."""
    similarity, right = source @ target.T, np.arange(len(source))
    hits = (similarity.argmax(axis=1) == right).mean() + (similarity.argmax(axis=0) == right).mean()
    return float(hits * 50)


def compare(pairs: dict[str, list[Pair]]) -> tuple[list[str], Callable[[Views, Views], Parity]]:
    """The distinct texts to look at, and the function that compares two encoders' views of them."""
    texts = list(
        dict.fromkeys(text for some in pairs.values() for pair in some for text in (pair.source, pair.target))
    )
    place = {text: index for index, text in enumerate(texts)}
    rows = {
        language: tuple(
            [place[text] for text in side] for side in zip(*((p.source, p.target) for p in some), strict=True)
        )
        for language, some in pairs.items()
    }

    def measure(before: Views, after: Views) -> Parity:
        old_states, new_states = before.states, after.states
        if [len(x) for x in old_states] != [
            len(x) for x in new_states
        ]:  # another vocabulary: words still compare
            old_states, new_states = before.words, after.words
        difference = max(float(np.abs(x - y).max()) for x, y in zip(old_states, new_states, strict=True))
        cosines = _rowwise_cosine(before.vectors, after.vectors)
        tokens = _rowwise_cosine(np.concatenate(old_states), np.concatenate(new_states))
        both = links = 0
        for left, right in rows.values():
            for i, j in zip(left, right, strict=True):
                old, new = (_links(view.words[i], view.words[j]) for view in (before, after))
                both, links = both + 2 * len(old & new), links + len(old) + len(new)
        accuracies = [
            float(
                np.mean([_accuracy(view.vectors[left], view.vectors[right]) for left, right in rows.values()])
            )
            for view in (before, after)
        ]
        return Parity(
            sentences=len(texts),
            largest_difference=max(difference, float(np.abs(before.vectors - after.vectors).max())),
            lowest_cosine=float(cosines.min()),
            mean_cosine=float(cosines.mean()),
            mean_token_cosine=float(tokens.mean()),
            link_agreement=both / links if links else 1.0,
            retrieval_before=accuracies[0],
            retrieval_after=accuracies[1],
        )

    return texts, measure


def missed(parity: Parity, limits: Limits) -> tuple[str, ...]:
    """Each limit that was passed, in words; empty when the gate is open. A figure that is not a number is
    past it."""
    checks = (
        ("largest difference", parity.largest_difference, limits.difference, False),
        ("lowest cosine", parity.lowest_cosine, limits.cosine, True),
        ("word-link agreement", parity.link_agreement, limits.agreement, True),
        ("retrieval loss", parity.retrieval_before - parity.retrieval_after, limits.retrieval_loss, False),
    )
    return tuple(
        f"{what} {value:.4g} (limit {limit:.4g})"
        for what, value, limit, at_least in checks
        if not (value >= limit if at_least else value <= limit)
    )
