"""Tables: known figures in, known text, Markdown and records out."""

from __future__ import annotations

import io
import json
import random
import re
from decimal import Decimal

import pytest
from rich.console import Console

from otkit.errors import ConfigError
from otkit.reports.tables import (
    Column,
    Table,
    before_after,
    by_language,
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
    assert ["AER", "0.3000", "0.2500", "-0.0500"] in lines
    assert ["retrieval", "0.5000", "0.4375", "-0.0625"] in lines


def test_a_change_is_green_when_it_goes_the_good_way() -> None:
    text = drawn(CHANGE, colour=True)
    assert re.search("\x1b\\[32m *-0.0500", text)
    assert re.search("\x1b\\[31m *-0.0625", text)


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
    assert Table("", (column,), ((value,),)).cells((value,)) == (text,)


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_a_change_is_that_of_the_figures_as_they_are_shown(digits: int) -> None:
    """.0409 and .0404 are .041 and .040 to a reader of three digits, and so they differ by .001."""
    rng = random.Random(digits)
    rows = [("AER", 0.0409, 0.0404, "lower"), ("none", 0.1, None, "lower")]
    rows += [(str(k), rng.random(), rng.random(), "higher") for k in range(200)]
    table = before_after("", rows, digits=digits)  # type: ignore[arg-type]
    for row in table.rows:
        _, before, after, change = table.cells(row)
        if after == "–":
            assert change == "–"
        else:
            assert Decimal(change) == Decimal(after) - Decimal(before)
    shown = {3: ("0.041", "0.040", "-0.001"), 4: ("0.0409", "0.0404", "-0.0005")}
    assert digits not in shown or table.cells(table.rows[0])[1:] == shown[digits]
    assert before_after("", [("AER", 0.0405, 0.0404, "lower")]).rows[0][3] == pytest.approx(-0.0001)


WIDE = Table(
    "against torch",
    (
        Column("recipe"),
        Column("largest difference", 6),
        Column("lowest cosine", 4),
        Column("same links"),
        Column("gate"),
    ),
    (
        ("int8 weights, each channel", 0.231234, 0.9812, 0.971, "lowest cosine 0.9811 < 0.99"),
        ("fp32", 0.000012, 1.0, 1.0, "passed"),
    ),
)
FOUND = Table(
    "a question",
    (Column("where", kind="path"), Column("score"), Column("language", drop=1), Column("text")),
    (
        ("data/parallel/one.de-en.tsv:12", 0.931, "de", "Ich kann meine Schlüssel nicht finden ."),
        ("data/parallel/two.de-en.tsv:7", 0.825, "de", "Wo sind sie ?"),
    ),
)


def test_heads_fold_first_and_text_next_and_figures_never() -> None:
    assert "largest difference   lowest cosine   same links" in drawn(WIDE, width=120)
    at_80 = drawn(WIDE, width=80).splitlines()
    assert at_80[2].split() == ["largest", "lowest", "same"]
    assert at_80[3].split() == ["recipe", "difference", "cosine", "links", "gate"]
    first = at_80.index(next(line for line in at_80 if "int8" in line))
    assert at_80[first].split() == ["int8", "weights,", "0.231234", "0.9812", "0.971", "lowest", "cosine"]
    assert at_80[first + 1].split() == ["each", "channel", "0.9811", "<", "0.99"]


def test_what_has_no_room_goes_on_below_under_the_same_first_column() -> None:
    text = drawn(WIDE, width=44)
    assert text.count("recipe") > 1
    assert max(map(len, text.splitlines())) <= 44
    assert all(text.count(figure) == 1 for figure in ("0.231234", "0.000012", "0.9812", "0.971"))
    assert "…" not in text


def test_paths_lose_their_first_folders_and_keep_what_tells_them_apart() -> None:
    text = drawn(FOUND, width=64)
    assert "…/one.de-en.tsv:12" in text
    assert "…/two.de-en.tsv:7" in text
    twins = Table(
        "",
        (Column("file", kind="path"), Column("pairs")),
        (("a/" * 20 + "x.tsv", 1), ("b/" * 20 + "x.tsv", 2)),
    )
    folded = drawn(twins, width=30)
    assert "a/a/a" in folded
    assert "b/b/b" in folded


def test_a_column_that_goes_is_named() -> None:
    assert "left out" not in drawn(FOUND, width=64)
    text = drawn(FOUND, width=48)
    assert "left out at this width: language" in text
    assert "0.931" in text
    assert "0.825" in text


def test_an_encoding_without_the_signs_gets_question_marks_in_straight_columns() -> None:
    table = Table("où", (Column("word"), Column("x")), (("面包", 1), ("Häuser", None), ("a", 12)))
    buffer = io.BytesIO()
    for encoding, word, none in (("ascii", "H?user", "-"), ("cp1252", "Häuser", "-")):
        buffer = io.BytesIO()
        file = io.TextIOWrapper(buffer, encoding=encoding)  # strict: a sign too many is an error
        Console(file=file, width=60).print(table)
        file.flush()
        lines = buffer.getvalue().decode(encoding).splitlines()
        assert len({len(line) for line in lines[1:]}) == 1
        assert [re.sub(r"[|+ ]+", " ", line).split() for line in lines if "?" in line or "user" in line] == [
            *([["o?"]] if encoding == "ascii" else []),
            ["??", "1"],
            [word, none],
        ]


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
