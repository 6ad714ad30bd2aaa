"""Figures as pictures of matplotlib's: bars by language, and the curves of a training run against the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from otkit.errors import ConfigError, require_extra
from otkit.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Bars", "bar_chart", "bars_figure", "curve_figure", "series_of", "write_curve"]

# Grey is what the others are compared with; a lone series has nothing to be compared with.
_COLOURS = ("#9aa5b1", "#2563a8", "#c0632d", "#3c8d5a")


@dataclass(frozen=True)
class Bars:
    """One panel: values[series][language], None where missing, and the half-width of each error bar beside."""

    title: str
    values: Mapping[str, Mapping[str, float | None]]
    errors: Mapping[str, Mapping[str, float | None]]


def bar_chart(panels: Sequence[Bars], path: Path, *, overwrite: bool = False) -> None:
    """Draw panels below each other into a PNG."""
    figure = bars_figure(panels)
    write_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=150), overwrite=overwrite)


def bars_figure(panels: Sequence[Bars]) -> Figure:
    """The panels as a picture of matplotlib's."""
    require_extra("matplotlib", extra="plots")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not panels or not any(panel.values for panel in panels):
        raise ConfigError("there is nothing to draw", remedy="draw at least one series")
    widest = max(len(_languages(panel)) for panel in panels)
    figure = Figure(figsize=(max(5.0, 1.2 + 0.55 * widest), 2.9 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        languages = _languages(panel)
        width = 0.8 / len(panel.values)
        for number, (series, values) in enumerate(panel.values.items()):
            known = [
                (x, language) for x, language in enumerate(languages) if values.get(language) is not None
            ]
            errors = [panel.errors.get(series, {}).get(language) or 0.0 for _, language in known]
            axes.bar(
                [x + (number - (len(panel.values) - 1) / 2) * width for x, _ in known],
                [values[language] or 0.0 for _, language in known],
                width,
                label=series,
                color=_COLOURS[(number + (len(panel.values) == 1)) % len(_COLOURS)],
                yerr=errors if any(errors) else None,
                capsize=2,
            )
        axes.set_xticks(range(len(languages)), languages)
        axes.set_xlim(-0.6, max(widest, 5) - 0.4)  # the same scale in every panel, and no bar as wide as it
        axes.set_title(panel.title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        if len(panel.values) > 1:
            # Beside the axes, where no bar can reach.
            axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _languages(panel: Bars) -> list[str]:
    return list(dict.fromkeys(language for values in panel.values.values() for language in values))


Record = Mapping[str, object]
Series = tuple[list[float], list[float]]


def series_of(records: Sequence[Record], names: Sequence[str]) -> dict[str, Series]:
    """Steps and values of each name that some record holds as a finite number."""
    found: dict[str, Series] = {}
    for record in records:
        step = record.get("step")
        if not isinstance(step, int | float):
            continue
        for name in names:
            value = record.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
                steps, values = found.setdefault(name, ([], []))
                steps.append(float(step))
                values.append(float(value))
    return found


def write_curve(
    records: Sequence[Record],
    path: Path,
    *,
    panels: Mapping[str, Sequence[str]],
    format: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write the picture of `curve_figure`."""
    require_extra("matplotlib", extra="plots")
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "otkit"}):
        figure = curve_figure(records, panels)
        kind = format or path.suffix.lstrip(".").lower() or "png"
        metadata = {"Date": None, "Creator": None} if kind == "svg" else None
        write_file(
            path,
            lambda temporary: figure.savefig(temporary, format=kind, dpi=150, metadata=metadata),
            overwrite=overwrite,
        )


def curve_figure(records: Sequence[Record], panels: Mapping[str, Sequence[str]]) -> Figure:
    """One panel under another, each with its title and the names in it, over a common step axis.

    A panel of which no record holds anything is left out. Each panel scales by itself, so that losses of
    different size do not flatten one another.
    """
    from matplotlib.figure import Figure

    drawn = {title: series_of(records, names) for title, names in panels.items()}
    drawn = {title: series for title, series in drawn.items() if series}
    if not drawn:
        wanted = ", ".join(name for names in panels.values() for name in names)
        raise ConfigError("no record holds a figure to draw", remedy=f"expected `step` and one of: {wanted}")
    figure = Figure(figsize=(8.0, 0.6 + 2.4 * len(drawn)), layout="constrained")
    axes = figure.subplots(len(drawn), 1, squeeze=False, sharex=True)[:, 0]
    for (title, series), each in zip(drawn.items(), axes, strict=True):
        for name, (steps, values) in series.items():
            each.plot(
                steps,
                values,
                label=name,
                linewidth=1.4,
                marker="o" if len(steps) < 30 else None,
                markersize=3,
            )
        each.set_title(title, loc="left", fontsize="medium")
        each.grid(color="#e0e0e0", linewidth=0.6)
        each.spines[["top", "right"]].set_visible(False)
        if len(series) > 1:
            # Beside the axes, where no line can reach.
            each.legend(
                frameon=False,
                fontsize="small",
                loc="upper left",
                bbox_to_anchor=(1.0, 1.0),
            )
    axes[-1].set_xlabel("step")
    return figure
