"""An alignment as one line of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from otkit.alignment.aligner import Alignment
from otkit.data.segmentation import Segment
from otkit.files import to_json

__all__ = ["LINE_FORMATS", "Line", "LineFormat"]

Places = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Line:
    """A line that was aligned: its number in the input, counted from 1, and where its words stand in raw
    text."""

    number: int
    alignment: Alignment
    places: tuple[Places, Places] | None = None

    @classmethod
    def of_segments(cls, number: int, alignment: Alignment, sides: tuple[list[Segment], ...]) -> Line:
        """A line of raw text, its words as they were cut."""
        source, target = (tuple((part.start, part.end) for part in side) for side in sides)
        return cls(number, alignment, (source, target))


LineFormat = Callable[[Line, bool], str]


def pharaoh(line: Line, scores: bool) -> str:
    """`i-j` counted from 0; `i-j:share` with scores."""
    if not scores:
        return line.alignment.pharaoh
    return " ".join([f"{i}-{j}:{score:.4f}" for i, j, score in line.alignment.links])


def words(line: Line, scores: bool) -> str:
    """Linked words, `source target` (and share), links separated by tabs."""
    source, target = line.alignment.source, line.alignment.target
    share = " {:.4f}" if scores else ""
    return "\t".join(
        [f"{source[i]} {target[j]}{share.format(score)}" for i, j, score in line.alignment.links]
    )


def jsonl(line: Line, scores: bool) -> str:
    """A JSON object: line, source, target, links (with share), null shares, cost; places of raw words."""
    document = {"line": line.number, **line.alignment.to_dict()}
    if not scores:
        document["links"] = [[i, j] for i, j, _ in line.alignment.links]
        del document["source_null"], document["target_null"]
    if line.places is not None:
        document["source_places"], document["target_places"] = line.places
    return to_json(document, indent=None).rstrip("\n")


LINE_FORMATS: Mapping[str, LineFormat] = {"pharaoh": pharaoh, "jsonl": jsonl, "words": words}
