"""Word alignment of texts longer than a sentence: cut into sentences, put into beads, words aligned within each bead.

The cost matrix of two texts of N and M words is never made: time and memory grow with the text. What stands elsewhere
in the other text is found there, and a sentence that was left out takes no links from its neighbours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from otkit.alignment.beads import align_sentences
from otkit.alignment.links import PairLinks
from otkit.alignment.settings import BeadSettings
from otkit.encoders.encoder import Encoder
from otkit.encoders.tokens import Sentence

__all__ = ["document_links", "sentence_spans"]

Span = tuple[int, int]

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
    encoder: Encoder,
    source: Sentence,
    target: Sentence,
    align: Callable[[list[tuple[Sentence, Sentence]]], Iterable[PairLinks]],
    *,
    settings: BeadSettings | None = None,
    batch_tokens: int | None = None,
) -> PairLinks:
    """The links of two texts, in the places of their words; without the plan.

    `align` finds those of the beads, pairs of words each. Null shares are those of the beads, and 1 for the words of
    sentences without a partner.
    """
    sides = (source, target)
    spans = [sentence_spans(side) for side in sides]
    sentences = [[side[i:j] for i, j in of] for side, of in zip(sides, spans, strict=True)]
    beads = align_sentences(encoder, *sentences, settings=settings, batch_tokens=batch_tokens)
    places = [
        [slice(of[part[0]][0], of[part[-1]][1]) for of, part in zip(spans, bead, strict=True)]
        for bead in beads.beads
        if bead.source and bead.target
    ]
    links: list[tuple[int, int, float]] = []
    nulls = [np.ones(len(side), dtype=np.float32) for side in sides]
    costs, weights, known = [], [], True
    parts = [(source[rows], target[columns]) for rows, columns in places]
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
