"""Charts: legends stand beside what is drawn, and what is better lower has a panel of its own."""

from __future__ import annotations

import pytest

from otkit.api.train import CURVE_PANELS as PANELS
from otkit.evaluation.retrieval import RETRIEVAL_METRICS
from otkit.evaluation.summary import Figure, Summary
from otkit.evaluation.word_alignment import WORD_ALIGNMENT_METRICS
from otkit.reports.charts import Bars, bars_figure, curve_figure
from otkit.reports.evaluation import summary_bars

pytest.importorskip("matplotlib")
LANGUAGES = ("de", "fr", "zh")


def test_the_legend_lies_on_no_bar() -> None:
    full = dict.fromkeys(LANGUAGES, 1.0)
    for languages in (LANGUAGES[:1], LANGUAGES):
        values = {
            name: {language: full[language] for language in languages} for name in ("baseline", "model")
        }
        figure = bars_figure([Bars("word-retrieval: forward @1 (higher is better)", values, {})])
        figure.canvas.draw()
        (axes,) = figure.axes
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["baseline", "model"]
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())
        assert not legend.get_window_extent().overlaps(axes.title.get_window_extent())
        assert figure.bbox.x1 >= legend.get_window_extent().x1


def test_the_legend_of_a_curve_lies_on_no_line() -> None:
    records = [
        {"step": step, "aer": 0.1 - step / 100, "aer_trained": 0.2, "retrieval": 0.9} for step in range(5)
    ]
    figure = curve_figure(records, PANELS)
    figure.canvas.draw()
    legends = [axes.get_legend() for axes in figure.axes]
    assert [legend is None for legend in legends] == [True, False]
    for axes, legend in zip(figure.axes, legends, strict=True):
        assert legend is None or not legend.get_window_extent().overlaps(axes.get_window_extent())
    assert {line.get_label() for line in figure.axes[1].lines} == {"aer", "aer_trained"}


def test_every_panel_says_which_way_is_better_and_holds_one_way_only() -> None:
    ways = {
        "divergence": "lower",
        "aer": "lower",
        "aer_trained": "lower",
        "retrieval": "higher",
        "score": "higher",
    }
    for title, names in PANELS.items():
        assert {ways[name] for name in names} == {"lower" if "(lower is better)" in title else "higher"}
        assert title.endswith(" is better)")
    for name, metrics, better in (
        ("word-alignment", WORD_ALIGNMENT_METRICS, "lower"),
        ("retrieval", RETRIEVAL_METRICS, "higher"),
    ):
        rows = {language: {metric.name: Figure(0.5) for metric in metrics} for language in LANGUAGES}
        (panel,) = summary_bars(name, Summary(metrics, rows, {}, (0,), ()))
        assert panel.title.endswith(f"({better} is better)")
