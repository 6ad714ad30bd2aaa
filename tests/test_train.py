"""`otkit.train` from Python: its examples, what it tells, how it stops, and what it refuses."""

from __future__ import annotations

import doctest
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import otkit
from otkit.alignment.layer_choice import kept_choice, stated_choice
from otkit.alignment.layers import CHOOSES, layer_curves
from otkit.api.train import Progress, TrainingRun, forecast_training, train
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError, TrainingError
from otkit.resources import sample_data
from otkit.training.card import FIGURES
from otkit.training.recipe import Recipe
from otkit.training.settings import SELECTIONS
from tests.conftest import make_tiny_encoder

LINES = "".join(f"das haus ist {'klein ' * (n % 4)}{n} .\tthe house is {n} .\n" for n in range(1, 41))
QUICK: dict[str, Any] = {
    "objective": {"layers": [1]},
    "batching": {"batch_size": 4},
    "training": {"steps": 3, "lr": 1e-3, "save_every": 2},
}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "de-en.tsv"
    path.write_text(LINES, encoding="utf-8")
    return path


@pytest.mark.parametrize("module", ["otkit.api.train", "otkit.training.recipe"])
def test_the_examples_say_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    (tmp_path / "sample_data").symlink_to(sample_data(), target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    __import__(module)
    found = doctest.testmod(sys.modules[module], optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0, capsys.readouterr().out
    assert found.attempted > 0


def test_a_run_says_what_it_does_and_what_changed(
    tmp_path: Path, text: Path, tiny_encoder: TorchEncoder
) -> None:
    heard: list[Progress] = []
    run = otkit.train(tiny_encoder, [text], output=tmp_path / "out", on_progress=heard.append, **QUICK)
    assert isinstance(run, TrainingRun)
    assert (run.step, run.steps, run.interrupted, run.main) == (3, 3, False, True)
    assert run.folder == tmp_path / "out"
    assert {"divergence", "retrieval"} <= set(run.before) & set(run.after)
    assert run.before["step"] == 0
    assert [row[1:3] for row in run.table().rows] == [
        (run.before[name], run.after[name]) for name in ("divergence", "retrieval")
    ]
    steps = [each for each in heard if each.what == "align" and each.record and "lr" in each.record]
    assert [(each.done, each.total) for each in steps] == [(1, 3), (2, 3), (3, 3)]
    for record in (
        each.record for each in steps if each.record
    ):  # a language's loss is told before its weights
        for name, weight in run.recipe.objective.losses:
            assert record[name] == pytest.approx(weight * float(record[f"{name}/de"]), rel=1e-5)
    assert {"tokenising", "measuring retrieval", "note"} <= {each.what for each in heard}
    lines = [str(each) for each in heard]
    assert all(line and "\n" not in line for line in lines)
    assert any(line.startswith("align 2/3  ot ") for line in lines)
    assert any(line.startswith("frozen start: ") for line in lines)
    # What was asked for is the paper's recipe, changed; what is remembered is what was used.
    assert run.recipe == Recipe.read("paper").changed(**QUICK).for_encoder(tiny_encoder)
    assert Recipe.read(run.folder).objective.layers == (1,)


def test_two_files_of_a_language_are_trained_on_and_measured_each(tmp_path: Path, text: Path) -> None:
    """The run stopped after its first measurement, and the divergence was that of the last file alone."""
    news = tmp_path / "news.de-en.tsv"
    news.write_text("".join(f"{line}\n" for line in LINES.splitlines()[:2]), encoding="utf-8")
    alone = [
        otkit.train(make_tiny_encoder(), [text], dev=[file], output=tmp_path / file.stem, **QUICK).before
        for file in (text, news)
    ]
    both = otkit.train(make_tiny_encoder(), [text, news], dev=[text, news], output=tmp_path / "out", **QUICK)
    for figure in ("divergence", "retrieval"):
        apart = [both.before[f"{figure}/{name}"] for name in ("de", "news.de-en.tsv")]
        assert apart == pytest.approx([each[figure] for each in alone], rel=1e-5)
        assert both.before[figure] == pytest.approx(sum(apart) / 2, rel=1e-5)


@pytest.mark.parametrize("select", SELECTIONS)
def test_the_best_encoder_is_that_of_the_figure_asked_for(tmp_path: Path, text: Path, select: str) -> None:
    """Three evaluations of a run that goes somewhere: `best` holds the encoder at which the figure was best."""
    quick = {**QUICK, "training": {**QUICK["training"], "eval_every": 1, "select": select, "lr": 0.05}}
    run = otkit.train(make_tiny_encoder(), [text], dev=[text], output=tmp_path / "out", **quick)
    measured = [record for record in run.history if "divergence" in record]
    assert len(measured) == 4
    assert all((select in record) and ("score" in record) == (select == "score") for record in measured)
    sign = 1 if FIGURES[select][1] == "lower" else -1
    best = min(measured, key=lambda record: sign * float(record[select]))
    assert run.best == best
    if select == "score":
        encoder = open_encoder(tmp_path / "out", device="cpu")
        words = [
            (one.split(), other.split()) for one, other in (line.split("\t") for line in LINES.splitlines())
        ]
        found = layer_curves(encoder, {"de-en": words}, layers=[encoder.settings.alignment_layers])
        assert found[CHOOSES][0] == pytest.approx(run.after["score"], abs=1e-6)
    if best["step"]:  # the start is not kept again
        document = json.loads((tmp_path / "out" / "best" / "otkit.json").read_text(encoding="utf-8"))
        assert document["best"]["step"] == best["step"]


def test_a_run_may_choose_the_layer_of_what_it_wrote(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: str(tmp_path / "cache"))
    heard: list[Progress] = []
    otkit.train(
        make_tiny_encoder(),
        [text],
        output=tmp_path / "out",
        on_progress=heard.append,
        alignment={"layers": "auto"},
        **QUICK,
    )
    encoder = open_encoder(tmp_path / "out", device="cpu")
    choice = stated_choice(encoder)
    assert choice is not None
    assert encoder.settings.alignment_layers == (choice.layer,)
    assert choice == kept_choice(encoder), "of these very weights"
    assert any(f"hidden state {choice.layer}, {choice.reason}" in each.note for each in heard)
    assert otkit.Aligner(tmp_path / "out", recipe=tmp_path / "out").layers == (choice.layer,)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path, text: Path) -> None:
    stops = iter([False, True])
    stopped = train(
        make_tiny_encoder(), [text], output=tmp_path / "out", should_stop=lambda: next(stops), **QUICK
    )
    assert (stopped.step, stopped.interrupted) == (2, True)
    with pytest.raises(InputError, match="the folder holds an earlier run"):
        train(make_tiny_encoder(), [text], output=tmp_path / "out", **QUICK)
    resumed, whole = make_tiny_encoder(), make_tiny_encoder()
    assert train(resumed, [text], output=tmp_path / "out", resume=True, **QUICK).step == 3
    train(whole, [text], output=tmp_path / "whole", **QUICK)
    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    again = make_tiny_encoder()
    assert train(again, [text], output=tmp_path / "out", overwrite=True, **QUICK).step == 3


def test_two_files_line_by_line_are_one_text(tmp_path: Path, text: Path) -> None:
    for side, name in enumerate(("x.de", "x.en")):
        lines = [line.split("\t")[side] for line in LINES.splitlines()]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    files = ([text], [(tmp_path / "x.de", tmp_path / "x.en")])
    encoders = [make_tiny_encoder() for _ in files]
    for number, (encoder, parts) in enumerate(zip(encoders, files, strict=True)):
        train(encoder, parts, output=tmp_path / str(number), **QUICK)
    for ours, theirs in zip(*(encoder.model.parameters() for encoder in encoders), strict=True):
        assert torch.equal(ours, theirs)


def test_a_run_that_is_killed_behind_its_weights_has_its_card(
    tmp_path: Path, text: Path, tiny_encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on finds a whole encoder and nothing to train: the card was never written then."""
    from otkit.training import run

    tiny_encoder.save(tmp_path / "start")

    def killed(*given: Any) -> None:
        save(*given)
        raise KeyboardInterrupt

    save = run._save_beside_history
    how: Any = {"output": tmp_path / "out", **QUICK}
    with monkeypatch.context() as patched:
        patched.setattr(run, "_save_beside_history", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "start", [text], **how)
    assert not train(tmp_path / "start", [text], **how, resume=True).trained
    card = (tmp_path / "out" / "README.md").read_text()
    train(tmp_path / "start", [text], **{**how, "output": tmp_path / "whole"})

    def told(text: str) -> list[str]:
        return [line for line in text.splitlines() if "seconds" not in line and "minutes" not in line]

    assert told(card) == told((tmp_path / "whole" / "README.md").read_text())


def test_a_run_that_ended_is_not_trained_again(
    tmp_path: Path, text: Path, tiny_encoder: TorchEncoder
) -> None:
    """Without a checkpoint of its last step, which a short run has no reason to write."""
    tiny_encoder.save(tmp_path / "start")
    how: Any = {"output": tmp_path / "out", **QUICK, "training": {**QUICK["training"], "save_every": None}}
    first = train(tmp_path / "start", [text], **how)
    assert first.trained
    assert not (tmp_path / "out" / "checkpoints").exists()
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    opened, said = open_encoder(tmp_path / "start", device="cpu"), []
    assert isinstance(opened, TorchEncoder)
    again = train(opened, [text], **how, resume=True, on_progress=lambda one: said.append(str(one)))
    assert not again.trained
    assert f"{tmp_path / 'out'}: the run ended at its last step, 3; nothing is left to train" in said
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for figure in ("step", "steps", "interrupted", "history", "best", "seconds"):
        assert getattr(first, figure) == getattr(again, figure), figure
    assert first.metadata == again.metadata
    ended = open_encoder(tmp_path / "out", device="cpu")
    assert isinstance(ended, TorchEncoder)
    assert opened.weights_sha256() == ended.weights_sha256()

    history = tmp_path / "out" / "history.jsonl"
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    lines[-1]["divergence"] = None  # a figure that was none
    history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert not train(tmp_path / "start", [text], **how, resume=True).trained

    (tmp_path / "out" / "config.json").unlink()  # it did not end whole
    assert train(tmp_path / "start", [text], **how, resume=True).trained
    with pytest.raises(TrainingError, match="was started otherwise"):
        train(tmp_path / "start", [text], **{**how, "training": {"steps": 4}}, resume=True)


def test_what_is_too_long_is_skipped_in_measuring_too(
    tmp_path: Path, text: Path, tiny_encoder: TorchEncoder
) -> None:
    """The divergence left it out, and retrieval ended the run before its first step."""
    long = " ".join(["das"] * (tiny_encoder.max_tokens + 5))
    (tmp_path / "dev.de-en.tsv").write_text(f"{LINES}{long}\t{long}\n", encoding="utf-8")
    how: Any = {**QUICK, "batching": {"batch_size": 4, "on_error": "skip"}}
    run = train(tiny_encoder, [text], dev=[tmp_path / "dev.de-en.tsv"], output=tmp_path / "out", **how)
    assert 0 <= float(run.after["retrieval"]) <= 1


def test_text_without_words_is_told_of(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    path = tmp_path / "zh-en.tsv"
    path.write_text("我们有一个很大的房子，房子在河边。\tthe house is small\n" * 20, encoding="utf-8")
    said: list[str] = []
    forecast_training(
        tiny_encoder, [path], training={"steps": 1}, on_progress=lambda one: said.append(one.note)
    )
    (note,) = [one for one in said if "script without spaces" in one]
    assert note.endswith("counts as one word (put a space between its words first)")


def test_a_pair_that_comes_very_often_is_told_of(
    tmp_path: Path, text: Path, tiny_encoder: TorchEncoder
) -> None:
    said: list[str] = []
    for steps in (3, 1000):
        train(
            tiny_encoder,
            [text],
            output=tmp_path / f"out{steps}",
            objective={"layers": [1]},
            batching={"batch_size": 4},
            training={"steps": steps, "grad_accum": 1},
            on_progress=lambda one: said.append(one.note),
            should_stop=lambda: True,
        )
        assert any("each of its 38 pairs comes about 105 times; `steps`" in one for one in said) == (
            steps > 3
        )


def test_what_a_run_would_say_a_forecast_says(tmp_path: Path, text: Path, tiny_encoder: TorchEncoder) -> None:
    for call in (partial(train, output=tmp_path / "out"), forecast_training):
        with pytest.raises(TrainingError, match="no trained weight reaches the loss"):
            call(tiny_encoder, [text], objective={"layers": [0]}, tuning={"freeze": 1}, training={"steps": 1})
    with pytest.raises(ConfigError, match="fp16 is trained in on a GPU only; use bf16 or fp32"):
        train(tiny_encoder, [text], output=tmp_path / "half", training={"steps": 1, "precision": "fp16"})


def test_a_forecast_writes_nothing(tmp_path: Path, text: Path, tiny_encoder: TorchEncoder) -> None:
    before = sorted(tmp_path.rglob("*"))
    plan, recipe = forecast_training(tiny_encoder, [text], recipe="best", training={"steps": 7})
    assert plan.steps == 7
    assert recipe.objective.layers == tiny_encoder.settings.alignment_layers
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"recipe": "bets"}, "there is no recipe 'bets'; did you mean 'best'?"),
        ({"objectives": {"tau": 1}}, "unknown table 'objectives'"),
        ({"training": {"epochs": 1, "steps": 2}}, "epochs 1 and steps 2 are one length in two units"),
        ({"teacher": "sample"}, "received 'sample', and no loss learns from a teacher"),
        ({"links": ["a"]}, "received 'a', and no loss learns from links"),
        (
            {"objective": {"losses": {"word-alignment-supervised": 1.0}}},
            "links that are given, and there are none",
        ),
        ({"links": ["a"], "objective": {"links": "own"}}, "the objective is to use the encoder's own"),
        (
            {"batching": {"mix_languages": True}, "objective": {"language_weights": {"de": 2.0}}},
            "leave mix_languages out, or links and language weights",
        ),
        ({"objective": {"layers": [9]}}, "there is no layer 9"),
        ({"tuning": {"freeze": 1, "head_layers": 1}}, "none is left; freeze fewer"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_work(
    tmp_path: Path, text: Path, tiny_encoder: TorchEncoder, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        train(tiny_encoder, [text], output=tmp_path / "out", **given)
    assert said in str(refused.value)
    assert "--" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_mixes_languages_trains_with_links_of_each(
    tmp_path: Path, text: Path, tiny_encoder: TorchEncoder
) -> None:
    (tmp_path / "links").write_text("0-0 1-1\n" * len(LINES.splitlines()), encoding="utf-8")
    run = train(
        tiny_encoder,
        [text],
        recipe="best",
        links=[tmp_path / "links"],
        output=tmp_path / "out",
        training={"steps": 1},
    )
    assert not run.recipe.batching.mix_languages
    assert run.recipe.objective.links == "given"
