"""Prediction-consistency: against torch's own divergence, by finite differences, and with known answers for spans."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import kl_div

from otkit.encoders.torch import TorchEncoder
from otkit.training.agreement import CopyBatch, agreement, span_agreement
from otkit.training.heads import ClassBatch, Classifier, HeadConfig
from otkit.training.joint import JointModel
from otkit.training.settings import TransferSettings
from tests.training.test_heads import PAIRS, encoder, inputs

__all__ = ["encoder"]  # a fixture


def logits(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_divergence_is_torch_s_and_its_gradient_that_of_finite_differences(temperature: float) -> None:
    english, other = logits(4, 3), logits(4, 3, seed=1).requires_grad_()
    expected = temperature**2 * kl_div(
        (other / temperature).log_softmax(-1), (english / temperature).softmax(-1), reduction="batchmean"
    )
    torch.testing.assert_close(
        agreement(english, other, temperature).double(), expected, rtol=1e-5, atol=1e-6
    )
    assert float(agreement(english, english, temperature)) == pytest.approx(0, abs=1e-6)
    value = agreement(english, other, temperature)
    value.backward()
    assert other.grad is not None
    step = torch.zeros_like(english)
    step[1, 2] = 1e-2
    moved = [agreement(english, other.detach() + sign * step, temperature) for sign in (1, -1)]
    assert float(moved[0] - moved[1]) / 2e-2 == pytest.approx(float(other.grad[1, 2]), abs=2e-4)


def test_spans_that_are_carried_one_to_one_agree_as_classes_do() -> None:
    english, other = logits(2, 5), logits(2, 5, seed=1)
    spread = torch.eye(5).expand(2, 5, 5)
    torch.testing.assert_close(span_agreement(english, other, spread, 1.0), agreement(english, other, 1.0))
    backwards = spread.flip(2)
    torch.testing.assert_close(
        span_agreement(english, other.flip(1), backwards, 1.0), agreement(english, other, 1.0)
    )


def test_an_answer_counts_by_what_of_it_is_carried_and_padding_is_no_trouble() -> None:
    english = torch.tensor([[0.6, 0.3, 0.1]]).log()
    other = torch.tensor([[1.0, 2.0, -torch.inf]], requires_grad=True)
    spread = torch.zeros(1, 3, 3)
    spread[0, 0, 0], spread[0, 1, 1] = 1, 0.5  # half of the second and all of the third are lost
    found = span_agreement(english, other, spread, 1.0)
    wanted = torch.tensor([0.8, 0.2])
    expected = 0.75 * (wanted * (wanted.log() - torch.tensor([1.0, 2.0]).log_softmax(-1))).sum()
    torch.testing.assert_close(found, expected)
    found.backward()
    assert other.grad is not None
    assert bool(torch.isfinite(other.grad).all())


def test_a_copy_has_the_task_s_loss_and_agrees_with_the_english_answer(encoder: TorchEncoder) -> None:
    torch.manual_seed(0)
    head = Classifier(encoder, HeadConfig(pooling="mean", dropout=0.0), labels=3)
    settings = TransferSettings(copy_weight=0.5, consistency=2.0, consistency_temperature=3.0)
    module = JointModel(head, None, settings).eval()
    labels, members = torch.tensor([0, 1, 2]), (4, 5, 6)
    english = ClassBatch(inputs(encoder, PAIRS), labels, members)
    copy = ClassBatch(inputs(encoder, [(two, one) for one, two in PAIRS]), labels, members)
    alone = module(CopyBatch(english.inputs, copy))
    module(english)
    remembered = module(CopyBatch(english.inputs, copy))
    answers = [head.logits(batch.inputs) for batch in (english, copy)]
    for found in (alone, remembered):
        torch.testing.assert_close(found.parts["copy/loss"], 0.5 * head(copy).parts["loss"])
        torch.testing.assert_close(
            found.parts["copy/prediction-consistency"], 2 * agreement(answers[0], answers[1], 3.0)
        )
    encoder.model.zero_grad()
    agreement(answers[0].detach(), answers[1], 3.0).backward()
    expected = 2 * head.out.weight.grad
    head.zero_grad()
    remembered.parts["copy/prediction-consistency"].backward()
    torch.testing.assert_close(head.out.weight.grad, expected)
    unlabelled = module(CopyBatch(english.inputs, copy, labelled=False))
    assert not unlabelled.parts, "neighbours weigh nothing unless asked for"
