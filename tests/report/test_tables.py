"""Tables: known figures in, known text, Markdown and records out."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from otkit.errors import ConfigError
from otkit.report.tables import (
    Column,
    Table,
    before_after,
    by_language,
    format_value,
    to_markdown,
    to_records,
)

CHANGE = before_after("Sample data", [("AER", 0.3, 0.25, "lower"), ("retrieval", 0.5, 0.4375, "higher")])
SCORES = by_language(
    "Word alignment",
    {"de": {"AER": 0.25, "F1": 0.75}, "fr": {"AER": 0.125}},
    baseline={"de": {"AER": 0.5}, "fr": {"AER": 0.25}},
)


def drawn(table: Table, *, colour: bool = False, width: int = 90) -> str:
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(table)
    return file.getvalue()


def test_before_after_states_the_signed_change() -> None:
    lines = [line.split() for line in drawn(CHANGE).splitlines()]
    assert ["metric", "before", "after", "change"] in lines
    assert ["AER", "0.300", "0.250", "-0.050"] in lines
    assert ["retrieval", "0.500", "0.438", "-0.062"] in lines


def test_a_change_is_green_when_it_goes_the_good_way() -> None:
    text = drawn(CHANGE, colour=True)
    assert re.search("\x1b\\[32m *-0.050", text)
    assert re.search("\x1b\\[31m *-0.062", text)


def test_language_table_averages_what_is_known_before_rounding() -> None:
    assert SCORES.rows[-1] == ("average", 0.1875, 0.375, -0.1875, 0.75, None, None)
    assert SCORES.footers == 1
    assert by_language("one", {"de": {"AER": 0.25}}).rows == (("de", 0.25),)
    lines = [line.split() for line in drawn(SCORES).splitlines()]
    assert ["fr", "0.125", "0.250", "-0.125", "–", "–", "–"] in lines


def test_markdown_aligns_figures_and_escapes_bars() -> None:
    table = Table("T", (Column("a|b"), Column("x", 1)), (("p|q", 1.25), ("r", None)), notes=("a note",))
    assert to_markdown(table).splitlines() == [
        "**T**",
        "",
        "| a\\|b |   x |",
        "| ---- | --: |",
        "| p\\|q | 1.2 |",
        "| r    |   – |",
        "",
        "a note",
    ]


def test_records_are_unrounded_and_fit_json() -> None:
    table = Table("", (Column("n"), Column("x"), Column("y")), (("a", 1 / 3, float("nan")),))
    assert to_records(table) == [{"n": "a", "x": 1 / 3, "y": None}]
    assert json.loads(json.dumps(to_records(table), allow_nan=False))[0]["x"] == 1 / 3


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (0.12345, Column("x", 2), "0.12"),
        (-0.0001, Column("x", 3, change=True), "0.000"),
        (0.5, Column("x", 2, change=True), "+0.50"),
        (3, Column("x", change=True), "+3"),
        (3, Column("x"), "3"),
        (None, Column("x"), "–"),
        (float("inf"), Column("x"), "inf"),
        ("a\x1b[2J", Column("x"), "a\ufffd[2J"),
    ],
)
def test_values_as_text(value: float | int | str | None, column: Column, text: str) -> None:
    assert format_value(value, column) == text


def test_markup_in_a_value_is_shown_and_not_obeyed() -> None:
    table = Table("[red]t", (Column("[b]"), Column("x")), (("[bold]y[/]", 1),))
    text = drawn(table)
    assert "[bold]y[/]" in text
    assert "[b]" in text
    assert "[red]t" in text


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="a row of 1 values in a table of 2 columns"):
        Table("", (Column("a"), Column("b")), (("x",),))
    with pytest.raises(ConfigError, match="2 directions for 1 rows"):
        Table("", (Column("a"),), (("x",),), better=("higher", "lower"))
