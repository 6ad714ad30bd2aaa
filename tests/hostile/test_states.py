"""What an interrupted run left, with lies in it: a run that goes on says in one line what is wrong, or ends with what a
run that nobody disturbed writes; nothing of it is taken for more than data."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.conftest import mostly_slow
from tests.hostile.commands import RESUMED, Server, snapshot, words_of
from tests.hostile.lies import VALUES, places_in, with_value


def _states(folder: Path) -> list[Path]:
    """The JSON that says how far an unfinished run is."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.relative_to(folder).as_posix().startswith("out")
        and path.is_file()
        and (path.suffix in (".json", ".state") and path.name != "o.json")
    )


@pytest.mark.parametrize("name", mostly_slow(sorted(RESUMED - {"lexicon", "lexicon .sqlite"}), "extract"))
def test_a_state_that_lies_is_one_error_or_the_same_end(
    name: str, server: Server, here: Path, tmp_path: Path
) -> None:
    """Of lexicons see `test_lexicons`, whose state is no JSON."""
    luck, kept = random.Random(name), tmp_path / "kept"
    whole = server.start(words_of(name), here, change=0)
    assert whole.code == 0, whole.stderr
    wanted, outside = snapshot(here), here.parent / "x"
    for back in range(1, whole.changes):
        for path in here.glob("out*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (here / "o.json").unlink(missing_ok=True)
        server.start(words_of(name), here, change=whole.changes - back, signal=signal.SIGKILL)
        if _states(here):
            break
    states = _states(here)
    assert states
    shutil.copytree(here, kept, symlinks=True)
    for _ in range(4 if name == "extract" else 12):
        shutil.rmtree(here)
        shutil.copytree(kept, here, symlinks=True)
        state = luck.choice(states)
        document = json.loads(state.read_text(encoding="utf-8"))
        place, value = luck.choice(list(places_in(document))), luck.choice(VALUES)
        state.write_text(json.dumps(with_value(document, place, value)), encoding="utf-8")
        ended = server.start(words_of(name, "--resume"), here, after=300, signal=signal.SIGKILL)
        tried = (name, state.name, place, value, ended)
        assert ended.code in (0, 1), tried
        assert "Traceback" not in ended.stderr, tried
        assert not outside.exists(), tried
        if ended.code:
            assert len(re.findall("^error: ", ended.stderr, flags=re.MULTILINE)) == 1, tried
            assert len(ended.stderr) < 3000, tried
        elif name.startswith(("extract", "embed", "project", "tags")):
            assert snapshot(here).keys() == wanted.keys(), tried
