"""Whether two encoders are the same one, whatever their folders are called."""

from __future__ import annotations

import hashlib

import torch

from otkit.encoders.encoder import Encoder, TorchEncoder
from otkit.errors import ConfigError
from otkit.files import sha256_of

__all__ = ["weights_sha256"]


def weights_sha256(encoder: Encoder) -> str:
    """A hash of every byte of every weight: equal for equal encoders, on whatever device they lie."""
    digest = hashlib.sha256()
    if isinstance(encoder, TorchEncoder):
        for name, tensor in sorted(encoder.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            if hasattr(tensor, "full_tensor"):  # shards (FSDP): all processes come here
                tensor = tensor.full_tensor()
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()
    from otkit.encoders.onnx import (
        OnnxEncoder,  # here: it takes a while to load, and most encoders are torch's
    )

    if not isinstance(encoder, OnnxEncoder):
        raise ConfigError(f"an encoder of the kind {type(encoder).__name__} has no weights to compare")
    for file in sorted(encoder.path.parent.glob(f"{encoder.path.name}*")):
        digest.update(sha256_of(file).encode())
    return digest.hexdigest()
