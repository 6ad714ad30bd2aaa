"""The file formats of word-alignment gold: lines in, links as the file counts them out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from otkit.data.lines import located, quote, words_of
from otkit.errors import InputError
from otkit.files import parse_json

__all__ = [
    "GOLD_FORMATS",
    "HOLDS_TEXT",
    "READERS",
    "RawGold",
    "RawLink",
    "Text",
    "Words",
    "format_of",
    "parse_links",
]

Words = tuple[str, ...]
Text = tuple[Words, Words] | InputError
"""A sentence pair, or what is wrong with it."""
Line = str | InputError
Whole = tuple[tuple[Words, Words], list[tuple[int, int, bool]]]
"""The sentences of a line and its links."""

GOLD_FORMATS: dict[str, str] = {
    "auto": "seen from the content",
    "tsv": "source<TAB>target<TAB>links (XL-WA, the sample data)",
    "pharaoh": "a line of links for each line of the text: i-j sure, ipj or i?j possible (Pharaoh, Talp)",
    "naacl": "a link on each line, id i j [S|P], for two text files (NAACL 2003, WPT 2005); 0 is no word",
    "json": 'an object on each line: {"source": [words], "target": [words], "sure": [[i, j]], "possible": [[i, j]]}',
}
HOLDS_TEXT = frozenset({"tsv", "json"})
"""The formats that hold the sentences too."""
LINK = re.compile(r"([0-9]{1,6})([-p?])([0-9]{1,6})")
ROW_OF = re.compile(r"\s*([0-9]{1,9})\s")
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


@dataclass
class RawGold:
    """What a format's reader hands on: the text, its links, and lines of links whose pair is not known."""

    texts: list[Text]
    links: list[RawLink] = field(default_factory=list)
    bad: list[InputError] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def spoil(self, pair: int, error: InputError, where: str) -> None:
        """The pair cannot be scored: its line of text or of links is bad."""
        if not isinstance(self.texts[pair], InputError):
            self.texts[pair] = located(error, where)


def parse_links(text: str, *, where: str | None = None) -> list[tuple[int, int, bool]]:
    """(source, target, sure) of every `i-j`, `ipj` and `i?j` in `text`, as counted there."""
    links = []
    for item in words_of(text):
        match = LINK.fullmatch(item)
        if match is None:
            remedy = "write i-j (sure), ipj or i?j (possible)"
            raise InputError(f"received {quote(item)}, expected a link", where=where, remedy=remedy)
        links.append((int(match[1]), int(match[3]), match[2] == "-"))
    return links


def format_of(lines: Iterable[Line], name: str) -> str:
    """By the first line that shows one; a file of blank lines holds sentences without links."""
    filled = [line for line in lines if isinstance(line, str) and line.strip()]
    found = next(filter(None, map(_shown, filled)), None)
    if found:
        return found
    if not filled or any(LINK.fullmatch(item) for line in filled for item in words_of(line)):
        return "pharaoh"
    raise InputError(
        f"no gold format that is known (received {quote(filled[0])})",
        where=name,
        remedy="write " + "; or ".join(what for key, what in GOLD_FORMATS.items() if key != "auto"),
    )


def _shown(line: str) -> str | None:
    if all(LINK.fullmatch(item) for item in words_of(line)):
        return "pharaoh"  # by tabs too, two of which look like three columns
    if ROW.fullmatch(line.strip()):
        return "naacl"
    if line.lstrip().startswith("{"):
        return "json"
    return "tsv" if line.count("\t") == 2 else None


def _read_tsv(lines: Sequence[Line], texts: Sequence[Text], name: str) -> RawGold:
    return _read_whole(lines, name, _columns)


def _read_json(lines: Sequence[Line], texts: Sequence[Text], name: str) -> RawGold:
    return _read_whole(lines, name, _object)


def _read_whole(lines: Sequence[Line], name: str, parse: Callable[[Line], Whole]) -> RawGold:
    """Lines that hold a pair's sentences and its links."""
    raw = RawGold([])
    for number, line in enumerate(lines, 1):
        pair = len(raw.texts)
        try:
            text, links = parse(line)
        except InputError as error:
            raw.texts.append(located(error, f"{name}:{number}"))
        else:
            raw.texts.append(text)
            raw.links += [RawLink(pair, i, j, sure, number) for i, j, sure in links]
    return raw


def _columns(line: Line) -> Whole:
    if isinstance(line, InputError):
        raise line
    columns = line.split("\t")
    if len(columns) != 3:
        what = f"{len(columns)} columns, expected 3 (received {quote(line)})"
        raise InputError(what, remedy=f"write {GOLD_FORMATS['tsv']}")
    for side, column in zip(("source", "target"), columns, strict=False):
        if not column.strip():
            raise InputError(f"the {side} is empty (received {quote(line)})", remedy="fill it")
    return (words_of(columns[0]), words_of(columns[1])), parse_links(columns[2])


def _object(line: Line) -> Whole:
    if isinstance(line, InputError):
        raise line
    try:
        found = parse_json(line)
        sides = tuple(words_of(" ".join(found[side])) for side in ("source", "target"))
        links = [(i, j, name == "sure") for name in ("sure", "possible") for i, j in found.get(name, ())]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"received {quote(line)}, expected an object of words and links",
            remedy=f"write {GOLD_FORMATS['json']}",
        ) from None
    if not all(type(index) is int and index >= 0 for link in links for index in link[:2]):
        raise InputError(f"a link is no pair of words (received {quote(line)})", remedy="count words from 0")
    if not all(sides):
        raise InputError(f"a side is empty (received {quote(line)})", remedy="fill it")
    return (sides[0], sides[1]), links


def _read_pharaoh(lines: Sequence[Line], texts: Sequence[Text], name: str) -> RawGold:
    if len(lines) != len(texts):
        what = f"{len(lines)} lines of links, but the text has {len(texts)} sentence pairs"
        raise InputError(
            what, where=name, remedy="give one line of links for each pair, blank where it has none"
        )
    raw = RawGold(list(texts))
    for number, line in enumerate(lines, 1):
        try:
            if isinstance(line, InputError):
                raise line
            raw.links += [RawLink(number - 1, i, j, sure, number) for i, j, sure in parse_links(line)]
        except InputError as error:
            raw.spoil(number - 1, error, f"{name}:{number}")
    return raw


def _read_naacl(lines: Sequence[Line], texts: Sequence[Text], name: str) -> RawGold:
    rows: list[tuple[int, re.Match[str]]] = []
    bad: list[tuple[int | None, InputError]] = []
    for number, line in enumerate(lines, 1):
        where = f"{name}:{number}"
        if isinstance(line, InputError):
            bad.append((None, line))
        elif match := ROW.fullmatch(line.strip()):
            rows.append((number, match))
        elif line.strip():
            what = f"received {quote(line)}, expected `id i j`, with S or P if any"
            sentence = ROW_OF.match(line)
            error = InputError(what, where=where, remedy="write one link on each line")
            bad.append((int(sentence[1]) if sentence else None, error))
    idents = {int(row[1]) for _, row in rows} | {ident for ident, _ in bad if ident is not None}
    raw, place = _numbered(texts, idents, name)
    for ident, error in bad:
        if ident is None or ident not in place:
            raw.bad.append(error)
        else:
            raw.spoil(place[ident], error, name)
    for number, row in rows:
        if int(row[1]) in place:
            raw.links.append(RawLink(place[int(row[1])], int(row[2]), int(row[3]), row[4] != "P", number))
        else:
            what = f"sentence {int(row[1])}, but the text has {len(texts)} sentence pairs"
            remedy = "give the text that these links belong to"
            raw.bad.append(InputError(what, where=f"{name}:{number}", remedy=remedy))
    return raw


def _numbered(texts: Sequence[Text], idents: set[int], name: str) -> tuple[RawGold, dict[int, int]]:
    """Which sentence an id means: marked with it, else the line of that number, else of that rank."""
    marks = {
        index: MARKED.fullmatch(" ".join(text[0]))
        for index, text in enumerate(texts)
        if not isinstance(text, InputError)
    }
    if marks and all(marks.values()):
        place = {int(mark[1]): index for index, mark in marks.items() if mark}
        unmarked: list[Text] = [
            text if isinstance(text, InputError) else (_unmarked(text[0]), _unmarked(text[1]))
            for text in texts
        ]
        return RawGold(unmarked), place
    if len(idents) == len(texts) and max(idents, default=0) > len(texts):
        span = f"{min(idents)} to {max(idents)}"
        note = f"{name}: its {len(idents)} sentence ids ({span}) go to the lines in order"
        return RawGold(list(texts), notes=(note,)), {ident: rank for rank, ident in enumerate(sorted(idents))}
    return RawGold(list(texts)), {index + 1: index for index in range(len(texts))}


def _unmarked(words: Words) -> Words:
    mark = MARKED.fullmatch(" ".join(words))
    return words_of(mark[2]) if mark else words


READERS: dict[str, Callable[[Sequence[Line], Sequence[Text], str], RawGold]] = {
    "tsv": _read_tsv,
    "pharaoh": _read_pharaoh,
    "naacl": _read_naacl,
    "json": _read_json,
}
