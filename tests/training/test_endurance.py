"""What goes wrong over night: kills, a full disk, data that changed; on real runs with a real encoder."""

from __future__ import annotations

import copy
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from otkit.data.parallel import open_corpus
from otkit.encoders.torch import TorchEncoder
from otkit.errors import OutputError, TrainingError, reason_of
from otkit.training.checkpoints import latest_checkpoint
from otkit.training.run import _save_beside_history, align_encoder
from otkit.training.settings import TrainingSettings
from otkit.training.supervision import GivenLinks, Teacher
from tests.training.support import Silent
from tests.training.test_every_objective import TEXT
from tests.training.test_loop import bits
from tests.training.test_loop import run as run_regression
from tests.training.test_tuning import SETTINGS, run


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file may grow past `room` bytes: writes fail as on a full disk, whoever writes them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def whole_step(folder: Path) -> int:
    found = latest_checkpoint(folder / "checkpoints", note=lambda message: None)
    assert found is not None
    return found.step


def test_a_full_disk_is_said_and_the_run_goes_on_where_the_last_checkpoint_stands(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    run(tmp_path, copy.deepcopy(tiny_encoder), SETTINGS)
    for checkpoint in sorted((tmp_path / "out" / "checkpoints").iterdir())[1:]:
        for file in checkpoint.iterdir():
            file.unlink()
        checkpoint.rmdir()
    (tmp_path / "out" / "config.json").unlink()  # as of a run that did not end
    assert whole_step(tmp_path / "out") == 2
    # The weights are 90 KB: the history still has room, the checkpoint has not.
    with full_disk(40_000), pytest.raises(TrainingError, match=r"step 3 could not be written \(.*make room"):
        run(tmp_path, copy.deepcopy(tiny_encoder), SETTINGS, resume=True)
    assert whole_step(tmp_path / "out") == 2
    assert not list((tmp_path / "out" / "checkpoints").glob(".partial*"))
    result = run(tmp_path, tiny_encoder, SETTINGS, resume=True)
    assert result.step == 3


def test_a_history_without_room_is_said(tmp_path: Path) -> None:
    with (
        full_disk(300),
        pytest.raises(TrainingError, match=r"history.jsonl: cannot be written \(File too large\)"),
    ):
        run_regression(tmp_path, TrainingSettings(steps=9))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("a first line\nand another"), "a first line"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_why_a_file_could_not_be_written_is_one_line(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_a_kill_while_folders_of_the_encoder_moved_does_not_stand_in_the_way(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    """Files are replaced; a folder with something in it is not, and a stack of sentence-transformers has some."""
    tiny_encoder.settings = replace(tiny_encoder.settings, pool_prompt=False)
    folder = tmp_path / "out"
    folder.mkdir()
    for _ in range(2):
        _save_beside_history(tiny_encoder, folder, {}, {})
    assert (folder / "1_Pooling" / "config.json").is_file()
    assert not (folder / ".encoder").exists()


def test_a_full_disk_at_the_end_loses_nothing(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    settings = replace(SETTINGS, training=replace(SETTINGS.training, save_every=None))
    with full_disk(40_000), pytest.raises(OutputError, match=r"cannot be written \(.*make room"):
        run(tmp_path / "last", copy.deepcopy(tiny_encoder), settings)
    assert not (tmp_path / "last" / "out" / "model.safetensors").exists()
    # So with the best on the way, which is another place to write.
    often = replace(settings, training=replace(settings.training, eval_every=1))
    with full_disk(40_000), pytest.raises(OutputError, match=r"best: cannot be written \(.*make room"):
        run(tmp_path / "best", copy.deepcopy(tiny_encoder), often)
    assert not list((tmp_path / "best" / "out").glob(".best*"))
    # A run with checkpoints goes on from them once there is room.
    run(tmp_path / "on", copy.deepcopy(tiny_encoder), SETTINGS)
    (tmp_path / "on" / "out" / "model.safetensors").unlink()
    with full_disk(40_000), pytest.raises(OutputError, match="cannot be written"):
        run(tmp_path / "on", copy.deepcopy(tiny_encoder), SETTINGS, resume=True)
    assert run(tmp_path / "on", tiny_encoder, SETTINGS, resume=True).step == 3
    assert (tmp_path / "on" / "out" / "model.safetensors").exists()


def test_links_and_held_out_text_that_changed_are_refused(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    corpora = [open_corpus(tmp_path / "de-en.tsv")]
    lines = range(1, len(corpora[0]) + 1)
    settings = replace(SETTINGS, objective=replace(SETTINGS.objective, losses=(("l2", 1.0),), links="given"))
    before = GivenLinks(corpora, [{line: [(0, 0), (1, 1)] for line in lines}])
    run(tmp_path, copy.deepcopy(tiny_encoder), settings, links=before)
    same = GivenLinks(corpora, [{line: [(1, 1), (0, 0)] for line in reversed(lines)}])
    run(tmp_path, copy.deepcopy(tiny_encoder), settings, links=same, resume=True)
    other = GivenLinks(corpora, [{line: [(0, 0), (1, 0)] for line in lines}])
    with pytest.raises(TrainingError, match=r"started otherwise: links was .*resume with the settings"):
        run(tmp_path, copy.deepcopy(tiny_encoder), settings, links=other, resume=True)
    (tmp_path / "dev.tsv").write_text("das haus\tthe house\n", encoding="utf-8")
    dev = [open_corpus(tmp_path / "dev.tsv", langs="de-en")]
    with pytest.raises(TrainingError, match="started otherwise: held-out data"):
        align_encoder(
            copy.deepcopy(tiny_encoder),
            corpora,
            dev,
            settings,
            folder=tmp_path / "out",
            observer=Silent(),
            links=before,
            resume=True,
        )


def test_another_teacher_is_refused(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    corpora = [open_corpus(tmp_path / "de-en.tsv")]
    settings = replace(SETTINGS, objective=replace(SETTINGS.objective, losses=(("ot-distill", 1.0),)))
    teachers = [Teacher(copy.deepcopy(tiny_encoder), corpora) for _ in range(2)]
    with torch.no_grad():
        next(teachers[1].encoder.model.parameters()).add_(0.1)
    run(tmp_path, copy.deepcopy(tiny_encoder), settings, teacher=teachers[0])
    with pytest.raises(TrainingError, match="started otherwise: teacher"):
        run(tmp_path, copy.deepcopy(tiny_encoder), settings, teacher=teachers[1], resume=True)


def test_weights_that_changed_places_are_refused(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    run(tmp_path, copy.deepcopy(tiny_encoder), SETTINGS)
    with torch.no_grad():
        words = tiny_encoder.model.get_input_embeddings().get_parameter("weight")
        words[[-2, -1]] = words[[-1, -2]]  # the same sum, and the same first values
    with pytest.raises(TrainingError, match="started otherwise: weights was"):
        run(tmp_path, tiny_encoder, SETTINGS, resume=True)


def test_a_data_file_that_changed_between_runs_is_refused(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    from tests.training import test_tuning

    run(
        tmp_path, copy.deepcopy(tiny_encoder), replace(SETTINGS, training=replace(SETTINGS.training, steps=2))
    )
    before = test_tuning.TEXT
    test_tuning.TEXT = before.replace("klein", "kleiner")
    try:
        with pytest.raises(
            TrainingError, match=r"started otherwise: .*data: .*de-en.tsv.*resume with the settings"
        ):
            run(tmp_path, tiny_encoder, SETTINGS, resume=True)
    finally:
        test_tuning.TEXT = before


RUN = """
import sys
from pathlib import Path
from tests.training.test_loop import run, bits
from otkit.training.settings import TrainingSettings
folder = Path(sys.argv[1])
module, _, _ = run(folder, TrainingSettings(steps=200, save_every=3, lr=0.05, keep=2), resume=True)
(folder / "weights").write_bytes(b"".join(bits(module)))
"""


@pytest.mark.slow  # eleven interpreters that import torch, two minutes
def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    folder, moments, saves = tmp_path / "killed", random.Random(0), 0
    history = folder / "history.jsonl"
    for kill in range(11):
        process = subprocess.Popen([sys.executable, "-c", RUN, str(folder)], env=environment)
        if kill == 10:
            assert process.wait() == 0
            break
        lines = history.read_text().count("\n") if history.exists() else 0
        while process.poll() is None and (not history.exists() or history.read_text().count("\n") <= lines):
            time.sleep(0.001)
        # A run of 200 steps takes about a second: kills spread over saves and steps alike.
        time.sleep(moments.uniform(0, 0.08))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        saves += bool(list(folder.glob("checkpoints/.partial-*")))
    # Some of the random moments lay in a save, some did not.
    assert 0 < saves < 10
    whole, _, _ = run_regression(
        tmp_path / "whole", TrainingSettings(steps=200, save_every=3, lr=0.05, keep=2)
    )
    assert (folder / "weights").read_bytes() == b"".join(bits(whole))
