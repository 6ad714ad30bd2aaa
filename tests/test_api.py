"""The Python door: what it accepts, what it gives back, and what a real notebook shows of it."""

from __future__ import annotations

import dataclasses
import doctest
import gzip
import importlib
import io
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import otkit
from otkit.alignment.aligner import Alignment, WordAligner
from otkit.alignment.settings import AlignmentSettings
from otkit.api.align import Aligner, align_words
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError, OutputError
from otkit.recipes import settings_of
from otkit.reports.fragment import fragment_html
from otkit.resources import sample_data
from tests.reports.views import random_view, small_view

DE, EN = "das haus ist klein .", "the house is small ."
HOSTILE = ("</td></table><script>alert(1)</script>", "\"'", "<b onclick=x>", "&lt;", "x\u202ey")


class Reader(HTMLParser):
    """What a browser would make of a fragment: its tags, their attributes, its text, and whether it closes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_importing_the_package_leaves_torch_alone_until_the_door_is_used() -> None:
    loaded = "'torch' in sys.modules"
    code = f"import sys, otkit; dir(otkit); before = {loaded}; otkit.align_words; print(before, {loaded})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]
    assert {"align_words", "open_encoder"} <= set(dir(otkit))
    assert otkit.align_words is align_words
    with pytest.raises(AttributeError, match="module 'otkit' has no attribute 'align_word'"):
        otkit.align_word  # type: ignore[attr-defined]  # noqa: B018


def test_strings_word_lists_and_many_pairs_say_the_same(tiny_encoder: TorchEncoder) -> None:
    one = align_words(DE, EN, tiny_encoder)
    assert isinstance(one, list)
    assert isinstance(one[0], Alignment)
    expected = next(WordAligner(tiny_encoder).align([(DE.split(), EN.split())]))
    assert one[0].pharaoh == expected.pharaoh
    assert (one[0].plan == expected.plan).all()
    assert one[0].caption == "tiny, layer 1, unbalanced"
    many = align_words([DE, DE.split()], [EN.split(), EN], encoder=tiny_encoder)
    assert [each.pharaoh for each in many] == [one[0].pharaoh] * 2
    assert many[1].source == tuple(DE.split())


def test_unknown_and_impossible_settings_are_answered(tiny_encoder: TorchEncoder) -> None:
    with pytest.raises(ConfigError, match="unknown setting 'epsilom'; did you mean 'epsilon'"):
        align_words(DE, EN, tiny_encoder, epsilom=0.1)
    with pytest.raises(ConfigError, match="epsilon is -1; give a number above 0"):
        Aligner(tiny_encoder, epsilon=-1)
    with pytest.raises(ConfigError, match="there is no recipe 'pape'"):
        Aligner(tiny_encoder, recipe="pape")
    with pytest.raises(ConfigError, match="unknown setting 'nul'"):
        otkit.check([], tiny_encoder, nul=0.5)


def test_settings_stand_on_top_of_a_recipe(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[alignment]\nstrategy = "match"\nlayers = [2]\n')
    aligner = Aligner(tiny_encoder, recipe=recipe, strategy="union")
    assert (aligner.settings.strategy, aligner.layers) == ("union", (2,))
    assert aligner.used()["layers"] == [2]
    assert Aligner(tiny_encoder, recipe="best").settings == settings_of(
        "best", "alignment", AlignmentSettings
    )


def test_a_stream_takes_strings_and_lists_and_keeps_empty_sides(tiny_encoder: TorchEncoder) -> None:
    aligner = Aligner(tiny_encoder)
    found = list(aligner.align(iter([(DE, EN), (DE.split(), EN.split()), ("", EN)]), plans=False))
    assert found[0].pharaoh == found[1].pharaoh
    assert found[0].source == tuple(DE.split())
    assert (found[2].source, found[2].plan) == ((), None)
    assert aligner.align_words(DE, EN)[0].pharaoh == found[0].pharaoh


def test_an_extraction_is_resumed_finished_and_refused_from_python(
    tiny_encoder: TorchEncoder, tmp_path: Path
) -> None:
    corpus, whole, output = tmp_path / "c.tsv", tmp_path / "whole", tmp_path / "out.jsonl.gz"
    corpus.write_text("".join(f"das haus {n}\tthe house {n}\n" for n in range(1500)))
    aligner = Aligner(tiny_encoder)
    told: list[tuple[int, int | None]] = []
    done = aligner.extract(
        corpus, output=whole, format="jsonl", on_progress=lambda *heard: told.append(heard)
    )
    assert (done.lines, done.skipped, done.output, done.finished_before) == (1500, 0, whole, False)
    assert told == sorted(told, key=lambda heard: heard[0])
    assert (told[0], told[-1]) == ((0, None), (1500, 1500))
    assert len(told) > 10

    class Enough(Exception):  # noqa: N818
        pass

    def stop(lines: int, total: int | None) -> None:
        if lines >= 1024 and (tmp_path / "out.jsonl.gz.state").exists():
            raise Enough

    with pytest.raises(Enough):
        aligner.extract(corpus, output=output, on_progress=stop)
    assert not output.exists()
    with pytest.raises(OutputError, match="go on with `resume=True`, or start over with `overwrite=True`"):
        aligner.extract(corpus, output=output)
    with pytest.raises(OutputError, match=r"settings: tau was 0.1, is 0.3"):
        Aligner(tiny_encoder, tau=0.3).extract(corpus, output=output, resume=True)
    told.clear()
    again = aligner.extract(corpus, output=output, resume=True, on_progress=lambda *heard: told.append(heard))
    assert told[0] == (1024, None)
    assert gzip.decompress(output.read_bytes()) == whole.read_bytes()
    assert (again.lines, again.links, again.sha256) == (done.lines, done.links, done.sha256)
    last = aligner.extract(corpus, output=output, resume=True)
    assert (last.finished_before, last.lines, last.links) == (True, 1500, done.links)
    with pytest.raises(ConfigError, match="`resume` needs files on both ends"):
        aligner.extract(corpus, output=io.StringIO(), resume=True)
    with pytest.raises(ConfigError, match="give the aligner the encoder's name or folder"):
        aligner.extract(corpus, output=tmp_path / "ray", engine="ray")
    with pytest.raises(ConfigError, match="did you mean 'local'"):
        aligner.extract(corpus, output=tmp_path / "ray", engine="locl")


def test_lines_can_be_handed_on(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    (tmp_path / "c.tsv").write_text("das haus\tthe house\nno separator\nein haus\ta house\n")
    text, notes, bad = io.StringIO(), [], []
    done = Aligner(tiny_encoder).extract(
        tmp_path / "c.tsv", output=text, on_error="skip", on_note=notes.append, on_bad_line=bad.append
    )
    assert (done.lines, done.skipped, done.output) == (3, 1, None)
    assert [bool(line) for line in text.getvalue().splitlines()] == [True, False, True]
    assert [each.line for each in bad] == [2]


def test_a_check_gives_what_the_command_writes(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    lines = ["das haus\tthe house", "das haus ist klein\tthe house", "no separator"]
    (tmp_path / "c.tsv").write_text("".join(f"{line}\n" for line in lines))
    told: list[tuple[int, int | None]] = []
    found = otkit.check(
        tmp_path / "c.tsv",
        tiny_encoder,
        output=tmp_path / "worst.tsv",
        sort="omission",
        on_error="skip",
        omission_null=0.3,
        on_progress=lambda *heard: told.append(heard),
    )
    assert (found.pairs, found.skipped, found.format) == (2, 1, "tsv")
    assert (told[0], told[-1]) == ((0, None), (3, 3))
    assert found.worst[0].checked.omission >= found.worst[1].checked.omission
    assert found.omission == pytest.approx(sum(each.checked.omission for each in found.worst) / 2)
    assert found.used["config"]["omission_null"] == 0.3
    assert (tmp_path / "worst.tsv").read_text() == found.text()
    assert found.text("jsonl").count("\n") == 2
    with pytest.raises(ConfigError, match="a target goes with one file"):
        otkit.check(["a", "b"], tiny_encoder, target="c")


@pytest.mark.parametrize("module", ["align", "check"])
def test_the_examples_of_the_docstrings_run(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(importlib.import_module(f"otkit.api.{module}"))
    assert results.attempted
    assert not results.failed


def test_settings_change_the_answer(tiny_encoder: TorchEncoder) -> None:
    found = align_words(DE, EN, tiny_encoder, transport="balanced", strategy="match", layers=(0, 2))
    settings = AlignmentSettings(transport="balanced", strategy="match", layers=(0, 2))
    expected = next(WordAligner(tiny_encoder, settings).align([(DE.split(), EN.split())]))
    assert found[0].pharaoh == expected.pharaoh
    assert found[0].caption == "tiny, layer 0+2, balanced"
    with pytest.raises(ConfigError, match="did you mean 'balanced'"):
        align_words(DE, EN, tiny_encoder, transport="balance")


SETTINGS = {
    "transport": "balanced", "cost": "euclidean", "epsilon": 0.9, "unit": "cost", "tau": 3.0, "mass": 0.2,
    "null": 0.01, "weights": "norm", "granularity": "subword", "word_vector": "first", "layers": (2,),
    "encoding": "joint", "center": "none", "space": "zscore",
    "space_text": str(sample_data() / "parallel" / "de-en.dev.tsv"), "distortion": 3.0,
    "agreement": 0.0, "rounds": 0, "structure": 1.0,
    "distances": "position", "length_power": 9.0, "attach_factor": 1.0, "rival_factor": 0.0,
    "truecase": False, "strategy": "backward", "threshold": 0.9,
}  # fmt: skip
BESIDE = {
    "rival_factor": {"threshold": 0.05},
    "mass": {"transport": "partial"},
    "space_text": {"space": "center"},
    "structure": {"transport": "fgw"},
    "distances": {"transport": "fgw", "structure": 1.0},
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(AlignmentSettings)])
def test_each_setting_acts_as_that_of_the_aligner(
    name: str, tiny_encoder: TorchEncoder, sample_encoder: TorchEncoder
) -> None:
    source, target, encoder = "hausboot ist kleiner", "the houseboat is smaller", tiny_encoder
    if name == "truecase":  # the tiny tokenizer knows no capitals
        source, target, encoder = "Dün Tom kesti", "Tom cut it yesterday", sample_encoder
    beside: dict[str, Any] = dict(BESIDE.get(name, {}))
    before, after = (
        align_words(source, target, encoder, **settings)[0]
        for settings in (beside, {**beside, name: SETTINGS[name]})
    )
    config = AlignmentSettings(**{**beside, name: SETTINGS[name]})
    expected = next(WordAligner(encoder, config).align([(source.split(), target.split())]))
    assert after.links == expected.links
    assert (after.links, after.plan.tolist()) != (before.links, before.plan.tolist())


def test_raw_text_is_cut_into_words(tiny_encoder: TorchEncoder) -> None:
    pytest.importorskip("icu4py")
    found = align_words("das haus, klein.", "the small house.", tiny_encoder, raw=True)
    assert found[0].source == ("das", "haus", ",", "klein", ".")
    with pytest.raises(
        InputError, match=r"source sentence 1: a list of words has been cut .*; give a string"
    ):
        align_words([["das"]], [["the"]], tiny_encoder, raw=True)


def test_counts_that_differ_and_empty_sentences_are_refused(tiny_encoder: TorchEncoder) -> None:
    with pytest.raises(InputError, match=r"2 source .* 1 target .*; .* is written \[words\], \[words\]"):
        align_words(["das", "haus"], "the house", tiny_encoder)
    with pytest.raises(InputError, match="target sentence 2: is empty; leave the pair out"):
        align_words(["das", "haus"], ["the", " "], tiny_encoder)


def test_the_fragment_shows_every_link_and_every_null_word() -> None:
    html = fragment_html(small_view(caption="a model"))
    assert html.count("●") == 4
    assert 'title="probability of no partner 90%" style="background:rgba(178,102,204,0.54)"' in html
    text = " ".join(Reader(html).texts)
    assert "a model · transport cost 0.250 (lower is closer)" in text
    assert "no partner in the source:  .  (90%)" in text
    assert "no partner in the target" not in text


def test_words_in_a_fragment_cannot_become_markup_nor_turn_the_line() -> None:
    reader = Reader(fragment_html(small_view(source=HOSTILE, caption=HOSTILE[0])))
    assert set(reader.tags) == {"div", "table", "thead", "tbody", "tr", "th", "td", "bdi", "span"}
    assert {name for name, _ in reader.attributes} == {"class", "dir", "scope", "title", "style"}
    words = [text for text in reader.texts if text in HOSTILE or "\ufffd" in text]
    assert words[:5] == [*HOSTILE[:4], "x\ufffdy"]  # the unlinked word comes once more
    assert "\u202e" not in "".join(reader.texts)


def test_right_to_left_targets_run_from_the_right() -> None:
    assert '<table dir="rtl">' in fragment_html(random_view("de", "ar", (4, 4), 1))
    html = fragment_html(random_view("ar", "de", (4, 4), 1))
    assert '<table dir="ltr">' in html
    assert html.count('<bdi dir="rtl" lang="ar">') >= 4


def test_a_fragment_is_small_and_stands_alone() -> None:
    fragment = fragment_html(random_view("de", "de", (30, 30), 1))
    assert len(fragment) < 80_000
    assert not re.search(r"(?i)<script|\s(src|href)=|url\(|@import|://", fragment)


def test_a_list_draws_twenty_and_counts_the_rest(tiny_encoder: TorchEncoder) -> None:
    html = align_words(["das haus"] * 22, ["the house"] * 22, tiny_encoder)._repr_html_()
    assert html.count("<table") == 20
    assert html.count("<style>") == 1
    assert html.endswith("<p>and 2 more</p>")


def test_a_real_notebook_shows_the_picture(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    tiny_encoder.save(tmp_path / "tiny")
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_code_cell(f"import otkit\nfound = otkit.align_words({DE!r}, {EN!r}, 'tiny')"),
        nbformat.v4.new_code_cell("found"),
        nbformat.v4.new_code_cell("found[0]"),
    ]
    nbclient.NotebookClient(
        book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}, kernel_name="python3"
    ).execute()
    for cell in book.cells[1:]:
        data = cell.outputs[0]["data"]
        assert data["text/html"].count("<table") == 1
        assert "das" in data["text/plain"]
        assert Reader(data["text/html"]).tags.count("tr") >= 6
