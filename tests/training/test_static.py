"""Static word vectors: what is read of their files, which word has which, and the map into the encoder's space."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

import otkit
from otkit.data.batching import PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError
from otkit.training.encoded import Encoded
from otkit.training.objectives import AlignmentModel, encode_units
from otkit.training.settings import ObjectiveSettings
from otkit.training.static import StaticVectors, map_words

TEXT = "Das haus ist klein .\tthe house is small .\nein haus\ta house\ndie klein die\tthe small the\n"
CONFIG = ObjectiveSettings(losses=(("static-anchor", 1.0),), layers=(1,), word_vector="mean")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    return tmp_path / "de-en.tsv"


def write(path: Path, vectors: dict[str, list[float]], *, header: bool = True) -> Path:
    lines = [f"{word} {' '.join(map(str, vector))} \n" for word, vector in vectors.items()]
    text = "".join([f"{len(vectors)} 3\n" if header else "", *lines])
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_words_find_their_vectors_by_language_and_spelling(corpus: Path, tmp_path: Path) -> None:
    german = write(
        tmp_path / "cc.de.3.vec.gz", {"das": [3, 0, 0], "haus": [0, 2, 0], "die": [0, 0, 5], "von": [1, 1, 1]}
    )
    english = write(
        tmp_path / "wiki.multi.en.vec",
        {"house": [0, 1, 0], "die": [1, 0, 0], "small": [1, 1, 0]},
        header=False,
    )
    corpora = [open_corpus(corpus)]
    static = StaticVectors([german, english], corpora)
    assert len(static) == 5  # `von` and the English `die` are in no text
    np.testing.assert_allclose(static.table.norm(dim=1), 1.0, atol=1e-6)
    source, target = static.rows_of(corpora[0], [0, 2])
    assert source.tolist() == [[0, 1, -1, -1, -1], [2, -1, 2, -1, -1]]  # `Das` as `das`
    assert target.tolist() == [[-1, 3, -1, 4, -1], [-1, 4, -1, -1, -1]]
    both = StaticVectors([write(tmp_path / "all.vec", {"haus": [1, 0, 0], "house": [1, 0, 0]})], corpora)
    assert both.rows_of(corpora[0], [1])[0].tolist() == [[-1, 0]]
    assert both.rows_of(corpora[0], [1])[1].tolist() == [[-1, 1]]
    assert static.sha256 != both.sha256


def test_files_that_are_none_are_told(corpus: Path, tmp_path: Path) -> None:
    corpora = [open_corpus(corpus)]
    with pytest.raises(
        InputError, match="none of them is of a word of the text; give vectors of its languages"
    ):
        StaticVectors([write(tmp_path / "fr.vec", {"maison": [1, 0, 0]})], corpora)
    with pytest.raises(InputError, match=r"de.vec:2: the line of 'haus' is no vector; write: word v1 v2"):
        StaticVectors([write(tmp_path / "de.vec", {"haus": ["a", "b"]})], corpora)  # type: ignore[list-item]
    narrow = write(tmp_path / "en.vec", {"house": [1, 0]})
    with pytest.raises(InputError, match="its vectors have 2 numbers, and those before 3"):
        StaticVectors([write(tmp_path / "de.vec", {"haus": [1, 0, 0]}), narrow], corpora)


def test_the_map_is_the_ridge_regression(corpus: Path, tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    vectors = {"haus": [1, 0, 0], "klein": [0, 1, 0], "die": [0, 0, 1], "ist": [1, 1, 0], "ein": [0, 1, 1]}
    corpora = [open_corpus(corpus)]
    static = StaticVectors([write(tmp_path / "de.vec", vectors)], corpora)  # type: ignore[arg-type]

    def encode(encoder: TorchEncoder, tokens: Tokens) -> Encoded:
        return encode_units(encoder, tokens, CONFIG)

    mapped = map_words(static, tiny_encoder, corpora, encode)
    v, h = [], []
    for pair in corpora[0]:
        words = pair.source.split()
        with torch.no_grad():
            units = encode(tiny_encoder, tiny_encoder.tokenize([words])).vectors[0].numpy()
        for word, vector in zip(words, units, strict=True):
            if word in vectors:
                v.append(np.array(vectors[word]) / np.linalg.norm(vectors[word]))
                h.append(vector)
    a, b = np.array(v), np.array(h)
    a0, b0 = a - a.mean(0), b - b.mean(0)
    ridge = 0.01 * np.diag(a0.T @ a0).mean()
    expected = (static.table.numpy() - a.mean(0)) @ np.linalg.solve(a0.T @ a0 + ridge * np.eye(3), a0.T @ b0)
    np.testing.assert_allclose(mapped.table.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(mapped.middle.numpy(), b.mean(0), atol=1e-5)
    # In a batch every word is sent where its static vector is, and the others nowhere.
    (batch,) = next(
        PairSource(corpora, tiny_encoder, BatchingSettings(batch_size=3), seed=0).micro_steps(0, 1)
    )
    pairs = AlignmentModel(tiny_encoder, CONFIG, static=mapped).encode(batch)
    assert pairs.static is not None
    row = batch.indices.index(0)
    assert pairs.static[0].mask[row].tolist() == [False, True, True, True, False]
    torch.testing.assert_close(pairs.static[0].vectors[row, 1], mapped.table[0])
    assert not pairs.static[1].mask.any()


@pytest.mark.parametrize(
    ("losses", "more"),
    [({"static-anchor": 1.0}, {"static_vectors": ["cc.de.3.vec"]}), ({"window-ot": 1.0}, {})],
    ids=["static-anchor", "window-ot"],
)
def test_a_run_learns_it(
    corpus: Path,
    tmp_path: Path,
    tiny_encoder: TorchEncoder,
    losses: dict[str, float],
    more: dict[str, list[str]],
) -> None:
    vectors = {"haus": [1, 0, 0], "klein": [0, 1, 0], "die": [0, 0, 1], "ein": [0, 1, 1]}
    write(tmp_path / "cc.de.3.vec", vectors)  # type: ignore[arg-type]
    run = otkit.train(
        tiny_encoder,
        [corpus],
        output=tmp_path / "out",
        dev=[corpus],
        objective={"losses": losses, "cost": "cosine", "epsilon": 0.1, "layers": [1], "context_words": 3},
        training={"steps": 30, "lr": 1e-3, "schedule": "constant"},
        batching={"batch_size": 3, "pairs_per_language": 3},
        **{name: [tmp_path / file for file in files] for name, files in more.items()},  # type: ignore[arg-type]
    )
    (name,) = losses
    steps = [record[name] for record in run.history if "lr" in record]
    assert steps[-1] < 0.5 * steps[0]
    card = (tmp_path / "out" / "README.md").read_text()
    assert ("| windows | 3 words around a linked word |" in card) == (name == "window-ot")
    assert ("| static vectors | through a linear map" in card) == (name == "static-anchor")


def test_vectors_and_loss_belong_together(corpus: Path, tmp_path: Path) -> None:
    vectors = write(tmp_path / "de.vec", {"haus": [1, 0, 0]})
    static = {"losses": {"static-anchor": 1.0}}
    with pytest.raises(ConfigError, match="static-anchor needs vectors of words"):
        otkit.train("sample", [corpus], output=tmp_path / "out", objective=static)
    with pytest.raises(
        ConfigError, match="no loss holds on to static vectors; leave it out, or add the loss"
    ):
        otkit.train("sample", [corpus], output=tmp_path / "out", static_vectors=[vectors])
    for wrong in ({"granularity": "subword"}, {"layers": [1, 2], "layer_weights": [1, 1]}):
        with pytest.raises(ConfigError, match="static vectors are of words, of one space"):
            otkit.train("sample", [corpus], output=tmp_path / "out", objective={**static, **wrong})
    with pytest.raises(ConfigError, match="a window of 4 words has no middle; give 5"):
        ObjectiveSettings(context_words=4)
