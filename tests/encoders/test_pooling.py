"""Pooling against a naive loop over sentences and words."""

from __future__ import annotations

import pytest
import torch

from otkit.encoders.pooling import Encoded, pool_sentences, pool_words, subword_units
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError

WORDS = [["das", "unbekannte", "haus"], ["a"], [], ["xyz", "is", "klein", ",", "der", "häuser"]]


def naive(states: torch.Tensor, word_ids: list[int], how: str) -> list[torch.Tensor]:
    words: dict[int, list[torch.Tensor]] = {}
    for state, word in zip(states, word_ids, strict=True):
        if word >= 0:
            words.setdefault(word, []).append(state)
    pick = {"last": lambda x: x[-1], "first": lambda x: x[0], "mean": lambda x: torch.stack(x).mean(0)}[how]
    return [pick(words[word]) for word in sorted(words)]


@pytest.mark.parametrize("how", ["last", "first", "mean"])
def test_words_equal_a_naive_loop(tiny_encoder: TorchEncoder, how: str) -> None:
    tokens = tiny_encoder.tokenize(WORDS)
    hidden = torch.randn(*tokens.ids.shape, 5, generator=torch.Generator().manual_seed(1))
    found = pool_words(hidden, tokens, word_vector=how)
    assert found.mask.sum(1).tolist() == [3, 1, 0, 6]
    for row in range(len(WORDS)):
        for place, expected in enumerate(naive(hidden[row], tokens.word_ids[row].tolist(), how)):
            torch.testing.assert_close(found.vectors[row, place], expected)
    assert (found.vectors[~found.mask] == 0).all()
    assert found.word_ids[3].tolist() == [0, 1, 2, 3, 4, 5]
    assert found.word_ids[1].tolist() == [0, -1, -1, -1, -1, -1]


def test_subwords_keep_order_and_words(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.tokenize(WORDS)
    hidden = torch.randn(*tokens.ids.shape, 5)
    found = subword_units(hidden, tokens)
    for row in range(len(WORDS)):
        inside = tokens.word_ids[row] >= 0
        assert torch.equal(found.vectors[row][found.mask[row]], hidden[row][inside])
        assert torch.equal(found.word_ids[row][found.mask[row]], tokens.word_ids[row][inside])
    assert (found.vectors[~found.mask] == 0).all()


def test_gradients_reach_only_the_pooled_tokens(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.tokenize(WORDS)
    hidden = torch.randn(*tokens.ids.shape, 3, dtype=torch.float64, requires_grad=True)
    pool_words(hidden, tokens, word_vector="last").vectors.sum().backward()
    assert hidden.grad is not None
    reached = hidden.grad.abs().sum(-1) > 0
    following = torch.cat([tokens.word_ids[:, 1:], torch.full((len(WORDS), 1), -1)], dim=1)
    assert torch.equal(reached, (tokens.word_ids >= 0) & (tokens.word_ids != following))


def test_half_precision_means_are_summed_in_fp32(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.tokenize([["abcdefghijklmnopqrstuvwxyz"]])  # 26 pieces of one word
    hidden = (torch.randn(*tokens.ids.shape, 8, generator=torch.Generator().manual_seed(0)) + 8).to(
        torch.bfloat16
    )
    found = pool_words(hidden, tokens, word_vector="mean").vectors[0, 0]
    expected = hidden[0, tokens.word_ids[0] == 0].double().mean(0).to(torch.bfloat16)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_sentence_vectors_ignore_padding(tiny_encoder: TorchEncoder, pooling: str) -> None:
    tokens = tiny_encoder.tokenize(WORDS)
    hidden = torch.randn(*tokens.ids.shape, 5)
    spoiled = torch.where(tokens.attention.unsqueeze(-1), hidden, torch.tensor(float("nan")))
    found = pool_sentences(spoiled, tokens, pooling=pooling)
    for row in range(len(WORDS)):
        own = hidden[row, tokens.attention[row]]
        expected = own.mean(0) if pooling == "mean" else own[0]
        torch.testing.assert_close(found[row], expected / expected.norm())


def test_unknown_choices_are_answered_with_the_nearest(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.tokenize(WORDS)
    hidden = torch.zeros(*tokens.ids.shape, 5)
    with pytest.raises(ConfigError, match="unknown word vector 'means'; did you mean 'mean'"):
        pool_words(hidden, tokens, word_vector="means")
    with pytest.raises(ConfigError, match="unknown pooling 'middle'"):
        pool_sentences(hidden, tokens, pooling="middle")


def test_encoded_checks_its_shapes() -> None:
    with pytest.raises(ValueError, match="do not agree"):
        Encoded(torch.zeros(2, 3, 4), torch.ones(2, 2, dtype=torch.bool))
    mask = torch.tensor([[True, False], [True, True]])
    assert Encoded(torch.zeros(2, 2, 4), mask).word_ids.tolist() == [[0, -1], [0, 1]]
