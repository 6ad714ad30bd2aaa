"""LoRA adapters of peft: a folder of small weights over an encoder that lies elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from otkit.encoders.encoder import read_json
from otkit.errors import CheckpointError, reason_of, require_extra

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["ADAPTER", "base_of", "merge_adapter"]

ADAPTER = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"


def base_of(folder: Path) -> str | Path:
    """The encoder that an adapter was trained on: a folder, seen from here or from beside it, or a Hub name."""
    stated = read_json(folder / ADAPTER).get("base_model_name_or_path")
    if not isinstance(stated, str) or not stated:
        raise CheckpointError(
            "names no base_model_name_or_path", where=str(folder / ADAPTER), remedy="write the base there"
        )
    for path in (Path(stated).expanduser(), folder / stated):
        if path.is_dir() and path.resolve() != folder.resolve():
            return path
    return stated


def merge_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """`model` with the adapter's weights added into its own; CheckpointError where a weight finds no place."""
    require_extra("peft", extra="lora")
    from peft import PeftConfig, inject_adapter_in_model, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer

    where, kind = str(folder), read_json(folder / ADAPTER).get("peft_type")
    if kind != "LORA":
        raise CheckpointError(
            f"the adapter is of the kind {kind!r}; only LORA can be added to an encoder",
            where=where,
            remedy="merge it with peft where it was trained, and save the whole encoder",
        )
    if not (folder / _WEIGHTS).is_file():
        raise CheckpointError(
            f"holds no {_WEIGHTS}",
            where=where,
            remedy="save the adapter again as safetensors, where you trust it",
        )
    try:
        weights = load_file(folder / _WEIGHTS)
        config: Any = PeftConfig.from_pretrained(where)
        for name in ("bias", "trainable_token_indices"):
            if (value := getattr(config, name, None)) not in (None, "none", [], {}):
                raise CheckpointError(
                    f"the adapter trained more than matrices ({name} is {value!r})",
                    where=where,
                    remedy="merge it into its base with peft, and name that folder",
                )
        inject_adapter_in_model(config, model)
    except SafetensorError as error:
        raise CheckpointError(
            f"its safetensors file is truncated or damaged ({error})", where=where, remedy="copy it again"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"the adapter does not fit its base: {reason_of(error)[:200]}",
            where=where,
            remedy="check base_model_name_or_path in adapter_config.json",
        ) from error
    names = {name for name, _ in model.named_modules()}
    own: dict[str, Any] = {}
    lost: list[str] = []
    for key, tensor in weights.items():
        name = key.removeprefix("base_model.model.")
        # Trained under a head, it has the encoder's name before it: `model.layers`, `roberta.encoder`.
        short = next((n for n in (name, name.partition(".")[2]) if _module_of(n) in names), None)
        if short is not None:
            own[f"base_model.model.{short}"] = tensor
        elif ".lora_" in name or any(
            n.rpartition(".")[0] in names - {""} for n in (name, name.partition(".")[2])
        ):  # another module of the encoder that was trained whole; a head's is not read
            lost.append(key)
    if lost or not own:
        raise CheckpointError(
            f"{len(lost)} of its {len(weights)} weights have no place in the encoder, the first is"
            f" {(lost or ['none'])[0]!r}",
            where=where,
            remedy=(
                "check base_model_name_or_path in adapter_config.json",
                "where it trained whole modules, merge it into its base with peft, and name that folder",
            ),
        )
    bare = {key.removeprefix("base_model.model."): tensor for key, tensor in own.items()}
    report: Any = set_peft_model_state_dict(model, bare)
    missing = [key for key in report.missing_keys if ".lora_" in key]
    if report.unexpected_keys or missing:
        first = [*report.unexpected_keys, *missing][0]
        raise CheckpointError(
            f"the adapter and its base do not agree about {first!r}", where=where, remedy="copy it again"
        )
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, module.get_base_layer())
    for leftover in ("peft_config", "_hf_peft_config_loaded"):
        model.__dict__.pop(leftover, None)
    nn.Module.requires_grad_(model, True)
    model.train(False)
    return model


def _module_of(name: str) -> str:
    """The module that a weight such as `layers.0.q_proj.lora_A.weight` belongs to."""
    return name.partition(".lora_")[0]
