"""Word alignment of texts longer than a sentence: cut into sentences, put into beads, words aligned within each bead.

The cost matrix of two texts of N and M words is never made: time and memory grow with the text. What stands elsewhere
in the other text is found there, and a sentence that was left out takes no links from its neighbours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from otkit.alignment.aligner import SentencePair, WordAligner
from otkit.alignment.alignment import Alignment, Link
from otkit.alignment.beads import Bead, align_sentences
from otkit.alignment.settings import BeadSettings

__all__ = ["align_document", "align_documents", "sentence_spans"]

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


def align_document(
    aligner: WordAligner,
    source: Sequence[str],
    target: Sequence[str],
    *,
    settings: BeadSettings | None = None,
) -> Alignment:
    """The links of two texts, in the places of their words; without the plan. The texts' null shares are those of their
    beads, and 1 for words of sentences without a partner."""
    (found,) = align_documents(aligner, [(source, target)], settings=settings)
    return found


def align_documents(
    aligner: WordAligner, pairs: Iterable[SentencePair], *, settings: BeadSettings | None = None
) -> Iterator[Alignment]:
    """One alignment for each pair of texts, in order. A pair of one sentence each is aligned as it stands."""
    for source, target in pairs:
        sides = (tuple(source), tuple(target))
        spans = [sentence_spans(side) for side in sides]
        if not all(spans):
            yield _joined(aligner, sides, spans, ())
            continue
        if max(map(len, spans)) == 1:
            yield from aligner.align([sides], plans=False)
            continue
        sentences = [[side[i:j] for i, j in of] for side, of in zip(sides, spans, strict=True)]
        beads = align_sentences(
            aligner.encoder, *sentences, settings=settings, batch_tokens=aligner.batch_tokens
        )
        yield _joined(aligner, sides, spans, beads.beads)


def _joined(
    aligner: WordAligner, sides: SentencePair, spans: Sequence[Sequence[Span]], beads: Sequence[Bead]
) -> Alignment:
    """The links within beads, moved to where the beads stand."""
    places = [
        [slice(of[part[0]][0], of[part[-1]][1]) for of, part in zip(spans, bead, strict=True)]
        for bead in beads
        if bead.source and bead.target
    ]
    parts = [(sides[0][rows], sides[1][columns]) for rows, columns in places]
    links: list[Link] = []
    nulls = [np.ones(len(side), dtype=np.float32) for side in sides]
    costs, weights = [], []
    for (rows, columns), found in zip(places, aligner.align(parts, plans=False), strict=True):
        links += [Link(rows.start + i, columns.start + j, score) for i, j, score in found.links]
        nulls[0][rows], nulls[1][columns] = found.source_null, found.target_null
        costs.append(found.cost)
        weights.append(len(found.source))
    known = ~np.isnan(costs)
    return Alignment(
        source=tuple(sides[0]),
        target=tuple(sides[1]),
        links=tuple(sorted(links)),
        plan=None,
        source_null=nulls[0],
        target_null=nulls[1],
        cost=float(np.average(np.array(costs)[known], weights=np.array(weights)[known]))
        if known.any()
        else np.nan,
    )
