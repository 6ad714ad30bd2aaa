"""A torch encoder of the BERT or XLM-R family to one GGUF file, tokenizer included."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import dequantize, quantize
from transformers import PreTrainedTokenizerFast

from otkit.encoders.families import first_position
from otkit.encoders.gguf import SPACE, SPECIALS, bert_tensors
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ExportError, choose
from otkit.exports.settings import ExportSettings
from otkit.files import replace_file

__all__ = ["GGUF_TYPES", "POOLING_TYPES", "write_gguf"]

_Q = gguf.GGMLQuantizationType
_F = gguf.LlamaFileType
GGUF_TYPES: dict[str, tuple[Any, Any]] = {
    "q4_0": (_Q.Q4_0, _F.MOSTLY_Q4_0),
    "q8_0": (_Q.Q8_0, _F.MOSTLY_Q8_0),
    "f16": (_Q.F16, _F.MOSTLY_F16),
    "f32": (_Q.F32, _F.ALL_F32),
}
POOLING_TYPES = {
    "mean": gguf.PoolingType.MEAN,
    "cls": gguf.PoolingType.CLS,
    "lasttoken": gguf.PoolingType.LAST,
}
_NEVER = -1e4
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3  # token types of GGUF
# Small tables that llama.cpp keeps exact, as does every 1-d tensor.
_EXACT = ("position_embd.weight", "token_types.weight")


def write_gguf(encoder: TorchEncoder, path: Path, *, kind: str = ExportSettings.gguf_type) -> None:
    """Write `encoder` in llama.cpp's names: matrices and word table in `kind`, the rest in fp32."""
    stored, file_type = choose(kind, GGUF_TYPES, what="GGUF type")
    config = encoder.model.config
    if config.model_type not in ("bert", "xlm-roberta") or getattr(config, "is_decoder", False):
        raise ExportError(
            f"the architecture {config.model_type!r} is not BERT's, and GGUF files are written for it alone",
            where=encoder.name,
            remedy="choose `to='onnx'` or `to='transformers'`",
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
    return table.num_embeddings - first_position(encoder.model)


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
    writer.add_pooling_type(POOLING_TYPES[encoder.settings.pooling])
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


def tokenizer_fields(tokenizer: PreTrainedTokenizerFast, *, rows: int) -> dict[str, Any]:
    """The metadata `tokenizer.ggml.*` that describes this tokenizer, as `read_tokenizer` and llama.cpp read
    it."""
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = document["model"].get("type")
    fields: dict[str, Any] = {}
    for key, name in SPECIALS.items():
        number = getattr(tokenizer, f"{name}_id")
        if number is not None:
            fields[key] = int(number)
    specials = set(fields.values()) | {token["id"] for token in document["added_tokens"] if token["special"]}
    if kind == "WordPiece":
        pieces = [f"[unused{number}]" for number in range(rows)]
        for piece, number in document["model"]["vocab"].items():
            bracketed = piece.startswith("[") and piece.endswith("]")
            pieces[number] = piece if number in specials or bracketed else _stored(piece)
        fields |= {"model": "bert", "tokens": pieces}
    elif kind == "Unigram":
        vocabulary = document["model"]["vocab"]
        # An embedding table may have more rows than there are pieces; no text is ever cut into these.
        spare = [f"[unused{number}]" for number in range(len(vocabulary), rows)]
        pieces = [*(piece for piece, _ in vocabulary), *spare]
        scores = [*(float(score) for _, score in vocabulary), *(_NEVER for _ in spare)]
        fields |= {"model": "t5", "tokens": pieces, "scores": scores}
        fields |= {"add_space_prefix": True, "remove_extra_whitespaces": True}
        charsmap = _charsmap(document["normalizer"])
        if charsmap is not None:
            fields["precompiled_charsmap"] = charsmap
    else:
        raise ExportError(
            f"a {kind} tokenizer has no place in a GGUF file of the BERT architecture",
            remedy="choose `to='onnx'` or `to='transformers'`",
        )
    unknown = fields.get("unknown_token_id")
    kinds = [_UNKNOWN if n == unknown else _CONTROL if n in specials else _NORMAL for n in range(len(pieces))]
    return {**fields, "token_type": kinds}


def _stored(piece: str) -> str:
    return piece.removeprefix("##") if piece.startswith("##") else SPACE + piece


def _charsmap(normalizer: dict[str, Any] | None) -> bytes | None:
    """SentencePiece's table of character replacements, wherever it lies in the normaliser."""
    if normalizer is None:
        return None
    if normalizer["type"] == "Precompiled":
        return base64.b64decode(normalizer["precompiled_charsmap"])
    found = (_charsmap(part) for part in normalizer.get("normalizers", []))
    return next((table for table in found if table is not None), None)
