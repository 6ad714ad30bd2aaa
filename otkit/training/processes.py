"""How a run is spread and watched: accelerate's processes, precision and trackers, set up for the loop."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.state import AcceleratorState, PartialState, is_initialized  # type: ignore[import-untyped]
from accelerate.utils import DistributedDataParallelKwargs, DistributedType  # type: ignore[import-untyped]
from torch import nn
from torch.distributed.fsdp import FSDPModule

from otkit.errors import ConfigError, TrainingError, choose, require_extra
from otkit.training.schedule import PRECISIONS
from otkit.training.settings import TrainingSettings

__all__ = [
    "TRACKERS",
    "check_trained_in",
    "flat_settings",
    "gather_weights",
    "is_main_process",
    "launched_processes",
    "local_device",
    "number_of_processes",
    "open_accelerator",
    "prepare",
    "synchronised",
    "whole_weights",
]

# Trackers of accelerate, and the module that each needs.
TRACKERS = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "comet_ml": "comet_ml",
    "aim": "aim",
    "clearml": "clearml",
    "dvclive": "dvclive",
    "swanlab": "swanlab",
    "trackio": "trackio",
}


def _settle_on(device: torch.device) -> None:
    """Let accelerate begin on this device: it keeps that of a process's first run for all later ones, and knows of the
    GPUs of one process only which is the current one."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    begun = bool(PartialState._shared_state)
    if begun and launched_processes() == 1 and PartialState().device.type != device.type:
        AcceleratorState._reset_state(reset_partial_state=True)


def open_accelerator(
    config: TrainingSettings, folder: Path, log_to: Sequence[str], *, device: torch.device
) -> Accelerator:
    """accelerate, as a run needs it; unknown trackers, and those whose package is missing, are errors."""
    for name in log_to:
        choose(name, TRACKERS, what="tracker")
        require_extra(TRACKERS[name], extra="trackers" if name == "tensorboard" else None)
    check_trained_in(device, config.precision)
    _settle_on(device)
    # So it does with the precision.
    if is_initialized() and AcceleratorState().mixed_precision != PRECISIONS[config.precision]:
        AcceleratorState._reset_state()
    accelerator = Accelerator(
        mixed_precision=PRECISIONS[config.precision],
        cpu=device.type == "cpu",
        # Else the rate would move on by as many steps as there are processes.
        step_scheduler_with_optimizer=False,
        log_with=list(log_to) or None,
        project_dir=str(folder / "logs") if log_to else None,
        # Layers above the highest chosen one have no gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    # An interpreter that ends while the threads of its process group run is aborted now and then. Not at the end of
    # a run: the next one of the same process needs the group.
    atexit.register(accelerator.state.destroy_process_group)
    return accelerator


def launched_processes() -> int:
    """How many processes run this (`accelerate launch`, torchrun)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """True in the one process of several (`accelerate launch`, torchrun) that speaks and writes."""
    return int(os.environ.get("RANK", "0")) == 0


def local_device(device: str) -> str:
    """The device of this process: with several, each has the CUDA device of its own number."""
    number = os.environ.get("LOCAL_RANK")
    if device in ("auto", "cuda") and number is not None and torch.cuda.is_available():
        return f"cuda:{number}"
    return device


def check_trained_in(device: torch.device, precision: str) -> None:
    """Refuse what accelerate would silently train in fp32."""
    if device.type == "cpu" and precision == "fp16":
        raise ConfigError("fp16 is trained in on a GPU only", remedy="use bf16 or fp32", setting="precision")


def number_of_processes(device: torch.device) -> int:
    """How many processes share the run."""
    _settle_on(device)
    return int(PartialState(cpu=device.type == "cpu").num_processes)


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, float | int | str | bool]:
    """Nested settings as one table of plain values, as trackers take them."""
    flat: dict[str, float | int | str | bool] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flat_settings(value, f"{prefix}{name}/"))
        else:
            flat[f"{prefix}{name}"] = (
                value if isinstance(value, bool | int | float | str) else json.dumps(value, allow_nan=False)
            )
    return flat


def synchronised(
    accelerator: Accelerator, model: nn.Module, last: bool
) -> contextlib.AbstractContextManager[None]:
    """Gradients travel between processes once a step, with its last batch."""
    return contextlib.nullcontext() if last else accelerator.no_sync(model)


@contextlib.contextmanager
def whole_weights(model: nn.Module) -> Iterator[bool]:
    """Every process holds all weights for a while, and its own shard of them afterwards; gives whether they are
    sharded at all."""
    sharded = gather_weights(model)
    try:
        yield bool(sharded)
    finally:
        for module in sharded:
            module.reshard()


def gather_weights(model: nn.Module) -> list[FSDPModule]:
    """Put the weights of a sharded model (FSDP) together in every process, for what reads them outside the
    model's own forward pass; returns its sharded parts, none for any other model. All processes must come here.
    """
    sharded: list[FSDPModule] = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for module in sharded:
        module.unshard()
    return sharded


def prepare(
    accelerator: Accelerator, module: nn.Module, *rest: Any
) -> tuple[nn.Module, list[nn.Parameter], tuple[Any, ...]]:
    """The module as the processes train it, its trained weights, and what else was prepared with it."""
    sharding = accelerator.distributed_type == DistributedType.FSDP
    if sharding and accelerator.state.fsdp_plugin.fsdp_version == 1:
        raise TrainingError(
            "FSDP of version 1 flattens the weights that an alignment reads",
            remedy="use version 2: accelerate launch --use_fsdp --fsdp_version 2 ..., or plain DDP",
        )
    model, *others = accelerator.prepare(module, *rest)
    if isinstance(model, FSDPModule):
        if getattr(module, "needs_whole_weights", False):
            raise TrainingError(
                "adapters and the parameter anchor need every weight whole, and FSDP shards them",
                remedy="use plain DDP (accelerate launch --multi_gpu), or leave them out",
            )
        # What is called first becomes the root of the shards, and an evaluation calls the layers first.
        model._get_fsdp_state()._lazy_init()
    # Sharding replaces the weights themselves, so they are looked up afterwards.
    return model, [weight for weight in model.parameters() if weight.requires_grad], tuple(others)
