"""A task and parallel text in one run: whose turn it is, the same batches from any start, losses that add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from otkit.data.batching import PairBatch, PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.torch import TorchEncoder
from otkit.training.example_source import ExampleSource
from otkit.training.heads import ClassBatch, Classifier, HeadConfig
from otkit.training.joint import JointModel, JointSource, JointSteps, NumberedLinks
from otkit.training.objectives import AlignmentModel
from otkit.training.reading import LinkReader
from otkit.training.settings import MIXTURES, ObjectiveSettings, TransferSettings
from tests.training.test_every_objective import TEXT
from tests.training.test_heads import PAIRS, encoder, inputs

__all__ = ["encoder"]  # a fixture

CONFIG = ObjectiveSettings(losses=(("l2", 1.0),), layers=(1,))


def turns(schedule: str, every: int, task_steps: int) -> str:
    """One letter a step: Task, Pairs or Both."""
    steps = JointSteps(TransferSettings(schedule=schedule, align_every=every), task_steps)
    names = {(True, False): "T", (False, True): "P", (True, True): "B"}
    return "".join(names[steps.at(step)] for step in range(steps.steps))


@pytest.mark.parametrize(
    ("schedule", "every", "expected"),
    [
        ("sum", 1, "BBBBB"),
        ("sum", 2, "BTBTB"),
        ("alternate", 1, "TPTPTPTPT"),
        ("alternate", 2, "TTPTTPT"),
        ("first", 1, "PPPPPTTTTT"),
        ("first", 2, "PPPTTTTT"),
    ],
)
def test_whose_turn_it_is(schedule: str, every: int, expected: str) -> None:
    assert turns(schedule, every, 5) == expected


@pytest.mark.parametrize("schedule", MIXTURES)
@pytest.mark.parametrize("every", [1, 3, 100])
def test_the_task_keeps_all_its_steps(schedule: str, every: int) -> None:
    for count in (1, 2, 7):
        found = turns(schedule, every, count)
        assert sum(letter in "TB" for letter in found) == count


def sources(folder: Path, encoder: TorchEncoder) -> tuple[ExampleSource[ClassBatch], PairSource]:
    (folder / "de-en.tsv").write_text(TEXT, encoding="utf-8")

    def batch(members: Any) -> ClassBatch:
        chosen = [PAIRS[member] for member in members]
        return ClassBatch(inputs(encoder, chosen), torch.tensor(list(members)), tuple(members))

    return (
        ExampleSource([2, 5, 1], batch, batch_size=1, seed=3),
        PairSource([open_corpus(folder / "de-en.tsv")], encoder, BatchingSettings(batch_size=1), seed=3),
    )


def shown(parts: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [(type(batch).__name__, batch.indices) for batch in parts]


@pytest.mark.parametrize("schedule", MIXTURES)
def test_a_run_goes_on_anywhere_with_the_same_batches_in_any_number_of_processes(
    schedule: str, encoder: TorchEncoder, tmp_path: Path
) -> None:
    task, pairs = sources(tmp_path, encoder)
    steps = JointSteps(TransferSettings(schedule=schedule, align_every=2), 6)
    joint = JointSource(task, [pairs], steps, size=2)
    whole = [shown(parts) for parts in joint.micro_steps(0, 2 * steps.steps)]
    assert {name for parts in whole for name, _ in parts} == {"ClassBatch", "PairBatch"}
    for start in range(0, len(whole), 2):
        assert [shown(parts) for parts in joint.micro_steps(start, len(whole))] == whole[start:]
    for rank in (0, 1):
        assert [shown(parts) for parts in joint.micro_steps(rank, len(whole), 2)] == whole[rank::2]
    own = [each for parts in whole for each in parts if each[0] == "PairBatch"]
    alone = [shown(parts)[0] for parts in sources(tmp_path, encoder)[1].micro_steps(0, len(own))]
    assert own == alone, "parallel text is read in its own order, none of it left out"


def joint_model(encoder: TorchEncoder, weight: float) -> JointModel:
    torch.manual_seed(0)
    head = Classifier(encoder, HeadConfig(pooling="mean", dropout=0.0), labels=3)
    return JointModel(head, AlignmentModel(encoder, CONFIG), TransferSettings(align_weight=weight)).eval()


def test_losses_are_those_of_the_head_and_of_the_objectives_times_the_weight(
    encoder: TorchEncoder, tmp_path: Path
) -> None:
    module = joint_model(encoder, 0.25)
    task, pairs = sources(tmp_path, encoder)
    ((labelled,), (parallel,)) = (next(iter(source.micro_steps())) for source in (task, pairs))
    assert isinstance(parallel, PairBatch)
    assert module(labelled).parts == module.head(labelled).parts
    alone = module.alignment(parallel).parts["l2"]
    torch.testing.assert_close(module(parallel).parts["align/l2"], 0.25 * alone)
    alone.backward()
    expected = 0.25 * encoder.model.encoder.layer[0].output.dense.weight.grad
    module.zero_grad()
    module(parallel).parts["align/l2"].backward()
    torch.testing.assert_close(encoder.model.encoder.layer[0].output.dense.weight.grad, expected)


def test_the_encoder_drops_out_for_the_task_and_not_for_objectives_without_it(
    encoder: TorchEncoder, tmp_path: Path
) -> None:
    module = joint_model(encoder, 1.0).train()
    task, pairs = sources(tmp_path, encoder)
    ((labelled,), (parallel,)) = (next(iter(source.micro_steps())) for source in (task, pairs))
    module(parallel)
    assert not encoder.model.training
    module(labelled)
    assert encoder.model.training


def test_links_are_read_for_the_pairs_that_come_next(encoder: TorchEncoder, tmp_path: Path) -> None:
    from dataclasses import replace

    config = replace(CONFIG, losses=(("link-likelihood", 1.0),), cost="cosine", epsilon=0.1, relink_every=2)
    module = AlignmentModel(encoder, config)
    _, pairs = sources(tmp_path, encoder)
    steps = JointSteps(TransferSettings(schedule="alternate"), 6)
    links = NumberedLinks(LinkReader(module, pairs, "fp32"), steps, size=1)
    assert links.every == 2
    links.renew(2, 4, 1)  # steps T and P: the second pair of the run
    batches = [batch for parts in pairs.micro_steps(0, 3) for batch in parts]
    assert module.read is not None
    assert [module.read.has(batch) for batch in batches] == [False, True, False]
