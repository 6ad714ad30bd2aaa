"""Several corpora as one: as many pairs of each, all of the file's own lines, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from otkit.data.batching import PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.data.views import CorpusView, MixedCorpus
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError


def corpus(folder: Path, language: str, pairs: int) -> Path:
    path = folder / f"{language}-en.tsv"
    path.write_text("".join(f"{language} {n}\tenglish {n}\n" for n in range(pairs)), encoding="utf-8")
    return path


def test_as_many_pairs_of_each_and_a_small_corpus_again(tmp_path: Path) -> None:
    files = [open_corpus(corpus(tmp_path, *each)) for each in (("de", 10), ("fr", 3))]
    whole = MixedCorpus(files, quota=6, seed=1)
    assert len(whole) == 12
    assert whole.languages == ("mul", "en")
    pairs = [whole[index] for index in range(12)]
    assert all(pair.source.split()[1] == pair.target.split()[1] for pair in pairs)
    german = [pair.source for pair in pairs if pair.source.startswith("de")]
    french = Counter(pair.source for pair in pairs if pair.source.startswith("fr"))
    assert len(set(german)) == 6
    assert french == {f"fr {n}": 2 for n in range(3)}
    assert [pair.source[:2] for pair in pairs] == ["de", "fr"] * 6
    again = MixedCorpus(files, quota=6, seed=1)
    assert [again[index] for index in range(12)] == pairs
    assert len(MixedCorpus(files, quota=None, seed=1)) == 20
    other = MixedCorpus(files, quota=6, seed=2)
    assert [other[index] for index in range(12)] != pairs


def test_batches_hold_all_languages(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    files = [open_corpus(corpus(tmp_path, code, 32)) for code in ("de", "fr", "ro")]
    source = PairSource(
        [MixedCorpus(files, quota=None, seed=0)], tiny_encoder, BatchingSettings(batch_size=24)
    )
    parts = next(source.micro_steps(0, 1))
    assert len(parts) == 1
    assert len(parts[0].indices) == 24
    assert {index % 3 for index in parts[0].indices} == {0, 1, 2}


def test_an_empty_corpus_is_named(tmp_path: Path) -> None:
    full = open_corpus(corpus(tmp_path, "de", 3))
    with pytest.raises(InputError, match=r"de-en\.tsv: the file has no usable sentence pair"):
        MixedCorpus([full, CorpusView(full, np.arange(0))], quota=2, seed=0)
