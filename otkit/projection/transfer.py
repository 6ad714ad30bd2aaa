"""Strings with markup and their plain translations to translations with markup, in windows through the aligner."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from otkit.alignment.aligner import WordAligner
from otkit.alignment.shares import Shares, shares_between, shares_of_links
from otkit.data.lines import quote
from otkit.errors import InputError
from otkit.projection.markup import parse_markup, syntax_of, write_markup
from otkit.projection.places import Text
from otkit.projection.tags import Marked

__all__ = ["transfer_tags", "transfer_windows"]

Job = tuple[Marked, Text, Text, str]
Links = Iterator[list[tuple[int, int, float]]]


def transfer_tags(
    pairs: Iterable[tuple[str, str | None, str | None]],
    aligner: WordAligner | None,
    *,
    links: Links | None = None,
) -> Iterator[str | None]:
    """For each (source with markup, plain target, syntax or None) the target with markup; None for no target.

    links  a line for each pair instead of the aligner's, between the words of `Marked.words` and `Text.of(parts=True)`
    """
    for window in transfer_windows(pairs, aligner, links=links):
        yield from window


def transfer_windows(
    pairs: Iterable[tuple[str, str | None, str | None]],
    aligner: WordAligner | None,
    *,
    links: Links | None = None,
) -> Iterator[list[str | None]]:
    """The same in windows: a stream that begins anew behind one goes on with the very same batches."""
    waiting: deque[Job | None] = deque()

    def texts() -> Iterator[tuple[Sequence[str], Sequence[str]] | None]:
        for source, target, syntax in pairs:
            if target is None:
                waiting.append(None)
                yield None
                continue
            known = syntax or syntax_of(source)
            marked = parse_markup(source, target, known)
            if len(marked.nodes) > _MOST_TAGS:
                raise InputError(
                    f"the text {quote(marked.text)} has {len(marked.nodes)} tags, expected {_MOST_TAGS} at most",
                    remedy="cut it at its sentences",
                )
            job = (marked, marked.words(), Text.of(target, parts=True), known)
            waiting.append(job)
            yield (job[1].bare, job[2].bare) if marked.nodes and job[1].words and job[2].words else None

    if links is not None:
        stream, read = texts(), 0
        while some := list(islice(stream, _WINDOW)):
            done: list[str | None] = []
            for pair in some:
                line, job = next(links, None), waiting[len(done)]
                if line is None:
                    raise InputError(
                        f"there are links for {read} texts, and there are more",
                        remedy="give one line for each text",
                    )
                read += 1
                linked = None if pair is None else shares_of_links(line, len(pair[0]), len(pair[1]))
                done.append(_written(job, linked))
            waiting.clear()
            yield done
        if next(links, None) is not None:
            raise InputError(
                f"there are more lines of links than the {read} texts", remedy="give one line for each text"
            )
        return
    assert aligner is not None
    for window in aligner.align_windows(texts(), plans=True):
        yield [
            _written(waiting.popleft(), None if alignment is None else shares_between(alignment))
            for alignment in window
        ]


_WINDOW = 1024  # texts with given links
_MOST_TAGS = 10_000  # of one text


def _written(job: Job | None, shares: Shares | None) -> str | None:
    if job is None:
        return None
    marked, source, target, syntax = job
    if shares is None:
        shares = shares_of_links((), len(source.words), len(target.words))
    return write_markup(marked, target.text, shares, source=source, words=target, syntax=syntax)
