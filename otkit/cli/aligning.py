"""Options of the word aligner, shared by every command that aligns words, and the settings they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from otkit.extraction.config import AlignerConfig

__all__ = [
    "Center",
    "Cost",
    "Distances",
    "Distortion",
    "Encoding",
    "Epsilon",
    "EpsilonRelative",
    "Leaning",
    "Letters",
    "Mass",
    "Null",
    "Strategy",
    "Tau",
    "Threshold",
    "Transport",
    "Unit",
    "Weights",
    "WordVector",
    "aligner_config",
]


def _setting(help_text: str, metavar: str) -> Any:
    return typer.Option(metavar=metavar, help=help_text, show_default=False, rich_help_panel="Word aligner")


Transport = Annotated[
    str | None,
    _setting("balanced, unbalanced, semi, partial, exact, fgw or none. Default: unbalanced.", "NAME"),
]
Epsilon = Annotated[float | None, _setting("Entropic temperature, in units of the cost.", "X")]
EpsilonRelative = Annotated[
    float | None, _setting("The same in units of each pair's mean cost. Default: chosen on gold links.", "X")
]
Tau = Annotated[float | None, _setting("Price of mass left where it is, in the same units.", "X")]
Null = Annotated[
    str | None,
    _setting("Cost of a null word: none, mean, median, middle, equidistant, larger or a number.", "NAME"),
]
Strategy = Annotated[
    str | None,
    _setting("How links are read off the plan: threshold, mutual, itermax, match, ...", "NAME"),
]
Threshold = Annotated[float | None, _setting("What the strategy compares with.", "X")]
WordVector = Annotated[
    str | None, _setting("The subword that stands for a word: last, first or mean.", "NAME")
]
Weights = Annotated[str | None, _setting("Weights of the words: uniform or norm.", "NAME")]
Center = Annotated[
    str | None, _setting("Mean vector to subtract: none, sentence or corpus. Default: sentence.", "NAME")
]
Distortion = Annotated[
    float | None, _setting("Price of links far off the diagonal, in units of the mean cost.", "X")
]
Letters = Annotated[
    float | None,
    _setting(
        "Power of the words' lengths that shares of the plan are weighed by, 0.25 say. Default: 0.", "X"
    ),
]
Leaning = Annotated[
    float | None,
    _setting("Factor for shares of short words that go where the next word goes, 2 say. Default: 1.", "X"),
]
Cost = Annotated[
    str | None,
    _setting("cosine, euclidean, sqeuclidean or dot (without transport). Default: cosine.", "NAME"),
]
Unit = Annotated[str | None, _setting("What is aligned: word or subword. Default: word.", "NAME")]
Encoding = Annotated[
    str | None, _setting("Sentences go through the encoder separate or joint. Default: separate.", "NAME")
]
Mass = Annotated[float | None, _setting("Share of the mass that partial transport moves.", "X")]
Distances = Annotated[
    str | None, _setting("What fgw compares within the sentences: embedding or position.", "NAME")
]


def aligner_config(
    settings: Mapping[str, str | float | None], *, layers: tuple[int, ...] | None = None
) -> AlignerConfig:
    """The aligner's settings with those given on the command line; None keeps the default."""
    from otkit.extraction.config import AlignerConfig

    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    return AlignerConfig.from_dict(given if layers is None else {**given, "layers": layers})
