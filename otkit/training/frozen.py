"""The frozen start: the English vectors that the anchor holds on to.

A copy keeps the starting weights and encodes each batch's targets along; where sentences come round again, a cache
beside it keeps what it encoded, each sentence once, in half precision, and lets go of the copy when it is full. Only
weights that the run changes are copied, and no layer above those that are compared; where the device multiplies in
half precision the copy is in it, and then whole.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from otkit.data.batching import PairBatch
from otkit.data.lines import words_of
from otkit.data.views import PairCorpus, languages_of_pairs
from otkit.encoders.device import multiplies_in, send
from otkit.encoders.encoder import resolve_layers, tokenize_fitting
from otkit.encoders.families import layer_stack
from otkit.encoders.pooling import Encoded
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder

__all__ = ["CachedStart", "CopiedStart", "FrozenStart", "copy_dtype", "open_start", "passes_saved"]

EncodeUnits = Callable[[TorchEncoder, Tokens], Encoded]

# A cache larger than this costs more memory than the half-precision copy of a BERT-base encoder does.
CACHE_LIMIT_BYTES = 256 * 2**20
# How often a sentence must be looked up for each that is encoded, for a cache to be worth its memory.
_WORTH = 1.25
# Sentences of a corpus, neighbours in length, that are encoded together when one of them is wanted. What is cached
# must not depend on who comes with whom: a resumed run would differ in the last bits.
_BLOCK = 16
_SAMPLE = 512


class FrozenStart(Protocol):
    """Target vectors as they were before training."""

    @property
    def description(self) -> str:
        """What is kept and how much memory it takes, for people."""
        ...

    @property
    def growth(self) -> int:
        """Bytes that it will take beside those that it takes from the beginning."""
        ...

    @property
    def filled(self) -> float:
        """The share that is there of what is computed once and kept; 1 where nothing is kept."""
        ...

    def vectors(self, batch: PairBatch, tokens: Tokens) -> Tensor:
        """(B,M,D) fp32 vectors of the batch's target units; `tokens` are its target tokens on the device."""
        ...


class CopiedStart:
    """The starting weights once more, encoding each batch anew.

    `layers` are the hidden states that `encode` reads (None: it may read all), and `changing` says which weights the
    run changes: the others are shared with the encoder where they need no other precision.
    """

    def __init__(
        self,
        encoder: TorchEncoder,
        encode: EncodeUnits,
        *,
        dtype: torch.dtype,
        layers: Sequence[int] | None = None,
        changing: Callable[[nn.Parameter], bool] = lambda weight: True,
        compiled: bool = False,
    ) -> None:
        model, stack = encoder.model, layer_stack(encoder.model)
        twins: dict[int, Any] = {}  # what stands in the copy for what in the model, by its id
        unused: set[int] = set()
        if stack is not None and layers is not None:
            above = list(stack)[max(1, *resolve_layers(layers, encoder.layers)) :]
            above += [pooler] if isinstance(pooler := getattr(model, "pooler", None), nn.Module) else []
            twins = {id(module): nn.Identity() for module in above}
            unused = {id(weight) for module in above for weight in module.parameters()}
        self.bytes = 0
        for weight in model.parameters():
            if id(weight) in unused:
                continue
            if weight.dtype == dtype and not changing(weight):
                twins[id(weight)] = weight
            else:
                # Converted one by one: a whole copy in fp32 never stands beside one in half precision.
                own = weight.detach().to(dtype, copy=True)
                twins[id(weight)] = nn.Parameter(own, requires_grad=False)
                self.bytes += own.numel() * own.element_size()
        for buffer in model.buffers():
            if buffer.is_floating_point():  # frequencies of positions, say, are not rounded
                twins[id(buffer)] = buffer.detach().clone()
        model = copy.deepcopy(model, twins)
        model.train(False)
        self._encoder = encoder.with_model(model)
        if compiled:
            self._encoder.compile()
        self._encode = encode

    @property
    def description(self) -> str:
        return f"a copy of {self.bytes / 2**20:.0f} MiB"

    @property
    def growth(self) -> int:
        return 0

    @property
    def filled(self) -> float:
        return 1.0

    def units(self, tokens: Tokens) -> Encoded:
        """What the starting weights make of some sentences."""
        with torch.no_grad():
            return self._encode(self._encoder, tokens)

    def vectors(self, batch: PairBatch, tokens: Tokens) -> Tensor:
        """Encode the targets with the starting weights."""
        return self.units(tokens).vectors.float()


class CachedStart:
    """Every target sentence's units as they are first asked for, kept in half precision.

    The values are a sentence's own: which batch or process asked for it first, and whether the run was resumed since,
    changes no bit of them.
    """

    def __init__(self, start: CopiedStart, encoder: TorchEncoder, corpora: Sequence[PairCorpus]) -> None:
        self._start: CopiedStart | None = start
        self._encoder, self._corpora = encoder, tuple(corpora)
        self._rows: list[list[Tensor | None]] = [[None] * len(corpus) for corpus in corpora]
        self._blocks = [_blocks(corpus) for corpus in corpora]
        self._left = {(number, int(block)) for number, each in enumerate(self._blocks) for block in each}
        self._all = len(self._left)
        self._most, self._copied = _cache_bytes(encoder, corpora), start.bytes

    @property
    def description(self) -> str:
        return (
            f"a cache of up to {self._most / 2**20:.0f} MiB, beside a copy of {self._copied / 2**20:.0f} MiB until it "
            "is full"
        )

    @property
    def growth(self) -> int:
        return self._most

    @property
    def filled(self) -> float:
        return 1 - len(self._left) / self._all

    def vectors(self, batch: PairBatch, tokens: Tokens) -> Tensor:
        """Look the targets up, and encode those that are not there yet; rows are padded with zeros to the batch's
        longest."""
        rows, blocks = self._rows[batch.corpus], self._blocks[batch.corpus]
        for block in sorted({int(blocks[index]) for index in batch.indices if rows[index] is None}):
            self._fill(batch.corpus, block)
        found = [row for index in batch.indices if (row := rows[index]) is not None]
        padded = torch.nn.utils.rnn.pad_sequence(found, batch_first=True)
        return send(padded, tokens.ids.device).float()

    def _fill(self, number: int, block: int) -> None:
        """Encode the sentences of one block."""
        assert self._start is not None
        corpus = self._corpora[number]
        members = np.flatnonzero(self._blocks[number] == block).tolist()
        # No batch has those that are too long; a block is filled for one that is not.
        kept, tokens = tokenize_fitting(self._encoder, [words_of(corpus[index].target) for index in members])
        assert tokens is not None
        members = [members[place] for place in kept]
        _, spoken = languages_of_pairs(corpus, members)
        tokens = self._encoder.subwords.in_languages(tokens, spoken)
        # Not in the precision of the training step: the same sentence may come in another one.
        with torch.autocast(device_type=self._encoder.device.type, enabled=False):
            units = self._start.units(tokens.to(self._encoder.device))
        vectors, counts = units.vectors.half().cpu(), units.mask.sum(1).tolist()
        for index, row, count in zip(members, vectors, counts, strict=True):
            self._rows[number][index] = row[:count].clone()
        self._left.discard((number, block))
        if not self._left:
            self._start = None


def open_start(
    encoder: TorchEncoder,
    encode: EncodeUnits,
    corpora: Sequence[PairCorpus],
    *,
    saved: float,
    layers: Sequence[int] | None = None,
    changing: Callable[[nn.Parameter], bool] = lambda weight: True,
    compiled: bool = False,
) -> FrozenStart:
    """The cheaper frozen start where a cache would be asked `saved` times for each sentence that it encodes;
    `compiled` fuses the copy's layers."""
    copied = CopiedStart(
        encoder,
        encode,
        dtype=copy_dtype(encoder.device),
        layers=layers,
        changing=changing,
        compiled=compiled,
    )
    if saved >= _WORTH and _cache_bytes(encoder, corpora) <= CACHE_LIMIT_BYTES:
        return CachedStart(copied, encoder, corpora)
    return copied


def copy_dtype(device: torch.device) -> torch.dtype:
    """What a copy of the starting weights is kept and multiplied in: half precision where the device has it.

    bfloat16 keeps fp32's range, which activations of deep encoders need; its products are exact in fp32.
    """
    half = device.type != "mps" and multiplies_in(device, torch.bfloat16)
    return torch.bfloat16 if half else torch.float32


def passes_saved(corpora: Sequence[PairCorpus], *, epochs: float, quota: int) -> float:
    """How often a cache would be asked for each sentence that it encodes, in a run that visits `quota` pairs of each
    corpus in an epoch; below 1 where whole blocks are encoded for a sentence or two of them."""
    encoded = 0.0
    for corpus in corpora:
        whole, rest = divmod(epochs, 1.0)
        # An epoch draws its pairs without repetition as long as there are enough.
        missed = (1 - min(1.0, quota / len(corpus))) ** whole * (1 - min(1.0, rest * quota / len(corpus)))
        encoded += len(corpus) * (1 - missed ** min(_BLOCK, len(corpus)))
    return epochs * quota * len(corpora) / max(encoded, 1.0)


def _cache_bytes(encoder: TorchEncoder, corpora: Sequence[PairCorpus]) -> int:
    """About what a cache would hold: words counted on a sample, two bytes a component."""
    total = 0.0
    for corpus in corpora:
        picked = np.linspace(0, len(corpus) - 1, min(_SAMPLE, len(corpus))).astype(int)
        words = np.mean([len(words_of(corpus[int(index)].target)) for index in picked])
        total += len(corpus) * float(words) * encoder.dimension * 2
    return int(total)


def _blocks(corpus: PairCorpus) -> NDArray[np.int64]:
    """The number of the block that each sentence belongs to."""
    lengths = np.array([len(corpus[index].target) for index in range(len(corpus))])
    blocks = np.empty(len(corpus), dtype=np.int64)
    blocks[np.argsort(lengths, kind="stable")] = np.arange(len(corpus)) // _BLOCK
    return blocks
