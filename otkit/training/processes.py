"""How a run is spread and watched: accelerate's processes, precision and trackers, set up for the loop."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.utils import DistributedDataParallelKwargs  # type: ignore[import-untyped]
from torch import nn

from otkit.errors import choose, require_extra
from otkit.training.schedule import PRECISIONS, TrainConfig

__all__ = ["TRACKERS", "flat_settings", "open_accelerator", "synchronised"]

# Trackers of accelerate, and the module that each needs.
TRACKERS = {
    "tensorboard": "torch.utils.tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "comet_ml": "comet_ml",
    "aim": "aim",
    "clearml": "clearml",
    "dvclive": "dvclive",
    "swanlab": "swanlab",
    "trackio": "trackio",
}


def open_accelerator(config: TrainConfig, folder: Path, log_to: Sequence[str], *, cpu: bool) -> Accelerator:
    for name in log_to:
        choose(name, TRACKERS, what="tracker")
        require_extra(TRACKERS[name], extra="trackers")
    return Accelerator(
        mixed_precision=PRECISIONS[config.precision],
        cpu=cpu,
        # Else the rate would move on by as many steps as there are processes.
        step_scheduler_with_optimizer=False,
        log_with=list(log_to) or None,
        project_dir=str(folder / "logs") if log_to else None,
        # Layers above the highest chosen one have no gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, float | int | str | bool]:
    """Nested settings as one table of plain values, as trackers take them."""
    flat: dict[str, float | int | str | bool] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flat_settings(value, f"{prefix}{name}/"))
        else:
            flat[f"{prefix}{name}"] = (
                value if isinstance(value, bool | int | float | str) else json.dumps(value)
            )
    return flat


def synchronised(
    accelerator: Accelerator, model: nn.Module, last: bool
) -> contextlib.AbstractContextManager[None]:
    """Gradients travel between processes once a step, with its last batch."""
    return contextlib.nullcontext() if last else accelerator.no_sync(model)
