"""Languages from file names and from what the user states."""

from __future__ import annotations

import pytest

from otkit.data.languages import languages_of
from otkit.errors import InputError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("de-en.tsv", "de en"),
        ("corpus.de-en.tsv.gz", "de en"),
        ("de-en.train.tsv", "de en"),
        ("folder/fr-ar.x/el-en.tsv", "el en"),
        ("xlwa-en-bg.dev.tsv.gz", "en bg"),
        ("en-fr.first100.src-tgt.gz", "en fr"),
        ("deu-eng.tsv.gz", "deu eng"),
        ("cmn-eng.tsv", "cmn eng"),
        ("quz-spa.tsv", "quz spa"),
        ("zho_Hans-eng_Latn.txt", "zho_Hans eng_Latn"),
        ("en-zh_CN.tsv", "en zh_CN"),
        ("news_2024.sw-en.jsonl", "sw en"),
        ("europarl-v7.de-en.tsv", "de en"),
        ("en-en.tsv", "en en"),
    ],
)
def test_names_that_tell(name: str, expected: str) -> None:
    assert " ".join(languages_of(name)) == expected


@pytest.mark.parametrize(
    "name", ["pairs.tsv", "test-set.tsv", "my-new-set.tsv", "best-of-all.gz", "de_en.tsv", "den-haag"]
)
def test_names_that_do_not_tell(name: str) -> None:
    with pytest.raises(
        InputError, match="does not tell its languages; state them, source first: `langs='de-en'`"
    ):
        languages_of(name)


def test_a_name_that_tells_two_things() -> None:
    with pytest.raises(InputError, match=r"names several language pairs \(de-en and fr-en\); state them"):
        languages_of("de-en.fr-en.tsv")
    with pytest.raises(InputError, match="<stdin>: the languages of standard input are not known"):
        languages_of("-")


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("news.de", "news.en", "de en"),
        ("en-hi.test.en.gz", "en-hi.test.hi.gz", "en hi"),
        ("europarl-v7.de-en.de", "europarl-v7.de-en.en", "de en"),
        ("train.de.txt", "train.en.txt.gz", "de en"),
        ("de-en.src", "de-en.tgt", "de en"),
    ],
)
def test_two_files_tell_by_their_endings(source: str, target: str, expected: str) -> None:
    assert " ".join(languages_of(source, target=target)) == expected


@pytest.mark.parametrize("stated", ["de-en", " de-en ", "zh_CN-en", "deu-eng", "de-de"])
def test_stated_languages_win(stated: str) -> None:
    assert "-".join(languages_of("fr-en.tsv", stated)) == stated.strip()


@pytest.mark.parametrize("stated", ["", "de", "de-en-fr", "de,en", "d-e", "de-"])
def test_stated_languages_that_cannot_be(stated: str) -> None:
    with pytest.raises(InputError, match="expected two codes joined by a hyphen; write for instance de-en"):
        languages_of("fr-en.tsv", stated)
