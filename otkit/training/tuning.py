"""What of an encoder is trained, and at what price: frozen layers, low-rank adapters, recomputed
activations.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule

from otkit.encoders.torch import TorchEncoder
from otkit.errors import require_extra
from otkit.training.layers import freeze
from otkit.training.settings import TuningSettings

__all__ = ["layers_kept", "plain_encoder", "prepare_encoder"]


def layers_kept(encoder: TorchEncoder, config: TuningSettings) -> int | None:
    """How many of the first layers are saved as they learnt; None where all are."""
    return max(encoder.layers - config.head, 0) if config.head else None


def prepare_encoder(encoder: TorchEncoder, config: TuningSettings, *, seed: int) -> None:
    """Set the encoder up for training, in place; adapters start as nothing, the same for the same seed."""
    freeze(encoder, config.frozen, above=config.freeze_above)
    if config.lora_rank is not None:
        require_extra("peft", extra="lora")
        from peft import LoraConfig, inject_adapter_in_model

        below = [name for name, weight in encoder.model.named_parameters() if not weight.requires_grad]
        lora = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules="all-linear")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inject_adapter_in_model(lora, encoder.model)
        frozen = {name.rpartition(".")[0] for name in below}
        for name, weight in encoder.model.named_parameters():
            # An adapter on a frozen layer is frozen with it.
            if ".lora_" in name and name.partition(".lora_")[0] in frozen:
                weight.requires_grad_(False)
    if config.gradient_checkpointing:
        # Re-entrant checkpoints would cut the gradient of hidden states that are taken between the layers.
        encoder.model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
    if config.compile:
        encoder.compile()


def plain_encoder(encoder: TorchEncoder, config: TuningSettings) -> TorchEncoder:
    """The encoder as every program opens it: adapters added into a copy of the weights, shards (FSDP) put
    together, which every process must hold whole at the time."""
    if any(isinstance(module, FSDPModule) for module in encoder.model.modules()):
        whole = type(encoder.model)(encoder.model.config)
        weights = {name: weight.detach().cpu() for name, weight in encoder.model.named_parameters()}
        if getattr(encoder.model, "pooler", None) is None and hasattr(whole, "pooler"):
            whole._modules["pooler"] = None
        whole.load_state_dict(weights, strict=False)  # without the buffers, which the configuration fills
        return TorchEncoder(whole, encoder.tokenizer, name=encoder.name, settings=encoder.settings)
    if config.lora_rank is None:
        return encoder
    from peft.tuners.lora import LoraLayer

    model = copy.deepcopy(encoder.model)
    nn.Module.eval(model)
    adapted = [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]
    for name, module in adapted:
        module.merge()
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, module.get_base_layer())
    model.requires_grad_(True)
    for leftover in ("peft_config", "_hf_peft_config_loaded"):
        model.__dict__.pop(leftover, None)
    return TorchEncoder(model, encoder.tokenizer, name=encoder.name, settings=encoder.settings)
