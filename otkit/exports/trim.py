"""A smaller vocabulary: only the pieces that a corpus needs, in the tokenizer and in the embedding table
alike."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from otkit.data.lines import words_of
from otkit.encoders.families import first_position
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ExportError, InputError
from otkit.exports.gate import Parity, compare, fitting, look_at, real_sentences
from otkit.files import json_in

__all__ = ["TrimReport", "count_pieces", "pieces_of", "trim_vocabulary"]

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_BATCH = 1024


@dataclass(frozen=True)
class TrimReport:
    """pieces and bytes (of the embedding table, fp32) before and after; unknown_*: percent of unknown tokens
    in the gate's sentences, which need not be from the corpus; parity: retrieval and vectors on the same
    sentences."""

    pieces_before: int
    pieces_after: int
    bytes_before: int
    bytes_after: int
    unknown_before: float
    unknown_after: float
    parity: Parity


def count_pieces(encoder: TorchEncoder, texts: Iterable[str]) -> Counter[int]:
    """How often each piece occurs in the words of a stream of texts."""
    counts: Counter[int] = Counter()
    stream = iter(texts)
    while batch := list(islice(stream, _BATCH)):
        for pieces in encoder.subwords.pieces([word for text in batch for word in words_of(text)]):
            counts.update(pieces)
    return counts


def trim_vocabulary(
    encoder: TorchEncoder, texts: Iterable[str], *, minimum: int = 1, also: Collection[str] = ()
) -> tuple[TorchEncoder, TrimReport]:
    """A new encoder that has only the pieces which occur `minimum` times in `texts`, every single character,
    the special tokens and the prefix; and those named in `also`, which without texts are all.

    On the corpus itself nothing changes with minimum 1: the best segmentation of a text stays the best when
    only pieces that it does not use are taken away (unigram), and so does the longest match (WordPiece).
    """
    family = encoder.model.config.model_type
    if family == "canine" or not isinstance(encoder.model.get_input_embeddings(), torch.nn.Embedding):
        raise ExportError(
            f"the architecture {family!r} keeps its words in no plain table",
            where=encoder.name,
            remedy="keep the whole vocabulary",
        )
    counts = count_pieces(encoder, texts)
    if not counts and not also:
        raise InputError("the corpus of the new vocabulary has no words", remedy="give a file with text")
    document = json.loads(encoder.tokenizer.backend_tokenizer.to_str())
    pieces = _pieces(document)
    wanted = {number for number, times in counts.items() if times >= minimum}
    if counts:
        wanted |= {n for n, piece in pieces.items() if len(piece.removeprefix("▁").removeprefix("##")) <= 1}
    named = frozenset(also)
    wanted |= {number for number, piece in pieces.items() if piece in named}
    wanted |= {token["id"] for token in document["added_tokens"]}
    said = " ".join((encoder.settings.prefix, *encoder.settings.prompts.values()))
    wanted |= {number for piece in encoder.subwords.pieces(said.split()) for number in piece}
    wanted |= {encoder.subwords.unknown_id, encoder.subwords.padding_id}
    wanted |= set(
        range(first_position(encoder.model))
    )  # the number of the padding counts as a position, and stays
    kept = sorted(wanted)
    tokenizer = _smaller_tokenizer(encoder.tokenizer, document, kept)
    model = _smaller_model(encoder, kept)
    trimmed = encoder.with_model(model, tokenizer, name=f"{encoder.name} (trimmed)")
    row = encoder.dimension * 4
    texts_seen, measure = compare(fitting(real_sentences(), encoder, trimmed))
    report = TrimReport(
        pieces_before=len(pieces),
        pieces_after=len(kept),
        bytes_before=len(encoder.model.get_input_embeddings().get_parameter("weight")) * row,
        bytes_after=len(kept) * row,
        unknown_before=_unknown_percent(encoder, texts_seen),
        unknown_after=_unknown_percent(trimmed, texts_seen),
        parity=measure(look_at(encoder, texts_seen), look_at(trimmed, texts_seen)),
    )
    return trimmed, report


def pieces_of(path: Path) -> frozenset[str]:
    """The pieces of another `tokenizer.json`, such as an encoder's that was trimmed before."""
    try:
        document = json_in(path)
        return frozenset(_pieces(document).values())
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"is not a tokenizer ({type(error).__name__})",
            where=str(path),
            remedy="give the tokenizer.json of an encoder, or a file with text under another name",
        ) from error


def _unknown_percent(encoder: TorchEncoder, texts: list[str]) -> float:
    counts = count_pieces(encoder, texts)
    return 100 * counts[encoder.subwords.unknown_id] / max(1, counts.total())


def _pieces(document: dict[str, Any]) -> dict[int, str]:
    """The pieces by number."""
    model = document["model"]
    if model["type"] == "Unigram":
        pieces = {number: piece for number, (piece, _) in enumerate(model["vocab"])}
    elif model["type"] == "WordPiece":
        pieces = {number: piece for piece, number in model["vocab"].items()}
    else:
        raise ExportError(
            f"a {model['type']} vocabulary cannot be trimmed: its pieces are built from others",
            remedy="keep it whole",
        )
    return pieces | {token["id"]: token["content"] for token in document["added_tokens"]}


def _smaller_tokenizer(
    tokenizer: PreTrainedTokenizerFast, document: dict[str, Any], kept: list[int]
) -> PreTrainedTokenizerFast:
    """The same tokenizer with the kept pieces renumbered in their old order."""
    number = {old: new for new, old in enumerate(kept)}
    model = document["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [entry for old, entry in enumerate(model["vocab"]) if old in number]
        if model["unk_id"] is not None:
            model["unk_id"] = number[model["unk_id"]]
    else:
        model["vocab"] = {piece: number[old] for piece, old in model["vocab"].items() if old in number}
    for token in document["added_tokens"]:
        token["id"] = number[token["id"]]
    _renumber(document.get("post_processor"), number)
    document["padding"] = document["truncation"] = None  # they hold numbers too, and every call sets its own
    names = {
        name: getattr(tokenizer, name) for name in _SPECIAL_NAMES if getattr(tokenizer, name) is not None
    }
    if isinstance(spoken := getattr(tokenizer, "src_lang", None), str):  # the language where nobody says
        names["src_lang"] = spoken
    backend = Tokenizer.from_str(json.dumps(document, ensure_ascii=False, allow_nan=False))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, model_max_length=tokenizer.model_max_length, **names
    )


def _renumber(processor: Any, number: dict[int, int]) -> None:
    """The numbers of special tokens inside a post-processor: templates (`ids`) and [token, number] pairs."""
    if not isinstance(processor, dict):
        return
    for inner in processor.get("processors", []):
        _renumber(inner, number)
    special = processor.get("special_tokens")
    if isinstance(special, dict):
        for entry in special.values():
            entry["ids"] = [number[old] for old in entry["ids"]]
    for key in ("cls", "sep"):
        if isinstance(processor.get(key), list):
            processor[key][1] = number[processor[key][1]]


def _smaller_model(encoder: TorchEncoder, kept: list[int]) -> Any:
    """A copy of the encoder with only the kept rows of the word table."""
    model = copy.deepcopy(encoder.model)
    table = model.get_input_embeddings()
    assert isinstance(table, torch.nn.Embedding)
    table.weight = torch.nn.Parameter(table.weight.detach()[kept].clone())
    table.num_embeddings, table.padding_idx = len(kept), _new_padding(table, kept)
    model.set_input_embeddings(table)  # T5 has it in two places
    model.config.vocab_size = len(kept)
    if not first_position(model):
        model.config.pad_token_id = kept.index(encoder.subwords.padding_id)
    model.train(False)
    return model


def _new_padding(table: Any, kept: list[int]) -> int | None:
    old = getattr(table, "padding_idx", None)
    return kept.index(old) if old in kept else None
