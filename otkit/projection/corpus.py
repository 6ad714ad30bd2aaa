"""A stream of labelled texts to the same on their translations."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from otkit.alignment.aligner import WordAligner
from otkit.alignment.corpus import go_on_with, known_of
from otkit.alignment.shares import Shares, shares_between, shares_of_links
from otkit.alignment.sink import as_left
from otkit.data.lines import LineSource, checked, quote
from otkit.data.parallel import BadLine
from otkit.errors import InputError, choose
from otkit.projection.labelled import Form, Labelled
from otkit.projection.places import Placed, carry_places
from otkit.projection.settings import SpanSettings

__all__ = [
    "KEEP",
    "Piece",
    "Projected",
    "ProjectionStream",
    "Tally",
    "complete",
    "project_items",
    "read_links",
]

KEEP = {
    "all": "every sentence",
    "complete": "sentences of which every span was found, surely enough and in a plausible order",
}


@dataclass(frozen=True)
class Projected:
    """A labelled text, and where its places went; of a bad line nothing is known."""

    item: Labelled | BadLine
    placed: tuple[Placed, ...] = ()


@dataclass
class Tally:
    """What happened to the spans of a corpus."""

    sentences: int = 0
    written: int = 0
    skipped: int = 0
    spans: int = 0
    lost: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Of lost spans, how many for each reason."""

    def count(self, projected: Projected, *, written: bool) -> None:
        self.sentences += 1
        self.written += written
        self.skipped += isinstance(projected.item, BadLine)
        self.spans += len(projected.placed)
        for each in projected.placed:
            if each.lost is not None:
                self.lost += 1
                self.reasons[each.lost] = self.reasons.get(each.lost, 0) + 1


_LINK = re.compile(r"(\d+)[-p?](\d+)(?::(\d*\.?\d+))?")


def read_links(path: str | Path) -> Iterator[list[tuple[int, int, float]]]:
    """Pharaoh lines: `i-j` counted from 0, with or without `:share`."""
    source = LineSource(path)
    for number, line in enumerate(source, 1):
        links = []
        for word in checked(line).split():
            match = _LINK.fullmatch(word)
            if match is None:
                raise InputError(
                    f"received {quote(word)}, expected a link",
                    where=f"{source.name}:{number}",
                    remedy="write i-j, counted from 0",
                )
            links.append((int(match[1]), int(match[2]), float(match[3] or 1.0)))
        yield links


def project_items(
    items: Iterable[Labelled | BadLine],
    *,
    aligner: WordAligner | None = None,
    links: Iterator[list[tuple[int, int, float]]] | None = None,
    settings: SpanSettings,
    copies: bool,
) -> Iterator[list[Projected]]:
    """Each of them in order, with links of the aligner, or given ones: a line for each, bad ones counted. They come in
    windows: a stream that begins anew behind one goes on with the very same batches."""
    for window in _with_links(items, links) if links is not None else _aligned(items, aligner):
        yield [
            Projected(item)
            if isinstance(item, BadLine) or shares is None
            else Projected(
                item,
                tuple(carry_places(shares, item.source, item.target, item.places, settings, copies=copies)),
            )
            for item, shares in window
        ]


_Window = list[tuple[Labelled | BadLine, Shares | None]]


def _aligned(items: Iterable[Labelled | BadLine], aligner: WordAligner | None) -> Iterator[_Window]:
    assert aligner is not None
    waiting: deque[Labelled | BadLine] = deque()

    def pairs() -> Iterator[tuple[Sequence[str], Sequence[str]] | None]:
        for item in items:
            waiting.append(item)
            usable = not isinstance(item, BadLine) and item.places and item.source.words and item.target.words
            yield (item.source.bare, item.target.bare) if usable and not isinstance(item, BadLine) else None

    for window in aligner.align_windows(pairs(), plans=True):
        found: _Window = []
        for alignment in window:
            item = waiting.popleft()
            if isinstance(item, BadLine):
                found.append((item, None))
            elif alignment is None:  # there is nothing to carry
                found.append((item, shares_of_links((), len(item.source.words), len(item.target.words))))
            else:
                found.append((item, shares_between(alignment)))
        yield found


def _with_links(
    items: Iterable[Labelled | BadLine], links: Iterator[list[tuple[int, int, float]]]
) -> Iterator[_Window]:
    stream = _each_with_links(items, links)
    while window := list(islice(stream, _WINDOW)):
        yield window


def _each_with_links(
    items: Iterable[Labelled | BadLine], links: Iterator[list[tuple[int, int, float]]]
) -> Iterator[tuple[Labelled | BadLine, Shares | None]]:
    number = 0
    for number, item in enumerate(items, 1):
        line = next(links, None)
        if line is None:
            raise InputError(
                f"there are links for {number - 1} sentences, and there are more sentences",
                remedy="give one line of links for each, blank where it has none",
            )
        if isinstance(item, BadLine):
            yield item, None
        else:
            yield item, shares_of_links(line, len(item.source.words), len(item.target.words))
    if next(links, None) is not None:
        raise InputError(
            f"there are more lines of links than the {number} sentences",
            remedy="give one line of links for each",
        )


def complete(projected: Projected, surety: float) -> bool:
    """Whether every span was found once, so that kinds and counts agree on both sides, with this confidence at least,
    and in a plausible order: of the pairs of spans, more than half keep theirs."""
    if isinstance(projected.item, BadLine) or any(
        len(each.stretches) != 1 or each.confidence < surety for each in projected.placed
    ):
        return False
    order = [each.stretches[0] for each in sorted(projected.placed, key=lambda one: one.place.start)]
    apart = [(one, other) for at, one in enumerate(order) for other in order[at + 1 :]]
    crossed = sum(one[0] > other[0] for one, other in apart)
    return 2 * crossed <= len(apart) or len(order) < 3


@dataclass(frozen=True)
class Piece:
    """Text to write, and what lets another stream go on behind it."""

    text: str
    known: dict[str, Any]


class ProjectionStream:
    """Reads a form, carries its places over and writes the same form, remembering how far it is and what it read."""

    def __init__(
        self,
        form: Form,
        settings: SpanSettings,
        *,
        aligner: WordAligner | None = None,
        links: Iterator[list[tuple[int, int, float]]] | None = None,
        keep: str = "all",
        fingerprint: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        choose(keep, KEEP, what="sentences to keep", setting="keep")
        self._form, self._settings, self._keep = form, settings.resolved(form.rule), keep
        self._aligner, self._links = aligner, links
        self.fingerprint = fingerprint
        """What must be the same for a stream to go on behind another."""
        self._hash = hashlib.sha256()
        self.tally = Tally()
        self.bad: list[InputError] = []
        """The first ten of those that were skipped."""

    def pieces(self, known: Mapping[str, Any] | None = None) -> Iterator[Piece]:
        """Pieces of text for all sentences, or for those behind the piece that `known` came with."""
        items = iter(self._form.read())
        if known:
            with as_left():
                self._go_on(items, known)
            if known.get("ended"):
                return
        stream = project_items(
            items,
            aligner=self._aligner,
            links=self._links,
            settings=self._settings,
            copies=self._form.copies,
        )
        for window in stream:
            yield Piece("".join(map(self._written, window)), self._known())
        if last := self._form.end():
            yield Piece(last, {**self._known(), "ended": True})

    def _known(self) -> dict[str, Any]:
        return {
            **asdict(self.tally),
            "sha256": self._hash.hexdigest(),
            "ended": False,
            "form": dict(self._form.state),
            **known_of(self._aligner),
        }

    def _go_on(self, items: Iterator[Labelled | BadLine], known: Mapping[str, Any]) -> None:
        done = int(known["sentences"])
        for item in islice(items, done):
            self._read(item)
        if self._hash.hexdigest() != known["sha256"]:
            raise InputError(
                f"the first {done} sentences are not those of the interrupted run",
                remedy="give the same input, or start over with `overwrite=True`",
            )
        if self._links is not None:
            next(islice(self._links, done - 1, done), None)
        self._form.state.update(known["form"])
        go_on_with(self._aligner, known)
        self.tally = Tally(**{name: type(value)(known[name]) for name, value in asdict(self.tally).items()})

    def _read(self, item: Labelled | BadLine) -> None:
        text = "" if isinstance(item, BadLine) else f"{item.source.text}\t{item.target.text}"
        self._hash.update(f"{text}\n".encode("utf-8", "surrogatepass"))

    def _written(self, projected: Projected) -> str:
        item = projected.item
        self._read(item)
        if isinstance(item, BadLine):
            if len(self.bad) < 10:
                self.bad.append(item.error)
            self.tally.count(projected, written=False)
            return self._form.skipped(item) if self._keep == "all" else ""
        kept = self._keep == "all" or self._form.chooses or complete(projected, self._settings.surety)
        self.tally.count(projected, written=kept)
        return self._form.write(item, projected.placed) if kept else ""


_WINDOW = 1024  # sentences with given links
