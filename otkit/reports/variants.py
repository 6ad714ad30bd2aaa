"""One sentence pair seen through several models, layers and transports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import DEFAULT_THRESHOLDS, AlignmentSettings
from otkit.encoders.encoder import Encoder
from otkit.encoders.remembered import Remembering
from otkit.reports.html import Page, PagePair, Variant, pair_title
from otkit.reports.view import GoldLinks, GridView, view_of

__all__ = ["caption_of", "layers_name", "page_threshold", "pair_page", "pair_view"]

# Those that a reader would compare; fused Gromov-Wasserstein is slow and looks like its neighbours.
_TRANSPORTS = ("unbalanced", "balanced", "semi", "partial", "exact", "none")


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
    languages: tuple[str, str] | None = None,
) -> GridView:
    """What the encoder with these settings finds, under a caption that says which it is; `languages` are told to its
    tokenizer, where that wants to know."""
    aligner = WordAligner(encoder, config, languages=languages)
    return view_of(
        next(aligner.align([(source, target)])),
        gold=gold,
        caption=caption_of(aligner, name=name),
        settings=config.described(),
        languages=languages,
    )


def pair_page(
    encoders: Mapping[str, Encoder],
    config: AlignmentSettings,
    source: Sequence[str],
    target: Sequence[str],
    *,
    gold: GoldLinks | None = None,
    languages: tuple[str, str] | None = None,
) -> Page:
    """A page of one pair: each model with its own layers and every single one, under each transport.

    The view asked for comes first and opens the page.
    """
    variants: list[Variant] = []
    views: list[GridView] = []
    for name, encoder in encoders.items():
        own = WordAligner(encoder, config).layers
        once = Remembering(encoder)
        singles = [(layer,) for layer in range(1, encoder.layers + 1) if (layer,) != own]
        for transport in dict.fromkeys((config.transport, *_TRANSPORTS)):
            for layers in (own, *singles):
                if config.cost == "dot" and transport != "none":
                    continue
                settings = dataclasses.replace(config, layers=layers, transport=transport)
                variants.append(
                    Variant(name, f"layer {layers_name(layers)}", transport, settings.described())
                )
                views.append(
                    pair_view(once, settings, source, target, name=name, gold=gold, languages=languages)
                )
    return Page(
        title=pair_title(views[0]),
        variants=tuple(variants),
        pairs=(PagePair(1, tuple(views)),),
        threshold=page_threshold(config),
    )


def page_threshold(config: AlignmentSettings) -> float:
    """Where a page's slider rests: at the link strength that links were cut at, or would have been."""
    given = config.threshold if config.strategy == "threshold" else None
    return DEFAULT_THRESHOLDS["threshold"] if given is None else given
