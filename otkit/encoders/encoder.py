"""What an encoder is, whatever runs it: the Encoder protocol, and what an encoder says about its own use (layers for
alignment, sentence pooling, prefix), which lies in `otkit.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from otkit.encoders.pooling import poolings_of
from otkit.encoders.tokens import Sentence, SubwordTokenizer, Tokens, TooLongError
from otkit.errors import CheckpointError, ConfigError, choose, reason_of
from otkit.files import json_in, to_json

__all__ = [
    "SETTINGS_FILE",
    "Encoder",
    "EncoderSettings",
    "alignment_layers_rule",
    "read_json",
    "read_settings",
    "resolve_layers",
    "settings_document",
    "stated_settings",
    "tokenize_fitting",
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
    precision: str
    """What it multiplies in, a name of `otkit.encoders.device.PRECISIONS`; its vectors are fp32 in any case."""

    @property
    def dimension(self) -> int: ...
    @property
    def sentence_dimension(self) -> int: ...
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
        """(B, E) unit vectors for search, with all that the encoder's authors put behind the last layer."""
        ...

    def pool(self, hidden: Tensor, tokens: Tokens) -> Tensor:
        """The same out of the last layer's states (B, T, D)."""
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
    """alignment_layers: hidden states (0 = embeddings) averaged for alignment; pooling: sentence vector, a name of
    `SENTENCE_POOLINGS` or several joined by `+`; prefix: text put before every sentence, whose tokens belong to no
    word; prompts: others, by name; pool_prompt: whether the tokens of the prompt count in the sentence vector;
    max_seq_length: tokens of a text that a sentence vector is made of, None for all that the encoder takes;
    truncate_dim: numbers of a sentence vector that are kept, None for all (Matryoshka)."""

    alignment_layers: tuple[int, ...]
    pooling: str = "mean"
    prefix: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict, hash=False)
    pool_prompt: bool = True
    max_seq_length: int | None = None
    truncate_dim: int | None = None

    def __post_init__(self) -> None:
        poolings_of(self.pooling)
        if not self.alignment_layers or min(self.alignment_layers) < 0:
            raise CheckpointError(
                f"alignment_layers must be hidden-state indices from 0 up, got {list(self.alignment_layers)}",
                remedy='write for instance "alignment_layers": [6, 7] in otkit.json',
            )

    def prompt(self, name: str | None) -> str:
        """The text of a prompt: one of `prompts` by its name, else the text itself; None is the encoder's own.

        Where there are prompts, a bare word that names none of them is a slip, and no text to put before a sentence.
        """
        if name is None:
            return self.prefix
        if name in self.prompts or (self.prompts and name.replace("_", "").replace("-", "").isalnum()):
            return choose(name, self.prompts, what="prompt", setting="prompt")
        return name

    def most_tokens(self, encoder_takes: int) -> int:
        """The longest text that a sentence vector is made of."""
        return min(encoder_takes, self.max_seq_length or encoder_takes)


def alignment_layers_rule(layers: int) -> tuple[tuple[int, ...], str]:
    """The hidden states to align with when nothing says better, and the reason in one sentence.

    The last layers of an encoder serve its training task (a mask's word, a sentence vector) and the first its
    spelling; translations agree best just past the middle: states 6 to 8 of 12 in the sample encoder, 8 of 12
    for mBERT (Dou and Neubig 2021, section 3) and XLM-R, 6 of 12 for LaBSE.
    """
    if not layers:
        return (0,), "the table of word pieces is all that it has"
    first = max(1, layers // 2)
    last = max(first, layers * 7 // 12)
    chosen = tuple(range(first, last + 1))
    named = " and ".join(str(i) for i in chosen) if len(chosen) < 3 else f"{first} to {last}"
    mean = "the mean of hidden states" if len(chosen) > 1 else "hidden state"
    return chosen, f"{mean} {named} of {layers}: from 1/2 to 7/12 of the stack, where translations agree best"


def read_settings(folder: Path, *, layers: int, **defaults: Any) -> EncoderSettings:
    """The settings in `folder/otkit.json`; what it does not say comes from `defaults`, which are fields of
    EncoderSettings, and from the rule."""
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
    own = {name: stated[name] for name in _KINDS if name in stated}
    for name, value in own.items():
        what, fits = _KINDS[name]
        if not fits(value):
            raise CheckpointError(
                f"{name} must be {what}, got {value!r}", where=where, remedy="mend the file"
            )
    try:
        return EncoderSettings(tuple(chosen), **{**defaults, **own})
    except ConfigError as error:
        raise CheckpointError(error.what, where=where, remedy=error.remedies) from error


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "pooling": ("a text", lambda value: isinstance(value, str)),
    "prefix": ("a text", lambda value: isinstance(value, str)),
    "prompts": (
        "texts by name",
        lambda value: isinstance(value, dict) and all(isinstance(text, str) for text in value.values()),
    ),
    "pool_prompt": ("true or false", lambda value: isinstance(value, bool)),
    "max_seq_length": ("a number above 0", lambda value: value is None or (type(value) is int and value > 0)),
    "truncate_dim": ("a number above 0", lambda value: value is None or (type(value) is int and value > 0)),
}


def settings_document(name: str, settings: EncoderSettings, metadata: Mapping[str, Any]) -> str:
    """The text of `otkit.json`: the settings under `encoder`, the rest as the caller gives it."""
    return to_json({"name": name, **metadata, "encoder": stated_settings(settings)})


def stated_settings(settings: EncoderSettings) -> dict[str, Any]:
    """The settings as JSON has them: without prompts and limits that nobody stated."""
    always = {
        "alignment_layers": list(settings.alignment_layers),
        "pooling": settings.pooling,
        "prefix": settings.prefix,
    }
    usual = asdict(EncoderSettings(settings.alignment_layers))
    more = {name: value for name, value in asdict(settings).items() if value != usual[name]}
    return {**more, **always}


def tokenize_fitting(encoder: Encoder, sentences: Sequence[Sentence]) -> tuple[list[int], Tokens | None]:
    """The places of the sentences that are not too long for the encoder, and their tokens without a prefix (None: of
    no sentence)."""
    places = list(range(len(sentences)))
    try:
        return places, encoder.tokenize(sentences, prefix="")
    except TooLongError:
        kept = [place for place in places if _fits(encoder, sentences[place])]
        return kept, encoder.tokenize([sentences[place] for place in kept], prefix="") if kept else None


def _fits(encoder: Encoder, sentence: Sentence) -> bool:
    try:
        encoder.tokenize([sentence], prefix="")
    except TooLongError:
        return False
    return True


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or a CheckpointError that names the file."""
    try:
        document = json_in(path)
    except OSError as error:
        raise CheckpointError(f"cannot be read ({reason_of(error)})", where=str(path)) from error
    except ValueError as error:
        raise CheckpointError(
            f"is not valid JSON ({error})", where=str(path), remedy="restore the file"
        ) from error
    if not isinstance(document, dict):
        raise CheckpointError("is not a JSON object", where=str(path), remedy="restore the file")
    return document
