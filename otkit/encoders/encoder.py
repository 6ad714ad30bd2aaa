"""What an encoder is, whatever runs it: the Encoder protocol, and what an encoder says about its own use (layers for
alignment, sentence pooling, prefix), which lies in `otkit.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from otkit.encoders.pooling import SENTENCE_POOLINGS
from otkit.encoders.tokens import Sentence, SubwordTokenizer, Tokens
from otkit.errors import CheckpointError, ConfigError, choose, reason_of
from otkit.files import parse_json, to_json

__all__ = [
    "SETTINGS_FILE",
    "Encoder",
    "EncoderSettings",
    "alignment_layers_rule",
    "read_json",
    "read_settings",
    "resolve_layers",
    "settings_document",
]

SETTINGS_FILE = "otkit.json"


class Encoder(Protocol):
    """What every encoder offers, whatever runs it. Hidden states are numbered 0 (embeddings) to `layers`."""

    name: str
    settings: EncoderSettings
    subwords: SubwordTokenizer
    origin: str | None
    """What opens it again: a folder's or file's full path, or a Hub name; None for the sample encoder, and for one that
    was made by hand."""

    @property
    def dimension(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def device(self) -> torch.device: ...

    def tokenize(self, sentences: Sequence[Sentence], *, prefix: str | None = None) -> Tokens:
        """Tokens on the CPU; `prefix` None means the encoder's own. Too long a sentence raises
        TooLongError."""
        ...

    def hidden_states(self, tokens: Tokens, *, layers: Sequence[int]) -> tuple[Tensor, ...]:
        """One (B, T, D) tensor for each asked layer, in that order; negative layers count from the end."""
        ...

    def encode_sentences(self, tokens: Tokens) -> Tensor:
        """(B, D) unit vectors for search: the last layer, pooled as the settings say."""
        ...

    def weights_sha256(self) -> str:
        """A hash of every byte of every weight: equal for equal encoders, on whatever device they lie."""
        ...


def resolve_layers(layers: Sequence[int], count: int) -> tuple[int, ...]:
    """Layers as indices 0..count; negative ones count from the end, so -1 is the last layer."""
    found = tuple(layer + count + 1 if layer < 0 else layer for layer in layers)
    for asked, layer in zip(layers, found, strict=True):
        if not 0 <= layer <= count:
            raise ConfigError(
                f"there is no layer {asked}",
                remedy=f"choose from 0 (embeddings) to {count}, or -1 to {-count - 1}",
                setting="layers",
            )
    if not found:
        raise ConfigError("no layer was asked for", remedy=f"choose from 0 (embeddings) to {count}")
    return found


@dataclass(frozen=True)
class EncoderSettings:
    """alignment_layers: hidden states (0 = embeddings) averaged for alignment; pooling: sentence vector,
    `mean` or `cls`; prefix: text put before every sentence, whose tokens belong to no word."""

    alignment_layers: tuple[int, ...]
    pooling: str = "mean"
    prefix: str = ""

    def __post_init__(self) -> None:
        choose(self.pooling, SENTENCE_POOLINGS, what="pooling")
        if not self.alignment_layers or min(self.alignment_layers) < 0:
            raise CheckpointError(
                f"alignment_layers must be hidden-state indices from 0 up, got {list(self.alignment_layers)}",
                remedy='write for instance "alignment_layers": [6, 7] in otkit.json',
            )


def alignment_layers_rule(layers: int) -> tuple[tuple[int, ...], str]:
    """The hidden states to align with when nothing says better, and the reason in one sentence.

    The last layers of an encoder serve its training task (a mask's word, a sentence vector) and the first its
    spelling; translations agree best just past the middle: states 6 to 8 of 12 in the sample encoder, 8 of 12
    for mBERT (Dou and Neubig 2021, section 3) and XLM-R, 6 of 12 for LaBSE.
    """
    first = max(1, layers // 2)
    last = max(first, layers * 7 // 12)
    chosen = tuple(range(first, last + 1))
    named = " and ".join(str(i) for i in chosen) if len(chosen) < 3 else f"{first} to {last}"
    mean = "the mean of hidden states" if len(chosen) > 1 else "hidden state"
    return chosen, f"{mean} {named} of {layers}: from 1/2 to 7/12 of the stack, where translations agree best"


def read_settings(folder: Path, *, layers: int, pooling: str = "mean", prefix: str = "") -> EncoderSettings:
    """The settings in `folder/otkit.json`; what it does not say comes from the arguments and from the
    rule."""
    document = read_json(folder / SETTINGS_FILE) if (folder / SETTINGS_FILE).is_file() else {}
    stated = document.get("encoder", {})
    where = str(folder / SETTINGS_FILE)
    if not isinstance(stated, dict):
        raise CheckpointError(
            "'encoder' is not a table", where=where, remedy="restore the file, or delete it"
        )
    chosen = stated.get("alignment_layers", alignment_layers_rule(layers)[0])
    if not isinstance(chosen, list | tuple) or not all(type(i) is int and 0 <= i <= layers for i in chosen):
        raise CheckpointError(
            f"alignment_layers must be whole numbers from 0 to {layers}, got {chosen!r}",
            where=where,
            remedy="mend the list, or leave it out: the default follows the number of layers",
        )
    texts = {"pooling": stated.get("pooling", pooling), "prefix": stated.get("prefix", prefix)}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise CheckpointError(
                f"{name} must be a text, got {value!r}", where=where, remedy="mend the file"
            )
    if texts["pooling"] not in SENTENCE_POOLINGS:
        raise CheckpointError(
            f"pooling must be one of {', '.join(SENTENCE_POOLINGS)}, got {texts['pooling']!r}",
            where=where,
            remedy="mend the file",
        )
    return EncoderSettings(tuple(chosen), **texts)


def settings_document(name: str, settings: EncoderSettings, metadata: Mapping[str, Any]) -> str:
    """The text of `otkit.json`: the settings under `encoder`, the rest as the caller gives it."""
    stated = {**asdict(settings), "alignment_layers": list(settings.alignment_layers)}
    return to_json({"name": name, **metadata, "encoder": stated})


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or a CheckpointError that names the file."""
    try:
        document = parse_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot be read ({reason_of(error)})", where=str(path)) from error
    except ValueError as error:
        raise CheckpointError(
            f"is not valid JSON ({error})", where=str(path), remedy="restore the file"
        ) from error
    if not isinstance(document, dict):
        raise CheckpointError("is not a JSON object", where=str(path), remedy="restore the file")
    return document
