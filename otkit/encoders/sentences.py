"""Many sentences to vectors: one vector a sentence out of batches by length, or unit vectors of several layers, where
what the encoder cannot hold goes in windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.encoders.encoder import Encoder
from otkit.encoders.pooling import Encoded, pool_sentences, pool_words, subword_units
from otkit.encoders.soundness import refuse_not_finite
from otkit.encoders.tokens import Sentence, Tokens, refuse_too_long
from otkit.errors import ConfigError, choose

__all__ = ["LONG", "LONG_SENTENCES", "UNITS", "encode_sentences", "encode_words", "token_states"]

# A quarter of a window is shared with each neighbour, so every token keeps at least an eighth of a
# window (64 of 512 tokens) of text on both sides, for a third more work than windows that only touch.
_SHARED = 0.25
_WINDOWS_AT_ONCE = 8

LONG_SENTENCES = {
    "error": "refuse a text past the limit of its sentence vector",
    "cut": "leave its end away, as sentence-transformers does",
}
UNITS = {"word": "one vector a word", "subword": "one vector a subword"}
LONG = {"error": "refuse a sentence past the encoder's limit", "window": "encode it in overlapping windows"}


def encode_sentences(
    encoder: Encoder,
    sentences: Sequence[str | Sentence],
    *,
    layer: int | None = None,
    pooling: str | None = None,
    prompt: str | None = None,
    languages: Sequence[str | None] | None = None,
    long: str = "error",
    batch_tokens: int = 4096,
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """The L2-normalised vectors (len(sentences), E): the encoder's own, or another layer or pooling.

    A sentence is a text, or words, which stand between spaces then. It is cut into pieces as a whole, behind the
    prompt (None: the encoder's own), as sentence-transformers does. long: `error` raises TooLongError for one past
    the encoder's limit; `cut` leaves its end away, as sentence-transformers does. languages: of each sentence, for an
    encoder whose tokenizer wants to know.

    `batch_tokens` bounds the padded subwords of a forward pass, estimated from characters; `progress` gets the number
    of sentences done after each.
    """
    choose(long, LONG_SENTENCES, what="rule for long sentences")
    texts = [sentence if isinstance(sentence, str) else " ".join(sentence) for sentence in sentences]
    limit = encoder.settings.most_tokens(encoder.max_tokens)
    prefix = encoder.settings.prompt(prompt)
    parts: list[NDArray[np.float32]] = []
    lengths = np.array([len(text) + 1 for text in texts])
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        # About three characters make a subword in the scripts seen here; the longest of a batch comes first.
        width = max(int(min(lengths[order[first]] // 3, limit)), 8)
        members = order[first : first + max(1, batch_tokens // width)]
        tokens = encoder.subwords.encode_texts(
            [texts[index] for index in members], prefix=prefix, limit=limit if long == "cut" else None
        )
        refuse_too_long(tokens, limit, numbers=members.tolist(), whole=True)
        spoken = None if languages is None else [languages[index] for index in members]
        tokens = encoder.subwords.in_languages(tokens, spoken)
        tokens = tokens.to(encoder.device)
        with torch.inference_mode():
            if layer is None and pooling is None:
                vectors = encoder.encode_sentences(tokens)
            else:
                (hidden,) = encoder.hidden_states(tokens, layers=[-1 if layer is None else layer])
                vectors = pool_sentences(hidden, tokens, pooling=pooling or encoder.settings.pooling)
        vectors = vectors.float().cpu()
        refuse_not_finite(vectors, encoder, "a sentence vector")
        parts.append(vectors.numpy())
        first += len(members)
        progress(first)
    if not parts:
        return np.zeros((0, encoder.sentence_dimension), dtype=np.float32)
    found = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
    found[order] = np.concatenate(parts)
    return found


def encode_words(
    encoder: Encoder,
    sentences: Sequence[Sentence],
    *,
    layers: Sequence[int],
    unit: str = "word",
    word_vector: str = "mean",
    languages: Sequence[str | None] | None = None,
    long: str = "error",
    prefix: str | None = None,
) -> tuple[Encoded, ...]:
    """The units of B sentences, one Encoded (B, W, D) for each asked layer, all with the same mask and word
    ids.

    languages: of each sentence, for an encoder whose tokenizer wants to know. long: `error` raises TooLongError for a
    sentence past the encoder's limit; `window` encodes it in overlapping windows, alone, so a sentence of 100,000 words
    needs memory for its own vectors and no more.
    """
    choose(long, LONG, what="rule for long sentences")
    units = _unit_function(unit, word_vector)
    tokens = encoder.subwords.encode(sentences, prefix=encoder.settings.prefix if prefix is None else prefix)
    tokens = encoder.subwords.in_languages(tokens, languages)
    fits = tokens.lengths <= encoder.max_tokens
    if bool(fits.all()):
        tokens = tokens.to(encoder.device)
        found = tuple(units(states, tokens) for states in encoder.hidden_states(tokens, layers=layers))
        return _finite(found, encoder, layers)
    if long == "error":
        encoder.tokenize(sentences, prefix=prefix)  # raises, and names the sentence
    groups = [fits.nonzero().flatten()] if bool(fits.any()) else []
    groups += list((~fits).nonzero())
    parts: list[tuple[Encoded, ...]] = []
    for rows in groups:
        some = tokens.select(rows)
        states = token_states(encoder, some, layers=layers)
        some = some.to(encoder.device)
        parts.append(tuple(units(layer, some) for layer in states))
    order = torch.cat(groups).argsort().to(encoder.device)
    return _finite(tuple(_join(of_layer, order) for of_layer in zip(*parts, strict=True)), encoder, layers)


def _finite(found: tuple[Encoded, ...], encoder: Encoder, layers: Sequence[int]) -> tuple[Encoded, ...]:
    for layer, units in zip(layers, found, strict=True):
        refuse_not_finite(units.vectors, encoder, f"hidden state {layer}")
    return found


def _unit_function(unit: str, word_vector: str) -> Callable[[Tensor, Tokens], Encoded]:
    choose(unit, UNITS, what="unit")
    if unit == "subword":
        return subword_units
    return lambda states, tokens: pool_words(states, tokens, word_vector=word_vector)


def _join(parts: Sequence[Encoded], order: Tensor) -> Encoded:
    """Batches of different widths as one, its rows in `order`."""
    width = max(part.mask.shape[1] for part in parts)

    def widen(x: Tensor, value: float) -> Tensor:
        missing = width - x.shape[1]
        return torch.nn.functional.pad(x, (0, 0, 0, missing) if x.ndim == 3 else (0, missing), value=value)

    vectors = torch.cat([widen(part.vectors, 0.0) for part in parts])[order]
    mask = torch.cat([widen(part.mask, False) for part in parts])[order]
    return Encoded(vectors, mask, torch.cat([widen(part.word_ids, -1) for part in parts])[order])


def token_states(encoder: Encoder, tokens: Tokens, *, layers: Sequence[int]) -> tuple[Tensor, ...]:
    """Hidden states (B, T, D) as `encoder.hidden_states` gives them, for rows of any length.

    A row past the encoder's limit is cut into windows of full length, each with the special tokens and the
    prefix around it; neighbours share a quarter of their tokens, and a token's state is taken from the window
    in which it lies further from the edge. A word longer than a whole window is so covered too.
    """
    lengths = tokens.lengths
    if int(lengths.max()) <= encoder.max_tokens:
        return encoder.hidden_states(tokens, layers=layers)
    shape = (*tokens.ids.shape, encoder.dimension)
    results = tuple(torch.zeros(shape, device=encoder.device) for _ in layers)
    short = (lengths <= encoder.max_tokens).nonzero().flatten()
    if len(short):
        some = tokens.select(short)
        for result, states in zip(results, encoder.hidden_states(some, layers=layers), strict=True):
            result[short, : states.shape[1]] = states.to(result.dtype)
    for row in (lengths > encoder.max_tokens).nonzero().flatten().tolist():
        for result, states in zip(results, _in_windows(encoder, tokens, row, layers), strict=True):
            result[row, : len(states)] = states.to(result.dtype)
    return results


@dataclass(frozen=True)
class _Plan:
    """Windows of `size` content tokens that begin at `starts`; window i owns the content tokens of
    edges[i:i+2]."""

    starts: list[int]
    edges: list[int]


def _plan(content: int, size: int) -> _Plan:
    stride = max(1, size - round(size * _SHARED))
    count = 1 + math.ceil((content - size) / stride)
    starts = [round(i * (content - size) / (count - 1)) for i in range(count)]
    middles = [(left + size + right) // 2 for left, right in pairwise(starts)]
    return _Plan(starts, [0, *middles, content])


def _in_windows(encoder: Encoder, tokens: Tokens, row: int, layers: Sequence[int]) -> list[Tensor]:
    """The states (T', D) of one long row without its padding, for each layer."""
    length = int(tokens.lengths[row])
    ids = tokens.ids[row, :length]
    inside = (tokens.word_ids[row, :length] >= 0).nonzero().flatten()
    first, last = int(inside[0]), int(inside[-1]) + 1  # content; special tokens and prefix lie around it
    size = encoder.max_tokens - first - (length - last)
    if size < 2:
        raise ConfigError(
            f"the prefix leaves no room for text: {first} of {encoder.max_tokens} tokens come before it",
            remedy="use a shorter prefix",
        )
    plan = _plan(last - first, size)
    texts = (ids[first + start : first + start + size] for start in plan.starts)
    windows = torch.stack([torch.cat([ids[:first], text, ids[last:]]) for text in texts])
    kept: list[list[Tensor]] = [[] for _ in layers]
    for begin in range(0, len(windows), _WINDOWS_AT_ONCE):
        chunk = windows[begin : begin + _WINDOWS_AT_ONCE]
        every = torch.ones_like(chunk, dtype=torch.bool)
        batch = Tokens(chunk, every, torch.full_like(chunk, -1), (0,) * len(chunk))
        states = encoder.hidden_states(batch, layers=layers)
        for number, start in enumerate(plan.starts[begin : begin + _WINDOWS_AT_ONCE], begin):
            low = 0 if number == 0 else first + plan.edges[number] - start
            high = None if number == len(windows) - 1 else first + plan.edges[number + 1] - start
            for pieces, layer in zip(kept, states, strict=True):
                pieces.append(
                    layer[number - begin, low:high].clone()
                )  # a view would keep the whole chunk alive
    return [torch.cat(pieces) for pieces in kept]
