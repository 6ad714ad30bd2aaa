"""Translation models are told the language of a text, as their tokenizers are with `src_lang` set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from otkit.alignment.aligner import WordAligner
from otkit.api.align import Aligner
from otkit.data.batching import PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.data.views import MixedCorpus, languages_of_pairs
from otkit.encoders.languages import language_key
from otkit.encoders.open import open_encoder
from otkit.encoders.sentences import encode_sentences
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.evaluation.retrieval import encode_texts
from otkit.exports.trim import trim_vocabulary
from tests.encoders.families import nllb_tokenizer, write_translator

LETTERS = "abcdefghijklmnopqrstuvwxyzäöüéßDE."
SENTENCES = [("das", "haus", "ist", "klein"), ("the", "house"), ("une", "maison")]


def nllb() -> tuple[Any, Any]:
    return nllb_tokenizer(), hf.M2M100Config


def mbart() -> tuple[Any, Any]:
    tokenizer = hf.MBartTokenizer(vocab=_unigram(hf.models.mbart.tokenization_mbart.FAIRSEQ_LANGUAGE_CODES))
    return tokenizer, hf.MBartConfig


def mbart50() -> tuple[Any, Any]:
    tokenizer = hf.MBart50Tokenizer(
        vocab=_unigram(hf.models.mbart50.tokenization_mbart50.FAIRSEQ_LANGUAGE_CODES)
    )
    return tokenizer, hf.MBartConfig


def _unigram(codes: list[str]) -> list[tuple[str, float]]:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [(piece, 0.0) for piece in special] + [(piece, -2.0) for piece in "▁" + LETTERS]
    return [*pieces, *((code, 0.0) for code in codes), ("<mask>", 0.0)]


CODES = {
    nllb: ("deu_Latn", "eng_Latn", "fra_Latn"),
    mbart: ("de_DE", "en_XX", "fr_XX"),
    mbart50: ("de_DE", "en_XX", "fr_XX"),
}


@pytest.fixture(params=CODES, ids=lambda make: make.__name__)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[TorchEncoder, Any, tuple[str, ...]]:
    """An encoder out of a folder, the tokenizer of transformers beside it, and its codes for de, en and fr."""
    tokenizer, config = request.param()
    write_translator(tokenizer, config, tmp_path / "model")
    encoder = open_encoder(tmp_path / "model", device="cpu")
    assert isinstance(encoder, TorchEncoder)
    return encoder, tokenizer, CODES[request.param]


def expected(tokenizer: Any, code: str, words: tuple[str, ...]) -> list[int]:
    tokenizer.src_lang = code
    return list(tokenizer(list(words), is_split_into_words=True).input_ids)


def rows(tokens: Tokens) -> list[list[int]]:
    return [row[:n].tolist() for row, n in zip(tokens.ids, tokens.lengths.tolist(), strict=True)]


def test_ids_are_those_of_the_tokenizer_with_its_language_set(
    family: tuple[TorchEncoder, Any, tuple[str, ...]],
) -> None:
    encoder, tokenizer, codes = family
    plain = encoder.tokenize(SENTENCES)
    told = encoder.subwords.in_languages(plain, ["de", "en", "fr"])
    assert rows(told) == [
        expected(tokenizer, code, words) for code, words in zip(codes, SENTENCES, strict=True)
    ]
    assert rows(encoder.subwords.in_languages(plain, codes)) == rows(told)
    assert rows(plain) == [expected(tokenizer, codes[1], words) for words in SENTENCES]
    assert rows(encoder.subwords.in_languages(plain, None)) == rows(plain)
    assert rows(encoder.subwords.in_languages(plain, [None, "en", None])) == rows(plain)
    french = [expected(tokenizer, codes[2], words) for words in SENTENCES]
    assert rows(encoder.subwords.in_languages(plain, "fr")) == french
    with pytest.raises(ConfigError, match="has no token for the language 'xx'; state one that it has"):
        encoder.subwords.in_languages(plain, "xx")
    # Text that looks like the token of a language is text, and stays as it is.
    odd, told = (
        encoder.subwords.in_languages(encoder.tokenize([(codes[1],)]), code) for code in ("en", "de")
    )
    assert sum(a != b for a, b in zip(*rows(odd), *rows(told), strict=True)) == 1


def test_training_tells_each_side_its_language(
    family: tuple[TorchEncoder, Any, tuple[str, ...]], tmp_path: Path
) -> None:
    encoder, tokenizer, codes = family
    for code in ("de", "fr"):
        (tmp_path / f"{code}-en.tsv").write_text(f"das haus {code}\tthe house {code}\n" * 3)
    corpora = [open_corpus(tmp_path / f"{code}-en.tsv") for code in ("de", "fr")]

    def batches(texts: list[Any]) -> list[Any]:
        source = PairSource(texts, encoder, BatchingSettings(batch_size=2, pairs_per_language=2), seed=0)
        return [batch for step in source.micro_steps(0, 1) for batch in step]

    for batch, code, short in zip(batches(corpora), (codes[0], codes[2]), ("de", "fr"), strict=True):
        assert rows(batch.source) == [expected(tokenizer, code, ("das", "haus", short))] * 2
        assert rows(batch.target) == [expected(tokenizer, codes[1], ("the", "house", short))] * 2
    mixed = MixedCorpus(corpora, quota=3, seed=0)
    assert languages_of_pairs(mixed, [0, 1, 2]) == (["de", "fr", "de"], ["en"] * 3)
    for batch in batches([mixed]):
        for row in rows(batch.source):
            assert row in [
                expected(tokenizer, code, ("das", "haus", short))
                for code, short in ((codes[0], "de"), (codes[2], "fr"))
            ]
    (tmp_path / "text.tsv").write_text("das haus\tthe house\n")
    assert languages_of_pairs(open_corpus(tmp_path / "text.tsv"), [0]) == ([None], [None])


def test_alignment_and_retrieval_tell_it_too(
    family: tuple[TorchEncoder, Any, tuple[str, ...]], tmp_path: Path
) -> None:
    encoder, _, _ = family
    pair = (SENTENCES[0], SENTENCES[1])
    told, untold = WordAligner(encoder, languages=("de", "en")), WordAligner(encoder)
    assert told.used()["languages"] == ["de", "en"]
    assert "languages" not in untold.used()
    plans = [next(aligner.align([pair])).plan for aligner in (told, untold)]
    assert not np.allclose(*plans)  # type: ignore[call-overload]
    # A corpus tells them by its name, and `langs` where it does not.
    (tmp_path / "c.de-en.tsv").write_text("das haus\tthe house\n")
    (tmp_path / "c.tsv").write_text("das haus\tthe house\n")
    named, stated = Aligner(encoder), Aligner(encoder, langs="de-en")
    for aligner, name in ((named, "c.de-en.tsv"), (stated, "c.tsv")):
        aligner.extract(tmp_path / name, output=tmp_path / f"{name}.out", scores=True)
        assert aligner.used()["languages"] == ["de", "en"]
    assert (tmp_path / "c.tsv.out").read_bytes() == (tmp_path / "c.de-en.tsv.out").read_bytes()

    texts = ["das haus", "the house", "das haus"]
    vectors = encode_texts(encoder, texts, languages=["de", "en", "en"], batch_tokens=64)
    assert not np.allclose(vectors[0], vectors[2])
    both = encode_sentences(encoder, texts, languages=["de", "en", "en"])
    np.testing.assert_allclose(vectors, both, atol=1e-6)
    same = encode_texts(encoder, texts, batch_tokens=64)
    np.testing.assert_allclose(same[0], same[2], atol=0)


@pytest.mark.parametrize("make", [mbart, mbart50])
def test_a_smaller_vocabulary_keeps_them(make: Callable[[], tuple[Any, Any]], tmp_path: Path) -> None:
    encoder = open_encoder(write_translator(*make(), tmp_path / "model"), device="cpu")
    assert isinstance(encoder, TorchEncoder)
    trimmed, _ = trim_vocabulary(encoder, ["das haus"])
    trimmed.save(tmp_path / "trimmed")
    again = open_encoder(tmp_path / "trimmed", device="cpu")
    assert again.subwords.languages.keys() == encoder.subwords.languages.keys()
    for code in ("de", None):
        states = [
            each.hidden_states(
                each.subwords.in_languages(each.tokenize([("das", "haus")]), [code]), layers=[1]
            )[0]
            for each in (encoder, again)
        ]
        torch.testing.assert_close(*states)


def test_an_encoder_without_such_tokens_is_as_ever(tiny_encoder: TorchEncoder) -> None:
    tokens = tiny_encoder.tokenize([("das", "haus")])
    assert tiny_encoder.subwords.in_languages(tokens, "xx") is tokens
    assert tiny_encoder.subwords.usual is None


def test_codes_as_files_have_them_find_the_codes_of_tokenizers() -> None:
    codes = ("deu_Latn", "eng_Latn", "zho_Hans", "zho_Hant", "azj_Latn", "kas_Arab", "kas_Deva", "nob_Latn")
    flores = dict.fromkeys([*codes, "nno_Latn", "arb_Arab", "ary_Arab"])
    for code, key in {
        "de": "deu_Latn",
        "deu": "deu_Latn",
        "zh": "zho_Hans",
        "zh_Hant": "zho_Hant",
        "az": "azj_Latn",
        "no": "nob_Latn",
        "nn": "nno_Latn",
        "ar": "arb_Arab",
        "kas_Deva": "kas_Deva",
    }.items():
        assert language_key(code, flores) == key
    with pytest.raises(ConfigError, match="2 tokens for the language 'ks'; say which: kas_Arab, kas_Deva"):
        language_key("ks", flores)
    assert language_key("zh", dict.fromkeys(["de_DE", "zh_CN"])) == "zh_CN"
    assert language_key("deu_Latn", dict.fromkeys(["de", "en"])) == "de"
