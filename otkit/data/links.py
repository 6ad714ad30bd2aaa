"""The file formats of word-alignment gold: lines in, links as the file counts them out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otkit.data.lines import quote, words_of
from otkit.errors import InputError

__all__ = ["GOLD_FORMATS", "READERS", "RawGold", "RawLink", "Texts", "Words", "format_of", "parse_links"]

Words = tuple[str, ...]
Texts = Sequence[tuple[Words, Words]]

GOLD_FORMATS: dict[str, str] = {
    "auto": "seen from the content",
    "tsv": "source<TAB>target<TAB>links (XL-WA, the sample data)",
    "pharaoh": "a line of links for each line of the text: i-j sure, ipj or i?j possible (Pharaoh, Talp)",
    "naacl": "a link on each line, id i j [S|P], for two text files (NAACL 2003, WPT 2005); 0 is no word",
}
LINK = re.compile(r"([0-9]{1,6})([-p?])([0-9]{1,6})")
ROW = re.compile(r"([0-9]{1,9})\s+([0-9]{1,6})\s+([0-9]{1,6})(?:\s+([SP]))?(?:\s+[0-9.]+)?")
MARKED = re.compile(r"<s snum=\"?([0-9]{1,9})\"?>(.*)</s>")


@dataclass(frozen=True, slots=True)
class RawLink:
    """A link as its file counts it; `pair` is the index of its sentence pair."""

    pair: int
    source: int
    target: int
    sure: bool
    line: int


@dataclass(frozen=True)
class RawGold:
    """What a format's reader hands on."""

    texts: Texts
    links: list[RawLink]
    notes: tuple[str, ...] = ()


def parse_links(text: str, *, where: str | None = None) -> list[tuple[int, int, bool]]:
    """(source, target, sure) of every `i-j`, `ipj` and `i?j` in `text`, as counted there."""
    links = []
    for item in text.split():
        match = LINK.fullmatch(item)
        if match is None:
            remedy = "write i-j (sure), ipj or i?j (possible)"
            raise InputError(f"received {quote(item)}, expected a link", where=where, remedy=remedy)
        links.append((int(match[1]), int(match[3]), match[2] == "-"))
    return links


def format_of(lines: list[str], name: str) -> str:
    """By the first line that is not blank; a file of blank lines holds sentences without links."""
    first = next((line for line in lines if line.strip()), "")
    if first and all(LINK.fullmatch(item) for item in first.split()):
        return "pharaoh"  # by tabs too, two of which look like three columns
    if first.count("\t") == 2 and ROW.fullmatch(first.strip()) is None:
        return "tsv"
    if ROW.fullmatch(first.strip()):
        return "naacl"
    if not first or any(LINK.fullmatch(item) for item in first.split()):
        return "pharaoh"
    raise InputError(
        f"no gold format that is known (received {quote(first)})",
        where=name,
        remedy="write " + "; or ".join(what for key, what in GOLD_FORMATS.items() if key != "auto"),
    )


def _read_tsv(lines: list[str], texts: Texts, name: str) -> RawGold:
    own: list[tuple[Words, Words]] = []
    links = []
    for number, line in enumerate(lines, 1):
        where, columns = f"{name}:{number}", line.split("\t")
        if len(columns) != 3:
            what = f"{len(columns)} columns, expected 3 (received {quote(line)})"
            raise InputError(what, where=where, remedy=f"write {GOLD_FORMATS['tsv']}")
        words = (words_of(columns[0]), words_of(columns[1]))
        if not all(words):
            side = "target" if words[0] else "source"
            raise InputError(f"the {side} is empty (received {quote(line)})", where=where, remedy="fill it")
        links += [
            RawLink(len(own), i, j, sure, number) for i, j, sure in parse_links(columns[2], where=where)
        ]
        own.append(words)
    return RawGold(own, links)


def _read_pharaoh(lines: list[str], texts: Texts, name: str) -> RawGold:
    if len(lines) != len(texts):
        what = f"{len(lines)} lines of links, but the text has {len(texts)} sentence pairs"
        raise InputError(
            what, where=name, remedy="give one line of links for each pair, blank where it has none"
        )
    links = [
        RawLink(number - 1, i, j, sure, number)
        for number, line in enumerate(lines, 1)
        for i, j, sure in parse_links(line, where=f"{name}:{number}")
    ]
    return RawGold(texts, links)


def _read_naacl(lines: list[str], texts: Texts, name: str) -> RawGold:
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = ROW.fullmatch(line.strip())
        if match is None:
            what = f"received {quote(line)}, expected `id i j`, with S or P if any"
            raise InputError(what, where=f"{name}:{number}", remedy="write one link on each line")
        rows.append((int(match[1]), int(match[2]), int(match[3]), match[4] != "P", number))
    texts, place, notes = _numbered(texts, {row[0] for row in rows}, name)
    for ident, _, _, _, number in rows:
        if ident not in place:
            what = f"sentence {ident}, but the text has {len(texts)} sentence pairs"
            raise InputError(
                what, where=f"{name}:{number}", remedy="give the text that these links belong to"
            )
    return RawGold(
        texts, [RawLink(place[ident], i, j, sure, line) for ident, i, j, sure, line in rows], notes
    )


def _numbered(texts: Texts, idents: set[int], name: str) -> tuple[Texts, dict[int, int], tuple[str, ...]]:
    """Which sentence an id means: marked with it, else the line of that number, else of that rank."""
    marks = [MARKED.fullmatch(" ".join(source)) for source, _ in texts]
    if texts and all(marks):
        place = {int(mark[1]): index for index, mark in enumerate(marks) if mark}
        return [(_unmarked(source), _unmarked(target)) for source, target in texts], place, ()
    if len(idents) == len(texts) and max(idents, default=0) > len(texts):
        span = f"{min(idents)} to {max(idents)}"
        note = f"{name}: its {len(idents)} sentence ids ({span}) go to the lines in order"
        return texts, {ident: rank for rank, ident in enumerate(sorted(idents))}, (note,)
    return texts, {index + 1: index for index in range(len(texts))}, ()


def _unmarked(words: Words) -> Words:
    mark = MARKED.fullmatch(" ".join(words))
    return words_of(mark[2]) if mark else words


READERS: dict[str, Callable[[list[str], Texts, str], RawGold]] = {
    "tsv": _read_tsv,
    "pharaoh": _read_pharaoh,
    "naacl": _read_naacl,
}
