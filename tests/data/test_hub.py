"""Hub data sets: read from folders in the Hub's layout, so that no network is needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from otkit.data.benchmarks import read_nli_hub, read_qa_hub
from otkit.data.examples import Answer, NliExample, QaExample
from otkit.errors import InputError, MissingExtraError


@pytest.fixture
def _quiet_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def folder(path: Path, rows: list[dict[str, object]]) -> str:
    path.mkdir()
    (path / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.usefixtures("_quiet_cache")
def test_items_of_both_tasks(tmp_path: Path) -> None:
    name = folder(
        tmp_path / "nli",
        [{"premise": "a", "hypothesis": "b", "label": 2}, {"premise": "c", "hypothesis": "d", "label": 0}],
    )
    found = read_nli_hub(name)
    assert found.examples == (NliExample("a", "b", "contradiction"), NliExample("c", "d", "entailment"))
    assert (found.name, found.labelled) == (f"{name}@validation", True)
    answers = {"text": ["1901"], "answer_start": [3]}
    name = folder(
        tmp_path / "qa", [{"id": "q", "context": "In 1901 .", "question": "Wann ?", "answers": answers}]
    )
    assert read_qa_hub(name).examples == (QaExample("q", "Wann ?", "In 1901 .", (Answer("1901", 3),)),)


@pytest.mark.usefixtures("_quiet_cache")
def test_class_names_decide_what_a_number_means(tmp_path: Path) -> None:
    import datasets

    names = ["neutral", "contradiction", "entailment"]
    features = datasets.Features(
        {
            "premise": datasets.Value("string"),
            "hypothesis": datasets.Value("string"),
            "label": datasets.ClassLabel(names=names),
        }
    )
    rows = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [2, 0]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "validation.parquet"))
    (tmp_path / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - name: premise\n    dtype: string\n"
        "  - name: hypothesis\n    dtype: string\n"
        "  - name: label\n    dtype:\n      class_label:\n        names:\n"
        + "".join(f"          '{number}': {name}\n" for number, name in enumerate(names))
        + "---\n"
    )
    assert [item.label for item in read_nli_hub(str(tmp_path))] == ["entailment", "neutral"]


@pytest.mark.usefixtures("_quiet_cache")
def test_errors_name_set_and_row(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"premise": "a", "hypothesis": "b", "label": 2},
        {"premise": "a", "hypothesis": "b", "label": 5},
    ]
    name = folder(tmp_path / "nli", rows)
    with pytest.raises(
        InputError, match=r"nli@validation\[1\]: the label 5 is none of entailment, neutral, contradiction"
    ):
        read_nli_hub(name)
    assert read_nli_hub(name, on_error="skip").skipped == 1
    with pytest.raises(
        InputError, match=r"nli@test: the data set cannot be loaded \(.*; check name, config, split and"
    ):
        read_nli_hub(name, split="test")
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "script.py").write_text("raise SystemExit('a loading script was run')\n")
    with pytest.raises(InputError, match="a set with a loading script has to be given as files"):
        read_qa_hub(str(tmp_path / "script"))


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'otkit\[hub\]'"):
        read_nli_hub("facebook/xnli", config="de")
