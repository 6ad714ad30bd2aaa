"""Lexicon files that anyone may have made: SQLite databases that lie, have no end, or are damaged, and a part of a run
that somebody planted. One error, nothing written, and never more memory than the file has room for."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from otkit.api.lexicon import lexicon
from otkit.errors import InputError, OtkitError
from otkit.projection.lexicon import look_up
from otkit.projection.places import Text
from otkit.projection.switching import LexiconWords
from tests.hostile.commands import Server, words_of
from tests.hostile.test_inputs import no_longer_than

LINES = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lexicon")
    (folder / "de-en.tsv").write_text("das haus\tthe house\nein haus\ta house\n" * (LINES // 2))
    (folder / "links").write_text("0-0 1-1\n" * LINES)
    lexicon(folder / "de-en.tsv", folder / "x.sqlite", links=folder / "links", form="sqlite")
    return folder / "x.sqlite"


def _sql(*orders: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as base:
            for order in orders:
                base.execute(order)
        base.close()

    return change


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _instead(table: str, select: str) -> Callable[[Path], object]:
    return _sql(f"ALTER TABLE {table} RENAME TO old", f"CREATE VIEW {table} AS {select}")


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS"
LIES: dict[str, Callable[[Path], object]] = {
    "entries without end": _instead(
        "entries",
        f"{ENDLESS} id, 'haus' source, 'x' target, 1 count, 1.0 target_given_source, 1.0 source_given_target,"
        " 1.0 log_likelihood, 1.0 pmi FROM c",
    ),
    "examples without end": _instead("examples", f"{ENDLESS} line, 1 entry FROM c"),
    "sentences without end": _instead("sentences", f"{ENDLESS} line, 'a' source, 'b' target FROM c"),
    "a virtual table": _sql("DROP TABLE sentences", "CREATE VIRTUAL TABLE sentences USING fts5(line, source, target)"),
    **{f"no {table}": _sql(f"DROP TABLE {table}") for table in ("entries", "examples", "sentences")},
    **{f"no column {name}": _sql(f"ALTER TABLE entries RENAME COLUMN {name} TO old") for name in ("target", "pmi", "id")},
    **{
        f"{name} is {value}": _sql(f"UPDATE entries SET {name} = {value}")
        for name, values in {
            "target": ("NULL", "x'ff'", "CAST(x'c328' AS TEXT)"),
            "count": ("NULL", "'x'", "1.5", "x'00'"),
            "target_given_source": ("NULL", "'x'", "9e999", "-9e999"),
            "log_likelihood": ("NULL", "x'00'"),
        }.items()
        for value in values
    },
    "a sentence is a number of bytes": _sql("UPDATE sentences SET source = x'ff00'"),
    "a sentence has no end": _sql("UPDATE sentences SET source = zeroblob(50000000)"),
    "not a database": _bytes(lambda data: b"das haus\tthe house\n" * 100),
    "empty": _bytes(lambda data: b""),
    "a head alone": _bytes(lambda data: data[:16]),
    "a page of 0 bytes": _bytes(lambda data: data[:16] + b"\x00\x00" + data[18:]),
    "a count of pages of 2^32": _bytes(lambda data: data[:28] + b"\xff" * 4 + data[32:]),
    **{f"cut at {part} of 8": _bytes(lambda data, part=part: data[: len(data) * part // 8]) for part in range(1, 8)},
    "zeros behind the schema": _bytes(lambda data: data[:4096] + bytes(len(data) - 4096)),
}  # fmt: skip


@pytest.mark.parametrize("kind", LIES)
def test_a_lexicon_that_lies_is_one_error(kind: str, made: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(made, tmp_path / "x.sqlite"))
    LIES[kind](path)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    with no_longer_than(300), pytest.raises(InputError) as refused:
        look_up(path, "haus")
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 1000
    with no_longer_than(300):
        try:
            words = LexiconWords([path], ["haus"])
            words.words(Text.of("das haus"), [0, 1], random.Random(0))
            words.close()
        except InputError:
            pass
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_a_lexicon_holds_no_more_than_its_file(made: Path, tmp_path: Path) -> None:
    """A hundred thousand examples that are one sentence of a megabyte: what is shown of them has a bound."""
    path = Path(shutil.copy(made, tmp_path / "x.sqlite"))
    _sql(
        f"UPDATE sentences SET source = '{'a' * 10_000}'",
        "ALTER TABLE examples RENAME TO old",
        "CREATE TABLE examples (entry INTEGER, line INTEGER)",
        "INSERT INTO examples SELECT (n % 4) + 1, 1 FROM (WITH RECURSIVE c(n) AS"
        " (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 100000) SELECT n FROM c)",
    )(path)
    found = look_up(path, "haus")
    assert found
    assert all(len(entry.examples) <= 1000 for entry in found)


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_a_lexicon_with_any_bytes_changed_is_read_or_one_error(
    count: int, made: Path, tmp_path: Path
) -> None:
    luck, whole, path = random.Random(0), made.read_bytes(), tmp_path / "x.sqlite"
    for _ in range(count):
        data = bytearray(whole)
        for _ in range(luck.randint(1, 8)):
            at = luck.randrange(len(data)) if luck.random() < 0.7 else luck.randrange(4096)
            data[at] = luck.choice((0, 1, 0x7F, 0x80, 0xFF, luck.randrange(256)))
        path.write_bytes(data)
        for word in ("haus", "HOUSE", "x"):
            try:
                found = look_up(path, word)
            except InputError:
                continue
            assert len(found) <= 20
        assert [one.name for one in tmp_path.iterdir()] == ["x.sqlite"]


@pytest.mark.parametrize("name", ["a?mode=rwc", "a#b", "a%41", "a b", "ä", "file:x", "-x", "\udcff"])
def test_a_name_is_a_name_and_no_address(name: str, made: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.sqlite"
    shutil.copy(made, path)
    assert look_up(path, "haus")
    path.unlink()
    with pytest.raises(InputError):
        look_up(path, "haus")
    assert not list(tmp_path.iterdir())


def test_looking_up_writes_nothing_beside_a_lexicon(made: Path, tmp_path: Path) -> None:
    """In write-ahead mode SQLite makes two files beside one that it reads."""
    path = Path(shutil.copy(made, tmp_path / "x.sqlite"))
    _sql("PRAGMA journal_mode = WAL")(path)
    (tmp_path / "x.sqlite-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(500))
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    assert look_up(path, "haus")
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_counts_are_not_written_through_a_planted_link(server: Server, here: Path) -> None:
    victim = here / "victim"
    (here / "out.tsv.partial").symlink_to(victim)
    for more in ((), ("--resume",), ("--overwrite",)):
        for content in (None, b""):
            victim.unlink(missing_ok=True)
            if content is not None:
                victim.write_bytes(content)
            ended = server.start(words_of("lexicon", *more), here)
            assert ended.code == 1, (more, ended)
            assert "otkit did not make it" in ended.stderr
            assert (victim.read_bytes() if victim.exists() else None) == content


RUN = {
    "known is a list": "UPDATE run SET value = '[]' WHERE name = 'known'",
    "known has nothing": "UPDATE run SET value = '{}' WHERE name = 'known'",
    "lines are text": """UPDATE run SET value = '{"lines": "x"}' WHERE name = 'known'""",
    "lines below 0": """UPDATE run SET value = '{"lines": -7, "sha256": ""}' WHERE name = 'known'""",
    "the fingerprint is a list": "UPDATE run SET value = '[1]' WHERE name = 'fingerprint'",
    "no fingerprint": "DELETE FROM run WHERE name = 'fingerprint'",
    "values are numbers": "UPDATE run SET value = 7",
    "values are bytes": "UPDATE run SET value = x'ff'",
    "too deep": f"UPDATE run SET value = '{'[' * 100_000}'",
    "no run": "DROP TABLE run",
    "no counts": "DROP TABLE counts",
    "counts are text": "UPDATE counts SET count = 'x'",
}


@pytest.mark.parametrize("kind", RUN)
def test_a_part_of_a_run_that_lies_is_one_error(kind: str, made: Path, tmp_path: Path) -> None:
    corpus, links = made.with_name("de-en.tsv"), made.with_name("links")
    out = tmp_path / "out.tsv"

    def stop(lines: int) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("otkit.projection.lexicon._HELD_LINES", 1)
        with pytest.raises(KeyboardInterrupt):
            lexicon(corpus, out, links=links, on_progress=stop)
    partial = tmp_path / "out.tsv.partial"
    assert partial.exists()
    _sql(RUN[kind])(partial)
    with pytest.raises(OtkitError):
        lexicon(corpus, out, links=links, resume=True)
    assert not out.exists()
