"""`otkit recipe` as a person asks it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from otkit.cli.app import every_command, main
from otkit.cli.recipe import key_text, tables
from otkit.recipes import TABLES, read_recipe, recipe_names, unread
from otkit.settings import declared


def otkit(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["otkit", "recipe", *words])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capfd.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_the_list_has_every_recipe_and_its_source_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = otkit(monkeypatch, capfd, "list")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == recipe_names()
    assert max(map(len, lines)) <= 80
    for line in lines:
        name, source = line.split(maxsplit=1)
        assert read_recipe(name).source.startswith(source.removesuffix(" ..."))


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_shown_as_its_file_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    code, out, _ = otkit(monkeypatch, capfd, "show", name)
    assert code == 0
    assert out.startswith("# ")
    with open(read_recipe(name).where, encoding="utf-8") as file:
        assert out == file.read()


def test_every_key_is_shown_with_all_that_is_known_of_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = otkit(monkeypatch, capfd, "keys")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert set(tables()) == set(TABLES)
    for table in TABLES:
        assert f"[{table}]  # {TABLES[table]}" in out
        for known in declared(tables()[table]).values():
            text = key_text(known)
            assert text + "\n\n" in out
            words = " ".join(text.split())
            assert known.help in words
            assert all(f"- {name}: {meaning}" in words for name, meaning in known.choices.items())
    code, out, _ = otkit(monkeypatch, capfd, "keys", "tuning")
    assert out.startswith("[tuning]")
    assert "[objective]" not in out
    assert 'lora_rank = "none"' in out
    assert "the option is --lora" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "pepar"), "there is no recipe 'pepar'; did you mean 'paper'?"),
        (("keys", "objectives"), "unknown table 'objectives'; did you mean 'objective'?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, out, err = otkit(monkeypatch, capfd, *words)
    assert code == 2
    assert said in " ".join(err.split())
    assert out == ""


WITH_RECIPE = {
    "align": ("align",),
    "check": ("check", "a.tsv"),
    "evaluate all": ("evaluate", "all"),
    "evaluate translation-errors": ("evaluate", "translation-errors", "--data", "a.tsv"),
    "evaluate word-alignment": ("evaluate", "word-alignment"),
    "evaluate xnli": ("evaluate", "xnli", "--align", "a.tsv"),
    "evaluate xquad": ("evaluate", "xquad", "--align", "a.tsv"),
    "extract": ("extract", "a.tsv"),
    "inspect": ("inspect",),
    "lexicon": ("lexicon", "a.tsv"),
    "project": ("project", "a.conll"),
    "report": ("report", "a.tsv"),
    "show-alignment": ("show-alignment", "a", "b"),
    "tags": ("tags", "a.html"),
}


@pytest.mark.parametrize("command", WITH_RECIPE)
def test_of_a_recipe_of_which_nothing_is_read_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    """It was without effect, silently. What the commands lack here ends them right after."""
    monkeypatch.chdir(tmp_path)
    kept = {"lexicon": "projection", "check": "alignment"}.get(command, "lexicon")
    Path("mine.toml").write_text(f"[{kept}]\n", encoding="utf-8")
    words = [*WITH_RECIPE[command], "--recipe", "mine.toml", "--model", "nothing-here"]
    monkeypatch.setattr(sys, "argv", ["otkit", *words])
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code
    said = f"note: the recipe mine.toml has [{kept}], and none of them is read here: the defaults hold\n"
    assert capfd.readouterr().err.count(said) == 1
    assert unread("best", TABLES) is None
    (tmp_path / "empty.toml").write_text("", encoding="utf-8")
    assert unread(tmp_path / "empty.toml", ["alignment"]) is None


def test_every_command_with_a_recipe_is_asked() -> None:
    having = {
        name
        for name, command in every_command().items()
        if any("--recipe" in getattr(option, "opts", ()) for option in command.params)
    }
    assert having == set(WITH_RECIPE)
