"""The training curve: every named loss, and every figure on held-out text, against the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from otkit.errors import ConfigError, require_extra
from otkit.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curve_figure", "series_of", "write_curve"]

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
