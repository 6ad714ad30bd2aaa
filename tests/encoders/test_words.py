"""Sentences past the encoder's limit: every word gets a vector, and short sentences notice nothing."""

from __future__ import annotations

import random

import pytest
import torch

from otkit.encoders.pooling import pool_words
from otkit.encoders.sentences import _plan, encode_words, token_states
from otkit.encoders.tokens import TooLongError
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError

POOL = ["das", "haus", "ist", "klein", "der", "small", "house", "is", "a", "the", "x", "unbekannt", ",", "."]


def text(words: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [rng.choice(POOL) for _ in range(words)]


def test_short_sentences_are_the_plain_encoding(tiny_encoder: TorchEncoder) -> None:
    sentences = [text(3), text(9, 1), []]
    tokens = tiny_encoder.tokenize(sentences)
    states = tiny_encoder.hidden_states(tokens, layers=[1, 2])
    for long in ("error", "window"):
        found = encode_words(tiny_encoder, sentences, layers=[1, 2], word_vector="last", long=long)
        for layer, encoded in zip(states, found, strict=True):
            assert torch.equal(encoded.vectors, pool_words(layer, tokens, word_vector="last").vectors)


@pytest.mark.parametrize("words", [1, 30, 100, 5000])
def test_no_word_is_left_without_a_vector(tiny_encoder: TorchEncoder, words: int) -> None:
    with torch.inference_mode():
        (found,) = encode_words(tiny_encoder, [text(words), ["a"]], layers=[1], long="window")
    assert found.mask.sum(1).tolist() == [words, 1]
    assert (found.vectors[0].norm(dim=-1) > 0).all()
    assert (found.vectors[~found.mask] == 0).all()


@pytest.mark.slow
def test_a_hundred_thousand_words(tiny_encoder: TorchEncoder) -> None:
    with torch.inference_mode():
        (found,) = encode_words(tiny_encoder, [text(100_000)], layers=[1], long="window")
    assert found.vectors.shape == (1, 100_000, 32)
    assert (found.vectors.norm(dim=-1) > 0).all()


def test_a_word_longer_than_the_encoder_has_positions(tiny_encoder: TorchEncoder) -> None:
    giant = "abcdefghij" * 9  # 90 pieces of one word, and 64 positions
    with torch.inference_mode():
        words, subwords = (
            encode_words(tiny_encoder, [["das", giant, "haus"]], layers=[1], unit=unit, long="window")[0]
            for unit in ("word", "subword")
        )
    assert words.mask.tolist() == [[True] * 3]
    assert subwords.word_ids.tolist() == [[0, *[1] * 90, 2]]
    torch.testing.assert_close(words.vectors[0, 1], subwords.vectors[0, 1:91].mean(0))


def test_rows_keep_their_order_among_long_ones(tiny_encoder: TorchEncoder) -> None:
    sentences = [text(80), ["das"], text(200, 1), ["haus", "klein"]]
    with torch.inference_mode():
        (together,) = encode_words(tiny_encoder, sentences, layers=[1], long="window")
        for row, sentence in enumerate(sentences):
            (alone,) = encode_words(tiny_encoder, [sentence], layers=[1], long="window")
            torch.testing.assert_close(together.vectors[row][together.mask[row]], alone.vectors[0])


def test_the_middle_of_a_window_is_the_state_of_its_own_window(tiny_encoder: TorchEncoder) -> None:
    sentence = text(100)
    tokens = tiny_encoder.subwords.encode([sentence])
    length = int(tokens.lengths[0])
    plan = _plan(length - 2, 62)
    with torch.inference_mode():
        (states,) = token_states(tiny_encoder, tokens, layers=[2])
        assert states.shape[1] == length
        start, low, high = plan.starts[1], plan.edges[1], plan.edges[2]
        ids = torch.cat([tokens.ids[0, :1], tokens.ids[0, 1 + start : 1 + start + 62], tokens.ids[0, -1:]])
        own = tiny_encoder.model(input_ids=ids[None]).last_hidden_state[0]
    torch.testing.assert_close(states[0, 1 + low : 1 + high], own[1 + low - start : 1 + high - start])


@pytest.mark.parametrize("content", [63, 64, 77, 78, 124, 125, 1000, 54321])
def test_windows_cover_everything_with_text_on_both_sides(content: int) -> None:
    size = 62
    plan = _plan(content, size)
    assert plan.starts[0] == 0
    assert plan.starts[-1] == content - size
    assert plan.edges[0] == 0
    assert plan.edges[-1] == content
    for number, start in enumerate(plan.starts):
        low, high = plan.edges[number], plan.edges[number + 1]
        assert start <= low < high <= start + size
        assert number == 0 or low - start >= size // 8 - 1
        assert number == len(plan.starts) - 1 or start + size - high >= size // 8 - 1


def test_a_long_batch_does_not_reach_the_position_table(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.subwords.encode([["a"], ["a"] * 70])
    with pytest.raises(TooLongError, match="sentence 1 has 72 subword tokens and the encoder takes 64"):
        tiny_encoder.hidden_states(tokens, layers=[1])


def test_errors(tiny_encoder: TorchEncoder) -> None:
    with pytest.raises(TooLongError, match="sentence 1 has"):
        encode_words(tiny_encoder, [["a"], text(100)], layers=[1])
    with pytest.raises(ConfigError, match="unknown unit 'token'"):
        encode_words(tiny_encoder, [["a"]], layers=[1], unit="token")
    with pytest.raises(ConfigError, match="unknown rule for long sentences 'cut'"):
        encode_words(tiny_encoder, [["a"]], layers=[1], long="cut")
    with pytest.raises(ConfigError, match="the prefix leaves no room for text"):
        encode_words(tiny_encoder, [["a"]], layers=[1], long="window", prefix="a " * 70)
