"""Figures by language as a picture of matplotlib's: a dot for each model, its interval, averages, chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from otkit.errors import ConfigError, require_extra
from otkit.reports.figures import FIXED, kind_of, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "Point", "dot_chart", "dots_figure"]


# Blue and grey differ in lightness too, and the markers in shape: no colour need be seen.
_MARKS = (("o", "#1f5fa8", "full"), ("D", "#6b7280", "none"))
_ROW, _WIDTH = 0.27, 7.4  # inches
_WORSE = {"higher": "better →", "lower": "← better", "none": ""}


@dataclass(frozen=True)
class Point:
    """A figure, and how far it may be off: a 95 % interval, or a deviation over seeds; None where nothing tells."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Panel:
    """One metric: points[model][row], of which the last `averages` rows are averages.

    chance   what guessing gives in a row
    changes  what is written beside a row, and whether it is more than noise
    note     what the whiskers are
    share    whether the figures lie in [0, 1]: the axis shows nothing beyond
    """

    title: str
    better: Literal["higher", "lower", "none"]
    points: Mapping[str, Mapping[str, Point]]
    averages: int = 0
    chance: Mapping[str, float] = field(default_factory=dict)
    changes: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    note: str = ""
    share: bool = False

    @property
    def rows(self) -> list[str]:
        """All languages and averages, in order."""
        return list(dict.fromkeys(row for points in self.points.values() for row in points))

    @property
    def heading(self) -> str:
        """The title with the direction that is good."""
        return self.title if self.better == "none" else f"{self.title} ({self.better} is better)"


def dot_chart(panels: Sequence[Panel], path: Path, *, overwrite: bool = False) -> None:
    """Draw panels below each other into a PNG or an SVG."""
    require_extra("matplotlib", extra="plots")
    from matplotlib import rc_context

    kind = kind_of(path)
    with rc_context(FIXED):  # type: ignore[arg-type]  # the stubs want literal keys
        save_figure(dots_figure(panels), path, kind=kind, overwrite=overwrite)


def dots_figure(panels: Sequence[Panel]) -> Figure:
    """The panels as a picture of matplotlib's."""
    require_extra("matplotlib", extra="plots")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not any(panel.rows for panel in panels):
        raise ConfigError("there is nothing to draw", remedy="draw at least one series")
    heights = [1.15 + _ROW * (len(panel.rows) + (panel.averages > 0)) for panel in panels]
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.3), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for panel, axes in zip(panels, grid[:, 0], strict=True):
        _draw(panel, axes)
    return figure


def _draw(panel: Panel, axes: Axes) -> None:
    rows = panel.rows
    first_average = len(rows) - panel.averages
    # A gap stands between languages and their averages.
    places = {row: place + 0.5 * (place >= first_average) for place, row in enumerate(rows)}
    shift = 0.16 if len(panel.points) > 1 else 0.0
    for number, (name, points) in enumerate(panel.points.items()):
        marker, colour, fill = _MARKS[number % len(_MARKS)]
        ys = [places[row] + (2 * number - len(panel.points) + 1) * shift for row in points]
        for y, point in zip(ys, points.values(), strict=True):
            if point.low is not None and point.high is not None:
                axes.plot([point.low, point.high], [y, y], color=colour, linewidth=1.6, label="_interval")
        axes.plot(
            [point.value for point in points.values()],
            ys,
            marker,
            color=colour,
            fillstyle=fill,
            markerfacecoloralt="white",
            markersize=5.5,
            label=name,
        )
    axes.set_yticks(list(places.values()), rows, fontsize=9)
    for label in axes.get_yticklabels()[first_average:]:
        label.set_fontweight("bold")
    axes.set_ylim(max(places.values()) + 0.6, -0.6)
    _chance(panel, axes, places)
    if panel.share:
        low, high = axes.get_xlim()
        room = 0.02 * (high - low)  # for half a dot
        axes.set_xlim(max(low, -room), min(high, 1 + room))
    _changes(panel, axes, places)
    axes.set_title(panel.heading, loc="left", fontsize=11)
    axes.set_xlabel(_WORSE[panel.better], loc="left" if panel.better == "lower" else "right", fontsize=9)
    axes.grid(axis="x", color="#e3e5e8", linewidth=0.7)
    axes.grid(axis="y", color="#eff0f2", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _chance(panel: Panel, axes: Axes, places: Mapping[str, float]) -> None:
    """A dotted line at what guessing gives, where the dots leave room for it; else words in the legend.

    A line far from all figures would leave them a corner of the panel.
    """
    from matplotlib.lines import Line2D
    from matplotlib.transforms import ScaledTranslation

    handles = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    low, high = axes.get_xlim()
    if panel.chance:
        values = list(panel.chance.values())
        mean = sum(values) / len(values)
        if low - (high - low) <= min(values) and max(values) <= high + (high - low):
            ys = [places[row] + side for row in panel.chance for side in (-0.5, 0.5)]
            xs = [value for value in values for _ in (0, 1)]
            handles += axes.plot(xs, ys, ":", color="#b3541e", linewidth=1.5, label=f"chance {mean:.3g}")
        else:
            side = "left" if mean < low else "right"
            handles.append(Line2D([], [], linestyle="none", label=f"chance {mean:.3g}, far to the {side}"))
    if panel.note:
        handles.append(Line2D([], [], color="#6b7280", linewidth=1.6, label=panel.note))
    figure = axes.get_figure(root=True)
    assert figure is not None
    axes.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(1.0, 0.0),
        bbox_transform=axes.transAxes + ScaledTranslation(0, -0.5, figure.dpi_scale_trans),
        ncols=len(handles),
        frameon=False,
        fontsize=8,
        borderaxespad=0.0,
        handletextpad=0.5,
        columnspacing=1.4,
    )


def _changes(panel: Panel, axes: Axes, places: Mapping[str, float]) -> None:
    """The difference of the two models at the end of its row, bold where its interval leaves out 0."""
    beside = axes.get_yaxis_transform()
    for row, (text, sure) in panel.changes.items():
        weight = "bold" if sure else "normal"
        axes.text(1.02, places[row], text, transform=beside, va="center", fontsize=8, fontweight=weight)
    if panel.changes:
        axes.text(1.02, -0.6, "change (95 %)", transform=beside, va="bottom", fontsize=8, color="#4b5563")
