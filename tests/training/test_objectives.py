"""Objectives: against few-line references, split or whole, and moving what they should move."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import ot as pot
import pytest
import torch

from otkit.data.batching import PairBatch, PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.pooling import Encoded
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.training.anchors import stay_close
from otkit.training.encoded import EncodedPairs
from otkit.training.frozen import CachedStart, CopiedStart
from otkit.training.measures import inverse_document_frequency
from otkit.training.objectives import AlignmentModel, encode_units
from otkit.training.settings import ObjectiveSettings
from otkit.training.transport_losses import optimal_transport

SHARP = ObjectiveSettings(cost="cosine", epsilon=0.1, iterations=2000, tolerance=1e-6)


def batch_of(folder: Path, encoder: TorchEncoder, *, budget: int | None = None) -> tuple[PairBatch, ...]:
    path = folder / "de-en.tsv"
    path.write_text(
        "das haus ist klein .\tthe house is small .\nein haus\ta house\ndas ist ein kleines haus !\tthis is a house\n",
        encoding="utf-8",
    )
    source = PairSource([open_corpus(path)], encoder, BatchingSettings(batch_size=3, batch_tokens=budget))
    return next(source.micro_steps(0, 1))


def pairs(seed: int = 0) -> EncodedPairs:
    generator = torch.Generator().manual_seed(seed)
    masks = [
        torch.tensor(rows, dtype=torch.bool)
        for rows in ([[1, 1, 1, 0], [1, 1, 0, 0]], [[1, 1, 0], [1, 1, 1]])
    ]
    sides = [
        Encoded(torch.randn(*mask.shape, 5, generator=generator) * mask[..., None], mask) for mask in masks
    ]
    weights = [mask.float() / mask.sum(1, keepdim=True) for mask in masks]
    return EncodedPairs(*sides, *weights, start=None, batch_fraction=1.0, targets=5)


def reference_divergence(x: torch.Tensor, y: torch.Tensor, epsilon: float) -> float:
    """S with POT's entropic transport of eq. (1), uniform weights, cosine cost."""

    def transport(u: torch.Tensor, v: torch.Tensor) -> float:
        u, v = (torch.nn.functional.normalize(z.double(), dim=1) for z in (u, v))
        cost = (1 - u @ v.T).numpy()
        a, b = (torch.full((len(z),), 1 / len(z), dtype=torch.float64).numpy() for z in (u, v))
        plan = pot.sinkhorn(a, b, cost, epsilon, stopThr=1e-12, numItermax=100_000)
        prior = a[:, None] * b[None, :]
        return float(
            (plan * cost).sum() + epsilon * (plan * torch.log(torch.tensor(plan / prior)).numpy()).sum()
        )

    return transport(x, y) - (transport(x, x) + transport(y, y)) / 2


def test_the_divergence_is_the_mean_of_the_pairs_divergences() -> None:
    batch = pairs()
    expected = [
        reference_divergence(x[m], y[n], 0.1)
        for x, m, y, n in zip(
            batch.source.vectors, batch.source.mask, batch.target.vectors, batch.target.mask, strict=True
        )
    ]
    assert optimal_transport(batch, SHARP).value.item() == pytest.approx(sum(expected) / 2, abs=1e-4)


def test_batch_scope_is_one_cloud_of_all_words() -> None:
    batch = pairs()
    x, y = batch.source.vectors[batch.source.mask], batch.target.vectors[batch.target.mask]
    # One cloud weighs a word by its sentence's share, 1/B, over that sentence's words: take equal lengths to compare.
    uniform = replace(
        batch,
        source_weights=batch.source.mask / batch.source.mask.sum(),
        target_weights=batch.target.mask / batch.target.mask.sum(),
    )
    found = optimal_transport(uniform, replace(SHARP, scope="batch")).value.item()
    assert found == pytest.approx(reference_divergence(x, y, 0.1), abs=1e-4)


def test_identical_sides_have_divergence_zero() -> None:
    batch = pairs()
    same = replace(batch, target=batch.source, target_weights=batch.source_weights)
    for scope in ("pair", "batch"):
        assert optimal_transport(same, replace(SHARP, scope=scope)).value.item() == pytest.approx(0, abs=1e-5)


def test_the_anchor_is_the_squared_distance_to_the_start_without_padding() -> None:
    batch = pairs()
    start = torch.randn_like(batch.target.vectors)
    by_hand = sum(
        float(((v - s) ** 2).sum())
        for row, begin, mask in zip(batch.target.vectors, start, batch.target.mask, strict=True)
        for v, s, real in zip(row, begin, mask, strict=True)
        if real
    )
    batch = replace(batch, start=start)
    assert stay_close(batch, SHARP).value.item() == pytest.approx(by_hand, rel=1e-5)
    mean = stay_close(batch, replace(SHARP, anchor_reduction="mean"))
    assert mean.value.item() == pytest.approx(by_hand / 5, rel=1e-5)
    assert mean.metrics["drift"].item() == pytest.approx(by_hand / 5, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_step_split_by_a_token_budget_has_the_gradient_of_the_whole(
    tmp_path: Path, tiny_encoder: TorchEncoder, reduction: str
) -> None:
    config = replace(SHARP, anchor_reduction=reduction)
    start = CopiedStart(tiny_encoder, lambda e, t: encode_units(e, t, config), dtype=torch.float32)
    with torch.no_grad():  # away from the start, so that the anchor pulls
        for weight in tiny_encoder.model.parameters():
            weight.mul_(1.1)
    gradients = []
    for budget in (None, 12):
        tiny_encoder.model.zero_grad()
        module = AlignmentModel(tiny_encoder, config, start=start)
        batches = batch_of(tmp_path, tiny_encoder, budget=budget)
        assert len(batches) == (1 if budget is None else 2 if len(batches) == 2 else 3)
        for batch in batches:
            torch.stack(list(module(batch).parts.values())).sum().backward()
        gradients.append([w.grad.clone() for w in tiny_encoder.model.parameters() if w.grad is not None])
    for whole, split in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, split, rtol=2e-3, atol=1e-4)


def test_the_loss_moves_the_encoder_and_only_what_lies_below_the_layer(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    (batch,) = batch_of(tmp_path, tiny_encoder)
    module = AlignmentModel(tiny_encoder, replace(SHARP, losses=(("ot", 1.0),), layers=(1,)))
    module(batch).parts["ot"].backward()
    moved = {name for name, weight in tiny_encoder.model.named_parameters() if weight.grad is not None}
    assert any(name.startswith("encoder.layer.0.") for name in moved)
    assert not any(name.startswith("encoder.layer.1.") for name in moved)
    assert "embeddings.word_embeddings.weight" in moved


def test_the_printed_sign_is_a_slip_a_step_down_brings_the_languages_together(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    (batch,) = batch_of(tmp_path, tiny_encoder)
    module = AlignmentModel(tiny_encoder, replace(SHARP, losses=(("ot", 1.0),)))
    adam = torch.optim.Adam(tiny_encoder.model.parameters(), lr=1e-3)
    values = []
    for _ in range(10):
        loss = module(batch).parts["ot"]
        values.append(loss.item())
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert 0 <= values[-1] < 0.5 * values[0]


@pytest.mark.parametrize("granularity", ["word", "subword"])
def test_cached_and_copied_starts_agree(tmp_path: Path, tiny_encoder: TorchEncoder, granularity: str) -> None:
    config = replace(SHARP, granularity=granularity)

    def encode(encoder: TorchEncoder, tokens):  # type: ignore[no-untyped-def]
        return encode_units(encoder, tokens, config)

    (batch,) = batch_of(tmp_path, tiny_encoder)
    copied = CopiedStart(tiny_encoder, encode, dtype=torch.float32)
    cached = CachedStart(copied, tiny_encoder, [open_corpus(tmp_path / "de-en.tsv")])
    expected = encode(tiny_encoder, batch.target).vectors
    with torch.no_grad():
        for weight in tiny_encoder.model.parameters():
            weight.zero_()
    torch.testing.assert_close(copied.vectors(batch, batch.target), expected, rtol=1e-5, atol=1e-5)
    # Half precision: ten bits of mantissa.
    torch.testing.assert_close(cached.vectors(batch, batch.target), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("weights", ["uniform", "idf", "norm"])
def test_marginals_are_distributions_over_the_words(
    tmp_path: Path, tiny_encoder: TorchEncoder, weights: str
) -> None:
    (batch,) = batch_of(tmp_path, tiny_encoder)
    rarity = torch.linspace(1, 2, tiny_encoder.model.config.vocab_size)
    module = AlignmentModel(
        tiny_encoder,
        replace(SHARP, weights=weights, losses=(("ot", 1.0),)),
        inverse_document_frequency=rarity,
    )
    found = module.encode(batch)
    for side, mask in ((found.source_weights, found.source.mask), (found.target_weights, found.target.mask)):
        torch.testing.assert_close(side.sum(1), torch.ones(3))
        assert bool((side[~mask] == 0).all())
        assert bool((side[mask] > 0).all())
    torch.stack(list(module(batch).parts.values())).sum().backward()


def test_rarity_is_counted_in_the_corpus_and_weighs_the_words(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    (batch,) = batch_of(tmp_path, tiny_encoder)
    corpus = open_corpus(tmp_path / "de-en.tsv")
    rarity = inverse_document_frequency(tiny_encoder, [corpus])
    texts = [
        text for pair in map(corpus.__getitem__, range(len(corpus))) for text in (pair.source, pair.target)
    ]
    tokens = [set(tiny_encoder.tokenize([text.split()]).ids[0].tolist()) for text in texts]
    for piece in range(len(rarity)):
        holding = sum(piece in each for each in tokens)
        assert float(rarity[piece]) == pytest.approx(math.log((1 + len(texts)) / (1 + holding)) + 1, rel=1e-5)
    # What the run skips is not counted: a side that is too long, and all sides of a corpus of such.
    long = " ".join(["das"] * (tiny_encoder.max_tokens + 1))
    whole = (tmp_path / "de-en.tsv").read_text(encoding="utf-8").rstrip("\n")
    for name, text in (("long", f"{long}\t{long}\n"), ("more", f"{whole}\n{long}\t{long}\n")):
        (tmp_path / f"{name}.de-en.tsv").write_text(text, encoding="utf-8")
    more = [open_corpus(tmp_path / f"{name}.de-en.tsv") for name in ("long", "more")]
    assert torch.equal(inverse_document_frequency(tiny_encoder, more), rarity)
    assert rarity.unique().numel() > 2
    module = AlignmentModel(
        tiny_encoder, replace(SHARP, weights="idf", losses=(("ot", 1.0),)), inverse_document_frequency=rarity
    )
    found = module.encode(batch)
    for tokens_of, weights in ((batch.source, found.source_weights), (batch.target, found.target_weights)):
        for row in range(len(tokens_of)):
            words = [
                rarity[tokens_of.ids[row][tokens_of.word_ids[row] == word]].mean()
                for word in range(tokens_of.counts[row])
            ]
            expected = torch.stack(words) / sum(words)
            torch.testing.assert_close(weights[row, : len(words)], expected)


def test_dropout_is_off_unless_asked_for(tiny_encoder: TorchEncoder) -> None:
    for dropout in (False, True):
        module = AlignmentModel(tiny_encoder, replace(SHARP, losses=(("ot", 1.0),), dropout=dropout)).train()
        assert module.training
        assert tiny_encoder.model.training is dropout


def test_unknown_names_are_answered_with_the_choices() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown objective 'oto'; did you mean 'ot'\? choose from: ot, ot-value"
    ):
        ObjectiveSettings(losses=(("oto", 1.0),))
    with pytest.raises(ConfigError, match="unknown scope 'sentence'"):
        ObjectiveSettings(scope="sentence")
    with pytest.raises(ConfigError, match="no objective is named"):
        ObjectiveSettings(losses=())
