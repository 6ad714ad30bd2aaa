"""Gold links: every format, what indices count from, errors with their place, and the real files."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from otkit.data.gold import GoldPair, read_gold
from otkit.data.gold_text import WRITERS, gold_text, side_text
from otkit.data.links import format_of, parse_links
from otkit.errors import ConfigError, InputError
from tests.conftest import BENCHMARK_DATA

REAL = BENCHMARK_DATA / "word-alignment"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the benchmark data is not here")

TEXT = "das Haus ist alt ||| the house is old\nja ||| yes indeed\nder Hund ||| the dog\n"
EXPECTED = (
    GoldPair(
        ("das", "Haus", "ist", "alt"),
        ("the", "house", "is", "old"),
        frozenset({(0, 0), (1, 1), (3, 3)}),
        frozenset({(0, 0), (1, 1), (3, 3), (2, 2)}),
    ),
    GoldPair(("ja",), ("yes", "indeed"), frozenset({(0, 0)}), frozenset({(0, 0), (0, 1)})),
    GoldPair(("der", "Hund"), ("the", "dog"), frozenset(), frozenset()),
)


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8", newline="")
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write(tmp_path / "de-en.txt", TEXT)


def test_tsv(tmp_path: Path) -> None:
    path = write(
        tmp_path / "gold.tsv",
        "das Haus ist alt\tthe house is old\t3-3 0-0 1-1 2?2\nja\tyes  indeed\t0-0 0p1\r\n"
        "der Hund\tthe dog\t\n",
    )
    gold = read_gold(path)
    assert gold.pairs == tuple(gold) == EXPECTED
    assert (gold.format, gold.base, gold.detected, gold.dropped) == ("tsv", 0, True, 0)
    assert (gold.sure_links, gold.possible_links) == (4, 2)
    assert gold.notes == (
        f"{path}: read as counting from 0: 3 indices are 0, the first in line 1, and none equals the length",
    )
    stated = read_gold(path, base=0)
    assert (stated.pairs, stated.detected, stated.notes) == (EXPECTED, False, ())
    assert gold.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == stated.sha256


def test_json(tmp_path: Path) -> None:
    path = write(
        tmp_path / "gold.jsonl",
        '{"source": ["das", "Haus", "ist", "alt"], "target": ["the", "house", "is", "old"],'
        ' "sure": [[3, 3], [0, 0], [1, 1]], "possible": [[2, 2]]}\n'
        '{"source": ["ja"], "target": ["yes", "indeed"], "sure": [[0, 0]], "possible": [[0, 0], [0, 1]]}\n'
        '{"source": ["der", "Hund"], "target": ["the", "dog"]}\n',
    )
    gold = read_gold(path)
    assert (gold.pairs, gold.format, gold.base) == (EXPECTED, "json", 0)
    bad = (
        '{"source": "das Haus"',
        '{"source": ["a"]}',
        '{"source": ["a"], "target": []}',
        '{"source": ["a"], "target": ["b"], "sure": [[0]]}',
        '{"source": ["a"], "target": ["b"], "sure": [["0", 0]]}',
        '{"source": [1], "target": ["b"]}',
        "{" * 100_000,
    )
    for line in bad:
        with pytest.raises(InputError, match=r"gold\.jsonl:2: "):
            read_gold(write(path, '{"source": ["a"], "target": ["b"], "sure": [[0, 0]]}\n' + line))
    with pytest.raises(InputError, match="is outside its sentence"):
        read_gold(write(path, '{"source": ["a"], "target": ["b"], "sure": [[1, 0]]}\n'))


WRITTEN = {
    "tsv": "das Haus ist alt\tthe house is old\t0-0 1-1 2p2 3-3\nja\tyes indeed\t0-0 0p1\nder Hund\tthe dog\t\n",
    "pharaoh": "0-0 1-1 2p2 3-3\n0-0 0p1\n\n",
    "talp": "1-1 2-2 3p3 4-4\n1-1 1p2\n\n",
    "naacl": "1 1 1 S\n1 2 2 S\n1 3 3 P\n1 4 4 S\n2 1 1 S\n2 1 2 P\n",
    "json": '{"source": ["das", "Haus", "ist", "alt"], "target": ["the", "house", "is", "old"], '
    '"sure": [[0, 0], [1, 1], [3, 3]], "possible": [[2, 2]]}\n'
    '{"source": ["ja"], "target": ["yes", "indeed"], "sure": [[0, 0]], "possible": [[0, 1]]}\n'
    '{"source": ["der", "Hund"], "target": ["the", "dog"], "sure": [], "possible": []}\n',
}


@pytest.mark.parametrize("format", WRITTEN)
def test_every_format_is_written_as_people_write_it_and_read_back(
    format: str, text: Path, tmp_path: Path
) -> None:
    assert set(WRITTEN) == set(WRITERS)
    written = gold_text(EXPECTED, format)
    assert written == WRITTEN[format]
    path = write(tmp_path / "gold", written)
    own = format in ("tsv", "json")
    assert read_gold(path, text=None if own else text).pairs == EXPECTED
    sides = [write(tmp_path / side, side_text(EXPECTED, side)) for side in ("source", "target")]
    if not own:
        assert read_gold(path, text=sides[0], target=sides[1]).pairs == EXPECTED


@pytest.mark.parametrize("base", [0, 1])
def test_pharaoh_from_either_base(base: int, text: Path, tmp_path: Path) -> None:
    links = "\n".join(
        " ".join(f"{i + base}{mark}{j + base}" for i, j, mark in line)
        for line in (
            [(0, 0, "-"), (1, 1, "-"), (2, 2, "p"), (3, 3, "-")],
            [(0, 1, "?"), (0, 0, "-"), (0, 0, "p")],
            [],
        )
    )
    path = write(tmp_path / "gold", links + "\n")
    found = read_gold(path, text=text)
    assert (found.pairs, found.base, found.detected, found.format) == (EXPECTED, base, True, "pharaoh")
    assert "read as counting from" in found.notes[0]
    assert read_gold(path, text=text, base=base).pairs == EXPECTED
    assert found.sha256 != read_gold(path, text=write(tmp_path / "other", TEXT.replace("alt", "neu"))).sha256
    with pytest.raises(
        InputError,
        match=rf"is outside its sentence .* counting from {1 - base}: .* say `base={base}`, which fits better",
    ):
        read_gold(path, text=text, base=1 - base)


def test_reverse_turns_links(text: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "gold", "1-0 0-3\n1-0\n\n")
    assert [set(pair.sure) for pair in read_gold(path, text=text, reverse=True, base=0)] == [
        {(0, 1), (3, 0)},
        {(0, 1)},
        set(),
    ]
    with pytest.raises(InputError, match="source index 1 of the link 1-0 is outside"):
        read_gold(path, text=text, base=0)


NAACL = "1 1 1 S\n1 2 2\n1 3 3 P\n1 4 4 S\n0002 1 2 P\n2 1 1 S\n2 0 2 S\n3 1 0\n"


def test_naacl_with_null_links(tmp_path: Path) -> None:
    sides = [[line.split(" ||| ")[side] for line in TEXT.splitlines()] for side in (0, 1)]
    source, target = (write(tmp_path / name, "\n".join(side)) for name, side in zip("ab", sides, strict=True))
    path = write(tmp_path / "gold", NAACL)
    gold = read_gold(path, text=source, target=target)
    assert (gold.pairs, gold.format, gold.base, gold.detected) == (EXPECTED, "naacl", 1, True)
    assert gold.notes[0].startswith(
        f"{path}: read as counting from 1: 4 indices equal the length of their sentence"
    )
    assert gold.notes[1] == f"{path}: 2 links to index 0 (no word) are left out"
    assert read_gold(path, text=source, target=target, base=1).pairs == EXPECTED
    marked = [[f"<s snum={7 - k:04d}> {line} </s>" for k, line in enumerate(side)] for side in sides]
    source, target = (
        write(tmp_path / name, "\n".join(side)) for name, side in zip("cd", marked, strict=True)
    )
    renumbered = "".join(
        f"{8 - int(row.split()[0])} {row.split(maxsplit=1)[1]}\n" for row in NAACL.splitlines()
    )
    assert read_gold(write(tmp_path / "marked", renumbered), text=source, target=target).pairs == EXPECTED


def test_naacl_ids_of_a_selection(tmp_path: Path, text: Path) -> None:
    path = write(tmp_path / "gold", "900 1 2\n26 4 4\n31 1 1\n")
    gold = read_gold(path, text=text)
    assert [set(pair.sure) for pair in gold] == [{(3, 3)}, {(0, 0)}, {(0, 1)}]
    assert f"{path}: its 3 sentence ids (26 to 900) go to the lines in order" in gold.notes
    with pytest.raises(
        InputError, match=r"gold:2: sentence 26, but the text has 3 sentence pairs; give the text"
    ):
        read_gold(write(path, "1 1 1\n26 4 4\n"), text=text)


def test_a_base_that_cannot_be_told_is_asked_for(tmp_path: Path, text: Path) -> None:
    path = write(tmp_path / "gold", "1-1 2-2\n\n\n")
    with pytest.raises(
        InputError, match=r"does not show whether its indices count from 0 or from 1; .*`base=0` or `base=1`"
    ):
        read_gold(path, text=text)
    assert read_gold(path, text=text, base=0)[0].sure == {(1, 1), (2, 2)}
    assert read_gold(path, text=text, base=1)[0].sure == {(0, 0), (1, 1)}
    custom = read_gold(write(tmp_path / "a.tsv", "a b c\td e f\t1-1\n"))
    assert (custom.base, custom.detected) == (0, True)
    assert custom.notes[0].endswith(
        "read as counting from 0: the custom of its format, the file proves neither"
    )
    # An index 0 settles it, whatever else the file holds.
    both = write(path, "0-1\n1-1\n\n")
    with pytest.raises(
        InputError, match=r"gold:2: source index 1 of the link 1-1 is outside .* of 1 word: expe"
    ):
        read_gold(both, text=text)
    assert [set(pair.sure) for pair in read_gold(both, text=text, on_error="skip")] == [
        {(0, 1)},
        set(),
        set(),
    ]
    # In a list of `id i j` a 0 may stand for no word.
    with pytest.raises(
        InputError, match=r"gold: .* a 0, as in line 1, may be the first word or none; .*`base=0`"
    ):
        read_gold(write(path, "1 0 1\n1 2 2\n"), text=text)
    path = write(path, "\n\n\n")
    assert read_gold(write(path, "\n\n\n"), text=text).sure_links == 0


def test_links_outside_are_dropped_only_on_demand(tmp_path: Path, text: Path) -> None:
    path = write(tmp_path / "gold", "0-0 1-1\n0-0 0-2\n5-0 1-9\n")
    with pytest.raises(InputError) as caught:
        read_gold(path, text=text, base=0)
    assert str(caught.value) == (
        f"{path}:2: target index 2 of the link 0-2 is outside its sentence of 2 words: expected 0 to 1; the links are "
        "read as counting from 0: correct the file, or drop such links: `on_error='skip'`"
    )
    gold = read_gold(path, text=text, base=0, on_error="skip")
    assert (gold.dropped, gold.sure_links) == (3, 3)
    assert gold.notes == (f"{path}: 3 of 6 links lie outside their sentence and are dropped",)


BAD: dict[str, tuple[str, str]] = {
    "a link of letters": (
        "0-0 a-b\n\n\n",
        "gold:1: received 'a-b', expected a link; write i-j (sure), ipj or i?j",
    ),
    "a link of two signs": ("\n0--1\n\n", "no gold format that is known (received '0--1')"),
    "a negative index": ("0-0\n-1-0\n\n", "gold:2: received '-1-0', expected a link"),
    "one line too few": (
        "0-0\n\n",
        "gold: 2 lines of links, but the text has 3 sentence pairs; give one line of",
    ),
    "prose": (
        "no links here\n",
        "gold: no gold format that is known (received 'no links here'); write source<TAB>",
    ),
    "a short row": (
        "1 1 1\n1 2\n",
        "gold:2: received '1 2', expected `id i j`, with S or P if any; write one link",
    ),
    "a row with another mark": ("1 1 1\n1 2 2 X\n", "gold:2: received '1 2 2 X', expected `id i j`"),
    "empty": ("", "gold: the file is empty"),
    "a NUL": ("0-0\n1-1\0\n\n", "gold:2: a NUL at byte 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_gold_is_named_with_its_place(name: str, tmp_path: Path, text: Path) -> None:
    content, message = BAD[name]
    path = write(tmp_path / "gold", content)
    with pytest.raises(InputError) as caught:
        read_gold(path, text=text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_bad_tables(tmp_path: Path) -> None:
    path = tmp_path / "gold.tsv"
    good = "a b\tc d\t0-0\n"
    for bad, message in {
        "a b\tc d\n": "gold.tsv:2: 2 columns, expected 3 (received 'a b\\tc d'); write source<TAB>",
        "a\tb\t0-0\t1\n": "gold.tsv:2: 4 columns, expected 3",
        " \tc d\t0-0\n": "gold.tsv:2: the source is empty",
        "a b\t\t0-0\n": "gold.tsv:2: the target is empty",
        "a b\tc d\t0-0,1-1\n": "gold.tsv:2: received '0-0,1-1', expected a link",
    }.items():
        with pytest.raises(InputError) as caught:
            read_gold(write(path, good + bad + good))
        assert message in str(caught.value)


SPOILT: dict[str, tuple[bytes, list[int], list[str]]] = {
    "table": (
        b"a b\tc d\t0-0 1-1\n\xfc\tc\t0-0\na\tb\n\tb\t0-0\na\tb\t0+0\n\na b\tc d\t1-1\n",
        [1, 7],
        ["invalid UTF-8", "2 columns", "the source is empty", "received '0+0'", "1 columns"],
    ),
    "pharaoh": (b"0-0 1-1\n0-0 x\n0-1 \xff\n", [1], ["received 'x'", "invalid UTF-8"]),
    "naacl": (
        b"1 1 1\n1 4 4\n2 1\n2 1 1\nrubbish\n\xff\n7 1 1\n3 2 2\n",
        [1, 3],
        ["received '2 1'", "received 'rubbish'", "invalid UTF-8", "sentence 7, but the text has 3"],
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_bad_pairs_are_left_out_named_and_counted(name: str, tmp_path: Path, text: Path) -> None:
    content, kept, complaints = SPOILT[name]
    path = tmp_path / "gold"
    path.write_bytes(content)
    where = None if name == "table" else text
    with pytest.raises(InputError, match=f"{complaints[0]}.*; .*, or skip such lines: `on_error='skip'`"):
        read_gold(path, text=where)
    gold = read_gold(path, text=where, on_error="skip")
    assert [pair.line for pair in gold] == kept
    assert gold.skipped == len(complaints)
    note = next(note for note in gold.notes if "skipped" in note)
    assert note.startswith(f"{path}: {len(complaints)} lines were skipped: line ")
    assert all(complaint in note for complaint in complaints[:3])
    assert ("; and" in note) == (len(complaints) > 3)
    assert "on_error" not in note


def test_a_bad_line_of_the_text_takes_its_links_with_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ein Haus\n\xff\nder Hund\n")
    (tmp_path / "b").write_text("a house\nbad\nthe dog\n")
    path = write(tmp_path / "gold", "0-0\n0-0\n1-1\n")
    gold = read_gold(path, text=tmp_path / "a", target=tmp_path / "b", on_error="skip")
    assert [(pair.line, pair.source[1], set(pair.sure)) for pair in gold] == [
        (1, "Haus", {(0, 0)}),
        (3, "Hund", {(1, 1)}),
    ]
    assert f"{tmp_path / 'a'}: 1 line was skipped: line 2 (invalid UTF-8" in gold.notes[0]
    with pytest.raises(InputError, match=r"a:2: invalid UTF-8"):
        read_gold(path, text=tmp_path / "a", target=tmp_path / "b")


def test_gold_without_a_usable_pair(tmp_path: Path) -> None:
    path = write(tmp_path / "gold.tsv", "a\tb\t0+0\na\tb\t0+0\n")
    with pytest.raises(
        InputError, match=r"gold\.tsv: no pair can be used, of 2; the first: .*:1: received '0\+0'"
    ):
        read_gold(path, on_error="skip")


def test_words_of_gold_stand_between_ascii_spaces(tmp_path: Path) -> None:
    path = write(tmp_path / "gold.tsv", "10\u00a0000 H\u00e4user\thouses\u202f?\t0-0 1-0\na\tb\t0-0\n")
    gold = read_gold(path)
    assert gold[0].source == ("10\u00a0000", "H\u00e4user")
    assert gold[0].target == ("houses\u202f?",)
    assert (gold.spaces.lines, gold.spaces.first) == (1, 1)
    # A link list is split alike: what looks like a space and is none is no separator.
    with pytest.raises(InputError, match="expected a link"):
        parse_links("0-0\u00a01-1")


def test_settings_that_cannot_be(tmp_path: Path, text: Path) -> None:
    table = write(tmp_path / "gold.tsv", "a b\tc d\t0-0\n")
    links = write(tmp_path / "gold", "0-0\n\n\n")
    with pytest.raises(ConfigError, match=r"gold\.tsv holds its sentences itself; leave the text out"):
        read_gold(table, text=text)
    with pytest.raises(
        ConfigError, match="gold holds links without their sentences; name the text too: a file of"
    ):
        read_gold(links)
    with pytest.raises(ConfigError, match="the index base is 2; give 0 or 1, or leave it out"):
        read_gold(links, text=text, base=2)
    with pytest.raises(ConfigError, match="unknown gold format 'naccl'; did you mean 'naacl'"):
        read_gold(links, text=text, format="naccl")
    with pytest.raises(InputError, match=r"de-en\.txt:2: no separator"):
        read_gold(links, text=write(text, "a ||| b\nc\n"))


def test_gzip_and_parsing_alone(tmp_path: Path, text: Path) -> None:
    path = tmp_path / "gold"
    path.write_bytes(gzip.compress(b"0-0 1-1 2p2 3-3\n0-0 0?1\n\n"))
    assert read_gold(path, text=text).pairs == EXPECTED
    assert parse_links("0-1 10p2 3?4") == [(0, 1, True), (10, 2, False), (3, 4, False)]


@needs_real
@pytest.mark.parametrize("file", sorted(path.name for path in REAL.glob("xlwa-*.tsv.gz")))
def test_xlwa(file: str) -> None:
    gold = read_gold(REAL / file)
    lines = gzip.decompress((REAL / file).read_bytes()).decode().splitlines()
    assert (len(gold), gold.base, gold.detected, gold.dropped) == (len(lines), 0, True, 0)
    for pair, line in zip(gold, lines, strict=True):
        source, target, links = line.split("\t")
        assert (" ".join(pair.source), " ".join(pair.target)) == (source, target)
        assert {f"{i}-{j}" for i, j in pair.sure} == set(links.split())
        assert pair.sure == pair.possible


@needs_real
def test_en_fr() -> None:
    gold = read_gold(REAL / "en-fr.first100.gold.gz", text=REAL / "en-fr.first100.src-tgt.gz")
    assert (len(gold), gold.base, gold.detected) == (100, 1, True)
    assert (gold.sure_links, gold.possible_links) == (949, 2400)  # 949 i-j and 2400 ipj in the file
    assert gold[2].source == ("oh", ",", "oh", "!")
    assert gold[2].sure == {(0, 0), (1, 1), (2, 2), (3, 3)}


@needs_real
def test_en_hi_has_one_link_outside_its_sentence() -> None:
    path, text = REAL / "en-hi.align.txt.gz", REAL / "en-hi.test.en.gz"
    with pytest.raises(
        InputError, match=r":678: target index 34 of the link 33-34 is outside its sentence of 33"
    ):
        read_gold(path, text=text, target=REAL / "en-hi.test.hi.gz")
    gold = read_gold(path, text=text, target=REAL / "en-hi.test.hi.gz", on_error="skip")
    assert (len(gold), gold.base, gold.dropped, gold.sure_links) == (90, 1, 1, 1408)
    assert gold[0].source[:2] == ("The", "Government")
    assert (1, 0) in gold[0].sure  # 26 2 1: Government, सरकार


def test_links_between_tabs_are_links_and_no_columns() -> None:
    assert format_of(["", "0-0\t1-1\t2p2"], "links") == "pharaoh"
    assert format_of(["ein Haus\ta house\t0-0 1-1"], "gold") == "tsv"
