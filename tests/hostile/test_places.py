"""Every command where there is no room, no right to write or read, no home, no terminal: it does its work or says in
one line why not, and what was there stays."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import mostly_slow
from tests.hostile.commands import LINES, Ended, Server, snapshot, words_of

GROWING = {"align", *(name for name in LINES if name.startswith("evaluate "))}
SILENT = {"recipe list", "recipe show", "recipe keys"}  # they write to stdout alone


def _one_line(ended: Ended) -> None:
    said = ended.stderr
    assert "Traceback" not in said, said
    assert ended.code == 1, (ended.code, said)
    assert len(re.findall("^error: ", said, flags=re.MULTILINE)) == 1, said
    assert len(said) < 2000


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _finish(server: Server, name: str, folder: Path) -> None:
    """The run once more, gone on with or over what is there."""
    for more in ([], ["--resume"], ["--overwrite"]):
        ended = server.start(words_of(name, *more), folder)
        if ended.code == 0:
            return
    raise AssertionError(ended.stderr)


@pytest.mark.parametrize("name", mostly_slow(LINES, "extract", "evaluate xnli"))
def test_a_command_does_with_little(name: str, server: Server, here: Path) -> None:
    """Without a home, a terminal, or room for more than 64 files at a time; in one column; with a home that nobody
    writes to. What it writes is the same."""
    env = {key: value for key, value in server.env.items() if key not in ("HOME", "COLUMNS")}
    poor = {**env, "TERM": "dumb", "COLUMNS": "1", "LANG": "C", "LC_ALL": "C"}
    ended = server.start(words_of(name), here, env=poor, limits={"RLIMIT_NOFILE": 64})
    assert ended.code == 0, ended.stderr
    wanted = snapshot(here)
    closed = {key: value for key, value in env.items() if not key.startswith("XDG_")} | {"HOME": "/proc"}
    more = [] if name in SILENT else ["--overwrite"]
    ended = server.start(words_of(name, *more), here, env=closed)
    assert ended.code == 0, ended.stderr
    if name == "cache":  # it tells what lies in the home, and in that one nothing can
        wanted["o.json"][0] |= {"graphs": [], "measured": []}
    assert snapshot(here) == wanted


@pytest.mark.parametrize("name", mostly_slow(LINES, "extract", "align", "report", "evaluate retrieval"))
def test_a_folder_that_may_not_be_written_is_one_line(name: str, server: Server, here: Path) -> None:
    before = _files(here)
    here.chmod(0o555)
    try:
        ended = server.start(words_of(name), here, anybody=True)
    finally:
        here.chmod(0o755)
    if name in SILENT:
        assert ended.code == 0
    else:
        _one_line(ended)
        assert "ermission denied" in ended.stderr
    assert _files(here) == before


@pytest.mark.parametrize(
    "name", mostly_slow(sorted(LINES.keys() - SILENT - {"cache"}), "extract", "search", "project", "info")
)
def test_inputs_that_may_not_be_read_are_one_line(name: str, server: Server, here: Path) -> None:
    paths = [here / word for word in words_of(name) if (here / word).exists()]
    assert paths
    for path in paths:
        mode = path.stat().st_mode
        path.chmod(0)
        try:
            ended = server.start(words_of(name), here, anybody=True)
        finally:
            path.chmod(mode)
        _one_line(ended)
        assert name in GROWING or not list(here.glob("out*"))


# --- full disks


@pytest.mark.parametrize("name", mostly_slow(sorted(LINES.keys() - SILENT), "extract", "lexicon"))
def test_a_file_that_may_not_grow_is_one_line(name: str, server: Server, here: Path) -> None:
    """A stand-in for a full disk that every system has: no file may be longer than some bytes."""
    assert server.start(words_of(name), here).code == 0
    wanted, before = snapshot(here), _files(here)
    more = ["--overwrite"] if name == "align" else []
    _one_line(server.start(words_of(name, *more), here, limits={"RLIMIT_FSIZE": 16}))
    if name not in GROWING:  # these go on, or were told to begin anew
        left = _files(here).items()
        assert {
            path: content for path, content in left if not re.search(r"\.(partial|state)", path)
        } == before
    _finish(server, name, here)
    assert snapshot(here) == wanted


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path, Path]]:
    """A server that sees a file system of 8 MB, the folder there as it sees it, and as we do."""
    scratch, place = tmp_path_factory.mktemp("small-server"), tmp_path_factory.mktemp("small")
    mount = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=8m none "$0" && exec "$@"', str(place)]
    try:
        subprocess.run([*mount, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    with Server(scratch, {"XDG_CACHE_HOME": str(scratch / "cache")}, under=mount) as server:
        yield server, place, Path(f"/proc/{server.pid}/root{place}")


def _on_a_full_disk(name: str, rooms: list[int], small: tuple[Server, Path, Path], bench: Path) -> None:
    server, place, seen = small

    def copy() -> None:
        subprocess.run(["rm", "-rf", str(seen / "work"), str(seen / "filler")], check=True)
        subprocess.run(["cp", "-r", str(bench), str(seen / "work")], check=True)

    copy()
    assert server.start(words_of(name), place / "work").code == 0
    wanted = snapshot(seen / "work")
    for room in rooms:
        copy()
        names = {path.name for path in (seen / "work").iterdir()}
        free = os.statvfs(seen)
        with (seen / "filler").open("wb") as filler:
            filler.write(bytes(max(0, free.f_bavail * free.f_frsize - room)))
        ended = server.start(words_of(name), place / "work")
        if ended.code != 0:
            _one_line(ended)
            assert "room" in ended.stderr or "No space" in ended.stderr, ended.stderr
            found = snapshot(seen / "work")  # what has its name is whole
            if name not in GROWING:
                assert all(content == wanted[path] for path, content in found.items() if path in wanted)
            left = {path.name for path in (seen / "work").iterdir()} - names
            assert not [path for path in left if path.startswith(".")], left
        (seen / "filler").unlink()
        _finish(server, name, place / "work")
        assert snapshot(seen / "work") == wanted


@pytest.mark.slow  # a file that may not grow is the same error, sooner
@pytest.mark.parametrize("name", ["extract", "embed"])
def test_a_full_disk_is_one_line(name: str, small: tuple[Server, Path, Path], bench: Path) -> None:
    _on_a_full_disk(name, [0, random.Random(name).randrange(4096, 65536, 4096)], small, bench)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LINES.keys() - SILENT))
def test_disks_that_fill_at_any_moment(name: str, small: tuple[Server, Path, Path], bench: Path) -> None:
    _on_a_full_disk(name, [0, *(4096 << n for n in range(8))], small, bench)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["show-alignment", "extract"])
def test_a_real_start_in_the_plainest_locale(name: str, here: Path) -> None:
    """Python's own encodings are those of ASCII; files are UTF-8 all the same."""
    run = subprocess.run(
        [sys.executable, "-m", "otkit", *words_of(name)],
        cwd=here,
        env={
            **{
                key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "TERM"))
            },
            "LC_ALL": "C",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONUTF8": "0",
            "TERM": "dumb",
            "COLUMNS": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert snapshot(here)
