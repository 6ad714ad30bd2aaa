"""The word vectors of a window of sentences: encoded by length, gathered for any batch of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from otkit.encoders.encoder import Encoder
from otkit.encoders.pooling import Encoded, pool_words, subword_units
from otkit.encoders.tokens import Sentence, Tokens
from otkit.encoders.words import encode_words, token_states

__all__ = ["TokenisedWindow", "UnitStore", "encode_window", "tokenise"]

# A sentence with more characters than this may be anything: it is tokenised by itself, and so cannot make the
# padded rows of its whole window as long as itself.
_LONG_TEXT = 3000


@dataclass(frozen=True, eq=False)
class TokenisedWindow:
    """Sentences ready for the encoder: `tokens` of those in `usual`, and the rest as text in `long`."""

    sentences: Sequence[Sentence]
    usual: Tensor
    tokens: Tokens | None
    long: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class UnitStore:
    """The units of S sentences end to end.

    vectors (U, K, D) over all units and K layers;  words (U,) the word of each unit in its sentence;
    starts, counts (S,) where each sentence's units begin, and how many there are.
    """

    vectors: Tensor
    words: Tensor
    starts: Tensor
    counts: Tensor

    def gather(self, sentences: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors (B, N, K, D), mask and words (B, N) of some sentences; 0, False and -1 at padding."""
        counts = self.counts[sentences]
        width = int(counts.max()) if len(sentences) else 0
        order = torch.arange(width, device=counts.device)
        mask = order < counts[:, None]
        places = torch.where(mask, self.starts[sentences][:, None] + order, 0)
        if not len(self.vectors):
            return self.vectors.new_zeros(*mask.shape, *self.vectors.shape[1:]), mask, places - 1
        vectors = self.vectors[places] * mask[:, :, None, None]
        return vectors, mask, torch.where(mask, self.words[places], -1)

    def layers(self, places: Sequence[int]) -> UnitStore:
        """The same units with some of the K layers."""
        return UnitStore(self.vectors[:, list(places)], self.words, self.starts, self.counts)

    def means_of_sides(self) -> tuple[Tensor, Tensor]:
        """(K, D) mean vectors of the even and of the odd sentences."""
        odd = self._odd()
        first, second = (self.vectors[odd == side] for side in (0, 1))
        return tuple(x.sum(0) / max(len(x), 1) for x in (first, second))  # type: ignore[return-value]

    def minus(self, means: tuple[Tensor, Tensor]) -> UnitStore:
        """The same units, less one vector for those of even sentences and another for those of odd ones."""
        shifted = self.vectors - torch.stack(means)[self._odd()]
        return UnitStore(shifted, self.words, self.starts, self.counts)

    def _odd(self) -> Tensor:
        """(U,) 1 for the units of odd sentences. Sentences without units share their start with another."""
        order = (self.starts * 2 + (self.counts > 0)).argsort(stable=True)
        return torch.repeat_interleave(order % 2, self.counts[order])


def tokenise(encoder: Encoder, sentences: Sequence[Sentence]) -> TokenisedWindow:
    """The part of the work that needs no encoder, for a thread of its own."""
    sizes = [sum(map(len, words)) + len(words) for words in sentences]
    usual = [index for index, size in enumerate(sizes) if 0 < size <= _LONG_TEXT]
    long = tuple(index for index, size in enumerate(sizes) if size > _LONG_TEXT)
    texts = [sentences[index] for index in usual]
    tokens = encoder.subwords.encode(texts, prefix=encoder.settings.prefix) if usual else None
    return TokenisedWindow(sentences, torch.tensor(usual, dtype=torch.int64), tokens, long)


def encode_window(
    encoder: Encoder,
    window: TokenisedWindow,
    *,
    layers: Sequence[int],
    unit: str,
    word_vector: str,
    batch_tokens: int,
) -> UnitStore:
    """Every sentence of the window through the encoder, in batches of at most `batch_tokens` padded
    subwords."""
    parts: list[tuple[Tensor, tuple[Encoded, ...]]] = []
    if window.tokens is not None:
        for rows in _by_length(window.tokens.lengths, batch_tokens):
            some = window.tokens.select(rows)
            states = token_states(encoder, some, layers=layers)
            some = some.to(encoder.device)
            if unit == "subword":
                units = tuple(subword_units(layer, some) for layer in states)
            else:
                units = tuple(pool_words(layer, some, word_vector=word_vector) for layer in states)
            parts.append((window.usual[rows], units))
    for index in window.long:
        units = encode_words(
            encoder,
            [window.sentences[index]],
            layers=layers,
            unit=unit,
            word_vector=word_vector,
            long="window",
        )
        parts.append((torch.tensor([index]), units))
    return _joined(parts, len(window.sentences), len(layers), encoder)


def _by_length(lengths: Tensor, batch_tokens: int) -> Iterator[Tensor]:
    """Rows from short to long, cut where one more row would pass the budget."""
    order = lengths.argsort(stable=True)
    ordered = lengths[order].tolist()
    begin = 0
    for place, length in enumerate(ordered):
        if place > begin and length * (place + 1 - begin) > batch_tokens:
            yield order[begin:place]
            begin = place
    if len(order):
        yield order[begin:]


def _joined(
    parts: list[tuple[Tensor, tuple[Encoded, ...]]], sentences: int, layers: int, encoder: Encoder
) -> UnitStore:
    device = encoder.device
    counts = torch.zeros(sentences, dtype=torch.int64, device=device)
    starts = torch.zeros_like(counts)
    vectors, words, done = [], [], 0
    for rows, units in parts:
        mask = units[0].mask
        rows = rows.to(device)
        here = mask.sum(1)
        counts[rows] = here
        starts[rows] = here.cumsum(0) - here + done
        vectors.append(torch.stack([layer.vectors[mask] for layer in units], dim=1).float())  # (u, K, D)
        words.append(units[0].word_ids[mask])
        done += len(vectors[-1])
    if not parts:
        empty = torch.zeros(0, layers, encoder.dimension, device=device)
        return UnitStore(empty, starts[:0], starts, counts)
    return UnitStore(torch.cat(vectors), torch.cat(words), starts, counts)
