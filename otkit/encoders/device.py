"""Which device to compute on and in which precision, from the words of `--device` and `--precision`."""

from __future__ import annotations

import contextlib
import re

import torch
from torch import Tensor

from otkit.errors import ConfigError, choose

__all__ = ["PRECISIONS", "autocast", "choose_device", "multiplies_in", "send", "slow_precision"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.int8}
"""What an encoder multiplies in; vectors and transport are fp32 in any case. For int8 an encoder becomes another
one (see `otkit.exports.cached`)."""


def choose_device(name: str = "auto") -> torch.device:
    """`auto` (CUDA, else Apple's GPU, else CPU), `cpu`, `cuda`, `cuda:N`, `mps`; ConfigError when it is not
    there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name in ("mps", "mps:0"):  # which is what torch calls it
        if not torch.backends.mps.is_available():
            raise ConfigError(
                "this machine has no Apple GPU (mps)",
                remedy="use `device='cpu'` or `device='auto'`",
                setting="device",
            )
        return torch.device("mps")
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise ConfigError(
            f"unknown device {name!r}",
            remedy="choose from: auto, cpu, cuda, cuda:N, mps",
            setting="device",
        )
    if not torch.cuda.is_available():
        raise ConfigError(
            f"no CUDA device can be used here, and {name} was asked for",
            remedy=("use `device='cpu'`", "install a CUDA build of torch"),
            setting="device",
        )
    number = int(match.group(1) or 0)
    if number >= torch.cuda.device_count():
        raise ConfigError(
            f"there is no CUDA device {number}",
            remedy=f"choose from 0 to {torch.cuda.device_count() - 1}",
            setting="device",
        )
    return torch.device("cuda", number)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[None]:
    """Multiply in a half precision on a device; fp32 and int8 leave everything as it is."""
    dtype = choose(precision, PRECISIONS, what="precision")
    return torch.autocast(device.type, dtype=dtype, enabled=dtype in (torch.bfloat16, torch.float16))


# What torch asks itself before it gives products of a half precision to oneDNN; others it computes one by one.
_PROCESSOR_CHECKS = {
    torch.bfloat16: "_is_mkldnn_bf16_supported",
    torch.float16: "_is_mkldnn_fp16_supported",
}


def multiplies_in(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a device has instructions for products of `dtype`.

    A processor without them (x86 before AVX-512, many ARM cores) takes some sixty times as long in half precision as
    in fp32.
    """
    if device.type != "cpu" or dtype not in _PROCESSOR_CHECKS:
        return True
    check = getattr(torch.ops.mkldnn, _PROCESSOR_CHECKS[dtype], None)
    return check is not None and bool(check())


def slow_precision(device: torch.device, precision: str) -> str | None:
    """What a person should know who asked for a precision that the device has no instructions for."""
    if multiplies_in(device, choose(precision, PRECISIONS, what="precision")):
        return None
    return f"this processor has no instructions for {precision}: fp32 will be many times faster"


def send(values: Tensor, device: torch.device | str) -> Tensor:
    """The values on a device, without waiting for what a CUDA device still does."""
    device = torch.device(device)
    return values.to(device, non_blocking=device.type == "cuda")
