"""Vectors without what their language shares: measured on the first texts, kept in the folder, taken off questions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from otkit.encoders.sentences import encode_sentences
from otkit.encoders.space import Moments
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError
from otkit.vectors import spaces
from otkit.vectors.embedder import Embedder
from otkit.vectors.embeddings import Embedding, TextInput, embed_corpora
from otkit.vectors.folder import open_vectors
from otkit.vectors.search import open_search
from otkit.vectors.settings import EmbeddingSettings
from otkit.vectors.spaces import question_in_space

LINES = [
    ("das haus ist klein .", "the house is small ."),
    ("ein haus", "a house"),
    ("der hund schläft", "the dog sleeps"),
    ("die katze", "the cat"),
]


@pytest.fixture
def corpus(tmp_path: Path) -> TextInput:
    path = tmp_path / "c.de-en.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in LINES), encoding="utf-8")
    return TextInput(str(path), languages={"source": "de", "target": "en"})


def embedded(encoder: TorchEncoder, corpus: TextInput, folder: Path, **settings: object) -> Embedding:
    config = EmbeddingSettings(shards="npy", index="none", **settings)  # type: ignore[arg-type]
    return embed_corpora(Embedder(encoder, unit=config.unit), [corpus], folder, config=config)


@pytest.mark.parametrize("space", ["center", "zscore"])
def test_vectors_are_those_less_what_their_language_shares(
    tiny_encoder: TorchEncoder, corpus: TextInput, tmp_path: Path, space: str
) -> None:
    found = embedded(tiny_encoder, corpus, tmp_path / "v", space=space).vectors
    vectors = np.concatenate(list(found.blocks()))
    for place in (0, 1):
        plain = encode_sentences(tiny_encoder, [pair[place] for pair in LINES])
        moments = Moments()
        moments.add(plain)
        expected = moments.space(space, of="x").rows(plain)
        np.testing.assert_allclose(vectors[place::2], expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert set(open_vectors(tmp_path / "v").facts["spaces"]) == {"de", "en"}


@pytest.mark.parametrize("unit", ["sentence", "word"])
def test_a_question_finds_its_own_text_in_the_space_of_its_language(
    tiny_encoder: TorchEncoder, corpus: TextInput, tmp_path: Path, unit: str
) -> None:
    embedded(tiny_encoder, corpus, tmp_path / "v", space="center", unit=unit)
    search = open_search(tmp_path / "v", encoder=tiny_encoder)
    assert set(search.spaces) == {"de", "en"}
    right = 0
    for pair in LINES:
        for text, language in zip(pair, ("de", "en"), strict=True):
            embedder = Embedder(tiny_encoder, unit=unit)
            rows = question_in_space(embedder([text]), search.spaces)
            own = search.spaces[language].rows(embedder([text]).vectors)
            if np.allclose(rows, own):  # the language was told by the nearest mean
                right += 1
                assert search([text], k=1)[0].hits[0].score == pytest.approx(1, abs=1e-4)
    assert right > len(LINES)


def test_the_first_texts_of_each_language_are_measured(
    tiny_encoder: TorchEncoder, corpus: TextInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spaces, "MEASURED", 2)
    monkeypatch.setattr(spaces, "_AT_ONCE", 3)
    embedded(tiny_encoder, corpus, tmp_path / "v", space="center")
    facts = open_vectors(tmp_path / "v").facts
    first = encode_sentences(tiny_encoder, [pair[0] for pair in LINES[:2]])
    np.testing.assert_allclose(facts["spaces"]["de"]["mean"], first.mean(0), atol=1e-6)


def test_a_run_with_a_space_goes_on_where_it_was(
    tiny_encoder: TorchEncoder, corpus: TextInput, tmp_path: Path
) -> None:
    first = embedded(tiny_encoder, corpus, tmp_path / "v", space="zscore")
    config = EmbeddingSettings(shards="npy", index="none", space="zscore")
    again = embed_corpora(Embedder(tiny_encoder), [corpus], tmp_path / "v", config=config, resume=True)
    assert again.made_before
    assert again.vectors.facts["spaces"] == open_vectors(first.vectors.folder).facts["spaces"]


def test_other_text_may_be_measured_and_must_have_the_languages(
    tiny_encoder: TorchEncoder, corpus: TextInput, tmp_path: Path
) -> None:
    text = tmp_path / "x.de-en.tsv"
    text.write_text("ein hund\ta dog\ndas haus\tthe house\n", encoding="utf-8")
    embedded(tiny_encoder, corpus, tmp_path / "v", space="center", space_text=str(text))
    mean = encode_sentences(tiny_encoder, ["ein hund", "das haus"]).mean(0)
    np.testing.assert_allclose(open_vectors(tmp_path / "v").facts["spaces"]["de"]["mean"], mean, atol=1e-6)
    other = tmp_path / "x.fr-en.tsv"
    other.write_text("un chien\ta dog\nune maison\ta house\n", encoding="utf-8")
    with pytest.raises(InputError, match="nothing is known of the space of 'de'"):
        embedded(tiny_encoder, corpus, tmp_path / "w", space="center", space_text=str(other))
    with pytest.raises(ConfigError, match="standard input and pipes cannot be read twice"):
        embedded(tiny_encoder, TextInput("-"), tmp_path / "w", space="center")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="standard input and pipes cannot be read twice"):
        embedded(tiny_encoder, TextInput(str(tmp_path / "pipe")), tmp_path / "w", space="center")
    with pytest.raises(ConfigError, match="and space is none"):
        EmbeddingSettings(space_text="x")
