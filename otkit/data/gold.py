"""Word-alignment gold: links that people drew, with the sentences they drew them between.

Indices count the words of `words_of`. A file counts from 0 or from 1: the caller states which, or it is read
off the file and said in `GoldSet.notes` (an index 0 proves the one, an index equal to the sentence length the
other).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

from otkit.data.lines import ON_ERROR, LineSource, checked, joint_sha256, words_of
from otkit.data.links import GOLD_FORMATS, READERS, RawLink, Texts, Words, format_of, parse_links
from otkit.data.parallel import open_corpus
from otkit.errors import ConfigError, InputError, choose

__all__ = ["GOLD_FORMATS", "GoldPair", "GoldSet", "parse_links", "read_gold"]

FilePath = str | Path


@dataclass(frozen=True)
class GoldPair:
    """A sentence pair with its links (source word, target word), 0-based; `possible` includes `sure`."""

    source: Words
    target: Words
    sure: frozenset[tuple[int, int]]
    possible: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class GoldSet(Sequence[GoldPair]):
    """Gold pairs, and which variant of the gold they are: scores on two variants differ by points.

    base        what the file counts from, 0 or 1; `detected` where that was read off the file
    dropped     links outside their sentence (only with on_error="skip")
    notes       sentences for a person, the weightiest first
    sha256      of the links and the text
    """

    name: str
    pairs: tuple[GoldPair, ...]
    format: str
    base: int
    detected: bool
    dropped: int
    notes: tuple[str, ...]
    sha256: str

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


def read_gold(
    path: FilePath,
    *,
    text: FilePath | None = None,
    target: FilePath | None = None,
    format: str = "auto",
    base: int | None = None,
    reverse: bool = False,
    on_error: str = "raise",
) -> GoldSet:
    """Gold links from `path`, text from it or from `text` (any parallel input; with `target` two files).

    base      what the indices count from; None reads it off the file and says so in `notes`
    reverse   the links are written target first
    on_error  "skip" drops links that point outside their sentence, counts them and says so
    """
    choose(format, GOLD_FORMATS, what="gold format")
    choose(on_error, ON_ERROR, what="way to treat bad links")
    if base not in (None, 0, 1):
        raise ConfigError(f"the index base is {base!r}", remedy="give 0 or 1, or leave it out")
    source = LineSource(path)
    lines = [checked(line) for line in source]
    name, hashes = source.name, [source.sha256]
    format = format_of(lines, name) if format == "auto" else format
    texts: Texts = []
    if format != "tsv":
        if text is None:
            remedy = "name the text too: --text F, or both sides, source first"
            raise ConfigError(f"{name} holds links without their sentences", remedy=remedy)
        corpus = open_corpus(text, target=target)
        texts = [(words_of(pair.source), words_of(pair.target)) for pair in corpus]
        hashes.append(corpus.sha256)
    elif text is not None:
        raise ConfigError(f"{name} holds its sentences itself", remedy="leave the text out")
    raw = READERS[format](lines, texts, name)
    links, notes = raw.links, list(raw.notes)
    if reverse:
        links = [RawLink(link.pair, link.target, link.source, link.sure, link.line) for link in links]
    detected = base is None
    if base is None:
        base, reason = _detect(raw.texts, links, format, name)
        notes.insert(0, f"{name}: read as counting from {base}: {reason}")
    if format == "naacl" and base == 1:
        words = [link for link in links if link.source and link.target]
        if null := len(links) - len(words):
            notes.append(f"{name}: {null} links to index 0 (no word) are left out")
        links = words
    kept = [link for link in links if _inside(link, raw.texts[link.pair], base, name, on_error)]
    if dropped := len(links) - len(kept):
        notes.insert(0, f"{name}: {dropped} of {len(links)} links lie outside their sentence and are dropped")
    return GoldSet(
        name=name,
        pairs=_gather(raw.texts, kept, base),
        format=format,
        base=base,
        detected=detected,
        dropped=dropped,
        notes=tuple(notes),
        sha256=joint_sha256(hashes),
    )


def _detect(texts: Texts, links: list[RawLink], format: str, name: str) -> tuple[int, str]:
    """(base, the evidence for it); an error where the file proves neither and its format has no custom."""
    zeros = [link for link in links if not (link.source and link.target)]
    lasts = [
        link
        for link in links
        if link.source == len(texts[link.pair][0]) or link.target == len(texts[link.pair][1])
    ]
    remedy = "state what the indices count from: --base 0 or --base 1"
    if lasts and (not zeros or format == "naacl"):
        return (
            1,
            f"{len(lasts)} indices equal the length of their sentence, the first in line {lasts[0].line}",
        )
    if zeros and not lasts:
        return 0, f"{len(zeros)} indices are 0, the first in line {zeros[0].line}, and none equals the length"
    if zeros:
        what = f"an index is 0 in line {zeros[0].line} and equals the sentence length in line {lasts[0].line}"
        raise InputError(f"{what}: one of the two is wrong", where=name, remedy=remedy)
    if format == "pharaoh" and links:
        what = "the file does not show whether its indices count from 0 or from 1"
        raise InputError(what, where=name, remedy=remedy)
    return int(format == "naacl"), "the custom of its format, the file proves neither"


def _inside(link: RawLink, text: tuple[Words, Words], base: int, name: str, on_error: str) -> bool:
    for side, index, words in zip(("source", "target"), (link.source, link.target), text, strict=True):
        if not base <= index < len(words) + base:
            if on_error == "skip":
                return False
            what = f"{side} index {index} of the link {link.source}-{link.target} is outside its sentence"
            raise InputError(
                f"{what} of {len(words)} words: expected {base} to {len(words) + base - 1}",
                where=f"{name}:{link.line}",
                remedy=f"this counts from {base}, say --base {1 - base} if that is wrong; or --on-error skip",
            )
    return True


def _gather(texts: Texts, links: list[RawLink], base: int) -> tuple[GoldPair, ...]:
    sure: list[set[tuple[int, int]]] = [set() for _ in texts]
    possible: list[set[tuple[int, int]]] = [set() for _ in texts]
    for link in links:
        place = (link.source - base, link.target - base)
        possible[link.pair].add(place)
        if link.sure:
            sure[link.pair].add(place)
    return tuple(
        GoldPair(*text, sure=frozenset(sure[index]), possible=frozenset(possible[index]))
        for index, text in enumerate(texts)
    )
