"""The documentation is executed: every example of the README, the site and --help runs on the sample data.

The site's Python blocks run while it is built (`make docs`), with warnings as errors.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otkit.resources import sample_data, sample_encoder

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    path.stem.replace("_", "-")
    for path in (ROOT / "otkit" / "cli").glob("*.py")
    if f"\ndef {path.stem}(" in path.read_text(encoding="utf-8")
)
# `otkit align` alone is the demonstration itself, minutes of work: `make demo` runs it.
LONG = {"otkit align", "otkit align --output demo/aligned"}


def otkit(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "otkit", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def blocks(text: str) -> list[str]:
    """The ```console blocks of a page: the commands of one are run one after the other, in one folder."""
    return re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)


def readme_blocks() -> Iterator[tuple[str, ...]]:
    """The commands of each block of the README."""
    for block in blocks(README):
        commands = [line[2:] for line in block.splitlines() if line.startswith("$ otkit")]
        if commands:
            yield tuple(commands)


def site_commands() -> Iterator[tuple[str, str, str]]:
    """(page, command, the error that the page says it ends with) of the site's own pages."""
    for path in sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "recipes").glob("*.md")]):
        for block in blocks(path.read_text(encoding="utf-8")):
            for part in block.removeprefix("$ ").split("\n$ "):
                command, _, output = part.strip().partition("\n")
                yield path.stem, command, output


def help_examples() -> Iterator[tuple[str, tuple[str, ...]]]:
    """(command, examples): the lines of a command's help text that begin with the program's name."""
    for command in COMMANDS:
        text = (ROOT / "otkit" / "cli" / f"{command.replace('-', '_')}.py").read_text(encoding="utf-8")
        examples = re.findall(r"^    (otkit .+)$", text, flags=re.MULTILINE)
        if examples:
            yield command, tuple(examples)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "sample_data").symlink_to(sample_data())
    # Stands for what an earlier `otkit align` wrote: any encoder folder will do for the commands that take one.
    (folder / "runs").mkdir()
    (folder / "runs" / "aligned").symlink_to(sample_encoder())
    return folder


@pytest.mark.parametrize("commands", list(readme_blocks()), ids=lambda commands: commands[0][:60])
def test_readme_examples_run(commands: tuple[str, ...], workplace: Path) -> None:
    for command in commands:
        if command in LONG:
            continue
        run = otkit(*shlex.split(command)[1:], folder=workplace)
        assert run.returncode == 0, f"{command}\n{run.stderr}"
        words = shlex.split(command)
        written = workplace / words[words.index("--output") + 1] if "--output" in words else None
        assert run.stdout.strip() or (written is not None and written.exists()), f"{command} gave nothing"


@pytest.mark.parametrize(("page", "command", "error"), list(site_commands()))
def test_site_examples_run(
    page: str,
    command: str,
    error: str,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process: it has imported torch already."""
    from otkit.cli.app import main

    monkeypatch.chdir(workplace)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as stop:
        main()
    shown = capsys.readouterr()
    assert ((stop.value.code or 0) in (1, 2)) == bool(error), shown.err
    if error:
        assert shown.err.strip() == error


def test_the_search_recipe_shows_what_its_commands_answer(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from otkit.cli.app import main

    monkeypatch.chdir(workplace)
    monkeypatch.setenv("COLUMNS", "90")
    page = (ROOT / "docs" / "recipes" / "search.md").read_text(encoding="utf-8")
    shown = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)[0]
    for number, command in enumerate(blocks(page)[0].strip().splitlines()):
        words = shlex.split(command.removeprefix("$ "))
        # A folder of its own: the other tests of the page write the one that it names.
        words = [word.replace("runs/search", "runs/search-shown") for word in words]
        monkeypatch.setattr(sys, "argv", [*words, "--quiet"])
        with pytest.raises(SystemExit) as stop:
            main()
        out = capsys.readouterr().out
        assert not stop.value.code
        if number == 1:
            assert [line.rstrip() for line in out.strip().splitlines()] == shown.strip().splitlines()
            assert "de-en.dev.tsv:4" in out.splitlines()[4]


@pytest.mark.parametrize(("command", "examples"), list(help_examples()))
def test_help_examples_run(command: str, examples: tuple[str, ...], workplace: Path) -> None:
    """In order, in one folder: one may use what another wrote."""
    assert command in {shlex.split(example)[1] for example in examples}
    for example in examples:
        if example in LONG:
            continue
        words = shlex.split(example)[1:]
        run = otkit(*words, folder=workplace)
        assert run.returncode == 0, run.stderr


def test_every_command_has_help_with_an_example_and_a_place_in_the_readme(workplace: Path) -> None:
    overview = otkit("--help", folder=workplace).stdout
    documented = {command for command, _ in help_examples()}
    for command in COMMANDS:
        assert command in overview
        assert f"otkit {command}" in README
        assert command in documented


def test_the_file_tree_of_the_readme_is_the_file_tree() -> None:
    """Every Python file of the package stands in the README's tree, and nothing that is not there."""
    tree = re.search(r"## How the code is laid out\n.*?```\n(.*?)```", README, flags=re.DOTALL)
    assert tree is not None
    folders: list[str] = []
    named = set()
    for line in tree.group(1).splitlines():
        match = re.match(r"^( *)(\S+)", line)
        if match is None:
            continue
        depth, name = len(match.group(1)) // 2, match.group(2)
        folders = folders[:depth]
        if name.endswith("/"):
            folders.append(name.rstrip("/"))
        elif name.endswith(".py"):
            named.add("/".join([*folders, name]))
    there = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "otkit").rglob("*.py")
        if path.name != "__init__.py" or path.parent.name == "otkit"
    }
    assert named == there, f"missing {sorted(there - named)}, gone {sorted(named - there)}"
