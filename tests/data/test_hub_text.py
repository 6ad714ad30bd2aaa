"""Parallel text of the Hub: the real `datasets`, streamed from a stand-in, whatever a set calls its columns."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otkit.data.hub import DataSet, data_set
from otkit.data.parallel import BadLine, open_corpus, read_pairs
from otkit.errors import ConfigError, InputError
from tests.hub import Hub, Repo, environment

datasets = pytest.importorskip("datasets")

DE = ["Das Haus ist klein .", "Ein Haus .", "Der Hund schläft ."]
EN = ["The house is small .", "A house .", "The dog sleeps ."]


pytestmark = pytest.mark.usefixtures("hub")


def put(hub: Hub, name: str, **configs: dict[str, list[dict[str, Any]]]) -> None:
    """A set of JSON lines: rows by configuration and split."""
    card, files = ["---", "configs:"], {}
    for config, splits in configs.items():
        card += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            card += [f"  - split: {split}", f"    path: {config}/{split}.jsonl.gz"]
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            files[f"{config}/{split}.jsonl.gz"] = gzip.compress(text.encode())
    files["README.md"] = "\n".join([*card, "---", ""]).encode()
    hub.repos[f"datasets/{name}"] = Repo(False, files)


def pairs_of(address: str, langs: str | None = None) -> tuple[list[tuple[str, str]], tuple[str, str]]:
    corpus = open_corpus(f"hf://datasets/{address}", langs=langs)
    return [(pair.source, pair.target) for pair in corpus], corpus.languages


def translation(*sides: tuple[str, list[str]]) -> list[dict[str, Any]]:
    return [{"id": str(n), "translation": {code: text[n] for code, text in sides}} for n in range(3)]


WANTED = list(zip(DE, EN, strict=True))


@pytest.mark.parametrize(
    ("rows", "config", "langs", "languages"),
    [
        (translation(("de", DE), ("en", EN)), "de-en", None, ("de", "en")),  # OPUS-100, opus_books
        (translation(("en", EN), ("de", DE)), "en-de", "de-en", ("de", "en")),
        (translation(("fr", EN), ("de", DE), ("en", EN)), "all", "de-en", ("de", "en")),
        ([{"english": e, "non_english": d} for d, e in WANTED], "de-en", None, ("de", "en")),
        ([{"english": e, "non_english": d} for d, e in WANTED], "default", "de-en", ("de", "en")),
        ([{"sentence_deu_Latn": d, "sentence_eng_Latn": e, "id": 1} for d, e in WANTED], "deu_Latn-eng_Latn", None,
         ("de", "en")),  # FLORES-200
        ([{"sentence_eng_Latn": e, "sentence_fra_Latn": "x", "sentence_deu_Latn": d} for d, e in WANTED],
         "all", "de-en", ("de", "en")),
        ([{"de": d, "en": e, "score": 1.0} for d, e in WANTED], "default", None, ("de", "en")),
        ([{"source": d, "target": e} for d, e in WANTED], "default", "de-en", ("de", "en")),
    ],
)  # fmt: skip
def test_columns_of_sets_as_people_publish_them(
    hub: Hub, rows: list[dict[str, Any]], config: str, langs: str | None, languages: tuple[str, str]
) -> None:
    put(hub, "ann/set", **{config: {"train": rows}})
    assert pairs_of(f"ann/set:{config}", langs) == (WANTED, languages)
    swapped = [pair[::-1] for pair in WANTED]
    if "source" not in rows[0] and langs is not None:
        assert pairs_of(f"ann/set:{config}", "en-de") == (swapped, ("en", "de"))


def test_scripts_and_rare_languages_of_flores(hub: Hub) -> None:
    """Chinese in two scripts is two columns, and a code that nobody has heard of is one with its script."""
    rows = [
        {"sentence_zho_Hans": d, "sentence_zho_Hant": "x", "sentence_ace_Latn": "y", "sentence_eng_Latn": e}
        for d, e in WANTED
    ]
    put(
        hub,
        "ann/flores",
        all={"dev": rows},
        **{
            "ace_Latn-eng_Latn": {
                "dev": [{"sentence_ace_Latn": d, "sentence_eng_Latn": e} for d, e in WANTED]
            }
        },
    )
    assert pairs_of("ann/flores:ace_Latn-eng_Latn") == (WANTED, ("ace", "en"))
    assert pairs_of("ann/flores:all", "zho_Hans-eng_Latn") == (WANTED, ("zh", "en"))
    assert pairs_of("ann/flores:all", "zho_Hant-en")[0][0] == ("x", EN[0])
    with pytest.raises(InputError, match=r"it has 2 columns of zh .*; state one: `langs='zho_Hans-en'`"):
        pairs_of("ann/flores:all", "zh-en")


def test_a_pair_is_found_the_other_way_round_or_made_of_two_languages(hub: Hub) -> None:
    put(hub, "lab/opus-100", **{"de-en": {"train": translation(("de", DE), ("en", EN))}})
    swapped = [pair[::-1] for pair in WANTED]
    assert pairs_of("lab/opus-100:en-de") == (swapped, ("en", "de"))
    put(
        hub,
        "lab/flores_plus",
        deu_Latn={"dev": [{"id": n, "text": text} for n, text in enumerate(DE)]},
        eng_Latn={"dev": [{"id": n, "text": text} for n, text in enumerate(EN)]},
        fra_Latn={"dev": [{"id": n + 1, "text": text} for n, text in enumerate(EN)]},
    )
    assert pairs_of("lab/flores_plus:deu_Latn-eng_Latn") == (WANTED, ("de", "en"))
    with pytest.raises(InputError, match="are not row by row alike: 0 beside 1"):
        pairs_of("lab/flores_plus:deu_Latn-fra_Latn")


def test_parquet_as_opus_has_it_is_streamed_in_parts(hub: Hub, tmp_path: Path) -> None:
    pair = datasets.Translation(languages=("de", "en"))
    rows = {"translation": [{"de": f"Satz {n} .", "en": f"Sentence {n} ."} for n in range(3000)]}
    made = datasets.Dataset.from_dict(rows, features=datasets.Features({"translation": pair}))
    made.to_parquet(str(tmp_path / "part.parquet"), batch_size=500)
    card = (
        "---\nconfigs:\n- config_name: de-en\n  data_files:\n  - split: train\n    path: de-en/train-*\n---\n"
    )
    files = {
        f"de-en/train-0000{n}-of-00002.parquet": (tmp_path / "part.parquet").read_bytes() for n in (0, 1)
    }
    hub.repos["datasets/lab/opus-100"] = Repo(False, {"README.md": card.encode(), **files})
    pairs, languages = pairs_of("lab/opus-100:de-en:train[:3100]")
    assert (len(pairs), languages) == (3100, ("de", "en"))
    assert pairs[2999:3001] == [("Satz 2999 .", "Sentence 2999 ."), ("Satz 0 .", "Sentence 0 .")]
    assert not list((tmp_path).rglob("*.arrow"))


def test_splits_and_limits(hub: Hub) -> None:
    rows = translation(("de", DE), ("en", EN))
    put(hub, "ann/set", **{"de-en": {"test": rows[:1], "train": rows, "validation": rows[1:2]}})
    assert len(pairs_of("ann/set:de-en")[0]) == 3
    assert pairs_of("ann/set:de-en:validation")[0] == WANTED[1:2]
    assert pairs_of("ann/set:de-en:train[:2]")[0] == WANTED[:2]
    assert pairs_of("ann/set:de-en[:1]")[0] == WANTED[:1]
    assert pairs_of("ann/set::test")[0] == WANTED[:1]  # the only configuration
    with pytest.raises(ConfigError, match="unknown split of ann/set 'valid'; did you mean 'validation'"):
        pairs_of("ann/set:de-en:valid")
    with pytest.raises(ConfigError, match="unknown configuration of ann/set 'de-fr'; did you mean 'de-en'"):
        pairs_of("ann/set:de-fr")


def test_an_address_is_read_as_it_is_written() -> None:
    for text, found in {
        "opus_books": DataSet("opus_books"),
        "a/b:de-en": DataSet("a/b", "de-en"),
        "a/b:de-en:dev[:10]": DataSet("a/b", "de-en", "dev", 10),
        "a/b::dev": DataSet("a/b", None, "dev"),
        "a/b[:7]": DataSet("a/b", None, None, 7),
    }.items():
        assert data_set(f"hf://datasets/{text}") == found
        assert str(found) == text
        assert data_set(Path(f"hf://datasets/{text}")) == found
    assert data_set("de-en.tsv") is None
    for wrong in ("", "a/b/c", "a:b:c:d", "a[:0]", "a[1:2]"):
        with pytest.raises(ConfigError, match="received the data set"):
            data_set(f"hf://datasets/{wrong}")


def test_bad_rows_are_told_or_skipped_by_their_number(hub: Hub) -> None:
    rows = translation(("de", DE), ("en", EN))
    rows[1]["translation"]["de"] = None
    rows[2]["translation"]["en"] = " "
    put(hub, "ann/set", **{"de-en": {"train": rows}})
    address = "hf://datasets/ann/set:de-en"
    with pytest.raises(InputError, match=r"ann/set:de-en:2: the translation.de is 'None', expected text"):
        list(read_pairs(address))
    found = list(read_pairs(address, on_error="skip"))
    assert [isinstance(pair, BadLine) for pair in found] == [False, True, True]
    assert "translation.en is empty" in str(found[2].error)  # type: ignore[union-attr]
    corpus = open_corpus(address, on_error="skip")
    assert (len(corpus), corpus.skipped, corpus.name) == (1, 2, "ann/set:de-en")


def test_what_cannot_be_read_says_why(hub: Hub) -> None:
    with pytest.raises(
        InputError, match=r"none/at-all: the data set cannot be read \(.*doesn't exist on the Hub"
    ):
        pairs_of("none/at-all")
    put(hub, "ann/odd", default={"train": [{"prompt": "a", "answer": "b"}]})
    with pytest.raises(
        InputError, match=r"no two sides are seen among its columns \(prompt, answer\); known are"
    ):
        pairs_of("ann/odd")
    put(hub, "ann/many", default={"train": translation(("de", DE), ("en", EN), ("fr", EN))})
    with pytest.raises(InputError, match=r"ann/many: it has 3 languages \(de, en, fr\); state two"):
        pairs_of("ann/many")
    with pytest.raises(InputError, match=r"it has no it, but de, en, fr"):
        pairs_of("ann/many", "de-it")
    put(hub, "ann/talks", default={"train": [{"english": "a", "non_english": "b"}]})
    with pytest.raises(InputError, match="the file name does not tell its languages"):
        pairs_of("ann/talks")
    with pytest.raises(InputError, match="one side is English, and de-fr has none"):
        pairs_of("ann/talks", "de-fr")
    hub.refuse = {"/resolve/.*jsonl": 404}
    with pytest.raises(InputError, match=r"ann/many: the data set cannot be read"):
        pairs_of("ann/many", "de-en")
    with pytest.raises(ConfigError, match="holds both sides, in its own form"):
        open_corpus("hf://datasets/ann/many", format="tsv")


def test_a_user_aligns_on_a_set_of_the_hub_and_pushes(hub: Hub, tmp_path: Path) -> None:
    """One real start: the environment alone says where the Hub is."""
    from huggingface_hub import constants

    from tests.conftest import make_tiny_encoder

    put(hub, "ann/set", **{"de-en": {"train": translation(("de", DE), ("en", EN))}})
    make_tiny_encoder().save(tmp_path / "tiny")
    words = (
        "align --dataset ann/set:de-en:train[:2] --model tiny --steps 1 --batch-size 2 --pairs-per-language 2"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "otkit", *words.split(), "--output", "out", "--push-to-hub", "aligned"],
        cwd=tmp_path,
        env={**os.environ, **environment(constants.ENDPOINT, tmp_path / "hf")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    card = hub.repos["ann/aligned"].files["README.md"].decode()
    assert "- `ann/set:de-en:train[:2]` (de-en, 1 pairs)" in card  # the other one is held out
    assert json.loads((tmp_path / "out" / "otkit.json").read_text())["data"][0]["languages"] == ["de", "en"]


def test_a_row_that_is_no_sentence_is_told(hub: Hub) -> None:
    """As long as a line of a file may be; what lies in a row of anyone's goes no further."""
    rows = translation(("de", ["a" * 1_000_001, "a\0b", "c"]), ("en", EN))
    put(hub, "ann/set", **{"de-en": {"train": rows[:2]}})
    found = list(read_pairs("hf://datasets/ann/set:de-en", on_error="skip"))
    assert [isinstance(pair, BadLine) for pair in found] == [True, True]
    assert "1,000,001 characters" in str(found[0].error)  # type: ignore[union-attr]
