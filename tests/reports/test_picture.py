"""Heat maps and curves: what is drawn where, with which fonts, and what the notes say."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from otkit.errors import ConfigError, OtkitError
from otkit.reports.picture import MOST_PIXELS, picture_figure, write_picture
from otkit.reports.view import GoldLinks
from tests.reports.views import SENTENCES, small_view

pytest.importorskip("matplotlib")

GOLD_KEY = [
    "sure in gold",
    "possible in gold",
    "link, sure in gold",
    "link, possible in gold",
    "link not in gold",
    "missed, sure in gold",
]
GOLD = GoldLinks(frozenset({(0, 0), (1, 1), (4, 3)}), frozenset({(2, 2)}))


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return np.asarray(imread(path))[..., :3]


def test_a_full_share_is_the_darkest_cell_and_an_empty_one_the_palest(tmp_path: Path) -> None:
    view = dataclasses.replace(small_view(links=()), source=("·",) * 5, target=("·",) * 4)
    write_picture([view], tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    blue = (image[..., 2] - image[..., 0] > 0.2).sum()
    write_picture([dataclasses.replace(view, shares=np.zeros((5, 4)))], tmp_path / "b.png")
    none = pixels(tmp_path / "b.png")
    bar = (none[..., 2] - none[..., 0] > 0.2).sum()
    assert bar > 0  # which tells what blue means
    assert blue - bar > 5000


def test_gold_is_drawn_as_boxes(tmp_path: Path) -> None:
    def boxes(gold: GoldLinks | None) -> tuple[int, int]:
        write_picture([small_view(gold=gold)], tmp_path / "a.svg")
        thick = re.findall(r'style="([^"]*stroke-width: 1\.4[^"]*)"', (tmp_path / "a.svg").read_text())
        return len([s for s in thick if "dasharray" not in s]), len([s for s in thick if "dasharray" in s])

    assert boxes(None) == (0, 0)
    assert boxes(GOLD) == (3 + 1, 1 + 1)  # one of each stands in the key


def test_a_bar_tells_the_colours_and_a_key_the_marks_that_are_drawn() -> None:
    for gold, marks in ((None, ["link"]), (GOLD, GOLD_KEY)):
        figure = picture_figure([small_view(gold=gold), small_view(gold=gold)])
        (bar,) = figure.axes[-1].child_axes  # one for both
        assert bar.get_title(loc="left") == "link strength"
        assert [label.get_text() for label in bar.get_xticklabels()] == ["0", "25 %", "50 %", "75 %", "100 %"]
        (legend,) = figure.legends
        said = [text.get_text() for text in legend.get_texts()]
        assert said == [*marks, "∅ no link, and the probability of no partner"]


@pytest.mark.parametrize("words", [1, 60, 130])
def test_no_png_is_wider_or_higher_than_4000_pixels(words: int, tmp_path: Path) -> None:
    """130 words would be 6,000 at the usual resolution."""
    view = small_view(
        source=("w",) * 5,
        target=("word",) * words,
        links=((0, 0),),
        shares=np.ones((5, words)),
        target_no_partner=np.zeros(words),
    )
    notes = write_picture([view], tmp_path / "a.png")
    assert max(pixels(tmp_path / "a.png").shape) <= MOST_PIXELS
    assert not any("too small" in note for note in notes)


def test_words_without_a_partner_show_their_null_mass(tmp_path: Path) -> None:
    write_picture([small_view(source=("Das", "ist", "ein", "Haus", "ja"))], tmp_path / "a.svg")
    drawn = re.findall(
        r"<!-- (.*?) -->", (tmp_path / "a.svg").read_text()
    )  # matplotlib notes each text it draws
    assert [text for text in drawn if "∅" in text] == [
        "ja ∅ 90%",
        "∅ no link, and the probability of no partner",
    ]
    assert "Haus" in drawn


@pytest.mark.parametrize(("letter", "right"), [("x", False), ("ب", True)])
def test_a_target_written_from_the_right_is_drawn_from_the_right(letter: str, right: bool) -> None:
    grid = picture_figure([small_view(source=("·",) * 5, target=(letter,) * 4)]).axes[0]
    assert grid.xaxis_inverted() == right
    assert (grid.yaxis.get_ticks_position() == "right") == right


def test_the_same_view_gives_the_same_bytes_and_no_address_to_fetch(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        write_picture([small_view(gold=GOLD)], tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    text = (tmp_path / "a.svg").read_text()
    assert not re.search(r"<image|@import|url\(http|href=\"http", text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg", "b.png", "b.svg"]


def test_dollars_are_dollars_and_controls_are_harmless(tmp_path: Path) -> None:
    write_picture([small_view(source=("$x$", "a_b^{c", "\x1b[2J", "<b>", "&"))], tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 1000


@pytest.mark.parametrize("language", SENTENCES)
def test_every_character_has_a_font_or_the_script_a_note(language: str) -> None:
    from otkit.reports.picture import LAST_RESORT, _characters_of, families_for

    families, notes = families_for(SENTENCES[language])
    covered = frozenset().union(
        *(_characters_of(family) for family in families if not family.startswith(LAST_RESORT))
    )
    uncovered = {c for word in SENTENCES[language] for c in word if ord(c) not in covered}
    assert families[0] == "DejaVu Sans"
    assert bool(uncovered) == bool(notes)


def test_a_script_without_font_is_named_with_a_remedy() -> None:
    from otkit.reports.picture import families_for

    # Unassigned in every font by definition: a noncharacter is not printable, so take a private one.
    _, notes = families_for(["\U00010ffd\U0001e9ff"])
    assert notes == [] or all("no installed font draws" in note for note in notes)
    _, notes = families_for(["\U00012000\U00012001"])
    if notes:
        expected = (
            "no installed font draws Cuneiform characters, boxes stand for them; install Noto Sans Cuneiform"
        )
        assert notes == [expected]


def test_unknown_formats_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written as 'gif'; choose from: png, svg"):
        write_picture([small_view()], tmp_path / "a.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(OtkitError, match=r"cannot be written \(.*choose another output"):
        write_picture([small_view()], tmp_path / "file" / "a.png")
