"""Text to vectors: the Encoder protocol, and the encoder that runs in torch and can be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from otkit.encoders.attention import attention_kernel
from otkit.encoders.families import (
    UNMASKED,
    layer_stack,
    position_limit,
    settle,
    shortened,
    table_rows,
)
from otkit.encoders.pooling import POOLINGS, Encoded, pool_sentences, pool_words, subword_units
from otkit.encoders.quiet import quiet_transformers
from otkit.encoders.settings import SETTINGS_FILE, EncoderSettings, settings_document
from otkit.encoders.tokens import Sentence, SubwordTokenizer, Tokens, TooLongError, refuse_too_long
from otkit.errors import CheckpointError, ConfigError
from otkit.files import fresh_folder

__all__ = [
    "POOLINGS",
    "Encoded",
    "Encoder",
    "EncoderSettings",
    "Sentence",
    "Tokens",
    "TooLongError",
    "TorchEncoder",
    "pool_sentences",
    "pool_words",
    "resolve_layers",
    "subword_units",
]


class Encoder(Protocol):
    """What every encoder offers, whatever runs it. Hidden states are numbered 0 (embeddings) to `layers`."""

    name: str
    settings: EncoderSettings
    subwords: SubwordTokenizer

    @property
    def dimension(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def device(self) -> torch.device: ...

    def tokenize(self, sentences: Sequence[Sentence], *, prefix: str | None = None) -> Tokens:
        """Tokens on the CPU; `prefix` None means the encoder's own. Too long a sentence raises
        TooLongError."""
        ...

    def hidden_states(self, tokens: Tokens, *, layers: Sequence[int]) -> tuple[Tensor, ...]:
        """One (B, T, D) tensor for each asked layer, in that order; negative layers count from the end."""
        ...

    def encode_sentences(self, tokens: Tokens) -> Tensor:
        """(B, D) unit vectors for search: the last layer, pooled as the settings say."""
        ...


def resolve_layers(layers: Sequence[int], count: int) -> tuple[int, ...]:
    """Layers as indices 0..count; negative ones count from the end, so -1 is the last layer."""
    found = tuple(layer + count + 1 if layer < 0 else layer for layer in layers)
    for asked, layer in zip(layers, found, strict=True):
        if not 0 <= layer <= count:
            raise ConfigError(
                f"there is no layer {asked}",
                remedy=f"choose from 0 (embeddings) to {count}, or -1 to {-count - 1}",
                setting="layers",
            )
    if not found:
        raise ConfigError("no layer was asked for", remedy=f"choose from 0 (embeddings) to {count}")
    return found


class TorchEncoder:
    """A transformers encoder and its tokenizer; trainable, and gradients flow unless the caller forbids
    them."""

    hub_name: str | None = None
    """Its name on the Hugging Face Hub, where it was opened from there."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        *,
        name: str,
        settings: EncoderSettings,
    ) -> None:
        settle(model)
        self.model, self.tokenizer, self.name, self.settings = model, tokenizer, name, settings
        config = model.config
        resolve_layers(settings.alignment_layers, self.layers)
        padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else config.pad_token_id
        unknown = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else padding
        self.max_tokens = position_limit(model, tokenizer)
        self.subwords = SubwordTokenizer(
            tokenizer.backend_tokenizer,
            unknown_id=unknown or 0,
            padding_id=padding or 0,
            limit=self.max_tokens,
        )
        rows = table_rows(model, name)
        pieces = tokenizer.backend_tokenizer.get_vocab_size()
        if pieces > rows:
            raise CheckpointError(
                f"the tokenizer has {pieces} pieces and the encoder {rows} embeddings",
                where=name,
                remedy="the tokenizer belongs to another encoder: put the right one beside it",
            )

    @property
    def dimension(self) -> int:
        return int(self.model.config.hidden_size)

    @property
    def layers(self) -> int:
        return int(self.model.config.num_hidden_layers)

    @property
    def stacks(self) -> list[str]:
        """Names of the lists in the model that hold one module for each layer: one list in most families."""
        return [
            name
            for name, module in self.model.named_modules()
            if isinstance(module, nn.ModuleList) and len(module) == self.layers
        ]

    @property
    def device(self) -> torch.device:
        return self.model.device

    def train(self, mode: bool = True) -> TorchEncoder:
        self.model.train(mode)
        return self

    def eval(self) -> TorchEncoder:
        return self.train(False)

    def compile(self) -> None:
        """Let torch.compile fuse each layer, for batches of any shape; the first batch then takes longer."""
        for name in self.stacks:
            for layer in self.model.get_submodule(name).children():
                layer.compile(dynamic=True)

    def tokenize(self, sentences: Sequence[Sentence], *, prefix: str | None = None) -> Tokens:
        return self.subwords.tokenize(sentences, prefix=self.settings.prefix if prefix is None else prefix)

    def hidden_states(self, tokens: Tokens, *, layers: Sequence[int]) -> tuple[Tensor, ...]:
        asked = resolve_layers(layers, self.layers)
        refuse_too_long(tokens, self.max_tokens)
        tokens = tokens.to(self.device)
        return self.states(tokens.ids, tokens.attention, asked)

    def states(
        self, ids: Tensor, attention: Tensor, layers: Sequence[int], *, types: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """(B, T, D) for each of `layers`, counted from 0, out of ids, attention and token types (B, T; None: all 0)
        on the encoder's device. What lies in a row does not depend on the others."""
        if self.model.config.model_type in UNMASKED and len(ids):
            return self._by_length(ids, attention, layers, types)
        return self._padded(ids, attention, layers, types)

    def _by_length(
        self, ids: Tensor, attention: Tensor, layers: Sequence[int], types: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Rows of one length at a time, without padding."""
        lengths = attention.sum(1)
        groups: list[Tensor] = []
        parts: list[tuple[Tensor, ...]] = []
        for length in sorted(set(lengths.tolist())):
            rows = (lengths == length).nonzero().flatten()
            kinds = None if types is None else types[rows, :length]
            states = self._padded(ids[rows, :length], attention[rows, :length], layers, kinds)
            parts.append(tuple(pad(state, (0, 0, 0, ids.shape[1] - length)) for state in states))
            groups.append(rows)
        order = torch.cat(groups).argsort()
        return tuple(torch.cat(of_layer)[order] for of_layer in zip(*parts, strict=True))

    def _padded(
        self, ids: Tensor, attention: Tensor, layers: Sequence[int], types: Tensor | None
    ) -> tuple[Tensor, ...]:
        inputs = {"input_ids": ids, "attention_mask": attention.to(torch.int64)}
        if types is not None:
            inputs["token_type_ids"] = types
        width, stack = ids.shape[1], layer_stack(self.model)
        if stack is None:  # an architecture whose insides we do not know is computed whole
            with attention_kernel(self.model, ids):
                states = self.model(**inputs, output_hidden_states=True).hidden_states
            return tuple(states[layer][:, :width] for layer in layers)
        if self.device.type != "cpu" and self.model.config._attn_implementation == "sdpa":
            # As each layer takes it: transformers would wait for the device to say whether there is padding at all.
            inputs["attention_mask"] = attention[:, None, None, :]
        top = max(layers)
        found: dict[int, Tensor] = {}
        hooked = set(layers) - ({top} if top else set())
        hooks = [stack[layer].register_forward_pre_hook(_keep_input(found, layer)) for layer in hooked]
        try:
            with attention_kernel(self.model, ids):
                # Some families cannot be run without a layer: state 0 is what enters the first.
                last = shortened(self.model, max(top, 1))(**inputs).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        found.setdefault(top, last)
        # Longformer pads its batch to whole windows.
        return tuple(found[layer][:, :width] for layer in layers)

    def encode_sentences(self, tokens: Tokens) -> Tensor:
        (last,) = self.hidden_states(tokens, layers=[-1])
        return pool_sentences(last, tokens.to(last.device), pooling=self.settings.pooling)

    def save(
        self,
        folder: Path,
        metadata: Mapping[str, Any] | None = None,
        *,
        texts: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write a folder that transformers and otkit open: safetensors, tokenizer, otkit.json, and `texts` by their
        file names; whole or not at all."""
        with fresh_folder(Path(folder), "encoder", overwrite=overwrite) as temporary:
            with quiet_transformers():
                self.model.save_pretrained(temporary)
                self.tokenizer.save_pretrained(temporary)
            text = settings_document(self.name, self.settings, metadata or {})
            for name, content in {SETTINGS_FILE: text, **(texts or {})}.items():
                (temporary / name).write_text(content, encoding="utf-8")


def _keep_input(found: dict[int, Tensor], layer: int) -> Any:
    """A hook that notes what enters `stack[layer]`, which is hidden state number `layer`."""

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[layer] = inputs[0]

    return keep
