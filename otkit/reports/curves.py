"""The curves of a training run against the step: losses by language, and the figures on held-out text and gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from otkit.errors import ConfigError, require_extra
from otkit.reports.figures import FIXED, kind_of, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CurvePanel", "Record", "curve_figure", "series_of", "write_curve"]

Record = Mapping[str, object]
Series = tuple[list[float], list[float]]

# Okabe and Ito's colours that show on white, with four strokes: 24 lines that differ to every eye.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_STROKES = ("-", "--", ":", "-.")
_NAMED = len(_COLOURS) * len(_STROKES)
_WHOLE = ("#111827", "#111827")  # figures over all languages: solid, then dashed

# Of a panel by step: at most so many points, each the mean of at least so many records.
_POINTS, _LEAST = 20, 5
_LEVEL = 0.95
_MOST_BANDS = 3  # of languages: more of them, one over the other, hide the lines


@dataclass(frozen=True)
class CurvePanel:
    """Figures of one scale and one direction.

    figures    name in the records -> what the legend calls it; drawn in black
    languages  draw each record `NAME/LANGUAGE` too, in the language's colour; "" for none. Where `figures` is empty,
               their mean is drawn in black
    share      whether the figures lie in [0, 1]: the axis shows nothing beyond
    chance     what guessing gives
    by_step    whether every step has figures of its own batch, as losses have: drawn are means over several steps,
               with their intervals
    """

    title: str
    better: Literal["higher", "lower"]
    figures: Mapping[str, str]
    languages: str = ""
    share: bool = False
    chance: float | None = None
    by_step: bool = False

    @property
    def heading(self) -> str:
        """The title with the direction that is good."""
        chance = "" if self.chance is None else f"; chance {self.chance:.3g}"
        return f"{self.title} ({self.better} is better{chance})"


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
    panels: Sequence[CurvePanel],
    format: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write the picture of `curve_figure`."""
    require_extra("matplotlib", extra="plots")
    from matplotlib import rc_context

    kind = kind_of(path, format)
    with rc_context(FIXED):  # type: ignore[arg-type]  # the stubs want literal keys
        save_figure(curve_figure(records, panels), path, kind=kind, overwrite=overwrite)


def curve_figure(records: Sequence[Record], panels: Sequence[CurvePanel]) -> Figure:
    """One panel under another, each with its title and the names in it, over a common step axis.

    A panel of which no record holds anything is left out. Each panel scales by itself, so that losses of
    different size do not flatten one another; a language has the same colour in all.
    """
    from matplotlib.figure import Figure

    drawn = [(panel, *_series(records, panel)) for panel in panels]
    drawn = [each for each in drawn if each[1] or each[2]]
    if not drawn:
        wanted = ", ".join(chain.from_iterable((*panel.figures, panel.languages) for panel in panels))
        raise ConfigError(
            "no record holds a figure to draw", remedy=f"expected `step` and one of: {wanted.strip(', ')}"
        )
    languages = list(dict.fromkeys(language for *_, each in drawn for language in each))
    styles = {
        language: (_COLOURS[place % len(_COLOURS)], _STROKES[place // len(_COLOURS) % len(_STROKES)])
        for place, language in enumerate(languages)
    }
    figure = Figure(figsize=(8.0, 0.6 + 2.3 * len(drawn)), layout="constrained", facecolor="white")
    axes = figure.subplots(len(drawn), 1, squeeze=False, sharex=True)[:, 0]
    for (panel, whole, by_language), each in zip(drawn, axes, strict=True):
        for language, series in by_language.items():
            colour, dashes = styles[language] if len(languages) <= _NAMED else ("#9ca3af", "-")
            _drawn(
                panel,
                each,
                series,
                _Stroke(language, colour, dashes, 1.1),
                band=len(by_language) <= _MOST_BANDS,
            )
        for place, (name, series) in enumerate(whole.items()):
            _drawn(panel, each, series, _Stroke(name, _WHOLE[place % 2], _STROKES[place % 2], 1.9), band=True)
        _finish(each, panel)
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    return figure


def _series(records: Sequence[Record], panel: CurvePanel) -> tuple[dict[str, Series], dict[str, Series]]:
    """The figures over all languages by their labels, and those of each language."""
    own = f"{panel.languages}/"
    names = dict.fromkeys(
        name for record in records for name in record if panel.languages and name.startswith(own)
    )
    by_language = {
        name.removeprefix(own).replace("mul", "all, mixed"): found
        for name, found in series_of(records, list(names)).items()
    }
    whole = {panel.figures[name]: found for name, found in series_of(records, list(panel.figures)).items()}
    if len(by_language) > 1 and not panel.figures:
        whole["mean of languages"] = _mean(by_language)
    return whole, by_language if len(by_language) > 1 or not whole else {}


def _mean(series: Mapping[str, Series]) -> Series:
    """The plain mean over languages at each step at which all have a figure."""
    at = [dict(zip(*each, strict=True)) for each in series.values()]
    steps = [step for step in at[0] if all(step in each for each in at)]
    return steps, [sum(each[step] for each in at) / len(at) for step in steps]


@dataclass(frozen=True)
class _Stroke:
    """How a line looks, and its name in the legend."""

    label: str
    colour: str
    dashes: str
    width: float


def _drawn(panel: CurvePanel, axes: Axes, series: Series, stroke: _Stroke, *, band: bool) -> None:
    """A line through the figures; in a panel by step through their means, in a band that is said once a panel."""
    steps, values = series
    points = min(_POINTS, len(values) // _LEAST) if panel.by_step else 0
    if points < 2:
        _line(axes, series, stroke)
        return
    runs = np.array_split(np.array(values), points)
    middles = [float(part.mean()) for part in np.array_split(np.array(steps), points)]
    means = np.array([run.mean() for run in runs])
    _line(axes, (middles, means.tolist()), stroke)
    if not band:
        return
    half = np.array([_half_width(run) for run in runs])
    drawn = axes.fill_between(
        middles, means - half, means + half, color=stroke.colour, alpha=0.15, linewidth=0
    )
    if len(axes.collections) == 1:
        apart = int(steps[1] - steps[0])
        of = "steps" if apart == 1 else f"records, {apart} steps each"
        sizes = sorted({len(run) for run in runs})
        drawn.set_label(f"{_LEVEL:.0%} interval of the mean\nof {' or '.join(map(str, sizes))} {of}")


def _half_width(run: NDArray[np.float64]) -> float:
    """Of Student's interval of the mean: batches of a few steps differ by their sentences, and the trend adds to it."""
    from scipy.special import stdtrit

    return float(stdtrit(len(run) - 1, (1 + _LEVEL) / 2) * run.std(ddof=1) / len(run) ** 0.5)


def _line(axes: Axes, series: Series, stroke: _Stroke) -> None:
    marker = "o" if len(series[0]) < 30 else None
    axes.plot(
        *series,
        stroke.dashes,
        label=stroke.label,
        color=stroke.colour,
        linewidth=stroke.width,
        marker=marker,
        markersize=2.6,
    )


def _finish(axes: Axes, panel: CurvePanel) -> None:
    from matplotlib.patches import Patch

    axes.set_title(panel.heading, loc="left", fontsize="medium")
    axes.grid(color="#e3e5e8", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.share:
        low, high = axes.get_ylim()
        # A flat line is flat at a hundredth too, and nothing is drawn where no figure can be.
        spread = max(0.0, 0.02 - (high - low)) / 2
        low, high = low - spread, high + spread
        if panel.chance is not None and panel.chance > low - (high - low):
            low = min(low, panel.chance)
            axes.axhline(panel.chance, color="#b3541e", linestyle=":", linewidth=1.2, label="chance")
        axes.set_ylim(max(low, -0.002), min(high, 1.002))
    lines = [line for line in axes.lines if line.get_color() != "#9ca3af"]
    bands = [
        Patch(color=_WHOLE[0], alpha=0.15, linewidth=0, label=str(band.get_label()))
        for band in axes.collections[:1]
    ]
    # Beside the axes, where no line can reach; what is over all languages first.
    axes.legend(
        handles=[*sorted(lines, key=lambda line: line.get_color() not in _WHOLE), *bands],
        frameon=False,
        fontsize="x-small",
        loc="upper left",
        bbox_to_anchor=(1.0, 1.04),
        ncols=1 + (len(lines) > 11),
        handlelength=2.4,
        labelspacing=0.25,
    )
