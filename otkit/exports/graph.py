"""The torch encoder as one ONNX graph: ids and mask in, alignment states and sentence vector out."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from otkit.encoders.families import UNMASKED
from otkit.encoders.onnx import layer_output, output_names
from otkit.encoders.pooling import pooled, poolings_of
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ExportError, reason_of
from otkit.exports.settings import ExportSettings

__all__ = ["INPUTS", "whole_width", "write_graph"]

# 18 is the lowest that torch writes without a conversion afterwards, and so what the oldest runtimes read.
_ATTENTION_OPSET = 23  # from here on each layer's attention is one native Attention node
_SINGLE_FILE_LIMIT = 2_000_000_000  # a protobuf message ends at 2 GiB
INPUTS = ("input_ids", "attention_mask")
_OTHER = "choose `to='transformers'` or `to='sentence-transformers'`"


class _Graph(nn.Module):
    """What is traced: the whole encoder, its alignment layers averaged, and its unit vector of sentences with
    all modules behind it, before it is made shorter."""

    def __init__(self, encoder: TorchEncoder, also: Sequence[int]) -> None:
        super().__init__()
        self.model, self.layers, self.also = encoder.model, encoder.settings.alignment_layers, also
        self.pooling, self.head = encoder.settings.pooling, encoder.head

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        states = self.model(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
        ).hidden_states
        chosen = [states[layer] for layer in self.layers]
        vector = nn.functional.normalize(self.head(pooled(states[-1], attention_mask, self.pooling)), dim=-1)
        more = [states[layer] * 1.0 for layer in self.also]
        if len(chosen) == 1:
            return chosen[0] * 1.0, vector, *more  # its own node, should the layer also be the graph's last
        return torch.stack(chosen).mean(dim=0), vector, *chosen, *more


def whole_width(encoder: TorchEncoder) -> int:
    """Of the graph's sentence vectors: all of their numbers."""
    return encoder.head.width(encoder.dimension * len(poolings_of(encoder.settings.pooling)))


def write_graph(
    encoder: TorchEncoder, path: Path, *, opset: int = ExportSettings.opset, also: Sequence[int] = ()
) -> None:
    """Write `encoder` as a single ONNX file with dynamic batch and length; `also` hidden states that its own outputs
    do not have."""
    family = encoder.model.config.model_type
    if family in UNMASKED:
        raise ExportError(
            f"the architecture {family!r} has no mask for padding, so a graph would give other states in a batch",
            where=encoder.name,
            remedy=_OTHER,
        )
    if not encoder.settings.pool_prompt:
        raise ExportError(
            "its pooling leaves out the prompt (include_prompt is false), whose length a graph does not know",
            where=encoder.name,
            remedy=_OTHER,
        )
    bytes_needed = sum(weight.numel() * weight.element_size() for weight in encoder.model.parameters())
    # Two rows of different lengths, so that nothing is taken for a constant or for always full.
    names = [*output_names(encoder.settings.alignment_layers)]
    also = [layer for layer in also if layer_output(layer) not in names]
    ids = torch.full((2, 7), encoder.subwords.padding_id, dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    axes = {0: "batch", 1: "tokens"}
    with _silence(), torch.inference_mode(), _plain_attention(encoder, unless=opset >= _ATTENTION_OPSET):
        try:
            torch.onnx.export(
                _Graph(encoder, also).eval(),
                (ids, mask),
                str(path),
                input_names=list(INPUTS),
                output_names=[*names, *map(layer_output, also)],
                opset_version=opset,
                dynamo=True,
                external_data=bytes_needed > _SINGLE_FILE_LIMIT,
                dynamic_shapes=dict.fromkeys(INPUTS, axes),
                custom_translation_table={torch.ops.aten.gelu.default: _gelu},
                verbose=False,
            )
        except (OSError, MemoryError):
            raise
        except Exception as error:  # what tracing and translation raise has no common class
            raise ExportError(
                f"the architecture {family!r} cannot be written as one graph ({_cause(error)})",
                where=encoder.name,
                remedy=_OTHER,
            ) from error


def _cause(error: Exception) -> str:
    """What the innermost error of a failed export says, in one line: those around it are advice in colours."""
    while isinstance(inner := error.__cause__, Exception):
        error = inner
    return re.sub(r"\x1b\[[0-9;]*m", "", reason_of(error))[:200]


@contextlib.contextmanager
def _plain_attention(encoder: TorchEncoder, *, unless: bool) -> Iterator[None]:
    """Attention as two products and a softmax while a graph is traced.

    torch's fused attention is written with a search for NaN after each softmax and with the shapes of its
    operands computed anew in every layer: a tenth of an int8 graph's time.
    """
    usual = encoder.model.config._attn_implementation
    if not unless:
        encoder.model.set_attn_implementation("eager")
    try:
        yield
    finally:
        encoder.model.set_attn_implementation(usual)


def _gelu(x: Any, approximate: str = "none") -> Any:
    """GELU in the order of operations that ONNX Runtime knows to run as one."""
    from onnxscript import opset18 as op

    if approximate == "tanh":
        inner = op.Mul(op.Add(x, op.Mul(op.Mul(op.Mul(x, x), x), 0.044715)), math.sqrt(2 / math.pi))
        return op.Mul(op.Mul(x, op.Add(op.Tanh(inner), 1.0)), 0.5)
    return op.Mul(op.Mul(x, op.Add(op.Erf(op.Div(x, math.sqrt(2))), 1.0)), 0.5)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """torch.onnx talks on every channel there is (missing torchvision, renamed axes, whole graphs); failures are
    exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.ExitStack() as quiet:
            quiet.enter_context(contextlib.redirect_stdout(io.StringIO()))
            quiet.enter_context(contextlib.redirect_stderr(io.StringIO()))
            quiet.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
