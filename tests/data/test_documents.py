"""Files of documents: where one ends, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from otkit.data.documents import read_documents
from otkit.data.parallel import BadLine, Pair
from otkit.errors import InputError


def files(folder: Path, source: bytes, target: bytes) -> tuple[Path, Path]:
    sides = folder / "x.de", folder / "x.en"
    for side, text in zip(sides, (source, target), strict=True):
        side.write_bytes(text)
    return sides


@pytest.mark.parametrize(
    ("source", "target", "pairs"),
    [
        (b"a\nb\n", b"c", [("a\nb", "c")]),
        (b"\n\na\nb\n \n\t\nc\n\n", b"d\n\ne\r\nf\n", [("a\nb", "d"), ("c", "e\nf")]),
        (b"\n\n", b"\n", []),
    ],
)
def test_blank_lines_end_a_document(
    tmp_path: Path, source: bytes, target: bytes, pairs: list[tuple[str, str]]
) -> None:
    first, second = files(tmp_path, source, target)
    found = list(read_documents(first, target=second))
    assert found == [Pair(one, two, number) for number, (one, two) in enumerate(pairs, 1)]


def test_one_file_has_a_pair_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("a . B .\tc\nd\te\n", encoding="utf-8")
    assert list(read_documents(path)) == [Pair("a . B .", "c", 1), Pair("d", "e", 2)]


def test_a_missing_document_is_said(tmp_path: Path) -> None:
    first, second = files(tmp_path, b"a\n\nb\n", b"c\nd\n")
    with pytest.raises(
        InputError, match=r"x\.en: ends after document 1, while .*x\.de goes on; a blank line"
    ):
        list(read_documents(first, target=second))


def test_a_bad_line_makes_its_document_bad(tmp_path: Path) -> None:
    first, second = files(tmp_path, b"a\nb\xff\n\nc\n", b"d\n\ne\n")
    with pytest.raises(InputError, match=r"x\.de:2: invalid UTF-8"):
        list(read_documents(first, target=second))
    bad, good = read_documents(first, target=second, on_error="skip")
    assert isinstance(bad, BadLine)
    assert bad.line == 1
    assert good == Pair("c", "e", 2)
