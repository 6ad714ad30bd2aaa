"""What a name says of its packing holds of every output: `.gz` is packed, another packing is refused."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import mostly_slow
from tests.hostile.commands import LINES, Server, snapshot, words_of


def _packed(words: list[str], ending: str) -> tuple[list[str], list[str]]:
    """The words with the ending at every file that they write, and the names of these files."""
    written = [
        place for place, word in enumerate(words[1:], 1) if words[place - 1] == "--output" and "." in word
    ]
    longer = [f"{word}{ending}" if place in written else word for place, word in enumerate(words)]
    return longer, [words[place] for place in written]


WRITING = [name for name in LINES if _packed(words_of(name), "")[1]]
PACKED = [name for name in WRITING if name != "lexicon .sqlite"]  # which is read where it lies
OFTEN = ("extract", "project", "lexicon", "show-alignment")


@pytest.mark.parametrize("name", mostly_slow(PACKED, *OFTEN))
def test_every_output_that_is_called_so_is_packed(name: str, server: Server, here: Path) -> None:
    """`out.align.gz` of one command was packed, and that of another was not, and no reader of `.gz` could open it."""
    words = words_of(name)
    kept = shutil.copytree(here, here.parent / "packed")
    assert server.start(words, here).code == 0
    longer, names = _packed(words, ".gz")
    ended = server.start(longer, kept)
    assert ended.code == 0, ended.stderr
    for plain in names:
        stem = plain.rpartition(".")[0]
        two = (f"{plain}.gz",) if (kept / f"{plain}.gz").exists() else (f"{stem}.s2t.gz", f"{stem}.t2s.gz")
        for file in two:
            (kept / file.removesuffix(".gz")).write_bytes(gzip.decompress((kept / file).read_bytes()))
            (kept / file).unlink()
    ours, theirs = snapshot(here), snapshot(kept)
    assert set(names) <= set(ours)
    assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}


@pytest.mark.parametrize("name", mostly_slow(WRITING, *OFTEN))
def test_an_output_is_not_called_what_it_is_not(name: str, server: Server, here: Path) -> None:
    for ending in (".zip", ".xz"):
        before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
        longer, _ = _packed(words_of(name), ending)
        ended = server.start(longer, here)
        said = " ".join(ended.stderr.split())
        assert ended.code in (1, 2), said
        assert re.search(
            r"packed files that otkit does not write; end it in .gz|expected a name that ends in|tells no format",
            said,
        ), said
        assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
