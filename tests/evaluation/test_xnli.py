"""XNLI: what is trained, chosen, scored and said, on a task that a tiny encoder can learn."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from otkit.data.examples import NLI_LABELS, NliExample, TaskSet
from otkit.data.parallel import open_corpus
from otkit.data.tasks import read_nli
from otkit.encoders.encoder import Encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ConfigError, InputError, OutputError
from otkit.evaluation.finetune import Transfer, check_copies, subset, trainable
from otkit.evaluation.inputs import Reading, xnli_data, xquad_data
from otkit.evaluation.protocol import CellStore, Findings, run_cells, unwatched
from otkit.evaluation.settings import XNLI_FINE_TUNING, XnliSettings
from otkit.evaluation.xnli import XnliData, xnli_task
from otkit.training.agreement import CopyBatch
from otkit.training.heads import HeadConfig
from otkit.training.joint import JointModel
from otkit.training.recipe import Recipe
from otkit.training.settings import TrainingSettings, TransferSettings
from tests.conftest import give_pair_form
from tests.training.test_every_objective import TEXT

WORDS = {"entailment": "house", "neutral": "small", "contradiction": "klein"}
CONFIG = XnliSettings(
    epochs=6,
    lr=3e-3,
    dropout=0.0,
    freeze=None,
    batch_size=8,
    window=2,
    max_length=128,
    train_examples=None,
    test_examples=None,
)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def encoder(tiny_encoder: TorchEncoder) -> TorchEncoder:
    give_pair_form(tiny_encoder)
    return tiny_encoder


def examples(count: int, *, seed: int = 0, labelled: bool = True, name: str = "toy") -> TaskSet[NliExample]:
    """The hypothesis holds the word that tells the label."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        label = NLI_LABELS[rng.integers(3)]
        premise = " ".join(rng.choice(["der", "das", "die", "ein", "the"], 3))
        made.append(NliExample(premise, f"ist {WORDS[label]}", label if labelled else None))
    return TaskSet(name, tuple(made), labelled, 0, (), f"{name}-{seed}")


def run(
    encoder: Encoder, data: XnliData, folder: Path, *, seed: int = 0, config: XnliSettings = CONFIG
) -> Findings:
    return xnli_task(data, config).run(encoder, seed, folder, unwatched)


def test_a_learnable_task_is_learnt_and_scored_in_every_language(
    encoder: TorchEncoder, tmp_path: Path
) -> None:
    data = XnliData(examples(96), {"en": examples(30, seed=1), "de": examples(30, seed=2)})
    found = run(encoder, data, tmp_path)
    task = xnli_task(data, CONFIG)
    for language in ("en", "de"):
        assert found.value(task.metrics[0], language) > 0.9
        assert found.value(task.metrics[1], language) > 0.9
        assert found.tables[language]["right"].shape == (30, 2)


def test_the_same_seed_gives_the_same_figures_and_another_does_not(
    encoder: TorchEncoder, tmp_path: Path
) -> None:
    data = XnliData(examples(24), {"en": examples(60, seed=1)})
    config = replace(CONFIG, epochs=1, lr=1e-3)
    start = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    tables = []
    for seed in (0, 0, 1):
        encoder.model.load_state_dict(start)
        tables.append(run(encoder, data, tmp_path, seed=seed, config=config).tables["en"]["classes"])
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])


def test_the_weights_that_were_best_on_english_are_kept(encoder: TorchEncoder, tmp_path: Path) -> None:
    """A rate that falls to nothing would keep the last: here it stays high until all is unlearnt."""

    class Unlearning(XnliSettings):
        @property
        def training(self) -> TrainingSettings:
            return replace(super().training, schedule="constant", max_grad_norm=None)

    data = XnliData(examples(64), {"en": examples(40, seed=1)}, dev=examples(40, seed=1))
    config = Unlearning(**{**vars(CONFIG), "epochs": 12, "lr": 0.05, "eval_every": 2})
    found = run(encoder, data, tmp_path, config=config)
    scored = found.value(xnli_task(data, config).metrics[0], "en")
    history = [line for line in (tmp_path / "history.jsonl").read_text().splitlines() if "error" in line]
    errors = [json.loads(line)["error"] for line in history]
    assert scored == pytest.approx(1 - min(errors))
    assert errors[-1] > min(errors), "the example must unlearn, or it shows nothing"


def test_unlabelled_files_are_said_and_not_scored(encoder: TorchEncoder, tmp_path: Path) -> None:
    data = XnliData(examples(16), {"en": examples(8, seed=1), "sw": examples(8, labelled=False)})
    found = run(encoder, data, tmp_path)
    assert list(found.tables) == ["en"]
    assert "unlabelled and so not scored: sw" in found.notes
    with pytest.raises(InputError, match="no language has labelled pairs"):
        xnli_task(XnliData(examples(16), {"sw": examples(8, labelled=False)}), CONFIG)
    with pytest.raises(InputError, match=r"no labelled English pairs.*`train='FILE'`"):
        xnli_task(XnliData(None, {"en": examples(8)}), CONFIG)


def test_the_notes_say_what_was_frozen_and_how_much_was_used(encoder: TorchEncoder, tmp_path: Path) -> None:
    train = examples(40)
    config = replace(CONFIG, train_examples=16, test_examples=5, freeze=1)
    found = run(encoder, XnliData(train, {"en": train}), tmp_path, config=config)
    text = " ".join(found.notes)
    assert "16 English pairs, 6 epochs, lr 0.003, batch 8, length 128" in text
    assert "all but the embeddings and the first 1 layers trained" in text
    assert "at most 5 pairs scored in each language" in text
    assert "a scored file is the training file" in text
    assert len(found.tables["en"]["right"]) == 5


def test_a_saved_head_is_scored_without_training(encoder: TorchEncoder, tmp_path: Path) -> None:
    from otkit.encoders.open import open_encoder

    data = XnliData(examples(64), {"en": examples(30, seed=1)})
    first = xnli_task(data, CONFIG, keep=True).run(encoder, 0, tmp_path, unwatched)
    folder = tmp_path / "tuned"
    opened = open_encoder(folder, device="cpu")
    again = xnli_task(XnliData(None, data.tests), CONFIG, head=folder).run(opened, 0, tmp_path, unwatched)
    assert np.array_equal(first.tables["en"]["classes"], again.tables["en"]["classes"])


def test_a_head_of_the_other_task_is_refused(encoder: TorchEncoder, tmp_path: Path) -> None:
    from otkit.training.heads import SpanFinder, save_head

    save_head(SpanFinder(encoder, HeadConfig()), tmp_path / "span", {})
    task = xnli_task(XnliData(None, {"en": examples(4)}), CONFIG, head=tmp_path / "span")
    with pytest.raises(CheckpointError, match="holds a head for another task"):
        task.run(encoder, 0, tmp_path, unwatched)


def test_baseline_and_model_see_the_same_examples() -> None:
    assert subset(100, 10) == subset(100, 10)
    assert subset(100, None) == subset(100, 200) == list(range(100))
    assert subset(100, 10) == sorted(subset(100, 10))


def test_only_a_torch_encoder_can_be_tuned() -> None:
    class Fixed:
        name = "folder"

    with pytest.raises(ConfigError, match=r"an ONNX encoder cannot be fine-tuned.*exported from"):
        trainable(Fixed())  # type: ignore[arg-type]


def test_the_xtreme_fine_tuning_is_xtreme_s() -> None:
    published = XNLI_FINE_TUNING["xtreme"]
    train = published.training
    assert (train.lr, train.epochs, train.weight_decay, train.warmup) == (2e-5, 5, 0.0, 0.0)
    assert (published.batch_size * train.grad_accum, published.max_length, train.eval_every) == (32, 128, 100)
    assert (train.max_grad_norm, train.schedule, published.freeze) == (1.0, "linear", None)
    assert (published.head_pooling, published.dropout, published.window) == ("cls", 0.1, 1)


def test_a_file_becomes_a_cell_that_is_resumed(encoder: TorchEncoder, tmp_path: Path) -> None:
    path = tmp_path / "en.tsv"
    path.write_text("".join(f"das haus\tist {WORDS[label]}\t{label}\n" for label in NLI_LABELS))
    items = read_nli(path)
    task = xnli_task(XnliData(items, {"en": items}), replace(CONFIG, epochs=1))
    for resume in (False, True):
        store = CellStore(tmp_path / "out", resume=resume)
        cells = run_cells(task, {"model": lambda: encoder}, seeds=[0], store=store)
    assert len(cells[0].findings.tables["en"]["right"]) == 3


def aligned(folder: Path, **settings: object) -> Transfer:
    (folder / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    recipe = Recipe().changed(
        objective={"losses": {"l2": 1.0}, "layers": [1]}, batching={"batch_size": 2, "mix_languages": True}
    )
    return Transfer([open_corpus(folder / "de-en.tsv")], recipe, TransferSettings().changed(**settings))


@pytest.mark.parametrize("schedule", ["sum", "alternate", "first"])
def test_parallel_text_takes_part_in_fine_tuning(
    encoder: TorchEncoder, tmp_path: Path, schedule: str
) -> None:
    data = XnliData(examples(24), {"en": examples(30, seed=1)})
    config = replace(CONFIG, epochs=2)
    text = aligned(tmp_path, schedule=schedule)
    before = copy.deepcopy(encoder.model.state_dict())
    found = xnli_task(data, config, transfer=text).run(encoder, 0, tmp_path, unwatched)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert any("align/l2" in record for record in history)
    assert history[-1]["step"] == (6 if schedule == "sum" else 11 if schedule == "alternate" else 12)
    assert any("aligned while fine-tuning on 3 pairs of de: 1 l2" in note for note in found.notes)
    # Parallel text must act: the same run without it ends elsewhere.
    joint = copy.deepcopy(encoder.model.state_dict())
    encoder.model.load_state_dict(before)
    run(encoder, data, tmp_path, config=config)
    name = "encoder.layer.0.output.dense.weight"
    assert not torch.equal(joint[name], encoder.model.state_dict()[name])


def test_parallel_text_of_no_weight_leaves_the_task_as_it_is(encoder: TorchEncoder, tmp_path: Path) -> None:
    data = XnliData(examples(24), {"en": examples(30, seed=1)})
    config = replace(CONFIG, epochs=2)
    before = copy.deepcopy(encoder.model.state_dict())
    ends = []
    for text in (None, aligned(tmp_path, align_weight=0.0)):
        encoder.model.load_state_dict(before)
        xnli_task(data, config, transfer=text).run(encoder, 0, tmp_path, unwatched)
        ends.append(copy.deepcopy(encoder.model.state_dict()))
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, atol=1e-6, rtol=1e-5)


def copied(folder: Path, train: TaskSet[NliExample], **settings: object) -> tuple[XnliData, Transfer]:
    """The same pairs with the premise in capitals of no language."""
    other = tuple(replace(one, premise=f"klein {one.premise}") for one in train)
    data = XnliData(
        train, {"en": examples(30, seed=1)}, copies=[replace(train, examples=other, name="copies")]
    )
    return data, Transfer((), Recipe(), TransferSettings().changed(**settings))


@pytest.mark.parametrize(("schedule", "steps"), [("sum", 6), ("alternate", 11)])
def test_examples_are_learnt_from_their_copies_too(
    encoder: TorchEncoder, tmp_path: Path, schedule: str, steps: int
) -> None:
    data, transfer = copied(tmp_path, examples(24), schedule=schedule, consistency=0.5)
    found = xnli_task(data, replace(CONFIG, epochs=2), transfer=transfer).run(encoder, 0, tmp_path, unwatched)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert history[-1]["step"] == steps
    assert {"loss", "copy/loss", "copy/prediction-consistency"} <= set().union(*history)
    assert any("copies of the examples from 1 file: the task's loss times 1 and" in n for n in found.notes)


def test_copies_are_batched_by_their_own_lengths_unless_answers_are_compared(
    encoder: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every copy once a pass in either order; by their own lengths with less padding."""
    train = examples(64)
    rng = np.random.default_rng(0)
    longer = tuple(replace(one, premise=f"{one.premise} {'klein ' * rng.integers(30)}") for one in train)
    seen: list[CopyBatch] = []
    forward = JointModel._copied

    def told(model: JointModel, batch: CopyBatch) -> object:
        seen.append(batch)
        return forward(model, batch)

    monkeypatch.setattr(JointModel, "_copied", told)
    padded = {}
    for consistency in (0.0, 1.0):
        data, transfer = copied(tmp_path, train, schedule="sum", consistency=consistency)
        data = replace(data, copies=[replace(train, examples=longer, name="copies")])
        seen.clear()
        xnli_task(data, replace(CONFIG, epochs=1, window=8), transfer=transfer).run(
            encoder, 0, tmp_path, unwatched
        )
        assert sorted(number for batch in seen for number in batch.indices) == list(range(64))
        padded[consistency] = sum(batch.copy.inputs.ids.numel() for batch in seen)
    assert padded[0.0] < 0.75 * padded[1.0]


def test_only_the_copies_that_are_learnt_are_asked_for(encoder: TorchEncoder, tmp_path: Path) -> None:
    """A copy may be made when it is asked for: of MultiNLI it would be 390,000 for 12,000."""
    asked: list[int] = []

    class Asked(tuple[NliExample, ...]):
        def __getitem__(self, number: Any) -> Any:
            asked.append(number)
            return super().__getitem__(number)

    data, transfer = copied(tmp_path, examples(64))
    copies = [replace(data.copies[0], examples=Asked(data.copies[0].examples))]
    config = replace(CONFIG, epochs=1, train_examples=16)
    xnli_task(replace(data, copies=copies), config, transfer=transfer).run(encoder, 0, tmp_path, unwatched)
    assert sorted(asked) == subset(64, 16)


def test_what_stands_beside_the_task_gets_a_step_or_an_error(encoder: TorchEncoder, tmp_path: Path) -> None:
    data, transfer = copied(tmp_path, examples(16), schedule="alternate", align_every=3)
    with pytest.raises(ConfigError, match="the task has 2 steps, which leave none"):
        xnli_task(data, replace(CONFIG, epochs=1), transfer=transfer).run(encoder, 0, tmp_path, unwatched)


def test_weights_of_another_run_are_not_trained_over(encoder: TorchEncoder, tmp_path: Path) -> None:
    data = XnliData(examples(24), {"en": examples(30, seed=1)})
    config = replace(CONFIG, epochs=1)
    start = copy.deepcopy(encoder.model.state_dict())

    def go(*, keep: bool = True, epochs: float = 1, **how: bool) -> list[str]:
        encoder.model.load_state_dict(start)
        said: list[str] = []
        task = xnli_task(data, replace(config, epochs=epochs), keep=keep)
        store = CellStore(tmp_path / "out", **how)
        run_cells(task, {"model": lambda: encoder}, seeds=(0,), store=store, note=said.append)
        return said

    kept = tmp_path / "out" / "xnli" / "model" / "seed-0" / "tuned"
    weights = kept / "model.safetensors"
    go(keep=False)
    assert not go(resume=True)  # finished, but without the weights that are asked for now
    first = weights.read_bytes()
    assert "finished before" in go(resume=True)[0]
    for again in ({}, {"keep": False}, {"epochs": 2.0, "resume": True}):
        with pytest.raises(OutputError, match="an encoder and a head that another run trained"):
            go(**again)  # type: ignore[arg-type]
        assert weights.read_bytes() == first
    go(epochs=2, overwrite=True)
    assert weights.read_bytes() != first
    go(keep=False, overwrite=True)
    assert not kept.exists()  # its cell is of a run that kept nothing


def test_a_head_is_scored_with_the_length_that_it_was_trained_with(
    encoder: TorchEncoder, tmp_path: Path
) -> None:
    data = XnliData(examples(24), {"en": examples(30, seed=1)})
    trained = XnliSettings(epochs=1, max_length=7, freeze=None, test_examples=None)
    xnli_task(data, trained, keep=True).run(encoder, 0, tmp_path, unwatched)
    for asked, length in ((XnliSettings(), 7), (XnliSettings(max_length=9), 9)):
        found = xnli_task(data, asked, head=tmp_path / "tuned").run(encoder, 0, tmp_path, unwatched)
        assert any(note.endswith(f"was scored as it is; length {length}") for note in found.notes)


def test_neighbouring_sentences_of_parallel_text_are_to_be_answered_alike(
    encoder: TorchEncoder, tmp_path: Path
) -> None:
    data = XnliData(examples(24), {"en": examples(30, seed=1)})
    transfer = aligned(tmp_path, align_weight=0.0, text_consistency=1.0)
    xnli_task(data, replace(CONFIG, epochs=1), transfer=transfer).run(encoder, 0, tmp_path, unwatched)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert any(record.get("text/prediction-consistency", 0) > 0 for record in history)


def test_copies_of_other_examples_are_refused(tmp_path: Path) -> None:
    rows = ["one\ttwo\tneutral\n", "three\tfour\tentailment\n"]
    for name, lines in (("train", rows), ("short", rows[:1]), ("turned", rows[::-1]), ("same", rows)):
        (tmp_path / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")

    def read(name: str) -> XnliData:
        reading = Reading(languages=("de",))
        return xnli_data(None, str(tmp_path / "train.tsv"), reading, copies=[tmp_path / f"{name}.tsv"])

    assert [len(one) for one in read("same").copies] == [2]
    with pytest.raises(InputError, match="has 1 examples, and the training file has 2"):
        read("short")
    with pytest.raises(InputError, match="that of the training file"):
        read("turned")
    bad = replace(read("same").copies[0], skipped=1)
    with pytest.raises(InputError, match="0 training examples and 1 copies cannot be used"):
        check_copies(read("same").train, [bad], same=lambda example: example.label)
    with pytest.raises(InputError, match="has no labels or answers"):
        check_copies(read("same").train, [replace(bad, skipped=0, labelled=False)], same=str)
    data, transfer = copied(tmp_path, examples(24))
    agreeing = replace(transfer, settings=TransferSettings(consistency=1.0))
    with pytest.raises(ConfigError, match="there are no copies"):
        xnli_task(replace(data, copies=()), CONFIG, transfer=agreeing)
    with pytest.raises(ConfigError, match="for XNLI with parallel text"):
        xnli_task(data, CONFIG, transfer=replace(transfer, settings=TransferSettings(text_consistency=1.0)))


@pytest.mark.parametrize("read", [xnli_data, xquad_data])
def test_a_path_is_not_asked_of_the_hub(tmp_path: Path, read: Callable[..., object]) -> None:
    """It answered after half a minute of trying."""
    (tmp_path / "en.tsv").write_text("one\ttwo\tneutral\n", encoding="utf-8")
    for data, train, said in (
        (str(tmp_path / "en.tsv"), None, r"en\.tsv: is no folder"),
        (str(tmp_path / "none"), None, r"none: there is no such folder"),
        ("some/where/else", None, r"some/where/else: there is no such folder"),
        ("en.tsv", None, r"en\.tsv: there is no such folder"),
        (None, str(tmp_path), "is no file"),
        (None, "train.json", r"train\.json: there is no such file; name a file, or a data set of the Hub"),
    ):
        with pytest.raises(InputError, match=said):
            read(data, train, Reading(languages=("de",)))
