"""Labels of words carried to translations in memory, as `otkit.project` carries those of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otkit.alignment.aligner import SentencePair, WordAligner
from otkit.projection.corpus import Projected, project_items
from otkit.projection.labelled import Labelled
from otkit.projection.labels import decode, encode, scheme_of
from otkit.projection.places import Place, joined
from otkit.projection.settings import SpanSettings

__all__ = ["CarriedSpan", "ProjectedLabels", "project_labels"]


@dataclass(frozen=True)
class CarriedSpan:
    """A span of source words [start, end), and where it went: target words [first, last), several under the rule
    `words`, none where it is lost, with the reason."""

    label: str
    start: int
    end: int
    target: tuple[tuple[int, int], ...]
    confidence: float
    lost: str | None


@dataclass(frozen=True)
class ProjectedLabels:
    """The labels of the words of a translation, in the scheme of the source, and each span."""

    labels: tuple[str, ...]
    spans: tuple[CarriedSpan, ...]


def project_labels(
    pairs: Sequence[SentencePair],
    labels: Sequence[Sequence[str]],
    *,
    aligner: WordAligner,
    settings: SpanSettings | None = None,
) -> list[ProjectedLabels]:
    """The labels (IOB1, IOB2, BIOES or BILOU) of the source words of each pair on its target words."""
    scheme = scheme_of(labels)
    items = []
    for line, ((source, target), own) in enumerate(zip(pairs, labels, strict=True), 1):
        text = joined(source)
        places = tuple(
            Place(label, text.words[start].start, text.words[end - 1].end)
            for label, start, end in decode(own)
        )
        items.append(Labelled(text, joined(target), places, line))
    rule = (settings or SpanSettings()).resolved("price")
    windows = project_items(items, aligner=aligner, settings=rule, copies=False)
    return [_of(each, scheme) for window in windows for each in window]


def _of(projected: Projected, scheme: str) -> ProjectedLabels:
    item = projected.item
    assert isinstance(item, Labelled)
    spans = []
    for each in projected.placed:
        start, end = item.source.covered(each.place.start, each.place.end)
        found = tuple(item.target.covered(*stretch) for stretch in each.stretches)
        spans.append(CarriedSpan(each.place.label, start, end, found, round(each.confidence, 4), each.lost))
    kept = [(span.label, *stretch) for span in spans for stretch in span.target]
    return ProjectedLabels(tuple(encode(kept, len(item.target.words), scheme)), tuple(spans))
