"""A stream of sentence pairs to lines of text, window by window, from any window on."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from otkit.alignment.aligner import Alignment, SentencePair, WordAligner
from otkit.alignment.lines import Line, LineFormat
from otkit.data.lines import SpaceCount, words_of
from otkit.data.parallel import BadLine, Pair
from otkit.data.segmentation import Segment, segments
from otkit.errors import InputError

__all__ = ["CorpusStream", "Piece"]

Segments = tuple[list[Segment], list[Segment]]
Engine = Callable[[Iterable[SentencePair | None]], Iterator[list[Alignment | None]]]


@dataclass(frozen=True)
class Piece:
    """The lines of one window.

    text has one line for each line read, an empty one for a bad line; `bad` are those; `known` lets another
    stream go on behind this piece.
    """

    text: str
    lines: int
    bad: tuple[BadLine, ...]
    known: dict[str, Any]


class CorpusStream:
    """Reads records, aligns them and writes them as lines, remembering how far it is and what it read.

    engine: what aligns windows of pairs, in order, where that is not the aligner itself.
    """

    def __init__(
        self,
        aligner: WordAligner,
        line_format: LineFormat,
        *,
        scores: bool = False,
        raw: bool = False,
        engine: Engine | None = None,
    ) -> None:
        self._align = engine or aligner.align_windows
        self._aligner, self._format, self._scores, self._raw = aligner, line_format, scores, raw
        self._hash = hashlib.sha256()
        self._waiting: deque[tuple[Pair | BadLine, Segments | None]] = deque()
        self.lines = self.skipped = self.links = 0
        self.spaces = SpaceCount()

    @property
    def sha256(self) -> str:
        """Of the sentences read so far."""
        return self._hash.hexdigest()

    def read_only(self, records: Iterable[Pair | BadLine]) -> tuple[int, str]:
        """How many lines there are and their hash, without aligning any."""
        for record in records:
            self._count(record)
        return self.lines, self.sha256

    def pieces(self, records: Iterable[Pair | BadLine], known: dict[str, Any]) -> Iterator[Piece]:
        """Pieces of text for all records, or for those behind the piece that `known` came with."""
        stream = iter(records)
        if known:
            self._go_on(stream, known)
        for window in self._align(map(self._words, stream)):
            yield self._piece(window)

    def _go_on(self, stream: Iterator[Pair | BadLine], known: dict[str, Any]) -> None:
        for _ in range(int(known["lines"])):
            record = next(stream, None)
            if record is None:
                break
            self._count(record)
        if self._hash.hexdigest() != known["sha256"]:
            raise InputError(
                f"the first {known['lines']} lines are not those of the interrupted run",
                remedy="give the same input, or run without --resume",
            )
        if known["means"] is not None:
            source, target = (
                torch.tensor(mean, device=self._aligner.encoder.device) for mean in known["means"]
            )
            self._aligner.means = source, target
        self.links = int(known.get("links", 0))

    def _words(self, record: Pair | BadLine) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """The words of a record for the aligner, which asks for them on its reading thread."""
        if isinstance(record, BadLine):
            self._waiting.append((record, None))
            return None
        if not self._raw:
            self._waiting.append((record, None))
            return words_of(record.source), words_of(record.target)
        sides = segments(record.source), segments(record.target)
        self._waiting.append((record, sides))
        source, target = (tuple(part.text for part in side) for side in sides)
        return source, target

    def _count(self, record: Pair | BadLine) -> None:
        self.lines += 1
        if isinstance(record, BadLine):
            self.skipped += 1
            self._hash.update(b"\0")
        else:
            if not self._raw:
                self.spaces.look(record.line, record.source, record.target)
            self._hash.update(f"{record.source}\t{record.target}\n".encode("utf-8", "surrogatepass"))

    def _piece(self, window: list[Any]) -> Piece:
        texts, bad = [], []
        for alignment in window:
            record, sides = self._waiting.popleft()
            self._count(record)
            if isinstance(record, BadLine):
                bad.append(record)
                texts.append("")
                continue
            self.links += len(alignment.links)
            if sides is None:
                texts.append(self._format(Line(record.line, alignment), self._scores))
            else:
                texts.append(self._format(Line.of_segments(record.line, alignment, sides), self._scores))
        means = self._aligner.means
        known = {
            "lines": self.lines,
            "links": self.links,
            "sha256": self._hash.hexdigest(),
            "threads": torch.get_num_threads(),  # sums in another order end in other digits
            "means": None if means is None else [mean.tolist() for mean in means],
        }
        return Piece("".join([f"{text}\n" for text in texts]), len(window), tuple(bad), known)
