"""Words are drawn in the fonts of their language: the page says it of each word, and pictures choose by it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from otkit.data.languages import web_language
from otkit.reports.fragment import fragment_html
from otkit.reports.html import Page, PagePair, Variant, pair_title, write_page
from otkit.reports.languages import drawn_language
from otkit.reports.picture import families_for, picture_figure
from otkit.reports.tables import Column, Table
from otkit.reports.view import GridView
from tests.reports.browser import CHROMIUM, Browser, browser
from tests.reports.views import SENTENCES, small_view

TOLD = {
    # words, known: drawn
    ("直 す", None): "ja",
    ("直", None): "zh",
    ("直", "ja"): "ja",
    ("直", "jpn"): "ja",
    ("直", "zho_Hant"): "zh-Hant",
    ("直", "en"): "zh",
    ("직", None): "ko",
    ("مرحبا", None): "ar",
    ("خوش", "urd_Arab"): "ur-Arab",
    ("नमस्ते", None): "hi",
    ("नमस्ते", "mr"): "mr",
    ("สวัสดี", None): "th",
    ("Haus", "de"): "de",
    ("Haus", None): None,
    ("OTAN", "zh"): None,
}


@pytest.mark.parametrize(("given", "drawn"), TOLD.items())
def test_what_is_known_holds_where_the_letters_agree(
    given: tuple[str, str | None], drawn: str | None
) -> None:
    assert drawn_language(given[0].split(), given[1]) == drawn


def bones(*languages: str) -> GridView:
    """Words whose one sign has a shape of its own in China, Japan and Korea."""
    return small_view(
        source=("骨", "直", "角", "海", "化"),
        target=("骨", "直", "角", "海"),
        languages=languages or None,
    )


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@needs_chromium
def test_every_word_of_a_page_says_its_language(tab: Browser, tmp_path: Path) -> None:
    view = bones("ja", "zh")
    table = Table("frequent", (Column("source"), Column("target"), Column("times")), (("直", "直", 1),))
    title = pair_title(view)
    write_page(Page(title, (Variant("m"),), (PagePair(1, (view,)),), tables=(table,)), tmp_path / "page.html")
    tab.open(tmp_path / "page.html")
    tab.evaluate("document.querySelector('details').open = true")
    tab.hover(".word")
    found = tab.evaluate(
        """(() => {
          const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
          while (walk.nextNode()) {
            const { data, parentElement } = walk.currentNode;
            if (/[\\u4e00-\\u9fff]/.test(data) && parentElement.localName !== "script")
              found.push(parentElement.closest("[lang]").lang);
          }
          return found;
        })()"""
    )
    assert set(found) == {"ja", "zh"}
    assert (
        len(found) > 2 * 9
    )  # in the title, the table, over one another, in the matrix, its list, and the status


@needs_chromium
@pytest.mark.parametrize("side", ["source", "target"])
def test_the_page_tells_languages_as_python_does(tab: Browser, tmp_path: Path, side: str) -> None:
    """The live page has the table of scripts a second time, since its text is typed there."""
    write_page(Page("x", (Variant("m"),), (PagePair(1, (bones(),)),)), tmp_path / "page.html")
    script = (Path("otkit/inspector/assets/dom.js")).read_text(encoding="utf-8").replace("export ", "")
    for (text, known), drawn in TOLD.items():
        told = None if known is None else web_language(known)  # as the page is told
        tab.open(tmp_path / "page.html")
        told_by = "(words, known, side) => { setLanguages([known, known]); return languageOf(words, side); }"
        tab.evaluate(f"globalThis.tell = (() => {{ {script}; return {told_by}; }})()")
        assert tab.evaluate(f"tell({text.split()!r}, {told!r}, {side!r})".replace("None", "null")) == drawn


def _has_fonts() -> bool:
    listed = shutil.which("fc-list")
    return (
        listed is not None
        and b"Noto Sans CJK SC" in subprocess.run([listed], capture_output=True, check=True).stdout
    )


@needs_chromium
@pytest.mark.skipif(not _has_fonts(), reason="needs Noto Sans CJK")
def test_each_language_is_drawn_in_its_own_font(tab: Browser, tmp_path: Path) -> None:
    pairs = {("ja", "zh"): ("JP", "SC"), ("ko", "zh_TW"): ("KR", "TC")}
    for languages, fonts in pairs.items():
        write_page(Page("x", (Variant("m"),), (PagePair(1, (bones(*languages),)),)), tmp_path / "page.html")
        tab.open(tmp_path / "page.html")
        for side, font in zip(("source", "target"), fonts, strict=True):
            tab.call("DOM.enable")
            tab.call("CSS.enable")
            root = tab.call("DOM.getDocument")["root"]["nodeId"]
            word = tab.call("DOM.querySelector", nodeId=root, selector=f"button[data-side={side}]")["nodeId"]
            (used,) = tab.call("CSS.getPlatformFontsForNode", nodeId=word)["fonts"]
            assert used["familyName"] == f"Noto Sans CJK {font}"


def test_a_notebooks_table_says_the_language_of_its_words() -> None:
    html = fragment_html(bones("ja", "zh"))
    assert html.count('lang="ja"') == 5 + 1  # heads, and the word without a partner
    assert html.count('lang="zh"') == 4
    assert "lang=" not in fragment_html(small_view())
    assert 'lang="hi"' in fragment_html(small_view(source=tuple(SENTENCES["hi"][:5])))


@pytest.fixture
def fonts(tmp_path: Path) -> Iterator[None]:
    """Three real fonts with one sign each, as those of the three countries are called."""
    pytest.importorskip("matplotlib")
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib.font_manager import fontManager

    kept = list(fontManager.ttflist)
    for country in ("JP", "KR", "SC"):
        name = f"Noto Sans CJK {country}"
        pen = TTGlyphPen(None)
        for place, move in enumerate([(0, 0), (0, 700), (500, 700), (500, 0)]):
            (pen.lineTo if place else pen.moveTo)(move)
        pen.closePath()
        glyph = pen.glyph()
        font = FontBuilder(1000, isTTF=True)
        font.setupGlyphOrder([".notdef", "straight"])
        font.setupCharacterMap({ord("直"): "straight"})
        font.setupGlyf({".notdef": glyph, "straight": glyph})
        font.setupHorizontalMetrics({".notdef": (600, 0), "straight": (600, 0)})
        font.setupHorizontalHeader(ascent=800, descent=-200)
        font.setupNameTable({"familyName": name, "styleName": "Regular"})
        font.setupOS2()
        font.setupPost()
        font.save(tmp_path / f"{country}.ttf")
        fontManager.addfont(tmp_path / f"{country}.ttf")
    yield
    fontManager.ttflist = kept


@pytest.mark.parametrize(
    ("language", "country"), [("ja", "JP"), ("ko", "KR"), ("zh", "SC"), ("zh-Hans", "SC")]
)
def test_a_picture_takes_the_font_of_the_language(fonts: None, language: str, country: str) -> None:
    families, notes = families_for(["直"], language)
    assert families == ["DejaVu Sans", f"Noto Sans CJK {country}"]
    assert notes == []


def test_both_sides_of_a_picture_have_their_own_fonts(fonts: None) -> None:
    view = small_view(source=("直",) * 5, target=("直",) * 4, languages=("ja", "zh"))
    grid = picture_figure([view]).axes[0]
    for axis, country in ((grid.yaxis, "JP"), (grid.xaxis, "SC")):
        assert {label.get_fontfamily()[-1] for label in axis.get_ticklabels()} == {f"Noto Sans CJK {country}"}
