"""The documentation is executed: every example of the README, the site and --help runs on the sample data.

The site's Python blocks run while it is built (`make docs`), with warnings as errors.
"""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from otkit.cli.app import every_command, main
from otkit.resources import sample_data, sample_encoder

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# `otkit align` alone is the demonstration itself, minutes of work: `make demo` runs it.
LONG = {"otkit align", "otkit align --output demo/aligned", "otkit evaluate all"}
# Examples on files that a reader has, and a test has not.
SERVERS = ("otkit inspect",)  # they run until they are stopped
YOURS = (" de-en.tsv ", "xtreme/", "halomi.tsv", "news.de", "book.de", "--data benchmarks")


COMMANDS = every_command()
# What the README runs, and the two that train: the examples of their help take two minutes more.
SHOWN = {name for name in COMMANDS if f"$ otkit {name} " in README}
SHOWN |= {"evaluate xnli", "evaluate xquad", "evaluate word-retrieval", "info", "report"}  # take long
LONG_PAGES = ("projection", "search", "lexicon", "checking")


@dataclass(frozen=True)
class Shown:
    """What a command line gave: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Otkit = Callable[..., Shown]


@pytest.fixture
def otkit(workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Otkit:
    """Run a command line in the workplace, in this process: it has imported torch already."""

    def run(words: Sequence[str]) -> Shown:
        monkeypatch.chdir(workplace)
        monkeypatch.setattr(sys, "argv", list(words))
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capfd.readouterr()
        return Shown(int(stop.value.code or 0), shown.out, shown.err)

    return run


def blocks(text: str) -> list[str]:
    """The ```console blocks of a page: the commands of one are run one after the other, in one folder."""
    return re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)


def readme_blocks() -> Iterator[tuple[str, ...]]:
    """The commands of each block of the README."""
    for block in blocks(README):
        commands = [line[2:] for line in block.splitlines() if line.startswith("$ otkit")]
        if commands:
            yield tuple(commands)


def site_pages() -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """(page, its commands with the error that the page says each ends with) of the site's own pages."""
    for path in sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "recipes").glob("*.md")]):
        parts = [
            part.strip().partition("\n")
            for block in blocks(path.read_text(encoding="utf-8"))
            for part in block.removeprefix("$ ").split("\n$ ")
        ]
        if parts:
            yield path.stem, tuple((command, output) for command, _, output in parts)


def help_examples() -> Iterator[tuple[str, tuple[str, ...]]]:
    """(command, examples): the lines of a command's help text that begin with the program's name."""
    for name, command in COMMANDS.items():
        examples = re.findall(r"^(otkit .+)$", inspect.cleandoc(command.help or ""), flags=re.MULTILINE)
        if examples:
            yield name, tuple(examples)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "sample_data").symlink_to(sample_data())
    # Stands for what an earlier `otkit align` wrote: any encoder folder will do for the commands that take one.
    (folder / "runs").mkdir()
    (folder / "runs" / "aligned").symlink_to(sample_encoder())
    return folder


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, marks=pytest.mark.slow if "otkit export" in block[0] else (), id=block[0][:60])
        for block in readme_blocks()
    ],
)
def test_readme_examples_run(block: tuple[str, ...], workplace: Path, otkit: Otkit) -> None:
    for command in block:
        if command in LONG:
            continue
        words = shlex.split(command)
        if words[1] == "align":  # a sixth of the recipe's pairs in a step
            words += ["--batch-size", "4"]
        shown = otkit(words)
        assert shown.code == 0, f"{command}\n{shown.err}"
        written = workplace / words[words.index("--output") + 1] if "--output" in words else None
        assert shown.out.strip() or (written is not None and written.exists()), f"{command} gave nothing"


@pytest.mark.parametrize(
    "examples",
    [
        pytest.param(each, marks=pytest.mark.slow if page in LONG_PAGES else (), id=page)
        for page, each in site_pages()
    ],
)
def test_site_examples_run(examples: tuple[tuple[str, str], ...], otkit: Otkit) -> None:
    """In order, in one folder: one may use what another wrote."""
    for command, error in examples:
        shown = otkit(shlex.split(command))
        assert (shown.code in (1, 2)) == bool(error), f"{command}\n{shown.err}"
        if error:
            assert shown.err.strip() == error


def test_the_search_recipe_shows_what_its_commands_answer(
    otkit: Otkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    page = (ROOT / "docs" / "recipes" / "search.md").read_text(encoding="utf-8")
    shown = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)[0]
    for number, command in enumerate(blocks(page)[0].strip().splitlines()):
        words = shlex.split(command.removeprefix("$ "))
        # A folder of its own: the other tests of the page write the one that it names.
        words = [word.replace("runs/search", "runs/search-shown") for word in words]
        found = otkit([*words, "--quiet"])
        assert found.code == 0
        if number == 1:
            assert [line.rstrip() for line in found.out.strip().splitlines()] == shown.strip().splitlines()
            assert "de-en.dev.tsv:4" in found.out.splitlines()[4]


@pytest.mark.parametrize(
    ("command", "examples"),
    [
        pytest.param(*each, marks=pytest.mark.slow if each[0] in SHOWN else (), id=each[0])
        for each in help_examples()
    ],
)
def test_help_examples_run(command: str, examples: tuple[str, ...], otkit: Otkit) -> None:
    """In order, in one folder: one may use what another wrote."""
    assert any(example.startswith(f"otkit {command}") for example in examples)
    for example in examples:
        if (
            example.startswith(SERVERS)
            or example in LONG
            or "|" in example
            or any(name in example for name in YOURS)
        ):
            continue
        shown = otkit(shlex.split(example.partition(" > ")[0]))
        assert shown.code == 0, shown.err


def test_every_command_has_help_with_an_example_and_a_place_in_the_overview(otkit: Otkit) -> None:
    overview = otkit(["otkit", "--help"]).out
    documented = {command for command, _ in help_examples()}
    for command in COMMANDS:
        assert command.split()[0] in overview
        assert command in documented, command


def test_the_readme_is_short_and_contributing_knows_every_room() -> None:
    assert len(README.splitlines()) < 200
    page = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    rooms = {path.name for path in (ROOT / "otkit").iterdir() if (path / "__init__.py").exists()}
    assert rooms - {"recipes"} <= set(re.findall(r"^  (\w+)/", page, flags=re.MULTILINE))
