"""The comparison of the paper: its commands are the command line's, its forecast is arithmetic, and it goes on."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.common import run_folder
from benchmarks.forecast import Part, Timed, forecast, per_thing, shown
from benchmarks.record import ROOT, VARIABLE
from benchmarks.reproduce import (
    SYSTEMS,
    aligning,
    keep_to,
    measuring,
    once,
    planned_steps,
    probes,
    systems_of,
    training_examples,
)
from benchmarks.scales import SCALES
from otkit.cli.app import every_command
from otkit.errors import OutputError


def given(scale: str) -> argparse.Namespace:
    return argparse.Namespace(
        scale=scale, model=None, parallel=None, threads=1, seeds=None, systems=",".join(SYSTEMS), resume=False
    )


def known_options(words: Sequence[str]) -> set[str]:
    """The options that a command line's command has."""
    commands = every_command()
    command = commands[" ".join(words[:2])] if words[0] == "evaluate" else commands[words[0]]
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}


@pytest.mark.parametrize("name", SCALES)
def test_every_command_has_its_options(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parallel").mkdir()
    monkeypatch.setenv("OTKIT_BENCHMARK_DATA", str(tmp_path))
    scale, options = SCALES[name], given(name)
    commands = [measuring(scale, task, "m", tmp_path, options, seeds=1) for task in scale.tasks]
    commands += [aligning(scale, system, tmp_path, options) for system, recipe in SYSTEMS.items() if recipe]
    commands += [list(timed.command(3, tmp_path)) for timed in probes(scale, options)]
    for words in commands:
        options_given = {word for word in words if word.startswith("--")}
        assert options_given <= known_options(words), words


def test_the_paper_is_its_own_size() -> None:
    scale, options = SCALES["paper"], given("paper")
    assert planned_steps(scale, "OT", options) == 1_250_000 // (
        5 * 24 * 2
    )  # pairs; five languages, two rounds
    aligned = aligning(scale, "OT", Path("out"), options)
    assert "hf://datasets/Helsinki-NLP/europarl:bg-en:train[:250000]" in aligned
    assert "hf://datasets/Helsinki-NLP/europarl:en-fr:train[:250000]" in aligned
    measured = measuring(scale, "xnli", "bert-base-multilingual-cased", Path("cells"), options, seeds=3)
    assert measured[measured.index("--seeds") + 1] == "3"
    assert measured[measured.index("--data") + 1] == "facebook/xnli"


def test_the_forecast_takes_off_what_a_start_costs() -> None:
    clock = [0.0]

    def call(words: Sequence[str]) -> None:
        clock[0] += 7.0 + 0.5 * int(words[0])  # seven seconds of loading, half a second a thing

    timed = Timed("steps", 1000, lambda count, scratch: [str(count)], few=2, more=10)
    assert per_thing(timed, call, lambda: clock[0]) == pytest.approx(0.5)
    first = iter([240.0])

    def fetching(words: Sequence[str]) -> None:
        call(words)
        clock[0] += next(first, 0.0)  # the first run fetches the model

    assert per_thing(timed, fetching, lambda: clock[0]) == pytest.approx(0.5)
    assert forecast([timed], lambda words: None)[0].things == 1000
    told = shown([Part("steps", 1000, 1800.0), Part("examples", 10, 5400.0)], price=3.0)
    assert "about 2.0 hours, 6 at 3 an hour" in told
    assert "steps: 1000 x 1.8 s = 0.5 h" in told


def test_a_run_is_not_gone_on_with_under_another_plan(tmp_path: Path) -> None:
    keep_to({"seeds": 3}, tmp_path / "plan.json")
    keep_to({"seeds": 3}, tmp_path / "plan.json")
    with pytest.raises(SystemExit, match="seeds was 3, is 1"):
        keep_to({"seeds": 1}, tmp_path / "plan.json")


def test_the_forecast_counts_the_examples_of_the_scale() -> None:
    options = argparse.Namespace(seeds=None)
    found = {
        (scale, task): training_examples(SCALES[scale], task, options)
        for scale in ("minutes", "hours", "pretrained", "night", "paper")
        for task in SCALES[scale].tasks
        if task in ("xnli", "xquad")
    }
    assert found == {
        ("minutes", "xnli"): 1500,
        ("hours", "xnli"): 8000,
        ("hours", "xquad"): 1000,
        ("pretrained", "xnli"): 392_702,
        ("night", "xnli"): 36_000,
        ("night", "xquad"): 6000,
        ("paper", "xnli"): 3 * 392_702,
        ("paper", "xquad"): 3 * 87_599,
    }


def test_the_baseline_is_trained_once_where_it_is_asked_for_and_else_for_each() -> None:
    scale = SCALES["hours"]

    def planned(systems: str) -> int:
        options = argparse.Namespace(**{**vars(given("hours")), "systems": systems, "parallel": Path("text")})
        return next(timed.things for timed in probes(scale, options) if timed.name == "examples of xnli")

    assert planned("OT,untouched") == planned("L2,OT") // 2 == 2 * 8000
    assert systems_of(argparse.Namespace(systems="OT,untouched,L2")) == ["untouched", "OT", "L2"]


def test_a_part_that_is_kept_says_what_it_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its figures are of the commit that made them, not of the one that prints the table."""
    result, took, document = tmp_path / "xnli.json", tmp_path / "xnli.took.json", tmp_path / "result.json"
    monkeypatch.setenv(VARIABLE, str(document))
    monkeypatch.setattr("benchmarks.reproduce.facts_of_this_run", lambda: {"commit": "old1"})
    document.write_text('{"run": {}}')
    once(result, took, lambda: (time.sleep(0.05), result.write_text("{}")), resume=False)
    assert json.loads(document.read_text())["run"]["before"] == {
        "seconds": 0.0,
        "processor": 0.0,
        "commits": ["old1"],
    }
    monkeypatch.setattr("benchmarks.reproduce.facts_of_this_run", lambda: {"commit": "new2"})
    document.write_text('{"run": {}}')
    once(result, took, lambda: pytest.fail("done again"), resume=True)
    before = json.loads(document.read_text())["run"]["before"]
    assert before["commits"] == ["old1"]
    assert before["seconds"] >= 0.05


def test_a_run_s_folder_is_thrown_away_only_where_that_is_said(tmp_path: Path) -> None:
    """It was, whatever stood there, wherever --resume was not said."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="otkit did not make"):
            run_folder(mine, resume=False, overwrite=overwrite)
    assert (mine / "thesis.txt").read_text() == "x"
    begun = run_folder(tmp_path / "run", resume=False, overwrite=False)
    (begun / "plan.json").write_text("{}")
    with pytest.raises(OutputError, match="holds a run already; go on with it: --resume"):
        run_folder(begun, resume=False, overwrite=False)
    assert (run_folder(begun, resume=True, overwrite=False) / "plan.json").exists()
    assert not (run_folder(begun, resume=False, overwrite=True) / "plan.json").exists()


@pytest.mark.slow
def test_a_killed_comparison_goes_on_to_its_table(tmp_path: Path) -> None:
    """Killed when the second system is being aligned; what was finished before is not computed again."""
    words = [sys.executable, "-m", "benchmarks.reproduce", "--scale", "smoke", "--systems", "untouched,OT"]
    words += ["--threads", "1", "--output", str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True) as run:
        while not (tmp_path / "smoke" / "untouched" / "word-alignment.json").exists():
            assert run.poll() is None
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGKILL)
    finished = tmp_path / "smoke" / "untouched" / "retrieval.json"
    stamp = finished.stat().st_mtime_ns
    ended = subprocess.run([*words, "--resume"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stat().st_mtime_ns == stamp
    commands = [line for line in ended.stderr.splitlines() if line.startswith("$ otkit")]
    assert [line.split()[2] for line in commands] == ["align", "evaluate", "evaluate"]
    table = (tmp_path / "smoke" / "table.md").read_text(encoding="utf-8")
    assert "| OT " in table
    assert table.strip() in ended.stdout
