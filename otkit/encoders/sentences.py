"""Sentence vectors of many sentences: batches by length, one matrix out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from otkit.encoders.encoder import Encoder, pool_sentences
from otkit.encoders.soundness import refuse_not_finite

__all__ = ["encode_sentences"]


def encode_sentences(
    encoder: Encoder,
    sentences: Sequence[Sequence[str]],
    *,
    layer: int | None = None,
    pooling: str | None = None,
    batch_tokens: int = 4096,
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """The L2-normalised vectors (len(sentences), D): the encoder's own, or another layer or pooling.

    `batch_tokens` bounds the padded subwords of a forward pass, estimated from characters; `progress` gets the number
    of sentences done after each.
    """
    vectors = np.zeros((len(sentences), encoder.dimension), dtype=np.float32)
    lengths = np.array([sum(map(len, words)) + len(words) for words in sentences])
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        # About three characters make a subword in the scripts seen here; the longest of a batch comes first.
        width = max(int(lengths[order[first]]) // 3, 8)
        members = order[first : first + max(1, batch_tokens // width)]
        tokens = encoder.tokenize([sentences[index] for index in members]).to(encoder.device)
        with torch.inference_mode():
            if layer is None and pooling is None:
                pooled = encoder.encode_sentences(tokens)
            else:
                (hidden,) = encoder.hidden_states(tokens, layers=[-1 if layer is None else layer])
                pooled = pool_sentences(hidden, tokens, pooling=pooling or encoder.settings.pooling)
        pooled = pooled.float().cpu()
        refuse_not_finite(pooled, encoder, "a sentence vector")
        vectors[members] = pooled.numpy()
        first += len(members)
        progress(first)
    return vectors
