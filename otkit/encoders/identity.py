"""Whether two encoders are the same one, whatever their folders are called."""

from __future__ import annotations

import hashlib

import torch

from otkit.encoders.encoder import Encoder, TorchEncoder
from otkit.encoders.onnx import OnnxEncoder
from otkit.errors import ConfigError
from otkit.files import sha256_of

__all__ = ["weights_sha256"]


def weights_sha256(encoder: Encoder) -> str:
    """A hash of every weight: equal for equal encoders."""
    digest = hashlib.sha256()
    if isinstance(encoder, TorchEncoder):
        for name, tensor in sorted(encoder.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(encoder, OnnxEncoder):
        for file in sorted(encoder.path.parent.glob(f"{encoder.path.name}*")):
            digest.update(sha256_of(file).encode())
    else:
        raise ConfigError(f"an encoder of the kind {type(encoder).__name__} has no weights to compare")
    return digest.hexdigest()
