"""The tokenizer inside a GGUF file, both ways: WordPiece (`bert`) and SentencePiece unigram (`t5`)."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from otkit.encoders.gguf import GgufFile
from otkit.errors import CheckpointError, ExportError

__all__ = ["read_tokenizer", "tokenizer_fields"]

_SPACE = "▁"
_NEVER = -1e4
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3  # token types of GGUF
# The file's name for the id of each special token (`seperator` is how llama.cpp spells it), and transformers'
# name.
_SPECIALS = {
    "cls_token_id": "cls_token",
    "seperator_token_id": "sep_token",
    "bos_token_id": "bos_token",
    "eos_token_id": "eos_token",
    "unknown_token_id": "unk_token",
    "padding_token_id": "pad_token",
    "mask_token_id": "mask_token",
}


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
    ids = {name: file.value(f"tokenizer.ggml.{key}") for key, name in _SPECIALS.items()}
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
        else piece.removeprefix(_SPACE)
        if piece.startswith(_SPACE)
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
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme=scheme)
    return backend, pieces


def tokenizer_fields(tokenizer: PreTrainedTokenizerFast, *, rows: int) -> dict[str, Any]:
    """The metadata `tokenizer.ggml.*` that describes this tokenizer, as `read_tokenizer` and llama.cpp read
    it."""
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = document["model"].get("type")
    fields: dict[str, Any] = {}
    for key, name in _SPECIALS.items():
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
            remedy="choose --to onnx or --to transformers",
        )
    unknown = fields.get("unknown_token_id")
    kinds = [_UNKNOWN if n == unknown else _CONTROL if n in specials else _NORMAL for n in range(len(pieces))]
    return {**fields, "token_type": kinds}


def _stored(piece: str) -> str:
    return piece.removeprefix("##") if piece.startswith("##") else _SPACE + piece


def _charsmap(normalizer: dict[str, Any] | None) -> bytes | None:
    """SentencePiece's table of character replacements, wherever it lies in the normaliser."""
    import base64

    if normalizer is None:
        return None
    if normalizer["type"] == "Precompiled":
        return base64.b64decode(normalizer["precompiled_charsmap"])
    found = (_charsmap(part) for part in normalizer.get("normalizers", []))
    return next((table for table in found if table is not None), None)
