"""The encoder that runs in torch and can be trained. It takes transformers' models and imports transformers only where
it needs it: what is exported runs without."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import normalize, pad

from otkit.encoders.device import autocast
from otkit.encoders.encoder import SETTINGS_FILE, EncoderSettings, resolve_layers, settings_document
from otkit.encoders.families import (
    UNMASKED,
    character_states,
    layer_count,
    layer_stack,
    position_limit,
    run_length,
    settle,
    shortened,
    table_rows,
)
from otkit.encoders.languages import language_tokens
from otkit.encoders.pooling import pooled, poolings_of
from otkit.encoders.stack import SentenceHead, write_stack
from otkit.encoders.tokens import Sentence, SubwordTokenizer, Tokens, refuse_too_long, stack_tokens
from otkit.errors import CheckpointError
from otkit.files import fresh_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["TorchEncoder", "attention_kernel", "quiet_transformers", "states_of_both"]

# Padded subwords of a sentence from which torch's fused kernel is the faster one again.
_LONG = 160
# Padded subwords that a GPU computes in less time than the calls of another forward pass take.
_CHEAP = 8192


class TorchEncoder:
    """A transformers encoder and its tokenizer; trainable, and gradients flow unless the caller forbids
    them."""

    origin: str | None = None
    precision: str = "fp32"
    hub_name: str | None = None
    """Its name on the Hugging Face Hub, where it was opened from there; or that of what it was made from."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        *,
        name: str,
        settings: EncoderSettings,
        head: SentenceHead | None = None,
    ) -> None:
        settle(model)
        self.model, self.tokenizer, self.name, self.settings = model, tokenizer, name, settings
        self.head = SentenceHead() if head is None else head
        """What its authors put behind the pooling; frozen while the encoder is trained."""
        config = model.config
        resolve_layers(settings.alignment_layers, self.layers)
        padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else config.pad_token_id
        unknown = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else padding
        self.max_tokens = position_limit(model, tokenizer)
        languages, usual = language_tokens(tokenizer)
        self.subwords = SubwordTokenizer(
            tokenizer.backend_tokenizer,
            unknown_id=unknown or 0,
            padding_id=padding or 0,
            limit=self.max_tokens,
            languages=languages,
            usual=usual,
            truncation_side=tokenizer.truncation_side,
        )
        rows = table_rows(model, name)
        pieces = tokenizer.backend_tokenizer.get_vocab_size()
        if pieces > rows:
            raise CheckpointError(
                f"the tokenizer has {pieces} pieces and the encoder {rows} embeddings",
                where=name,
                remedy="the tokenizer belongs to another encoder: put the right one beside it",
            )

        self.head.check(self._pooled_width, name)

    def with_model(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast | None = None,
        *,
        name: str | None = None,
    ) -> TorchEncoder:
        """The same with another model, such as a smaller one or one with merged weights."""
        tokenizer, name = tokenizer or self.tokenizer, name or self.name
        other = TorchEncoder(model, tokenizer, name=name, settings=self.settings, head=self.head)
        other.hub_name = self.hub_name
        return other

    def in_precision(self, precision: str) -> TorchEncoder:
        """The same, with the same weights, multiplying in fp32, bf16 or fp16 while nobody trains it."""
        twin = copy.copy(self)
        twin.precision = precision
        return twin

    @property
    def dimension(self) -> int:
        return int(self.model.config.hidden_size)

    @property
    def _pooled_width(self) -> int:
        return self.dimension * len(poolings_of(self.settings.pooling))

    @property
    def sentence_dimension(self) -> int:
        width = self.head.width(self._pooled_width)
        return min(width, self.settings.truncate_dim or width)

    @property
    def layers(self) -> int:
        return layer_count(self.model.config)

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
        if self.precision == "fp32":
            return self.states(tokens.ids, tokens.attention, asked)
        with autocast(self.device, self.precision):
            return tuple(state.float() for state in self.states(tokens.ids, tokens.attention, asked))

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
        """Rows of one length at a time, without padding but the family's own."""
        lengths = attention.sum(1)
        groups: list[Tensor] = []
        parts: list[tuple[Tensor, ...]] = []
        for length in sorted(set(lengths.tolist())):
            rows = (lengths == length).nonzero().flatten()
            more = (0, run_length(self.model, length) - length)
            kinds = None if types is None else pad(types[rows, :length], more)
            own = pad(ids[rows, :length], more, value=self.subwords.padding_id)
            states = self._padded(own, pad(attention[rows, :length], more), layers, kinds)
            parts.append(tuple(pad(state[:, :length], (0, 0, 0, ids.shape[1] - length)) for state in states))
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
            states = character_states(self.model, states, width)
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
        return self.pool(last, tokens)

    def pool(self, hidden: Tensor, tokens: Tokens) -> Tensor:
        self.head.check(self._pooled_width, self.name)  # the pooling may be another than at first
        skip = 0 if self.settings.pool_prompt else tokens.lead
        vectors = pooled(hidden, tokens.attention.to(hidden.device), self.settings.pooling, skip=skip)
        with torch.autocast(hidden.device.type, enabled=False):
            vectors = self.head.to(hidden.device)(vectors)
        return normalize(vectors[:, : self.sentence_dimension], dim=-1)

    def weights_sha256(self) -> str:
        digest = hashlib.sha256()
        behind = {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()}
        for name, tensor in sorted({**self.model.state_dict(), **behind}.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            if hasattr(tensor, "full_tensor"):  # shards (FSDP): all processes come here
                tensor = tensor.full_tensor()
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

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
            if len(self.head) or not self.settings.pool_prompt or "+" in self.settings.pooling:
                self.write_stack(temporary)
            text = settings_document(self.name, self.settings, metadata or {})
            for name, content in {SETTINGS_FILE: text, **(texts or {})}.items():
                (temporary / name).write_text(content, encoding="utf-8")

    def write_stack(self, folder: Path) -> None:
        """Write what sentence-transformers reads of the vectors of sentences, beside the encoder in `folder`."""
        write_stack(folder, self.settings, self.head, dimension=self.dimension, max_tokens=self.max_tokens)


def _keep_input(found: dict[int, Tensor], layer: int) -> Any:
    """A hook that notes what enters `stack[layer]`, which is hidden state number `layer`."""

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[layer] = inputs[0]

    return keep


def states_of_both(
    encoder: TorchEncoder, tokens: Sequence[Tokens], layers: Sequence[int]
) -> list[tuple[Tensor, ...]]:
    """The chosen layers of both sides, (B,N,D) and (B,M,D) each; on a GPU, where it pads little, out of one pass.

    A small batch keeps a GPU waiting for the next kernel to be called, so what counts there is how many are.
    """
    layers = resolve_layers(layers, encoder.layers)
    rows, (n, m) = len(tokens[0]), (side.ids.shape[1] for side in tokens)
    if encoder.device.type == "cpu" or rows * abs(n - m) > max(_CHEAP, 0.1 * rows * (n + m)):
        return [encoder.hidden_states(side, layers=layers) for side in tokens]
    both = stack_tokens(tokens, padding_id=encoder.subwords.padding_id)
    states = encoder.hidden_states(both, layers=layers)
    return [tuple(state[:rows, :n] for state in states), tuple(state[rows:, :m] for state in states)]


def attention_kernel(model: nn.Module, ids: Tensor) -> contextlib.AbstractContextManager[None]:
    """For a forward pass of `model` over ids (B,T): two products and a softmax where a gradient is wanted in
    half precision on a processor, else torch's own choice.

    There the fused kernel takes fifteen times as long for the gradient of 8 sentences of 20 subwords and four times
    as long at 96 (torch 2.13, AVX-512): its blocks are made for long texts. Layers that the backward pass
    computes again are left alone: there the choice would be forgotten.
    """
    if (
        ids.device.type == "cpu"
        and ids.shape[1] < _LONG
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    ):
        return sdpa_kernel([SDPBackend.MATH])
    return contextlib.nullcontext()


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bar, no warning and no load report on stderr: what matters in them is checked here and raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
