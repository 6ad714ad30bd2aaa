"""Links that are read now and then in training: of which pairs, with which weights, and after a resumption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from otkit.alignment.settings import AlignmentSettings
from otkit.data.batching import PairBatch, PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.training.link_losses import aligner_links, aligner_settings, aligner_shares, link_likelihood
from otkit.training.objectives import AlignmentModel
from otkit.training.reading import LinkReader, ReadLinks
from otkit.training.recipe import Recipe
from otkit.training.settings import ObjectiveSettings, TrainingSettings
from tests.conftest import make_tiny_encoder
from tests.training.test_every_objective import TEXT
from tests.training.test_tuning import run

CONFIG = ObjectiveSettings(
    losses=(("link-likelihood", 1.0),),
    layers=(1,),
    cost="cosine",
    epsilon=0.1,
    length_power=0.25,
    attach_factor=3.0,
    relink_every=2,
)


@pytest.fixture
def reader(tmp_path: Path, tiny_encoder: TorchEncoder) -> tuple[AlignmentModel, LinkReader, list[PairBatch]]:
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    source = PairSource(
        [open_corpus(tmp_path / "de-en.tsv")], tiny_encoder, BatchingSettings(batch_size=1), seed=4
    )
    module = AlignmentModel(tiny_encoder, CONFIG)
    batches = [batch for parts in source.micro_steps(0, 3) for batch in parts]
    return module, LinkReader(module, source, "fp32"), batches


def now(module: AlignmentModel, batch: PairBatch) -> Tensor:
    pairs = module.encode(batch, anchored=False)
    return aligner_links(aligner_shares(pairs, module.config), pairs, module.config)


def test_rivals_and_word_order_are_those_of_the_recipes_alignment(
    reader: tuple[AlignmentModel, LinkReader, list[PairBatch]],
) -> None:
    module, _, batches = reader
    pairs = module.encode(batches[0], anchored=False)
    own = AlignmentSettings(rival_factor=0.25, distortion=0.7, agreement=0.3, rounds=1, threshold=0.6)
    read = aligner_settings(replace(pairs, alignment=own), module.config)
    for name in ("rival_factor", "distortion", "agreement", "rounds", "threshold"):
        assert getattr(read, name) == getattr(own, name)


def shake(module: AlignmentModel) -> None:
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(weight))))


def test_the_pairs_up_to_the_next_reading_are_read_with_the_weights_of_the_moment(
    reader: tuple[AlignmentModel, LinkReader, list[PairBatch]],
) -> None:
    module, links, batches = reader
    links.renew(0, 2, 1)
    before = [now(module, batch) for batch in batches]
    shake(module)
    assert any(not torch.equal(now(module, batch), old) for batch, old in zip(batches, before, strict=True))
    assert module.read is not None
    assert [module.read.has(batch) for batch in batches] == [True, True, False]
    for batch, old in zip(batches[:2], before, strict=False):
        pairs = module.encode(batch)
        assert pairs.read is not None
        assert torch.equal(pairs.read, old)
        # The loss is that of these links.
        given = replace(pairs, links=old)
        assert torch.equal(
            link_likelihood(pairs, module.config).value,
            link_likelihood(given, replace(module.config, links="given")).value,
        )
    links.renew(2, 3, 1)
    assert [module.read.has(batch) for batch in batches] == [False, False, True]
    assert torch.equal(module.encode(batches[2]).read, now(module, batches[2]))  # type: ignore[arg-type]


def test_what_was_read_is_written_and_found_again(
    tmp_path: Path, reader: tuple[AlignmentModel, LinkReader, list[PairBatch]]
) -> None:
    module, links, batches = reader
    links.renew(0, 2, 1)
    assert module.read is not None
    none = torch.zeros_like(now(module, batches[2]))
    module.read.keep(batches[2], none)  # a pair without links
    links.save(tmp_path, 0)
    before = module.read
    links.load(tmp_path, 0)
    assert module.read is not before
    for batch in batches:
        size = batch.source.counts[0], batch.target.counts[0]
        assert torch.equal(module.read.units(batch, size), before.units(batch, size))
    assert not module.read.units(batches[2], (none.shape[1], none.shape[2])).any()
    ReadLinks().save(tmp_path / "nothing")
    assert not ReadLinks.load(tmp_path / "nothing").has(batches[0])


@pytest.mark.parametrize("relink_every", [None, 2])
def test_a_stopped_run_goes_on_with_the_links_that_it_had(tmp_path: Path, relink_every: int | None) -> None:
    objective = replace(CONFIG, relink_every=relink_every)
    settings = Recipe(
        objective=objective,
        batching=BatchingSettings(batch_size=3),
        training=TrainingSettings(steps=5, lr=3e-2, save_every=3),
    )
    encoders = {name: make_tiny_encoder() for name in ("whole", "parts", "rest", "once")}
    run(tmp_path / "whole", encoders["whole"], settings)
    stops = iter([False] * 2 + [True])
    first = run(tmp_path / "parts", encoders["parts"], settings, should_stop=lambda: next(stops))
    assert (first.step, first.interrupted) == (3, True)
    run(tmp_path / "parts", encoders["rest"], settings, resume=True)
    weights = [encoders[name].model.state_dict() for name in ("whole", "rest")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    # Reading anew is not reading once.
    other = replace(settings, objective=replace(objective, relink_every=None if relink_every else 2))
    run(tmp_path / "once", encoders["once"], other)
    weights.append(encoders["once"].model.state_dict())
    assert any(not torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_a_number_of_steps_is_at_least_1() -> None:
    with pytest.raises(ConfigError, match="relink_every is 0; give a whole number of at least 1"):
        ObjectiveSettings(relink_every=0)
