"""The encodings of text with hidden words, for the objectives that guess them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from otkit.data.batching import PairBatch
from otkit.encoders.device import send
from otkit.encoders.pooling import pool_words, subword_units
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError
from otkit.training.encoded import EncodedPairs, Joint, Masked
from otkit.training.masking import HiddenWords, hide_words, join_pairs
from otkit.training.settings import ObjectiveSettings

__all__ = ["with_hidden_words"]


def with_hidden_words(
    pairs: EncodedPairs, batch: PairBatch, encoder: TorchEncoder, config: ObjectiveSettings
) -> EncodedPairs:
    """The pairs with the encodings of their text, each side by itself or both as one, with words hidden."""
    # Drawn from the batch's own number, so that every process and every resumed run hides the same words.
    generator = torch.Generator().manual_seed(batch.draw)

    def hide(tokens: Tokens) -> HiddenWords:
        return hide_words(
            tokens,
            share=config.mask_share,
            mask_id=int(encoder.tokenizer.mask_token_id or 0),
            vocabulary=encoder.tokenizer.backend_tokenizer.get_vocab_size(),
            generator=generator,
        )

    pairs = replace(pairs, embedding=encoder.model.get_input_embeddings().get_parameter("weight"))
    if "masked" in config.needs:
        sides = tuple(_encoded(hide(side), encoder) for side in (batch.source, batch.target))
        pairs = replace(pairs, masked=sides)
    if "joint" in config.needs:
        pairs = replace(pairs, joint=_joint(batch, hide, encoder, config))
    return pairs


def _joint(
    batch: PairBatch, hide: Callable[[Tokens], HiddenWords], encoder: TorchEncoder, config: ObjectiveSettings
) -> Joint:
    texts = join_pairs(
        batch.source, batch.target, limit=encoder.max_tokens, padding_id=encoder.subwords.padding_id
    )
    if len(texts.rows) == 0:
        raise InputError(
            "no pair of the batch fits the encoder as one text",
            remedy="leave tlm and denoising-alignment out, or shorten the sentences",
        )
    hidden, device = hide(texts.tokens), encoder.device
    masked = _encoded(hidden, encoder)
    units = [
        subword_units(masked.states, view)
        if config.granularity == "subword"
        else pool_words(masked.states, view, word_vector=config.word_vector)
        for view in (texts.source.to(device), texts.target.to(device))
    ]
    words = send(hidden.words, device)  # (B',W) over the words of both sides
    before = send(torch.tensor(texts.source.counts), device)[:, None]
    places = (units[0].word_ids, units[1].word_ids + before)
    drawn = [words.gather(1, place.clamp(0, words.shape[1] - 1)) for place in places]
    return Joint(
        send(texts.rows, device),
        masked,
        units[0],
        units[1],
        (drawn[0] & units[0].mask, drawn[1] & units[1].mask),
    )


def _encoded(hidden: HiddenWords, encoder: TorchEncoder) -> Masked:
    (states,) = encoder.hidden_states(hidden.tokens, layers=[-1])
    device = encoder.device
    places, answers = (send(side, device) for side in (hidden.places, hidden.answers))
    return Masked(states.float(), places, answers)
