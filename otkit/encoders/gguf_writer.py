"""A torch encoder of the BERT or XLM-R family to one GGUF file, tokenizer included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import dequantize, quantize

from otkit.encoders.encoder import TorchEncoder
from otkit.encoders.gguf import bert_tensors
from otkit.encoders.gguf_tokenizer import tokenizer_fields
from otkit.errors import ExportError, choose
from otkit.files import replace_file

__all__ = ["GGUF_TYPES", "write_gguf"]

_Q = gguf.GGMLQuantizationType
_F = gguf.LlamaFileType
GGUF_TYPES: dict[str, tuple[Any, Any]] = {
    "q4_0": (_Q.Q4_0, _F.MOSTLY_Q4_0),
    "q8_0": (_Q.Q8_0, _F.MOSTLY_Q8_0),
    "f16": (_Q.F16, _F.MOSTLY_F16),
    "f32": (_Q.F32, _F.ALL_F32),
}
# Small tables that llama.cpp keeps exact, as does every 1-d tensor.
_EXACT = ("position_embd.weight", "token_types.weight")


def write_gguf(encoder: TorchEncoder, path: Path, *, kind: str = "q8_0") -> None:
    """Write `encoder` in llama.cpp's names: matrices and word table in `kind`, the rest in fp32."""
    stored, file_type = choose(kind, GGUF_TYPES, what="GGUF type")
    config = encoder.model.config
    if config.model_type not in ("bert", "xlm-roberta") or getattr(config, "is_decoder", False):
        raise ExportError(
            f"the architecture {config.model_type!r} is not BERT's, and GGUF files are written for it alone",
            where=encoder.name,
            remedy="choose --to onnx or --to transformers",
        )
    if config.hidden_act != "gelu":
        raise ExportError(
            f"the activation {config.hidden_act!r} has no place in a GGUF file", where=encoder.name
        )
    state = {key: value.detach().float().cpu().numpy() for key, value in encoder.model.state_dict().items()}
    position = "embeddings.position_embeddings.weight"
    # XLM-R counts positions from its padding index on; BERT from 0: the rows before are never used.
    state[position] = state[position][len(state[position]) - encoder_positions(encoder) :]

    def write(temporary: Path) -> None:
        writer = gguf.GGUFWriter(temporary, "bert")
        _write_fields(writer, encoder, file_type, positions=len(state[position]))
        for name, (key, shape) in bert_tensors(config, positions=len(state[position])).items():
            values = np.ascontiguousarray(state[key])
            if values.shape != shape:
                raise ExportError(f"{key} has shape {values.shape}, not {shape}", where=encoder.name)
            exact = values.ndim == 1 or name in _EXACT
            block = gguf.GGML_QUANT_SIZES[stored][0]
            if exact or values.shape[-1] % block:
                writer.add_tensor(name, values)
            else:
                with np.errstate(over="ignore", invalid="ignore"):
                    packed = quantize(values, stored)
                    held = np.isfinite(dequantize(packed, stored)).all()
                if not held:
                    raise ExportError(
                        f"the tensor {key!r} has numbers that {kind} cannot hold",
                        where=encoder.name,
                        remedy="choose the GGUF type f32",
                    )
                writer.add_tensor(name, packed, raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    replace_file(path, write)


def encoder_positions(encoder: TorchEncoder) -> int:
    """Rows of the position table that tokens reach."""
    table = encoder.model.get_submodule("embeddings.position_embeddings")
    assert isinstance(table, torch.nn.Embedding)
    return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)


def _write_fields(writer: gguf.GGUFWriter, encoder: TorchEncoder, file_type: Any, *, positions: int) -> None:
    config = encoder.model.config
    writer.add_name(encoder.name)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(positions)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    writer.add_pooling_type(
        gguf.PoolingType.CLS if encoder.settings.pooling == "cls" else gguf.PoolingType.MEAN
    )
    writer.add_file_type(file_type)
    for key, value in tokenizer_fields(encoder.tokenizer, rows=config.vocab_size).items():
        name = f"tokenizer.ggml.{key}"
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_array(name, value)
