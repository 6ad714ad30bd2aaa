"""Why a word is linked as it is, for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from otkit.alignment.explain import Candidate, Explanation
from otkit.reports.grid import assemble
from otkit.reports.words import cell_width, clip, isolate

__all__ = ["ExplainedPicture"]

_WORD = 18  # cells for a mark, a place and a word
Figure = tuple[str, str, int, Callable[[Candidate], str]]

# Head in two lines, width, figure: from what a link costs to what was paid for it, and from there to what decides.
_PAID: tuple[Figure, ...] = (
    ("", "cosine", 7, lambda one: f"{one.cosine:.3f}"),
    ("", "cost", 7, lambda one: f"{one.cost:.3f}"),
    ("+ order", "price", 8, lambda one: f"{one.order_price:.3f}"),
    ("- neighbours'", "bonus", 14, lambda one: f"{one.neighbours_bonus:.3f}"),
    ("= paid", "", 8, lambda one: f"{one.paid:.3f}"),
)
_DECIDED: tuple[Figure, ...] = (
    ("plan", "mass", 8, lambda one: f"{one.mass:.4f}"),
    ("of the", "source", 7, lambda one: f"{one.source_share:.0%}"),
    ("of the", "target", 7, lambda one: f"{one.target_share:.0%}"),
    ("link", "strength", 9, lambda one: f"{one.share:.0%}"),
    ("x word", "length", 7, lambda one: f"{one.length_factor:.2f}"),
    ("x", "rivals", 7, lambda one: f"{one.rival_factor:.2f}"),
    ("=", "compared", 9, lambda one: f"{one.strength:.3f}"),
)


@dataclass(frozen=True)
class ExplainedPicture:
    """The best candidates of a word, in two tables: what a link costs, and what decides."""

    explanation: Explanation
    model: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, why = options.max_width, self.explanation
        other = "target" if why.side == "source" else "source"
        title = f"{why.word} ({why.side} word {why.index}): the best {len(why.candidates)} of {why.words} {other} words"
        yield Text(clip(f"{self.model}: {title}" if self.model else title, width), style="bold")
        for figures in (_PAID, _DECIDED):
            for block in _blocks(figures, width):
                yield from _block(why.candidates, block, width)
        for line in _notes(why):
            yield from (Text(part, style="italic") for part in wrap(line, width))


def _blocks(figures: Sequence[Figure], width: int) -> Iterator[Sequence[Figure]]:
    """All figures in one table, or in several where they would leave a word less than a dozen cells."""
    block: list[Figure] = []
    for each in figures:
        if block and sum(size for _, _, size, _ in (*block, each)) > width - _WORD:
            yield block
            block = []
        block.append(each)
    yield block


def _block(candidates: Sequence[Candidate], figures: Sequence[Figure], width: int) -> list[Text]:
    digits = max(len(str(one.index)) for one in candidates)
    room = width - sum(size for _, _, size, _ in figures) - digits - 3
    room = min(room, max(cell_width(one.word) for one in candidates))
    heads = ("".join((each[1] if line else each[0]).rjust(each[2]) for each in figures) for line in (0, 1))
    lines = [assemble([(" " * (room + digits + 3) + head, "dim")]) for head in heads]
    for one in candidates:
        word = clip(one.word, room)
        cells = "".join(figure(one).rjust(size) for _, _, size, figure in figures)
        gap = " " * (room - cell_width(word))
        lines.append(
            assemble(
                [
                    ("* " if one.linked else "  ", "bold green"),
                    (f"{one.index:{digits}} ", "dim"),  # of two equal words it is this one
                    (f"{isolate(word)}{gap}{cells}", ""),
                ]
            )
        )
    return lines


def _notes(why: Explanation) -> list[str]:
    scale = [
        f"{name} {value:.3f}"
        for name, value in (("epsilon", why.epsilon), ("tau", why.tau))
        if value is not None
    ]
    rule = why.rule
    if why.strategy == "threshold":
        rule = (
            f"linked: what is compared is above the threshold {why.threshold:g}. It is the link strength (the root of "
            "both shares of the words' mass) times what the words' lengths say, and less where both words have a "
            "stronger link (rivals)"
        )
    alone = "not known here" if why.no_partner is None else f"{why.no_partner:.0%}"
    cased = ", ".join(f"{isolate(word)} as {isolate(read)}" for word, read in why.read_as)
    return [
        *([f"read in lower case, where that is fewer pieces: {cased}"] if cased else []),
        "order price: what a link costs more for leading away from where the words around go; neighbours' bonus: what "
        "it costs less because the words around are linked in the same order",
        f"* {rule}",
        f"probability of no partner: {alone}"
        + (f"; {' and '.join(scale)} in units of the cost" if scale else ""),
    ]
