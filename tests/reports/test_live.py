"""The live view of a notebook in real Chromium: links follow the controls, and no rule of a notebook touches it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from otkit.api.align import Aligner, DrawnAlignment
from otkit.encoders.torch import TorchEncoder
from otkit.reports.live import live_html
from tests.reports.browser import CHROMIUM, Browser, browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

# What JupyterLab (4.4, rendermime) says of every table of an output.
JUPYTER = """
.jp-RenderedHTMLCommon { color: var(--jp-content-font-color1); font-size: 14px; line-height: 1.6; }
.jp-RenderedHTMLCommon table { border-collapse: collapse; border-spacing: 0; border: none; color: #eee;
  font-size: 12px; table-layout: fixed; margin-left: auto; margin-bottom: 1em; margin-right: auto; }
.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th, .jp-RenderedHTMLCommon tr { vertical-align: middle;
  padding: 0.5em; line-height: normal; white-space: normal; max-width: none; border: none; }
.jp-RenderedHTMLCommon:not(.jp-RenderedMarkdown) td, .jp-RenderedHTMLCommon:not(.jp-RenderedMarkdown) th,
.jp-RenderedHTMLCommon:not(.jp-RenderedMarkdown) tr { text-align: right; }
.jp-RenderedHTMLCommon thead { border-bottom: 1px solid red; vertical-align: bottom; }
.jp-RenderedHTMLCommon th { font-weight: bold; }
.jp-RenderedHTMLCommon tbody tr:nth-child(odd) { background: #fff; }
.jp-RenderedHTMLCommon tbody tr:nth-child(even) { background: #f5f5f5; }
.jp-RenderedHTMLCommon tbody tr:hover { background: #e0f0ff; }
"""
STYLES = (
    "[...document.querySelectorAll('table,th,td')].map(node => { const s = getComputedStyle(node);"
    "return ['backgroundColor', 'borderTopWidth', 'paddingLeft', 'textAlign', 'fontWeight', 'tableLayout',"
    "'verticalAlign', 'whiteSpace', 'color'].map(name => s[name]).join(' '); }).join('|') + '|' +"
    "[...document.querySelectorAll('thead,tr')].map(node => { const s = getComputedStyle(node);"
    "return s.backgroundColor + s.borderBottomWidth; }).join('|')"
)
LINKED = (
    "JSON.stringify([...document.querySelectorAll('tbody tr')].slice(0, 5).flatMap((row, i) =>"
    "[...row.cells].slice(1, 6).flatMap((cell, j) => '●○+'.includes(cell.textContent || '?') ? [[i, j]] : [])))"
)


@pytest.fixture(scope="module")
def pair() -> DrawnAlignment:
    words = "Das Haus ist sehr alt", "The house is very old"
    return Aligner().align_words(*words, gold="0-0 1-1 2-2 4p4")[0]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def notebook(html: str, path: Path, *, css: str = "", dark: bool = False) -> Path:
    """A document with an output as a notebook has one."""
    colours = "background:#111;color:#eee" if dark else "background:#fff;color:#111"
    path.write_text(
        f'<!doctype html><html data-ready="1"><meta charset="utf-8"><style>{css}</style><body style="{colours};'
        f'font:14px sans-serif"><div class="jp-RenderedHTMLCommon jp-RenderedHTML">{html}</div></body></html>',
        encoding="utf-8",
    )
    return path


def test_links_follow_strategy_and_threshold_as_the_aligner_makes_them(
    pair: DrawnAlignment, tab: Browser, tmp_path: Path
) -> None:
    live = pair.live()
    tab.open(notebook(live_html(live), tmp_path / "live.html"))
    asked = tab.evaluate("document.querySelector('output').textContent")
    assert asked == f"threshold 0.45 (as asked for): {len(pair.links)} links, AER {error(pair):.3f}"
    for rule in live.rules:
        again = Aligner(pair.aligner.encoder, strategy=rule.strategy, threshold=rule.threshold)  # type: ignore[union-attr]
        if rule.strategy in ("mutual", "itermax") or rule.threshold in (0.05, 0.95):
            found = again.align_words(" ".join(pair.source), " ".join(pair.target))[0]
            assert sorted(found.pairs) == list(rule.links)
        tab.change("select", rule.strategy)
        same = [each for each in live.rules if each.strategy == rule.strategy]
        tab.change("input", str(same.index(rule)), event="input")
        shown = tab.evaluate(LINKED)
        assert [tuple(cell) for cell in json.loads(shown)] == list(rule.links)
        alone = tab.evaluate("document.querySelectorAll('tbody .otkit-null').length")
        assert alone == 5 - len({i for i, _ in rule.links})
    assert not tab.exceptions
    assert not [url for url in tab.requests if not url.startswith("file:")]


def error(pair: DrawnAlignment) -> float:
    assert pair.gold is not None
    found = set(pair.pairs)
    hits = len(found & pair.gold.sure) + len(found & pair.gold.possible)
    return 1 - hits / (len(found) + len(pair.gold.sure))


@pytest.mark.parametrize("dark", [False, True])
def test_a_notebooks_rules_for_tables_change_nothing(
    pair: DrawnAlignment, tab: Browser, tmp_path: Path, dark: bool
) -> None:
    html = live_html(pair.live())
    tab.open(notebook(html, tmp_path / "plain.html", dark=dark))
    plain = tab.evaluate(STYLES)
    tab.open(notebook(html, tmp_path / "jupyter.html", css=JUPYTER, dark=dark))
    tab.hover("tbody tr:nth-child(2) td:nth-child(3)")
    assert tab.evaluate(STYLES) == plain
    assert "link strength" in tab.evaluate("document.querySelector('output').textContent")
    colour = "rgb(238, 238, 238)" if dark else "rgb(17, 17, 17)"
    assert set(
        tab.evaluate("[...document.querySelectorAll('th,td,select')].map(n => getComputedStyle(n).color)")
    ) == {colour}


def test_without_scripts_the_table_stays_and_controls_are_hidden(pair: DrawnAlignment) -> None:
    html = pair.live()._repr_html_()
    assert '<div class="otkit-controls" hidden>' in html
    assert html.count("●") >= len(pair.links) - 1
    words = Aligner(pair.aligner.encoder).align_words([["</script>", "ja"]], [["<b>", "yes"]])[0]  # type: ignore[union-attr]
    assert (
        "</script>"
        not in live_html(words.live()).partition('type="application/json">')[2].partition("</script>")[0]
    )
    assert live_html(words.live()).count("</script>") == 2


def test_two_views_in_one_notebook_are_two(tiny_encoder: TorchEncoder, tab: Browser, tmp_path: Path) -> None:
    pairs = Aligner(tiny_encoder).align_words(["das haus", "das haus"], ["the house", "the house"])
    tab.open(notebook("".join(live_html(pair.live()) for pair in pairs), tmp_path / "two.html"))
    assert tab.evaluate("document.querySelectorAll('.otkit-live[data-ready]').length") == 2
    tab.change("select", "match")
    said = tab.evaluate(
        "[...document.querySelectorAll('output')].map(each => each.textContent.split(':')[0])"
    )
    assert said == ["match", "threshold 0.45 (as asked for)"]
