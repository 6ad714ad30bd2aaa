"""`otkit show-alignment` and `otkit report` as a person runs them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otkit.cli.app import main
from otkit.encoders.torch import TorchEncoder
from otkit.recipes import recipe_text

SETTINGS = (
    "epsilon 0.075 and tau 0.1 in units of the mean cost; "
    "links from a link strength of 0.45, weighed by length and rivals"
)
SOURCE, TARGET = "das haus ist klein .", "the house is small ."
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def otkit(
    tmp_path: Path,
    tiny_encoder: TorchEncoder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command beside a small encoder, saved as `tiny` and as `other`: (exit code, stdout, stderr)."""
    for name in ("tiny", "other"):
        tiny_encoder.save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["otkit", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def show(otkit: Run, *words: str, pair: tuple[str, str] = (SOURCE, TARGET)) -> tuple[int, str, str]:
    return otkit("show-alignment", *pair, "--model", "tiny", "--device", "cpu", *words)


def test_every_text_format_tells_the_same_links(otkit: Run) -> None:
    code, pharaoh, _ = show(otkit, "--format", "pharaoh")
    assert code == 0
    links = re.findall(r"(\d+)-(\d+)", pharaoh)
    assert links
    assert pharaoh == " ".join(f"{i}-{j}" for i, j in links) + "\n"
    _, pairs, _ = show(otkit, "--format", "pairs")
    assert [line.split("\t")[0] for line in pairs.splitlines()] == pharaoh.split()
    for line in pairs.splitlines():
        cell, source, target, share = line.split("\t")
        i, j = map(int, cell.split("-"))
        assert (source, target) == (SOURCE.split()[i], TARGET.split()[j])
        assert 0 < float(share) <= 1
    _, text, _ = show(otkit, "--format", "json")
    document = json.loads(text)
    found = document["alignments"][0]
    assert [f"{link['source']}-{link['target']}" for link in found["links"]] == pharaoh.split()
    assert found["config"]["transport"] == "unbalanced"
    assert [len(row) for row in found["shares"]] == [5] * 5
    _, grid, _ = show(otkit)
    assert grid.count("●") == 2 * len(links) + 1  # in the grid, in the list, and in the key
    listed = re.findall(r"● +\d+% (\S+) → (\S+)", grid)
    assert sorted(listed) == sorted((SOURCE.split()[int(i)], TARGET.split()[int(j)]) for i, j in links)


def test_a_word_is_explained_at_80_columns_and_for_programs(otkit: Run) -> None:
    code, out, _ = show(otkit, "--explain", "haus")
    assert code == 0
    assert out.startswith(f"haus (source word {SOURCE.split().index('haus')}): the best ")
    assert max(map(len, out.splitlines())) <= 80
    assert "what is compared is above the threshold 0.45" in out
    assert all(
        re.search(rf"^[* ] +{place} ", out, re.M) for place in range(5)
    )  # equal words differ by their places
    code, out, _ = show(otkit, "--explain", "target:1", "-f", "json", "--compare", "other")
    found = json.loads(out)
    assert [(each["model"], each["side"], each["index"]) for each in found] == [
        ("tiny", "target", 1),
        ("other", "target", 1),
    ]
    for one in found[0]["candidates"]:
        assert one["paid"] == pytest.approx(
            one["cost"] + one["order_price"] - one["neighbours_bonus"], abs=1e-5
        )
        assert one["linked"] == (one["strength"] > found[0]["threshold"])
    _, narrow, _ = show(otkit, "--explain", "haus", "--width", "40")
    assert max(map(len, narrow.splitlines())) <= 40
    assert narrow.count("house") > 2  # in every table
    show(otkit, "--explain", "haus", "--output", "why.txt")
    assert Path("why.txt").read_text(encoding="utf-8").startswith("haus (source word")
    code, _, err = show(otkit, "--explain", "haus", "-f", "pharaoh")
    assert (code, "--explain: received 'haus', and pharaoh shows no reasons" in err) == (2, True)


def test_a_grid_that_is_wider_than_the_terminal_becomes_words_over_words(otkit: Run) -> None:
    long = (f"{SOURCE} " * 10, f"{TARGET} " * 10)
    _, by_itself, _ = show(otkit, pair=long)
    _, text, _ = show(otkit, "-f", "text", pair=long)
    _, grid, _ = show(otkit, "-f", "grid", pair=long)
    assert by_itself == text != grid
    _, short, _ = show(otkit)
    assert "link strength:" in short


def test_words_over_words_are_as_wide_as_the_terminal(otkit: Run) -> None:
    for words, width in (((), 80), (("--width", "40"), 40)):
        code, text, _ = show(otkit, "-f", "text", *words, pair=(f"{SOURCE} " * 4, f"{TARGET} " * 4))
        assert code == 0
        assert 0 < max(map(len, text.splitlines())) <= width
        assert text.split().count("haus") == 4
    _, text, _ = show(otkit, "-f", "text", "--compare", "other")
    assert text.count("unbalanced") == 2
    code, _, err = show(otkit, "-f", "pairs", "--width", "40")
    assert (code, "pairs has no columns" in err) == (2, True)


def test_the_sample_encoder_finds_a_plain_translation(otkit: Run) -> None:
    _, out, _ = otkit(
        "show-alignment", "Das ist ein kleines Haus .", "This is a small house .", "-f", "pharaoh"
    )
    assert out == "0-0 1-1 2-2 3-3 4-4 5-5\n"


def test_grids_keep_to_the_width_and_to_plain_text_in_a_pipe(
    otkit: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in (40, 60, 200):
        _, out, _ = show(otkit, "--width", str(width))
        assert max(map(len, out.splitlines())) <= width
        assert "\x1b" not in out
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, coloured, _ = show(otkit)
    assert "\x1b[" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    _, out, _ = show(otkit)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", out)


def test_gold_is_laid_over_the_links(otkit: Run) -> None:
    _, out, _ = show(otkit, "--gold", "0-0 1p1 2-4", "--format", "json")
    document = json.loads(out)
    assert document["gold"] == {"sure": [[0, 0], [2, 4]], "possible": [[0, 0], [1, 1], [2, 4]]}
    links = document["alignments"][0]["links"]
    assert {link["gold"] for link in links} <= {"sure", "possible", "extra"}
    assert [2, 4] in document["alignments"][0]["missed"] or any(
        (link["source"], link["target"], link["gold"]) == (2, 4, "sure") for link in links
    )
    _, grid, _ = show(otkit, "--gold", "0-0")
    assert "against gold:" in grid


def test_settings_reach_the_aligner(otkit: Run) -> None:
    _, one_to_one, _ = show(otkit, "--strategy", "match", "-f", "pharaoh")
    assert sorted(link.split("-")[1] for link in one_to_one.split()) == list("01234")
    _, none, _ = show(otkit, "--threshold", "1", "--length-power", "0", "-f", "pharaoh")
    assert none == "\n"
    _, out, _ = show(
        otkit, "--transport", "balanced", "--layer", "0,2", "--word-vector", "first", "-f", "json"
    )
    config = json.loads(out)["alignments"][0]["config"]
    assert (config["transport"], config["layers"], config["word_vector"]) == ("balanced", [0, 2], "first")


def test_two_models_are_compared(otkit: Run) -> None:
    _, grid, _ = show(otkit, "--compare", "other")
    assert "tiny, layer 1, unbalanced" in grid
    assert "other, layer 1, unbalanced" in grid
    assert re.search(r"^gained over other \(\d+\):.*\n(  .*\n)*lost, of \d+ \(\d+\):", grid, re.M)
    _, text, _ = show(otkit, "--compare", "other", "-f", "text")
    assert text.count("gained over other") == text.count("lost, of") == 1
    _, lines, _ = show(otkit, "--compare", "other", "-f", "pairs")
    assert {line.split("\t")[0] for line in lines.splitlines()} == {"tiny", "other"}
    _, lines, _ = show(otkit, "--compare", "other", "-f", "pharaoh")
    assert len(lines.splitlines()) == 2
    code, _, err = show(otkit, "--compare", "tiny")
    assert code == 2
    assert "--compare names the model itself; name another encoder" in err
    assert otkit("show-alignment", SOURCE, TARGET, "--compare", "sample")[0] == 2


@pytest.mark.parametrize("name", ["page.html", "map.png", "map.svg", "grid.txt", "links.json"])
def test_pictures_go_to_files_by_their_ending(otkit: Run, tmp_path: Path, name: str) -> None:
    code, out, err = show(otkit, "--output", f"out/{name}")
    assert (code, out) == (0, ""), err
    data = (tmp_path / "out" / name).read_bytes()
    starts = {"html": b"<!doctype html>", "png": b"\x89PNG", "svg": b"<?xml", "json": b"{"}
    assert data.startswith(starts.get(name.split(".")[1], b"tiny, layer 1"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_the_terminal_itself_can_be_kept_as_a_picture(otkit: Run, tmp_path: Path) -> None:
    show(otkit, "--format", "grid", "--output", "grid.svg")
    assert "haus" in (tmp_path / "grid.svg").read_text("utf-8")


def test_the_page_offers_every_layer_and_transport(otkit: Run, tmp_path: Path) -> None:
    show(otkit, "--output", "page.html", "--layer", "2")
    found = re.search('type="application/json">(.*)</script>', (tmp_path / "page.html").read_text("utf-8"))
    assert found is not None
    data = json.loads(found[1])
    assert data["variants"][0] == {
        "model": "tiny",
        "layer": "layer 2",
        "transport": "unbalanced",
        "settings": SETTINGS,
    }
    assert {variant["layer"] for variant in data["variants"]} == {"layer 1", "layer 2"}
    assert {"balanced", "exact", "none"} <= {variant["transport"] for variant in data["variants"]}
    shares = {(view["p"], view["c"]) for view in data["pairs"][0]["v"]}
    assert len(shares) > 6  # they are not one view under many names


def test_raw_text_is_cut_into_words_and_says_so(otkit: Run, tmp_path: Path) -> None:
    pytest.importorskip("icu4py")
    code, out, err = show(otkit, "--raw", "-f", "json", pair=("das haus, klein.", "the small house."))
    assert code == 0
    assert json.loads(out)["source"] == ["das", "haus", ",", "klein", "."]
    assert err.splitlines()[:2] == [
        "source: found 5 words: das haus , klein .",
        "target: found 4 words: the small house .",
    ]
    assert show(otkit, "--raw", "--quiet", pair=("das haus, klein.", "the small house."))[2] == ""
    (tmp_path / "raw.tsv").write_text("das haus, klein.\tthe small house.\n", encoding="utf-8")
    otkit("report", "raw.tsv", "--raw", "--model", "tiny", "--output", "a", "--quiet")
    assert (
        json.loads((tmp_path / "a" / "figures.json").read_text("utf-8"))["figures"]["tiny"]["source words"]
        == 5
    )


ERRORS = {
    "empty source": ((" ", TARGET), (), "the source sentence is empty; give words: otkit show-alignment"),
    "empty target": ((SOURCE, ""), (), "the target sentence is empty"),
    "gold outside": ((SOURCE, TARGET), ("--gold", "0-5"), "--gold: the gold link 0-5 is outside 5 source"),
    "gold unreadable": (
        (SOURCE, TARGET),
        ("--gold", "a"),
        "--gold: received 'a', expected a link; write i-j",
    ),
    "no file for png": (
        (SOURCE, TARGET),
        ("-f", "png"),
        "--format: png is written to a file; name it: --output",
    ),
    "unknown format": ((SOURCE, TARGET), ("-f", "pngg"), "unknown format 'pngg'; did you mean 'png'?"),
    "unknown transport": ((SOURCE, TARGET), ("--transport", "balance"), "did you mean 'balanced'?"),
    "unknown strategy": ((SOURCE, TARGET), ("--strategy", "argmax"), "unknown strategy 'argmax'"),
    "layer too high": ((SOURCE, TARGET), ("--layer", "9"), "there is no layer 9; choose from 0"),
    "epsilon zero": (
        (SOURCE, TARGET),
        ("--epsilon", "0"),
        "--epsilon: received '0'; expected a number above 0",
    ),
    "gold beside reasons": (
        (SOURCE, TARGET),
        ("--explain", "source:0", "--gold", "0-0"),
        "--gold: received '0-0', and reasons compare with no gold; leave it out",
    ),
    "gold beside bare links": (
        (SOURCE, TARGET),
        ("-f", "pharaoh", "--gold", "0-0"),
        "pharaoh compare with no gold",
    ),
    "no such model": ((SOURCE, TARGET), ("--compare", "missing/folder/x"), "missing/folder/x"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_mistakes_are_answered_in_one_line(otkit: Run, case: str) -> None:
    pair, words, expected = ERRORS[case]
    code, out, err = show(otkit, *words, pair=pair)
    assert (code, out) == (1 if "empty" in case or case == "no such model" else 2, "")
    assert expected in err
    assert len(err.splitlines()) == 1


def test_wrong_options_exit_with_two(otkit: Run) -> None:
    for words in (("--width", "10"), ("--layer", "x"), ("--nonsense",)):
        assert show(otkit, *words)[0] == 2


LINES = "".join(f"das haus {n} ist klein .\tthe house {n} is small .\n" for n in range(40))


def test_a_report_holds_a_sample_of_the_corpus(otkit: Run, tmp_path: Path) -> None:
    (tmp_path / "de-en.tsv").write_text(LINES, encoding="utf-8")
    words = ("report", "de-en.tsv", "--model", "tiny", "--device", "cpu", "--sample", "15", "--quiet")
    code, out, err = otkit(*words, "--output", "a", "--compare", "other")
    assert code == 0, err
    assert "links a source word" in out
    html = (tmp_path / "a" / "index.html").read_text("utf-8")
    assert "Most frequent word pairs" in html
    found = re.search('type="application/json">(.*)</script>', html)
    assert found is not None
    data = json.loads(found[1])
    assert [variant["model"] for variant in data["variants"]] == ["tiny", "other"]
    assert data["order"] == "mass"
    assert '<option value="mass">worst first: weakest links</option>' in html
    assert "the weakest links first" in html
    numbers = [pair["n"] for pair in data["pairs"]]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 15
    assert all(pair["s"][2] == str(pair["n"] - 1) for pair in data["pairs"])
    figures = json.loads((tmp_path / "a" / "figures.json").read_text("utf-8"))
    assert figures["figures"]["tiny"]["pairs"] == 15
    assert figures["config"]["strategy"] == "threshold"
    assert (figures["config"]["threshold"], figures["units"]["threshold"]) == (0.45, "link strength")
    assert figures["layers"] == {"tiny": [1], "other": [1]}
    otkit(*words, "--output", "b", "--compare", "other")
    assert (tmp_path / "b" / "index.html").read_text("utf-8") == html


def test_a_report_over_gold_shows_its_error_rate(otkit: Run, tmp_path: Path) -> None:
    (tmp_path / "gold.tsv").write_text(
        "das haus\tthe house\t0-0 1-1\nein haus\ta house\t0-0\n", encoding="utf-8"
    )
    code, out, err = otkit("report", "--gold", "gold.tsv", "--model", "tiny", "--output", "a", "--quiet")
    assert code == 0, err
    assert "AER" in out
    html = (tmp_path / "a" / "index.html").read_text("utf-8")
    assert "worst first: highest error rate (AER) against gold" in html
    assert "the highest error rate (AER) first" in html
    otkit("report", "--gold", "gold.tsv", "--model", "tiny", "--output", "c", "--quiet", "--langs", "fr-en")
    read = json.loads((tmp_path / "c" / "figures.json").read_text())["input"]
    assert read["languages"] == ["fr", "en"]
    otkit("report", "--gold", "gold.tsv", "--model", "tiny", "--output", "b", "--quiet", "--threshold", "0.3")
    assert 'max="100" value="45"' in html
    assert 'max="100" value="30"' in (tmp_path / "b" / "index.html").read_text("utf-8")


def test_records_and_captions_leave_no_default_open(otkit: Run, tmp_path: Path) -> None:
    """Layers, temperature and threshold as they were used, with their units, wherever settings are written."""
    config, units = {}, {}
    _, text, _ = show(otkit, "-f", "json")
    config, units = json.loads(text)["alignments"][0]["config"], json.loads(text)["units"]
    assert (config["layers"], config["threshold"]) == ([1], 0.45)
    assert (config["epsilon"], config["tau"], config["unit"]) == (0.075, 0.1, "mean-cost")
    assert None not in config.values()
    assert units["epsilon"] == units["tau"] == "mean cost of the pair"
    assert units["threshold"] == "link strength"
    _, text, _ = show(
        otkit,
        *("-f", "json", "--epsilon", "0.2", "--unit", "cost"),
        *("--strategy", "itermax", "--transport", "balanced"),
    )
    config, units = json.loads(text)["alignments"][0]["config"], json.loads(text)["units"]
    assert (config["epsilon"], units["epsilon"]) == (0.2, "cost")
    assert (config["threshold"], units["threshold"]) == (2, "rounds")
    assert "tau" not in config
    _, text, _ = show(otkit, "-f", "json", "--transport", "exact", "--strategy", "mutual")
    config = json.loads(text)["alignments"][0]["config"]
    assert {"epsilon", "unit", "tau", "threshold"}.isdisjoint(config)

    _, grid, _ = show(otkit, "--width", "120")
    assert grid.splitlines()[:2] == [
        "tiny, layer 1, unbalanced",
        SETTINGS,
    ]
    (tmp_path / "de-en.tsv").write_text(LINES, encoding="utf-8")
    otkit("extract", "de-en.tsv", "--model", "tiny", "-o", "links", "--json", "extract.json", "--quiet")
    found = json.loads((tmp_path / "extract.json").read_text("utf-8"))
    assert (found["aligner"]["layers"], found["aligner"]["threshold"]) == ([1], 0.45)
    assert None not in found["aligner"].values()
    assert found["units"]["threshold"] == "link strength"
    (tmp_path / "again.toml").write_text(recipe_text({"alignment": found["aligner"]}, source="extract.json"))
    again = otkit("extract", "de-en.tsv", "--model", "tiny", "--recipe", "again.toml", "--quiet")[1]
    assert again == (tmp_path / "links").read_text("utf-8")
    otkit("check", "de-en.tsv", "--model", "tiny", "--json", "check.json", "-o", "worst.tsv", "--quiet")
    found = json.loads((tmp_path / "check.json").read_text("utf-8"))
    assert found["config"]["layers"] == [1]
    assert set(found["config"]["null_prices"]) == {"hallucination", "omission"}
    assert found["units"]["epsilon"] == "price of the null"
    (tmp_path / "gold.de-en.tsv").write_text("das haus\tthe house\t0-0 1-1\n", encoding="utf-8")
    words = (
        "evaluate",
        "word-alignment",
        "--gold",
        "gold.de-en.tsv",
        "--model",
        "tiny",
        "-o",
        "cells",
        "--quiet",
    )
    otkit(*words, "--json", "evaluate.json")
    found = json.loads((tmp_path / "evaluate.json").read_text("utf-8"))
    assert found["tasks"]["word-alignment"]["settings"]["config"]["threshold"] == 0.45
    assert found["encoders"]["model"]["alignment_layers"] == [1]


def test_reports_without_pairs_are_refused(otkit: Run, tmp_path: Path) -> None:
    code, _, err = otkit("report")
    assert (code, err.strip()) == (2, "error: a report needs one corpus; give a FILE, or --gold FILE")
    code, _, err = otkit("report", "--gold", "g.tsv", "--raw")
    assert (code, err.strip()) == (
        2,
        "error: --gold holds both sentences and their words; leave --raw, --target and --input-format out",
    )
    (tmp_path / "bad.tsv").write_text("a\tb\nno separator\n", encoding="utf-8")
    code, _, err = otkit("report", "bad.tsv", "--model", "tiny")
    assert code == 1
    assert "bad.tsv:2" in err
