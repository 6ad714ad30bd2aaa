"""Single texts out of every kind of file: which, in what order, from which line, in which language."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from otkit.data.parallel import BadLine
from otkit.data.texts import Text, languages_of_texts, read_texts
from otkit.errors import ConfigError, InputError

PAIRS = [
    Text("eins", "source", 1),
    Text("one", "target", 1),
    Text("zwei", "source", 2),
    Text("two", "target", 2),
]


@pytest.mark.parametrize(
    "content",
    [
        "eins\tone\nzwei\ttwo\n",
        "eins ||| one\nzwei ||| two\n",
        '{"source": "eins", "target": "one"}\n{"source": "zwei", "target": "two"}\n',
    ],
)
def test_both_sides_of_a_line_stand_together(tmp_path: Path, content: str) -> None:
    plain, packed = tmp_path / "c", tmp_path / "c.gz"
    plain.write_text(content, encoding="utf-8")
    packed.write_bytes(gzip.compress(content.encode()))
    assert list(read_texts(plain)) == list(read_texts(packed)) == PAIRS
    assert list(read_texts(plain, side="target")) == PAIRS[1::2]
    assert list(read_texts(plain, side="source")) == PAIRS[::2]


def test_two_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("eins\nzwei\n")
    (tmp_path / "b").write_text("one\ntwo\n")
    assert list(read_texts(tmp_path / "a", target=tmp_path / "b")) == PAIRS


def test_a_file_of_one_language_has_a_sentence_a_line(tmp_path: Path) -> None:
    path = tmp_path / "news.de"
    path.write_text("eins\n  zwei \n\ndrei\n")
    with pytest.raises(InputError, match=r"news\.de:3: the line is empty"):
        list(read_texts(path))
    found = list(read_texts(path, on_error="skip"))
    assert [text for text in found if isinstance(text, Text)] == [
        Text("eins", "text", 1),
        Text("zwei", "text", 2),
        Text("drei", "text", 4),
    ]
    assert [bad.line for bad in found if isinstance(bad, BadLine)] == [3]
    path.write_text("a tab\tis text here\n")
    assert list(read_texts(path, format="text")) == [Text("a tab\tis text here", "text", 1)]


def test_two_separators_are_decided_by_the_file(tmp_path: Path) -> None:
    path, notes = tmp_path / "c.txt", list[str]()
    path.write_text("das\tHaus ||| the house\nein Baum ||| a tree\n")
    found = [text.text for text in read_texts(path, note=notes.append) if isinstance(text, Text)]
    assert found == ["das\tHaus", "the house", "ein Baum", "a tree"]
    assert len(notes) == 1
    path.write_text("10\u00a0000 \u00a0\u2028\n")
    assert list(read_texts(path)) == [Text("10\u00a0000 \u00a0\u2028", "text", 1)]


def test_a_bad_line_of_a_parallel_file_is_no_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("no separator\neins\tone\n")
    with pytest.raises(InputError, match=r"c\.tsv:1: no separator"):
        list(read_texts(path))


def test_languages_are_told_by_names_or_stated(tmp_path: Path) -> None:
    assert languages_of_texts("x/de-en.tsv.gz") == {"source": "de", "target": "en"}
    assert languages_of_texts("news.de.gz") == {"text": "de"}
    assert languages_of_texts("c", "sw-en") == {"source": "sw", "target": "en"}
    assert languages_of_texts("c", "sw") == {"text": "sw"}
    assert languages_of_texts("c.de", target="c.en") == {"source": "de", "target": "en"}
    assert languages_of_texts("c") == {}


def test_wrong_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'both'"):
        read_texts(tmp_path, side="booth")
    with pytest.raises(InputError, match="there is no such file"):
        read_texts(tmp_path / "missing")
