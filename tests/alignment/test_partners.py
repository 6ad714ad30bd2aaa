"""How probably words have no partner: rules, and where there are none."""

from __future__ import annotations

import json
import math

import pytest
import torch

from otkit.alignment.aligner import WordAligner
from otkit.alignment.corpus import LINE_FORMATS, Line
from otkit.alignment.partners import KINDS, no_partner, rules_of
from otkit.alignment.settings import TRANSPORTS, AlignmentSettings
from otkit.encoders.torch import TorchEncoder
from otkit.reports.plain import alignment_document
from otkit.reports.view import view_of

PAIR = [(("das", "haus", "ist", "klein", "."), ("the", "house", "."))]


def test_a_rule_by_hand() -> None:
    rules = dict(zip(KINDS, [(0.0, -1.0, 0.0, 0.0), (1.0, 0.0, 2.0, 4.0), (3.0, 0.0, 0.0, 0.0)], strict=True))
    share, null = torch.tensor([[0.5, 0.9, 0.1, 0.1]]), torch.tensor([[0.9, 0.9, 0.25, 0.5]])
    linked, letters = torch.tensor([[True, True, False, False]]), torch.tensor([[3, 5, 4, 0]])
    found = no_partner(share, null, linked, letters, rules)
    # The third word left a quarter and moved three: 1 + 2 ln 1/4 + 4 ln 3/4.
    third = 1 + 2 * math.log(0.25) + 4 * math.log(0.75)
    expected = torch.tensor([[0.0, -math.log(9), third, 3.0]]).sigmoid()
    torch.testing.assert_close(found, expected)


def test_a_stronger_link_makes_a_partner_more_probable() -> None:
    for transport in ("unbalanced", "semi", "partial"):
        rules = rules_of(AlignmentSettings(transport=transport))
        assert rules is not None
        share = torch.linspace(0.05, 0.95, 10)[None]
        for linked in (True, False):
            found = no_partner(
                share, share * 0 + 0.9, torch.full_like(share, linked).bool(), share * 0 + 5, rules
            )
            assert (found.diff(dim=1) < 0).all()


def test_more_that_stays_makes_a_partner_less_probable_up_to_where_it_tells() -> None:
    for transport, most in (("unbalanced", 0.98), ("semi", 0.4), ("partial", 0.4)):
        rules = rules_of(AlignmentSettings(transport=transport))
        assert rules is not None
        null = torch.linspace(0.02, most, 10)[None]
        for linked in (True, False):
            found = no_partner(
                null * 0 + 0.5, null, torch.full_like(null, linked).bool(), null * 0 + 5, rules
            )
            assert (found.diff(dim=1) > 0).all()
    # Nothing that stays and nothing that moves are figures too.
    edges = torch.tensor([[0.0, 1.0]])
    found = no_partner(edges, edges, edges.bool(), edges + 5, rules)
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("transport", list(TRANSPORTS))
def test_what_is_not_known_is_absent(tiny_encoder: TorchEncoder, transport: str) -> None:
    config = AlignmentSettings(transport=transport, strategy="mutual")
    (found,) = WordAligner(tiny_encoder, config).align(PAIR)
    known = transport in ("unbalanced", "semi", "partial")
    for document in (
        json.loads(LINE_FORMATS["jsonl"](Line(1, found), True)),
        alignment_document([view_of(found)], ["m"], [{}])["alignments"][0],
    ):
        assert ("source_no_partner" in document) == known
        if known:
            assert [len(document[side]) for side in ("source_no_partner", "target_no_partner")] == [5, 3]
    (priced,) = WordAligner(tiny_encoder, AlignmentSettings(transport="balanced", null=0.5)).align(PAIR)
    assert priced.source_no_partner is None  # nobody has fitted rules for it
