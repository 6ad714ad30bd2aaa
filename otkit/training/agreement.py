"""Prediction-consistency: a head answers to a text in other languages as it answers to the English one.

Zheng et al. 2021 (xTune, arXiv 2106.08226), equation 2, with the English side detached: the divergence of Kullback and
Leibler from the answer in English to the answer in the other languages, both softened by a temperature t and multiplied
by t squared, so that the gradient keeps its size (Hinton et al. 2015, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otkit.encoders.device import send
from otkit.encoders.pairs import JointInputs
from otkit.training.heads import ClassBatch, SpanBatch

__all__ = ["CopyBatch", "agreement", "span_agreement"]


@dataclass(frozen=True)
class CopyBatch:
    """Texts in other languages beside the English ones that they stand for.

    english    the English inputs, row by row
    copy       the other ones, with their labels; of the indices of the English batch
    labelled   False where there are no labels, and only the answers can agree
    spread     of spans: (B,T,T') twice, where the weight of an English position goes as a first and as a last subword
    """

    english: JointInputs
    copy: ClassBatch | SpanBatch
    labelled: bool = True
    spread: tuple[Tensor, Tensor] | None = None

    @property
    def indices(self) -> tuple[int, ...]:
        """The numbers of the examples."""
        return self.copy.indices

    def consistency(self, english: Tensor, other: Tensor, temperature: float) -> Tensor:
        """How far the answers to the copies are from the answers to the English texts, which learn nothing."""
        english = english.detach()
        if self.spread is None:
            return agreement(english, other, temperature)
        sides = [
            span_agreement(english[..., side], other[..., side], send(spread, other.device), temperature)
            for side, spread in enumerate(self.spread)
        ]
        return (sides[0] + sides[1]) / 2


def agreement(english: Tensor, other: Tensor, temperature: float) -> Tensor:
    """The mean over rows of t² KL(softmax(english / t) || softmax(other / t)); logits (B, C)."""
    wanted = (english.float() / temperature).log_softmax(-1)
    found = (other.float() / temperature).log_softmax(-1)
    return temperature**2 * (wanted.exp() * (wanted - found)).sum(-1).mean()


def span_agreement(english: Tensor, other: Tensor, spread: Tensor, temperature: float) -> Tensor:
    """The same of positions: logits (B, T) and (B, T'), and `spread` (B, T, T') that carries one to the other.

    What `spread` carries nowhere does not count, so a row weighs as much as of its answer is carried.
    """
    wanted = (english.float() / temperature).softmax(-1)
    carried = torch.einsum("bt,btu->bu", wanted, spread.to(wanted.dtype))
    whole = carried.sum(-1, keepdim=True)
    found = (other.float() / temperature).log_softmax(-1)
    share = carried / whole.clamp_min(1e-12)
    # 0 log 0 is 0, and where nothing is carried the other side's logit may be -inf.
    terms = torch.where(carried > 0, carried * (share.clamp_min(1e-30).log() - found), 0)
    return temperature**2 * terms.sum(-1).mean()
