"""What of an encoder is trained, and at what price: frozen layers, layers that serve as a head only, low-rank adapters,
recomputed activations.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule

from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, require_extra
from otkit.training.settings import TuningSettings

__all__ = [
    "as_saved",
    "copy_layers_above",
    "exchange",
    "freeze",
    "layers_kept",
    "plain_encoder",
    "prepare_encoder",
]

# The norm behind the last layer, in the families that have one; what is above a layer includes it.
_LAST_NORM = {
    "eurobert": "norm",
    "megatron-bert": "encoder.ln",
    "modernbert": "final_norm",
    "roberta-prelayernorm": "LayerNorm",
    "xlm-roberta-xl": "encoder.LayerNorm",
}


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
        return encoder.with_model(whole)
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
    return encoder.with_model(model)


def freeze(encoder: TorchEncoder, layers: int | None, *, above: int | None = None) -> None:
    """Keep the embeddings and the first `layers` layers as they are, and all above the first `above`; None keeps
    none."""
    encoder.model.requires_grad_(True)
    kept: list[nn.Module] = []
    if layers is not None:
        names = _names(encoder, layers)[0]
        embeddings = getattr(encoder.model, "embeddings", None) or encoder.model.get_input_embeddings()
        kept += [embeddings, *(encoder.model.get_submodule(name) for name in names)]
    if above is not None:
        kept += [encoder.model.get_submodule(name) for name in _names(encoder, above)[1]]
    for module in kept:
        module.requires_grad_(False)


def copy_layers_above(encoder: TorchEncoder, above: int | None) -> dict[str, nn.Module]:
    """What is above the first `above` layers as it is now, copied, by its names in the model; None copies nothing."""
    if above is None:
        return {}
    names, model = _names(encoder, above)[1], encoder.model
    with torch.no_grad():
        # Some models note hidden states by hooks, which they hang on their layers at the first call: copies need
        # them too.
        encoder.hidden_states(encoder.tokenize([["."]]), layers=[0])
    shared = {id(model.config): model.config}  # not copied: whoever sets it sets it for all layers
    return {name: copy.deepcopy(model.get_submodule(name), dict(shared)).eval() for name in names}


def exchange(encoder: TorchEncoder, modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Put `modules` in the places of the model that they are named after; what was there is returned."""
    before = {name: encoder.model.get_submodule(name) for name in modules}
    for name, module in modules.items():
        place, _, leaf = name.rpartition(".")
        encoder.model.get_submodule(place).register_module(leaf, module)
    return before


@contextmanager
def as_saved(encoder: TorchEncoder, modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """The encoder with `modules` in their places for as long as the block lasts.

    Whole modules change places, not their weights: so it does not matter whether those in training are compiled,
    sharded or carry adapters.
    """
    trained = exchange(encoder, modules)
    try:
        yield
    finally:
        exchange(encoder, trained)


def _names(encoder: TorchEncoder, count: int) -> tuple[list[str], list[str]]:
    """The names of the first `count` layers, and of what is above them."""
    stacks = encoder.stacks
    # A layer whose parts lie in lists of their own, side by side (XLM), or that is run many times (ALBERT).
    if not stacks or any(name.rpartition(".")[0] == stacks[0].rpartition(".")[0] for name in stacks[1:]):
        raise ConfigError(
            "the layers of this kind of encoder are not known",
            where=encoder.name,
            remedy="train it whole: freeze and discard none",
        )
    if not 0 <= count <= encoder.layers:
        raise ConfigError(
            f"the encoder has no layer {count}",
            where=encoder.name,
            remedy=f"count from 0 (none) to {encoder.layers}",
        )
    names = [f"{stacks[0]}.{number}" for number in range(encoder.layers)]
    last = _LAST_NORM.get(encoder.model.config.model_type)
    above = names[count:]
    return names[:count], above + ([last] if last is not None and above else [])
