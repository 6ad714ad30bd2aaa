"""Text with hidden words, for the objectives that guess them: which are hidden, two sentences as one text, and their
encodings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from otkit.data.batching import PairBatch
from otkit.encoders.device import send
from otkit.encoders.families import word_table
from otkit.encoders.pooling import Encoded, pool_words, subword_units
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.training.encoded import EncodedPairs, Joint, Masked
from otkit.training.settings import ObjectiveSettings

__all__ = ["HiddenWords", "JointTokens", "hide_words", "join_pairs", "with_hidden_words"]

# BERT's recipe (Devlin et al. 2019, appendix A.1): most hidden subwords become the mask, some a random one,
# some stay.
_MASKED, _RANDOM = 0.8, 0.1


@dataclass(frozen=True)
class HiddenWords:
    """A batch with hidden words: what the encoder reads, which subwords (K,) of the B*T it must guess, and
    which words.

    words  (B,W) bool
    """

    tokens: Tokens
    places: Tensor
    answers: Tensor
    words: Tensor


@dataclass(frozen=True)
class JointTokens:
    """Pairs as one text each: `tokens` of both, and the same with the word numbers of one side only.

    rows  (B',) the pairs that fit the encoder
    """

    rows: Tensor
    tokens: Tokens
    source: Tokens
    target: Tokens


def hide_words(
    tokens: Tokens, *, share: float, mask_id: int, vocabulary: int, generator: torch.Generator
) -> HiddenWords:
    """Hide whole words with probability `share`, each of their subwords by itself masked, replaced or
    left.
    """
    width = max(tokens.counts, default=0)
    words = torch.rand(len(tokens), max(width, 1), generator=generator) < share  # (B,W)
    words &= torch.arange(max(width, 1)) < torch.tensor(tokens.counts)[:, None]
    chosen = words.gather(1, tokens.word_ids.clamp(min=0)) & (tokens.word_ids >= 0)  # (B,T)
    fate = torch.rand(chosen.shape, generator=generator)
    random = torch.randint(vocabulary, chosen.shape, generator=generator)
    ids = torch.where(chosen & (fate < _MASKED), mask_id, tokens.ids)
    ids = torch.where(chosen & (fate >= _MASKED) & (fate < _MASKED + _RANDOM), random, ids)
    places = chosen.flatten().nonzero().flatten()
    return HiddenWords(replace(tokens, ids=ids), places, tokens.ids.flatten()[places], words)


def join_pairs(source: Tokens, target: Tokens, *, limit: int, padding_id: int) -> JointTokens:
    """`<s> source </s> target </s>`: what stands before the target's first word is left out.

    Words are numbered on: the target's first word follows the source's last. Pairs past the limit are left
    out.
    """
    lead = [int((row >= 0).to(torch.int8).argmax()) for row in target.word_ids]
    first, second = source.lengths.tolist(), target.lengths.tolist()
    rows = [row for row in range(len(source)) if first[row] + second[row] - lead[row] <= limit]
    width = max((first[row] + second[row] - lead[row] for row in rows), default=0)
    ids = torch.full((len(rows), width), padding_id)
    word_ids = torch.full((len(rows), width), -1)
    attention = torch.zeros(len(rows), width, dtype=torch.bool)
    for place, row in enumerate(rows):
        n, m = first[row], second[row] - lead[row]
        ids[place, :n], ids[place, n : n + m] = source.ids[row, :n], target.ids[row, lead[row] : second[row]]
        theirs = target.word_ids[row, lead[row] : second[row]]
        word_ids[place, :n] = source.word_ids[row, :n]
        word_ids[place, n : n + m] = torch.where(theirs >= 0, theirs + source.counts[row], -1)
        attention[place, : n + m] = True
    ours, counts = ([side.counts[row] for row in rows] for side in (source, target))
    before = torch.tensor(ours, dtype=torch.int64)[:, None]
    sides = (
        torch.where(word_ids < before, word_ids, -1),
        torch.where(word_ids >= before, word_ids - before, -1),
    )
    return JointTokens(
        torch.tensor(rows, dtype=torch.int64),
        Tokens(ids, attention, word_ids, tuple(n + m for n, m in zip(ours, counts, strict=True))),
        Tokens(ids, attention, sides[0], tuple(ours)),
        Tokens(ids, attention, sides[1], tuple(counts)),
    )


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

    if "vocabulary" in config.needs:
        pairs = replace(pairs, embedding=word_table(encoder.model, encoder.name))
    if "masked" in config.needs:
        sides = tuple(_encoded(hide(side), encoder) for side in (batch.source, batch.target))
        pairs = replace(pairs, masked=sides)
    if "joint" in config.needs:
        pairs = replace(pairs, joint=_joint(pairs, batch, hide, encoder, config))
    return pairs


def _nothing(pairs: EncodedPairs) -> Joint:
    """The joint text of no pair, whose losses are 0, with a gradient of 0."""
    source, target = (
        Encoded(side.vectors[:0], side.mask[:0], side.word_ids[:0]) for side in (pairs.source, pairs.target)
    )
    none = source.word_ids.new_zeros(0)
    masked = Masked(source.vectors, none, none)
    return Joint(none, masked, source, target, (source.mask, target.mask))


def _joint(
    pairs: EncodedPairs,
    batch: PairBatch,
    hide: Callable[[Tokens], HiddenWords],
    encoder: TorchEncoder,
    config: ObjectiveSettings,
) -> Joint:
    texts = join_pairs(
        batch.source, batch.target, limit=encoder.max_tokens, padding_id=encoder.subwords.padding_id
    )
    if len(texts.rows) == 0:  # a long pair that stands alone in a piece of a batch
        return _nothing(pairs)
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
