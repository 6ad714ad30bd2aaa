"""A trimmed vocabulary changes nothing on its own corpus, for both kinds of tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import otkit.exports.trim as trim
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError
from tests.exports.conftest import PAIRS

CORPUS = [
    "Das ist ein kleines Haus in Österreich .",
    "This is a small house .",
    "Wir fahren morgen nach Berlin .",
]


@pytest.fixture(autouse=True)
def few_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trim, "real_sentences", lambda: PAIRS)


@pytest.mark.parametrize("fixture", ["sample_encoder", "tiny_encoder"])
def test_the_corpus_is_encoded_as_before(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    encoder: TorchEncoder = request.getfixturevalue(fixture)
    small, report = trim.trim_vocabulary(encoder, CORPUS)
    assert report.pieces_after < report.pieces_before == len(encoder.tokenizer)
    assert small.model.get_input_embeddings().weight.shape[0] == report.pieces_after == len(small.tokenizer)
    sentences = [text.split() for text in CORPUS]
    with torch.inference_mode():
        before, after = (e.encode_sentences(e.tokenize(sentences)) for e in (encoder, small))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    assert [getattr(small.tokenizer, n) for n in names] == [getattr(encoder.tokenizer, n) for n in names]
    small.save(tmp_path / "small")
    again = open_encoder(tmp_path / "small", device="cpu")
    assert torch.equal(again.tokenize(sentences).ids, small.tokenize(sentences).ids)
    pieces = encoder.tokenizer.convert_ids_to_tokens(encoder.tokenize(sentences).ids[0].tolist())
    assert again.tokenizer.convert_ids_to_tokens(again.tokenize(sentences).ids[0].tolist()) == pieces


def test_other_text_falls_back_to_letters_not_to_unknown(sample_encoder: TorchEncoder) -> None:
    small, report = trim.trim_vocabulary(sample_encoder, CORPUS)
    assert report.unknown_before == report.unknown_after == 0.0
    words = ["Donaudampfschiff", "ξενοδοχείο", "房子"]
    ids = small.tokenize([words]).ids
    assert int((ids == small.subwords.unknown_id).sum()) == 0
    assert ids.shape[1] > sample_encoder.tokenize([words]).ids.shape[1]


def test_rare_pieces_go_with_a_minimum(sample_encoder: TorchEncoder) -> None:
    sizes = [
        trim.trim_vocabulary(sample_encoder, CORPUS * 2 + ["selten"], minimum=m)[1].pieces_after
        for m in (1, 2)
    ]
    assert sizes[1] < sizes[0]


def test_a_corpus_without_words_is_refused(tiny_encoder: TorchEncoder) -> None:
    with pytest.raises(InputError, match="the corpus of the new vocabulary has no words"):
        trim.trim_vocabulary(tiny_encoder, ["", "  "])


def test_the_pieces_of_another_tokenizer_are_kept_exactly(
    sample_encoder: TorchEncoder, tmp_path: Path
) -> None:
    first, _ = trim.trim_vocabulary(sample_encoder, ["das haus ist klein", "the house is small"])
    first.save(tmp_path / "first")
    second, report = trim.trim_vocabulary(
        sample_encoder, [], also=trim.pieces_of(tmp_path / "first" / "tokenizer.json")
    )
    assert report.pieces_after == len(first.tokenizer)
    vocabularies = [encoder.tokenizer.get_vocab() for encoder in (first, second)]
    assert vocabularies[0] == vocabularies[1]
    tables = [encoder.model.get_input_embeddings().get_parameter("weight") for encoder in (first, second)]
    assert torch.equal(*tables)
    (tmp_path / "tokenizer.json").write_text("no tokenizer")
    with pytest.raises(InputError, match="is not a tokenizer"):
        trim.pieces_of(tmp_path / "tokenizer.json")
