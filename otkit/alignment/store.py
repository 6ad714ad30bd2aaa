"""The word vectors of a window of sentences: encoded by length, gathered for any batch of pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain

import torch
from torch import Tensor

from otkit.encoders.encoder import Encoder
from otkit.encoders.pooling import Encoded, pool_words, subword_units
from otkit.encoders.sentences import token_states
from otkit.encoders.soundness import refuse_not_finite
from otkit.encoders.space import Moments, Space
from otkit.encoders.tokens import Sentence, Tokens, letters_of

__all__ = [
    "TokenisedWindow",
    "UnitStore",
    "averaged",
    "encode_layers",
    "encode_window",
    "tokenise",
    "tokens_at_once",
]

# A sentence with more characters than this may be anything: it is tokenised by itself, and so cannot make the
# padded rows of its whole window as long as itself.
_LONG_TEXT = 3000


@dataclass(frozen=True, eq=False)
class TokenisedWindow:
    """Texts ready for the encoder: `tokens` of those in `usual`, and the rest as words in `long`.

    lengths  letters of every word of all texts; starts  where each text begins among them
    languages  of each text, for a tokenizer that wants to know

    A text is a sentence, or a pair of sentences that are encoded together; a sentence is a text of one part.
    """

    texts: Sequence[tuple[Sentence, ...]]
    usual: Tensor
    tokens: Tokens | None
    long: tuple[int, ...]
    lengths: Tensor
    starts: Tensor
    joint: bool
    languages: Sequence[str | None]


@dataclass(frozen=True, eq=False)
class UnitStore:
    """The units of S sentences end to end.

    vectors (U, D) of all units;  words (U,) the word of each unit in its sentence;
    starts, counts (S,) where each sentence's units begin, and how many there are;
    lengths (U,) letters of each unit's word, 0 for punctuation.
    """

    vectors: Tensor
    words: Tensor
    starts: Tensor
    counts: Tensor
    lengths: Tensor

    def gather(self, sentences: Tensor) -> Encoded:
        """The units (B, N) of some sentences."""
        mask, places = self._places(sentences)
        if not len(self.vectors):
            return Encoded(self.vectors.new_zeros(*mask.shape, *self.vectors.shape[1:]), mask, places - 1)
        vectors = self.vectors[places] * mask[:, :, None]
        return Encoded(vectors, mask, torch.where(mask, self.words[places], -1))

    def gather_lengths(self, sentences: Tensor) -> Tensor:
        """(B, N) letters of the words of the units that `gather` gives, 0 at padding."""
        mask, places = self._places(sentences)
        if not len(self.lengths):
            return torch.zeros_like(places)
        return torch.where(mask, self.lengths[places], 0)

    def split(self, firsts: Tensor) -> UnitStore:
        """Pairs that were encoded as one text, of which the first `firsts` (S,) words are the first sentence,
        as the 2 S sentences."""
        order = self._order()
        text = torch.repeat_interleave(order, self.counts[order])  # (U,)
        ahead = self.words < firsts[text]
        first = torch.zeros_like(self.counts).index_add(0, text, ahead.to(self.counts.dtype))
        starts = torch.stack([self.starts, self.starts + first], 1).flatten()
        counts = torch.stack([first, self.counts - first], 1).flatten()
        words = torch.where(ahead, self.words, self.words - firsts[text])
        return UnitStore(self.vectors, words, starts, counts, self.lengths)

    def spaces(self, kind: str) -> tuple[Space, Space]:
        """What the even and what the odd sentences share."""
        odd, found = self._odd(), []
        for side, name in enumerate(("the first side", "the second side")):
            moments = Moments()
            moments.add(self.vectors[odd == side])
            found.append(moments.space(kind, of=name))
        return found[0], found[1]

    def without(self, spaces: tuple[Space, Space]) -> UnitStore:
        """The same units, without what those of even and those of odd sentences share."""
        odd = self._odd()[:, None] == 1
        return replace(self, vectors=torch.where(odd, spaces[1](self.vectors), spaces[0](self.vectors)))

    def _places(self, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) mask, and which of the U units stand there, 0 at padding."""
        counts = self.counts[sentences]
        order = torch.arange(int(counts.max()) if len(sentences) else 0, device=counts.device)
        mask = order < counts[:, None]
        return mask, torch.where(mask, self.starts[sentences][:, None] + order, 0)

    def _odd(self) -> Tensor:
        """(U,) 1 for the units of odd sentences."""
        order = self._order()
        return torch.repeat_interleave(order % 2, self.counts[order])

    def _order(self) -> Tensor:
        """(S,) the sentences as their units lie. One without units shares its start with another."""
        return (self.starts * 2 + (self.counts > 0)).argsort(stable=True)


def tokens_at_once(encoder: Encoder) -> int:
    """Padded subwords of a batch where nobody asked for another number.

    On a CPU a batch whose states fit the processor's cache runs a tenth faster than one four times as large.
    """
    return 1024 if encoder.device.type == "cpu" else 65536


def tokenise(
    encoder: Encoder,
    sentences: Sequence[Sentence],
    *,
    joint: bool = False,
    truecase: bool = False,
    languages: Sequence[str | None] | None = None,
) -> TokenisedWindow:
    """The part of the work that needs no encoder, for a thread of its own; `joint` takes sentences two by two, and
    `truecase` reads their first words as `SubwordTokenizer.truecase` does. languages: of each sentence, for a
    tokenizer that wants to know; both in one text are in none."""
    sentences = encoder.subwords.truecase(sentences) if truecase else sentences
    texts: list[tuple[Sentence, ...]] = [(sentence,) for sentence in sentences]
    if joint:
        texts = list(zip(sentences[::2], sentences[1::2], strict=True))
    sizes = [sum(sum(map(len, words)) + len(words) for words in text) for text in texts]
    usual = [index for index, size in enumerate(sizes) if 0 < size <= _LONG_TEXT]
    long = tuple(index for index, size in enumerate(sizes) if size > _LONG_TEXT)
    spoken: Sequence[str | None] = [None] * len(texts) if joint or languages is None else languages
    tokens = _tokens(encoder, texts, spoken, usual) if usual else None
    counted = torch.tensor([letters_of(word) for word in chain(*chain(*texts))], dtype=torch.int64)
    starts = torch.tensor([0, *accumulate(sum(map(len, text)) for text in texts)], dtype=torch.int64)
    return TokenisedWindow(
        texts, torch.tensor(usual, dtype=torch.int64), tokens, long, counted, starts[:-1], joint, spoken
    )


def _tokens(
    encoder: Encoder,
    texts: Sequence[tuple[Sentence, ...]],
    languages: Sequence[str | None],
    chosen: Sequence[int],
) -> Tokens:
    """Of some texts, each in its language."""
    first, *second = zip(*(texts[index] for index in chosen), strict=True)
    prefix = encoder.settings.prefix
    if second:
        return encoder.subwords.join(first, second[0], prefix=prefix)
    tokens = encoder.subwords.encode(first, prefix=prefix)
    return encoder.subwords.in_languages(tokens, [languages[index] for index in chosen])


def encode_window(
    encoder: Encoder,
    window: TokenisedWindow,
    *,
    layers: Sequence[int],
    unit: str,
    word_vector: str,
    batch_tokens: int,
    progress: Callable[[int], None] = lambda done: None,
) -> UnitStore:
    """Every sentence of the window through the encoder, in batches of at most `batch_tokens` padded
    subwords, its layers averaged; `progress` gets the number of texts done after each."""
    return averaged(
        encode_layers(
            encoder,
            window,
            layers=layers,
            unit=unit,
            word_vector=word_vector,
            batch_tokens=batch_tokens,
            progress=progress,
        )
    )


def averaged(stores: Sequence[UnitStore]) -> UnitStore:
    """The mean of the vectors of stores that differ in nothing else."""
    first, *others = stores
    if not others:
        return first
    return replace(first, vectors=torch.stack([store.vectors for store in stores]).mean(0))


def encode_layers(
    encoder: Encoder,
    window: TokenisedWindow,
    *,
    layers: Sequence[int],
    unit: str,
    word_vector: str,
    batch_tokens: int,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[UnitStore, ...]:
    """The same as `encode_window`, one store a layer."""
    parts: list[tuple[Tensor, tuple[Encoded, ...]]] = []
    done = 0

    def units(tokens: Tokens) -> tuple[Encoded, ...]:
        states = token_states(encoder, tokens, layers=layers)
        tokens = tokens.to(encoder.device)
        if unit == "subword":
            return tuple(subword_units(layer, tokens) for layer in states)
        return tuple(pool_words(layer, tokens, word_vector=word_vector) for layer in states)

    if window.tokens is not None:
        for rows in _by_length(window.tokens.lengths, batch_tokens):
            parts.append((window.usual[rows], units(window.tokens.select(rows))))
            done += len(rows)
            progress(done)
    for index in window.long:
        parts.append(
            (torch.tensor([index]), units(_tokens(encoder, window.texts, window.languages, [index])))
        )
        done += 1
        progress(done)
    stores = _joined(parts, window, len(layers), encoder)
    for layer, store in zip(layers, stores, strict=True):
        refuse_not_finite(store.vectors, encoder, f"hidden state {layer}")
    if not window.joint:
        return stores
    firsts = torch.tensor([len(first) for first, _ in window.texts], device=encoder.device)
    return tuple(store.split(firsts) for store in stores)


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
    parts: list[tuple[Tensor, tuple[Encoded, ...]]], window: TokenisedWindow, layers: int, encoder: Encoder
) -> tuple[UnitStore, ...]:
    device = encoder.device
    counts = torch.zeros(len(window.texts), dtype=torch.int64, device=device)
    starts = torch.zeros_like(counts)
    counted, firsts = window.lengths.to(device), window.starts.to(device)
    vectors: list[list[Tensor]] = [[] for _ in range(layers)]
    words, lengths, done = [], [], 0
    for rows, units in parts:
        mask = units[0].mask
        rows = rows.to(device)
        here = mask.sum(1)
        counts[rows] = here
        starts[rows] = here.cumsum(0) - here + done
        for kept, layer in zip(vectors, units, strict=True):
            kept.append(layer.vectors[mask].float())  # (u, D)
        words.append(units[0].word_ids[mask])
        lengths.append(counted[(units[0].word_ids + firsts[rows][:, None])[mask]])
        done += len(words[-1])
    if not parts:
        empty = torch.zeros(0, encoder.dimension, device=device)
        return (UnitStore(empty, starts[:0], starts, counts, starts[:0]),) * layers
    which, letters = torch.cat(words), torch.cat(lengths)
    return tuple(UnitStore(torch.cat(kept), which, starts, counts, letters) for kept in vectors)
