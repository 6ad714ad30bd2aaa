"""The one door: what a user has is never lost, whatever is named as an output and whenever the process dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from otkit.errors import OutputError
from otkit.files import (
    MARKER,
    check_file,
    check_folder,
    check_outputs,
    differences,
    fresh_folder,
    grow_folder,
    hold,
    is_stream,
    made_here,
    to_json,
    write_file,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make(folder: Path, text: str = "weights", *, kind: str = "encoder") -> None:
    with fresh_folder(folder, kind) as temporary:
        (temporary / "config.json").write_text(text)


# --- files


def test_a_file_of_the_user_is_replaced_only_where_one_means_it(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("five years")
    with pytest.raises(OutputError, match="otkit did not make it"):
        write_file(thesis, "links")
    assert thesis.read_text() == "five years"
    write_file(thesis, "links", overwrite=True)
    write_file(thesis, "links again")  # ours now
    assert thesis.read_text() == "links again"
    thesis.write_text("corrected by hand")
    with pytest.raises(OutputError, match="changed since"):
        write_file(thesis, "links")
    assert thesis.read_text() == "corrected by hand"
    assert names(tmp_path) == ["thesis.txt"]


def test_a_record_keeps_the_facts_until_the_file_changes(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "x", facts={"lines": 1})
    assert made_here(tmp_path / "a") == {"lines": 1}
    assert made_here(tmp_path / "b") is None
    (tmp_path / "a").write_text("xy")
    assert made_here(tmp_path / "a") is None


def test_an_empty_file_is_nothing_to_lose(tmp_path: Path) -> None:
    (tmp_path / "a").touch()  # as mktemp and shells make them
    write_file(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    write_file(real, "1")
    link.symlink_to(real)
    write_file(link, "2")
    assert link.is_symlink()
    assert real.read_text() == "2"
    real.write_text("the user's")
    with pytest.raises(OutputError, match="did not make it"):
        write_file(link, "3")
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="link to nothing"):
        check_file(tmp_path / "loose")


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "a"
    write_file(place, "old")

    def half(path: Path) -> None:
        path.write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"):
        write_file(place, half)
    assert place.read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_permissions_are_those_that_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    def private(path: Path) -> None:  # as safetensors writes
        path.unlink()
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))

    before = os.umask(umask)
    try:
        write_file(tmp_path / "a", private)
        with fresh_folder(tmp_path / "f", "encoder") as folder:
            private_file = folder / "model.safetensors"
            private_file.touch()
            private(private_file)
    finally:
        os.umask(before)
    for path in (tmp_path / "a", tmp_path / "f" / "model.safetensors"):
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o777 & ~umask


def test_a_pipe_and_a_device_are_written_to_and_stay_what_they_are(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert is_stream(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    write_file(pipe, "through")
    reader.join()
    assert found == ["through"]
    assert is_stream(pipe)
    write_file(Path("/dev/null"), "gone")
    assert is_stream(Path("/dev/null"))


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    monkeypatch.setattr("otkit.files.secrets.token_hex", lambda size: "guessed")
    write_file(tmp_path / "a.txt", "1")
    planted = next(iter({path.name for path in tmp_path.iterdir()} - {"a.txt", "victim"}), None)
    assert planted is None
    from otkit.files import _stem

    (tmp_path / f"{_stem(tmp_path / 'a.txt')}-new-guessed.txt").symlink_to(victim)
    with pytest.raises(OutputError, match="File exists"):
        write_file(tmp_path / "a.txt", "2")
    assert victim.read_text() == "kept"


# --- outputs and inputs


def test_no_output_is_an_input_under_any_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = tmp_path / "c.tsv"
    corpus.write_text("a\tb\n")
    (tmp_path / "hard.tsv").hardlink_to(corpus)
    (tmp_path / "soft.tsv").symlink_to(corpus)
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    for spelling in ("c.tsv", "./c.tsv", "sub/../c.tsv", "hard.tsv", "soft.tsv", str(corpus)):
        with pytest.raises(OutputError, match="`json` is an input of this run"):
            check_outputs({"output": None, "json": Path(spelling)}, ["-", None, "c.tsv", "missing"])
    with pytest.raises(OutputError, match="named twice"):
        check_outputs({"output": Path("x"), "json": Path("sub/../x")}, [])
    check_outputs({"output": Path("/dev/null"), "json": Path("/dev/null")}, ["c.tsv"])


# --- folders


def test_a_foreign_folder_is_never_replaced(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    make(work)  # an empty one is nobody's
    make(work, "again")  # and now it is ours
    (work / "thesis.txt").write_text("five years")
    with pytest.raises(OutputError, match=r"added or changed since otkit made it \(thesis.txt\)"):
        make(work)
    (work / "thesis.txt").unlink()
    (work / "config.json").write_text("by hand")
    with pytest.raises(OutputError, match=r"added or changed since otkit made it \(config.json\)"):
        make(work)
    (work / MARKER).unlink()
    with pytest.raises(OutputError, match=r"otkit did not make \(config.json\)"):
        make(work)
    assert (work / "config.json").read_text() == "by hand"
    with fresh_folder(work, "encoder", overwrite=True) as temporary:
        (temporary / "new").write_text("meant")
    assert names(work) == [MARKER, "new"]
    assert names(tmp_path) == ["work"]


def test_a_folder_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    make(tmp_path / "out", kind="vectors")
    with pytest.raises(OutputError, match="holds vectors, not an encoder"):
        make(tmp_path / "out")


@pytest.mark.parametrize("overwrite", [False, True])
def test_places_that_are_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    home, here, model = tmp_path / "users" / "ada", tmp_path / "projects" / "here", tmp_path / "m" / "model"
    for folder in (home, here, model):
        folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(model)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    for place, reason in {
        "/": "root folder",
        "/proc": "mount point",
        str(home): "home folder",
        str(home.parent): "home folder",
        ".": "current folder",
        "..": "current folder",
        str(here / "sub" / ".."): "current folder",
        str(tmp_path): "current folder",
        str(tmp_path / "link"): "link",
        str(tmp_path / "file"): "a file, not a folder",
        str(model): "input of this run",
        str(model.parent): "input of this run",
    }.items():
        for check in (check_folder, grow_folder):
            with pytest.raises(OutputError, match=reason):
                check(Path(place), "encoder", inputs=[str(model)], overwrite=overwrite)
    assert names(tmp_path) == ["file", "link", "m", "projects", "users"]
    check_folder(model / "onnx", "encoder", inputs=[str(model)])  # within an input nothing is lost


def test_a_failed_folder_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    make(out, "old")
    with pytest.raises(OutputError, match="full"), fresh_folder(out, "encoder"):
        raise OSError(28, "full")
    rename, calls = Path.rename, []

    def failing(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:  # the old one is aside, the new one does not get its name
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match="Input/output error"):
        make(out, "new")
    assert len(calls) == 3
    assert (out / "config.json").read_text() == "old"
    assert names(tmp_path) == ["out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from otkit import files
out, moment = Path(sys.argv[1]), sys.argv[2]
rename = Path.rename
def dying(self, target):
    result = rename(self, target)
    if moment == "between":
        os.kill(os.getpid(), signal.SIGKILL)
    return result
Path.rename = dying
with files.fresh_folder(out, "encoder") as folder:
    (folder / "config.json").write_text("new")
    if moment == "within":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["within", "between"])
def test_a_kill_leaves_one_whole_copy_and_the_next_run_clears_up(tmp_path: Path, moment: str) -> None:
    out = tmp_path / "out"
    make(out, "old")
    run = subprocess.run([sys.executable, "-c", KILLED, str(out), moment], check=False)
    assert run.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 2
    with fresh_folder(out, "encoder"):
        # Before anything is written, what was there is there again under its name.
        assert (out / "config.json").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_growing_folder_is_gone_on_with_only_if_it_is_ours(tmp_path: Path) -> None:
    run = grow_folder(tmp_path / "run", "run")
    (run / "history.jsonl").write_text("{}")
    assert grow_folder(tmp_path / "run", "run") == run
    with pytest.raises(OutputError, match="holds a training run, not an evaluation"):
        grow_folder(tmp_path / "run", "evaluation")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "state.json").write_text("{}")
    with pytest.raises(OutputError, match="did not make"):
        grow_folder(foreign, "run")
    grow_folder(tmp_path / "run", "run", overwrite=True)
    assert names(run) == [MARKER]


# --- locks


HOLDING = """
import sys, time
from pathlib import Path
from otkit.files import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_and_a_dead_one_does_not_count(tmp_path: Path) -> None:
    output = tmp_path / "out.align"
    first = subprocess.Popen([sys.executable, "-c", HOLDING, str(output)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with (
        pytest.raises(OutputError, match=rf"process {first.pid}, since \d{{4}}-\d\d-\d\d \d\d:"),
        hold(output),
    ):
        pass
    (tmp_path / "sub").mkdir()
    with (
        pytest.raises(OutputError, match="another run writes it"),
        hold(tmp_path / "sub" / ".." / "out.align"),
    ):
        pass
    first.kill()
    first.wait()
    first.stdout.close()
    assert len(names(tmp_path)) == 2  # the lock of the dead one is still there
    with hold(output):
        pass
    assert names(tmp_path) == ["sub"]


def test_the_same_process_does_not_hold_an_output_twice(tmp_path: Path) -> None:
    with (
        hold(tmp_path / "a"),
        pytest.raises(OutputError, match=f"process {os.getpid()}"),
        hold(tmp_path / "a"),
    ):
        pass


# --- JSON


def test_json_is_valid_whatever_is_in_it() -> None:
    document = {
        "nan": float("nan"),
        "infinity": [np.float32("inf"), np.float64(0.5), np.int64(3)],
        "array": np.array([[1.0, float("-inf")]]),
        "path": Path("a/b"),
        7: True,
    }
    assert json.loads(to_json(document), parse_constant=pytest.fail) == {
        "nan": None,
        "infinity": [None, 0.5, 3],
        "array": [[1.0, None]],
        "path": "a/b",
        "7": True,
    }


def test_differences_name_the_setting_and_both_values() -> None:
    then = {"settings": {"tau": 0.1, "layers": [6, 7]}, "version": "1"}
    now = {"settings": {"tau": 0.2, "layers": [6, 7]}, "version": "1", "new": None}
    assert differences(then, now) == "settings: tau was 0.1, is 0.2"
    assert differences(then, then) == ""
