"""The terminal grid: exact pictures of known plans, and what must hold at every width and in every script."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from otkit.reports.grid import ASCII, UNICODE, grid_lines
from otkit.reports.terminal import AlignmentPicture, ComparisonPicture, summary_lines
from otkit.reports.view import GoldLinks, GridView
from otkit.reports.words import clip, isolate, visible
from tests.reports.views import SENTENCES, random_view, small_view

GOLD = GoldLinks(frozenset({(0, 0), (1, 1), (4, 3)}), frozenset({(2, 2)}))
# Isolates and marks take no cell in any terminal; older releases of rich count one for each.
INVISIBLE = re.compile("[\u200e\u2067\u2069]")


def drawn(picture: object, width: int, *, encoding: str = "utf-8", colour: bool = False) -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(
        file=file, width=width, force_terminal=colour, color_system="truecolor" if colour else None
    )
    console.print(picture)
    file.flush()
    return file.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]


def cells(line: str) -> int:
    return cell_len(INVISIBLE.sub("", line))


def test_known_plan_is_drawn_as_known_text() -> None:
    assert [line.plain for line in grid_lines(small_view(), width=80)] == [
        "┌ This",
        "│ ┌ is",
        "│ │ ┌ a",
        "│ │ │ ┌ house",
        "│ │ │ │ ┌ ∅ no partner",
        "█●· · · ·  Das",
        "· █●░░· ·  ist",
        "· ▒▒▓●· ·  ein",
        "· · · █●·  Haus",
        "· · · · ██ .",
    ]


def test_summary_lists_links_unlinked_words_and_score() -> None:
    assert [line.plain for line in summary_lines(small_view(), width=60)] == [
        "link strength:  ░░ 5%+  ▒▒ 25%+  ▓▓ 50%+  ██ 75%+  ● link",
        "  ██ probability of no partner",
        "",
        "● 100% Das → This     ●  60% ein → a",
        "●  80% ist → is       ●  90% Haus → house",
        "",
        "no partner in the source:  . (90%)",
        "transport cost 0.250  (lower is closer)",
    ]


def test_the_key_has_the_colours_of_the_cells() -> None:
    view = small_view(gold=GOLD, source=("Das", "ist", "ein", "Haus", "ja"))
    grid, key = grid_lines(view, width=80), summary_lines(view, width=80)[:4]

    def colours(lines: list[Text]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for line in lines:
            for span in line.spans:
                for sign in set(line.plain[span.start : span.end]) & set("█▒○●×+"):
                    found.setdefault(sign, set()).add(str(span.style))
        return found

    drawn_there, said = colours(grid), colours(key)
    assert said["█"] == {"blue", "magenta"}
    assert {"magenta", "bold green"} <= drawn_there["█"]  # of a link the shade has the colour of its mark
    for sign in drawn_there.keys() & set("○●×+"):
        assert drawn_there[sign] == said[sign]


def test_gold_tells_sure_possible_missed_and_extra_apart_by_symbol() -> None:
    view = small_view(gold=GOLD)
    assert [line.plain for line in grid_lines(view, width=80)][5:] == [
        "█●· · · ·  Das",
        "· █●░░· ·  ist",
        "· ▒▒▓○· ·  ein",
        "· · · █+·  Haus",
        "· · · ·×██ .",
    ]
    assert "against gold:  2 sure, 1 possible, 1 missed, 1 extra" in drawn(AlignmentPicture(view), 80)
    symbols = [UNICODE.kinds[kind] for kind in ("sure", "possible", "missed", "extra")]
    assert len(set(symbols)) == 4
    assert len({ASCII.kinds[kind] for kind in ("sure", "possible", "missed", "extra")}) == 4


def test_long_target_folds_into_equal_blocks_that_repeat_the_rows() -> None:
    view = random_view("de", "de", (3, 40), 1)
    lines = [line.plain for line in grid_lines(view, width=60)]
    assert lines.count("") == 1  # forty columns, at most 22 at a time: 22 and 18 would be uneven
    blocks = "\n".join(lines).split("\n\n")
    assert [sum(line.lstrip("│ ").startswith("┌") for line in block.split("\n")) for block in blocks] == [
        20,
        20,
    ]
    assert all(block.split("\n")[-2].endswith("hat") for block in blocks)


@pytest.mark.parametrize("language", SENTENCES)
def test_thirty_words_fit_eighty_columns_in_one_block(language: str) -> None:
    view = random_view(language, language, (30, 30), 2)
    view = GridView(view.source, view.target, view.shares, view.links, np.zeros(30), np.zeros(30))
    lines = [line.plain for line in grid_lines(view, width=80)]
    assert len(lines) == 60
    assert all(cells(line) <= 80 for line in lines)


@pytest.mark.parametrize("target", SENTENCES)
@pytest.mark.parametrize("source", SENTENCES)
def test_no_line_is_wider_than_the_terminal(source: str, target: str) -> None:
    rng = np.random.default_rng(7)
    languages = list(SENTENCES)
    first = 60 + 4 * languages.index(source) + languages.index(target)
    for width in range(first, 201, 32):  # the sixteen directions together take half of the widths
        size = (int(rng.integers(1, 61)), int(rng.integers(1, 61)))
        view = random_view(source, target, size, width, gold=width % 2 == 0)
        for picture in (
            AlignmentPicture(view),
            ComparisonPicture(view, random_view(source, target, size, 1)),
        ):
            wide = [line for line in drawn(picture, width) if cells(line) > width]
            assert not wide, (width, size, wide[0])


@pytest.mark.parametrize("width", range(60, 201))
def test_every_cell_stands_in_its_column_at_every_width(width: int) -> None:
    view = random_view("ar", "zh", (4, 60), 3)
    rows = [INVISIBLE.sub("", line.plain) for line in grid_lines(view, width=width)]
    marks = sum(row.count("●") for row in rows)
    assert marks == len(view.links)  # each column is drawn once, whatever the folding
    for row in rows:
        if row and row[0] in UNICODE.shades:
            grid = re.match(r"^((?:·[ ●]|([░▒▓█])(?:\2|●))+) ", f"{row} ")
            assert grid is not None, row


def test_words_end_their_lines_and_right_to_left_ones_are_isolated() -> None:
    lines = [line.plain for line in grid_lines(random_view("ar", "ar", (3, 3), 4), width=80)]
    for line in lines:
        if "no partner" not in line:
            assert re.fullmatch("\u200e[^\u2067\u2069]*\u2067[^\u2067\u2069]+\u2069", line)
        else:
            assert not INVISIBLE.search(line)


def test_without_colour_the_text_is_the_same_as_with_it() -> None:
    view = small_view(gold=GOLD)
    escape = re.compile("\x1b\\[[0-9;]*m")
    coloured = drawn(AlignmentPicture(view), 80, colour=True)
    assert any(escape.search(line) for line in coloured)
    assert [escape.sub("", line).rstrip() for line in coloured] == [
        line.rstrip() for line in drawn(AlignmentPicture(view), 80)
    ]


def test_ascii_terminal_gets_ascii_only_and_no_lost_word() -> None:
    lines = drawn(
        AlignmentPicture(small_view(source=("Größe", "ist", "ein", "家", "."))), 80, encoding="ascii"
    )
    assert lines[5] == "#*. . . .  Gr\\xf6\\xdfe"
    assert lines[8] == ". . . #*.  \\u5bb6"
    assert all(
        cells(line) <= 60
        for line in drawn(AlignmentPicture(random_view("hi", "zh", (9, 30), 1)), 60, encoding="ascii")
    )


def test_comparison_stands_side_by_side_when_it_fits_and_names_what_differs() -> None:
    left, right = small_view(caption="one"), small_view(caption="two", links=((0, 0), (1, 1), (2, 1)))
    wide = drawn(ComparisonPicture(left, right), 80)
    assert wide[0].split() == ["one", "two"]
    assert re.fullmatch(r"· ▒▒▓●· ·  ein {27}· ▒●▓▓· ·  ein", wide[8])
    assert "gained over two (2):  ein → a,  Haus → house" in wide
    assert "lost, of 3 (1):  ein → is" in wide
    assert wide[-4:] == [
        "one: no partner in the source:  . (90%)",
        "two: no partner in the source:  Haus (0%)  . (90%)",
        "two: no partner in the target:  a (0%)  house (0%)",
        "transport cost:  one 0.250  two 0.250  (lower is closer)",
    ]
    named = drawn(
        ComparisonPicture(*(replace(view, caption=f"{view.caption}, layer 1") for view in (left, right))), 80
    )
    assert " ".join(named).count("layer 1") == 2  # a caption stands once
    narrow = drawn(
        ComparisonPicture(random_view("de", "de", (4, 30), 1), random_view("de", "de", (4, 30), 2)), 80
    )
    assert narrow[0] == "model 1"
    assert "model 2" in narrow


def test_hostile_words_cannot_move_the_cursor_or_turn_the_line() -> None:
    hostile = ("\x1b[2J", "a\rb", "x\u202ey", "tab\there", "[bold]m[/]")
    text = "\n".join(drawn(AlignmentPicture(small_view(source=hostile)), 80))
    assert not re.search("[\x1b\r\t\u202e]", text)
    assert "[bold]m[/]" in text
    assert visible("x\u202ey") == "x\ufffdy"


def test_clip_keeps_letters_with_their_marks_and_wide_characters_whole() -> None:
    assert clip("Haus", 4) == "Haus"
    assert clip("Häuser", 4) == "Häu…"
    assert clip("e\u0301e\u0301e\u0301", 2) == "e\u0301…"
    assert clip("房子里", 4) == "房…"
    assert clip("房子里", 0) == ""
    assert isolate("house") == "house"
    assert isolate("بيت") == "\u2067بيت\u2069"
