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
from otkit.errors import ConfigError, choose
from otkit.vectors.settings import UNITS, EmbeddingSettings

__all__ = ["Embedded", "Embedder", "OpenEmbedder", "Spoken", "embedder_of"]

Spoken = tuple[Sequence[str], Sequence[str | None]]
"""Texts, and the language of each, where it is known."""


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
        prompt: str | None = None,
        long: str = "error",
        truncate_dim: int | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        choose(unit, UNITS, what="unit")
        self.encoder, self.unit, self.raw = encoder, unit, raw
        self.prompt, self.long, self.truncate_dim = prompt, long, truncate_dim
        self.batch_tokens = batch_tokens or tokens_at_once(encoder)
        encoder.settings.prompt(prompt)  # an unknown name is told before anything is encoded
        whole = encoder.sentence_dimension
        if truncate_dim is not None and truncate_dim > whole:
            raise ConfigError(
                f"received {truncate_dim}, and the sentence vectors have {whole} numbers",
                remedy=f"choose from 1 to {whole}",
                setting="truncate_dim",
            )
        self.on_encoded: Callable[[int], None] = lambda texts: None
        """Told how many of the texts are through the encoder."""

    @property
    def dimension(self) -> int:
        """Of its vectors."""
        return (
            self.encoder.dimension
            if self.unit == "word"
            else self.truncate_dim or self.encoder.sentence_dimension
        )

    def __call__(self, texts: Sequence[str], languages: Sequence[str | None] | None = None) -> Embedded:
        """One row a sentence, or a row for each of its words. languages: of each text, for an encoder whose tokenizer
        wants to know."""
        spoken = [None] * len(texts) if languages is None else languages
        if self.unit == "sentence":
            return self._sentences(texts, spoken)
        return self._words([segment(text) if self.raw else words_of(text) for text in texts], spoken)

    def spoken(self, window: Spoken) -> Embedded:
        """The same of texts with their languages."""
        return self(*window)

    def _sentences(self, texts: Sequence[str], languages: Sequence[str | None]) -> Embedded:
        """The vectors of whole texts, cut into pieces as they are: a model of sentences has its own idea of words."""
        encoder = self.encoder
        limit, prefix = encoder.settings.most_tokens(encoder.max_tokens), encoder.settings.prompt(self.prompt)
        lengths = [0] * len(texts)
        if self.long == "error":
            lengths = encoder.subwords.lengths_of_texts(texts, prefix=prefix)
        kept = [index for index, length in enumerate(lengths) if length <= limit]
        vectors = encode_sentences(
            encoder,
            [texts[index] for index in kept],
            prompt=self.prompt,
            languages=[languages[index] for index in kept],
            long=self.long,
            batch_tokens=self.batch_tokens,
            progress=self.on_encoded,
        )
        if self.truncate_dim is not None:
            vectors = vectors[:, : self.truncate_dim]
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
        too_long = tuple((index, length) for index, length in enumerate(lengths) if length > limit)
        return Embedded(vectors, np.array(kept, dtype=np.int64), too_long=too_long)

    def _words(self, sentences: list[Sequence[str]], languages: Sequence[str | None]) -> Embedded:
        """The mean over a word's subwords and over the alignment layers; a long sentence goes in windows."""
        with torch.inference_mode():
            store = encode_window(
                self.encoder,
                tokenise(self.encoder, sentences, languages=languages),
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
    """How another process comes by what the same Embedder gives."""

    model: str | None
    settings: EmbeddingSettings
    device: str = "auto"
    threads: int | None = None

    def __call__(self) -> Callable[[Spoken], Embedded]:
        """Open the encoder here."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        return embedder_of(open_encoder(self.model, device=self.device), self.settings).spoken


def embedder_of(encoder: Encoder, settings: EmbeddingSettings) -> Embedder:
    """The Embedder that the settings describe."""
    return Embedder(
        encoder,
        unit=settings.unit,
        raw=settings.raw,
        prompt=settings.prompt,
        long=settings.long,
        truncate_dim=settings.truncate_dim,
        batch_tokens=settings.batch_tokens,
    )
