"""CANINE reads characters: its tokens are code points, and each has a vector of every layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from typer.testing import CliRunner

from otkit.cli.app import app
from otkit.encoders.open import open_encoder
from otkit.encoders.pooling import pool_words
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ExportError
from otkit.exports.trim import trim_vocabulary
from tests.encoders.families import canine, write_family

LAST = 3 + 4  # those of the deep stack, and four of characters
SENTENCES = [["x"], ["das", "Häus", "ist"], ["日本", "😀"], *(["a" * n] for n in (*range(8, 34), 124, 125))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_family(canine, tmp_path_factory.mktemp("canine") / "tiny")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TorchEncoder:
    encoder = open_encoder(folder, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    return encoder


@pytest.fixture(scope="module")
def slow() -> Any:
    return transformers.CanineTokenizer()


def test_tokens_are_those_of_its_own_tokenizer(encoder: TorchEncoder, slow: Any) -> None:
    for text in ("das Häus", "日本語 x 𝒳", "a", "e\u0301  \t b", "\U000323a0\U000e0101 \ue123"):
        assert encoder.subwords.encode_texts([text]).ids[0].tolist() == slow(text).input_ids
    tokens = encoder.tokenize([["das", "Häus"]])
    assert tokens.ids[0].tolist() == slow(" das Häus").input_ids, "a word has the space before it"
    assert tokens.word_ids[0].tolist() == [-1, *[0] * 4, *[1] * 5, -1]
    assert encoder.subwords.pieces(["\U00055555"]) == [(ord(" "), 0xFFFD)], "a code point without a character"


def test_states_are_those_of_a_text_in_the_long_input_that_it_is_made_for(
    encoder: TorchEncoder, slow: Any
) -> None:
    assert (encoder.layers, encoder.max_tokens) == (LAST, 128)
    tokens = encoder.tokenize(SENTENCES)
    with torch.inference_mode():
        found = encoder.hidden_states(tokens, layers=range(LAST + 1))
        for row, sentence in enumerate(SENTENCES):
            given = slow(" " + " ".join(sentence), padding="max_length", max_length=128, return_tensors="pt")
            full = encoder.model(**given, output_hidden_states=True)
            length = int(tokens.lengths[row])
            for layer, (state, expected) in enumerate(zip(found, full.hidden_states, strict=True)):
                if 2 <= layer <= LAST - 2:  # of four characters each
                    assert expected.shape[1] == 32
                    expected = expected[:, [*range(1, 32), 31]].repeat_interleave(4, dim=1)
                torch.testing.assert_close(state[row, :length], expected[0, :length], rtol=1e-4, atol=2e-6)
            torch.testing.assert_close(
                found[-1][row, :length], full.last_hidden_state[0, :length], rtol=1e-4, atol=2e-6
            )


def test_a_word_is_the_mean_of_its_characters(encoder: TorchEncoder) -> None:
    tokens = encoder.tokenize([["das", "Häus"]])
    with torch.inference_mode():
        (state,) = encoder.hidden_states(tokens, layers=[4])
        vectors = pool_words(state, tokens, word_vector="mean").vectors
    torch.testing.assert_close(vectors[0, 0], state[0, 1:5].mean(0))
    torch.testing.assert_close(vectors[0, 1], state[0, 5:10].mean(0))


def test_what_needs_a_table_of_subwords_is_refused_by_name(encoder: TorchEncoder) -> None:
    with pytest.raises(ExportError, match="the architecture 'canine' keeps its words in no plain table"):
        trim_vocabulary(encoder, ["das haus"])


@pytest.mark.slow
def test_it_goes_through_the_commands(
    encoder: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("de-en.tsv").write_text(
        "".join(f"das haus {x}\tthe house {x}\n" for x in "abcdef"), encoding="utf-8"
    )
    encoder.save(Path("saved"))  # as otkit saves it, it opens five times faster
    model = ("--model", "saved")

    def otkit(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == code, f"{words}: {result.output} {result.exception!r}"
        return result.output

    otkit("info", "saved", "--json", "info.json", "-q")
    facts = json.loads(Path("info.json").read_text(encoding="utf-8"))["model"]
    assert (facts["architecture"], facts["layers"]) == ("canine", "7")
    otkit("extract", "de-en.tsv", *model, "--output", "links.align", "-q")
    assert len(Path("links.align").read_text(encoding="utf-8").splitlines()) == 6
    otkit("embed", "de-en.tsv", *model, "--output", "vectors", "--index", "none", "-q")
    run = ("--steps", "2", "--batch-size", "2", "--layer", "4", "--dev", "de-en.tsv", "-q")
    otkit("align", "de-en.tsv", *model, "--output", "run", *run)
    trained = open_encoder("run", device="cpu")
    assert trained.weights_sha256() != encoder.weights_sha256()
    assert trained.tokenize(SENTENCES).ids.equal(encoder.tokenize(SENTENCES).ids)
    assert "the architecture 'canine'" in otkit("export", "saved", "--output", "graph", "-q", code=1)


def test_a_loss_over_the_vocabulary_is_refused_by_name(encoder: TorchEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "saved")
    text = tmp_path / "de-en.tsv"
    text.write_text("das haus\tthe house\n" * 4, encoding="utf-8")
    words = (
        "align",
        str(text),
        "--model",
        str(tmp_path / "saved"),
        "--output",
        str(tmp_path / "run"),
        "--steps",
        "1",
        "-q",
    )
    result = CliRunner().invoke(app, (*words, "--set", "objective.losses=mlm"))
    assert result.exit_code == 1
    assert "the architecture 'canine' has no table of subword embeddings" in result.output
