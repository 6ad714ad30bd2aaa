"""What of an encoder is trained, and at what price: frozen layers, low-rank adapters, recomputed
activations.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule

from otkit.encoders.encoder import TorchEncoder
from otkit.errors import ConfigError, require_extra
from otkit.training.layers import freeze

__all__ = ["TuningSettings", "plain_encoder", "prepare_encoder"]


@dataclass(frozen=True)
class TuningSettings:
    """What is trained.

    frozen                  None trains all; 0 keeps the embeddings as they are, N also the first N layers
    frozen_above            None trains all; N keeps the layers above the first N as they are
    discarded_above         None saves all; N lets the layers above the first N learn in the run, as a head through
                            which the losses see those below, and saves them as they were before it. A head of a
                            contrastive loss serves that loss, and is thrown away (Chen et al. 2020, section 4.2)
    lora_rank               rank of low-rank adapters on every linear layer, which are trained in place of the
                            weights (Hu et al. 2022); None trains the weights
    lora_alpha              the adapters' product is multiplied by this over the rank
    gradient_checkpointing  keep a layer's input only and compute the rest again in the backward pass
    compile                 let torch.compile fuse each layer
    """

    frozen: int | None = None
    frozen_above: int | None = None
    discarded_above: int | None = None
    lora_rank: int | None = None
    lora_alpha: int = 16
    gradient_checkpointing: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.lora_rank is not None and self.lora_rank < 1:
            raise ConfigError(f"lora_rank is {self.lora_rank}", remedy="give a rank of at least 1")
        for above, what in ((self.frozen_above, "frozen"), (self.discarded_above, "discarded")):
            if self.frozen is not None and above is not None and above <= self.frozen:
                raise ConfigError(
                    f"layers up to {self.frozen} are frozen and those above {above} {what}: none is left",
                    remedy="freeze fewer",
                    setting="frozen",
                )


def prepare_encoder(encoder: TorchEncoder, config: TuningSettings, *, seed: int) -> None:
    """Set the encoder up for training, in place; adapters start as nothing, the same for the same seed."""
    freeze(encoder, config.frozen, above=config.frozen_above)
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
