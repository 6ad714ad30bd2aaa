"""The hidden state that words are aligned at: the one that agrees best across languages, chosen once for an encoder and
kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from otkit.alignment.layers import CHOOSES, Texts, layer_curves, sample_texts
from otkit.encoders.encoder import SETTINGS_FILE, Encoder, resolve_layers
from otkit.encoders.measured import identity, keep_measured, key_of, read_measured
from otkit.files import json_in

__all__ = [
    "CHOICE",
    "LayerChoice",
    "choose_layer",
    "kept_choice",
    "layers_of",
    "stated_choice",
]

CHOICE = "layer_choice"
"""Where otkit.json has a choice."""

_VERSION = 2


@dataclass(frozen=True)
class LayerChoice:
    """The hidden state that words are aligned at, and why.

    layer   it has the largest of `shares`, one a hidden state: how many words of a pair are each other's nearest, the
            mean of that with the mean of both sentences taken off and without
    pairs   translated sentences that this was measured on, in so many `languages`
    key     a hash of the weights and of what they were measured with
    """

    layer: int
    shares: tuple[float, ...]
    pairs: int
    languages: int
    key: str

    @property
    def reason(self) -> str:
        """In one sentence."""
        return (
            f"measured without links: at no other hidden state are as many words each other's nearest"
            f" ({self.shares[self.layer]:.1%} of those of {self.pairs} translated sentences)"
        )


def choose_layer(
    encoder: Encoder, texts: Texts | None = None, *, progress: Callable[[int], None] = lambda done: None
) -> LayerChoice:
    """The hidden state at which most words of translated sentences are each other's nearest; the embeddings are none.

    texts: by default those that come with otkit. A choice is kept in the user's cache folder, and a folder that
    `otkit align` wrote may hold it: the same weights are measured once.
    """
    given = sample_texts() if texts is None else texts
    key = _key(encoder, given)
    kept = _kept(encoder, key)
    if kept is not None:
        return kept
    curve = layer_curves(encoder, given, progress=progress)[CHOOSES]
    first = min(1, encoder.layers)
    layer = max(range(first, encoder.layers + 1), key=curve.__getitem__)
    choice = LayerChoice(layer, tuple(curve), sum(map(len, given.values())), len(given), key)
    keep_measured(key, encoder, f"layer {layer}, chosen", asdict(choice))
    return choice


def layers_of(encoder: Encoder, asked: Sequence[int] | str | None) -> tuple[int, ...]:
    """The hidden states that a setting means: those named, those of the encoder (None), or the one chosen (`auto`)."""
    if isinstance(asked, str):
        return (choose_layer(encoder).layer,)
    return resolve_layers(asked or encoder.settings.alignment_layers, encoder.layers)


def kept_choice(encoder: Encoder) -> LayerChoice | None:
    """What `auto` takes for this encoder, if that is known already."""
    return _kept(encoder, _key(encoder, sample_texts()))


def stated_choice(encoder: Encoder) -> LayerChoice | None:
    """The choice in the folder that the encoder was opened from, where there is one."""
    file = Path(encoder.origin or "") / SETTINGS_FILE
    if encoder.origin is None or not file.is_file():
        return None
    try:
        return _choice_in(json_in(file)[CHOICE])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _kept(encoder: Encoder, key: str) -> LayerChoice | None:
    """The choice with this key, of the encoder's folder or of the cache."""
    for found in (stated_choice(encoder), _choice_in(read_measured(key))):
        if (
            found is not None
            and found.key == key
            and 0 <= found.layer < len(found.shares) == encoder.layers + 1
        ):
            return found
    return None


def _choice_in(document: Any) -> LayerChoice | None:
    """The choice that a document holds; None where it holds none, or is damaged."""
    try:
        shares = tuple(map(float, document["shares"]))
        layer, pairs, languages = (int(document[name]) for name in ("layer", "pairs", "languages"))
        return LayerChoice(layer, shares, pairs, languages, str(document["key"]))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _key(encoder: Encoder, texts: Texts) -> str:
    """What a choice depends on: change `_VERSION` with what is measured."""
    return key_of(identity(encoder), _VERSION, CHOOSES, texts)
