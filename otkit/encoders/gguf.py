"""BERT-architecture GGUF files to torch weights, through the `gguf` package, and the tokenizer inside: WordPiece
(`bert`) and SentencePiece unigram (`t5`)."""

from __future__ import annotations

import math
import struct
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, GGUFValueType
from gguf.quants import dequantize
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, PreTrainedConfig, PreTrainedTokenizerFast
from transformers.models.bert.modeling_bert import BertModel

from otkit.errors import CheckpointError, reason_of

__all__ = [
    "SPACE",
    "SPECIALS",
    "GgufFile",
    "bert_tensors",
    "build_bert",
    "open_gguf",
    "read_gguf",
    "read_tokenizer",
]

_REMEDY = "download or copy the file again"
# The parts of llama.cpp's layer names and of transformers', with the shape of the weight in letters:
# D width, F inner width of the feed-forward.
_LAYER_PARTS = {
    "attn_q": ("attention.self.query", "DD"),
    "attn_k": ("attention.self.key", "DD"),
    "attn_v": ("attention.self.value", "DD"),
    "attn_output": ("attention.output.dense", "DD"),
    "attn_output_norm": ("attention.output.LayerNorm", "D"),
    "ffn_up": ("intermediate.dense", "FD"),
    "ffn_down": ("output.dense", "DF"),
    "layer_output_norm": ("output.LayerNorm", "D"),
}

SPACE = "▁"
# The file's name for the id of each special token (`seperator` is how llama.cpp spells it), and transformers'
# name.
SPECIALS = {
    "cls_token_id": "cls_token",
    "seperator_token_id": "sep_token",
    "bos_token_id": "bos_token",
    "eos_token_id": "eos_token",
    "unknown_token_id": "unk_token",
    "padding_token_id": "pad_token",
    "mask_token_id": "mask_token",
}


@dataclass(frozen=True)
class GgufFile:
    """A GGUF file whose header was read: where it lies, its metadata fields and its tensors by name."""

    path: Path
    fields: dict[str, Any]
    tensors: dict[str, Any]

    def value(self, key: str, default: Any = None) -> Any:
        """A value of the metadata; a vocabulary's worth of texts is decoded only here, when it is wanted."""
        field = self.fields.get(key)
        try:
            return default if field is None else field.contents()
        except (ValueError, IndexError, TypeError) as error:  # a text that is no UTF-8
            raise CheckpointError(
                f"the metadata's {key!r} cannot be read ({_first_line(error)})",
                where=str(self.path),
                remedy=_REMEDY,
            ) from error

    def number(self, key: str) -> float:
        """A number of the metadata, or a CheckpointError that names the key."""
        value = self.value(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise CheckpointError(f"the metadata has no number {key!r}", where=str(self.path), remedy=_REMEDY)
        return value


class _Reader(GGUFReader):
    """GGUFReader, except that a list in the metadata is not read by a recursive call for each of its values.

    A vocabulary with its scores is half a million values: ten seconds by the call, a tenth of one like this.
    """

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[Any]]:
        if raw_type != GGUFValueType.ARRAY or self.byte_order != "I":
            return super()._get_field_parts(orig_offs, raw_type)
        data = np.asarray(self.data)  # without memmap's cost for each slice
        kind, count = self._get(orig_offs, np.uint32), self._get(orig_offs + 4, np.uint64)
        item, place = GGUFValueType(int(kind[0])), orig_offs + 12
        scalar = self.gguf_scalar_to_np.get(item)
        if scalar is not None:
            size = int(count[0]) * np.dtype(scalar).itemsize
            if place + size > len(data):
                raise ValueError("a list in the metadata goes past the end of the file")
            values = data[place : place + size].view(scalar)
            return 12 + size, [kind, count, values], [2], [GGUFValueType.ARRAY, item]
        if item != GGUFValueType.STRING:
            return super()._get_field_parts(orig_offs, raw_type)
        parts: list[Any] = [kind, count]
        for _ in range(int(count[0])):
            start = place + 8
            place = start + int.from_bytes(data[place:start].tobytes(), "little")
            if not start <= place <= len(data):
                raise ValueError("a list in the metadata goes past the end of the file")
            parts.append(data[start:place])
        return place - orig_offs, parts, list(range(2, len(parts))), [GGUFValueType.ARRAY, item]


def open_gguf(path: Path) -> GgufFile:
    """Read the header of a GGUF file and map its tensors; anything else than a whole GGUF file is an
    error."""
    where = str(path)
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
        if magic != b"GGUF":
            raise CheckpointError(
                "is not a GGUF file (it does not start with 'GGUF')",
                where=where,
                remedy="give a .gguf file, or the folder of a transformers encoder",
            )
        reader = _Reader(path)
        return GgufFile(path, dict(reader.fields), {tensor.name: tensor for tensor in reader.tensors})
    except OSError as error:
        raise CheckpointError(f"cannot be read ({reason_of(error)})", where=where) from error
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error, MemoryError) as error:
        raise CheckpointError(
            f"is truncated or damaged: {_first_line(error)}", where=where, remedy=_REMEDY
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def read_gguf(path: Path | GgufFile) -> tuple[BertConfig, dict[str, Tensor]]:
    """The config and the fp32 weights, under transformers' names, of any GGUF file of the `bert`
    architecture.

    Names and shapes are checked against the file's own metadata: a missing, foreign or misshapen tensor is an
    error.
    """
    file = path if isinstance(path, GgufFile) else open_gguf(path)
    config = _config(file)
    expected = bert_tensors(config, positions=config.max_position_embeddings)
    foreign = [
        repr(name[:80]) for name in file.tensors if name not in expected and not name.startswith("cls")
    ]
    if foreign:
        raise CheckpointError(
            f"has tensors that a BERT encoder has not: {', '.join(foreign[:3])}",
            where=str(file.path),
            remedy="only the plain BERT architecture can be opened; use its transformers folder",
        )
    state: dict[str, Tensor] = {}
    for name, (key, shape) in expected.items():
        tensor = file.tensors.get(name)
        if tensor is None:
            raise CheckpointError(f"the tensor {name!r} is missing", where=str(file.path), remedy=_REMEDY)
        found = tuple(int(n) for n in reversed(tensor.shape))
        if found != shape:
            raise CheckpointError(
                f"the tensor {name!r} has shape {found}, its metadata says {shape}",
                where=str(file.path),
                remedy=_REMEDY,
            )
        state[key] = _values(file, tensor)
    return config, state


def _values(file: GgufFile, tensor: Any) -> Tensor:
    try:
        values = np.array(_dequantized(tensor), dtype=np.float32, copy=None)
    except (NotImplementedError, KeyError) as error:
        raise CheckpointError(
            f"the tensor {tensor.name!r} has the unknown type {tensor.tensor_type.name}",
            where=str(file.path),
            remedy="use a file in F32, F16, BF16, Q8_0 or Q4_0",
        ) from error
    if not np.isfinite(values).all():
        raise CheckpointError(
            f"the tensor {tensor.name!r} has values that are not finite", where=str(file.path), remedy=_REMEDY
        )
    values = (
        values if values.flags.writeable else values.copy()
    )  # plain fp32 tensors are still the mapped file
    return torch.from_numpy(values.reshape(tuple(int(n) for n in reversed(tensor.shape))))


def _dequantized(tensor: Any) -> NDArray[Any]:
    """All values, in the order of the file. gguf works on 16 rows at a time, of a mapped file, of which each view costs
    more than the arithmetic: blocks do not know of rows, so 64 kB of them are given to it as one."""
    data = np.atleast_2d(np.asarray(tensor.data))
    rows = max(1, 2**16 // max(1, data.shape[-1]))
    parts = [data[start : start + rows].reshape(1, -1) for start in range(0, max(1, len(data)), rows)]
    return np.concatenate([dequantize(part, tensor.tensor_type).ravel() for part in parts])


def _config(file: GgufFile) -> BertConfig:
    architecture = file.value("general.architecture")
    if architecture != "bert":
        raise CheckpointError(
            f"has the architecture {str(architecture)[:80]!r}; only 'bert' can be opened",
            where=str(file.path),
            remedy="use the transformers folder of this model",
        )
    width, heads = int(file.number("bert.embedding_length")), int(file.number("bert.attention.head_count"))
    words, types = file.tensors.get("token_embd.weight"), file.tensors.get("token_types.weight")
    if words is None or types is None:
        missing = "token_embd.weight" if words is None else "token_types.weight"
        raise CheckpointError(f"the tensor {missing!r} is missing", where=str(file.path), remedy=_REMEDY)
    if heads < 1 or width % heads:
        raise CheckpointError(
            f"its width {width} is not a multiple of its {heads} heads", where=str(file.path), remedy=_REMEDY
        )
    layers = int(file.number("bert.block_count"))
    if not 0 < layers * len(_LAYER_PARTS) <= len(file.tensors):
        raise CheckpointError(
            f"states {layers} layers and has {len(file.tensors)} tensors",
            where=str(file.path),
            remedy=_REMEDY,
        )
    return BertConfig(
        vocab_size=int(file.value("bert.vocab_size", words.shape[1])),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=int(file.number("bert.feed_forward_length")),
        max_position_embeddings=int(file.number("bert.context_length")),
        type_vocab_size=int(types.shape[1]),
        # Stored as fp32: written back in the shortest digits, 1e-12 is 1e-12 again.
        layer_norm_eps=float(f"{file.number('bert.attention.layer_norm_epsilon'):.6g}"),
        pad_token_id=int(file.value("tokenizer.ggml.padding_token_id", 0)),
    )


def bert_tensors(config: PreTrainedConfig, *, positions: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Each tensor of the file with its name in transformers and its shape."""
    width = config.hidden_size
    sizes = {"D": width, "F": config.intermediate_size}
    tables = {
        "token_embd": ("word_embeddings", config.vocab_size),
        "position_embd": ("position_embeddings", positions),
        "token_types": ("token_type_embeddings", config.type_vocab_size),
    }
    found: dict[str, tuple[str, tuple[int, ...]]] = {
        f"{name}.weight": (f"embeddings.{key}.weight", (rows, width)) for name, (key, rows) in tables.items()
    }
    for kind in ("weight", "bias"):
        found[f"token_embd_norm.{kind}"] = (f"embeddings.LayerNorm.{kind}", (width,))
    for layer in range(config.num_hidden_layers):
        for name, (key, letters) in _LAYER_PARTS.items():
            shape = tuple(sizes[letter] for letter in letters)
            found[f"blk.{layer}.{name}.weight"] = (f"encoder.layer.{layer}.{key}.weight", shape)
            found[f"blk.{layer}.{name}.bias"] = (f"encoder.layer.{layer}.{key}.bias", shape[:1])
    return found


def build_bert(config: BertConfig, state: dict[str, Tensor]) -> BertModel:
    """A BertModel without pooler around these weights; nothing is initialised at random first."""
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(state, strict=True, assign=True)
    for name, buffer in model.embeddings.named_buffers():
        # The two index buffers are not part of a checkpoint: positions count up, token types are all 0.
        positions = name == "position_ids"
        fresh = (
            torch.arange(buffer.shape[-1]).view(1, -1)
            if positions
            else torch.zeros(buffer.shape, dtype=torch.int64)
        )
        model.embeddings.register_buffer(name, fresh, persistent=False)
    model.train(False)
    return model


def read_tokenizer(file: GgufFile, *, limit: int) -> PreTrainedTokenizerFast:
    """Build the tokenizer that the metadata describes; an error where there is none or its kind is
    unknown."""
    kind, pieces = file.value("tokenizer.ggml.model"), file.value("tokenizer.ggml.tokens")
    if kind not in ("bert", "t5") or not pieces:
        found = f"the tokenizer inside is of the kind {kind!r}" if kind else "it has no tokenizer inside"
        raise CheckpointError(
            f"{found}, and no tokenizer.json lies beside it",
            where=str(file.path),
            remedy="copy the tokenizer.json of this model beside the file",
        )
    ids = {name: file.value(f"tokenizer.ggml.{key}") for key, name in SPECIALS.items()}
    if any(number is not None and not 0 <= number < len(pieces) for number in ids.values()):
        raise CheckpointError("a special token's number is past the vocabulary", where=str(file.path))
    build = _word_piece if kind == "bert" else _unigram
    backend, pieces = build(file, pieces, ids)
    names = {name: pieces[number] for name, number in ids.items() if number is not None}
    first, last = (
        names.get("cls_token", names.get("bos_token")),
        names.get("sep_token", names.get("eos_token")),
    )
    if first is None or last is None:
        raise CheckpointError("the file names no first and last special token", where=str(file.path))
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(first, pieces.index(first)), (last, pieces.index(last))],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, model_max_length=limit, **names
    )


def _word_piece(file: GgufFile, stored: list[str], ids: dict[str, int | None]) -> tuple[Tokenizer, list[str]]:
    """llama.cpp stores a piece that begins a word with a `▁` before it, and a continuation without its
    `##`."""
    specials = set(ids.values())
    pieces = [
        piece
        if number in specials or (piece.startswith("[") and piece.endswith("]"))
        else piece.removeprefix(SPACE)
        if piece.startswith(SPACE)
        else f"##{piece}"
        for number, piece in enumerate(stored)
    ]
    unknown = ids["unk_token"]
    backend = Tokenizer(
        models.WordPiece(
            {piece: number for number, piece in enumerate(pieces)},
            unk_token="[UNK]" if unknown is None else pieces[unknown],
            max_input_chars_per_word=100,
        )
    )
    # The file does not say whether text loses its capitals and accents: a vocabulary that has none says it.
    ordinary = [p for n, p in enumerate(pieces) if n not in specials and not p.startswith("[")]
    letters = set("".join(ordinary))
    lower = not any(letter.isupper() for letter in letters)
    accents = any(
        unicodedata.category(part) == "Mn" for x in letters for part in unicodedata.normalize("NFD", x)
    )
    backend.normalizer = normalizers.BertNormalizer(lowercase=lower, strip_accents=lower and not accents)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend, pieces


def _unigram(file: GgufFile, pieces: list[str], ids: dict[str, int | None]) -> tuple[Tokenizer, list[str]]:
    scores = file.value("tokenizer.ggml.scores") or []
    if len(scores) != len(pieces):
        raise CheckpointError(f"has {len(pieces)} pieces and {len(scores)} scores", where=str(file.path))
    backend = Tokenizer(models.Unigram(list(zip(pieces, scores, strict=True)), unk_id=ids["unk_token"]))
    steps: list[normalizers.Normalizer] = []
    if (charsmap := file.value("tokenizer.ggml.precompiled_charsmap")) is not None:
        steps.append(normalizers.Precompiled(np.asarray(charsmap).astype(np.uint8).tobytes()))
    if file.value("tokenizer.ggml.remove_extra_whitespaces", True):
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    backend.normalizer = normalizers.Sequence(steps)
    scheme = "always" if file.value("tokenizer.ggml.add_space_prefix", True) else "never"
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    return backend, pieces
