"""Figures as tables: one frozen Table, drawn as wide as the terminal is, as Markdown or as JSON records.

A table that is too wide gives way in this order:

1. heads of figures fold between their words;
2. text folds, and paths lose their first folders;
3. columns that may go (`drop`) go, the lowest number first, and a line below names them;
4. the rest of the columns continues in a further table below, under the same first column.

Figures and heads are whole at every width. A pipe has no width: nothing folds there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import isfinite
from typing import Literal

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from otkit.errors import ConfigError
from otkit.reports.words import cell_width, isolate, visible

__all__ = [
    "Column",
    "Table",
    "Value",
    "before_after",
    "by_language",
    "to_markdown",
    "to_records",
]

Value = float | int | str | None
Better = Literal["higher", "lower", "none"]
Kind = Literal["figure", "text", "path"]

_CHANGE_DIGITS = 4  # a hundredth of a percent: what papers show of error rates
_LEAST_TEXT = 12  # cells that a column of text keeps


@dataclass(frozen=True)
class Column:
    """A heading; `digits` after the point of floats.

    change  signed and coloured; `of` are the places of two columns, and then the change is that of their figures as
            they are shown, so that a reader who subtracts finds it
    kind    "figure" is never cut nor folded, "text" folds, of a "path" the end stays; None: a figure where a value is
            a number, else text
    drop    which columns a narrow table goes without, 1 first; 0 stays
    """

    name: str
    digits: int = 3
    change: bool = False
    of: tuple[int, int] | None = None
    kind: Kind | None = None
    drop: int = 0


@dataclass(frozen=True)
class Table:
    """A title, columns and rows of values as wide as the columns; `better` says per row which way is good.

    The last `footers` rows (averages) stand under a rule.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    better: tuple[Better, ...] = ()
    footers: int = 0
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ConfigError(
                    f"a row of {len(row)} values in a table of {len(self.columns)} columns: {row!r}"
                )
        if self.better and len(self.better) != len(self.rows):
            raise ConfigError(f"{len(self.better)} directions for {len(self.rows)} rows")

    def cells(self, row: Sequence[Value]) -> tuple[str, ...]:
        """The values of a row as text."""
        plain = [_format(value, column) for value, column in zip(row, self.columns, strict=True)]
        for place, column in enumerate(self.columns):
            if column.of is not None and row[place] is not None:
                plain[place] = _shown_change(*(plain[other] for other in column.of), otherwise=plain[place])
        return tuple(plain)

    def kind(self, place: int) -> Kind:
        """What a column holds."""
        numeric = any(isinstance(row[place], int | float) for row in self.rows)
        return self.columns[place].kind or ("figure" if numeric else "text")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        spell = _Spelling(options.encoding)
        layout = _Layout(self, options.max_width, spell)
        if self.title:
            yield Text(spell(visible(self.title)), style="bold")
        for block in layout.blocks:
            yield layout.drawn(block, ascii_only=options.ascii_only)
        notes = [visible(note) for note in self.notes]
        if layout.dropped:
            names = ", ".join(self.columns[place].name for place in layout.dropped)
            notes.append(f"left out at this width: {names}")
        yield from (Text(spell(note), style="italic") for note in notes)


@dataclass(frozen=True)
class _Spelling:
    """Text in the signs that an encoding has: a question mark stands for others."""

    encoding: str

    def __call__(self, text: str) -> str:
        if self.unicode:
            return text
        text = text.replace("…", "...").replace("–", "-")
        return text.encode(self.encoding, "replace").decode(self.encoding)

    @property
    def unicode(self) -> bool:
        return self.encoding.lower().startswith("utf")


class _Layout:
    """Which columns of a table stand beside one another in `width` cells, and how wide each is."""

    def __init__(self, table: Table, width: int, spell: _Spelling) -> None:
        self._table, self._width, self._spell = table, width, spell
        self._kinds = [table.kind(place) for place in range(len(table.columns))]
        self._cells = [[spell(cell) for cell in table.cells(row)] for row in table.rows]
        self._heads = [spell(visible(column.name)) for column in table.columns]
        self._widest = [
            max(cell_width(text) for text in (head, *(row[place] for row in self._cells)))
            for place, head in enumerate(self._heads)
        ]
        self._narrowest = [self._least(place) for place in range(len(table.columns))]
        every = list(range(len(table.columns)))
        going = sorted((place for place in every if table.columns[place].drop), key=self._drop)
        self.dropped: list[int] = []
        while going and self._needs(every) > width:
            self.dropped.append(going.pop(0))
            every.remove(self.dropped[-1])
        self.blocks = list(self._blocks(every))

    def _drop(self, place: int) -> int:
        return self._table.columns[place].drop

    def _least(self, place: int) -> int:
        """How narrow a column may be."""
        head = max(map(cell_width, _pieces(self._heads[place])))
        cells = [row[place] for row in self._cells]
        if self._kinds[place] == "figure":
            return max(head, *map(cell_width, cells)) if cells else head
        if self._kinds[place] == "path":
            cells = [self._shortened(cell, 0) for cell in cells]
            return max(head, min(max(map(cell_width, cells), default=0), self._width // 2))
        return max(head, min(self._widest[place], _LEAST_TEXT))

    def _needs(self, places: Sequence[int]) -> int:
        return _with_rules(self._narrowest[place] for place in places)

    def _blocks(self, places: Sequence[int]) -> Iterator[list[int]]:
        """All columns, or as many as fit, again and again under the first."""
        first, *rest = places
        block = [first]
        for place in rest:
            if len(block) > 1 and self._needs([*block, place]) > self._width:
                yield block
                block = [first]
            block.append(place)
        yield block

    def _widths(self, block: Sequence[int]) -> dict[int, int]:
        """What is left beside the narrowest is shared out among those that want more, the modest first."""
        widths = {place: self._narrowest[place] for place in block}
        self._share_out(self._width - self._needs(block), widths, block)
        paths = [place for place in block if self._kinds[place] == "path"]
        for place in paths:  # a path grows by whole folders, and leaves what is no folder to the text
            cells = self._shown(place, widths[place])[1]
            widths[place] = min(widths[place], max(map(cell_width, [self._heads[place], *cells])))
        left = self._width - _with_rules(iter(widths.values()))
        self._share_out(left, widths, [place for place in block if place not in paths])
        return widths

    def _share_out(self, left: int, widths: dict[int, int], places: Sequence[int]) -> None:
        left = max(0, left)
        for rank, place in enumerate(sorted(places, key=lambda place: self._widest[place] - widths[place])):
            more = min(self._widest[place] - widths[place], left // (len(places) - rank))
            widths[place] += more
            left -= more

    def drawn(self, block: Sequence[int], *, ascii_only: bool) -> RichTable:
        """One block for rich, which has nothing left to decide."""
        widths = self._widths(block)
        drawn = RichTable(box=box.ASCII2 if ascii_only else box.SIMPLE_HEAD)
        columns = [self._shown(place, widths[place]) for place in block]
        for place, (head, _) in zip(block, columns, strict=True):
            figure = self._kinds[place] == "figure"
            drawn.add_column(
                Text(head),
                justify="right" if figure else "left",
                width=widths[place],
                no_wrap=figure,
                overflow="fold",
            )
        rows = self._table.rows
        for number, row in enumerate(rows):
            direction = self._table.better[number] if self._table.better else "none"
            drawn.add_row(
                *(
                    _styled(cells[number], row[place], self._table.columns[place], direction, self._spell)
                    for place, (_, cells) in zip(block, columns, strict=True)
                ),
                end_section=self._table.footers > 0 and number == len(rows) - self._table.footers - 1,
            )
        return drawn

    def _shown(self, place: int, width: int) -> tuple[str, list[str]]:
        """The head and the cells of a column in `width` cells."""
        cells = [row[place] for row in self._cells]
        if self._kinds[place] == "path":
            short = [self._shortened(cell, width) for cell in cells]
            # What two paths differ in must stay: they fold where their ends are alike.
            cells = short if len(set(short)) == len(set(cells)) else cells
        return _folded(self._heads[place], width), cells

    def _shortened(self, path: str, width: int) -> str:
        """The path without its first folders, as few of them as `width` allows; its last part stays whole."""
        sign = self._spell("…")
        while cell_width(path) > width:
            rest = path.removeprefix(f"{sign}/").partition("/")[2]
            if not rest:
                break
            path = f"{sign}/{rest}"
        return path


def _with_rules(widths: Iterator[int]) -> int:
    """The width of a table with columns of these widths: a cell on both sides of each, and a rule around."""
    each = list(widths)
    return sum(each) + 3 * len(each) + 1


def _pieces(head: str) -> list[str]:
    """The parts that a head folds into: words, and what underscores and slashes join."""
    return re.findall(r"[^\s_/]+[_/]*|[_/]+", head) or [""]


def _folded(head: str, width: int) -> str:
    lines: list[str] = []
    for piece in re.findall(r"\s*(?:[^\s_/]+[_/]*|[_/]+)", head):
        if lines and cell_width(lines[-1] + piece) <= width:
            lines[-1] += piece
        else:
            lines.append(piece.strip())
    return "\n".join(lines)


def _shown_change(before: str, after: str, *, otherwise: str) -> str:
    """The difference of two figures as they are shown."""
    try:
        change = Decimal(after) - Decimal(before)
    except ArithmeticError:  # a dash, or no finite figure
        return otherwise
    return f"{change:+}" if change else f"{abs(change)}"


def _format(value: Value, column: Column) -> str:
    """A value as text: a dash for none, a sign before a change, `digits` after the point of a float."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, float) and isfinite(value):
        text = f"{value:+.{column.digits}f}" if column.change else f"{value:.{column.digits}f}"
        return text.lstrip("+-") if float(text) == 0 else text
    return f"{value:+}" if column.change and value else str(value)


def _styled(text: str, value: Value, column: Column, direction: Better, spell: _Spelling) -> Text:
    if isinstance(value, str):
        return Text(isolate(text) if spell.unicode else text)
    if not column.change or value is None or direction == "none" or not text.startswith(("+", "-")):
        return Text(text)
    return Text(text, style="green" if text.startswith("+") == (direction == "higher") else "red")


def to_markdown(table: Table) -> str:
    """The table for a README or a model card."""
    head = [_escape(column.name) for column in table.columns]
    body = [[_escape(cell) for cell in table.cells(row)] for row in table.rows]
    widths = [max(3, *(len(cells[place]) for cells in (head, *body))) for place in range(len(head))]
    numeric = [table.kind(place) == "figure" for place in range(len(head))]
    rule = [
        f"{'-' * (size - 1)}:" if right else "-" * size for size, right in zip(widths, numeric, strict=True)
    ]
    lines = [f"**{table.title}**", ""] if table.title else []
    for cells in (head, rule, *body):
        padded = [
            cell.rjust(size) if right else cell.ljust(size)
            for cell, size, right in zip(cells, widths, numeric, strict=True)
        ]
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join([*lines, *([""] if table.notes else []), *table.notes])


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def to_records(table: Table) -> list[dict[str, Value]]:
    """One dict a row, unrounded; a figure that is not finite becomes None, which JSON can hold."""
    names = [column.name for column in table.columns]
    return [
        {
            name: None if isinstance(value, float) and not isfinite(value) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in table.rows
    ]


def before_after(
    title: str, rows: Sequence[tuple[str, Value, Value, Better]], *, digits: int = _CHANGE_DIGITS
) -> Table:
    """One row a metric: its name, the figure before and after, and which way is better."""
    columns = (
        Column("metric"),
        Column("before", digits),
        Column("after", digits),
        Column("change", digits, change=True, of=(1, 2)),
    )
    return Table(
        title=title,
        columns=columns,
        rows=tuple((name, before, after, _difference(before, after)) for name, before, after, _ in rows),
        better=tuple(better for *_, better in rows),
    )


def by_language(
    title: str,
    figures: Mapping[str, Mapping[str, float]],
    *,
    baseline: Mapping[str, Mapping[str, float]] | None = None,
    digits: int = 3,
    average: str = "average",
) -> Table:
    """One row a language and their plain mean; with a baseline, its figure and the change beside each metric.

    The mean is over the languages that have the metric, taken before rounding.
    """
    metrics = list(dict.fromkeys(metric for row in figures.values() for metric in row))
    columns = [Column("language")]
    for metric in metrics:
        columns.append(Column(metric, digits))
        if baseline is not None:
            columns.append(Column(f"{metric} before", digits))
            pair = len(columns) - 1, len(columns) - 2
            columns.append(Column(f"{metric} change", digits, change=True, of=pair))
    rows = [
        _language_row(language, row, (baseline or {}).get(language, {}), metrics, baseline is not None)
        for language, row in figures.items()
    ]
    footer: list[tuple[Value, ...]] = []
    if len(rows) > 1:
        footer = [(average, *(_mean([row[place] for row in rows]) for place in range(1, len(columns))))]
    return Table(title=title, columns=tuple(columns), rows=(*rows, *footer), footers=len(footer))


def _language_row(
    language: str,
    row: Mapping[str, float],
    before: Mapping[str, float],
    metrics: Sequence[str],
    compared: bool,
) -> tuple[Value, ...]:
    values: list[Value] = [language]
    for metric in metrics:
        values.append(row.get(metric))
        if compared:
            values += [before.get(metric), _difference(before.get(metric), row.get(metric))]
    return tuple(values)


def _difference(before: Value, after: Value) -> Value:
    if before is None or after is None or isinstance(before, str) or isinstance(after, str):
        return None
    return after - before


def _mean(values: Sequence[Value]) -> Value:
    known = [float(value) for value in values if value is not None and not isinstance(value, str)]
    return sum(known) / len(known) if known else None
