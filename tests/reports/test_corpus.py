"""Figures of a corpus sample, checked by hand, and lines and documents for programs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from otkit.alignment.aligner import Alignment, Link
from otkit.alignment.shares import shares_of
from otkit.errors import ConfigError, InputError
from otkit.reports.corpus import agreement, corpus_figures, figures_table, frequent_pairs, unlinked_words
from otkit.reports.plain import alignment_document, interlinear_lines, pair_lines, pharaoh_line
from otkit.reports.terminal import AlignmentPicture, terminal_svg
from otkit.reports.view import GoldLinks, GridView, parse_gold, view_of
from otkit.reports.words import cell_width
from tests.reports.views import random_view, small_view

GOLD = GoldLinks(frozenset({(0, 0), (1, 1), (4, 3)}), frozenset({(2, 2)}))


def test_figures_of_two_known_pairs() -> None:
    views = [small_view(gold=GOLD), small_view(links=((0, 0),), score=0.75, gold=GOLD)]
    figures = corpus_figures(views)
    assert figures["pairs"] == 2
    assert figures["links"] == 5
    assert figures["links a source word"] == 5 / 10
    assert figures["source words without a partner"] == (1 + 4) / 10
    assert figures["target words without a partner"] == 3 / 8
    assert figures["mean transport cost"] == 0.5
    assert figures["mean link strength"] == pytest.approx((1.0 + 0.8 + 0.6 + 0.9 + 1.0) / 5)
    # A & S: 2 and 1; A & P: 3 and 1; A: 4 and 1; S: 3 and 3.
    assert figures["AER"] == pytest.approx(1 - (3 + 4) / (5 + 6))


def test_figures_over_nothing_are_none() -> None:
    empty = GridView((), ("a",), np.zeros((0, 1)), (), np.zeros(0), np.zeros(1))
    figures = corpus_figures([empty])
    assert figures["mean link strength"] is None
    assert figures["mean transport cost"] is None
    with pytest.raises(ConfigError, match="at least one model"):
        figures_table({})


def test_agreement_is_f1_between_the_links() -> None:
    left, right = [small_view()], [small_view(links=((0, 0), (2, 1)))]
    assert agreement(left, right) == 2 * 1 / (4 + 2)
    assert agreement(left, left) == 1.0
    table = figures_table({"one": left, "two": right})
    assert [column.name for column in table.columns] == ["figure", "one", "two"]
    assert table.notes == ("the links of both models agree by F1 0.333",)


def test_frequent_pairs_count_words_and_leave_punctuation_out() -> None:
    full = small_view(links=((0, 0), (1, 1), (4, 3)))
    table = frequent_pairs([full, small_view(links=((1, 1), (4, 3)))])
    assert table.rows == (("ist", "is", 2, pytest.approx(0.8)), ("Das", "This", 1, 1.0))
    assert len(frequent_pairs([full], most=1).rows) == 1


def test_unlinked_words_are_counted_against_all_their_uses() -> None:
    views = [small_view(), small_view(links=((0, 0), (4, 3)))]
    assert unlinked_words(views, side="source").rows == (
        (".", 1, 2),
        ("Haus", 1, 2),
        ("ein", 1, 2),
        ("ist", 1, 2),
    )
    assert unlinked_words(views, side="target").rows == (("a", 1, 2), ("is", 1, 2))


def test_lines_for_programs() -> None:
    assert pharaoh_line(small_view()) == "0-0 1-1 2-2 3-3"
    assert pair_lines(small_view())[1] == "1-1\tist\tis\t0.800"
    assert pair_lines(small_view(gold=GOLD))[3] == "3-3\tHaus\thouse\t0.900\textra"


def test_the_document_holds_what_the_pictures_show() -> None:
    document = alignment_document([small_view(gold=GOLD)], ["m"], [{"transport": "balanced"}])
    document = json.loads(json.dumps(document))
    assert document["gold"] == {
        "sure": [[0, 0], [1, 1], [4, 3]],
        "possible": [[0, 0], [1, 1], [2, 2], [4, 3]],
    }
    alignment = document["alignments"][0]
    assert alignment["links"][2] == {"source": 2, "target": 2, "share": 0.6, "gold": "possible"}
    assert alignment["missed"] == [[4, 3]]
    assert alignment["source_no_partner"] == [0, 0, 0, 0, 0.9]
    assert alignment["transport_cost"] == 0.25
    assert alignment["config"] == {"transport": "balanced"}


def test_gold_links_are_read_and_checked() -> None:
    gold = parse_gold("0-0, 1p2 3?1", source_words=4, target_words=3)
    assert gold.sure == {(0, 0)}
    assert gold.possible == {(0, 0), (1, 2), (3, 1)}
    assert parse_gold("", source_words=1, target_words=1).possible == frozenset()
    with pytest.raises(InputError, match=r"--gold: the gold link 4-0 is outside 4 source and 3 .* up to 3-2"):
        parse_gold("4-0", source_words=4, target_words=3)
    with pytest.raises(InputError, match=r"--gold: received '0:1', expected a link; write i-j"):
        parse_gold("0:1", source_words=4, target_words=3)


def test_shares_are_those_of_the_aligner() -> None:
    import torch

    from otkit.transport.plan import shares

    plan = np.random.default_rng(0).random((4, 6)) ** 2
    plan[2] = 0.0
    expected = shares(torch.from_numpy(plan)[None], torch.ones(1, 4, 6, dtype=torch.bool))[0].numpy()
    np.testing.assert_allclose(shares_of(plan), expected, atol=1e-12)


def test_views_take_the_scores_of_the_links_and_no_cost_for_an_empty_side() -> None:
    plan = np.array([[0.3, 0.0], [0.0, 0.3]], dtype=np.float32)
    null = np.array([0.4, 0.4], dtype=np.float32)
    settings = {
        "source": ("a", "b"),
        "target": ("c", "d"),
        "source_no_partner": null,
        "target_no_partner": null,
    }
    found = Alignment(links=(Link(0, 0, 0.7),), plan=plan, cost=0.2, **settings)  # type: ignore[arg-type]
    view = view_of(found)
    assert view.link_share((0, 0)) == 0.7
    assert view.shares.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert [shares.tolist() for shares in view.null_shares()] == [[0.0, pytest.approx(0.4)]] * 2
    bare = view_of(Alignment(links=(Link(0, 0, 0.7),), plan=None, cost=float("nan"), **settings))  # type: ignore[arg-type]
    assert bare.shares.tolist() == [[0.7, 0.0], [0.0, 0.0]]
    assert bare.score is None


def test_views_that_do_not_fit_their_words_are_refused() -> None:
    with pytest.raises(ConfigError, match="a picture of 5 x 4 words got arrays"):
        small_view(source_no_partner=np.zeros(4))
    with pytest.raises(ConfigError, match="link 5-0 is outside a pair of 5 and 4 words"):
        small_view(links=((5, 0),))


def test_the_terminal_picture_loads_nothing_from_elsewhere() -> None:
    svg = terminal_svg(AlignmentPicture(small_view()), width=60, title="a <title>")
    assert set(re.findall(r"https?://[^\"'\s)]+", svg)) == {"http://www.w3.org/2000/svg"}
    assert "font-face" not in svg
    assert "<title>" not in svg
    assert "Das" in svg
    assert svg == terminal_svg(AlignmentPicture(small_view()), width=60, title="a <title>")


@pytest.mark.parametrize("width", [40, 60, 200])
@pytest.mark.parametrize("scripts", [("de", "zh"), ("zh", "ar"), ("ar", "hi")])
def test_words_over_words_keep_to_the_width_and_show_every_link(scripts: tuple[str, str], width: int) -> None:
    view = random_view(*scripts, (14, 12), 3)
    lines = interlinear_lines(view, width=width)
    assert all(cell_width(line) <= width for line in lines)
    text = " ".join("\n".join(lines).translate({0x200E: None, 0x2067: None, 0x2069: None}).split())
    for word in view.source:
        assert word in text
    if width == 200:
        for i, j in view.links:
            assert view.source[i] in text
            assert view.target[j] in text


def test_words_over_words_by_hand() -> None:
    found = Alignment(
        source=("das", "hat", "besucht", "ja"),
        target=("that", "has", "been", "visited", "oh"),
        links=(Link(0, 0, 0.9), Link(1, 1, 0.8), Link(2, 1, 0.5), Link(2, 3, 0.9)),
        plan=None,
        source_no_partner=np.zeros(4, np.float32),
        target_no_partner=np.zeros(5, np.float32),
        cost=0.1,
    )
    gold = GoldLinks(sure=frozenset({(0, 0), (3, 4)}), possible=frozenset({(1, 1), (2, 3)}))
    assert interlinear_lines(view_of(found, gold=gold, caption="a model"), width=40) == [
        "a model",
        "das   hat  besucht        ja",
        "that  has  has … visited  ∅",
        "",
        "no partner in the target: been, oh",
        "missed: ja → oh",
        "not in gold: besucht → has",
    ]
