"""Word-alignment gold: links that people drew, with the sentences they drew them between.

Indices count the words of `words_of`. A file counts from 0 or from 1: the caller states which, or it is read
off the file and said in `GoldSet.notes` (an index 0 proves the one, an index equal to the sentence length the
other).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import overload

from otkit.data.languages import languages_told
from otkit.data.lines import (
    ON_ERROR,
    LineSource,
    SpaceCount,
    counted,
    joint_sha256,
    skipped_note,
    unskipped,
    words_of,
)
from otkit.data.links import (
    GOLD_FORMATS,
    HOLDS_TEXT,
    READERS,
    RawLink,
    Text,
    Words,
    format_of,
    parse_links,
)
from otkit.data.parallel import BadLine, PairReader
from otkit.errors import ConfigError, InputError, choose

__all__ = [
    "GOLD_FORMATS",
    "GoldPair",
    "GoldSet",
    "gold_format",
    "holds_text",
    "languages_of_gold",
    "parse_links",
    "read_gold",
]

FilePath = str | Path


@dataclass(frozen=True)
class GoldPair:
    """A sentence pair with its links (source word, target word), 0-based; `possible` includes `sure`. `line` is
    that of its text, counted from 1."""

    source: Words
    target: Words
    sure: frozenset[tuple[int, int]]
    possible: frozenset[tuple[int, int]]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class GoldSet(Sequence[GoldPair]):
    """Gold pairs, and which variant of the gold they are: scores on two variants differ by points.

    base        what the file counts from, 0 or 1; `detected` where that was read off the file
    dropped     links outside their sentence, and `skipped` pairs and lines that were bad (only with on_error="skip")
    notes       sentences for a person, the weightiest first
    spaces      the lines of the text whose words other programs may count otherwise
    sha256      of the links and the text
    languages   of sources and targets, where somebody said so
    """

    name: str
    pairs: tuple[GoldPair, ...]
    format: str
    base: int
    detected: bool
    dropped: int
    skipped: int
    notes: tuple[str, ...]
    spaces: SpaceCount
    sha256: str
    languages: tuple[str, str] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> GoldPair: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[GoldPair, ...]: ...
    def __getitem__(self, index: int | slice) -> GoldPair | tuple[GoldPair, ...]:
        return self.pairs[index]

    @cached_property
    def sure_links(self) -> int:
        return sum(len(pair.sure) for pair in self.pairs)

    @cached_property
    def possible_links(self) -> int:
        """Links that are possible and not sure."""
        return sum(len(pair.possible) for pair in self.pairs) - self.sure_links


def languages_of_gold(pairs: Sequence[GoldPair]) -> tuple[str, str] | None:
    """Of both sides, where the pairs are a set that knows them, or whose name tells them."""
    if not isinstance(pairs, GoldSet):
        return None
    return pairs.languages or languages_told(pairs.name)


def gold_format(path: FilePath) -> str:
    """The format of a gold file, by its content."""
    source = LineSource(path)
    return format_of(source, source.name)


def holds_text(path: FilePath) -> bool:
    """Whether a gold file holds its sentences too."""
    return gold_format(path) in HOLDS_TEXT


def read_gold(
    path: FilePath,
    *,
    text: FilePath | None = None,
    target: FilePath | None = None,
    text_format: str = "auto",
    format: str = "auto",
    base: int | None = None,
    reverse: bool = False,
    on_error: str = "raise",
) -> GoldSet:
    """Gold links from `path`, text from it or from `text` (any parallel input; with `target` two files).

    base      what the indices count from; None reads it off the file and says so in `notes`
    reverse   the links are written target first
    on_error  "skip" leaves out pairs whose text or links cannot be read, and links that point outside their
              sentence, counts them and says so
    """
    choose(format, GOLD_FORMATS, what="gold format")
    choose(on_error, ON_ERROR, what="way to treat bad links")
    if base not in (None, 0, 1):
        raise ConfigError(f"the index base is {base!r}", remedy="give 0 or 1, or leave it out")
    source = LineSource(path)
    lines = list(source)
    name, hashes = source.name, [source.sha256]
    format = format_of(lines, name) if format == "auto" else format
    texts: list[Text] = []
    notes: list[str] = []
    if format not in HOLDS_TEXT:
        if text is None:
            remedy = "name the text too: a file of pairs, or both sides (`source='F'` `target='F'`)"
            raise ConfigError(f"{name} holds links without their sentences", remedy=remedy)
        reader = PairReader(text, target=target, format=text_format, on_error=on_error, note=notes.append)
        texts = [
            pair.error if isinstance(pair, BadLine) else (words_of(pair.source), words_of(pair.target))
            for pair in reader
        ]
        hashes.append(reader.sha256)
    elif text is not None:
        raise ConfigError(f"{name} holds its sentences itself", remedy="leave the text out")
    raw = READERS[format](lines, texts, name)
    bad = [*(error for error in raw.texts if isinstance(error, InputError)), *raw.bad]
    if bad and on_error == "raise":
        raise unskipped(bad[0], name)
    notes += raw.notes
    good = {index: pair for index, pair in enumerate(raw.texts) if not isinstance(pair, InputError)}
    if not good:
        what = f"no pair can be used, of {len(raw.texts)}; the first: {bad[0]}"
        raise InputError(what, where=name, remedy="check the file")
    links = [link for link in raw.links if link.pair in good]
    if reverse:
        links = [RawLink(link.pair, link.target, link.source, link.sure, link.line) for link in links]
    detected = base is None
    if base is None:
        base, reason = _detect(good, links, format, name)
        notes.insert(0, f"{name}: read as counting from {base}: {reason}")
    if format == "naacl" and base == 1:
        words = [link for link in links if link.source and link.target]
        if null := len(links) - len(words):
            notes.append(f"{name}: {null} links to index 0 (no word) are left out")
        links = words
    outside = _outside(good, links, base)
    if outside and on_error == "raise":
        fits_better = len(_outside(good, links, 1 - base)) < len(outside)
        raise _complaint(outside[0], good[outside[0].pair], base, name, other=fits_better)
    if outside:
        share = f"{len(outside)} of {len(links)} links"
        notes.insert(0, f"{name}: {share} lie outside their sentence and are dropped")
        dropped = set(outside)
        links = [link for link in links if link not in dropped]
    if bad:
        notes.insert(0, skipped_note(bad, len(bad)))
    spaces = SpaceCount()
    for index, sides in good.items():
        spaces.look(index + 1, *map(" ".join, sides))
    return GoldSet(
        name=name,
        pairs=_gather(good, links, base),
        format=format,
        base=base,
        detected=detected,
        dropped=len(outside),
        skipped=len(bad),
        notes=tuple(notes),
        spaces=spaces,
        sha256=joint_sha256(hashes),
    )


Texts = Mapping[int, tuple[Words, Words]]
"""Usable sentence pairs by their place in the text."""


def _detect(texts: Texts, links: list[RawLink], format: str, name: str) -> tuple[int, str]:
    """(base, the evidence for it); an error where the file proves neither and its format has no custom."""
    if format == "json":
        return 0, "the custom of its format"
    zeros = [link for link in links if not (link.source and link.target)]
    lasts = [
        link
        for link in links
        if link.source == len(texts[link.pair][0]) or link.target == len(texts[link.pair][1])
    ]
    if lasts and (not zeros or format == "naacl"):
        last = f"{len(lasts)} indices equal the length of their sentence, the first in line {lasts[0].line}"
        return 1, last
    if zeros and format != "naacl":
        last = "" if lasts else ", and none equals the length"
        return 0, f"{len(zeros)} indices are 0, the first in line {zeros[0].line}{last}"
    if zeros or (format == "pharaoh" and links):
        what = "the file does not show whether its indices count from 0 or from 1"
        if zeros:
            what += f": a 0, as in line {zeros[0].line}, may be the first word or none"
        raise InputError(what, where=name, remedy="state what they count from: `base=0` or `base=1`")
    return int(format == "naacl"), "the custom of its format, the file proves neither"


def _outside(texts: Texts, links: list[RawLink], base: int) -> list[RawLink]:
    """The links that point past their sentences."""
    return [
        link
        for link in links
        if not all(
            base <= index < len(words) + base
            for index, words in zip((link.source, link.target), texts[link.pair], strict=True)
        )
    ]


def _complaint(link: RawLink, text: tuple[Words, Words], base: int, name: str, *, other: bool) -> InputError:
    side, index, words = next(
        (side, index, words)
        for side, index, words in zip(("source", "target"), (link.source, link.target), text, strict=True)
        if not base <= index < len(words) + base
    )
    what = f"{side} index {index} of the link {link.source}-{link.target} is outside its sentence"
    return InputError(
        f"{what} of {counted(len(words), 'word')}: expected {base} to {len(words) + base - 1}",
        where=f"{name}:{link.line}",
        remedy=(
            f"the links are read as counting from {base}: correct the file",
            *([f"say `base={1 - base}`, which fits better"] if other else []),
            "drop such links: `on_error='skip'`",
        ),
    )


def _gather(texts: Texts, links: list[RawLink], base: int) -> tuple[GoldPair, ...]:
    sure: dict[int, set[tuple[int, int]]] = {index: set() for index in texts}
    possible: dict[int, set[tuple[int, int]]] = {index: set() for index in texts}
    for link in links:
        place = (link.source - base, link.target - base)
        possible[link.pair].add(place)
        if link.sure:
            sure[link.pair].add(place)
    return tuple(
        GoldPair(*text, frozenset(sure[index]), frozenset(possible[index]), line=index + 1)
        for index, text in texts.items()
    )
