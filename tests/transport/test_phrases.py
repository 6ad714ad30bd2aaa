"""What the length of words says of their links: by hand, and what must not change it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from otkit.transport.phrases import weighted_shares


def weigh(share: list[list[float]], rows: list[int], columns: list[int], **settings: float) -> Tensor:
    chosen = {"power": 0.25, "attach_factor": 2.0, "threshold": 0.45, **settings}
    return weighted_shares(torch.tensor([share]), torch.tensor([rows]), torch.tensor([columns]), **chosen)[0]


def test_words_of_four_letters_are_neutral_and_longer_ones_weigh_more() -> None:
    found = weigh([[0.4, 0.2]], [4], [4, 64])
    torch.testing.assert_close(found, torch.tensor([[0.4, 0.4]]))
    # Of one letter, of two, and without any: all as two.
    found = weigh([[0.4, 0.4, 0.4]], [4], [1, 2, 0])
    torch.testing.assert_close(found, torch.full((1, 3), 0.4 * 0.5**0.25))


def test_a_short_word_leans_on_the_next_one() -> None:
    # "of the house" beside one long word, and beside a word that only the one before has as its partner.
    share = [[0.2, 0.5], [0.2, 0.2], [0.6, 0.2]]
    found = weigh(share, [2, 3, 5], [8, 8], power=0.0)
    torch.testing.assert_close(found, torch.tensor([[0.2, 0.5], [0.4, 0.2], [0.6, 0.2]]))
    assert torch.equal(weigh(share, [4, 4, 5], [8, 8], power=0.0), torch.tensor(share))  # not short
    assert torch.equal(weigh(share, [2, 0, 5], [8, 8], power=0.0), torch.tensor(share))  # punctuation


def test_a_short_word_with_a_partner_of_its_own_does_not_lean() -> None:
    # "the house" with "la casa": each has its own, and "the" stays with "la".
    share = torch.tensor([[0.5, 0.3], [0.3, 0.5]])
    assert torch.equal(weigh(share.tolist(), [3, 5], [2, 4], power=0.0), share)
    # "casa" alone, with another word that has nothing: "the" shares the partner of "house".
    share = torch.tensor([[0.4, 0.3], [0.3, 0.5]])
    found = weigh(share.tolist(), [3, 5], [7, 4], power=0.0)
    torch.testing.assert_close(found, torch.tensor([[0.4, 0.6], [0.3, 0.5]]))
    # Having that partner already is no reason against it.
    share = torch.tensor([[0.4, 0.5], [0.3, 0.5]])
    found = weigh(share.tolist(), [3, 5], [7, 4], power=0.0)
    torch.testing.assert_close(found, torch.tensor([[0.4, 1.0], [0.3, 0.5]]))


def test_both_sides_are_treated_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    share = torch.rand(3, 5, 7, generator=generator)
    rows, columns = (
        torch.randint(0, 9, (3, 5), generator=generator),
        torch.randint(0, 9, (3, 7), generator=generator),
    )
    settings = {"power": 0.25, "attach_factor": 2.0, "threshold": 0.45}
    one = weighted_shares(share, rows, columns, **settings)
    other = weighted_shares(share.transpose(1, 2), columns, rows, **settings)
    torch.testing.assert_close(one, other.transpose(1, 2))


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (0, 0), (1, 1)])
def test_padding_and_empty_sides_change_nothing(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    share = torch.rand(2, *size, generator=generator)
    rows, columns = (torch.randint(0, 9, (2, n), generator=generator) for n in size)
    settings = {"power": 0.25, "attach_factor": 2.0, "threshold": 0.45}
    small = weighted_shares(share, rows, columns, **settings)
    pad = torch.nn.functional.pad
    large = weighted_shares(pad(share, (0, 2, 0, 1)), pad(rows, (0, 1)), pad(columns, (0, 2)), **settings)
    torch.testing.assert_close(large[:, : size[0], : size[1]], small)
    assert not large[:, size[0] :].any()
    assert not large[:, :, size[1] :].any()


def test_a_power_of_0_and_a_factor_of_1_leave_the_shares_as_they_are() -> None:
    share = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(0))
    letters = torch.ones(2, 4, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64)
    assert torch.equal(weighted_shares(share, *letters, power=0.0, attach_factor=1.0, threshold=0.45), share)
