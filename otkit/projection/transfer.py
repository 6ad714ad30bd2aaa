"""Strings with markup and their plain translations to translations with markup, in windows through the aligner."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from otkit.alignment.aligner import WordAligner
from otkit.alignment.shares import shares_of, shares_of_links
from otkit.projection.markup import parse_markup, syntax_of, write_markup
from otkit.projection.places import Text
from otkit.projection.tags import Marked

__all__ = ["transfer_tags"]

Job = tuple[Marked, Text, Text, str]
Links = Iterator[list[tuple[int, int, float]]]


def transfer_tags(
    pairs: Iterable[tuple[str, str | None, str | None]],
    aligner: WordAligner | None,
    *,
    links: Links | None = None,
) -> Iterator[str | None]:
    """For each (source with markup, plain target, syntax or None) the target with markup; None for no target.

    links  a line for each pair instead of the aligner's, between the words of `Text.of` on both sides
    """
    waiting: deque[Job | None] = deque()

    def texts() -> Iterator[tuple[Sequence[str], Sequence[str]] | None]:
        for source, target, syntax in pairs:
            if target is None:
                waiting.append(None)
                yield None
                continue
            known = syntax or syntax_of(source)
            marked = parse_markup(source, target, known)
            job = (marked, Text.of(marked.text), Text.of(target), known)
            waiting.append(job)
            yield (job[1].bare, job[2].bare) if marked.nodes and job[1].words and job[2].words else None

    if links is not None:
        for pair in texts():
            line, job = next(links, []), waiting.popleft()
            if job is None:
                yield None
            elif pair is None:
                yield _written(job, None)
            else:
                yield _written(job, shares_of_links(line, len(pair[0]), len(pair[1])))
        return
    assert aligner is not None
    for window in aligner.align_windows(texts(), plans=True):
        for alignment in window:
            job = waiting.popleft()
            if job is None:
                yield None
            else:
                plan = None if alignment is None or alignment.plan is None else shares_of(alignment.plan)
                yield _written(job, plan)


def _written(job: Job, shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None) -> str:
    marked, source, target, syntax = job
    if shares is None:
        shares = np.zeros((len(source.words), len(target.words)))
    return write_markup(marked, target.text, shares, source=source, words=target, syntax=syntax)
