"""Heads: losses as computed by hand, frozen parts that stay, batches that come again, saving and loading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import processors

from otkit.encoders.open import open_encoder
from otkit.encoders.pairs import JointInputs, PairTokenizer, collate, shorten_pair
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ConfigError
from otkit.training.example_source import ExampleSource
from otkit.training.heads import (
    ClassBatch,
    Classifier,
    HeadConfig,
    SpanBatch,
    SpanFinder,
    load_head,
    save_head,
)
from otkit.training.tuning import freeze
from tests.conftest import give_pair_form


@pytest.fixture
def encoder(tiny_encoder: TorchEncoder) -> TorchEncoder:
    """The tiny encoder with a form for two texts."""
    give_pair_form(tiny_encoder)
    return tiny_encoder


def inputs(encoder: TorchEncoder, pairs: Sequence[tuple[str, str]]) -> JointInputs:
    tokenizer = PairTokenizer(encoder)
    pieces = tokenizer.pieces(text for pair in pairs for text in pair)
    rows = [tokenizer.join(pieces[a].ids, pieces[b].ids) for a, b in pairs]
    return collate(rows, padding=tokenizer.padding, typed=True)


PAIRS = [("das haus", "the house"), ("ein kleines haus ist klein", "a house is small"), ("der", "the")]


# Two texts as one input


def test_joined_texts_are_what_the_tokenizer_itself_makes_of_two_texts(encoder: TorchEncoder) -> None:
    found = inputs(encoder, PAIRS)
    for row, pair in enumerate(PAIRS):
        whole = encoder.tokenizer.backend_tokenizer.encode(*pair)
        length = int(found.attention[row].sum())
        assert found.ids[row, :length].tolist() == whole.ids
        assert found.types is not None
        assert found.types[row, :length].tolist() == whole.type_ids
        assert (found.ids[row, length:] == 0).all()


def test_the_sample_tokenizer_has_its_own_form(sample_encoder: TorchEncoder) -> None:
    tokenizer = PairTokenizer(sample_encoder)
    text = ("Wer kommt mit?", "今天天气很好。")
    pieces = tokenizer.pieces(text)
    ids, _ = tokenizer.join(pieces[text[0]].ids, pieces[text[1]].ids)
    assert ids.tolist() == sample_encoder.tokenizer(*text)["input_ids"]
    assert (tokenizer.lead, tokenizer.middle, tokenizer.added) == (1, 2, 4)


def test_a_tokenizer_without_a_form_for_two_texts_is_refused(tiny_encoder: TorchEncoder) -> None:
    tiny_encoder.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A $B:1", special_tokens=[]
    )
    with pytest.raises(CheckpointError, match="no form for two texts"):
        PairTokenizer(tiny_encoder)


@pytest.mark.parametrize("room", [2, 3, 7, 8, 11, 15, 30])
def test_pairs_lose_tokens_where_the_tokenizer_takes_them_but_for_the_odd_one(
    encoder: TorchEncoder, room: int
) -> None:
    backend = encoder.tokenizer.backend_tokenizer
    backend.enable_truncation(room + 3, strategy="longest_first")
    for first, second in (("abcdefgh", "abc"), ("abc", "abcdefghij"), ("abcdef", "abcdef"), ("a", "b")):
        a, b = (np.arange(len(text), dtype=np.int32) for text in (first, second))
        cut = [len(side) for side in shorten_pair(a, b, room)]
        assert sum(cut) == min(room, len(a) + len(b))
        whole = backend.encode(" ".join(first), " ".join(second))
        expected = [whole.sequence_ids.count(side) for side in (0, 1)]
        assert sum(expected) == sum(cut)
        # The odd token goes to the first text, as in XTREME's code; `tokenizers` leaves it to the second.
        assert cut[0] - expected[0] in (0, 1)
    backend.no_truncation()


# Losses


def test_the_classifier_s_loss_is_the_cross_entropy_of_its_logits(encoder: TorchEncoder) -> None:
    for pooling in ("cls", "mean"):
        head = Classifier(encoder, HeadConfig(pooling=pooling), labels=3).eval()
        batch = ClassBatch(inputs(encoder, PAIRS), torch.tensor([0, 2, 1]), (0, 1, 2))
        shares = head.logits(batch.inputs).softmax(-1)
        by_hand = -shares[torch.arange(3), batch.labels].log().mean()
        losses = head(batch)
        assert losses.parts["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)
        right = (shares.argmax(-1) == batch.labels).float().mean()
        assert float(losses.metrics["accuracy"]) == float(right)


def test_padding_changes_no_logit(encoder: TorchEncoder) -> None:
    for head in (
        Classifier(encoder, HeadConfig(pooling="mean"), labels=3),
        Classifier(encoder, HeadConfig(), labels=3),
        SpanFinder(encoder, HeadConfig()),
    ):
        head.eval()
        together = head.logits(inputs(encoder, PAIRS))
        for row, pair in enumerate(PAIRS):
            alone = head.logits(inputs(encoder, [pair]))[0]
            torch.testing.assert_close(together[row][: len(alone)], alone, atol=1e-5, rtol=1e-4)


def test_the_span_loss_is_the_mean_over_both_ends_and_padding_has_no_share(encoder: TorchEncoder) -> None:
    head = SpanFinder(encoder, HeadConfig()).eval()
    batch = SpanBatch(inputs(encoder, PAIRS), torch.tensor([3, 0, 1]), torch.tensor([4, 0, 1]), (0, 1, 2))
    logits = head.logits(batch.inputs)
    assert torch.isinf(logits[~batch.inputs.attention]).all()
    shares = logits.softmax(1)
    rows = torch.arange(3)
    by_hand = -(shares[rows, batch.starts, 0].log() + shares[rows, batch.ends, 1].log()).mean() / 2
    assert head(batch).parts["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_gradients_agree_with_finite_differences(encoder: TorchEncoder) -> None:
    encoder.model.double()
    head = Classifier(encoder, HeadConfig(pooling="mean", dropout=0.0), labels=3).double().eval()
    batch = ClassBatch(inputs(encoder, PAIRS), torch.tensor([0, 2, 1]), (0, 1, 2))
    weight = encoder.model.encoder.layer[0].output.dense.weight

    def loss() -> float:
        return float(torch.nn.functional.cross_entropy(head.logits(batch.inputs), batch.labels))

    torch.nn.functional.cross_entropy(head.logits(batch.inputs), batch.labels).backward()
    for place in ((0, 0), (5, 7)):
        with torch.no_grad():
            weight[place] += 1e-5
            above = loss()
            weight[place] -= 2e-5
            below = loss()
            weight[place] += 1e-5
        assert float(weight.grad[place]) == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_frozen_parts_get_no_gradient_and_all_others_do(encoder: TorchEncoder, layers: int) -> None:
    head = Classifier(encoder, HeadConfig(pooling="mean", frozen=layers), labels=3)
    head(ClassBatch(inputs(encoder, PAIRS), torch.tensor([0, 2, 1]), (0, 1, 2))).parts["loss"].backward()
    moved = {name for name, weight in head.named_parameters() if weight.grad is not None}
    still = {name for name, weight in head.named_parameters() if weight.grad is None}
    below = ("model.embeddings", *(f"model.encoder.layer.{number}." for number in range(layers)))
    assert all(name.startswith(below) for name in still)
    assert not any(name.startswith(below) for name in moved)


def test_more_layers_than_there_are_cannot_be_frozen(encoder: TorchEncoder) -> None:
    with pytest.raises(ConfigError, match="the encoder has no layer 3; count from 0"):
        freeze(encoder, 3)


def test_the_first_token_s_head_starts_from_the_encoder_s_own_pooler(encoder: TorchEncoder) -> None:
    from transformers.models.bert.modeling_bert import BertPooler

    encoder.model.pooler = BertPooler(encoder.model.config)
    head = Classifier(encoder, HeadConfig(), labels=3)
    assert head.dense is not None
    torch.testing.assert_close(head.dense.weight, encoder.model.pooler.dense.weight)
    assert head.dense.weight is not encoder.model.pooler.dense.weight


# Batches


def batch_of(members: Sequence[int]) -> ClassBatch:
    return ClassBatch(None, torch.zeros(len(members)), tuple(members))  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [1, 4])
def test_an_epoch_has_every_example_once_and_epochs_differ(window: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 90, 50).tolist()
    source = ExampleSource(lengths, batch_of, batch_size=8, window=window, seed=3)
    assert source.micro_steps_per_epoch == 7
    batches = [batch.indices for (batch,) in source.micro_steps(0, 14)]
    epochs = [sum(batches[:7], ()), sum(batches[7:], ())]
    assert [sorted(epoch) for epoch in epochs] == [list(range(50))] * 2
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("start", [1, 6, 7, 9, 15])
def test_batches_from_the_middle_are_those_of_the_whole_run(start: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 90, 50).tolist()
    source = ExampleSource(lengths, batch_of, batch_size=8, window=3, seed=3)
    whole = [batch.indices for (batch,) in source.micro_steps(0, 20)]
    assert [batch.indices for (batch,) in source.micro_steps(start, 20)] == whole[start:]
    for stride in (2, 3, 9):
        own = [batch.indices for (batch,) in source.micro_steps(start, 20, stride)]
        assert own == whole[start::stride]


def test_windows_save_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 512).tolist()

    def padded(window: int) -> int:
        source = ExampleSource(lengths, batch_of, batch_size=16, window=window)
        steps = source.micro_steps(0, source.micro_steps_per_epoch)
        return sum(max(lengths[i] for i in batch.indices) * len(batch.indices) for (batch,) in steps)

    assert padded(16) < 0.7 * padded(1)


# Saved and loaded


@pytest.mark.parametrize("kind", [Classifier, SpanFinder])
def test_a_saved_head_gives_the_same_logits_again(
    kind: type[Classifier] | type[SpanFinder], encoder: TorchEncoder, tmp_path: Path
) -> None:
    config = HeadConfig(pooling="cls", dropout=0.2, frozen=1)
    head = (
        Classifier(encoder, config, labels=3) if kind is Classifier else SpanFinder(encoder, config)
    ).eval()
    batch = inputs(encoder, PAIRS)
    before = head.logits(batch)
    save_head(head, tmp_path / "tuned", {"task": "test"})
    opened = open_encoder(tmp_path / "tuned", device="cpu")
    assert isinstance(opened, TorchEncoder)
    again = load_head(opened, tmp_path / "tuned").eval()
    assert isinstance(again, kind)
    assert again.config == config
    torch.testing.assert_close(again.logits(batch), before, atol=1e-6, rtol=1e-5)


def test_a_folder_without_a_head_is_named(encoder: TorchEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "plain")
    with pytest.raises(CheckpointError, match=r"head\.safetensors: holds no head.*--save-heads"):
        load_head(encoder, tmp_path / "plain")


def test_a_head_of_another_width_is_refused(encoder: TorchEncoder, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_head(Classifier(encoder, HeadConfig(), labels=3), tmp_path / "tuned", {})
    path = tmp_path / "tuned" / "head.safetensors"
    weights = load_file(path)
    save_file({name: value for name, value in weights.items() if name != "dense.bias"}, path)
    with pytest.raises(CheckpointError, match=r"do not fit the head .*dense\.bias"):
        load_head(encoder, tmp_path / "tuned")
