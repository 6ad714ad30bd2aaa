"""Texts to vectors, one a sentence or one a word: the part of `otkit embed` that needs the encoder.

Shapes: R rows (vectors), D width, U words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.alignment.store import encode_window, tokenise, tokens_at_once
from otkit.data.lines import words_of
from otkit.data.segmentation import segment
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.encoders.sentences import encode_sentences
from otkit.errors import choose
from otkit.vectors.settings import UNITS

__all__ = ["Embedded", "Embedder", "OpenEmbedder"]


@dataclass(frozen=True, eq=False)
class Embedded:
    """The vectors of some texts.

    vectors  (R, D) float32, of length 1
    owners   (R,) int64, the text that a row belongs to, ascending
    words    the word of each row and its place in the text; empty for sentence vectors
    too_long texts that have no row because the encoder has no positions for them, with their tokens
    """

    vectors: NDArray[np.float32]
    owners: NDArray[np.int64]
    words: tuple[tuple[int, str], ...] = ()
    too_long: tuple[tuple[int, int], ...] = ()


class Embedder:
    """An encoder with the unit that gets a vector. The vectors of a list of texts depend on that list alone:
    its batches are cut anew each time."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        unit: str = "sentence",
        raw: bool = False,
        batch_tokens: int | None = None,
    ) -> None:
        choose(unit, UNITS, what="unit")
        self.encoder, self.unit, self.raw = encoder, unit, raw
        self.batch_tokens = batch_tokens or tokens_at_once(encoder)
        alone = encoder.subwords.encode([["a"]], prefix=encoder.settings.prefix)
        self.on_encoded: Callable[[int], None] = lambda texts: None
        """Told how many of the texts are through the encoder."""
        self._around = int(alone.lengths[0]) - len(encoder.subwords.pieces(["a"])[0])

    def __call__(self, texts: Sequence[str]) -> Embedded:
        """One row a sentence, or a row for each of its words."""
        sentences: list[Sequence[str]] = [segment(text) if self.raw else words_of(text) for text in texts]
        return self._words(sentences) if self.unit == "word" else self._sentences(sentences)

    def _sentences(self, sentences: list[Sequence[str]]) -> Embedded:
        limit, pieces = self.encoder.max_tokens, self.encoder.subwords.pieces
        lengths = [self._around + sum(map(len, pieces(words))) for words in sentences]
        kept = [index for index, length in enumerate(lengths) if length <= limit]
        vectors = encode_sentences(
            self.encoder,
            [sentences[index] for index in kept],
            batch_tokens=self.batch_tokens,
            progress=self.on_encoded,
        )
        too_long = tuple((index, length) for index, length in enumerate(lengths) if length > limit)
        return Embedded(vectors, np.array(kept, dtype=np.int64), too_long=too_long)

    def _words(self, sentences: list[Sequence[str]]) -> Embedded:
        """The mean over a word's subwords and over the alignment layers; a long sentence goes in windows."""
        with torch.inference_mode():
            store = encode_window(
                self.encoder,
                tokenise(self.encoder, sentences),
                layers=self.encoder.settings.alignment_layers,
                unit="word",
                word_vector="mean",
                batch_tokens=self.batch_tokens,
                progress=self.on_encoded,
            )
            mean = torch.nn.functional.normalize(store.vectors, dim=-1)  # (U, D)
        counts = store.counts.cpu().numpy()
        # The store lies in the order of encoding, by length; rows lie in the order of the text.
        places = [np.arange(start, start + n) for start, n in zip(store.starts.tolist(), counts, strict=True)]
        order = np.concatenate([np.zeros(0, dtype=np.int64), *places])
        words = tuple((place, word) for sentence in sentences for place, word in enumerate(sentence))
        return Embedded(mean.cpu().numpy()[order], np.repeat(np.arange(len(counts)), counts), words)


@dataclass(frozen=True)
class OpenEmbedder:
    """How another process comes by the same Embedder."""

    model: str | None
    device: str = "auto"
    threads: int | None = None
    unit: str = "sentence"
    raw: bool = False
    batch_tokens: int | None = None

    def __call__(self) -> Embedder:
        """Open the encoder here."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        return Embedder(
            open_encoder(self.model, device=self.device),
            unit=self.unit,
            raw=self.raw,
            batch_tokens=self.batch_tokens,
        )
