"""Lexicons: phrases by hand and by brute force, figures by a direct count, every form read back."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from scipy.stats import chi2_contingency

from otkit.alignment.settings import AlignmentSettings
from otkit.api import lexicon as of_api
from otkit.api.lexicon import lexicon, lexicon_begun, shortlist_files, with_weak_links
from otkit.data.parallel import BadLine
from otkit.errors import ConfigError, InputError, OutputError
from otkit.projection import lexicon as module
from otkit.projection import lexicon_files
from otkit.projection.lexicon import LexiconCounts, count_into, look_up, phrase_pairs
from otkit.projection.lexicon_files import LEXICON_FORM_NAMES, LEXICON_FORMS
from otkit.projection.settings import LexiconSettings
from tests.reports.browser import CHROMIUM, browser


def test_phrases_of_the_published_example() -> None:
    """Koehn 2010, figure 5.6: michael assumes that he will stay in the house."""
    german = ["michael", "geht", "davon", "aus", ",", "dass", "er", "im", "haus", "bleibt"]
    english = ["michael", "assumes", "that", "he", "will", "stay", "in", "the", "house"]
    links = [(0, 0), (1, 1), (2, 1), (3, 1), (5, 2), (6, 3), (9, 4), (9, 5), (7, 6), (7, 7), (8, 8)]
    found = {
        (" ".join(german[slice(*one)]), " ".join(english[slice(*other)]))
        for one, other in phrase_pairs(links, len(german), len(english), longest=10)
    }
    assert {
        ("michael", "michael"),
        ("michael geht davon aus", "michael assumes"),
        ("michael geht davon aus ,", "michael assumes"),
        ("michael geht davon aus , dass", "michael assumes that"),
        ("geht davon aus", "assumes"),
        ("geht davon aus ,", "assumes"),
        (", dass", "that"),
        ("dass er", "that he"),
        ("im haus", "in the house"),
        ("im haus bleibt", "will stay in the house"),
        ("bleibt", "will stay"),
    } <= found
    assert ("geht", "assumes") not in found
    assert ("haus bleibt", "stay in the house") not in found


@pytest.mark.parametrize("seed", range(40))
def test_phrases_are_those_of_the_definition(seed: int) -> None:
    generator = random.Random(seed)
    rows, columns, longest = generator.randint(1, 6), generator.randint(1, 6), generator.randint(1, 6)
    links = sorted(
        {(generator.randrange(rows), generator.randrange(columns)) for _ in range(generator.randint(0, 7))}
    )

    def consistent(one: tuple[int, int], other: tuple[int, int]) -> bool:
        inside = [one[0] <= i < one[1] for i, _ in links], [other[0] <= j < other[1] for _, j in links]
        return any(a and b for a, b in zip(*inside, strict=True)) and all(
            a == b for a, b in zip(*inside, strict=True)
        )

    def stretches(length: int) -> list[tuple[int, int]]:
        return [(a, b) for a in range(length) for b in range(a + 1, min(length, a + longest) + 1)]

    expected = [pair for pair in itertools.product(stretches(rows), stretches(columns)) if consistent(*pair)]
    assert sorted(phrase_pairs(links, rows, columns, longest=longest)) == sorted(expected)


PAIRS = [("das Haus", "the house"), ("ein Haus", "a house"), ("das Heim", "the house"), ("das", "the")]
LINKS = ["0-0 1-1", "0-0 1-1:0.4", "0-0 1-1", "0-0"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "de-en.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in PAIRS))
    (tmp_path / "links").write_text("".join(f"{line}\n" for line in LINKS))
    return tmp_path


def rows(text: str | None) -> dict[tuple[str, str], list[str]]:
    lines = [line.split("\t") for line in (text or "").splitlines()[1:]]
    return {(line[0], line[1]): line[2:] for line in lines}


def test_a_lexicon_of_other_links_is_not_gone_on_with(corpus: Path) -> None:
    """Under the name of the links before it was said to be finished, with their counts."""
    given: Any = {"links": corpus / "links", "langs": "de-en"}
    lexicon(corpus / "de-en.tsv", corpus / "lex.tsv", **given)
    assert lexicon(corpus / "de-en.tsv", corpus / "lex.tsv", **given, resume=True).finished_before
    (corpus / "links").write_text("0-1 1-0\n" * len(PAIRS))
    with pytest.raises(OutputError):
        lexicon(corpus / "de-en.tsv", corpus / "lex.tsv", **given, resume=True)


def test_a_word_of_any_script_is_found_whatever_its_capitals(tmp_path: Path) -> None:
    (tmp_path / "ru-en.tsv").write_text("Москва\tMoscow\nÄrzte\tPARIS\nParis\tcity\n", encoding="utf-8")
    (tmp_path / "links").write_text("0-0\n" * 3)
    lexicon(tmp_path / "ru-en.tsv", tmp_path / "lex.sqlite", links=tmp_path / "links", langs="ru-en")
    for asked, source in (
        ("москва", "Москва"),
        ("МОСКВА", "Москва"),
        ("ärzte", "Ärzte"),
        ("moscow", "Москва"),
    ):
        assert [one.source for one in look_up(tmp_path / "lex.sqlite", asked)] == [source]


def test_figures_are_those_of_a_direct_count(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for (source, target), line in zip(PAIRS, LINKS, strict=True):
        for link in line.split():
            i, j = map(int, link.partition(":")[0].split("-"))
            counts[source.split()[i], target.split()[j]] += 1
    total = sum(counts.values())
    sources, targets = Counter[str](), Counter[str]()
    for (source, target), count in counts.items():
        sources[source] += count
        targets[target] += count
    whole = lexicon(corpus / "de-en.tsv", links=corpus / "links").text
    found = rows(whole)
    assert set(found) == set(counts)
    for (source, target), figures in found.items():
        count, s, t = counts[source, target], sources[source], targets[target]
        table = [[count, s - count], [t - count, total - s - t + count]]
        ratio = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
        expected = [
            count,
            count / s,
            count / t,
            math.copysign(ratio, count * total - s * t),
            math.log2(count * total / s / t),
        ]
        assert [float(x) for x in figures[:5]] == pytest.approx(expected, rel=1e-4, abs=1e-9)
    assert found["das", "the"][5] == "1,3"
    # In as small pieces as can be, the same.
    monkeypatch.setattr(module, "_HELD", 1)
    assert lexicon(corpus / "de-en.tsv", links=corpus / "links").text == whole


def test_filters(corpus: Path) -> None:
    def kept(**changes: object) -> set[tuple[str, str]]:
        settings = LexiconSettings().changed(**changes)
        return set(rows(lexicon(corpus / "de-en.tsv", links=corpus / "links", settings=settings).text))

    assert kept(min_count=2) == {("das", "the"), ("Haus", "house")}
    assert ("Heim", "house") not in kept(min_probability=0.5)
    assert kept(min_score=0.5, min_count=2) == {("das", "the")}
    assert ("haus", "house") in kept(lower=True)
    assert ("das Haus", "the house") in kept(phrases=2)


@pytest.mark.parametrize("form", sorted(LEXICON_FORM_NAMES))
def test_every_form_is_written_and_read_back(form: str, corpus: Path) -> None:
    assert set(LEXICON_FORM_NAMES) == {*LEXICON_FORMS, "sqlite", "shortlist"}
    output = corpus / f"lex.{form}"
    result = lexicon(corpus / "de-en.tsv", output, form=form, links=corpus / "links", langs="de-en")
    assert (result.pairs, result.entries, result.text) == (4, 4, None)
    if form == "sqlite":
        [entry] = look_up(output, "haus")
        assert (entry.source, entry.target, entry.count, entry.target_given_source) == (
            "Haus",
            "house",
            2,
            1.0,
        )
        assert [(one.line, one.target) for one in entry.examples] == [(1, "the house"), (2, "a house")]
        assert {one.source for one in look_up(output, "house")} == {"Haus", "Heim"}
        assert look_up(output, "nothing") == []
        assert look_up(output, "HAUS") == look_up(output, "haus")
    elif form == "shortlist":
        s2t = {
            tuple(line.split()[:2]): float(line.split()[2])
            for line in Path(f"{output}.s2t").read_text().splitlines()
        }
        t2s = {
            tuple(line.split()[:2]): float(line.split()[2])
            for line in Path(f"{output}.t2s").read_text().splitlines()
        }
        assert s2t["house", "Heim"] == 1.0
        assert t2s["Heim", "house"] == pytest.approx(1 / 3)
    elif form == "jsonl":
        found = [json.loads(line) for line in output.read_text().splitlines()]
        assert found[0]["examples"][0] == {"line": 1, "source": "das Haus", "target": "the house"}
    elif form == "tbx":
        terms = [one.text for one in etree.fromstring(output.read_bytes()).iter("{*}term")]
        assert len(terms) == 8
        assert "Heim" in terms
    elif form == "html":
        page = output.read_text()
        assert '["Heim", "house", 1, 1.0, 0.3333, "das Heim", "the house"]' in page
        assert "http" not in page
    else:
        assert len(output.read_text().splitlines()) == 5


def test_a_page_holds_the_most_frequent_entries(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as it may, though the last of them are as frequent as others that are left out."""
    monkeypatch.setattr(lexicon_files, "_PAGE_ENTRIES", 3)
    page = lexicon(corpus / "de-en.tsv", links=corpus / "links", form="html").text or ""
    entries = page[page.index("const entries") :].split("];")[0].splitlines()[1:]
    counts = [json.loads(entry.rstrip(","))[2] for entry in entries]
    assert sorted(counts) == [1, 2, 3]
    assert "of 4, the 3 most frequent are on this page" in page


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_in_a_browser(corpus: Path) -> None:
    """On a phone too: nothing is cut off, words are found from either side, an exact one first."""
    (corpus / "de-en.tsv").write_text(
        (corpus / "de-en.tsv").read_text()
        + "Haustür</script>\thousedoor\n"
        + "".join(f"wort{n}\tword{n}\n" for n in range(250))
    )
    with (corpus / "links").open("a") as links:
        links.write("0-0\n" * 251)
    page = corpus / "lex.html"
    lexicon(corpus / "de-en.tsv", page, form="html", links=corpus / "links", langs="de-en")
    with browser(corpus / "profile") as tab:
        for width in (1280, 390):
            tab.open(page, width=width)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("said.textContent") == "255 entries, the first 200 are shown"
        tab.change("#find", "HAUS", event="input")
        found = tab.evaluate("[...rows.rows].map(row => row.cells[0].textContent + ' ' + row.cells[0].lang)")
        assert found == ["Haus de", "Haustür</script> de"]
        tab.change("#find", "nothing", event="input")
        assert tab.evaluate("said.textContent") == "0 entries"
        assert tab.exceptions == []
        assert all(url.startswith("file:") for url in tab.requests)


def test_what_cannot_be_is_told(corpus: Path) -> None:
    with pytest.raises(ConfigError, match="is of files"):
        lexicon(corpus / "de-en.tsv", form="sqlite", links=corpus / "links")
    (corpus / "links").write_text("0-9\n\n\n\n")
    with pytest.raises(InputError, match="a link of line 1 is to a word that is not there"):
        lexicon(corpus / "de-en.tsv", links=corpus / "links")
    (corpus / "links").write_text("0-0\n")
    with pytest.raises(InputError, match="links: has fewer lines than the corpus"):
        lexicon(corpus / "de-en.tsv", links=corpus / "links")
    with pytest.raises(InputError, match="is no lexicon of otkit"):
        look_up(corpus / "de-en.tsv", "Haus")


def test_shares_are_counted_as_they_are(corpus: Path) -> None:
    settings = LexiconSettings(weigh="shares")
    found = rows(lexicon(corpus / "de-en.tsv", links=corpus / "links", settings=settings).text)
    # `Haus` has one link of share 1 and one of share 0.4; `Heim` has `house` too.
    assert [float(x) for x in found["Haus", "house"][:3]] == pytest.approx([2, 1, 1.4 / 2.4], rel=1e-5)
    assert float(found["Heim", "house"][2]) == pytest.approx(1 / 2.4, rel=1e-5)
    with pytest.raises(ConfigError, match="phrases are counted by links"):
        lexicon(
            corpus / "de-en.tsv",
            links=corpus / "links",
            settings=LexiconSettings(weigh="shares", phrases=2),
        )


def test_weak_links_are_asked_for_where_shares_are_counted() -> None:
    shares, links = LexiconSettings(weigh="shares"), LexiconSettings()
    assert with_weak_links(None, links) == AlignmentSettings()
    assert (with_weak_links(None, shares).threshold or 1) < 0.1
    assert with_weak_links(AlignmentSettings(threshold=0.3), shares).threshold == 0.3


@pytest.mark.parametrize("form", ["sqlite", "tsv", "shortlist"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_killed_count_goes_on_to_the_same_bytes(
    form: str, pieces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(0)
    sides = [[" ".join(generator.choices("abcdefg", k=5)) for _ in range(60)] for _ in range(2)]
    (tmp_path / "de-en.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(*sides, strict=True)))
    (tmp_path / "links").write_text(
        "".join(f"0-{generator.randrange(5)}:0.{generator.randint(1, 9)} 3-3\n" for _ in range(60))
    )
    monkeypatch.setattr(of_api, "_WINDOW", 10)
    monkeypatch.setattr(module, "_HELD_LINES", 20)
    settings = LexiconSettings(weigh="shares")

    def run(name: str, **how: bool) -> list[bytes]:
        output = tmp_path / name
        lexicon(tmp_path / "de-en.tsv", output, form=form, links=tmp_path / "links", settings=settings, **how)
        files = shortlist_files(output) if form == "shortlist" else (output,)
        return [file.read_bytes() for file in files]

    whole = run("whole")
    kept = LexiconCounts.keep
    done: list[int] = []

    def breaks(self: LexiconCounts, known: dict[str, object], *, now: bool = False) -> None:
        if len(done) == 2 * pieces - 1:
            raise KeyboardInterrupt
        done.append(1)
        kept(self, known, now=now)

    monkeypatch.setattr(LexiconCounts, "keep", breaks)
    with pytest.raises(KeyboardInterrupt):
        run("out")
    monkeypatch.setattr(LexiconCounts, "keep", kept)
    if pieces == 1:  # nothing was kept yet
        assert not lexicon_begun(tmp_path / "out", form)
        assert run("out") == whole
        return
    assert lexicon_begun(tmp_path / "out", form)
    with pytest.raises(OutputError, match="an interrupted run left a part"):
        run("out")
    with pytest.raises(OutputError, match="the interrupted run differs"):
        lexicon(tmp_path / "de-en.tsv", tmp_path / "out", form=form, links=tmp_path / "links", resume=True)
    assert run("out", resume=True) == whole
    assert not lexicon_begun(tmp_path / "out", form)
    result = lexicon(
        tmp_path / "de-en.tsv",
        tmp_path / "out",
        form=form,
        links=tmp_path / "links",
        settings=settings,
        resume=True,
    )
    assert result.finished_before


def test_another_text_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "de-en.tsv").write_text("a\tb\n" * 4)
    (tmp_path / "links").write_text("0-0\n" * 4)
    monkeypatch.setattr(of_api, "_WINDOW", 1)
    monkeypatch.setattr(module, "_HELD_LINES", 1)

    def stop(lines: int) -> None:
        if lines == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lexicon(tmp_path / "de-en.tsv", tmp_path / "out", links=tmp_path / "links", on_progress=stop)
    (tmp_path / "de-en.tsv").write_text("a\tc\n" * 4)
    with pytest.raises(InputError, match="the first 3 lines are not those of the interrupted run"):
        lexicon(tmp_path / "de-en.tsv", tmp_path / "out", links=tmp_path / "links", resume=True)


@pytest.mark.parametrize("moment", ["_work_out", "finish", None])
def test_the_last_step_is_gone_on_with_and_only_for_the_same_text(
    moment: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the figures are worked out, or while the lexicon is written, or not at all."""
    text, links, output = tmp_path / "de-en.tsv", tmp_path / "links", tmp_path / "out"
    text.write_text("a\tb\n" * 4)
    links.write_text("0-0\n" * 4)
    lexicon(text, tmp_path / "whole", links=links)

    def dies(self: LexiconCounts, *args: object) -> int:
        if moment == "finish":
            finish(self, *args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    finish = LexiconCounts.finish
    with monkeypatch.context() as patch:
        if moment is None:
            lexicon(text, output, links=links)
        else:
            patch.setattr(LexiconCounts, moment, dies)
            with pytest.raises(KeyboardInterrupt):
                lexicon(text, output, links=links)
    text.write_text("a\tc\n" * 4)
    said = "the first 4 lines are not those" if moment == "_work_out" else "was made from another corpus"
    with pytest.raises(InputError, match=said):
        lexicon(text, output, links=links, resume=True)
    text.write_text("a\tb\n" * 4)
    assert lexicon(text, output, links=links, resume=True).pairs == 4
    assert output.read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("link", [False, True])
def test_a_finished_file_is_left_alone_and_what_an_older_run_left_is_cleared(
    tmp_path: Path, link: bool
) -> None:
    """The older run was killed before it kept anything: its counts are empty, its journal half written."""
    text, links, output = tmp_path / "de-en.tsv", tmp_path / "links", tmp_path / "out"
    text.write_text("a\tb\n")
    links.write_text("0-0\n")
    lexicon(text, output, links=links)
    named = tmp_path / "named"
    if link:
        named.symlink_to(output)
    before = output.stat().st_mtime_ns
    with count_into(tmp_path / "out.partial"):
        pass
    (tmp_path / "out.partial-journal").touch()
    assert not lexicon_begun(output, "tsv")
    assert lexicon(text, named if link else output, links=links, resume=True).finished_before
    assert {path.name for path in tmp_path.glob("out*")} == {"out"}
    assert output.stat().st_mtime_ns == before


def test_bad_lines_are_skipped_and_named(tmp_path: Path) -> None:
    (tmp_path / "de-en.tsv").write_text("a\tb\nno translation\nc\td\n")
    (tmp_path / "links").write_text("0-0\n\n0-0\n")
    with pytest.raises(InputError, match=r"de-en\.tsv:2"):
        lexicon(tmp_path / "de-en.tsv", links=tmp_path / "links")
    bad: list[BadLine] = []
    result = lexicon(
        tmp_path / "de-en.tsv", links=tmp_path / "links", on_error="skip", on_bad_line=bad.append
    )
    assert (result.pairs, result.skipped, [one.line for one in bad]) == (2, 1, [2])
    assert set(rows(result.text)) == {("a", "b"), ("c", "d")}
