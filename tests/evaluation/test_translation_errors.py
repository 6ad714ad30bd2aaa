"""Judged translations: the reader, areas against scikit-learn, pairwise order against brute force."""

from __future__ import annotations

import gzip
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from otkit.data.halomi import JudgedTranslation, read_halomi, spans_of
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError
from otkit.evaluation.significance import area, pairwise_order, resampled
from otkit.evaluation.translation_errors import _rank_area, evaluate_translation_errors

HEADER = "src_lang\ttgt_lang\tsrc_text\tmt_text\tomit_spans\thall_spans\tclass_hall\tclass_omit"
GOOD = "deu_Latn\teng_Latn\tdas haus\tthe house\tdas <<<haus>>>\tthe house\t1_No\t3_Partial"


def scores(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, 5, 60), rng.integers(0, 12, 60) / 10  # with ties


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_scikit_learns(seed: int) -> None:
    classes, values = scores(seed)
    expected = roc_auc_score(classes > 1, values)
    assert area(classes > 1, values).share() == pytest.approx(expected, abs=1e-12)
    assert _rank_area(classes > 1, values) == pytest.approx(expected, abs=1e-12)
    weights = resampled([np.arange(60)], 20, seed)[0]
    assert weights.sum(1).tolist() == [60.0] * 20
    drawn = [roc_auc_score(classes > 1, values, sample_weight=each) for each in weights]
    np.testing.assert_allclose(area(classes > 1, values).share(weights), drawn, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_pairwise_order_is_that_of_brute_force(seed: int) -> None:
    classes, values = scores(seed)
    right = total = 0
    for i, j in itertools.permutations(range(60), 2):
        if classes[i] > classes[j]:
            total += 1
            right += values[i] > values[j]
    assert pairwise_order(classes, values).share() == pytest.approx(right / total, abs=1e-12)


def test_no_pair_is_no_number() -> None:
    assert math.isnan(area([False, False], [0.1, 0.2]).share())
    assert math.isnan(_rank_area(np.array([True]), np.array([0.5])))
    with pytest.raises(InputError, match="1 scores for 2 items"):
        area([True, False], [0.1])


def test_the_reader_finds_spans_classes_and_directions(tmp_path: Path) -> None:
    path = tmp_path / "gold.tsv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{GOOD}\n".encode()))
    (item,) = read_halomi(path).items
    assert item == JudgedTranslation("das haus", "the house", ("deu_Latn", "eng_Latn"), 1, 3, ((4, 8),), ())
    assert item.direction == "deu-eng"
    assert spans_of("a b c", "<<<a>>> b <<<c>>>") == ((0, 1), (4, 5))
    for broken in ("a b", "<<<a b c", "a>>> b c", "<<<a <<<b>>> c", "a b d"):
        assert spans_of("a b c", broken) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the file is empty"),
        (HEADER, "no judged translation; give HalOmi's TSV"),
        (HEADER.replace("class_hall", "klass"), "the header lacks class_hall"),
        (f"{HEADER}\n{GOOD}\tmore", ":2: 9 columns, the header has 8; mend or remove the line"),
        (f"{HEADER}\n{GOOD.replace('1_No', '5_No')}", ":2: received the class '5_No', expected 1"),
        (f"{HEADER}\n{GOOD.replace('the house', ' ')}", ":2: the target is empty"),
    ],
)
def test_bad_files_are_named(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "gold.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_halomi(path)
    assert complaint in str(error.value)


def test_bad_lines_can_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "gold.tsv"
    path.write_bytes(f"{HEADER}\nshort\n{GOOD}\n".encode() + b"\xff\n")
    found = read_halomi(path, on_error="skip")
    assert (len(found.items), found.skipped, found.unmarked) == (1, 2, 0)
    assert [str(bad.where) for bad in found.bad] == [f"{path}:2", f"{path}:4"]
    with pytest.raises(InputError, match=r"gold\.tsv:2: 1 columns.*, or skip such lines: `on_error='skip'`"):
        read_halomi(path)


def test_errors_of_every_kind_are_scored(sample_encoder: TorchEncoder) -> None:
    pytest.importorskip("icu4py")
    languages = ("deu_Latn", "eng_Latn")
    whole, part = "Das Haus ist alt.", "Das Haus ist alt, und der Garten ist voller Apfelbäume."
    short, long = "The house is old.", "The house is old, and the garden is full of apple trees."
    lost, made_up = ((16, 54),), ((16, 55),)
    items = [
        JudgedTranslation(whole, short, languages, 1, 1, (), ()),
        JudgedTranslation(part, long, languages, 1, 1, (), ()),
        JudgedTranslation(part, short, languages, 1, 3, lost, ()),
        JudgedTranslation(whole, long, languages, 3, 1, (), made_up),
        JudgedTranslation(whole, "He plays football.", languages, 4, 4, ((0, 17),), ((0, 18),)),
    ]
    tasks = evaluate_translation_errors(sample_encoder, items).tasks
    hallucination, omission = tasks["hallucination"], tasks["omission"]
    assert len(hallucination.classes) == 5
    assert len(omission.classes) == 3  # without the two that hallucinate
    for task in (hallucination, omission):
        assert task.names == ["deu-eng"]
        assert task.auc("check") == 1.0
        assert task.words("check") > 0.95
        assert task.mean("check").value == task.auc("check", direction="deu-eng")
    assert omission.word_marks.sum() == 7
    assert hallucination.auc("check", severity=4) == 1.0


def test_the_real_file_is_read_whole(benchmark_data: Path) -> None:
    found = read_halomi(benchmark_data / "halomi" / "halomi-half.tsv.gz")
    assert len(found.items) == 1432
    assert found.unmarked == 18
    assert len({item.direction for item in found.items}) == 18
