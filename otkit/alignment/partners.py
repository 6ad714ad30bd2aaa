"""How probably a word has no partner: a rule on its largest share and on its null mass, fitted on links made by hand.

Mass that stays behind says little by itself: unbalanced transport leaves more than half of it at most words that are
linked, too, because every word pays for what it moves. What people leave unlinked is told by three logistic rules: for
a word that is linked, for one that is not, and for a punctuation mark that is not. `benchmarks/no_partner.py` fits
their numbers and writes `partners.json`; `docs/method.md` prints them.

A rule weighs the logarithms of what stayed and of what moved apart, because transports differ in where their null mass
tells: unbalanced leaves .9 to .99 at a word without a link, and half of what moves there counts as much as anywhere;
semi leaves .01 to .4, and beyond that more says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from otkit.alignment.settings import AlignmentSettings

__all__ = ["KINDS", "features", "no_partner", "rules_of"]

KINDS = ("linked", "unlinked", "mark")
"""Kinds of words, each with a rule of its own: the weights of `features`."""

Rules = Mapping[str, tuple[float, float, float, float]]
_EDGE = 0.02


def features(share: Tensor, null: Tensor) -> Tensor:
    """(..., 4) what a rule weighs: 1, the log-odds of the word's largest share, the logarithms of its null mass and of
    what it moved."""
    odds = share.clamp(_EDGE, 1 - _EDGE).logit()
    return torch.stack(
        [torch.ones_like(share), odds, *(each.clamp(_EDGE).log() for each in (null, 1 - null))], -1
    )


def no_partner(share: Tensor, null: Tensor, linked: Tensor, letters: Tensor, rules: Rules) -> Tensor:
    """(B, N) probabilities, from the largest share of each word, its null mass, whether a link touches it, and its
    letters, 0 for punctuation."""
    kinds = torch.where(linked, 0, torch.where(letters > 0, 1, 2))
    numbers = torch.tensor([rules[kind] for kind in KINDS], dtype=share.dtype, device=share.device)
    return (features(share, null) * numbers[kinds]).sum(-1).sigmoid()


def rules_of(config: AlignmentSettings) -> Rules | None:
    """The rules under the transport of the settings; None where it has no null mass, or nobody has fitted them."""
    if config.null is not None and config.transport != "semi":
        return None
    return _rules().get(config.transport)


@cache
def _rules() -> dict[str, Rules]:
    read = json.loads((Path(__file__).parent / "partners.json").read_text(encoding="utf-8"))
    return {name: {kind: tuple(rule) for kind, rule in rules.items()} for name, rules in read.items()}
