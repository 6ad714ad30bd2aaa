"""What otkit knows of the families of encoders beyond what transformers says of them all."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from otkit.errors import CheckpointError

if TYPE_CHECKING:
    from transformers import (
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerFast,
    )

__all__ = [
    "ENCODERS",
    "UNMASKED",
    "WITH_DECODER",
    "character_states",
    "first_position",
    "layer_count",
    "layer_stack",
    "load_model",
    "position_limit",
    "refuse_family",
    "run_length",
    "settle",
    "shortened",
    "table_rows",
    "table_weights",
    "word_table",
]

UNMASKED = frozenset({"canine", "convbert", "fnet", "nystromformer", "yoso"})
"""Families that mix neighbouring positions without a mask: padding beside a sentence changes its states."""

ENCODERS = {
    "bart": "BartEncoder",
    "m2m_100": "M2M100Encoder",
    "marian": "MarianEncoder",
    "mbart": "MBartEncoder",
    "mt5": "MT5EncoderModel",
    "pegasus": "PegasusEncoder",
    "t5": "T5EncoderModel",
    "umt5": "UMT5EncoderModel",
}
"""Families with a decoder, and the class that is their encoder by itself."""

WITH_DECODER = frozenset({"bart", "mbart"})
"""Families of those that sentence-transformers opens with their decoder, whose states its vectors are made of."""

# Weights that are computed and so in no file: sines and cosines of positions.
_COMPUTED = dict.fromkeys(("marian", "pegasus"), frozenset({"embed_positions.weight"}))

_MOST_TOKENS = 1_000_000  # where neither encoder nor tokenizer has a limit


def refuse_family(config: PreTrainedConfig, where: str) -> None:
    """A CheckpointError for what is no encoder, or not before something is chosen."""
    if getattr(config, "is_encoder_decoder", False) and config.model_type not in ENCODERS:
        raise CheckpointError(
            f"the architecture {config.model_type!r} is an encoder with a decoder, and its encoder is not known here",
            where=where,
            remedy=f"use an encoder, or one of {', '.join(ENCODERS)}",
        )
    if config.model_type == "xmod" and config.default_language is None:
        languages = ", ".join(config.languages)
        raise CheckpointError(
            f"it has an adapter for each of its languages ({languages}), and none of them is the default",
            where=where,
            remedy='name one in its config.json, such as "default_language": "en_XX"',
        )


def load_model(folder: Path, config: PreTrainedConfig) -> tuple[Any, list[str]]:
    """The encoder of a transformers folder in fp32, and the weights that the folder lacks; of a model with a decoder,
    its encoder alone."""
    import transformers

    loader: Any = transformers.AutoModel
    mapping: dict[str, str] | None = None
    kind = config.model_type
    if kind in ENCODERS:
        loader = getattr(
            importlib.import_module(f"transformers.models.{kind}.modeling_{kind}"), ENCODERS[kind]
        )
        if not ENCODERS[kind].endswith("Model"):
            mapping = {
                f"^{where}{part}\\.": name
                for where in (r"model\.", "")
                for part, name in (("encoder", ""), ("shared", "embed_tokens."))
            }
    model, report = loader.from_pretrained(
        folder,
        config=config,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
        key_mapping=mapping,
    )
    if mapping is not None:
        model._weight_conversions = []  # the encoder is saved under its own names
    return model, sorted(set(report["missing_keys"]) - _COMPUTED.get(kind, frozenset()))


def settle(model: PreTrainedModel) -> None:
    """Fix what a model would change in itself at its first batch.

    BigBird turns to full attention for good when a short batch comes, and computes long ones without a mask then.
    FNet's Fourier transform takes no half precision.
    """
    if model.config.model_type == "fnet":
        for module in model.modules():
            own: Any = getattr(module, "fourier_transform", None)
            if own is not None and getattr(own, "func", None) is not _in_fp32:
                vars(module)["fourier_transform"] = partial(_in_fp32, own)
    if model.config.model_type == "big_bird":
        model.set_attention_type("original_full")  # type: ignore[operator]


def _in_fp32(transform: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor) -> torch.Tensor:
    return transform(states.float()).real.to(states.dtype)


def layer_count(config: PreTrainedConfig) -> int:
    """The number of the last hidden state. CANINE's are those of characters (0 and 1), of the deep stack and what
    enters it (2 and on), and of characters again (the last two)."""
    return int(config.num_hidden_layers) + (4 if config.model_type == "canine" else 0)


def run_length(model: PreTrainedModel, length: int) -> int:
    """The tokens that a sentence of `length` is padded to where it is run.

    CANINE's deep stack reads stretches of characters, and the stretch at the end of its input is left out. With two
    more behind the text all characters have their own, as in the long input that it is trained with: more padding
    changes nothing. Nor may it be a part of a window of the first layer, where padding attends to padding.
    """
    config = model.config
    if config.model_type != "canine":
        return length
    stretch, window = int(config.downsampling_rate), int(config.local_transformer_stride)
    wide = (-(-length // stretch) + 2) * stretch
    last = (wide - 1) // window * window  # where the last window begins
    wide = last + window if last >= length else wide
    return max(length, min(wide, int(config.max_position_embeddings)))


def character_states(
    model: PreTrainedModel, states: tuple[torch.Tensor, ...], width: int
) -> tuple[torch.Tensor, ...]:
    """The hidden states with a vector for each of `width` tokens: CANINE's deep ones are those of stretches, and each
    is repeated for its characters as the model does it itself."""
    if model.config.model_type != "canine":
        return states
    repeat: Any = model._repeat_molecules
    return tuple(state if state.shape[1] == width else repeat(state, width) for state in states)


def word_table(model: PreTrainedModel, where: str) -> torch.Tensor:
    """The embedding table of subwords, a row for each."""
    try:
        return model.get_input_embeddings().get_parameter("weight")
    except (NotImplementedError, AttributeError) as error:
        raise CheckpointError(
            f"the architecture {model.config.model_type!r} has no table of subword embeddings",
            where=where,
            remedy="use an encoder that works on subwords",
        ) from error


def table_rows(model: PreTrainedModel, where: str) -> int:
    """The subwords that the encoder has embeddings for; CANINE makes up those of any code point out of a few tables."""
    return 0x110000 if model.config.model_type == "canine" else len(word_table(model, where))


def table_weights(model: PreTrainedModel) -> int:
    """The numbers in that table, or in CANINE's few tables."""
    if model.config.model_type == "canine":
        return sum(weight.numel() for name, weight in model.named_parameters() if "CodepointEmbedder" in name)
    return next(model.get_input_embeddings().parameters()).numel()


def first_position(model: PreTrainedModel) -> int:
    """The row of the table of positions where a sentence begins: RoBERTa's family counts on from the padding index."""
    padding = getattr(_position_table(model), "padding_idx", None)
    return 0 if padding is None else int(padding) + 1


def _position_table(model: PreTrainedModel) -> nn.Module | None:
    return getattr(getattr(model, "embeddings", None), "position_embeddings", None)


def position_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> int:
    """Tokens that the encoder has positions for; the tokenizer may state fewer, and XLNet has no limit (-1)."""
    limits = [getattr(model.config, "max_position_embeddings", None), tokenizer.model_max_length]
    if isinstance(weight := getattr(_position_table(model), "weight", None), nn.Parameter):
        limits.append(len(weight) - first_position(model))
    # Where nobody stated one, the tokenizer's is about 1e30.
    return int(min(_MOST_TOKENS, *(limit for limit in limits if limit is not None and limit > 0)))


# Where the layers lie in the families whose forward pass is a plain walk over them.
_STACKS = (("encoder", "layer"), ("transformer", "layer"))
# What may stand beside them: what comes before the first layer, belongs to a layer, or reads the last state only.
# Anything else, such as a norm behind the last layer, would be applied to an earlier one.
_BESIDE = frozenset(
    {
        "activation",
        "conv",
        "embed_positions",
        "embedding_hidden_mapping_in",
        "embeddings",
        "embeddings_project",
        "entity_embeddings",
        "pooler",
        "rel_embeddings",
        "relative_attention_bias",
    }
)


def layer_stack(model: PreTrainedModel) -> nn.ModuleList | None:
    """The model's layers, where the first few of them can be run alone (see `shortened`)."""
    path = _stack_path(model)
    return None if path is None else getattr(getattr(model, path[0]), path[1])


def shortened(model: PreTrainedModel, depth: int) -> nn.Module:
    """The same modules and weights with only the first `depth` layers, and no pooler: nothing above is
    computed.

    Three shallow copies stand in for the containers, so the model itself is never changed, not even for a
    moment.
    """
    path = _stack_path(model)
    assert path is not None
    outer, inner = path
    short, stack = _shallow(model), _shallow(getattr(model, outer))
    stack._modules[inner] = getattr(stack, inner)[:depth]
    short._modules[outer] = stack
    if "pooler" in short._modules:
        short._modules["pooler"] = None
    return short


def _stack_path(model: PreTrainedModel) -> tuple[str, str] | None:
    for outer, inner in _STACKS:
        container: Any = getattr(model, outer, None)
        layers = getattr(container, inner, None)
        if not isinstance(layers, nn.ModuleList) or len(layers) != model.config.num_hidden_layers:
            continue
        beside = {*dict(model.named_children()), *dict(container.named_children())} - {outer, inner}
        if "rel_embeddings" in beside:
            beside -= {"LayerNorm"}  # DeBERTa's is of that table
        if beside <= _BESIDE:
            return outer, inner
    return None


def _shallow(module: nn.Module) -> nn.Module:
    twin = copy.copy(module)
    twin.__dict__["_modules"] = dict(module._modules)
    return twin
