"""The frozen start: the English vectors that the anchor holds on to.

Two ways, chosen by `open_start`. A cache computes every target sentence once before training and keeps its
units in half precision; it pays where sentences come round again. A copy keeps the starting weights, in half
precision where the device multiplies in it, and encodes along; it pays where the corpus is large and passes once,
since a cache would then cost the same forward passes and far more memory.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from otkit.data.batching import PairBatch
from otkit.data.lines import words_of
from otkit.data.views import PairCorpus
from otkit.encoders.device import multiplies_in, send
from otkit.encoders.encoder import Encoded, Tokens, TooLongError, TorchEncoder

__all__ = ["CachedStart", "CopiedStart", "FrozenStart", "copy_dtype", "open_start"]

EncodeUnits = Callable[[TorchEncoder, Tokens], Encoded]

# A cache larger than this costs more memory than the half-precision copy of a BERT-base encoder does.
CACHE_LIMIT_BYTES = 256 * 2**20
_CACHE_BATCH = 64
_SAMPLE = 512


class FrozenStart(Protocol):
    """Target vectors as they were before training."""

    kind: str
    bytes: int

    def vectors(self, batch: PairBatch, tokens: Tokens) -> Tensor:
        """(B,M,D) fp32 vectors of the batch's target units; `tokens` are its target tokens on the device."""
        ...


class CopiedStart:
    """The starting weights once more, encoding each batch anew."""

    kind = "copy"

    def __init__(
        self, encoder: TorchEncoder, encode: EncodeUnits, *, dtype: torch.dtype, compiled: bool = False
    ) -> None:
        # The embedding tables of a multilingual encoder are most of its weights, so half of their bytes counts.
        model = copy.deepcopy(encoder.model)
        nn.Module.to(model, dtype=dtype).train(False).requires_grad_(False)
        self._encoder = TorchEncoder(model, encoder.tokenizer, name=encoder.name, settings=encoder.settings)
        if compiled:
            self._encoder.compile()
        self._encode = encode
        self.bytes = sum(weight.numel() * weight.element_size() for weight in model.parameters())

    def vectors(self, batch: PairBatch, tokens: Tokens) -> Tensor:
        """Encode the targets with the starting weights."""
        with torch.no_grad():
            return self._encode(self._encoder, tokens).vectors.float()


class CachedStart:
    """Every target sentence's units, computed once, kept as one flat half-precision array."""

    kind = "cache"

    def __init__(self, encoder: TorchEncoder, encode: EncodeUnits, corpora: Sequence[PairCorpus]) -> None:
        self._flat, self._offsets = [], []
        was_training = encoder.model.training
        encoder.eval()
        for corpus in corpora:
            flat, offsets = _encode_corpus(encoder, encode, corpus)
            self._flat.append(flat)
            self._offsets.append(offsets)
        encoder.model.train(was_training)
        self.bytes = sum(flat.numel() * flat.element_size() for flat in self._flat)

    def vectors(self, batch: PairBatch, tokens: Tokens) -> Tensor:
        """Look the targets up; rows are padded with zeros to the batch's longest."""
        flat, offsets = self._flat[batch.corpus], self._offsets[batch.corpus]
        rows = [flat[offsets[index] : offsets[index + 1]] for index in batch.indices]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return send(padded, tokens.ids.device).float()


def open_start(
    encoder: TorchEncoder,
    encode: EncodeUnits,
    corpora: Sequence[PairCorpus],
    *,
    passes: float,
    compiled: bool = False,
) -> FrozenStart:
    """The cheaper frozen start for `passes` visits of each target sentence; `compiled` fuses a copy's layers."""
    if passes >= 2 and _cache_bytes(encoder, corpora) <= CACHE_LIMIT_BYTES:
        # A sentence that does not fit is the batches' business: they name its line, or skip it.
        with contextlib.suppress(TooLongError):
            return CachedStart(encoder, encode, corpora)
    return CopiedStart(encoder, encode, dtype=copy_dtype(encoder.device), compiled=compiled)


def copy_dtype(device: torch.device) -> torch.dtype:
    """What a copy of the starting weights is kept and multiplied in: half precision where the device has it.

    bfloat16 keeps fp32's range, which activations of deep encoders need; its products are exact in fp32.
    """
    half = device.type != "mps" and multiplies_in(device, torch.bfloat16)
    return torch.bfloat16 if half else torch.float32


def _cache_bytes(encoder: TorchEncoder, corpora: Sequence[PairCorpus]) -> int:
    """About what a cache would hold: words counted on a sample, two bytes a component."""
    total = 0.0
    for corpus in corpora:
        picked = np.linspace(0, len(corpus) - 1, min(_SAMPLE, len(corpus))).astype(int)
        words = np.mean([len(corpus[int(index)].target.split()) for index in picked])
        total += len(corpus) * float(words) * encoder.dimension * 2
    return int(total)


def _encode_corpus(
    encoder: TorchEncoder, encode: EncodeUnits, corpus: PairCorpus
) -> tuple[Tensor, list[int]]:
    """All targets of a corpus as (units, D) half-precision rows, and where each sentence begins."""
    pieces: list[Tensor] = []
    order = sorted(range(len(corpus)), key=lambda index: len(corpus[index].target))
    rows: list[Tensor] = [torch.empty(0)] * len(corpus)
    for first in range(0, len(order), _CACHE_BATCH):
        members = order[first : first + _CACHE_BATCH]
        tokens = encoder.tokenize([words_of(corpus[index].target) for index in members], prefix="")
        with torch.no_grad():
            units = encode(encoder, tokens.to(encoder.device))
        vectors, counts = units.vectors.half().cpu(), units.mask.sum(1).tolist()
        for index, row, count in zip(members, vectors, counts, strict=True):
            rows[index] = row[:count].clone()
    offsets = [0]
    for row in rows:
        pieces.append(row)
        offsets.append(offsets[-1] + len(row))
    return torch.cat(pieces), offsets
