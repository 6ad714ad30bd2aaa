"""Options of the word aligner: one for each field of `AlignmentSettings`, the same in every command that aligns words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.cli.options import Layer
from otkit.cli.values import Name, Number, given

if TYPE_CHECKING:
    from otkit.alignment.settings import AlignmentSettings

__all__ = [
    "NOTHING_GIVEN",
    "OPTIONS",
    "AlignerOptions",
    "aligner_config",
    "aligner_options",
    "temperature",
]

AlignerOptions = Mapping[str, Any]
"""What the options of the aligner received, by field."""

NOTHING_GIVEN: AlignerOptions = {}


def _name(table: str, what: str, help_text: str) -> Any:
    return Annotated[str | None, _option(help_text, "NAME", Name(f"otkit.alignment.settings:{table}", what))]


def _number(help_text: str, kind: type[int] | type[float] = float, **bounds: Any) -> Any:
    option = _option(help_text, "N" if kind is int else "X", Number(kind, **bounds))
    return Annotated[kind | None, option]


def _option(help_text: str, metavar: str, parser: Callable[[Any], Any]) -> Any:
    return typer.Option(
        metavar=metavar, help=help_text, parser=parser, show_default=False, rich_help_panel="Word aligner"
    )


OPTIONS: Mapping[str, Any] = {
    "transport": _name(
        "TRANSPORTS",
        "transport",
        "balanced, unbalanced, semi, partial, exact, fgw or none. Default: unbalanced.",
    ),
    "epsilon": _number("Entropic temperature, in units of the cost.", above=0, none=True),
    "epsilon_relative": _number(
        "The same in units of each pair's mean cost; give one of the two. Default: chosen on gold links.",
        above=0,
        none=True,
    ),
    "tau": _number("Price of mass left where it is, in the unit of the temperature.", above=0),
    "null": Annotated[
        str | None,
        _option(
            "Cost of a null word: none, mean, median, middle, equidistant, larger or a number.",
            "NAME",
            Name("otkit.alignment.settings:NULLS", "null cost", number=Number(least=0)),
        ),
    ],
    "strategy": _name(
        "STRATEGIES", "strategy", "How links are read off the plan: threshold, mutual, itermax, match, ..."
    ),
    "threshold": _number(
        "What the strategy compares with: a share of mass in [0, 1]; itermax: rounds; top-k: the k.",
        least=0,
        none=True,
    ),
    "layers": Layer,
    "word_vector": _name(
        "POOLINGS", "word vector", "The subword that stands for a word: last, first or mean."
    ),
    "weights": _name("MARGINALS", "weights", "Weights of the words: uniform or norm."),
    "center": _name(
        "CENTERS", "centring", "Mean vector to subtract: none, sentence or corpus. Default: sentence."
    ),
    "distortion": _number("Price of links far off the diagonal, in units of the mean cost.", least=0),
    "agreement": _number(
        "Discount for a link whose neighbours keep the word order, in units of the mean cost; 0 for none.",
        least=0,
    ),
    "rounds": _number("How often the neighbours are asked again.", int, least=0),
    "letters": _number(
        "Power of the words' lengths that shares of the plan are weighed by, 0.25 say. Default: 0.", least=0
    ),
    "attach_factor": _number(
        "Factor for shares of short words that go where the next word goes, 2 say. Default: 1.", least=0
    ),
    "cost": _name(
        "COST_NAMES", "cost", "cosine, euclidean, sqeuclidean or dot (without transport). Default: cosine."
    ),
    "unit": _name("UNITS", "unit", "What is aligned: word or subword. Default: word."),
    "encoding": _name(
        "ENCODINGS", "encoding", "Sentences go through the encoder separate or joint. Default: separate."
    ),
    "mass": _number("Share of the mass that partial transport moves.", above=0, most=1),
    "structure": _number("Weight of the distances within the sentences in fgw, 0 to 1.", least=0, most=1),
    "distances": _name(
        "DISTANCES",
        "distance within a sentence",
        "What fgw compares within the sentences: embedding or position.",
    ),
}


def aligner_options(command: Callable[..., None]) -> Callable[..., None]:
    """Put the aligner's options in the place of the command's parameter `settings`, which receives their values.

    An option that the command has itself, under the same name, stays its own.
    """
    signature = inspect.signature(command, eval_str=True)
    own = set(signature.parameters)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in OPTIONS.items()
        if name not in own
    ]
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        parameters += (
            options if name == "settings" else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        )

    @wraps(command)
    def with_settings(**received: Any) -> None:
        settings = {option.name: received.pop(option.name) for option in options}
        command(**received, settings=settings)

    with_settings.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_settings.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_settings


def aligner_config(settings: AlignerOptions, base: AlignmentSettings | None = None) -> AlignmentSettings:
    """The aligner's settings: those of `base`, else the defaults, with those given on the command line on top."""
    from otkit.alignment.settings import AlignmentSettings

    others = {name: value for name, value in settings.items() if name not in ("epsilon", "epsilon_relative")}
    warmth = temperature(settings.get("epsilon"), settings.get("epsilon_relative"))
    return replace(base or AlignmentSettings(), **warmth, **given(others))


def temperature(epsilon: float | None, epsilon_relative: float | None) -> dict[str, Any]:
    """The fields of a temperature that was given in either unit, which replaces one in the other; none, in both units,
    is the default of what has it."""
    from otkit.transport.config import one_temperature

    found = given({"epsilon": epsilon, "epsilon_relative": epsilon_relative})
    cleared: dict[str, Any] = dict.fromkeys(("epsilon", "epsilon_relative") if found else ())
    return cleared | one_temperature(found.get("epsilon"), found.get("epsilon_relative"))
