"""Every command is killed, or asked to stop, in the middle of its work: what was there before is whole, a rerun ends
with the same bytes as a run that nobody disturbed, and nothing temporary stays."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path

import pytest

from otkit.cli.app import every_command
from tests.hostile.commands import LINES, RESUMED, SERVED, Ended, Server, command_of, snapshot, words_of
from tests.hub import Hub, environment

MOMENTS = 20
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def test_every_command_is_started_here() -> None:
    assert {command_of(name) for name in {**LINES, **SERVED}} == set(every_command())


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def _again(server: Server, name: str, folder: Path) -> list[Ended]:
    """Run the command until it is done: gone on with, plainly, or over what is there."""
    tried = []
    for more in (["--resume"] if name in RESUMED else [], [], ["--overwrite"]):
        tried.append(server.start(words_of(name, *more), folder))
        if tried[-1].code == 0:
            break
        assert tried[-1].code == 1, tried[-1].stderr
        assert len([line for line in tried[-1].stderr.splitlines() if line.startswith("error: ")]) == 1
    return tried


def _disturbed(server: Server, name: str, here: Path, moments: int, number: int) -> None:
    """End the command by a signal, at changes of the file system and at times, and see what is left each time."""
    given = _names(here)
    whole = server.start(words_of(name), here, change=0)
    assert whole.code == 0, whole.stderr
    wanted, names = snapshot(here), _names(here)
    luck = random.Random(name)
    changes = luck.sample(range(1, whole.changes + 1), min(moments - moments // 4, whole.changes))
    times = [luck.uniform(0, whole.seconds) for _ in range(moments - len(changes))]
    for change, after in [*((change, None) for change in changes), *((None, after) for after in times)]:
        moment = f"{name}: change {change} of {whole.changes}, after {after}"
        if luck.random() < 0.5 and name not in ("align", *(n for n in LINES if n.startswith("evaluate"))):
            pass  # what the run before wrote stands there
        else:
            _clear(here, given)
        before = snapshot(here)
        ended = server.start(words_of(name), here, change=change, after=after, signal=number)
        assert "Traceback" not in ended.stderr, (moment, ended.stderr)
        if number != signal.SIGKILL:
            # When all is done it may come too late to be told of; shells count that alike.
            assert ended.code in (0, SIGNALS[signal.Signals(number)], -number), (moment, ended)
            said = ended.stderr.strip().splitlines()
            assert ended.code == 0 or len(said) <= 1 or name == "align", (moment, ended.stderr)
            left = {
                n for n in _names(here) - given if "/." in f"/{n}" and not n.endswith(".made-by-otkit.json")
            }
            assert not left, (moment, left)
        elif ended.code != 0:
            assert ended.code == -number, (moment, ended)
        found = snapshot(here)
        for path, content in before.items():  # no old output is lost: it is whole, or the new one is
            if ".partial/" not in path and path in found:
                assert found[path] in (content, wanted.get(path)), (moment, path)
        tried = _again(server, name, here)
        assert tried[-1].code == 0, (moment, tried)
        assert snapshot(here) == wanted, (moment, [each.stderr for each in tried])
        assert _names(here) == names, (moment, _names(here) ^ names)
    _clear(here, given)


def _clear(folder: Path, given: set[str]) -> None:
    for path in sorted(_names(folder) - given, reverse=True):
        place = folder / path
        if place.is_dir():
            shutil.rmtree(place)
        elif place.exists() or place.is_symlink():
            place.unlink()


@pytest.mark.parametrize("name", ["extract", "embed", "align"])
def test_a_killed_command_loses_nothing(name: str, server: Server, here: Path) -> None:
    _disturbed(server, name, here, 1, signal.SIGKILL)


@pytest.mark.parametrize("name", ["export"])
def test_a_command_that_is_asked_to_stop_says_so_in_a_line(name: str, server: Server, here: Path) -> None:
    _disturbed(server, name, here, 1, signal.SIGTERM)


@pytest.mark.slow  # of the quick suite, tests/inspector/test_wire.py ends one, and test_annotations.py kills one
@pytest.mark.parametrize("name", SERVED)
def test_a_command_that_serves_ends_when_it_is_told(name: str, server: Server, here: Path) -> None:
    """By each signal in one line; a kill leaves nothing that the next start stumbles over."""
    given = _names(here)
    for number in (signal.SIGKILL, *SIGNALS):
        ended = server.start(words_of(name), here, after=4, signal=number)
        assert ended.code == SIGNALS.get(number, -number), ended
        assert "Traceback" not in ended.stderr
        assert len(ended.stderr.splitlines()) == (number in SIGNALS), ended.stderr
        if number in SIGNALS:
            assert all(name.startswith("out") for name in _names(here) - given), _names(here) - given


@pytest.mark.slow
@pytest.mark.parametrize("name", LINES)
def test_twenty_kills_of_each_command_lose_nothing(name: str, server: Server, here: Path) -> None:
    _disturbed(server, name, here, MOMENTS, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("name", LINES)
def test_a_command_is_stopped_politely_at_any_moment(
    name: str, number: signal.Signals, server: Server, here: Path
) -> None:
    _disturbed(server, name, here, MOMENTS // 4, number)


@pytest.mark.slow
def test_kills_while_a_folder_is_uploaded_lose_nothing(here: Path, tmp_path: Path) -> None:
    """What was exported stays whole, and the upload of the next run is the whole of it."""
    hub, luck, folder = Hub(), random.Random(0), tmp_path / "hub"
    words = words_of("export", "--push-to-hub", "ann/x")
    with hub.served() as address, Server(tmp_path, environment(address, folder)) as server:
        whole = server.start(words, here, change=0)
        assert whole.code == 0, whole.stderr
        wanted = snapshot(here)
        files = dict(hub.repos["ann/x"].files)
        given = _names(here)
        for _ in range(MOMENTS):
            hub.repos.clear()
            change = luck.randint(1, whole.changes) if luck.random() < 0.7 else None
            after = luck.uniform(0, whole.seconds) if change is None else None
            more = [*words, "--overwrite"]
            ended = server.start(more, here, signal=signal.SIGKILL, change=change, after=after)
            assert ended.code in (0, -signal.SIGKILL)
            again = server.start(more, here)
            assert again.code == 0, again.stderr
            assert snapshot(here) == wanted
            assert hub.repos["ann/x"].files.keys() == files.keys()
            assert _names(here) == given
