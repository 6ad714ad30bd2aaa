"""Which kernel computes the attention of a batch that is trained on."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["attention_kernel"]

# Padded subwords of a sentence from which torch's fused kernel is the faster one again.
_LONG = 160


def attention_kernel(model: nn.Module, ids: Tensor) -> contextlib.AbstractContextManager[None]:
    """For a forward pass of `model` over ids (B,T): two products and a softmax where a gradient is wanted in
    half precision on a processor, else torch's own choice.

    There the fused kernel takes fifteen times as long for the gradient of 8 sentences of 20 subwords and four times
    as long at 96 (torch 2.13, AVX-512): its blocks are made for long texts. Layers that the backward pass
    computes again are left alone: there the choice would be forgotten.
    """
    if (
        ids.device.type == "cpu"
        and ids.shape[1] < _LONG
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    ):
        return sdpa_kernel([SDPBackend.MATH])
    return contextlib.nullcontext()
