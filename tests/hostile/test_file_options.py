"""Every option of every command that names a file, at what is none: a folder, a device, nothing, what may not be read,
emptiness, bytes; and every output where it cannot be. A run that ends well, or one line of error, and nothing lost."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.option_table import BASES, TABLE
from tests.cli.test_every_option import parameters
from tests.hostile.commands import LINES, SERVED, Server, command_of, words_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="devices and permissions are POSIX's")

WRITTEN = ("--output", "--json", "--chart", "--markdown", "--write-recipe", "--layers")
OPTIONS = [
    (command, option)
    for command in TABLE
    for option, one in parameters(command).items()
    if re.search("FILE|MODEL|DIR|PATH|VECTORS|CORPUS|FOLDER", one.metavar or "")
]
READ = [(command, option) for command, option in OPTIONS if option not in WRITTEN]
KINDS = (
    "folder",
    "/dev/null",
    "/dev/zero",
    "missing.de-en.tsv",
    "closed.de-en.tsv",
    "empty.de-en.tsv",
    "bytes.de-en.tsv",
)
PLACES = ("folder", "/dev/full", "closed/x", "letter.txt/x", "loop")


def _with(command: str, option: str, file: str) -> list[str]:
    """The command with the file as this option, beside what the option needs."""
    row = TABLE[command][option]
    row = TABLE[row.same_as][option] if row.same_as else row
    base = row.base if row.base in BASES and BASES[row.base].startswith(command) else ""
    line = BASES[base] if base else {**LINES, **SERVED}[command]
    words = words_of(line.replace(f" {row.instead}", "", 1) if row.instead and option == "--data" else line)
    words += [word for word in row.beside.split() if not word.startswith("--json")]
    if not option.startswith("-"):
        known = next(word for word in words[len(command.split()) :] if not word.startswith("-"))
        words[words.index(known)] = file
        return words
    for given in (option, "-o" if option == "--output" else option):
        if given in words:
            words[words.index(given) + 1] = file
            return words
    return [*words, option, file]


def _fill(folder: Path) -> None:
    (folder / "folder").mkdir()
    (folder / "folder" / "letter.txt").write_text("mine")
    (folder / "letter.txt").write_text("mine")
    (folder / "closed").mkdir(mode=0o555)
    (folder / "empty.de-en.tsv").touch()
    (folder / "bytes.de-en.tsv").write_bytes(bytes(range(256)) * 40)
    (folder / "closed.de-en.tsv").write_text("das haus\tthe house\n")
    (folder / "closed.de-en.tsv").chmod(0)
    (folder / "loop").symlink_to("loop")


def _files(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not re.match(r"out|o\.json", name)}


def _ends_well(server: Server, words: list[str], here: Path) -> int:
    before = _files(here)
    served = words[0] in SERVED  # it serves until it is told to stop, which is its way to end well
    number = signal.SIGTERM if served else signal.SIGKILL
    ended = server.start(words, here, anybody=True, after=30 if served else 60, signal=number)
    said = ended.stderr
    assert "Traceback" not in said, (words, said)
    if served and ended.code == 128 + number:
        assert ended.stdout.startswith("http://"), (words, ended)
        assert _files(here) == before, words
        return 0
    assert ended.code in (0, 1, 2), (words, ended)
    if ended.code:
        assert len(re.findall("^error: ", said, flags=re.MULTILINE)) == 1, (words, said)
    assert len(said) < 4000, (words, said)
    assert _files(here) == before, words
    return ended.code


def _few(options: list[tuple[str, str]], *quick: tuple[str, str]) -> list[object]:
    return [each if each in quick else pytest.param(*each, marks=pytest.mark.slow) for each in options]


@pytest.mark.parametrize(
    ("command", "option"),
    _few(READ, ("search", "vectors")),
)
def test_a_file_that_is_none_is_read_as_what_it_is_or_refused(
    command: str, option: str, server: Server, here: Path
) -> None:
    _fill(here)
    for kind in KINDS:
        code = _ends_well(server, _with(command, option, kind), here)
        assert code or kind in ("/dev/null", "empty.de-en.tsv"), (command, option, kind)


@pytest.mark.parametrize(
    ("command", "option"),
    _few([each for each in OPTIONS if each not in READ]),
)
def test_an_output_that_cannot_be_is_one_line(command: str, option: str, server: Server, here: Path) -> None:
    _fill(here)
    for place in PLACES:
        assert _ends_well(server, _with(command, option, place), here), (command, option, place)


def test_every_command_is_walked() -> None:
    assert {command for command, _ in OPTIONS} | {
        "recipe list",
        "recipe keys",
    } == {command_of(name) for name in {**LINES, **SERVED}}


HUGE = 8 << 30
MOST_SPACE, MOST_MEMORY = 6 << 30, 3_000_000
"""Of a start: bytes of addresses, of which a bare one has two thirds, and kilobytes that are there."""


def _grow(path: Path, head: bytes = b"") -> None:
    """A file of 8 GB that takes no room."""
    path.write_bytes(head)
    os.truncate(path, HUGE)


def _refused(server: Server, words: list[str], here: Path) -> None:
    ended = server.start(words, here, after=60, signal=signal.SIGKILL, limits={"RLIMIT_AS": MOST_SPACE})
    assert ended.code in (1, 2), (words, ended)
    assert "Traceback" not in ended.stderr, (words, ended.stderr)
    assert "MemoryError" not in ended.stderr, (words, ended.stderr)
    assert len(re.findall("^error: ", ended.stderr, flags=re.MULTILINE)) == 1, (words, ended.stderr)
    assert ended.peak < MOST_MEMORY, (words, ended)


@pytest.mark.parametrize(("command", "option"), _few(READ, ("extract", "corpus"), ("extract", "--recipe")))
def test_a_file_of_eight_gigabytes_is_one_error(
    command: str, option: str, server: Server, here: Path
) -> None:
    _grow(here / "huge.de-en.tsv")
    _refused(server, _with(command, option, "huge.de-en.tsv"), here)


INNER = {
    "model": ("extract de-en.tsv --output o.align -q --model tiny", (
        "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "otkit.json",
        "model.safetensors", "model.safetensors.index.json", "modules.json",
    )),
    "vectors": ("search", ("manifest.json", "part-00000.npy", "part-00000.jsonl")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, (_, names) in INNER.items() for name in names]
)
def test_a_file_of_eight_gigabytes_within_a_folder_is_one_error(
    kind: str, name: str, server: Server, here: Path
) -> None:
    folder = here / {"model": "tiny", "vectors": "vectors"}[kind]
    (folder / name).unlink(missing_ok=True)
    if name == "model.safetensors.index.json":
        (folder / "model.safetensors").unlink()
    words = words_of(INNER[kind][0])
    # A head of weights that is as long as the file says.
    for head in (b"", (HUGE - 8).to_bytes(8, "little")) if name == "model.safetensors" else (b"",):
        _grow(folder / name, head)
        _refused(server, words, here)


def test_a_state_of_eight_gigabytes_is_one_error(server: Server, here: Path) -> None:
    """What a run that was interrupted left, as `--resume` finds it."""
    server.start(words_of("embed"), here, change=30, signal=signal.SIGKILL)
    states = [path for path in here.rglob("state.json") if "out" in path.as_posix()]
    assert states
    for path in states:
        _grow(path)
    _refused(server, words_of("embed", "--resume"), here)
