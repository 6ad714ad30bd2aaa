"""`otkit check` from the command line: formats by ending, several files, bad input, figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otkit.checks.classes import CLASSES
from otkit.cli.app import main
from otkit.encoders.torch import TorchEncoder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def otkit(
    tmp_path: Path,
    tiny_encoder: TorchEncoder,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    tiny_encoder.save(tmp_path / "tiny")
    lines = ["das haus\tthe house", "das haus ist klein\tthe house", "ein haus\tthe the small small house"]
    (tmp_path / "de-en.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (tmp_path / "bad.tsv").write_text("das haus\tthe house\nonly one side\n", encoding="utf-8")
    (tmp_path / "a.de").write_text("das haus\n", encoding="utf-8")
    (tmp_path / "a.en").write_text("the house\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        common = ("--model", "tiny", "--device", "cpu", "--threads", "1", "--quiet")
        monkeypatch.setattr(sys, "argv", ["otkit", "check", *words, *common])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        code = stop.value.code
        return code if isinstance(code, int) else 0, out, err

    return run


def test_worst_first_with_line_numbers(otkit: Run) -> None:
    code, out, err = otkit("de-en.tsv", "--sort", "omission", "--top", "2")
    assert code == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == 2
    assert found[0]["line"] == 2
    assert found[0]["omission"] >= found[1]["omission"]
    assert len(found[0]["source_scores"]) == 4


def test_formats_several_files_and_figures(otkit: Run, tmp_path: Path) -> None:
    code, out, err = otkit("de-en.tsv", "de-en.tsv", "--output", "o/worst.html", "--json", "o/figures.json")
    assert code == 0, err
    assert (out, err) == ("", "")
    page = (tmp_path / "o" / "worst.html").read_text(encoding="utf-8")
    assert "6 worst of 6 translations" in page
    assert "de-en.tsv, line 3" in page
    figures = json.loads((tmp_path / "o" / "figures.json").read_text())
    assert figures["pairs"] == 6
    assert figures["config"]["mass"] == "word"
    assert set(figures["flagged"]) == set(CLASSES) - set(figures["off"])
    assert 0 <= figures["means"]["omission"] <= 1
    nulls = ("--hallucination-null", "median", "--omission-null", "0.3", "--set", "check.mass=sentence")
    assert otkit("de-en.tsv", "--output", "worst.tsv", "--json", "o/other.json", *nulls)[0] == 0
    config = json.loads((tmp_path / "o" / "other.json").read_text())["config"]
    assert (config["hallucination_null"], config["omission_null"]) == ("median", 0.3)
    assert config["mass"] == "sentence"
    assert list(config["null_prices"]) == ["omission"]
    assert len((tmp_path / "worst.tsv").read_text().splitlines()) == 4
    code, out, err = otkit("--source", "a.de", "--target", "a.en", "--format", "tsv")
    assert code == 0, err
    assert out.splitlines()[1].endswith("das haus\tthe house")


def test_bad_lines_are_skipped_where_asked(otkit: Run) -> None:
    code, out, err = otkit("bad.tsv", "--on-error", "skip")
    assert code == 0
    assert len(out.splitlines()) == 1
    assert "1 line skipped" in err


@pytest.mark.parametrize(
    ("words", "expected", "complaint"),
    [
        ((), 2, "there is no translation to check; name a file"),
        (("de-en.tsv", "--source", "a.de"), 2, "give files, or both of --source and --target"),
        (("bad.tsv",), 1, "bad.tsv:2: no separator"),
        (("none.tsv",), 1, "none.tsv: there is no such file"),
        (("de-en.tsv", "--output", "worst.xyz"), 2, "--output: received 'worst.xyz'"),
        (("de-en.tsv", "--sort", "omision"), 2, "did you mean 'omission'?"),
        (
            ("de-en.tsv", "--omission-null", "2"),
            2,
            "--omission-null: received '2'; expected one of mean, median, middle, equidistant, larger, or a number "
            "above 0 and below 1",
        ),
        (
            ("de-en.tsv", "--langs", "xx-en", "--sort", "negation"),
            2,
            "--sort: received 'negation', and the class is off",
        ),
        (("de-en.tsv", "--format", "xml"), 2, "choose from: jsonl, tsv, text, html"),
        (("de-en.tsv", "--layer", "40"), 2, "no layer 40"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    words: tuple[str, ...], expected: int, complaint: str, otkit: Run
) -> None:
    code, out, err = otkit(*words)
    assert (code, out) == (expected, ""), err
    assert complaint in err
    assert "Traceback" not in err


def test_a_class_that_one_file_has_is_enough_to_sort_by(otkit: Run, tmp_path: Path) -> None:
    """Also where the last file is one that was read before, and has it not."""
    (tmp_path / "cy-en.tsv").write_text("das haus\tthe house\n", encoding="utf-8")
    code, out, err = otkit("cy-en.tsv", "de-en.tsv", "cy-en.tsv", "--sort", "negation")
    assert code == 0, err
    assert len(out.splitlines()) == 5


def test_a_wrong_option_exits_two(otkit: Run) -> None:
    assert otkit("de-en.tsv", "--top", "0")[0] == 2


def test_settings_come_from_the_table_check_of_a_recipe(otkit: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[check]\nmass = "sentence"\nlayers = [1]\n', encoding="utf-8")
    code, out, err = otkit("de-en.tsv", "--recipe", "mine.toml", "--json", "a.json")
    assert code == 0, err
    assert json.loads((tmp_path / "a.json").read_text())["config"]["layers"] == [1]
    assert out == otkit("de-en.tsv", "--layer", "1", "--set", "mass=sentence")[1]
    assert out != otkit("de-en.tsv", "--layer", "1")[1]
