"""The page in a real Chromium: every control acts, figures are Python's, and nothing leaves the machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from otkit.alignment.aligner import WordAligner
from otkit.alignment.settings import AlignmentSettings
from otkit.encoders.torch import TorchEncoder
from tests.inspector.conftest import SOURCE, TARGET, Running

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def page(running: Running) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        page.problems = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.problems.append(str(error)))  # type: ignore[attr-defined]
        page.on(
            "request",
            lambda request: (
                page.problems.append(request.url)
                if not request.url.startswith((running.url, "data:"))
                else None
            ),
        )  # type: ignore[attr-defined]
        page.on(
            "console",
            lambda message: (
                page.problems.append(message.text) if "Content Security" in message.text else None
            ),
        )  # type: ignore[attr-defined]
        yield page
        assert page.problems == []  # type: ignore[attr-defined]
        chromium.close()


@pytest.fixture(autouse=True)
def fresh(page: Page, running: Running) -> None:
    page.goto("about:blank")
    page.goto(running.url)
    settled(page)


def settled(page: Page) -> None:
    """Wait until the page shows the answer to the last change."""
    page.wait_for_selector("html[data-ready]")
    page.wait_for_selector("#picture .word")


def redrawn(page: Page, act: object) -> None:
    before = page.evaluate("Number(document.documentElement.dataset.drawn ?? 0)")
    act()  # type: ignore[operator]
    page.wait_for_function(
        "before => Number(document.documentElement.dataset.drawn ?? 0) > before", arg=before
    )


def shares(page: Page) -> list[list[float]]:
    rows = page.locator(".matrix tbody tr")
    shown = "cells => cells.map(cell => Number(cell.dataset.share))"
    return [rows.nth(k).locator("td").evaluate_all(shown) for k in range(rows.count())]


def links(page: Page) -> set[tuple[int, int]]:
    cells = page.evaluate(
        "[...document.querySelectorAll('td.linked')].map(cell => [Number(cell.dataset.i), Number(cell.dataset.j)])"
    )
    return {(i, j) for i, j in cells}


def slide(page: Page, name: str, place: int) -> None:
    page.eval_on_selector(
        f"#{name}", "(bar, place) => { bar.value = place; bar.dispatchEvent(new Event('input')); }", place
    )


def test_every_control_shows_pythons_figures(page: Page, sample_encoder: TorchEncoder) -> None:
    def agrees(settings: AlignmentSettings) -> None:
        trace = WordAligner(sample_encoder, settings).trace((tuple(SOURCE.split()), tuple(TARGET.split())))
        assert links(page) == {(i, j) for i, j, _ in trace.links}
        for shown, expected in zip(shares(page), trace.share.tolist(), strict=True):
            assert shown == pytest.approx(expected, abs=1e-4)

    agrees(AlignmentSettings())
    for name in ("epsilon", "tau", "distortion", "agreement", "attach_factor", "threshold"):
        redrawn(page, lambda name=name: slide(page, name, 700))
        value = float(page.locator(f"label:has(#{name}) output").inner_text())
        assert value != getattr(AlignmentSettings(), name)
        agrees(AlignmentSettings(**{name: value}))
        redrawn(page, lambda: page.click("#reset"))
    agrees(AlignmentSettings())
    for name, values in {
        "transport": ("balanced", "none"),
        "strategy": ("mutual", "itermax"),
        "layer": ("3",),
    }.items():
        for value in values:
            redrawn(page, lambda name=name, value=value: page.select_option(f"#{name}", value))
            field = {"layers": (int(value),)} if name == "layer" else {name: value}
            agrees(AlignmentSettings(**field))
        redrawn(page, lambda: page.click("#reset"))


def test_a_word_is_explained_as_in_python(page: Page, sample_encoder: TorchEncoder) -> None:
    page.click("button.word[data-side=target][data-index='5']")
    page.wait_for_selector("#why .why")
    why = (
        WordAligner(sample_encoder)
        .trace((tuple(SOURCE.split()), tuple(TARGET.split())))
        .explain(5, side="target")
    )
    for key in ("cosine", "order_price", "neighbours_bonus", "paid", "mass", "strength"):
        shown = page.evaluate(
            f"[...document.querySelectorAll('td[data-key={key}]')].map(cell => Number(cell.dataset.value))"
        )
        assert shown == pytest.approx([getattr(one, key) for one in why.candidates], abs=1e-6)
    assert why.rule in page.inner_text("#why")
    slide(page, "epsilon", 900)  # the word stays chosen
    page.wait_for_function("() => document.querySelector('#why').innerText.includes('epsilon')")
    assert page.locator(".word.chosen").count() == 1


def test_layers_space_and_two_models(page: Page) -> None:
    page.wait_for_selector("#layers canvas")
    assert page.locator("#layers canvas").count() == 13
    page.click("td[data-i='6'][data-j='6']")
    page.wait_for_selector("#layers polyline.pair")
    redrawn(page, lambda: page.click("#layers button[data-layer='5']"))
    assert "layer 5:" in page.inner_text("#status")
    page.wait_for_selector("#space circle")
    assert page.locator("#space circle").count() == 13
    redrawn(page, lambda: page.click("#reset"))
    redrawn(page, lambda: page.select_option("#model", "*"))
    assert "gained" in page.inner_text("#status")
    assert page.locator("td.lost").count() > 0
    assert "+ link gained" in page.inner_text("#legend")


def test_long_text_is_words_over_words_and_no_page_is_wider_than_its_window(page: Page) -> None:
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        redrawn(page, lambda: page.fill("#source", f"{SOURCE} " * 3))
        redrawn(page, lambda: page.fill("#target", f"{TARGET} " * 3))
        page.wait_for_selector(".over")
        assert page.locator(".over").count() == 39
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.select_option("#shape", "matrix")
        page.wait_for_selector("table.matrix")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.select_option("#shape", "auto")
    page.set_viewport_size({"width": 1280, "height": 900})


def test_words_of_any_kind_stay_words(page: Page) -> None:
    hostile = (
        "<img src=x onerror=document.title='owned'> </script><script>document.title='owned'</script> \" &lt;"
    )
    redrawn(page, lambda: page.fill("#source", hostile))
    redrawn(page, lambda: page.fill("#target", "你好 世界 مرحبا"))
    page.wait_for_selector("#layers canvas")
    assert page.title() == "otkit inspect"
    assert page.locator("#picture img, #picture script").count() == 0
    words = page.locator("button.word[data-side=source]")
    assert [words.nth(k).inner_text().removesuffix(" ∅") for k in range(words.count())] == hostile.split()
    assert page.get_attribute("button.word[data-side=target]", "lang") in ("zh", "ar")


def test_links_by_mouse_and_keyboard_are_on_the_disk(page: Page, running: Running) -> None:
    assert running.session.annotations is not None
    folder = running.session.annotations.folder
    page.click("#annotate")
    page.fill("#annotator", "ana")
    page.keyboard.press("Tab")

    def said(text: str) -> None:
        page.wait_for_function(
            "text => document.querySelector('#annotating output').value.startsWith(text)", arg=text
        )

    said("0 sure, 0 possible")
    page.click("td[data-i='0'][data-j='0']")
    said("1 sure, 0 possible")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("p")
    said("1 sure, 1 possible")
    assert (folder / "ana.pharaoh").read_text() == "0-0 1p1\n"
    page.keyboard.press("x")
    said("1 sure, 0 possible")
    page.keyboard.press("u")
    said("1 sure, 1 possible")
    assert (folder / "ana.pharaoh").read_text() == "0-0 1p1\n"
    page.click("#accept")
    said("13 sure")
    page.click("#undo")
    said("1 sure, 1 possible")
    page.click("#corpus tr[data-id] [data-what=open] >> nth=0")
    first = page.input_value("#source")
    said("0 sure, 0 possible")
    page.click("#next")
    page.wait_for_function("first => document.querySelector('#source').value !== first", arg=first)
    assert (
        running.session.annotations.of("ana", first.split(), running.session.lines[0].target)["by"] == "ana"
    )


def test_the_corpus_is_filtered(page: Page) -> None:
    page.wait_for_selector("#corpus tr[data-id]")
    assert page.locator("#corpus tr[data-id]").count() == 12
    page.select_option("#order", "file")
    page.wait_for_function("() => document.querySelector('#corpus tr[data-id]').dataset.id === '0'")
    page.click("summary:text-is('numbers')")
    page.fill("#filter-most_words", "20")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('#corpus tr[data-id]').length < 12")
    page.click("text=clear")
    page.wait_for_function("() => document.querySelectorAll('#corpus tr[data-id]').length === 12")
    redrawn(page, lambda: page.click("#corpus tr[data-id='3'] [data-what=open]"))
    assert page.input_value("#source").split() == list(
        page.locator("#corpus tr[data-id='3'] [data-what=open]").inner_text().split()
    )


def test_the_workbench(page: Page, running: Running) -> None:
    """Bars and words filter, pairs are accepted and rejected from the keyboard, the address and the CSV keep it all."""
    rows, said = "#corpus tr[data-id]", "#corpus [role=status]"
    page.wait_for_selector(f"{rows} [data-what=open]")
    assert page.input_value("#order") == "errors"
    aer = [row["aer"] for row in running.ask("/corpus", order="errors")["rows"]]
    shown = page.locator(rows).evaluate_all("rows => rows.map(row => Number(row.dataset.id))")
    assert shown == [row["id"] for row in running.ask("/corpus", order="errors")["rows"]]
    assert aer == sorted(aer, reverse=True)
    page.locator(f"{rows} [data-what=open]").nth(1).focus()
    page.keyboard.press("a")
    page.wait_for_selector("#corpus tr.accepted")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("r")
    page.wait_for_selector("#corpus tr.rejected")
    found = {row["id"]: row["verdict"] for row in running.ask("/corpus")["rows"]}
    assert (found[shown[1]], found[shown[2]]) == ("accepted", "rejected")
    assert "; 1 accepted; 1 rejected" in page.inner_text(said)
    page.wait_for_function(
        f"() => !document.querySelector('{said}').innerText.includes('so far')"
    )  # bars stay
    bars = "() => [...document.querySelectorAll('.histogram button')].map(bar => bar.ariaLabel).join()"
    every = page.evaluate(bars)
    page.click("#word-pairs summary")
    page.click("#word-pairs .chips button >> nth=0")
    page.wait_for_function("() => document.querySelector('#filter-source').value !== ''")
    page.wait_for_function(f"every => ({bars})() !== every", arg=every)
    page.click("text=clear")
    page.wait_for_function(f"every => ({bars})() === every", arg=every)
    bar = page.locator(".histogram button[aria-label^='F1']").last
    label = bar.get_attribute("aria-label") or ""
    bar.click()
    page.wait_for_selector(".chip")
    page.wait_for_function(f"() => document.querySelectorAll('{rows}').length === {label.split()[-2]}")
    address = page.url
    with page.expect_download() as saved:
        page.click("#csv")
    lines = saved.value.path().read_text().splitlines()
    assert len(lines) == 1 + int(label.split()[-2])
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(".chip")
    page.wait_for_function(f"() => document.querySelectorAll('{rows}').length === {label.split()[-2]}")
    for _ in range(2):
        running.ask("/annotate/undo", by="me")


def test_an_answer_that_comes_late_is_left_aside(page: Page) -> None:
    """The first question is answered after the second: the page shows what was asked last."""
    rows, held = "#corpus tr[data-id]", []
    page.wait_for_function(f"() => document.querySelectorAll('{rows}').length > 1")
    page.wait_for_function(
        "() => !document.querySelector('#corpus [role=status]').innerText.includes('so far')"
    )
    page.route("**/corpus", lambda route: held.append(route) if not held else route.continue_())
    first = page.locator(f"{rows} >> nth=0").get_attribute("data-id")
    page.select_option("#order", "file")
    page.select_option("#order", "errors")
    page.wait_for_function("() => performance.getEntriesByType('resource').at(-1).name.endsWith('/corpus')")
    (late,) = held
    late.continue_()
    page.wait_for_timeout(500)
    assert page.input_value("#order") == "errors"
    assert page.locator(f"{rows} >> nth=0").get_attribute("data-id") == first
    page.unroute("**/corpus")


def test_subwords_and_layers_by_languages(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otkit.inspector.session.sample_texts", dict)
    page.select_option("#shape", "subwords")
    page.wait_for_selector("table.subwords td.linked")
    assert page.locator("table.subwords thead th.whole").count() == len(TARGET.split())
    assert page.locator("table.subwords thead th .piece").count() >= len(TARGET.split())
    assert "link between subwords" in page.inner_text("#legend")
    page.click("#measure")
    page.wait_for_selector("table.heat")
    assert page.locator("table.heat tbody tr").count() == 13
    page.select_option("#layer-measure", "aer")
    page.wait_for_selector("table.heat td.best")
    assert "lowest AER" in page.inner_text("#languages")


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_the_page_can_be_read_by_everyone(page: Page, scheme: str) -> None:
    from axe_core_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.click("button.word[data-side=source][data-index='6']")
    page.wait_for_selector("#why .why")
    page.wait_for_selector("#corpus tr[data-id]")
    page.wait_for_selector("#layers canvas")
    found = Axe().run(page)["violations"]
    worst = [
        (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert worst == []
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
