"""Heat maps and curves: what is drawn where, with which fonts, and what the notes say."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from otkit.errors import ConfigError, OtkitError
from otkit.reports.picture import write_picture
from otkit.reports.view import GoldLinks
from tests.reports.views import SENTENCES, small_view

pytest.importorskip("matplotlib")

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
    assert blue > 5000
    assert (none[..., 2] - none[..., 0] > 0.2).sum() == 0


def test_gold_is_drawn_as_boxes(tmp_path: Path) -> None:
    def boxes(gold: GoldLinks | None) -> tuple[int, int]:
        write_picture([small_view(gold=gold)], tmp_path / "a.svg")
        thick = re.findall(r'style="([^"]*stroke-width: 1\.4[^"]*)"', (tmp_path / "a.svg").read_text())
        return len([s for s in thick if "dasharray" not in s]), len([s for s in thick if "dasharray" in s])

    assert boxes(None) == (0, 0)
    assert boxes(GOLD) == (3 + 1, 1 + 1)  # one of each stands in the key


def test_words_without_a_partner_show_their_null_mass(tmp_path: Path) -> None:
    write_picture([small_view(source=("Das", "ist", "ein", "Haus", "ja"))], tmp_path / "a.svg")
    drawn = re.findall(
        r"<!-- (.*?) -->", (tmp_path / "a.svg").read_text()
    )  # matplotlib notes each text it draws
    assert [text for text in drawn if "∅" in text] == ["ja ∅ 90%"]
    assert "Haus" in drawn


@pytest.mark.parametrize(("letter", "right"), [("x", False), ("ب", True)])
def test_a_target_written_from_the_right_is_drawn_from_the_right(
    letter: str, right: bool, tmp_path: Path
) -> None:
    shares = np.zeros((5, 4))
    shares[:, 0] = 1.0
    view = small_view(source=("·",) * 5, target=(letter,) * 4, links=(), shares=shares)
    write_picture([dataclasses.replace(view, caption="", score=None)], tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    blue = np.nonzero(image[..., 2] - image[..., 0] > 0.2)[1]
    assert (blue.mean() > image.shape[1] / 2) == right


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
    from otkit.reports.picture import _characters_of, families_for

    families, notes = families_for(SENTENCES[language])
    covered = frozenset().union(*(_characters_of(family) for family in families))
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
