"""The page: safe with any words, closed to the network, small, and alive in a real browser."""

from __future__ import annotations

import base64
import dataclasses
import importlib.util
import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import AlignmentSettings
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, OtkitError
from otkit.reports.html import Page, PagePair, Variant, page_html, write_page
from otkit.reports.tables import Column, Table
from otkit.reports.view import GoldLinks, GridView, view_of
from tests.reports.browser import CHROMIUM, Browser, browser
from tests.reports.views import big_page, random_view, small_view

HOSTILE = ("</script><script>document.title='owned'</script>", "\"'", "<b onclick=x>", "&lt;", "<!--\u2028")
GOLD = GoldLinks(frozenset({(0, 0), (1, 1), (4, 3)}), frozenset({(2, 2)}))
GERMAN = "Die Haustür des alten Hauses , das am Fluss steht , ist seit gestern nicht mehr abgeschlossen ."
ENGLISH = "The front door of the old house by the river has not been locked since yesterday ."
one_view = Page("small", (Variant("sample", "7", "balanced"),), (PagePair(1, (small_view(gold=GOLD),)),))


def data_of(html: str) -> dict[str, Any]:
    found = re.search('<script id="data" type="application/json">(.*)</script>', html)
    assert found is not None
    return dict(json.loads(found[1]))


def test_data_of_the_page_is_the_alignment() -> None:
    data = data_of(page_html(one_view))
    pair = data["pairs"][0]
    assert (pair["s"], pair["t"]) == (["Das", "ist", "ein", "Haus", "."], ["This", "is", "a", "house"])
    assert pair["g"] == {"s": [[0, 0], [1, 1], [4, 3]], "p": [[0, 0], [1, 1], [2, 2], [4, 3]]}
    view = pair["v"][0]
    shares = np.frombuffer(base64.b64decode(view["p"]), dtype=np.uint8).reshape(5, 4)
    assert shares.tolist()[:3] == [[100, 0, 0, 0], [0, 80, 10, 0], [0, 30, 60, 0]]
    assert view["l"] == [[0, 0, 100], [1, 1, 80], [2, 2, 60], [3, 3, 90]]
    assert list(base64.b64decode(view["a"])) == [0, 0, 0, 0, 90]
    assert view["c"] == 0.25
    assert data["variants"] == [{"model": "sample", "layer": "7", "transport": "balanced", "settings": ""}]


@pytest.mark.parametrize("threshold", [None, 0.2, 0.6])
def test_the_slider_cuts_where_the_aligner_cuts(
    sample_encoder: TorchEncoder, threshold: float | None
) -> None:
    """By what it compares, lengths and rivals included; by the link strength alone it drew other links once moved."""
    # What attach_factor attaches hangs on the threshold itself: it is compared at that of the page alone.
    config = AlignmentSettings(
        threshold=threshold, attach_factor=1.0 if threshold else AlignmentSettings().attach_factor
    )
    (alignment,) = WordAligner(sample_encoder, config).align([(GERMAN.split(), ENGLISH.split())])
    view = view_of(alignment)
    page = Page("a page", (Variant("sample", "layer 6", "unbalanced"),), (PagePair(1, (view,)),))
    (shown,) = data_of(page_html(page))["pairs"][0]["v"]
    compared = np.frombuffer(base64.b64decode(shown["q"]), np.uint8).reshape(view.shares.shape) / 100
    cut = 0.45 if threshold is None else threshold
    assert sorted(view.links) == [tuple(cell) for cell in np.argwhere(compared >= cut).tolist()]
    assert sorted(view.links) != [tuple(cell) for cell in np.argwhere(view.shares >= cut).tolist()]
    (other,) = WordAligner(sample_encoder, AlignmentSettings(strategy="mutual")).align(
        [(GERMAN.split(), ENGLISH.split())]
    )
    assert view_of(other).compared is None  # the slider compares shares there


def test_words_titles_and_figures_cannot_become_markup() -> None:
    view = small_view(source=HOSTILE)
    table = Table(HOSTILE[0], (Column(HOSTILE[1]), Column("<i>")), ((HOSTILE[2], 1),))
    html = page_html(
        Page(HOSTILE[0], (Variant(HOSTILE[0]),), (PagePair(1, (view,)),), note=HOSTILE[2], tables=(table,))
    )
    assert html.count("<script") == html.count("</script>") == 2
    assert "<b onclick" not in html
    assert "<i>" not in html
    assert "<!--" not in html
    assert data_of(html)["pairs"][0]["s"] == list(HOSTILE)


def test_the_page_names_no_address_and_forbids_the_network() -> None:
    html = page_html(one_view).replace("http://www.w3.org/2000/svg", "")  # a name, which nothing loads
    assert "://" not in html
    assert "www." not in html
    assert not re.search(r"(?i)\s(src|href)=|@import|url\(", html)
    assert "default-src 'none'" in html
    assert "script-src 'sha256-" in html


def test_lone_surrogates_do_not_stop_the_page(tmp_path: Path) -> None:
    page = Page("x", (Variant("m"),), (PagePair(1, (small_view(source=("\ud800", "b", "c", "d", "e")),)),))
    write_page(page, tmp_path / "page.html")
    assert data_of((tmp_path / "page.html").read_text("utf-8"))["pairs"][0]["s"][0] == "?"


def test_pages_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one sentence pair"):
        Page("x", (Variant("m"),), ())
    with pytest.raises(ConfigError, match="distinct"):
        Page("x", (Variant("m"), Variant("m")), one_view.pairs)
    with pytest.raises(ConfigError, match="pair 1 has 1 views, the page 2 variants"):
        Page("x", (Variant("m"), Variant("n")), one_view.pairs)


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OtkitError, match=r"page\.html: cannot be written \(.*choose another output"):
        write_page(one_view, tmp_path / "file" / "page.html")
    write_page(one_view, tmp_path / "new" / "page.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def open_page(tab: Browser, page: Page, folder: Path) -> None:
    write_page(page, folder / "page.html")
    tab.requests.clear()
    tab.exceptions.clear()
    tab.open(folder / "page.html")
    assert tab.exceptions == []


def share(tab: Browser, side: str, index: int) -> float:
    word = f"document.querySelector('[data-side={side}][data-index=\"{index}\"]')"
    return float(tab.evaluate(f"{word}.style.getPropertyValue('--share') || 0"))


def status(tab: Browser) -> str:
    return str(tab.evaluate("document.getElementById('status').textContent")).translate(
        {0x2068: "", 0x2069: ""}
    )


def drawn_kinds(tab: Browser) -> list[str]:
    tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")
    return list(
        tab.evaluate("[...document.querySelectorAll('.arcs path')].map(p => p.className.baseVal).sort()")
    )


@needs_chromium
def test_hovering_a_word_lights_its_partners_by_mass(tab: Browser, tmp_path: Path) -> None:
    open_page(tab, one_view, tmp_path)
    tab.hover('[data-side=source][data-index="1"]')
    assert [share(tab, "target", j) for j in range(4)] == [0.0, 0.8, 0.1, 0.0]
    assert status(tab) == "ist: is 80%, a 10%"
    tab.hover('[data-side=target][data-index="1"]')
    assert [share(tab, "source", i) for i in range(5)] == [0.0, 0.8, 0.3, 0.0, 0.0]
    tab.hover("h1")
    assert [share(tab, "source", i) for i in range(5)] == [0.0] * 5
    tab.hover('[data-side=source][data-index="4"]')
    assert status(tab) == ".: a 4%, no partner (90%)"


@needs_chromium
def test_keyboard_reaches_every_word(tab: Browser, tmp_path: Path) -> None:
    open_page(tab, one_view, tmp_path)
    tab.evaluate("document.querySelector('.flow [data-side=source]').focus()")
    assert status(tab) == "Das: This 100%"
    tab.press("ArrowRight", code=39)
    assert status(tab) == "ist: is 80%, a 10%"
    tab.press("ArrowDown", code=40)
    assert status(tab) == "is: ist 80%, ein 30%"
    tab.press("End", code=35)
    assert status(tab) == "house: Haus 90%"


@needs_chromium
def test_slider_moves_the_threshold_and_gold_kinds_follow(tab: Browser, tmp_path: Path) -> None:
    open_page(tab, one_view, tmp_path)
    assert drawn_kinds(tab) == ["kind-extra", "kind-missed", "kind-possible", "kind-sure", "kind-sure"]
    strokes = tab.evaluate(
        "[...document.querySelectorAll('.arcs path')].map(p => getComputedStyle(p))"
        ".map(style => style.stroke + style.strokeDasharray)"
    )
    assert len(set(strokes)) == 4
    tab.change("#threshold", "85", event="input")
    assert drawn_kinds(tab) == ["kind-extra", "kind-missed", "kind-missed", "kind-sure"]
    assert tab.evaluate("document.getElementById('threshold-value').textContent") == "85%"
    tab.click("#extracted")
    assert len(drawn_kinds(tab)) == 5


@needs_chromium
def test_the_slider_rests_where_links_were_cut_and_goes_back_there(tab: Browser, tmp_path: Path) -> None:
    value = "document.getElementById('threshold').value"
    for threshold, shown in ((None, "45"), (0.3, "30"), (0.0, "1")):
        page = one_view if threshold is None else dataclasses.replace(one_view, threshold=threshold)
        open_page(tab, page, tmp_path)
        assert tab.evaluate(value) == shown
        tab.change("#threshold", "85", event="input")
        tab.click("#extracted")
        assert tab.evaluate(value) == shown
        assert tab.evaluate("document.getElementById('threshold-value').textContent") == "as extracted"


def error_rate(view: GridView) -> float:
    assert view.gold is not None
    found = set(view.links)
    hits = len(found & view.gold.sure) + len(found & view.gold.possible)
    return 1 - hits / (len(found) + len(view.gold.sure))


def mass_on_links(view: GridView) -> float:
    """The mean over all words of the largest share of a link of theirs, in whole percents."""
    best: dict[tuple[str, int], int] = {}
    for i, j in view.links:
        share = round(100 * view.link_share((i, j)))
        for word in (("source", i), ("target", j)):
            best[word] = max(share, best.get(word, 0))
    return sum(best.values()) / (len(view.source) + len(view.target))


@needs_chromium
@pytest.mark.parametrize("gold", [True, False])
def test_a_page_opens_with_the_worst_and_says_by_what(tab: Browser, tmp_path: Path, gold: bool) -> None:
    views = [random_view("de", "zh", (8 + k % 5, 9), k, gold=gold) for k in range(25)]
    pairs = tuple(PagePair(k + 1, (view,)) for k, view in enumerate(views))
    open_page(tab, Page("x", (Variant("m"),), pairs), tmp_path)
    shown = "[...document.querySelectorAll('.pair h3')].map(h => Number(h.textContent.split(' ')[1]))"
    badness = [error_rate(view) if gold else -mass_on_links(view) for view in views]
    found = [badness[number - 1] for number in tab.evaluate(shown)]
    assert found == sorted(badness, reverse=True)
    assert tab.evaluate("document.getElementById('order').selectedOptions[0].textContent") == (
        "worst first: highest error rate (AER) against gold" if gold else "worst first: weakest links"
    )
    tab.change("#order", "file")
    assert tab.evaluate(shown) == list(range(1, 26))
    assert ("error" in page_html(Page("x", (Variant("m"),), pairs)).partition('id="order"')[2][:200]) is gold


@needs_chromium
def test_captions_say_what_was_used(tab: Browser, tmp_path: Path) -> None:
    variant = Variant("m", "layer 7", "balanced", "epsilon 0.075 in units of the mean cost")
    open_page(tab, Page("x", (variant,), one_view.pairs), tmp_path)
    caption = tab.evaluate("document.querySelector('figcaption').innerText")
    assert caption.endswith("\nas extracted: epsilon 0.075 in units of the mean cost")


@needs_chromium
def test_layers_switch_and_two_models_stand_side_by_side(tab: Browser, tmp_path: Path) -> None:
    variants = (Variant("one", "7"), Variant("one", "8"), Variant("two", "7"))
    views = tuple(small_view(score=score) for score in (0.1, 0.2, 0.3))
    open_page(tab, Page("x", variants, (PagePair(1, views),)), tmp_path)
    captions = "[...document.querySelectorAll('figcaption')].map(c => c.textContent)"
    assert tab.evaluate(captions) == ["one · 7 · transport cost 0.100", "two · 7 · transport cost 0.300"]
    left, right = tab.evaluate(
        "[...document.querySelectorAll('.panel')].map(p => p.getBoundingClientRect().x)"
    )
    assert right > left + 300
    tab.change("#choices label:nth-of-type(2) select", "8")
    assert tab.evaluate(captions)[0] == "one · 8 · transport cost 0.200"


@needs_chromium
def test_markup_in_words_is_shown_as_text_and_right_to_left_runs_right_to_left(
    tab: Browser, tmp_path: Path
) -> None:
    open_page(tab, Page(HOSTILE[0], (Variant("m"),), (PagePair(1, (small_view(source=HOSTILE),)),)), tmp_path)
    assert tab.evaluate("document.title") == HOSTILE[0]
    assert tab.evaluate(
        "[...document.querySelectorAll('.flow [data-side=source]')].map(w => w.textContent)"
    ) == list(HOSTILE)
    open_page(
        tab, Page("x", (Variant("m"),), (PagePair(1, (random_view("ar", "de", (5, 5), 1),)),)), tmp_path
    )
    places = "[...document.querySelectorAll('.flow [data-side=%s]')].map(w => w.getBoundingClientRect().x)"
    source, target = (tab.evaluate(places % side) for side in ("source", "target"))
    assert source == sorted(source, reverse=True)
    assert target == sorted(target)
    heads = "[...document.querySelectorAll('.matrix thead th')].map(h => h.getBoundingClientRect().x)"
    found = tab.evaluate(heads)  # once: what is asked a moment later may stand elsewhere
    assert found == sorted(found)
    open_page(
        tab, Page("x", (Variant("m"),), (PagePair(1, (random_view("de", "ar", (5, 5), 1),)),)), tmp_path
    )
    found = tab.evaluate(heads)
    assert found == sorted(found, reverse=True)
    assert tab.requests == [(tmp_path / "page.html").resolve().as_uri()]


@needs_chromium
def test_a_long_page_builds_few_pairs_and_can_be_ordered(tab: Browser, tmp_path: Path) -> None:
    page = big_page(400)
    open_page(tab, page, tmp_path)
    assert tab.evaluate("document.querySelectorAll('.pair').length") < 100
    tab.change("#order", "disagreement")
    first = str(tab.evaluate("document.querySelector('.pair h3').textContent"))

    def disagreement(views: tuple[GridView, ...]) -> float:
        one, two = (set(view.links) for view in views)
        return 1 - len(one & two) / len(one | two) if one | two else 0.0

    worst = max(disagreement(pair.views) for pair in page.pairs)
    assert disagreement(page.pairs[int(first.split()[1]) - 1].views) == worst


@needs_chromium
@pytest.mark.parametrize("size", [(14, 13), (121, 118)])
def test_no_page_is_wider_than_its_window_and_the_slider_keeps_what_it_shows(
    tab: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    write_page(
        Page("x", (Variant("m"),), (PagePair(1, (random_view("de", "ar", size, 1),)),)),
        tmp_path / "page.html",
    )
    for width in (390, 1280, 2560):
        tab.open(tmp_path / "page.html", width=width)
        settled = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
        tab.evaluate(settled)
        wide, window, arcs = tab.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth,"
            " document.querySelectorAll('.arcs path').length]"
        )
        assert wide == window
        assert (arcs > 0) == (size[0] == 14 and width == 2560)  # those of a line, or of the word pointed at
    tab.click('.flow [data-side=source][data-index="3"]')
    said = status(tab)
    tab.hover("h1")
    tab.evaluate("window.before = [...document.querySelectorAll('.flow .word, .matrix td')]; 0")
    for place in ("20", "80"):
        tab.change("#threshold", place, event="input")
    assert status(tab) == said
    assert tab.evaluate("document.querySelector('.flow .chosen').dataset.index") == "3"
    assert tab.evaluate(
        "[...document.querySelectorAll('.flow .word, .matrix td')].every((node, k) => node === before[k])"
    )
    tab.press("Escape", code=27)
    assert tab.evaluate("document.querySelectorAll('.chosen').length") == 0


@needs_chromium
def test_an_open_grid_stays_open_while_the_slider_moves(tab: Browser, tmp_path: Path) -> None:
    open_page(tab, big_page(3), tmp_path)
    opened = "[...document.querySelectorAll('details')].map(d => d.open)"
    marks = "[...document.querySelectorAll('details')].map(d => d.querySelectorAll('tbody td').length > 0)"
    tab.evaluate("[...document.querySelectorAll('summary')].filter((_, k) => k == 3).forEach(s => s.click())")
    assert tab.evaluate(opened) == [False, False, False, True, False, False]
    tab.change("#threshold", "20", event="input")
    tab.change("#threshold", "80", event="input")
    assert tab.evaluate(opened) == [False, False, False, True, False, False]
    assert tab.evaluate(marks) == [False, False, False, True, False, False]
    tab.evaluate("document.querySelectorAll('summary')[3].click()")
    tab.evaluate("new Promise(done => setTimeout(done, 50))")  # `toggle` comes a task later
    tab.click("#extracted")
    assert tab.evaluate(opened) == [False] * 6


@needs_chromium
@pytest.mark.skipif(importlib.util.find_spec("axe_core_python") is None, reason="needs axe-core-python")
def test_no_accessibility_violation(tab: Browser, tmp_path: Path) -> None:
    script = (resources.files("axe_core_python") / "axe.min.js").read_text("utf-8")
    table = Table(
        "figures", (Column("language"), Column("AER")), (("de", 0.25), ("average", 0.25)), footers=1
    )
    many = dataclasses.replace(big_page(3), tables=(table,), note="a sample")
    for page, scheme in ((one_view, "light"), (one_view, "dark"), (many, "light"), (many, "dark")):
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        open_page(tab, page, tmp_path)
        tab.evaluate("document.querySelector('details').open = true")
        tab.hover('[data-side=source][data-index="1"]')
        tab.evaluate(f"{script};0")
        found = tab.evaluate(
            "axe.run().then(r => r.violations.filter(v => v.impact !== 'minor')"
            ".map(v => v.id + ' ' + v.nodes[0].html))"
        )
        assert found == []
