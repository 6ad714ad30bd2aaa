"""Every number that is declared anywhere, at its extremes: refused with its name, or a run that ends well."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
import torch
import typer

from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import TRANSPORTS, AlignmentSettings, BeadSettings
from otkit.cli.app import every_command
from otkit.cli.evaluate_run import check_gates, parse_gates
from otkit.errors import ConfigError, GateError
from otkit.evaluation.protocol import Metric
from otkit.evaluation.settings import (
    MiningSettings,
    RetrievalSettings,
    WordRetrievalSettings,
    XnliSettings,
    XquadSettings,
)
from otkit.evaluation.summary import Figure, Summary
from otkit.exports.settings import ExportSettings
from otkit.projection.settings import LexiconSettings, SpanSettings
from otkit.settings import LARGEST, SMALLEST, Declared, Settings, declared
from otkit.training.recipe import Recipe
from otkit.training.settings import TransferSettings
from otkit.vectors.settings import EmbeddingSettings
from tests.conftest import make_tiny_encoder, mostly_slow

EXTREMES: tuple[float, ...] = (
    0,
    1,
    5e-324,
    1e-300,
    1e-45,
    SMALLEST,
    1e18,
    1e38,
    1.7976931348623157e308,
    -1,
    -1e300,
    math.nan,
    math.inf,
    -math.inf,
    2**31,
    2**32,
    2**64,
    10**400,
    10**5000,
    LARGEST,
)

TABLES: dict[str, type[Settings]] = {
    **{
        each.name: type(value)
        for each in fields(Recipe)
        if isinstance(value := getattr(Recipe(), each.name), Settings)
    },
    "export": ExportSettings,
    "embed": EmbeddingSettings,
    "mining": MiningSettings,
    "retrieval": RetrievalSettings,
    "word-retrieval": WordRetrievalSettings,
    "xnli": XnliSettings,
    "xquad": XquadSettings,
    "spans": SpanSettings,
    "lexicon": LexiconSettings,
    "beads": BeadSettings,
    "transfer": TransferSettings,
}
NUMBERS = [
    (kind, known)
    for kind in TABLES.values()
    for known in declared(kind).values()
    if known.kind in (int, float)
]


def test_every_class_of_settings_is_walked() -> None:
    known, found = [Settings], set()
    while known:
        last = known.pop().__subclasses__()
        known += last
        found |= {kind for kind in last if kind.__module__.startswith("otkit.")}
    inner = {base for kind in found for base in kind.__mro__[1:]}
    assert found - inner == set(TABLES.values())


def _given(known: Declared, value: float) -> Any:
    if known.shape == "weights":
        return {next(iter(known.choices), "de"): value}
    return (value, value) if known.name == "betas" else (value,) if known.shape == "several" else value


def _accepted(kind: type[Settings], known: Declared, value: float, **others: Any) -> Settings | None:
    try:
        return kind(**{**others, known.name: _given(known, value)})
    except ConfigError as error:
        named = error.setting
    assert named is not None, (kind, known.name, value)
    return None


@pytest.mark.parametrize(
    ("kind", "known"), NUMBERS, ids=lambda each: getattr(each, "__name__", None) or each.name
)
def test_a_number_is_within_bounds_or_refused_with_its_name(kind: type[Settings], known: Declared) -> None:
    for value in EXTREMES:
        settings = _accepted(kind, known, value)
        if settings is None:
            continue
        assert math.isfinite(value)
        assert abs(value) <= max(LARGEST, known.most or 0)
        assert known.above != 0 or value >= SMALLEST or known.kind is int


PAIRS = [(["das", "haus", "ist"], ["the", "house", "is", "small"]), (["ein"], ["a", "house"])]
OTHERS: tuple[dict[str, Any], ...] = (
    {},
    {"null": 1e6},
    {"unit": "cost", "strategy": "itermax"},
    {"tau": LARGEST},
)
ALIGNED = {name: known for name, known in declared(AlignmentSettings).items() if known.kind in (int, float)}


@pytest.mark.parametrize("name", mostly_slow(ALIGNED, "epsilon", "tau", "null", "threshold"))
def test_the_aligner_ends_well_at_every_number_that_it_accepts(name: str) -> None:
    known = ALIGNED[name]
    encoder = make_tiny_encoder()
    solved = 0
    for value in EXTREMES:
        for transport in TRANSPORTS:
            for others in OTHERS if transport == "unbalanced" else OTHERS[:1]:
                settings = _accepted(AlignmentSettings, known, value, **{"transport": transport, **others})
                if settings is None or known.name == "layers":
                    continue
                assert isinstance(settings, AlignmentSettings)
                for found in WordAligner(encoder, settings).align(PAIRS):
                    assert found.plan is not None
                    for figures in (found.plan, found.source_no_partner, found.target_no_partner):
                        assert figures is None or torch.isfinite(torch.from_numpy(figures)).all(), settings
                    assert math.isfinite(found.cost) or not found.plan.any(), settings
                    assert all(0 <= link.score <= 1 for link in found.links), settings
                solved += 1
    assert solved or known.name == "layers"


def _options() -> list[tuple[str, Any]]:
    found = []
    for name, command in every_command().items():
        context = command.make_context(name, [], resilient_parsing=True)
        found += [
            (f"{name} {one.name}", parser)
            for one in command.get_params(context)
            if (parser := one.type_descriptor.parameter_info.parser) is not None
        ]
    return found


OPTIONS = _options()


@pytest.mark.parametrize("parser", [parser for _, parser in OPTIONS], ids=[name for name, _ in OPTIONS])
def test_an_option_of_the_command_line_takes_no_number_out_of_bounds(parser: Any) -> None:
    for value in (*map(repr, EXTREMES[:-2]), "9" * 400, "9" * 5000, "1e309", "-0", "\x1b[31m1", ""):
        try:
            found = parser(value)
        except (typer.BadParameter, ConfigError):
            continue
        for number in found if isinstance(found, tuple) else (found,):
            if isinstance(number, int | float):
                assert math.isfinite(number)
                assert abs(number) <= max(LARGEST, 2**32 - 1)


METRICS = (Metric("gap", better="lower"), Metric("accuracy"))


@pytest.mark.parametrize("bound", ["nan", "inf", "-inf", "1e999", "", "x"])
def test_a_gate_is_a_number(bound: str) -> None:
    with pytest.raises(ConfigError, match="write METRIC=X"):
        parse_gates([f"gap={bound}"], {"task": METRICS})


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_figure_that_is_no_number_misses_its_gate(metric: Metric) -> None:
    summary = Summary((metric,), {"de": {metric.name: Figure(math.nan)}}, {}, (0,), ())
    with pytest.raises(GateError, match="is nan"):
        check_gates(parse_gates([f"{metric.name}=.9"], {"task": METRICS}), {"task": summary})
