"""Bytes to lines: gzip, damage, foreign files, odd characters, endless lines, slow pipes."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from otkit.data.lines import SPACES, LineSource, SpaceCount, looks_raw, skipped_note, trimmed, words_of
from otkit.errors import InputError


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def lines_of(path: Path, limit: int = 1_000_000) -> list[str | InputError]:
    return list(LineSource(path, line_limit=limit))


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<xml/>")
    return buffer.getvalue()


TEXT = "".join(f"Zeile {i}\tline {i}\n" for i in range(2000)).encode()

BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty; give a file with at least one line"),
    "gzip of nothing": (gzip.compress(b""), "the file is empty"),
    "truncated gzip": (gzip.compress(TEXT)[:-200], "the gzip data ends too early (truncated file); download"),
    "gzip without its trailer": (gzip.compress(TEXT)[:-8], "the gzip data ends too early"),
    "gzip header alone": (gzip.compress(TEXT)[:10], "the gzip data ends too early"),
    "gzip with a bad check sum": (
        gzip.compress(TEXT)[:-8] + b"\0\0\0\0" + gzip.compress(TEXT)[-4:],
        "damaged gzip data (its check sum is wrong)",
    ),
    "gzip with damaged data": (
        gzip.compress(TEXT)[:100] + b"\xff" * 50 + gzip.compress(TEXT)[150:],
        "damaged gzip data (",
    ),
    "gzip with rubbish behind it": (gzip.compress(TEXT) + b"rubbish", "damaged gzip data ("),
    "gzip inside gzip": (gzip.compress(gzip.compress(TEXT)), "received gzip inside gzip"),
    "zip or xlsx": (zipped(), "received a zip archive (or xlsx, docx, npz), expected plain or gzipped text"),
    "parquet": (b"PAR1\x15\x04\x15\x00\x15\x00", "received a parquet file"),
    "arrow": (b"ARROW1\0\0", "received an Arrow file"),
    "sqlite": (b"SQLite format 3\0" + bytes(100), "received an SQLite database"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "received a PDF document"),
    "xz": (lzma.compress(TEXT), "received xz-compressed"),
    "bzip2": (bz2.compress(TEXT), "received bzip2-compressed"),
    "zstandard": (b"\x28\xb5\x2f\xfd\x04\x00", "received zstandard-compressed"),
    "old Office": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "received an old Office document"),
    "model": (b"GGUF\x03\0\0\0", "received a GGUF model"),
    "UTF-16": (
        TEXT.decode().encode("utf-16"),
        "received UTF-16 or UTF-32 text, expected plain or gzipped text",
    ),
    "UTF-16 without its mark": (
        TEXT.decode().encode("utf-16-be"),
        "received binary data or UTF-16 (many NUL bytes)",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_named_with_what_it_is(name: str, tmp_path: Path) -> None:
    content, message = BAD_FILES[name]
    path = write(tmp_path / "pairs.tsv", content)
    with pytest.raises(InputError) as caught:
        lines_of(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert caught.value.remedy


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.tsv: there is no such file; check the path"):
        LineSource(tmp_path / "absent.tsv")
    with pytest.raises(InputError, match="received a folder, expected a file; name the files inside it"):
        LineSource(tmp_path)
    path = write(tmp_path / "file.tsv", b"a\tb\n")
    with pytest.raises(InputError, match="there is no such file"):
        LineSource(path / "below.tsv")
    with pytest.raises(InputError, match="the file cannot be opened"):
        LineSource("a\0b")


def test_an_unreadable_file(tmp_path: Path) -> None:
    path = write(tmp_path / "secret.tsv", b"a\tb\n")
    path.chmod(0)
    script = (
        "import os, sys\n"
        "from otkit.data.lines import LineSource\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: LineSource(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"InputError {path}: the file may not be read; check its permissions"


GOOD: dict[str, tuple[bytes, list[str]]] = {
    "a last line without its end": (b"a\nb", ["a", "b"]),
    "a mark at the start": (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
    "a mark elsewhere stays": (b"a\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
    "Windows line ends": (b"a\r\nb\r\n", ["a", "b"]),
    "empty lines": (b"\n\na\n\n", ["", "", "a", ""]),
    "characters that only look like line ends": (
        "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\nh\n".encode(),
        ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg", "h"],
    ),
    "a bare CR": (b"a\rb\nc\n", ["a\rb", "c"]),
}


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, lambda data: gzip.compress(data[:2]) + gzip.compress(data[2:])]
)
@pytest.mark.parametrize("name", GOOD)
def test_lines_end_at_newlines_only(name: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    content, expected = GOOD[name]
    # the name says nothing about compression: gzip is seen by its first bytes
    assert lines_of(write(tmp_path / "plain.tsv", pack(content))) == expected
    assert lines_of(write(tmp_path / "named.tsv.gz", pack(content))) == expected


def test_gzip_with_padding_and_pieces(tmp_path: Path) -> None:
    pieces = b"".join(gzip.compress(TEXT[i : i + 999]) for i in range(0, len(TEXT), 999)) + bytes(512)
    assert "\n".join(map(str, lines_of(write(tmp_path / "a.gz", pieces)))).encode() + b"\n" == TEXT


def test_a_small_gzip_does_not_fill_the_memory(tmp_path: Path) -> None:
    squeezed = zlib.compressobj(9, wbits=31)
    bomb = b"".join(squeezed.compress(b"x" * (1 << 20)) for _ in range(64)) + squeezed.flush()
    lines = lines_of(write(tmp_path / "bomb.gz", bomb))
    assert [str(line) for line in lines] == [
        f"{tmp_path / 'bomb.gz'}:1: the line is longer than 1,000,000 bytes; "
        "one sentence a line is expected: cut the line"
    ]


@pytest.mark.parametrize("before", [0, 3, 60_000])
def test_bad_lines_keep_their_place(before: int, tmp_path: Path) -> None:
    content = b"ok\n" * before + b"gr\xfc\xdfe\nnul\0\n" + b"x" * 200 + b"\n\xe2\x82\nlast \xf0\x9f\x98\x80"
    path = write(tmp_path / "a.txt", content)
    lines = lines_of(path, limit=100)[before:]
    assert [str(line) for line in lines] == [
        f"{path}:{before + 1}: invalid UTF-8 at byte 2 of the line (0xfc: invalid start byte); "
        "convert the file to UTF-8 (iconv -t UTF-8)",
        f"{path}:{before + 2}: a NUL at byte 3 of the line; expected UTF-8 text: remove it (tr -d '\\000')",
        f"{path}:{before + 3}: the line is longer than 100 bytes; "
        "one sentence a line is expected: cut the line",
        f"{path}:{before + 4}: invalid UTF-8 at byte 0 of the line (0xe2: unexpected end of data); "
        "convert the file to UTF-8 (iconv -t UTF-8)",
        "last 😀",
    ]


@pytest.mark.parametrize("limit", [1, 10, 1000, 262_143, 262_144, 262_145, 600_000])
def test_the_limit_is_exact_wherever_blocks_are_cut(limit: int, tmp_path: Path) -> None:
    sizes = [limit, limit + 1, 0, limit - 1, 3 * limit, limit, 700_000, limit]
    path = write(tmp_path / "a.txt", b"\n".join(b"y" * size for size in sizes))
    assert [isinstance(line, str) for line in lines_of(path, limit)] == [size <= limit for size in sizes]


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    for pack in (bytes, gzip.compress):
        source = LineSource(write(tmp_path / "a", pack(TEXT)))
        assert len(list(source)) == 2000
        assert source.sha256 == hashlib.sha256(TEXT).hexdigest()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_stdin_a_byte_at_a_time(pack: Callable[[bytes], bytes]) -> None:
    script = "from otkit.data.lines import LineSource; print([*LineSource('-')], LineSource('-').name)"
    content = pack("ä\tb\r\nc\td".encode())
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for value in content:
            child.stdin.write(bytes([value]))
            child.stdin.flush()
        child.stdin.close()
        assert child.stdout.read().decode().strip() == "['ä\\tb', 'c\\td'] <stdin>"


def test_a_pipe_gives_lines_before_it_ends() -> None:
    script = "from otkit.data.lines import LineSource\nfor line in LineSource('-'): print(line, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for word in (b"one\n", b"two\n"):
            child.stdin.write(word)
            child.stdin.flush()
            assert child.stdout.readline() == word
        child.stdin.close()


def test_words() -> None:
    assert words_of("  Das ist  ein Haus\t. ") == ("Das", "ist", "ein", "Haus", ".")
    assert words_of("a\tb\nc\rd\x0be\x0cf") == tuple("abcdef")
    assert words_of("") == words_of(" \t ") == ()


OTHER_SPACES = [
    chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace() and chr(code) not in SPACES
]


@pytest.mark.parametrize("space", OTHER_SPACES, ids=[f"U+{ord(space):04X}" for space in OTHER_SPACES])
def test_other_white_space_is_part_of_a_word(space: str) -> None:
    assert words_of(f" 10{space}000 {space} x{space} ") == (f"10{space}000", space, f"x{space}")
    assert trimmed(f"\t{space}a{space} ") == f"{space}a{space}"
    spaces = SpaceCount()
    spaces.look(1, f"a{space} b", "c")  # counted alike by both rules
    spaces.look(2, "c", f"a{space}b")
    spaces.look(3, f"a{space}b", f"a{space}b")
    assert (spaces.lines, spaces.first) == (2, 2)


def test_words_of_half_a_surrogate_pair() -> None:
    assert words_of("a\udcff b\ud83d") == ("a\udcff", "b\ud83d")


def test_the_note_on_skipped_lines_names_the_first_of_them() -> None:
    bad = [
        InputError(f"bad {number}", where=f"a:b.tsv:{number}", remedy="mend it") for number in (2, 5, 7, 9)
    ]
    assert skipped_note(bad[:1], 1) == "a:b.tsv: 1 line was skipped: line 2 (bad 2)"
    assert skipped_note(bad[:2], 2) == "a:b.tsv: 2 lines were skipped: line 2 (bad 2); line 5 (bad 5)"
    assert skipped_note(bad, 12, what="item") == (
        "a:b.tsv: 12 items were skipped: line 2 (bad 2); line 5 (bad 5); line 7 (bad 7); and 9 more"
    )
    other = InputError("bad", where="q.json: question 7")
    assert skipped_note([other], 1, what="item") == "q.json: 1 item was skipped: question 7 (bad)"
    assert (
        skipped_note([bad[0], other], 2)
        == "2 lines were skipped: a:b.tsv:2 (bad 2); q.json: question 7 (bad)"
    )


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("她买了一辆二手自行车。", True),
        ("她 买 了 一 辆 二手 自行车 。", False),
        ("私は自転車を買いました。", True),
        ("私 は 自転車 を 買い まし た 。", False),
        ("インターネットエクスプローラー", False),
        ("高高兴兴", False),
        ("ทอมซื้อของที่ตลาด", True),
        ("ทอม ซื้อ ของ ที่ ตลาด", False),
        ("The house is small .", False),
        ("一 twenty-one-letter-word", False),
    ],
)
def test_text_that_has_no_words_yet_is_noticed(text: str, raw: bool) -> None:
    assert looks_raw(text) is raw


def test_what_is_said_of_text_without_words() -> None:
    count = SpaceCount()
    for line in range(1, 40):
        count.look(line, "今天天气非常好" if line == 3 else "今天 天气", "fine")
    assert count.raw_note("x.tsv") is None  # one line in forty may be anything
    count.look(40, "今天天气非常好", "fine")
    said = count.raw_note("x.tsv")
    assert said is not None
    assert said.startswith("x.tsv: 2 lines (the first: line 3) in a script without spaces")
