"""Pairs: formats, every way to be wrong with its message, the count of lines, random access."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from otkit.data.lines import SKIP, words_of
from otkit.data.parallel import BadLine, Pair, is_passing, open_corpus, read_pairs
from otkit.errors import ConfigError, InputError

PAIRS = [
    ("Das Haus .", "The house ."),
    ("你好 ， 世界", "Hello , world"),
    ("a b", "c"),
    ("«x» {", "} 'y' 😀"),
]
FORMS = {
    "tsv": "".join(f"{source}\t{target}\n" for source, target in PAIRS),
    "bars": "".join(f"{source} ||| {target}\n" for source, target in PAIRS),
    "jsonl": "".join(
        json.dumps({"target": target, "source": source, "id": 7}) + "\n" for source, target in PAIRS
    ),
}


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(items: object) -> list[tuple[str, str]]:
    return [(item.source, item.target) for item in items]  # type: ignore[attr-defined]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_formats_are_seen_or_forced(form: str, packed: bool, tmp_path: Path) -> None:
    content = FORMS[form].encode()
    path = write(tmp_path / "x.de-en", gzip.compress(content) if packed else content)
    expected = [Pair(source, target, line) for line, (source, target) in enumerate(PAIRS, 1)]
    assert list(read_pairs(path)) == expected
    assert list(read_pairs(path, format=form)) == expected
    assert list(open_corpus(path)) == expected


@pytest.mark.parametrize("format", ["auto", "files"])
def test_two_files(format: str, tmp_path: Path) -> None:
    source = write(tmp_path / "news.de", "".join(f"{source}\r\n" for source, _ in PAIRS))
    target = write(tmp_path / "news.en.gz", gzip.compress("\n".join(target for _, target in PAIRS).encode()))
    assert texts(read_pairs(source, target=target, format=format)) == PAIRS
    corpus = open_corpus(source, target=target)
    assert (texts(corpus), corpus.languages, corpus.name) == (PAIRS, ("de", "en"), f"{source} + {target}")
    again = open_corpus(source, target=write(tmp_path / "n.en", "\n".join(target for _, target in PAIRS)))
    assert again.sha256 == corpus.sha256 != open_corpus(target, target=source).sha256


def test_outer_spaces_go_and_inner_ones_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "  a  b \t c \u2028 d\u00a0e  \r\n")
    assert texts(read_pairs(path)) == [("a  b", "c \u2028 d\u00a0e")]


BAD_LINES: dict[str, tuple[str, bytes, str]] = {
    "no tab": (
        "tsv",
        b"only one side",
        "no separator '\\t' (received 'only one side'); write source<TAB>target",
    ),
    "two tabs": (
        "tsv",
        b"a\tb\tc",
        "2 separators '\\t' where one is expected (received 'a\\tb\\tc'); keep two columns",
    ),
    "a tab too many at the end": ("tsv", b"a\tb\t", "2 separators '\\t'"),
    "doubled tab": ("tsv", b"a\t\tb", "2 separators '\\t'"),
    "empty source": (
        "tsv",
        b"\tb",
        "the source is empty (received '\\tb'); fill it, or skip such lines: `on_error='skip'`",
    ),
    "empty target": ("tsv", b"a\t", "the target is empty (received 'a\\t')"),
    "white source": ("tsv", "\u00a0 \u3000\tb".encode(), "the source is empty"),
    "white target": ("tsv", b"a\t \x0b\x1f ", "the target is empty"),
    "both sides empty": ("tsv", b"\t", "the line is empty"),
    "empty line": (
        "tsv",
        b"",
        "the line is empty; write source<TAB>target, or skip such lines: `on_error='skip'`",
    ),
    "white line": ("tsv", b"   ", "the line is empty"),
    "invalid UTF-8": ("tsv", b"Stra\xdfe\tstreet", "invalid UTF-8 at byte 4 of the line (0xdf: "),
    "NUL": ("tsv", b"a\0\tb", "a NUL at byte 1 of the line; expected UTF-8 text: remove it"),
    "too long": ("tsv", b"a\t" + b"b" * 1_000_000, "the line is longer than 1,000,000 bytes"),
    "old Mac line ends": ("tsv", b"a\tb\rc\td", "the lines end in a bare CR: convert them (tr '\\r' '\\n')"),
    "bars among tabs": (
        "tsv",
        b"a ||| b",
        "no separator '\\t' (received 'a ||| b'); the line looks like bars",
    ),
    "JSON among tabs": (
        "tsv",
        b'{"source": "a", "target": "b"}',
        "the line looks like jsonl; write source<TAB>target",
    ),
    "no bars": (
        "bars",
        b"only one side",
        "no separator '|||' (received 'only one side'); write source ||| target",
    ),
    "bars twice": (
        "bars",
        b"a ||| b ||| c",
        "2 separators '|||' where one is expected (received 'a ||| b ||| c')",
    ),
    "bars in a row": ("bars", b"a ||| ||| b", "2 separators '|||'"),
    "bars without spaces": (
        "bars",
        b"a|||b",
        "no space around the bars (received 'a|||b'); write source ||| target, a",
    ),
    "nothing before the bars": ("bars", b"||| b", "the source is empty (received '||| b')"),
    "nothing after the bars": ("bars", b"a ||| ", "the target is empty"),
    "tabs among bars": ("bars", b"a\tb", "no separator '|||' (received 'a\\tb'); the line looks like tsv"),
    "broken JSON": ("jsonl", b'{"source": "a", "target": "b"', "invalid JSON (Expecting ',' delimiter: "),
    "text among JSON": (
        "jsonl",
        b"a\tb",
        "invalid JSON (Expecting value: line 1 column 1 (char 0); received 'a\\tb')",
    ),
    "endless brackets": ("jsonl", b"[" * 100_000, "invalid JSON ("),
    "endless number": ("jsonl", b"9" * 9_999, "invalid JSON ("),
    "array": (
        "jsonl",
        b'["a", "b"]',
        'received a JSON array, expected an object; write {"source": "...", "target"',
    ),
    "null": ("jsonl", b"null", "received a JSON null, expected an object"),
    "missing key": (
        "jsonl",
        b'{"source": "a", "en": "b"}',
        "the key 'target' is missing (received the keys 'source, en')",
    ),
    "number": ("jsonl", b'{"source": 3, "target": "b"}', "'source' is a JSON number, expected a string"),
    "null side": ("jsonl", b'{"source": "a", "target": null}', "'target' is a JSON null, expected a string"),
    "empty string": ("jsonl", b'{"source": " ", "target": "b"}', "the source is empty"),
    "key twice": (
        "jsonl",
        b'{"source": "a", "source": "b", "target": "c"}',
        "a key occurs twice in the JSON object",
    ),
    "NUL by escape": (
        "jsonl",
        b'{"source": "a\\u0000", "target": "b"}',
        "a NUL inside the source; remove it",
    ),
    "half a character": (
        "jsonl",
        b'{"source": "\\ud83d", "target": "b"}',
        "half a surrogate pair inside the source",
    ),
    "empty JSON line": ("jsonl", b"", "the line is empty"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_says_what_where_and_how_to_mend_it(name: str, tmp_path: Path) -> None:
    form, line, message = BAD_LINES[name]
    good = FORMS[form].encode()
    path = write(tmp_path / "x.txt", good + line + b"\n" + good)
    bad = len(PAIRS) + 1
    with pytest.raises(InputError) as caught:
        list(read_pairs(path))
    error = caught.value
    assert message in str(error)
    assert error.where == f"{path}:{bad}"
    assert error.remedy
    assert len(str(error)) < 400
    items = list(read_pairs(path, on_error="skip"))
    assert [item.line for item in items] == list(range(1, 2 * len(PAIRS) + 2))
    assert [isinstance(item, BadLine) for item in items] == [
        line == bad for line in range(1, 2 * len(PAIRS) + 2)
    ]
    assert isinstance(items[bad - 1], BadLine)
    # What is skipped is not told to be skipped.
    assert f"{items[bad - 1].error}, or {SKIP}" == str(error)
    corpus = open_corpus(path, on_error="skip")
    assert (len(corpus), corpus.skipped, [item.line for item in corpus.bad]) == (2 * len(PAIRS), 1, [bad])
    assert [pair.line for pair in corpus] == [item.line for item in items if isinstance(item, Pair)]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (
            b"a\nb\nc\n",
            b"x\ny\n",
            "{target}: the file ends after line 2, while {source} goes on; the two files",
        ),
        (b"a\n", b"x\ny\n", "{source}: the file ends after line 1, while {target} goes on"),
        (b"a\n", b"", "{target}: the file is empty"),
        (b"a\n\nc\n", b"x\ny\nz\n", "{source}:2: the line is empty; fill it"),
        (b"a\nb\n", b"x\n \n", "{target}:2: the line is empty"),
        (b"a\nb\n", b"x\n\xff\n", "{target}:2: invalid UTF-8 at byte 0"),
    ],
)
def test_two_files_that_do_not_fit(source: bytes, target: bytes, message: str, tmp_path: Path) -> None:
    paths = {"source": write(tmp_path / "a.de", source), "target": write(tmp_path / "a.en", target)}
    with pytest.raises(InputError) as caught:
        list(read_pairs(paths["source"], target=paths["target"]))
    assert str(caught.value).startswith(message.format(**paths))


def test_skipping_in_two_files_keeps_them_aligned(tmp_path: Path) -> None:
    source, target = write(tmp_path / "a.de", b"a\n\nc\nd\n"), write(tmp_path / "a.en", b"x\ny\n\xff\nz\n")
    items = list(read_pairs(source, target=target, on_error="skip"))
    assert [item.line for item in items] == [1, 2, 3, 4]
    assert texts(item for item in items if isinstance(item, Pair)) == [("a", "x"), ("d", "z")]


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "a\tb\n")
    with pytest.raises(
        ConfigError, match=r"unknown format 'tvs'; did you mean 'tsv'\? choose from: auto, tsv, bars"
    ):
        read_pairs(path, format="tvs")
    with pytest.raises(
        ConfigError, match="a target file was given, but the format 'tsv' keeps both sides in one"
    ):
        read_pairs(path, target=tmp_path / "b", format="tsv")
    with pytest.raises(ConfigError, match="the format 'files' needs two files; name both"):
        read_pairs(path, format="files")
    with pytest.raises(ConfigError, match="standard input was given as source and as target"):
        read_pairs("-", target="-")
    with pytest.raises(
        ConfigError, match=r"a\.tsv was given as source and as target; name two different files"
    ):
        read_pairs(path, target=path)
    with pytest.raises(ConfigError, match="unknown way to treat bad lines 'skp'; did you mean 'skip'"):
        read_pairs(path, on_error="skp")


def test_a_file_of_no_format(tmp_path: Path) -> None:
    path = write(tmp_path / "prose.txt", "one sentence\n" * 3000)
    with pytest.raises(
        InputError, match=r"prose\.txt: no tab, \|\|\| or JSON object in the first .*'one sentence'\)"
    ):
        list(read_pairs(path))
    items = list(read_pairs(path, on_error="skip"))
    assert [item.line for item in items if isinstance(item, BadLine)] == list(range(1, 3001))
    with pytest.raises(
        InputError, match=r"prose\.txt: all 3000 lines are bad; the first: .*prose\.txt:1: no separator"
    ):
        open_corpus(path, on_error="skip")
    first = write(tmp_path / "bad.txt", b"\xff\n")
    with pytest.raises(InputError, match=r"bad\.txt:1: invalid UTF-8"):
        list(read_pairs(first))


def test_random_bytes_never_crash_and_keep_the_count(tmp_path: Path) -> None:
    generator = random.Random(5)
    lines = [
        bytes(generator.choices(range(256), k=generator.randrange(80))).replace(b"\n", b"")
        for _ in range(10_000)
    ]
    path = write(tmp_path / "noise", b"\n".join(lines) + b"\n")
    for format in ("auto", "tsv", "bars", "jsonl"):
        items = list(read_pairs(path, format=format, on_error="skip"))
        assert [item.line for item in items] == list(range(1, 10_001))
        assert all(len(str(item.error)) < 500 for item in items if isinstance(item, BadLine))
    half = write(tmp_path / "half", b"\n".join(lines[::-1]))
    both = list(read_pairs(path, target=half, on_error="skip"))
    assert [item.line for item in both] == list(range(1, 10_001))


def test_random_text_of_every_kind_survives(tmp_path: Path) -> None:
    generator = random.Random(6)
    alphabet = [
        *map(chr, range(1, 9)),
        *map(chr, range(14, 0x250)),
        *"\u2028\u2029\u200b\u3000中😀\ufeff",
        "\x0b",
        "\x85",
    ]
    pairs = [
        (
            "s" + "".join(generator.choices(alphabet, k=30)) + "e",
            "s" + "".join(generator.choices(alphabet, k=9)) + "e",
        )
        for _ in range(2000)
    ]
    tsv = write(tmp_path / "a.tsv", "".join(f"{source}\t{target}\n" for source, target in pairs))
    jsonl = write(
        tmp_path / "a.jsonl", "".join(json.dumps({"source": s, "target": t}) + "\n" for s, t in pairs)
    )
    assert texts(open_corpus(tsv)) == texts(open_corpus(jsonl)) == pairs


def test_stdin() -> None:
    script = (
        "from otkit.data.parallel import open_corpus\n"
        "corpus = open_corpus('-', langs='de-en')\n"
        "print(len(corpus), corpus.name, corpus.languages, corpus.sha256)"
    )
    content = gzip.compress(FORMS["bars"].encode())
    done = subprocess.run([sys.executable, "-c", script], input=content, capture_output=True, check=True)
    digest = hashlib.sha256(FORMS["bars"].encode()).hexdigest()
    assert done.stdout.decode().strip() == f"4 <stdin> ('de', 'en') {digest}"


def test_random_access(tmp_path: Path) -> None:
    pairs = [(f"q{i} " + "ü" * (i % 7), f"z {i}") for i in range(5000)]
    path = write(tmp_path / "a.de-en.tsv", "".join(f"{s}\t{t}\n" for s, t in pairs))
    corpus = open_corpus(path)
    path.unlink()
    generator = random.Random(7)
    for index in generator.choices(range(-5000, 5000), k=500):
        pair = corpus[index]
        assert ((pair.source, pair.target), pair.line) == (
            (pairs[index][0].strip(), pairs[index][1]),
            index % 5000 + 1,
        )
    assert texts(corpus[10:20:3]) == [(s.strip(), t) for s, t in pairs[10:20:3]]
    assert corpus[np.int64(3)].line == 4
    assert [tuple(row) for row in corpus.lengths[:8]] == [
        (len(s.strip().encode()), len(t)) for s, t in pairs[:8]
    ]
    for outside in (5000, -5001):
        with pytest.raises(IndexError):
            corpus[outside]


def test_a_sentence_may_begin_with_a_brace(tmp_path: Path) -> None:
    tabs = write(tmp_path / "a.tsv", "{lacht}\t{laughs}\n{\t}\n")
    assert texts(read_pairs(tabs)) == [("{lacht}", "{laughs}"), ("{", "}")]
    bars = write(tmp_path / "a.txt", "{lacht} Ja ||| {laughs} Yes}\n")
    assert texts(read_pairs(bars)) == [("{lacht} Ja", "{laughs} Yes}")]


DECIDED: dict[str, tuple[str, list[tuple[str, str]], str]] = {
    "the second line decides": (
        "das\tHaus ||| the house\nein Baum ||| a tree\n",
        [("das\tHaus", "the house"), ("ein Baum", "a tree")],
        "line 1 has both a tab and |||; the file is read as source ||| target, as line 2 shows "
        "(else say `format='tsv'`)",
    ),
    "the other way round": (
        "das ||| Haus\tthe house\nein Baum\ta tree\n",
        [("das ||| Haus", "the house"), ("ein Baum", "a tree")],
        "line 1 has both a tab and |||; the file is read as source<TAB>target, as line 2 shows "
        "(else say `format='bars'`)",
    ),
    "a line decides by having one of them as needed": (
        "das\tkleine\tHaus ||| the small house\nein\tBaum ||| a tree\n",
        [("das\tkleine\tHaus", "the small house"), ("ein\tBaum", "a tree")],
        "line 1 has both a tab and |||; the file is read as source ||| target, as line 1 shows "
        "(else say `format='tsv'`)",
    ),
    "decided before": (
        "ein Baum ||| a tree\ndas\tHaus ||| the house\nein\tx ||| y\n",
        [("ein Baum", "a tree"), ("das\tHaus", "the house"), ("ein\tx", "y")],
        "line 2 has both a tab and |||; the file is read as source ||| target, as line 1 shows "
        "(else say `format='tsv'`)",
    ),
    "JSON may hold both": (
        '{"source": "a ||| b\\tc", "target": "d"}\n{"source": "e", "target": "f"}\n',
        [("a ||| b\tc", "d"), ("e", "f")],
        "",
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", DECIDED)
def test_the_file_decides_between_two_separators_and_it_is_said(
    name: str, packed: bool, tmp_path: Path
) -> None:
    content, pairs, said = DECIDED[name]
    path = write(tmp_path / "a.txt", gzip.compress(content.encode()) if packed else content)
    notes: list[str] = []
    assert texts(read_pairs(path, note=notes.append)) == pairs
    assert notes == ([f"{path}: {said}"] if said else [])
    assert open_corpus(path).notes == tuple(notes)
    if said:
        form = "bars" if "read as source |||" in said else "tsv"
        forced: list[str] = []
        assert texts(read_pairs(path, format=form, note=forced.append)) == pairs
        assert not forced, "what was asked for needs no note"


def test_a_file_that_does_not_decide_is_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\n" + "das\tHaus ||| the house\n" * 1100)
    with pytest.raises(
        InputError,
        match=r"a\.txt:2: either a tab or \|\|\| may .*; say which: `format='tsv'` or `format='bars'`",
    ):
        list(read_pairs(path, on_error="skip"))
    for form, pair in {"bars": ("das\tHaus", "the house"), "tsv": ("das", "Haus ||| the house")}.items():
        corpus = open_corpus(path, format=form, on_error="skip")
        assert (len(corpus), corpus.skipped, texts(corpus[:1])) == (1100, 1, [pair])


SPACES = ["\xa0", "\u202f", "\u3000", "\u2009", "\u2028", "\x85", "\x1c"]


@pytest.mark.parametrize("form", ["tsv", "bars", "jsonl", "files"])
def test_only_ascii_white_space_separates_words_in_every_format(form: str, tmp_path: Path) -> None:
    pairs = [(f"10{space}000 H\u00e4user\tb", f"\u00abhouses{space}\u00bb burn{space}") for space in SPACES]
    pairs = [(source.replace("\t", " "), target) for source, target in pairs] + [("plain one", "line")]
    target = None
    if form == "files":
        path = write(tmp_path / "a.de", "".join(f"{source}\n" for source, _ in pairs))
        target = write(tmp_path / "a.en", "".join(f" {other}\t\n" for _, other in pairs))
    elif form == "jsonl":
        rows = [{"source": f" {source}\t", "target": other} for source, other in pairs]
        path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        mark = "\t" if form == "tsv" else " ||| "
        path = write(tmp_path / "a.txt", "".join(f"{source}{mark}{other} \r\n" for source, other in pairs))
    corpus = open_corpus(path, target=target)
    assert texts(corpus) == pairs
    assert {len(words_of(pair.source)) for pair in corpus[:-1]} == {3}
    assert {len(words_of(pair.target)) for pair in corpus[:-1]} == {2}
    assert (corpus.spaces.lines, corpus.spaces.first) == (len(SPACES), 1)
    assert corpus.spaces.note("it") == (
        f"it: {len(SPACES)} lines (the first: line 1) with a no-break space or its like, which is part of a word here: "
        "what splits at any Unicode white space counts more words"
    )


def test_no_room_for_the_temporary_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tsv", "a\tb\n")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(
        InputError, match=r"a\.tsv: the temporary copy of the text cannot be kept .* point TMPDIR at"
    ):
        open_corpus(path)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    line = (
        "Ein Satz mit einigen Wörtern , wie es sie gibt .\tA sentence of a few words , as there are some .\n"
    )
    path = write(tmp_path / "big.tsv.gz", gzip.compress((line * 200_000).encode(), 1))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_pairs(path)) == 200_000
        streamed = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        corpus = open_corpus(path)
        opened = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(corpus) == 200_000
    assert streamed < 4e6  # the text is 20 MB
    assert opened < 200_000 * 60 + 4e6


def test_languages_are_asked_for_only_where_they_are_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.tsv", "a\tb\n")
    corpus = open_corpus(path)
    with pytest.raises(
        InputError, match=r"pairs\.tsv: the file name does not tell its languages; state them"
    ):
        _ = corpus.languages
    assert open_corpus(path, langs="sw-en").languages == ("sw", "en")
    with pytest.raises(
        InputError, match="received the languages 'german', expected two codes joined by a hyphen"
    ):
        open_corpus(path, langs="german")


def test_what_is_no_file_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").touch()
    passing = ("-", "/dev/stdin", "/dev/fd/63", "hf://datasets/some/set:de-en")
    assert [is_passing(one) for one in (*passing, tmp_path / "a.tsv")] == [True] * 4 + [False]
