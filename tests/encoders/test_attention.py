"""The kernel of attention in training: only where it is the quicker one, and with the same gradient."""

from __future__ import annotations

import torch
from torch import nn

from otkit.encoders.torch import TorchEncoder, attention_kernel

SENTENCES = [("the", "house", "is", "small"), ("das", "haus")]


def fused() -> bool:
    return torch.backends.cuda.flash_sdp_enabled()


def test_plain_products_serve_short_half_precision_batches_that_want_a_gradient() -> None:
    model, short, long = nn.Linear(1, 1), torch.zeros(2, 20), torch.zeros(2, 200)
    with torch.autocast("cpu", torch.bfloat16):
        with attention_kernel(model, short):
            assert not fused()
        assert fused()
        with attention_kernel(model, long):
            assert fused()
        with torch.no_grad(), attention_kernel(model, short):
            assert fused()
        model.gradient_checkpointing = True  # type: ignore[assignment]
        with attention_kernel(model, short):
            assert fused()
    del model.gradient_checkpointing
    with attention_kernel(model, short):
        assert fused()


def test_half_precision_has_the_gradient_of_full_precision(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.tokenize(SENTENCES)
    direction = torch.randn(tiny_encoder.dimension, generator=torch.Generator().manual_seed(0))
    gradients = []
    for enabled in (False, True):
        tiny_encoder.model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            (states,) = tiny_encoder.hidden_states(tokens, layers=[-1])
        (states.float()[tokens.attention] @ direction).square().mean().backward()
        weight = tiny_encoder.model.get_submodule("encoder.layer.0.attention.self.query").get_parameter(
            "weight"
        )
        assert weight.grad is not None
        gradients.append(weight.grad.clone())
    # bfloat16 keeps eight bits.
    error = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    assert float(error) < 0.1
