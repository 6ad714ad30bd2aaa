"""Word alignment of texts longer than a sentence: cut into sentences, put into beads, words aligned within each bead.

The cost matrix of two texts of N and M words is never made: time and memory grow with the text. What stands elsewhere
in the other text is found there, and a sentence that was left out takes no links from its neighbours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from otkit.alignment.beads import Beads
from otkit.alignment.links import PairLinks
from otkit.data.lines import words_of
from otkit.data.segmentation import RawText, Segment, segments
from otkit.encoders.tokens import Sentence

__all__ = ["DocumentPair", "cut_document", "document_links", "sentence_spans", "sentences_of"]

Span = tuple[int, int]
DocumentPair = tuple[Sequence[Sentence], Sequence[Sentence]]
"""Two texts, cut into sentences of words."""

_MARKS = frozenset(".!?…。．｡！？।॥؟۔።")
_MORE_MARKS = frozenset("\"'”’»)]}›」』】）")
_LONGEST = 100  # words of a sentence; text that has no marks is cut there


def sentence_spans(words: Sequence[str]) -> list[Span]:
    """The sentences of a text of words, as [start, end): after a word that is or ends in a final mark, with what closes
    after it, unless the next word goes on in small letters; an abbreviation of up to three letters ends none."""
    spans, begin, place = [], 0, 0
    while place < len(words):
        place += 1
        if _is_final(words[place - 1]):
            while place < len(words) and set(words[place]) <= _MORE_MARKS | _MARKS:
                place += 1
            if place == len(words) or not words[place][:1].islower():
                spans.append((begin, place))
                begin = place
        if place - begin >= _LONGEST:
            spans.append((begin, place))
            begin = place
    if begin < len(words):
        spans.append((begin, len(words)))
    return spans


def sentences_of(words: Sentence) -> list[Sentence]:
    """The sentences of a text of words."""
    return [words[begin:end] for begin, end in sentence_spans(words)]


def cut_document(text: str, *, raw: RawText) -> tuple[list[Sentence], list[Segment]]:
    """The sentences of a document, which end at a line's end too, and of `raw` text its words with their places."""
    sentences: list[Sentence] = []
    found: list[Segment] = []
    start = 0
    for line in text.split("\n"):
        if raw:
            here = [Segment(word, start + begin, start + end) for word, begin, end in segments(line, raw)]
            found += here
            sentences += sentences_of(tuple(part.text for part in here))
        else:
            sentences += sentences_of(words_of(line))
        start += len(line) + 1
    return sentences, found


def _is_final(word: str) -> bool:
    bare = word.rstrip("".join(_MORE_MARKS))
    if not bare or bare[-1] not in _MARKS:
        return False
    stem = bare.rstrip("".join(_MARKS))
    if not stem or bare[-1] != ".":
        return True
    # "Mr." and "U.S." and "3." are words; "there." is the last of its sentence, in text that is not tokenised.
    return len(stem) > 3 and "." not in stem and unicodedata.category(stem[-1])[0] in "LM"


def document_links(
    document: DocumentPair,
    beads: Beads,
    align: Callable[[Sequence[tuple[Sentence, Sentence]]], Iterable[PairLinks]],
) -> PairLinks:
    """The links of two texts, in the places of their words; without the plan.

    `align` finds those of the beads, pairs of words each. Null shares are those of the beads, and 1 for the words of
    sentences without a partner.
    """
    ends = [np.cumsum([0, *map(len, side)]) for side in document]
    words = [[word for sentence in side for word in sentence] for side in document]
    places = [
        [slice(int(end[part[0]]), int(end[part[-1] + 1])) for end, part in zip(ends, bead, strict=True)]
        for bead in beads.beads
        if bead.source and bead.target
    ]
    links: list[tuple[int, int, float]] = []
    nulls = [np.ones(len(side), dtype=np.float32) for side in words]
    costs, weights, known = [], [], True
    parts = [(tuple(words[0][rows]), tuple(words[1][columns])) for rows, columns in places]
    for (rows, columns), found in zip(places, align(parts), strict=True):
        links += [
            (rows.start + i, columns.start + j, score) for i, j, score in zip(*found.links, strict=True)
        ]
        known = known and found.source_no_partner is not None
        if found.source_no_partner is not None and found.target_no_partner is not None:
            nulls[0][rows], nulls[1][columns] = found.source_no_partner, found.target_no_partner
        costs.append(found.cost)
        weights.append(rows.stop - rows.start)
    links.sort()
    priced = ~np.isnan(costs)
    return PairLinks(
        links=([i for i, _, _ in links], [j for _, j, _ in links], [score for _, _, score in links]),
        plan=None,
        source_no_partner=nulls[0] if known else None,
        target_no_partner=nulls[1] if known else None,
        cost=float(np.average(np.array(costs)[priced], weights=np.array(weights)[priced]))
        if priced.any()
        else float("nan"),
    )
