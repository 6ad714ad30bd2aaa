"""An evaluation's summary as tables, as panels of a chart and as a JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from otkit.evaluation.protocol import Metric
from otkit.evaluation.significance import Interval
from otkit.evaluation.summary import Figure, Summary
from otkit.reports.charts import Panel, Point
from otkit.reports.tables import Column, Table, Value

__all__ = [
    "layer_table",
    "overview",
    "score_tables",
    "summary_document",
    "summary_panels",
    "summary_tables",
]

_INTERVAL_NOTE = (
    "change: model minus baseline, of the figures as shown; 95 %: the paired bootstrap interval of the difference over"
    " the test items"
)
_DIGITS = 4  # of figures that are compared: differences of a hundredth of a percent count

_SHORT = {"word-alignment": "links", "word-retrieval": "words"}  # so that all tasks fit a line


def summary_tables(name: str, summary: Summary) -> list[Table]:
    """A table for each group of metrics; with a baseline, a table for each headline metric before them."""
    compared = any(figure.baseline is not None for row in summary.rows.values() for figure in row.values())
    seeds = len(summary.seeds)
    tables = []
    if compared:
        headlines = [metric for metric in summary.metrics if metric.headline and _known(metric, summary)]
        tables = [_comparison(name, metric, summary) for metric in headlines]
        tables[-1] = _with_notes(tables[-1], (_INTERVAL_NOTE,))
    groups = dict.fromkeys(metric.group for metric in summary.metrics)
    for group in groups:
        members = [m for m in summary.metrics if m.group == group and _known(m, summary)]
        if members:
            title = f"{name}: {group}" if group else name
            tables.append(
                _figures(f"{title}, mean of {seeds} seeds" if seeds > 1 else title, members, summary)
            )
    tables[-1] = _with_notes(tables[-1], summary.notes)
    return tables


def _known(metric: Metric, summary: Summary) -> bool:
    return any(metric.name in row for row in summary.rows.values())


def _figures(title: str, metrics: Sequence[Metric], summary: Summary) -> Table:
    columns = [Column("language")]
    for metric in metrics:
        columns.append(Column(metric.name.removeprefix(f"{metric.group} "), metric.digits))
        if len(summary.seeds) > 1:
            columns.append(Column("±"))

    def cells(row: Mapping[str, Figure]) -> list[Value]:
        values: list[Value] = []
        for metric in metrics:
            figure = row.get(metric.name)
            values.append(figure.mean if figure else None)
            if len(summary.seeds) > 1:
                values.append(figure.std if figure else None)
        return values

    return _table(title, columns, summary, cells)


def _comparison(name: str, metric: Metric, summary: Summary) -> Table:
    several = len(summary.seeds) > 1
    columns = [Column("language"), Column("baseline", _DIGITS), Column("model", _DIGITS)]
    if several:
        columns[2:2] = [Column("±", _DIGITS)]
        columns.append(Column("±", _DIGITS))
    columns.append(Column("change", _DIGITS, change=True, of=(1, 3 if several else 2)))
    columns.append(Column("95 %", kind="figure"))

    def cells(row: Mapping[str, Figure]) -> list[Value]:
        figure = row.get(metric.name)
        if figure is None:
            return [None] * (len(columns) - 1)
        values: list[Value] = [figure.baseline, figure.mean, figure.difference]
        if several:
            values = [figure.baseline, figure.baseline_std, figure.mean, figure.std, figure.difference]
        interval = None if figure.low is None else f"{figure.low:+.{_DIGITS}f} {figure.high:+.{_DIGITS}f}"
        return [*values, interval]

    return _table(f"{name}: {metric.name}", columns, summary, cells, better=metric.better)


def _table(title: str, columns: list[Column], summary: Summary, cells: Any, *, better: Any = "none") -> Table:
    rows = [(language, *cells(row)) for language, row in summary.rows.items()]
    footers = [(f"mean of {name}", *cells(row)) for name, row in summary.averages.items()]
    return Table(
        title=title,
        columns=tuple(columns),
        rows=(*rows, *footers),
        better=(better,) * (len(rows) + len(footers)),
        footers=len(footers),
    )


def _with_notes(table: Table, notes: tuple[str, ...]) -> Table:
    return Table(**{**vars(table), "notes": (*table.notes, *notes)})


def overview(summaries: Mapping[str, Summary]) -> Table:
    """One table over tasks: the first headline metrics of each, a row a language, and the averages."""
    chosen = [
        (task, summary, metric) for task, summary in summaries.items() for metric in _first_headlines(summary)
    ]
    languages = list(dict.fromkeys(language for _, summary, _ in chosen for language in summary.rows))
    columns = [Column("language")]
    for task, _, metric in chosen:
        short = _SHORT.get(task, task)
        columns.append(Column(f"{short} {metric.name}"))
        if _compared(summaries[task], metric):
            columns.append(Column(f"{short} change", change=True))

    def cells(of: str, name: str) -> list[Value]:
        values: list[Value] = []
        for task, summary, metric in chosen:
            figure = getattr(summary, of).get(name, {}).get(metric.name)
            values.append(figure.mean if figure else None)
            if _compared(summaries[task], metric):
                values.append(figure.difference if figure else None)
        return values

    averages = list(dict.fromkeys(name for _, summary, _ in chosen for name in summary.averages))
    rows = [(language, *cells("rows", language)) for language in languages]
    footers = [(f"mean of {name}", *cells("averages", name)) for name in averages]
    return Table("all tasks", tuple(columns), (*rows, *footers), footers=len(footers))


def _first_headlines(summary: Summary) -> list[Metric]:
    found = [metric for metric in summary.metrics if metric.headline and _known(metric, summary)]
    # F1 and EM belong together; a second direction or a part of the first figure does not need a column here.
    return found[:2] if [metric.name for metric in found[:2]] == ["F1", "EM"] else found[:1]


def _compared(summary: Summary, metric: Metric) -> bool:
    return any(row[metric.name].baseline is not None for row in summary.rows.values() if metric.name in row)


_LONG = {
    "aer": "alignment error rate, AER",
    "forward @1": "accuracy@1, from the language",
    "backward @1": "accuracy@1, to the language",
    "EM": "exact match, EM",
}


def summary_panels(
    name: str, summary: Summary, *, model: str, baseline: str | None = None, every: bool = False
) -> list[Panel]:
    """The first headline metric by language, or every one, as panels: the encoders by their names, their 95 %
    intervals (deviations over seeds where a task keeps no items), and what guessing gives."""
    headlines = [metric for metric in summary.metrics if metric.headline and _known(metric, summary)]
    panels = []
    for metric in headlines if every else headlines[:1]:
        rows = {language: row[metric.name] for language, row in summary.rows.items() if metric.name in row}
        means = {
            f"mean of {group}": row[metric.name]
            for group, row in summary.averages.items()
            if metric.name in row
        }
        figures = {**rows, **means}
        points = {model: {row: _point(one.mean, one.interval, one.std) for row, one in figures.items()}}
        if _compared(summary, metric):
            points[f"{baseline or 'the other'} (baseline)"] = {
                row: _point(one.baseline, one.baseline_interval, one.baseline_std)
                for row, one in figures.items()
                if one.baseline is not None
            }
        items = any(one.interval is not None for one in figures.values())
        spread = any(one.std is not None for one in figures.values())
        panels.append(
            Panel(
                title=f"{name}: {_LONG.get(metric.name, metric.name)}",
                better=metric.better,
                points=points,
                averages=len(means),
                chance={row: one.chance for row, one in figures.items() if one.chance is not None},
                changes={row: _change(one) for row, one in figures.items() if one.difference is not None},
                note="95 % bootstrap interval" if items else "± deviation over seeds" if spread else "",
                share=all(0 <= one.value <= 1 for each in points.values() for one in each.values())
                and metric.statistic is not None,
            )
        )
    return panels


def _point(value: float, interval: tuple[float, float] | None, deviation: float | None) -> Point:
    if interval is None and deviation is not None:
        interval = value - deviation, value + deviation
    return Point(value, *(interval or (None, None)))


def _change(figure: Figure) -> tuple[str, bool]:
    """The change as text, and whether its interval leaves out 0."""
    if figure.low is None or figure.high is None:
        return f"{figure.difference:+.{_DIGITS}f}", False
    interval = f"({figure.low:+.{_DIGITS}f} to {figure.high:+.{_DIGITS}f})"
    return f"{figure.difference:+.{_DIGITS}f} {interval}", figure.low * figure.high > 0


def summary_document(summary: Summary) -> dict[str, Any]:
    """A summary as JSON holds it."""

    def plain(rows: Mapping[str, Mapping[str, Figure]]) -> dict[str, Any]:
        return {
            name: {metric: _without_none(asdict(figure)) for metric, figure in row.items()}
            for name, row in rows.items()
        }

    return {
        "languages": plain(summary.rows),
        "averages": plain(summary.averages),
        "seeds": list(summary.seeds),
        "notes": list(summary.notes),
    }


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def layer_table(aer: Mapping[str, Mapping[int, float]]) -> Table:
    """The alignment error rate of each hidden state by itself, a row a layer, a column a language."""
    layers = sorted({layer for by_layer in aer.values() for layer in by_layer})
    columns = [Column("layer"), *(Column(language) for language in aer), Column("mean")]
    rows = []
    for layer in layers:
        figures = [by_layer[layer] for by_layer in aer.values()]
        rows.append((layer, *figures, sum(figures) / len(figures)))
    return Table(
        "AER by layer", tuple(columns), tuple(rows), notes=("layer 0: the embeddings; lower is better",)
    )


def score_tables(
    figures: Mapping[str, Interval], labels: Mapping[str, Mapping[str, float]], *, title: str = ""
) -> list[Table]:
    """Figures with their intervals, and, where there are any, precision, recall and F1 of each label."""
    columns = (Column("figure"), Column("value"), Column("from"), Column("to"))
    rows = tuple((name, each.value, each.low, each.high) for name, each in figures.items())
    tables = [Table(title, columns, rows)]
    if labels:
        names = ("precision", "recall", "f1")
        heads = (Column("label"), *(Column(name) for name in names), Column("gold", 0))
        found: list[tuple[Value, ...]] = [
            (label, *(each[name] for name in names), each["gold"]) for label, each in labels.items()
        ]
        tables.append(Table("", heads, tuple(found)))
    return tables
