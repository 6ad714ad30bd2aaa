"""Losses that make the encoder guess what was hidden: words, and where they stand in the translation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from otkit.errors import ConfigError
from otkit.training.encoded import EncodedPairs, Joint, Masked, Part
from otkit.training.link_losses import own_links
from otkit.training.settings import ObjectiveSettings

__all__ = ["denoising_alignment", "masked_language", "translation_language"]


def masked_language(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """Masked language modelling of each side by itself: cross-entropy of the hidden subwords, the mean of
    both sides.

    Devlin et al. 2019, section 3.1, with whole words hidden. The head starts untrained, above the encoder's
    own table of subword vectors.
    """
    losses = [_guess(side, pairs, "mlm") for side in pairs.masked]
    if not losses:
        raise ConfigError("mlm needs masked text", remedy="encode the pairs with words hidden")
    return Part(torch.stack(losses).mean() * pairs.batch_fraction)


def translation_language(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """Translation language modelling: the same on both sentences as one text, so that one can help to guess
    the other.

    Conneau and Lample 2019, section 3.3. Pairs that do not fit the encoder together are left out.
    """
    return Part(_guess(_joint(pairs, "tlm").masked, pairs, "tlm") * pairs.batch_fraction)


def denoising_alignment(pairs: EncodedPairs, config: ObjectiveSettings) -> Part:
    """A hidden word must point at its translation: -log p(a(i)), p = softmax_j(q_i . k_j / sqrt(D)) over the
    other side.

    XLM-Align (Chi et al., ACL 2021, section 3.2), averaged over the hidden linked words of both directions.
    The labels a(i) are the encoder's own: mutual argmax of the transport plan between the sentences encoded
    by themselves, under the current weights and without gradient (or given links, where there is exactly
    one).
    """
    joint = _joint(pairs, "denoising-alignment")
    n, m = joint.source.mask.shape[1], joint.target.mask.shape[1]
    given = pairs.links if config.links == "given" else None
    labels = (own_links(pairs, config) if given is None else given)[joint.rows]
    # On a GPU the units of the joint text are as wide as the text, which is wider than either sentence.
    labels = pad(labels, (0, max(0, m - labels.shape[2]), 0, max(0, n - labels.shape[1])))[:, :n, :m]
    pointer = pairs.heads["pointer"]
    total = joint.source.vectors.new_zeros(())
    count = total
    for asking, answering, hidden, links in (
        (joint.source, joint.target, joint.hidden[0], labels),
        (joint.target, joint.source, joint.hidden[1], labels.transpose(1, 2)),
    ):
        scores = pointer(asking.vectors, answering.vectors)
        scores = scores.masked_fill(~answering.mask[:, None, :], torch.finfo(scores.dtype).min)
        asked = hidden & asking.mask & (links.sum(2) == 1)  # (B,N)
        truth = links.to(torch.int8).argmax(2, keepdim=True)
        surprise = -scores.log_softmax(2).gather(2, truth)[..., 0]
        total = total + torch.where(asked, surprise, 0.0).sum()
        count = count + asked.sum()
    return Part(total / count.clamp(min=1) * pairs.batch_fraction)


def _guess(masked: Masked, pairs: EncodedPairs, name: str) -> Tensor:
    """The mean cross-entropy of the hidden subwords, 0 where none is hidden."""
    if pairs.embedding is None or "vocabulary" not in pairs.heads:
        raise ConfigError(f"{name} needs a prediction head", remedy="build the heads of the configuration")
    states = masked.states.flatten(0, 1)[masked.places]
    if len(states) == 0:
        return masked.states.sum() * 0.0
    scores = pairs.heads["vocabulary"](states, pairs.embedding)
    return cross_entropy(scores.float(), masked.answers)


def _joint(pairs: EncodedPairs, name: str) -> Joint:
    if pairs.joint is None:
        raise ConfigError(f"{name} needs both sentences as one text", remedy="encode the pairs together")
    return pairs.joint
