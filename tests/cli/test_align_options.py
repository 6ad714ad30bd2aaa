"""Options of `otkit align` beyond the plain run: the plan of a run, given links, adapters, the curve."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from otkit import __version__
from otkit.cli.stopping import resume_command
from otkit.data.settings import BatchingSettings
from otkit.settings import declared
from otkit.training.recipe import Recipe
from otkit.training.settings import ObjectiveSettings, TrainingSettings, TuningSettings
from tests.cli.test_align import LINES, QUICK, Run, folder, otkit

__all__ = ["folder", "otkit"]

KINDS = (ObjectiveSettings, BatchingSettings, TrainingSettings, TuningSettings)


def test_a_dry_run_prints_the_plan_and_writes_nothing(folder: Path, otkit: Run) -> None:
    run = otkit("de-en.tsv", "--model", "tiny", "--output", "out", "--dry-run", *QUICK[:-2], "--freeze", "1")
    assert run.returncode == 0, run.stderr
    text = " ".join(run.stdout.split())
    assert "de-en" in text
    assert "4 optimiser steps" in text
    assert "weights trained" in text
    assert "minutes without evaluations" in text
    assert not (folder / "out").exists()
    (folder / "out").mkdir()
    (folder / "out" / "history.jsonl").touch()
    words = ("de-en.tsv", "--model", "tiny", "--output", "out", "--dry-run", "--steps", "4")
    said = otkit(*words)
    assert said.returncode == 0
    assert "note: the run would not begin: out: the folder holds an earlier run" in said.stderr
    assert "or start over with --overwrite" in said.stderr
    assert otkit(*words, "--gold", "missing.tsv").returncode == 1


def test_a_dry_run_counts_processes_and_one_of_them_speaks(folder: Path, otkit: Run) -> None:
    words = ("de-en.tsv", "--model", "tiny", "--dry-run", "--batch-size", "10", "--grad-accum", "1")
    first, second = (otkit(*words, WORLD_SIZE="2", RANK=rank) for rank in ("0", "1"))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "25,000 micro-steps an epoch, 12,500 optimiser steps" in " ".join(first.stdout.split())
    assert second.stdout == ""


def test_the_command_that_resumes_launches_as_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["otkit", "align", "de en.tsv", "--output", "out"])
    assert resume_command() == "otkit align 'de en.tsv' --output out --resume"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert resume_command() == (
        "accelerate launch --num_processes 2 -m otkit align 'de en.tsv' --output out --resume"
    )
    monkeypatch.setattr("sys.argv", ["otkit", "align", "--resume"])
    assert resume_command() == "accelerate launch --num_processes 2 -m otkit align --resume"


def test_links_adapters_and_layers_train_and_the_curve_is_drawn(folder: Path, otkit: Run) -> None:
    pytest.importorskip("peft")
    (folder / "links").write_text("0-0 1-1 2-2\n" * len(LINES.splitlines()), encoding="utf-8")
    words = (
        "--objective",
        "ot",
        "--objective",
        "l2:0.1",
        "--links",
        "links",
        "--lora",
        "2",
        "--layer",
        "1,2",
    )
    words += ("--layer-weights", "0.5,1", "--language-weight", "de:0.5", "--gradient-checkpointing")
    run = otkit("de-en.tsv", "--model", "tiny", "--output", "out", *words, *QUICK)
    assert run.returncode == 0, run.stderr
    settings = json.loads((folder / "out" / "otkit.json").read_text(encoding="utf-8"))["recipe"]
    assert settings["objective"]["links"] == "given"
    assert settings["objective"]["layer_weights"] == [0.5, 1.0]
    assert settings["tuning"]["lora_rank"] == 2
    assert (folder / "out" / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("asked", "kept"), [((), 1), (("--head-layers", "none"), 2)])
def test_the_recommended_recipe_keeps_what_is_below_its_head_or_asked(
    folder: Path, otkit: Run, asked: tuple[str, ...], kept: int
) -> None:
    words = ("--model", "tiny", "--output", "out", "--recipe", "best", "--layer", "1", *asked)
    run = otkit("de-en.tsv", *words, *QUICK)
    assert run.returncode == 0, run.stderr
    settings = json.loads((folder / "out" / "otkit.json").read_text(encoding="utf-8"))["recipe"]
    assert settings["tuning"]["head_layers"] == (1 if kept == 1 else None)
    start, saved = (load_file(folder / name / "model.safetensors") for name in ("tiny", "out"))
    moved = {name[:15] for name in start if not torch.equal(start[name], saved[name])}
    assert moved == {f"encoder.layer.{layer}" for layer in range(kept)}


@pytest.mark.parametrize("named", [True, False])
def test_a_gold_file_is_links_and_where_no_text_is_named_the_text_too(
    folder: Path, otkit: Run, named: bool
) -> None:
    text = (folder / "de-en.tsv").read_text(encoding="utf-8").splitlines()
    gold = "".join(
        f"{english}\t{german}\t0-0 1p1\n" for german, english in (line.split("\t") for line in text)
    )
    (folder / "gold.en-de.tsv").write_text(gold, encoding="utf-8")
    files = ["en-de.tsv"] if named else []
    (folder / "en-de.tsv").write_text("".join(line.rpartition("\t")[0] + "\n" for line in gold.splitlines()))
    words = ("--objective", "l2:1", "--links", "gold.en-de.tsv")
    run = otkit(*files, "--model", "tiny", "--output", "out", *words, *QUICK)
    assert run.returncode == 0, run.stderr
    stored = json.loads((folder / "out" / "otkit.json").read_text(encoding="utf-8"))
    # English is the target: the sides of text and links were exchanged.
    assert stored["data"][0]["languages"] == ["de", "en"]
    assert stored["data"][0]["name"].endswith(files[0] if named else "gold.en-de.tsv")
    records = [json.loads(line) for line in (folder / "out" / "history.jsonl").read_text().splitlines()]
    steps = [record for record in records if "l2" in record]
    assert all(record["links"] > 0 for record in steps)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--layer-weights", "one"), 2, "--layer-weights: received 'one'"),
        (("--links", "a"), 2, "--links: received 'a', and no loss learns from links"),
        (
            ("--links", "a", "--links", "b", "--objective", "l2"),
            2,
            "2 files of links for 1 of text",
        ),
        (("--objective", "word-alignment-supervised"), 2, "--links: a loss learns from links that are given"),
        (("--log-to", "paper"), 2, "--log-to: unknown tracker 'paper'"),
    ],
)
def test_nonsense_is_answered_in_one_line(
    otkit: Run, words: tuple[str, ...], code: int, message: str
) -> None:
    run = otkit("de-en.tsv", "--model", "tiny", "--output", "out", *words, *QUICK)
    assert run.returncode == code, run.stderr
    assert message in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr


def recipe_of(folder: Path, output: str = "out") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / output / "otkit.json").read_text(encoding="utf-8"))["recipe"]
    return found


def test_a_recipe_is_changed_by_what_is_given_and_remembered(folder: Path, otkit: Run) -> None:
    words = ("de-en.tsv", "--model", "tiny", *QUICK, "--steps", "1")
    first = ("--recipe", "best", "--layer", "1", "--set", "objective.tau=none", "--epsilon", "0.2")
    more = (
        "--set",
        "alignment.threshold=0.3",
        "--set",
        "relink_every=none",
        "--objective",
        "link-likelihood",
    )
    run = otkit(*words, *first, *more, "--output", "first")
    assert run.returncode == 0, run.stderr
    found = recipe_of(folder, "first")
    # The temperature is in the recipe's unit, the losses are those that were named, the rest is the recipe's.
    assert (found["objective"]["epsilon"], found["objective"]["unit"], found["objective"]["tau"]) == (
        0.2,
        "mean-cost",
        None,
    )
    assert found["objective"]["losses"] == {"link-likelihood": 1.0}
    assert (found["objective"]["relink_every"], found["objective"]["attach_factor"]) == (None, 4.0)
    assert found["alignment"]["threshold"] == 0.3
    assert (found["tuning"]["freeze"], found["tuning"]["head_layers"]) == (0, 1)
    assert Recipe.read(folder / "first").tables() == found
    text = (folder / "first" / "recipe.toml").read_text(encoding="utf-8")
    assert text.startswith(
        f"# The settings of a run of otkit {__version__}, as they were used, from the recipe best"
    )
    # The folder is the recipe of another run, which is the same one.
    run = otkit("de-en.tsv", "--model", "tiny", "--device", "cpu", "--recipe", "first", "--output", "second")
    assert run.returncode == 0, run.stderr
    assert recipe_of(folder, "second") == found
    weights = [(folder / name / "model.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]
    run = otkit(
        *words, "--recipe", "best", "--layer", "1", "--set", "objective.unit=cost", "--output", "third"
    )
    assert run.returncode == 0, run.stderr
    assert recipe_of(folder, "third")["objective"]["unit"] == "cost"


def test_layers_are_named_by_what_they_are_for(folder: Path, otkit: Run) -> None:
    words = (
        "de-en.tsv",
        "--model",
        "tiny",
        "--output",
        "out",
        *QUICK,
        "--steps",
        "1",
        "--layer",
        "alignment",
    )
    run = otkit(*words)
    assert run.returncode == 0, run.stderr
    assert recipe_of(folder)["objective"]["layers"] == [1]


def test_the_best_encoder_remembers_too(folder: Path, otkit: Run) -> None:
    run = otkit("de-en.tsv", "--model", "tiny", "--output", "out", *QUICK, "--eval-every", "1")
    assert run.returncode == 0, run.stderr
    assert Recipe.read(folder / "out" / "best") == replace(Recipe.read(folder / "out"), name="best")


EVERYDAY = {
    *(
        "--dev",
        "--langs",
        "--links",
        "--model",
        "--recipe",
        "--set",
        "--objective",
        "--layer",
        "--epsilon",
        "--tau",
    ),
    *(
        "--lora",
        "--steps",
        "--epochs",
        "--batch-size",
        "--lr",
        "--precision",
        "--device",
        "--seed",
        "--eval-every",
    ),
    *("--resume", "--dry-run", "--output", "--log-to", "--quiet", "--help-all", "--help"),
}


def test_the_help_is_one_screen_of_everyday_options_and_a_long_one_has_all(
    otkit: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    short = otkit("--help").stdout
    monkeypatch.setenv("COLUMNS", "200")
    whole = otkit("--help-all").stdout
    assert len(short.splitlines()) < 60
    assert set(re.findall(r"(?<=│ )--[a-z-]+", short)) == EVERYDAY
    assert set(re.findall(r"(?<=─ )[A-Z]\w+(?= ─)", short)) == {"Options", "Data", "Recipe", "Run", "Output"}
    known = {each.spelling for kind in KINDS for each in declared(kind).values()}
    assert {option for option in known if option not in " ".join(whole.split())} == set()
    for hidden in ("--source", "--target", "--input-format", "--gold", "--teacher", "--overwrite", "--json"):
        assert hidden in whole
        assert f"│ {hidden}" not in short


def test_batches_of_all_languages_and_what_they_cannot_take(folder: Path, otkit: Run) -> None:
    (folder / "fr-en.tsv").write_text(LINES, encoding="utf-8")
    files = ("de-en.tsv", "fr-en.tsv", "--model", "tiny", "--mix-languages")
    loss = ("--objective", "link-likelihood:1", "--length-power", "0.25", "--attach-factor", "2")
    run = otkit(*files, "--output", "out", *loss, *QUICK)
    assert run.returncode == 0, run.stderr
    document = json.loads((folder / "out" / "otkit.json").read_text(encoding="utf-8"))
    assert [each["languages"] for each in document["data"]] == [["de", "en"], ["fr", "en"]]
    assert document["recipe"]["objective"]["length_power"] == 0.25
    assert document["recipe"]["batching"]["mix_languages"] is True
    records = [json.loads(line) for line in (folder / "out" / "history.jsonl").read_text().splitlines()]
    assert {"divergence/de", "divergence/fr"} <= set(records[0])
    run = otkit(*files, "--output", "no", "--language-weight", "de:2", *QUICK)
    assert run.returncode != 0
    assert "leave mix_languages out" in run.stderr
    assert not (folder / "no" / "history.jsonl").exists()
