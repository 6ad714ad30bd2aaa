"""One sentence pair seen through several models, layers and transports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from torch import Tensor

from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import DEFAULT_THRESHOLDS, AlignmentSettings
from otkit.encoders.encoder import Encoder
from otkit.encoders.tokens import Sentence, Tokens
from otkit.reports.html import Page, PagePair, Variant
from otkit.reports.view import GoldLinks, GridView, view_of

__all__ = ["caption_of", "layers_name", "page_threshold", "pair_page", "pair_view"]

# Those that a reader would compare; fused Gromov-Wasserstein is slow and looks like its neighbours.
_TRANSPORTS = ("unbalanced", "balanced", "semi", "partial", "exact", "none")


class _OneForwardPass:
    """An encoder that runs once for each batch of tokens and then answers for any layer: 70 views of one pair
    cost one pass."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._states: dict[bytes, tuple[Tensor, ...]] = {}
        self.name, self.origin = encoder.name, encoder.origin
        self.settings, self.subwords = encoder.settings, encoder.subwords
        self.dimension, self.layers = encoder.dimension, encoder.layers
        self.sentence_dimension = encoder.sentence_dimension
        self.max_tokens, self.device, self.origin = encoder.max_tokens, encoder.device, encoder.origin

    def tokenize(self, sentences: Sequence[Sentence], *, prefix: str | None = None) -> Tokens:
        return self._encoder.tokenize(sentences, prefix=prefix)

    def hidden_states(self, tokens: Tokens, *, layers: Sequence[int]) -> tuple[Tensor, ...]:
        key = tokens.ids.cpu().numpy().tobytes()
        if key not in self._states:
            self._states[key] = self._encoder.hidden_states(tokens, layers=range(self.layers + 1))
        return tuple(self._states[key][layer] for layer in layers)

    def encode_sentences(self, tokens: Tokens) -> Tensor:
        return self._encoder.encode_sentences(tokens)

    def pool(self, hidden: Tensor, tokens: Tokens) -> Tensor:
        return self._encoder.pool(hidden, tokens)

    def weights_sha256(self) -> str:
        return self._encoder.weights_sha256()


def layers_name(layers: Sequence[int]) -> str:
    """`7`, or `6+7` where hidden states are averaged."""
    return "+".join(map(str, layers))


def caption_of(aligner: WordAligner, *, name: str) -> str:
    """Which encoder, layers and transport a picture shows."""
    return f"{name}, layer {layers_name(aligner.layers)}, {aligner.config.transport}"


def pair_view(
    encoder: Encoder,
    config: AlignmentSettings,
    source: Sequence[str],
    target: Sequence[str],
    *,
    name: str,
    gold: GoldLinks | None = None,
) -> GridView:
    """What the encoder with these settings finds, under a caption that says which it is."""
    aligner = WordAligner(encoder, config)
    return view_of(
        next(aligner.align([(source, target)])),
        gold=gold,
        caption=caption_of(aligner, name=name),
        settings=config.described(),
    )


def pair_page(
    encoders: Mapping[str, Encoder],
    config: AlignmentSettings,
    source: Sequence[str],
    target: Sequence[str],
    *,
    gold: GoldLinks | None = None,
) -> Page:
    """A page of one pair: each model with its own layers and every single one, under each transport.

    The view asked for comes first and opens the page.
    """
    variants: list[Variant] = []
    views: list[GridView] = []
    for name, encoder in encoders.items():
        own = WordAligner(encoder, config).layers
        once = _OneForwardPass(encoder)
        singles = [(layer,) for layer in range(1, encoder.layers + 1) if (layer,) != own]
        for transport in dict.fromkeys((config.transport, *_TRANSPORTS)):
            for layers in (own, *singles):
                if config.cost == "dot" and transport != "none":
                    continue
                settings = dataclasses.replace(config, layers=layers, transport=transport)
                variants.append(
                    Variant(name, f"layer {layers_name(layers)}", transport, settings.described())
                )
                views.append(pair_view(once, settings, source, target, name=name, gold=gold))
    title = f"{' '.join(source[:12])} – {' '.join(target[:12])}"
    return Page(
        title=title,
        variants=tuple(variants),
        pairs=(PagePair(1, tuple(views)),),
        threshold=page_threshold(config),
    )


def page_threshold(config: AlignmentSettings) -> float:
    """Where a page's slider rests: at the link strength that links were cut at, or would have been."""
    given = config.threshold if config.strategy == "threshold" else None
    return DEFAULT_THRESHOLDS["threshold"] if given is None else given
