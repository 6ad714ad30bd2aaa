"""Which device to compute on and in which precision, from the words of `--device` and `--precision`."""

from __future__ import annotations

import contextlib
import re

import torch
from torch import Tensor

from otkit.errors import ConfigError, choose

__all__ = ["PRECISIONS", "autocast", "choose_device", "send"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What an encoder multiplies in; vectors and transport are fp32 in any case."""


def choose_device(name: str = "auto") -> torch.device:
    """`auto` (CUDA, else Apple's GPU, else CPU), `cpu`, `cuda`, `cuda:N`, `mps`; ConfigError when it is not
    there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError("this machine has no Apple GPU (mps)", remedy="use --device cpu or auto")
        return torch.device("mps")
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise ConfigError(f"unknown device {name!r}", remedy="choose from: auto, cpu, cuda, cuda:N, mps")
    if not torch.cuda.is_available():
        raise ConfigError(
            "no CUDA device can be used here", remedy="use --device cpu, or install a CUDA build of torch"
        )
    number = int(match.group(1) or 0)
    if number >= torch.cuda.device_count():
        raise ConfigError(
            f"there is no CUDA device {number}", remedy=f"choose from 0 to {torch.cuda.device_count() - 1}"
        )
    return torch.device("cuda", number)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[None]:
    """Multiply in a precision of `PRECISIONS` on a device; fp32 leaves everything as it is."""
    dtype = choose(precision, PRECISIONS, what="precision")
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def send(values: Tensor, device: torch.device | str) -> Tensor:
    """The values on a device, without waiting for what a CUDA device still does."""
    device = torch.device(device)
    return values.to(device, non_blocking=device.type == "cuda")
