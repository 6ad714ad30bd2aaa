"""What a chart draws: names, directions, intervals, chance, averages, each in a panel of its own kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from otkit.api.figures import CURVE_PANELS
from otkit.errors import ConfigError
from otkit.evaluation.metrics import column_mean
from otkit.evaluation.protocol import BASELINE, MODEL, Cell, Findings, Metric
from otkit.evaluation.retrieval import RETRIEVAL_METRICS
from otkit.evaluation.summary import Figure, Summary, summarise
from otkit.evaluation.word_alignment import WORD_ALIGNMENT_METRICS
from otkit.evaluation.xnli import XNLI_METRICS
from otkit.reports.charts import dot_chart, dots_figure
from otkit.reports.curves import CurvePanel, curve_figure, series_of, write_curve
from otkit.reports.evaluation import summary_panels

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LANGUAGES = ("de", "fr", "zh")
ACCURACY = Metric("accuracy", column_mean(0), table="right", chance=1 / 3)


def found(right: float, *, pool: int = 1000) -> Findings:
    """Forty items a language, of which a share is right."""
    table = np.stack([np.arange(40) < 40 * right, np.ones(40)], axis=1).astype(float)
    return Findings({language: {"right": table} for language in LANGUAGES})


def compared() -> Summary:
    cells = [Cell("toy", MODEL, "m", 0, 0.0, found(0.75)), Cell("toy", BASELINE, "b", 0, 0.0, found(0.5))]
    return summarise(cells, [ACCURACY])


def texts(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def labels(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def test_a_chart_has_names_intervals_averages_chance_and_the_change() -> None:
    summary = compared()
    (panel,) = summary_panels("toy", summary, model="runs/aligned", baseline="sample")
    figure = dots_figure([panel])
    figure.canvas.draw()
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "toy: accuracy (higher is better)"
    assert (axes.get_xlabel(), axes.xaxis.label.get_horizontalalignment()) == ("better →", "right")
    assert labels(axes) == [*LANGUAGES, "mean of all"]
    assert texts(axes) == ["runs/aligned", "sample (baseline)", "chance 0.333", "95 % bootstrap interval"]
    lines = {str(line.get_label()): line for line in axes.lines}
    assert list(lines["runs/aligned"].get_xdata()) == [0.75] * 4  # type: ignore[arg-type]
    assert list(lines["sample (baseline)"].get_xdata()) == [0.5] * 4  # type: ignore[arg-type]
    assert set(lines["chance 0.333"].get_xdata()) == {1 / 3}  # type: ignore[arg-type]
    drawn = [tuple(line.get_xdata()) for line in axes.lines if line.get_label() == "_interval"]  # type: ignore[arg-type]
    of_all = summary.averages["all"]["accuracy"]
    assert len(drawn) == 8
    assert drawn[3] == of_all.interval
    assert drawn[7] == of_all.baseline_interval
    assert of_all.interval is not None
    assert of_all.interval[0] < 0.75 < of_all.interval[1]
    changes = [text for text in axes.texts if text.get_text().startswith("+0.2500 (")]
    assert [text.get_fontweight() for text in changes] == ["bold"] * 4  # 0 is outside


def test_the_legend_and_the_changes_lie_on_no_dot() -> None:
    for languages in (LANGUAGES[:1], LANGUAGES):
        rows = {name: {"accuracy": Figure(0.5, interval=(0.4, 0.6))} for name in languages}
        summary = Summary((ACCURACY,), rows, {}, (0,), ())
        figure = dots_figure(summary_panels("toy", summary, model="m"))
        figure.canvas.draw()
        (axes,) = figure.axes
        legend = axes.get_legend()
        assert legend is not None
        boxes = [
            legend.get_window_extent(),
            axes.xaxis.label.get_window_extent(),
            axes.title.get_window_extent(),
        ]
        assert not any(box.overlaps(axes.get_window_extent()) for box in boxes)
        assert not boxes[0].overlaps(boxes[1])
        assert figure.bbox.x1 >= boxes[0].x1
        assert boxes[0].y0 >= 0


def test_chance_far_from_all_figures_is_said_and_does_not_flatten_them() -> None:
    rows = {language: {"accuracy": Figure(0.97, chance=0.001)} for language in LANGUAGES}
    summary = Summary((ACCURACY,), rows, {}, (0,), ())
    (axes,) = dots_figure(summary_panels("toy", summary, model="m")).axes
    assert texts(axes) == ["m", "chance 0.001, far to the left"]
    assert axes.get_xlim()[0] > 0.5


def test_no_share_is_drawn_beyond_none_and_all() -> None:
    for right, chance in ((1.0, 0.9), (0.0, 0.1)):
        cells = [Cell("toy", MODEL, "m", 0, 0.0, found(right))]
        (panel,) = summary_panels("toy", summarise(cells, [replace(ACCURACY, chance=chance)]), model="m")
        assert panel.share
        (axes,) = dots_figure([panel]).axes
        low, high = axes.get_xlim()
        room = 0.03 * (high - low)
        assert -room <= low < right + room
        assert right - room < high <= 1 + room


def test_deviations_over_seeds_stand_where_a_task_keeps_no_items() -> None:
    metric = Metric("F1")
    summary = Summary((metric,), {"de": {"F1": Figure(0.5, 0.1)}}, {}, (0, 1), ())
    (panel,) = summary_panels("mining", summary, model="m")
    assert (panel.points["m"]["de"].low, panel.points["m"]["de"].high) == (0.4, 0.6)
    assert panel.note == "± deviation over seeds"


@pytest.mark.parametrize(
    ("name", "metrics", "titles"),
    [
        (
            "word-alignment",
            WORD_ALIGNMENT_METRICS,
            ["alignment error rate, AER (lower is better)", "f1 (higher is better)"],
        ),
        (
            "retrieval",
            RETRIEVAL_METRICS,
            [
                "accuracy@1, from the language (higher is better)",
                "accuracy@1, to the language (higher is better)",
            ],
        ),
        ("xnli", XNLI_METRICS, ["accuracy (higher is better)"]),
    ],
)
def test_an_error_rate_and_an_accuracy_share_no_panel(
    name: str, metrics: Sequence[Metric], titles: list[str]
) -> None:
    rows = {language: {metric.name: Figure(0.5) for metric in metrics} for language in LANGUAGES}
    summary = Summary(tuple(metrics), rows, {}, (0,), ())
    panels = summary_panels(name, summary, model="m", every=True)
    assert [panel.heading for panel in panels] == [f"{name}: {title}" for title in titles]
    assert len(summary_panels(name, summary, model="m")) == 1
    for axes, panel in zip(dots_figure(panels).axes, panels, strict=True):
        assert axes.get_xlabel() == ("← better" if panel.better == "lower" else "better →")


def test_retrieval_states_what_guessing_gives() -> None:
    (metric,) = [metric for metric in RETRIEVAL_METRICS if metric.name == "forward @1"]
    assert Findings({}, {"de": {"forward chance": 1 / 1012}}).chance(metric, "de") == 1 / 1012
    assert Findings({}).chance(metric, "de") is None  # a part of an earlier version


def test_a_chart_is_written_whole_in_both_formats(tmp_path: Path) -> None:
    panels = summary_panels("toy", compared(), model="m", baseline="b")
    for name in ("a.png", "a.svg", "b.svg"):
        dot_chart(panels, tmp_path / "sub" / name)
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["a.png", "a.svg", "b.svg"]
    assert (tmp_path / "sub" / "a.svg").read_bytes() == (tmp_path / "sub" / "b.svg").read_bytes()
    dot_chart(panels, tmp_path / "plain")  # a name without an ending, such as a device
    assert (tmp_path / "plain").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="cannot be written as 'gif'"):
        dot_chart(panels, tmp_path / "a.gif")
    with pytest.raises(ConfigError, match="there is nothing to draw"):
        dots_figure([])


RECORDS = [
    {
        "step": 0,
        "divergence": 0.2,
        "divergence/de": 0.1,
        "divergence/zh": 0.3,
        "aer": 0.1,
        "aer_trained": 0.2,
    },
    {"step": 1, "ot": 40.0, "ot/de": 1.0, "ot/zh": 3.0, "note": "x"},
    {"step": 2, "ot": 20.0, "ot/de": 0.5, "ot/zh": 1.5, "retrieval": 1.0},
    {"step": 2, "divergence": float("nan"), "retrieval": None},
    {"ot": 9.0},
    {"step": 3, "ot": True},
]
LOSS = CurvePanel("loss ot, before its weight of 10", "lower", {}, "ot")


def test_series_hold_finite_figures_at_their_steps() -> None:
    assert series_of(RECORDS, ["ot", "divergence", "note"]) == {
        "ot": ([1.0, 2.0], [40.0, 20.0]),
        "divergence": ([0.0], [0.2]),
    }


def test_losses_are_drawn_unweighted_by_language_with_their_mean() -> None:
    figure = curve_figure(RECORDS, [LOSS, *CURVE_PANELS])
    figure.canvas.draw()
    loss, divergence, retrieval, aer = figure.axes
    assert loss.get_title(loc="left") == "loss ot, before its weight of 10 (lower is better)"
    lines = {str(line.get_label()): list(line.get_ydata()) for line in loss.lines}  # type: ignore[arg-type]
    assert lines == {"de": [1.0, 0.5], "zh": [3.0, 1.5], "mean of languages": [2.0, 1.0]}
    assert texts(loss) == ["mean of languages", "de", "zh"]
    colours = [{line.get_label(): line.get_color() for line in axes.lines} for axes in (loss, divergence)]
    assert colours[0] == colours[1]
    assert texts(aer) == ["mean of languages", "mean, trained layers"]
    assert retrieval.get_ylim()[1] <= 1.01
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is not None
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    assert all(step.is_integer() for step in figure.axes[-1].get_xticks())


@pytest.mark.parametrize(("apart", "said"), [(1, "steps"), (10, "records, 10 steps each")])
def test_losses_by_step_are_means_in_their_intervals(apart: int, said: str) -> None:
    """Forty batches around 2 and 3 with a spread of 0.1: the bands are Student's, and the legend says of what."""
    from scipy.stats import t

    noise = np.random.default_rng(5).normal(0.0, 0.1, size=(40, 2))
    records = [
        {"step": apart * (k + 1), "ot/de": 2.0 + one, "ot/zh": 3.0 + other}
        for k, (one, other) in enumerate(noise.tolist())
    ]
    panel = dataclasses.replace(LOSS, by_step=True)
    (axes,) = curve_figure(records, [panel]).axes
    de = 2.0 + noise[:5, 0]
    low, high = t.interval(0.95, 4, de.mean(), de.std(ddof=1) / 5**0.5)
    line = next(line for line in axes.lines if line.get_label() == "de")
    assert len(line.get_xdata()) == 8  # type: ignore[arg-type]
    assert line.get_xydata()[0].tolist() == pytest.approx([3 * apart, de.mean()])  # type: ignore[index]
    corners = axes.collections[0].get_paths()[0].vertices
    first = corners[np.isclose(corners[:, 0], 3 * apart), 1]
    assert (first.min(), first.max()) == pytest.approx((low, high))
    assert len(axes.collections) == 3  # each language, and their mean
    assert texts(axes) == ["mean of languages", "de", "zh", f"95% interval of the mean\nof 5 {said}"]


def test_of_many_languages_only_their_mean_has_a_band() -> None:
    records = [{"step": k + 1, **{f"ot/{n}": n + k % 3 for n in range(4)}} for k in range(20)]
    (axes,) = curve_figure(records, [dataclasses.replace(LOSS, by_step=True)]).axes
    assert len(axes.collections) == 1
    assert texts(axes)[-1] == "95% interval of the mean\nof 5 steps"


def test_a_run_of_a_few_steps_has_no_intervals() -> None:
    (axes,) = curve_figure(RECORDS[:3], [dataclasses.replace(LOSS, by_step=True)]).axes
    assert len(axes.collections) == 0
    assert texts(axes) == ["mean of languages", "de", "zh"]


def test_every_panel_says_which_way_is_better_and_holds_one_way_only() -> None:
    ways = {
        "divergence": "lower",
        "aer": "lower",
        "aer_trained": "lower",
        "retrieval": "higher",
        "score": "higher",
    }
    for panel in CURVE_PANELS:
        assert {ways[name] for name in panel.figures} == {panel.better}
        assert panel.heading.endswith(f"({panel.better} is better)")


def test_the_lines_of_twenty_languages_differ_and_those_of_forty_are_grey() -> None:
    for count, named in ((20, True), (40, False)):
        record = {"step": 1, **{f"ot/{place}": float(place) for place in range(count)}}
        (axes,) = curve_figure([record], [LOSS]).axes
        styles = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
        assert len(styles) == (count + 1 if named else 2)
        assert len(texts(axes)) == (count + 1 if named else 1)


def test_a_curve_is_written_and_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    write_curve(RECORDS, tmp_path / "curve.png", panels=[LOSS])
    assert (tmp_path / "curve.png").stat().st_size > 1000
    with pytest.raises(
        ConfigError, match="no record holds a figure to draw; expected `step` and one of: nothing"
    ):
        write_curve(RECORDS, tmp_path / "none.png", panels=[CurvePanel("empty", "lower", {"nothing": "x"})])
    assert not (tmp_path / "none.png").exists()
