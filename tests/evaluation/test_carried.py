"""Spans from a context to its copy: which windows belong together, and where each position goes."""

from __future__ import annotations

import pytest
import torch

from otkit.data.examples import Answer, QaExample
from otkit.encoders.pairs import PairTokenizer
from otkit.encoders.torch import TorchEncoder
from otkit.evaluation.answers import Window, make_windows
from otkit.evaluation.carried import Carrying, counterparts
from otkit.evaluation.protocol import unwatched
from tests.conftest import give_pair_form

pytestmark = pytest.mark.usefixtures("one_thread")


def window(example: int) -> Window:
    return Window(example, (torch.zeros(1).int().numpy(),) * 2, 0, 0, 1)


def test_windows_are_paired_in_order_and_with_the_last_where_the_copy_has_fewer() -> None:
    assert counterparts([window(0)] * 3 + [window(1)], [window(0)] * 2 + [window(1)]) == [0, 1, 1, 2]


def test_each_word_goes_to_the_subwords_of_the_word_it_is_linked_to(tiny_encoder: TorchEncoder) -> None:
    give_pair_form(tiny_encoder)
    tokenizer = PairTokenizer(tiny_encoder)
    context = "the small house is kleines, the haus."
    one = QaExample("q", "ist das", context, (Answer("small", 4),))
    same, _ = make_windows(tokenizer, [one], max_length=60, stride=20, max_question=8)
    carry = Carrying(tokenizer, tiny_encoder, [one], [one], progress=unwatched)
    assert carry._links[context, context] >= {(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)}
    width = len(same[0].row[0])
    starts, ends = carry.spread([(same[0], same[0])], width, width)
    # "kleines" is klein and ##es: it begins at the first and ends at the second.
    ids = tiny_encoder.tokenizer.convert_ids_to_tokens(same[0].row[0].tolist())
    assert (ids[8], ids[9]) == ("klein", "##es")
    assert (starts[0, 8, 8], starts[0, 9].sum(), ends[0, 8].sum(), ends[0, 9, 9]) == (1, 0, 0, 1)
    assert starts[0, 0, 0] == ends[0, 0, 0] == 1
    assert float(starts.sum(2).max()) == pytest.approx(1)
