"""What an aligned encoder minimises: named losses on batches of sentence pairs, added with weights.

An objective part is a plain function from the encoded pairs of a batch to one number; `OBJECTIVES` names them
all, and `AlignmentModel` adds those that a configuration asks for. Values are already divided by the size of
the whole micro-step, so that a micro-step split into pieces has the same gradient as one that is not (losses
that compare the words or sentences of a batch with each other excepted: their batch is the piece).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from otkit.alignment.settings import AlignmentSettings
from otkit.data.batching import PairBatch
from otkit.encoders.device import send
from otkit.encoders.families import word_table
from otkit.encoders.pooling import Encoded, pool_words, subword_units
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder, states_of_both
from otkit.errors import ConfigError
from otkit.training.anchors import parameter_anchor, static_anchor, stay_close
from otkit.training.cloud_losses import gaussian_w2, mmd
from otkit.training.encoded import EncodedPairs, Losses, Part
from otkit.training.frozen import FrozenStart
from otkit.training.hidden import with_hidden_words
from otkit.training.language_losses import denoising_alignment, masked_language, translation_language
from otkit.training.link_losses import (
    consistency,
    contrastive_strong,
    contrastive_weak,
    l2,
    link_likelihood,
    self_training,
)
from otkit.training.modules import build_heads
from otkit.training.reading import ReadLinks
from otkit.training.sentence_losses import sentence_contrastive
from otkit.training.settings import ObjectiveSettings
from otkit.training.static import MappedWords
from otkit.training.supervision import GivenLinks, Teacher, spread_links
from otkit.training.transport_losses import (
    optimal_transport,
    ot_distill,
    ot_linear,
    ot_value,
    word_alignment_supervised,
)
from otkit.training.window_losses import window_ot
from otkit.transport.marginals import MARGINALS

__all__ = [
    "OBJECTIVES",
    "AlignmentModel",
    "EncodedPairs",
    "Losses",
    "ObjectiveSettings",
    "encode_units",
    "optimal_transport",
    "stay_close",
]

Objective = Callable[[EncodedPairs, ObjectiveSettings], Part]

OBJECTIVES: dict[str, Objective] = {
    "ot": optimal_transport,
    "ot-value": ot_value,
    "ot-linear": ot_linear,
    "anchor": stay_close,
    "parameter-anchor": parameter_anchor,
    "static-anchor": static_anchor,
    "l2": l2,
    "contrastive-weak": contrastive_weak,
    "contrastive-strong": contrastive_strong,
    "self-training": self_training,
    "consistency": consistency,
    "link-likelihood": link_likelihood,
    "mlm": masked_language,
    "tlm": translation_language,
    "denoising-alignment": denoising_alignment,
    "sentence-contrastive": sentence_contrastive,
    "ot-distill": ot_distill,
    "word-alignment-supervised": word_alignment_supervised,
    "gaussian-w2": gaussian_w2,
    "mmd": mmd,
    "window-ot": window_ot,
}


def encode_units(encoder: TorchEncoder, tokens: Tokens, config: ObjectiveSettings) -> Encoded:
    """The chosen layers as words or subwords, in fp32 whatever autocast does.

    (B,N,D), the layers' mean; (B,N,K*D), one layer after the other, where each layer has its own weight.
    """
    return _units(encoder.hidden_states(tokens, layers=config.compared), tokens, config)


def _units(states: tuple[Tensor, ...], tokens: Tokens, config: ObjectiveSettings) -> Encoded:
    layers = [state.float() for state in states]
    hidden = torch.stack(layers).mean(0) if config.layer_weights is None else torch.cat(layers, 2)
    if config.granularity == "subword":
        return subword_units(hidden, tokens)
    return pool_words(hidden, tokens, word_vector=config.word_vector)


class AlignmentModel(nn.Module):
    """An encoder with its objectives: a batch of pairs in, named losses out. This is what the loop trains."""

    def __init__(
        self,
        encoder: TorchEncoder,
        config: ObjectiveSettings,
        *,
        start: FrozenStart | None = None,
        inverse_document_frequency: Tensor | None = None,
        links: GivenLinks | None = None,
        teacher: Teacher | None = None,
        static: MappedWords | None = None,
        read: ReadLinks | None = None,
        alignment: AlignmentSettings | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = encoder.model
        self.config = config
        self.heads = build_heads(
            config,
            width=encoder.dimension,
            vocabulary=len(word_table(encoder.model, encoder.name)) if "vocabulary" in config.needs else 0,
            teacher_width=None if teacher is None else teacher.width,
            seed=seed,
        ).to(encoder.device)
        # Plain attributes inside a tuple: what is frozen must not count as part of the trained module.
        self._beside = (encoder, start, links, teacher)
        self.static = static
        self.read, self.alignment = read, alignment or AlignmentSettings()
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        moving = trained if "weights" in config.needs else []
        self._moving = tuple((weight, weight.detach().clone()) for weight in moving)
        self.idf: Tensor | None
        self.register_buffer("idf", inverse_document_frequency, persistent=False)
        if config.weights == "idf" and inverse_document_frequency is None:
            raise ConfigError(
                "idf weights need document frequencies", remedy="pass inverse_document_frequency"
            )
        if links is None and config.needs_given:
            raise ConfigError("the objective needs given links", remedy="give links for every pair")
        if {"masked", "joint"} & config.needs and encoder.tokenizer.mask_token_id is None:
            raise ConfigError(
                "the tokenizer has no mask token",
                where=encoder.name,
                remedy="leave mlm, tlm and their kin out",
            )

    @property
    def needs_whole_weights(self) -> bool:
        """True where sharded weights will not do: what is compared with its start, or merged, is whole."""
        return bool(self._moving) or any(".lora_" in name for name, _ in self.model.named_parameters())

    @property
    def encoder(self) -> TorchEncoder:
        """The encoder that is being tuned."""
        return self._beside[0]

    @property
    def start(self) -> FrozenStart | None:
        """What the encoder is held near."""
        return self._beside[1]

    def train(self, mode: bool = True) -> AlignmentModel:
        """Training mode, in which the encoder drops out only where the configuration says so."""
        super().train(mode)
        self.model.train(mode and self.config.dropout)
        for module in self.model.modules():
            # A layer recomputes its activations only in training mode; its dropout is a module of its own.
            if getattr(module, "gradient_checkpointing", False):
                module.training = mode
        return self

    def forward(self, batch: PairBatch) -> Losses:
        """The weighted losses of one batch."""
        config = self.config
        layers = self.encode_layers(batch)
        factor = dict(config.language_weights).get(batch.language, 1.0)
        parts: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        for name, weight in config.losses:
            if config.layer_weights is None or not config.of_layers(name):
                part = OBJECTIVES[name](layers[0], config)
                value = part.value
                metrics.update(part.metrics)
            else:
                found = [OBJECTIVES[name](pairs, config) for pairs in layers]
                value = torch.stack(
                    [w * part.value for w, part in zip(config.layer_weights, found, strict=True)]
                ).sum()
                metrics.update(found[-1].metrics)
            parts[name] = weight * factor * value
            metrics[f"{name}/{batch.language}"] = value.detach()  # a language's own loss, before its weights
        return Losses(parts, metrics)

    def encode(self, batch: PairBatch, *, anchored: bool = True) -> EncodedPairs:
        """Both sides through the encoder, with all that the parts need (the first layer, where each is by
        itself).
        """
        return self.encode_layers(batch, anchored=anchored)[0]

    def encode_layers(self, batch: PairBatch, *, anchored: bool = True) -> list[EncodedPairs]:
        """One EncodedPairs for each layer with a weight of its own, else one for their mean.

        `anchored` False prepares the vectors and their marginals alone, as measuring a transport needs.
        """
        encoder, start, given, teacher = self._beside
        config = self.config
        needs = config.needs if anchored else frozenset()
        tokens = [side.to(encoder.device) for side in (batch.source, batch.target)]
        sides, sentences = [], []
        asked = (*config.compared, encoder.layers) if "sentences" in needs else config.compared
        for side, states in zip(tokens, states_of_both(encoder, tokens, asked), strict=True):
            if "sentences" in needs:
                *chosen, last = states
                states = tuple(chosen)
                sentences.append(encoder.pool(last, side))
            sides.append(_units(states, side, config))
        frozen = (
            start.vectors(batch, tokens[1]) if start is not None and needs & {"start", "teacher"} else None
        )
        if frozen is not None:  # a cache knows the units of its sentences, and not how wide this batch is
            frozen = pad(frozen, (0, 0, 0, sides[1].vectors.shape[1] - frozen.shape[1]))
        tutor = None
        if "teacher" in needs:
            tutor = (
                teacher.units(batch)
                if teacher is not None
                else None
                if frozen is None
                else (sides[1].with_vectors(frozen))
            )
        aims = None
        if "static" in needs and self.static is not None:
            aims = self.static.aims(batch, sides)
        letters = None
        if config.counts_letters:
            letters = send(batch.letters[0], encoder.device), send(batch.letters[1], encoder.device)
        links = None
        if given is not None and needs & {"links", "gold", "joint"}:
            links = send(given.words(batch), encoder.device)
        read = None
        if self.read is not None and "read" in needs:
            size = sides[0].mask.shape[1], sides[1].mask.shape[1]
            read = send(self.read.units(batch, size), encoder.device)
        found = []
        for layer in range(1 if config.layer_weights is None else len(config.compared)):
            source, target = (self._of_layer(side, layer) for side in sides)
            found.append(
                EncodedPairs(
                    source=source,
                    target=target,
                    source_weights=self._weights(source, tokens[0]),
                    target_weights=self._weights(target, tokens[1]),
                    start=None if frozen is None else self._cut(frozen, layer),
                    batch_fraction=batch.batch_fraction,
                    targets=batch.target_units[config.granularity == "subword"],
                    read=read,
                    letters=letters,
                    links=None if links is None else spread_links(links, source, target),
                    teacher=tutor if tutor is None or teacher is not None else self._of_layer(tutor, layer),
                    static=aims,
                    sentences=(sentences[0], sentences[1]) if sentences else None,
                    heads=dict(self.heads.items()),
                    alignment=self.alignment,
                    moved=self._moving if "weights" in needs else (),
                )
            )
        if needs & {"masked", "joint"}:
            found[0] = with_hidden_words(found[0], batch, encoder, config)
        return found

    def _of_layer(self, side: Encoded, layer: int) -> Encoded:
        return (
            side if self.config.layer_weights is None else side.with_vectors(self._cut(side.vectors, layer))
        )

    def _cut(self, vectors: Tensor, layer: int) -> Tensor:
        if self.config.layer_weights is None:
            return vectors
        return vectors.chunk(len(self.config.compared), 2)[layer]

    def _weights(self, encoded: Encoded, tokens: Tokens) -> Tensor:
        """(B,N) marginals over the units."""
        values: Tensor | None = None
        if self.config.weights == "norm":
            values = encoded.vectors
        elif self.idf is not None:
            rarity = self.idf[tokens.ids][..., None]  # (B,T,1)
            units = (
                subword_units(rarity, tokens)
                if self.config.granularity == "subword"
                else pool_words(rarity, tokens, word_vector="mean")
            )
            values = units.vectors[..., 0]  # (B,N)
        return MARGINALS[self.config.weights](encoded.mask, values)
