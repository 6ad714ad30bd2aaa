"""Words keep their count and order through tokenisation, whatever they are made of."""

from __future__ import annotations

import pytest
import torch

from otkit.encoders.tokens import Tokens, TooLongError, letters_of, stack_tokens
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError

SENTENCES = [
    ["Das", "ist", "ein", "unglaublich", "kleines", "Haus", "."],
    ["Η", "γάτα", "κοιμάται", "."],
    ["这是", "一", "座", "小", "房子", "。"],
    ["هذا", "بيت", "صغير", "."],
    ["x"],
]


@pytest.mark.parametrize("fixture", ["sample_encoder", "tiny_encoder"])
def test_tokens_are_those_of_transformers(fixture: str, request: pytest.FixtureRequest) -> None:
    encoder: TorchEncoder = request.getfixturevalue(fixture)
    ours = encoder.tokenize(SENTENCES, prefix="")
    theirs = encoder.tokenizer(SENTENCES, is_split_into_words=True, padding=True, return_tensors="pt")
    assert torch.equal(ours.ids, theirs["input_ids"])
    assert torch.equal(ours.attention, theirs["attention_mask"].bool())
    for row in range(len(SENTENCES)):
        expected = [-1 if word is None else word for word in theirs.word_ids(row)]
        assert ours.word_ids[row].tolist() == expected


def test_remembered_words_give_the_same_tokens_as_new_ones(sample_encoder: TorchEncoder) -> None:
    first = sample_encoder.tokenize(SENTENCES)
    again = sample_encoder.tokenize(SENTENCES)
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.word_ids, again.word_ids)


def test_memory_of_words_is_bounded(tiny_encoder: TorchEncoder) -> None:
    subwords = tiny_encoder.subwords
    subwords.REMEMBERED = 10  # type: ignore[misc]
    for start in range(0, 100, 5):
        words = [f"w{number}" for number in range(start, start + 5)] + ["a"]
        found = subwords.encode([words])
        assert found.counts == (6,)
        assert len(subwords._pieces) <= 10


@pytest.mark.parametrize(
    "word", ["\u200b", "\ufe0f", "", "\u00ad", "\u3000", " ", "\x00", "\x07", "\ud83d\ude00"[:1]]
)
@pytest.mark.parametrize("fixture", ["sample_encoder", "tiny_encoder"])
def test_a_word_without_visible_text_stays_a_unit(
    word: str, fixture: str, request: pytest.FixtureRequest
) -> None:
    encoder: TorchEncoder = request.getfixturevalue(fixture)
    tokens = encoder.tokenize([["a", word, "b"], [word]])
    assert tokens.counts == (3, 1)
    assert set(tokens.word_ids[0].tolist()) - {-1} == {0, 1, 2}
    assert 0 in tokens.word_ids[1].tolist()


def test_a_word_the_normaliser_deletes_is_the_unknown_token(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.tokenize([["a", "", "b"]])
    assert int(tokens.ids[0][tokens.word_ids[0] == 1]) == tiny_encoder.tokenizer.unk_token_id


def test_only_a_first_word_that_is_fewer_pieces_so_is_truecased(sample_encoder: TorchEncoder) -> None:
    words = sample_encoder.subwords
    assert [len(pieces) for pieces in words.pieces(["Dün", "dün", "Tom", "tom"])] == [2, 1, 1, 1]
    sentences: list[tuple[str, ...]] = [
        ("Dün", "Dün"),
        ("„", "1.", "Dün", "ve"),
        ("DÜN", "Dün"),
        ("Tom", "gitti"),
        ("昨天", "。"),
        ("Ⅻ", "Dün"),
        ("他", "Dün"),  # no first word of a sentence: its capital says something
        ("…", "3"),
        (),
    ]
    assert words.truecase(sentences) == [
        ("dün", "Dün"),
        ("„", "1.", "dün", "ve"),
        *sentences[2:],
    ]
    for before, after in zip(SENTENCES, words.truecase(SENTENCES), strict=True):
        counts = [sum(map(len, words.pieces(side))) for side in (before, after)]
        assert (counts[1] < counts[0]) == (list(after) != list(before))
        assert [word.lower() for word in after] == [word.lower() for word in before]


def test_text_that_looks_like_a_special_token_is_text(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.tokenize([["a", "[SEP]", "b"]])
    assert tiny_encoder.tokenizer.sep_token_id not in tokens.ids[0][tokens.word_ids[0] >= 0].tolist()
    assert tokens.counts == (3,)


def test_the_prefix_belongs_to_no_word(sample_encoder: TorchEncoder) -> None:
    plain = sample_encoder.tokenize([["Haus"]], prefix="")
    led = sample_encoder.tokenize([["Haus"]])
    lead = led.ids.shape[1] - plain.ids.shape[1]
    assert sample_encoder.settings.prefix == "query: "
    assert sample_encoder.tokenizer.decode(led.ids[0][1 : 1 + lead]).strip() == "query:"
    assert led.word_ids[0, : 1 + lead].tolist() == [-1] * (1 + lead)
    assert torch.equal(led.ids[0, 1 + lead :], plain.ids[0, 1:])


def test_nothing_to_tokenise(tiny_encoder: TorchEncoder) -> None:
    assert tiny_encoder.tokenize([]).ids.shape[0] == 0
    empty = tiny_encoder.tokenize([[]])
    assert empty.counts == (0,)
    assert empty.ids.tolist() == [[2, 3]]


def test_too_long_a_sentence_is_refused_with_its_number(tiny_encoder: TorchEncoder) -> None:
    at_limit = ["a"] * 62
    assert tiny_encoder.tokenize([at_limit]).ids.shape[1] == tiny_encoder.max_tokens == 64
    with pytest.raises(
        TooLongError, match="sentence 1 has 65 subword tokens and the encoder takes 64"
    ) as caught:
        tiny_encoder.tokenize([["a"], [*at_limit, "a"]])
    assert (caught.value.index, caught.value.tokens, caught.value.limit) == (1, 65, 64)


def test_select_drops_columns_of_padding(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.tokenize([["a"], ["the", "house"], ["a", "b", "c", "d"]])
    some = tokens.select(torch.tensor([1, 0]))
    alone = tiny_encoder.tokenize([["the", "house"], ["a"]])
    assert torch.equal(some.ids, alone.ids)
    assert torch.equal(some.word_ids, alone.word_ids)
    assert some.counts == alone.counts


def test_shapes_and_types_are_checked_at_the_door() -> None:
    ids = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"must be \(B, T\) alike"):
        Tokens(ids, torch.ones(2, 4, dtype=torch.bool), ids)
    with pytest.raises(ValueError, match="int64 and attention bool"):
        Tokens(ids, ids, ids)
    assert Tokens(
        ids, torch.ones(2, 3, dtype=torch.bool), torch.tensor([[-1, 0, 1], [-1, -1, -1]])
    ).counts == (2, 0)


def test_a_tokenizer_of_another_encoder_is_refused(
    tiny_encoder: TorchEncoder, sample_encoder: TorchEncoder
) -> None:
    with pytest.raises(CheckpointError, match="the tokenizer has 72000 pieces and the encoder"):
        TorchEncoder(
            tiny_encoder.model, sample_encoder.tokenizer, name="mixed", settings=tiny_encoder.settings
        )


def test_a_call_of_the_shared_tokenizer_leaves_no_truncation_behind(tiny_encoder: TorchEncoder) -> None:
    words = [["haus", "qwertzuiop"], ["ein", "house"]]
    expected = tiny_encoder.tokenize(words).ids
    tiny_encoder.subwords._pieces.clear()  # what is remembered is never tokenised again
    tiny_encoder.tokenizer(["das haus ist klein"], truncation=True, max_length=3, padding="max_length")
    assert torch.equal(tiny_encoder.tokenize(words).ids, expected)


def test_joined_sentences_are_those_of_transformers(sample_encoder: TorchEncoder) -> None:
    others = [*SENTENCES[1:], SENTENCES[0]]
    ours = sample_encoder.subwords.join(SENTENCES, others)
    theirs = sample_encoder.tokenizer(
        SENTENCES, others, is_split_into_words=True, padding=True, return_tensors="pt"
    )
    assert torch.equal(ours.ids, theirs["input_ids"])
    assert torch.equal(ours.attention, theirs["attention_mask"].bool())
    assert ours.counts == tuple(len(a) + len(b) for a, b in zip(SENTENCES, others, strict=True))
    for row, first in enumerate(SENTENCES):
        sides = theirs.encodings[row].sequence_ids
        expected = [
            -1 if side is None else word + len(first) * side
            for side, word in zip(sides, theirs.word_ids(row), strict=True)
        ]
        assert ours.word_ids[row].tolist() == expected


def test_joined_sentences_may_be_empty(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.subwords.join([["a", "b"], [], []], [[], ["c"], []], prefix="x")
    assert tokens.counts == (2, 1, 0)
    assert [sorted(set(row) - {-1}) for row in tokens.word_ids.tolist()] == [[0, 1], [0], []]
    first = tiny_encoder.subwords.join([["a"]], [["b"]]).ids[0].tolist()
    assert first[0] == 2, "[CLS]"
    assert (first[2], first[4]) == (3, 3), "its tokenizer has no form for two texts: [SEP] ends each"


def test_stacked_batches_have_the_states_that_each_has_by_itself(tiny_encoder: TorchEncoder) -> None:
    long, short = (
        tiny_encoder.tokenize([["das", "ist", "ein", "haus"]] * 2),
        tiny_encoder.tokenize([["house"]]),
    )
    both = stack_tokens([long, short], padding_id=tiny_encoder.subwords.padding_id)
    assert both.counts == (4, 4, 1)
    (states,) = tiny_encoder.hidden_states(both, layers=[-1])
    for part, tokens in ((states[:2], long), (states[2:, : short.ids.shape[1]], short)):
        (alone,) = tiny_encoder.hidden_states(tokens, layers=[-1])
        torch.testing.assert_close(part, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("word", "letters"),
    [
        ("house", 5),
        ("l'", 2),
        ("1945", 4),
        ("-", 0),
        ("...", 0),
        ("房子", 6),
        ("的", 3),
        ("ﾊ", 1),
        ("дом", 3),
        ("", 0),
    ],
)
def test_letters_count_wide_characters_three_times_and_punctuation_not_at_all(
    word: str, letters: int
) -> None:
    assert letters_of(word) == letters
