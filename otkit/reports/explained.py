"""Why a word is linked as it is, for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from otkit.alignment.explain import Candidate, Explanation
from otkit.reports.grid import assemble
from otkit.reports.words import cell_width, clip, isolate

__all__ = ["ExplainedPicture"]

Figure = tuple[str, str, int, Callable[[Candidate], str]]

# Head in two lines, width, figure: from what a link costs to what was paid for it, and from there to what decides.
_PAID: tuple[Figure, ...] = (
    ("", "cosine", 7, lambda one: f"{one.cosine:.3f}"),
    ("", "cost", 7, lambda one: f"{one.cost:.3f}"),
    ("+ order", "price", 8, lambda one: f"{one.order_price:.3f}"),
    ("- neigh-", "bours", 9, lambda one: f"{one.neighbours_bonus:.3f}"),
    ("= paid", "", 8, lambda one: f"{one.paid:.3f}"),
)
_DECIDED: tuple[Figure, ...] = (
    ("plan", "mass", 8, lambda one: f"{one.mass:.4f}"),
    ("of the", "source", 7, lambda one: f"{one.source_share:.0%}"),
    ("of the", "target", 7, lambda one: f"{one.target_share:.0%}"),
    ("= link", "strength", 9, lambda one: f"{one.share:.3f}"),
    ("x word", "length", 7, lambda one: f"{one.length_factor:.2f}"),
    ("= com-", "pared", 7, lambda one: f"{one.strength:.3f}"),
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
            yield from _block(why.candidates, figures, width)
        for line in _notes(why):
            yield from (Text(part, style="italic") for part in wrap(line, width))


def _block(candidates: Sequence[Candidate], figures: Sequence[Figure], width: int) -> list[Text]:
    room = width - sum(size for _, _, size, _ in figures) - 2
    room = min(room, max(cell_width(one.word) for one in candidates))
    heads = ("".join((each[1] if line else each[0]).rjust(each[2]) for each in figures) for line in (0, 1))
    lines = [assemble([(" " * (room + 2) + head, "dim")]) for head in heads]
    for one in candidates:
        word = clip(one.word, room)
        cells = "".join(figure(one).rjust(size) for _, _, size, figure in figures)
        gap = " " * (room - cell_width(word))
        lines.append(
            assemble([("* " if one.linked else "  ", "bold green"), (f"{isolate(word)}{gap}{cells}", "")])
        )
    return lines


def _notes(why: Explanation) -> list[str]:
    scale = [
        f"{name} {value:.3f}"
        for name, value in (("epsilon", why.epsilon), ("tau", why.tau))
        if value is not None
    ]
    factors = (
        "the link strength, which is the root of both shares of mass, times the factor of the words' lengths"
    )
    alone = "not known here" if why.no_partner is None else f"{why.no_partner:.0%}"
    return [
        f"* {why.rule}" + (f": {factors}" if why.strategy == "threshold" else ""),
        f"probability of no partner: {alone}"
        + (f"; {' and '.join(scale)} in units of the cost" if scale else ""),
    ]
