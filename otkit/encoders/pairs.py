"""Two texts as one input, as classification and question answering take them: raw text to ids and offsets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otkit.encoders.device import send
from otkit.encoders.tokens import own_tokenizer
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError

__all__ = ["JointInputs", "PairTokenizer", "Pieces", "collate", "shorten_pair"]

Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text's subwords: ids (T,), and the characters [start, end) of the text that each covers, (T, 2)."""

    ids: Ids
    spans: Ids


@dataclass(frozen=True, slots=True)
class JointInputs:
    """A padded batch: ids (B, T) int64, attention (B, T) bool, types (B, T) int64 or None where unused."""

    ids: Tensor
    attention: Tensor
    types: Tensor | None

    def to(self, device: torch.device | str) -> JointInputs:
        """The same batch on another device."""
        types = None if self.types is None else send(self.types, device)
        return JointInputs(send(self.ids, device), send(self.attention, device), types)

    def states(self, encoder: TorchEncoder) -> Tensor:
        """(B, T, D) the last hidden state."""
        (last,) = encoder.states(self.ids, self.attention, (encoder.layers,), types=self.types)
        return last


class PairTokenizer:
    """Joins two texts with an encoder's own special tokens: `[CLS] a [SEP] b [SEP]`, `<s> a </s></s> b </s>`.

    It works on a copy of the encoder's tokenizer, so that no truncation set here is ever seen elsewhere.
    """

    def __init__(self, encoder: TorchEncoder, language: str | None = None) -> None:
        """language: of the texts, for an encoder whose tokenizer wants to know."""
        self._backend = backend = own_tokenizer(encoder.tokenizer.backend_tokenizer)
        self.padding = encoder.subwords.padding_id
        self.limit = encoder.max_tokens
        self.typed = "token_type_ids" in encoder.tokenizer.model_input_names
        probe = backend.encode("a", "b")
        sides = [None if side is None else int(side) for side in probe.sequence_ids]
        if 0 not in sides or 1 not in sides or None not in sides:
            raise CheckpointError(
                "the tokenizer has no form for two texts",
                where=encoder.name,
                remedy="use an encoder whose tokenizer.json has a post-processor for pairs",
            )
        first, last = sides.index(0), len(sides) - sides[::-1].index(0)
        second, end = sides.index(1), len(sides) - sides[::-1].index(1)
        between = ((0, first), (last, second), (end, len(sides)))  # where the special tokens stand
        usual = encoder.subwords.usual
        spoken = usual if usual is None else encoder.subwords.language_token(language)
        ids = [spoken if token == usual else token for token in probe.ids]
        self._ids = [np.array(ids[a:b], dtype=np.int32) for a, b in between]
        self._types = [np.array(probe.type_ids[a:b], dtype=np.int32) for a, b in between]
        self._kinds = (probe.type_ids[first], probe.type_ids[second])
        self.lead, self.middle = first, second - last
        self.added = first + (second - last) + (len(sides) - end)

    def pieces(self, texts: Iterable[str]) -> dict[str, Pieces]:
        """The subwords of every different text, without special tokens."""
        unique = list(dict.fromkeys(texts))
        found: dict[str, Pieces] = {}
        for first in range(0, len(unique), 2048):
            part = unique[first : first + 2048]
            for text, encoding in zip(
                part, self._backend.encode_batch(part, add_special_tokens=False), strict=True
            ):
                spans = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
                found[text] = Pieces(np.array(encoding.ids, dtype=np.int32), spans)
        return found

    def join(self, first: Ids, second: Ids) -> tuple[Ids, Ids]:
        """(T,) ids and types of two texts with the special tokens around them."""
        lead, middle, tail = self._types
        kinds = [np.full(len(side), kind) for side, kind in zip((first, second), self._kinds, strict=True)]
        ids = np.concatenate([self._ids[0], first, self._ids[1], second, self._ids[2]])
        return ids, np.concatenate([lead, kinds[0], middle, kinds[1], tail]).astype(np.int32)


def shorten_pair(first: Ids, second: Ids, room: int) -> tuple[Ids, Ids]:
    """Both texts cut to `room` tokens together, always at the end of the one that is longer at the time."""
    sizes = [len(first), len(second)]
    while sum(sizes) > room:
        sizes[0 if sizes[0] > sizes[1] else 1] -= 1
    return first[: sizes[0]], second[: sizes[1]]


def collate(rows: Sequence[tuple[Ids, Ids]], *, padding: int, typed: bool) -> JointInputs:
    """Rows of (ids, types) as one batch, padded to the longest."""
    width = max(len(ids) for ids, _ in rows)
    lengths = torch.tensor([len(ids) for ids, _ in rows])
    joined = [np.full((len(rows), width), fill, dtype=np.int64) for fill in (padding, 0)]
    for place, row in enumerate(rows):
        for side, values in zip(joined, row, strict=True):
            side[place, : len(values)] = values
    attention = torch.arange(width).unsqueeze(0) < lengths.unsqueeze(1)
    return JointInputs(torch.from_numpy(joined[0]), attention, torch.from_numpy(joined[1]) if typed else None)
