"""Figures as tables: one frozen Table, drawn in the terminal, as Markdown or as JSON records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from otkit.errors import ConfigError
from otkit.report.words import isolate, visible

__all__ = [
    "Column",
    "Table",
    "Value",
    "before_after",
    "by_language",
    "format_value",
    "to_markdown",
    "to_records",
]

Value = float | int | str | None
Better = Literal["higher", "lower", "none"]


@dataclass(frozen=True)
class Column:
    """A heading; `digits` after the point of floats; `change` marks differences: signed, coloured."""

    name: str
    digits: int = 3
    change: bool = False


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

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        style = box.ASCII2 if options.ascii_only else box.SIMPLE_HEAD
        drawn = RichTable(
            title=Text(self.title) if self.title else None,
            box=style,
            title_justify="left",
            title_style="bold",
        )
        for place, column in enumerate(self.columns):
            numeric = any(isinstance(row[place], int | float) for row in self.rows)
            drawn.add_column(Text(column.name), justify="right" if numeric else "left", no_wrap=place == 0)
        for number, row in enumerate(self.rows):
            direction = self.better[number] if self.better else "none"
            cells = [
                _drawn(value, column, direction) for value, column in zip(row, self.columns, strict=True)
            ]
            drawn.add_row(
                *cells, end_section=self.footers > 0 and number == len(self.rows) - self.footers - 1
            )
        yield drawn
        yield from (Text(note, style="italic") for note in self.notes)


def format_value(value: Value, column: Column) -> str:
    """A value as text: a dash for none, a sign before a change, `digits` after the point of a float."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, float) and isfinite(value):
        text = f"{value:+.{column.digits}f}" if column.change else f"{value:.{column.digits}f}"
        return text.lstrip("+-") if column.change and float(text) == 0 else text
    return f"{value:+}" if column.change else str(value)


def _drawn(value: Value, column: Column, direction: Better) -> Text:
    text = format_value(value, column)
    if isinstance(value, str):
        return Text(isolate(text))
    if not column.change or value is None or direction == "none" or float(value) == 0:
        return Text(text)
    return Text(text, style="green" if (value > 0) == (direction == "higher") else "red")


def to_markdown(table: Table) -> str:
    """The table for a README or a model card."""
    head = [_escape(column.name) for column in table.columns]
    body = [
        [_escape(format_value(value, column)) for value, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    widths = [max(3, *(len(cells[place]) for cells in (head, *body))) for place in range(len(head))]
    numeric = [any(isinstance(row[place], int | float) for row in table.rows) for place in range(len(head))]
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


def before_after(title: str, rows: Sequence[tuple[str, Value, Value, Better]], *, digits: int = 3) -> Table:
    """One row a metric: its name, the figure before and after, and which way is better."""
    columns = (
        Column("metric"),
        Column("before", digits),
        Column("after", digits),
        Column("change", digits, True),
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
            columns += [Column(f"{metric} before", digits), Column(f"{metric} change", digits, True)]
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
