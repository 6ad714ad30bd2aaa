"""Heads on an encoder for the transfer tasks: one label a pair of texts, or a span of the second text.

Both are modules that the training loop takes like any other: a batch in, named losses out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from otkit.encoders.pairs import JointInputs
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ConfigError, choose
from otkit.files import json_in, replace_file
from otkit.training.encoded import Losses
from otkit.training.tuning import freeze

__all__ = [
    "ClassBatch",
    "Classifier",
    "Head",
    "HeadConfig",
    "SpanBatch",
    "SpanFinder",
    "load_head",
    "save_head",
]

HEAD_FILE = "head.safetensors"


@dataclass(frozen=True)
class HeadConfig:
    """The shape of a head.

    pooling  what a classifier sees: "cls" (the first token through a dense layer and tanh, started from the
             encoder's own pooler where it has one) or the "mean" of the tokens
    dropout  before the last linear layer, and before the dense one
    frozen   None trains the whole encoder; 0 keeps the embeddings as they are, N also the first N layers
    """

    pooling: str = "cls"
    dropout: float = 0.1
    frozen: int | None = None

    def __post_init__(self) -> None:
        choose(self.pooling, {"cls": 0, "mean": 0}, what="pooling")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}", remedy="give a share in [0, 1)")


@dataclass(frozen=True)
class ClassBatch:
    """B pairs of texts with a label each, (B,) int64."""

    inputs: JointInputs
    labels: Tensor
    indices: tuple[int, ...]


@dataclass(frozen=True)
class SpanBatch:
    """B windows with the positions (B,) of the answer's first and last token; 0, 0 where it lies outside."""

    inputs: JointInputs
    starts: Tensor
    ends: Tensor
    indices: tuple[int, ...]


class Head(nn.Module):
    """What both heads share: the encoder they sit on, tuned with them."""

    kind = ""

    def __init__(self, encoder: TorchEncoder, config: HeadConfig) -> None:
        super().__init__()
        self.model = encoder.model
        self.config = config
        self._beside = (encoder,)
        self.dropout = nn.Dropout(config.dropout)
        freeze(encoder, config.frozen)

    @property
    def encoder(self) -> TorchEncoder:
        """The encoder under the head."""
        return self._beside[0]

    def own_state(self) -> dict[str, Tensor]:
        """The head's weights without the encoder's."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("model.")}

    def states(self, inputs: JointInputs) -> Tensor:
        """(B, T, D) the encoder's last hidden state."""
        return inputs.to(self.encoder.device).states(self.encoder)

    def logits(self, inputs: JointInputs) -> Tensor:
        """What the head answers, before a softmax."""
        raise NotImplementedError

    def losses(self, logits: Tensor, batch: Any) -> Losses:
        """How far the answers are from the labels of their batch."""
        raise NotImplementedError

    def forward(self, batch: Any) -> Losses:
        """The losses of a labelled batch."""
        return self.losses(self.logits(batch.inputs), batch)


class Classifier(Head):
    """One of `labels` classes for a pair of texts."""

    kind = "classifier"

    def __init__(self, encoder: TorchEncoder, config: HeadConfig, *, labels: int) -> None:
        super().__init__(encoder, config)
        width = encoder.dimension
        self.dense = nn.Linear(width, width) if config.pooling == "cls" else None
        self.out = nn.Linear(width, labels)
        _initialise(self.out)
        if self.dense is not None:
            _initialise(self.dense)
            _take_pooler(self.dense, encoder)
        self.to(encoder.device)

    def logits(self, inputs: JointInputs) -> Tensor:
        """(B, labels)."""
        states = self.states(inputs)
        if self.dense is not None:
            pooled = torch.tanh(self.dense(states[:, 0]))
        else:
            weights = inputs.attention.to(states.device).unsqueeze(-1)
            pooled = torch.where(weights, states, 0).sum(1) / weights.sum(1)
        logits: Tensor = self.out(self.dropout(pooled))
        return logits

    def losses(self, logits: Tensor, batch: ClassBatch) -> Losses:
        """Cross-entropy of the labels, and the share that is right."""
        labels = batch.labels.to(logits.device)
        right = (logits.argmax(-1) == labels).float().mean()
        return Losses(
            {"loss": functional.cross_entropy(logits.float(), labels)}, {"accuracy": right.detach()}
        )


class SpanFinder(Head):
    """The first and the last token of an answer in the second text."""

    kind = "span"

    def __init__(self, encoder: TorchEncoder, config: HeadConfig) -> None:
        super().__init__(encoder, config)
        self.out = nn.Linear(encoder.dimension, 2)
        _initialise(self.out)
        self.to(encoder.device)

    def logits(self, inputs: JointInputs) -> Tensor:
        """(B, T, 2) for start and end; -inf at padding."""
        logits: Tensor = self.out(self.dropout(self.states(inputs))).float()
        return logits.masked_fill(~inputs.attention.to(logits.device).unsqueeze(-1), -torch.inf)

    def losses(self, logits: Tensor, batch: SpanBatch) -> Losses:
        """The mean of both positions' cross-entropies."""
        places = [side.to(logits.device) for side in (batch.starts, batch.ends)]
        losses = [functional.cross_entropy(logits[..., side], place) for side, place in enumerate(places)]
        return Losses({"loss": (losses[0] + losses[1]) / 2}, {})


def _initialise(layer: nn.Linear) -> None:
    """As BERT starts its own new layers."""
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)


def _take_pooler(dense: nn.Linear, encoder: TorchEncoder) -> None:
    found = getattr(getattr(encoder.model, "pooler", None), "dense", None)
    if isinstance(found, nn.Linear) and found.weight.shape == dense.weight.shape:
        dense.load_state_dict({name: value.detach().clone() for name, value in found.state_dict().items()})


def save_head(head: Head, folder: Path, metadata: dict[str, Any]) -> None:
    """The tuned encoder as a transformers folder, with the head beside it."""
    settings = {"kind": head.kind, "config": asdict(head.config)}
    head.encoder.save(folder, {**metadata, "head": settings}, overwrite=True)
    weights = {name: value.contiguous().cpu() for name, value in head.own_state().items()}
    replace_file(folder / HEAD_FILE, lambda temporary: save_file(weights, temporary))


def load_head(encoder: TorchEncoder, folder: Path) -> Head:
    """The head that `save_head` put beside this encoder."""
    path = folder / HEAD_FILE
    try:
        stored = json_in(folder / "otkit.json")["head"]
        weights = load_file(path)
        config = HeadConfig(**stored["config"])
        head: Head
        if stored["kind"] == Classifier.kind:
            head = Classifier(encoder, config, labels=len(weights["out.weight"]))
        else:
            head = SpanFinder(encoder, config)
        missing, unknown = head.load_state_dict(weights, strict=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"holds no head that can be used ({type(error).__name__}: {error})",
            where=str(path),
            remedy="give a folder that `otkit evaluate xnli --save-heads` or `xquad` wrote",
        ) from error
    absent = [name for name in missing if not name.startswith("model.")]
    if absent or unknown:
        raise CheckpointError(
            f"its weights do not fit the head (missing {absent}, unknown {unknown})",
            where=str(path),
            remedy="write the head again",
        )
    return head
