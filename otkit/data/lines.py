"""Bytes from a file, a gzip file or stdin, as checked lines of text: the one door that every reader uses; and
what separates the words of a line.

A line ends at a line feed, with or without a carriage return before it, and nowhere else: U+2028, U+0085, vertical
tabs and form feeds are inside it. Words are separated by ASCII white space, and by nothing else: a no-break space
(U+00A0, U+202F), an ideographic one (U+3000) and their like are part of a word, as they are for fast_align, eflomal,
Marian and published gold.

Blocks of lines are decoded at once; only a block that holds something wrong is looked at line by line, so a
clean file costs a fraction of a microsecond a line. A wrong line is handed on as an InputError in its place
(the count stays right); a wrong file raises.
"""

from __future__ import annotations

import hashlib
import re
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from otkit.errors import InputError
from otkit.files import is_stream

__all__ = [
    "LINE_LIMIT",
    "ON_ERROR",
    "SKIP",
    "SPACES",
    "LineSource",
    "SpaceCount",
    "checked",
    "counted",
    "joint_sha256",
    "located",
    "looks_raw",
    "quote",
    "read_once",
    "refuse_unwritable",
    "skipped_note",
    "trimmed",
    "unskipped",
    "words_of",
]

LINE_LIMIT = 1_000_000
"""Bytes of the longest line that is read into memory."""

SKIP = "skip such lines: `on_error='skip'`"
"""What a reader that can leave bad lines out says beside what is wrong with one."""

ON_ERROR: dict[str, str] = {
    "raise": "stop at the first bad line",
    "skip": "leave bad lines out, keep the count and say how many they were",
}

SPACES = " \t\n\r\x0b\x0c"
"""What separates words: ASCII white space, as C's isspace and bytes.split() have it."""

# White space for Unicode and for str.split(), and part of a word here.
OTHER_SPACE = re.compile("[\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
SURROGATE = re.compile("[\ud800-\udfff]")
CHUNK = 1 << 18
ENDLESS = 1 << 28  # bytes without a line end
GZIP_MAGIC = b"\x1f\x8b\x08"

# (how the content begins, what that is, what to do)
FOREIGN: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), what, remedy)
    for pattern, what, remedy in (
        (
            rb"(\xff\xfe|\xfe\xff|\x00\x00\xfe\xff)",
            "UTF-16 or UTF-32 text",
            "convert it: iconv -f UTF-16 -t UTF-8",
        ),
        (
            rb"PK(\x03\x04|\x05\x06)",
            "a zip archive (or xlsx, docx, npz)",
            "unzip it, or save the sheet as TSV",
        ),
        (rb"\xd0\xcf\x11\xe0", "an old Office document", "save it as tab-separated text"),
        (rb"PAR1.*\x00", "a parquet file", "write it out as TSV or JSONL first"),
        (rb"ARROW1\x00", "an Arrow file", "write it out as TSV or JSONL first"),
        (rb"SQLite format 3\x00", "an SQLite database", "write the table out as TSV first"),
        (rb"%PDF-\d.*[\x80-\xff]", "a PDF document", "extract its text first"),
        (rb"\xfd7zXZ\x00", "xz-compressed", "decompress it (xz -dc) or use gzip"),
        (rb"BZh[1-9]1AY&SY", "bzip2-compressed", "decompress it (bzip2 -dc) or use gzip"),
        (rb"\x28\xb5\x2f\xfd", "zstandard-compressed", "decompress it (zstd -dc) or use gzip"),
        (rb"\x1f\x8b\x08", "gzip inside gzip", "decompress it once (gzip -dc)"),
        (rb"GGUF", "a GGUF model", "give a text file here, and the model as `model='FILE'`"),
    )
)


# Scripts that write no spaces, without katakana, whose words are long; the most letters that words have on the mean.
_UNSPACED = (
    (re.compile("[\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"), 4),
    (re.compile("[\u0e01-\u0e4e\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff]"), 9),
)
_NOTICED = 20  # one line in so many


def words_of(text: str) -> tuple[str, ...]:
    """The words of a tokenised sentence, as other aligners and gold sets count them: split at `SPACES`."""
    return tuple([word.decode("utf-8", "surrogatepass") for word in _bytes(text).split()])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def trimmed(text: str) -> str:
    """The text without the `SPACES` around it: no word of it is touched."""
    return text.strip(SPACES)


def looks_raw(text: str) -> bool:
    """Whether what stands between the spaces of Chinese, Japanese, Thai and their like is phrases and no words."""
    for script, most in _UNSPACED:
        letters = len(script.findall(text))
        if letters > most and letters > most * sum(bool(script.search(word)) for word in text.split()):
            return True
    return False


class SpaceCount:
    """Counts the lines of an input in which splitting at any Unicode white space would find more words, and those that
    seem to have no words yet."""

    def __init__(self) -> None:
        self.lines = self.first = self._last = 0
        self.raw = self.first_raw = self._looked = 0

    def look(self, line: int, *texts: str) -> None:
        """Take in a line, counted from 1, by its sentences; it may come sentence by sentence."""
        self._looked += 1
        if any(map(looks_raw, texts)):
            self.raw += 1
            self.first_raw = self.first_raw or line
        if line == self._last:
            return
        if any(OTHER_SPACE.search(text) and len(text.split()) != len(_bytes(text).split()) for text in texts):
            self.lines += 1
            self.first, self._last = self.first or line, line

    def note(self, name: str) -> str | None:
        """A sentence for a person about the input of that name; None where there is no such line."""
        if not self.lines:
            return None
        return (
            f"{name}: {counted(self.lines, 'line')} (the first: line {self.first}) with a no-break space or "
            "its like, which is part of a word here: what splits at any Unicode white space counts more words"
        )

    def raw_note(self, name: str, *, cut: bool = True) -> str | None:
        """A sentence for a person whose input is aligned word by word and has lines without words; `cut` where the
        caller can find the words itself."""
        if not self.raw or _NOTICED * self.raw < self._looked:
            return None
        remedy = "`raw=True` finds the words" if cut else "put a space between its words first"
        return (
            f"{name}: {counted(self.raw, 'line')} (the first: line {self.first_raw}) in a script without spaces, and "
            f"none between its words: each stretch between two spaces counts as one word ({remedy})"
        )

    def notes(self, name: str, *, cut: bool = True) -> list[str]:
        """Both notes on an input whose words matter, where there is something to say."""
        return [said for said in (self.note(name), self.raw_note(name, cut=cut)) if said is not None]


def skipped_note(errors: Iterable[InputError], count: int, *, what: str = "line", shown: int = 3) -> str:
    """`FILE: 2 lines were skipped: line 2 (...); line 3 (...)`: of `count` bad ones the first, without remedies."""
    first = list(islice(errors, shown))
    places = [(error.where or "").rpartition(":") for error in first]
    one_file = len({file for file, _, _ in places}) == 1
    named = [
        f"{_line(place.strip()) if one_file else error.where} ({error.what})"
        for error, (_, _, place) in zip(first, places, strict=True)
    ]
    more = [] if count <= len(first) else [f"and {count - len(first)} more"]
    said = f"{counted(count, what)} {'was' if count == 1 else 'were'} skipped: {'; '.join([*named, *more])}"
    return f"{places[0][0]}: {said}" if one_file else said


def _line(place: str) -> str:
    return f"line {place}" if place.isdigit() else place


def counted(count: int, what: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def read_once(path: str | Path) -> bool:
    """True for an input that is gone when it was read: stdin, a pipe."""
    return str(path) == "-" or is_stream(Path(path))


def quote(text: str, limit: int = 60) -> str:
    """Text as received, in quotes, cut to `limit` characters, control characters escaped."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def joint_sha256(hashes: Sequence[str]) -> str:
    """One hash for the files of one input; that of a single file is its own."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def refuse_unwritable(text: str, name: str) -> None:
    """Refuse what JSON escapes can hold and UTF-8 text cannot: a NUL, half of a surrogate pair."""
    if "\0" in text:
        raise InputError(f"a NUL inside the {name}", remedy="remove it")
    if SURROGATE.search(text):
        raise InputError(
            f"half a surrogate pair inside the {name}", remedy="write the character itself, as UTF-8"
        )


def checked(line: str | InputError) -> str:
    """A line of a `LineSource` whose reader passes no bad one over."""
    if isinstance(line, InputError):
        raise line
    return line


def located(error: InputError, where: str) -> InputError:
    """The same complaint with its place, where it has none."""
    return InputError(error.what, where=error.where or where, remedy=error.remedies)


def unskipped(error: InputError, where: str) -> InputError:
    """The complaint as a reader raises it that could have left the line out instead."""
    return InputError(error.what, where=error.where or where, remedy=(*error.remedies, SKIP))


class LineSource:
    """The lines of one input, opened at once and read once; `name` is how messages call it."""

    def __init__(self, path: str | Path, *, line_limit: int = LINE_LIMIT) -> None:
        self.name = "<stdin>" if str(path) == "-" else str(path)
        self.line_limit = line_limit
        self._hash = hashlib.sha256()
        self._stream = _open(path, self.name)

    @property
    def sha256(self) -> str:
        """Of the decompressed content read so far."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[str | InputError]:
        """Line after line, without line ends."""
        for block in self.blocks():
            yield from block

    def blocks(self) -> Iterator[list[str | InputError]]:
        """Lists of consecutive lines; the errors carry `file:line`."""
        number, first = 0, True
        for block in _whole_lines(self._chunks(), self.line_limit, self.name):
            if first:
                self._recognise(block)
                block = block.removeprefix(b"\xef\xbb\xbf")
                first = False
            lines = self._decode(block, number)
            number += len(lines)
            yield lines
        if first:
            raise InputError(
                "the file is empty", where=self.name, remedy="give a file with at least one line"
            )

    def _decode(self, block: bytes, before: int) -> list[str | InputError]:
        if len(block) <= self.line_limit and b"\0" not in block:
            try:
                text = block.decode()
            except UnicodeDecodeError:
                pass
            else:
                # not splitlines(): U+2028, U+0085, form feeds and the like stay inside their line
                lines: list[str | InputError] = list(text.replace("\r\n", "\n").split("\n"))
                return lines[:-1] if text.endswith("\n") else lines
        raws = block.removesuffix(b"\n").split(b"\n")
        return [self._line(raw, f"{self.name}:{before + i}") for i, raw in enumerate(raws, 1)]

    def _line(self, raw: bytes, where: str) -> str | InputError:
        if len(raw) > self.line_limit:
            return InputError(
                f"the line is longer than {self.line_limit:,} bytes",
                where=where,
                remedy="one sentence a line is expected: cut the line",
            )
        if (at := raw.find(b"\0")) >= 0:
            return InputError(
                f"a NUL at byte {at} of the line",
                where=where,
                remedy="expected UTF-8 text: remove it (tr -d '\\000')",
            )
        try:
            return raw.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            return InputError(
                f"invalid UTF-8 at byte {error.start} of the line (0x{raw[error.start]:02x}: {error.reason})",
                where=where,
                remedy="convert the file to UTF-8 (iconv -t UTF-8)",
            )

    def _recognise(self, head: bytes) -> None:
        """Refuse content that is no text at all."""
        sample = head[:4096]
        for pattern, what, remedy in FOREIGN:
            if pattern.match(sample):
                raise InputError(
                    f"received {what}, expected plain or gzipped text", where=self.name, remedy=remedy
                )
        if 4 * sample.count(0) > len(sample):
            raise InputError(
                "received binary data or UTF-16 (many NUL bytes), expected UTF-8 text",
                where=self.name,
                remedy="convert it (iconv -f UTF-16 -t UTF-8)",
            )

    def _chunks(self) -> Iterator[bytes]:
        """The content, decompressed when it begins like gzip, hashed on its way."""
        raw = _raw_chunks(self._stream, self.name)
        try:
            head = next(raw, b"")
            while 0 < len(head) < len(GZIP_MAGIC) and (more := next(raw, b"")):
                head += more  # a pipe may deliver a byte at a time
            source = _joined(head, raw)
            for chunk in _gunzip(source, self.name) if head.startswith(GZIP_MAGIC) else source:
                self._hash.update(chunk)
                yield chunk
        finally:
            if self._stream is not sys.stdin.buffer:
                self._stream.close()


def _open(path: str | Path, name: str) -> BinaryIO:
    if name == "<stdin>":
        return sys.stdin.buffer
    place = Path(path)
    try:
        if stat.S_ISDIR(place.stat().st_mode):
            raise InputError(
                "received a folder, expected a file", where=name, remedy="name the files inside it"
            )
        return place.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        remedy = "check the path (it is relative to the current folder)"
        raise InputError("there is no such file", where=name, remedy=remedy) from None
    except PermissionError:
        raise InputError("the file may not be read", where=name, remedy="check its permissions") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"the file cannot be opened ({error})", where=name, remedy="check the path"
        ) from error


def _raw_chunks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    # read1 returns what a slow pipe has instead of waiting for a full chunk
    read = getattr(stream, "read1", stream.read)
    try:
        while chunk := read(CHUNK):
            yield chunk
    except OSError as error:
        raise InputError(
            f"reading stopped ({error})", where=name, remedy="check the disk or the pipe"
        ) from error


def _joined(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _gunzip(source: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Any number of gzip members; output in bounded pieces, so that a small file cannot fill the memory."""
    remedy = "download or write it again, and test it with gzip -t"
    inflate = zlib.decompressobj(wbits=31)
    started = True
    for piece in source:
        data = piece
        while data:
            if inflate.eof:
                data = data.lstrip(b"\0")  # padding after a member is legal
                if not data:
                    break
                inflate, started = zlib.decompressobj(wbits=31), False
            try:
                out = inflate.decompress(data, CHUNK)
            except zlib.error as error:
                reason = "its check sum is wrong" if "check" in str(error) else str(error)
                raise InputError(f"damaged gzip data ({reason})", where=name, remedy=remedy) from error
            started = True
            if out:
                yield out
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    while not inflate.eof and (out := inflate.decompress(b"", CHUNK)):
        yield out
    if started and not inflate.eof:
        raise InputError("the gzip data ends too early (truncated file)", where=name, remedy=remedy)


def _whole_lines(chunks: Iterator[bytes], limit: int, name: str) -> Iterator[bytes]:
    """Chunks cut at line ends. Of a line past the limit only the first `limit` + 1 bytes are ever held, and one that
    goes on for ever (a device, a bomb) is an error."""
    pending: list[bytes] = []  # the pieces of a line whose end has not come yet
    held = passed = 0
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        passed = 0 if cut else passed + len(chunk)
        if passed > max(limit, ENDLESS):
            raise InputError(
                f"a line has no end within {passed:,} bytes",
                where=name,
                remedy="give a file of lines of text",
            )
        if not cut:
            if held <= limit:
                pending.append(chunk[: limit + 1 - held])
                held += len(pending[-1])
            continue
        if held > limit:
            end = chunk.index(b"\n") + 1
            yield b"".join(pending) + b"\n"
            if cut > end:
                yield chunk[end:cut]
        else:
            yield b"".join([*pending, chunk[:cut]])
        pending = [chunk[cut:]]
        held = len(pending[0])
    if held:
        yield b"".join(pending)
