"""Sentence alignment of documents against beads made by people: strict and lax F1, as Vecalign counts them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from otkit.alignment.beads import Bead, align_sentences
from otkit.alignment.settings import BeadSettings
from otkit.data.documents import sentences_in
from otkit.data.lines import LineSource, joint_sha256
from otkit.encoders.encoder import Encoder
from otkit.encoders.tokens import Sentence
from otkit.errors import InputError
from otkit.evaluation.metrics import FloatArray, Statistic
from otkit.evaluation.protocol import Findings, Metric, Progress, Task

__all__ = [
    "BEAD_METRICS",
    "DOCUMENT_METRICS",
    "GoldDocument",
    "bead_table",
    "documents_task",
    "read_beads",
    "read_document",
]

_BEAD = re.compile(r"\[((?:\d+(?:, *\d+)*)?)\]:\[((?:\d+(?:, *\d+)*)?)\]")
_PLACES = re.compile(r"\d+")

# columns of a bead table: beads that were found, and of these those that are right strictly and laxly; then gold beads
FOUND, FOUND_STRICT, FOUND_LAX, GOLD, GOLD_STRICT, GOLD_LAX = range(6)


@dataclass(frozen=True)
class GoldDocument:
    """A document in two languages, its sentences as words, and the beads that people drew; `languages` where somebody
    said so."""

    name: str
    source: tuple[Sentence, ...]
    target: tuple[Sentence, ...]
    beads: tuple[Bead, ...]
    sha256: str
    languages: tuple[str, str] | None = None


def read_beads(path: str | Path) -> tuple[Bead, ...]:
    """The beads of a file, a line each, in the form `[i,j]:[k]` from 0; what Vecalign writes after a second colon (its
    cost) is left aside, and so are empty lines and beads without a sentence."""
    source = LineSource(path)
    return _beads(source)


def _beads(source: LineSource) -> tuple[Bead, ...]:
    beads = []
    for number, line in enumerate(source, 1):
        if isinstance(line, InputError):
            raise line
        found = _BEAD.match(line.strip())
        if found is None:
            if line.strip():
                raise InputError(
                    f"is no bead: {line.strip()[:60]!r}",
                    where=f"{source.name}:{number}",
                    remedy="write the places of the sentences, counted from 0, as in [3,4]:[5]",
                )
            continue
        bead = Bead(*(tuple(sorted(map(int, _PLACES.findall(side)))) for side in found.groups()))
        if bead.source or bead.target:
            beads.append(bead)
    return tuple(beads)


def read_document(
    source: str | Path, target: str | Path, beads: str | Path, *, name: str = ""
) -> GoldDocument:
    """Both sides of a document, a sentence a line, with their gold beads."""
    sides = [LineSource(path) for path in (source, target, beads)]
    first, second, gold = sentences_in(sides[0]), sentences_in(sides[1]), _beads(sides[2])
    for bead in gold:
        for place, count, path in ((bead.source, len(first), source), (bead.target, len(second), target)):
            if place and place[-1] >= count:
                raise InputError(
                    f"names the sentence {place[-1]}, and {path} has {count}",
                    where=str(beads),
                    remedy="count the sentences from 0, and give the text that the beads belong to",
                )
    return GoldDocument(
        name or Path(beads).name, first, second, gold, joint_sha256([side.sha256 for side in sides])
    )


def bead_table(found: Sequence[Sequence[Bead]], gold: Sequence[Sequence[Bead]]) -> FloatArray:
    """(documents, 6) counts, to be summed and given to one of BEAD_METRICS.

    Strictly right is a bead that is in the gold as it stands. Laxly right is also one that has, with some gold bead of
    its source sentences, a target sentence in common. Precision counts all beads that were found, those of a sentence
    without a partner among them; recall leaves these aside (Thompson and Koehn 2019, whose script counts so).
    """
    if len(found) != len(gold):
        raise InputError(
            f"{len(found)} alignments for {len(gold)} documents", remedy="the two must belong together"
        )
    rows = []
    for ours, theirs in zip(found, gold, strict=True):
        whole = [{bead for bead in beads if bead.source and bead.target} for beads in (theirs, ours)]
        rows.append((*_hits(set(ours), set(theirs)), *_hits(*whole)))
    return np.array(rows, dtype=np.float64).reshape(len(rows), 6)


def _hits(judged: set[Bead], reference: set[Bead]) -> tuple[int, int, int]:
    """How many beads there are, how many stand in the reference, how many overlap with one of it on both sides."""
    partners: dict[int, set[int]] = defaultdict(set)
    for bead in reference:
        for place in bead.source:
            partners[place].update(bead.target)
    strict = judged & reference
    near = sum(
        any(not partners[place].isdisjoint(bead.target) for place in bead.source) for bead in judged - strict
    )
    return len(judged), len(strict), len(strict) + near


def _f1(right_found: int, right_gold: int) -> Statistic:
    def figure(sums: FloatArray) -> FloatArray:
        precision, recall = _part(right_found, FOUND)(sums), _part(right_gold, GOLD)(sums)
        return np.divide(
            2 * precision * recall,
            precision + recall,
            out=np.zeros(np.shape(precision)),
            where=precision + recall > 0,
        )

    return figure


def _part(top: int, bottom: int) -> Statistic:
    def figure(sums: FloatArray) -> FloatArray:
        below = sums[..., bottom]
        return np.divide(sums[..., top], below, out=np.zeros(below.shape), where=below > 0)

    return figure


BEAD_METRICS: dict[str, Statistic] = {
    "strict_f1": _f1(FOUND_STRICT, GOLD_STRICT),
    "strict_precision": _part(FOUND_STRICT, FOUND),
    "strict_recall": _part(GOLD_STRICT, GOLD),
    "lax_f1": _f1(FOUND_LAX, GOLD_LAX),
    "lax_precision": _part(FOUND_LAX, FOUND),
    "lax_recall": _part(GOLD_LAX, GOLD),
}

DOCUMENT_METRICS: tuple[Metric, ...] = tuple(
    Metric(name, statistic, table="beads", headline=name.endswith("f1"))
    for name, statistic in BEAD_METRICS.items()
)


def documents_task(sets: Mapping[str, Sequence[GoldDocument]], settings: BeadSettings | None = None) -> Task:
    """Sentence alignment as a task of the protocol: the documents of each language pair."""
    settings = settings or BeadSettings()

    def run(encoder: Encoder, seed: int, folder: Path, progress: Progress) -> Findings:
        total = sum(len(each.source) + len(each.target) for some in sets.values() for each in some)
        done, tables = 0, {}
        for language, documents in sets.items():
            found = []
            for document in documents:
                beads = align_sentences(
                    encoder,
                    document.source,
                    document.target,
                    settings=settings,
                    languages=document.languages,
                )
                found.append(beads.beads)
                done += len(document.source) + len(document.target)
                progress(done, total, "documents")
            tables[language] = {"beads": bead_table(found, [document.beads for document in documents])}
        return Findings(tables=tables, notes=(f"{total} sentences of both sides",))

    return Task(
        name="documents",
        metrics=DOCUMENT_METRICS,
        run=run,
        fingerprint={
            "settings": settings.to_dict(),
            "data": {language: [each.sha256 for each in documents] for language, documents in sets.items()},
        },
    )
