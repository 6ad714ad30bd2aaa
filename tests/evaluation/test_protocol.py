"""Cells, resumption and summaries: known answers, and what must not be reused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from otkit.encoders.encoder import Encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, GateError, InputError
from otkit.evaluation.metrics import accuracy, class_table, macro_f1, mean_table
from otkit.evaluation.protocol import Cell, CellStore, Findings, Metric, Progress, Task, run_cells
from otkit.evaluation.significance import compare
from otkit.evaluation.summary import summarise
from tests.hostile.lies import VALUES, places_in, with_value

RIGHT = Metric("accuracy", accuracy, table="right")
LOOK = Metric("hubness", better="lower", headline=False)


def findings(**values: list[float]) -> Findings:
    tables = {language: {"right": mean_table(items)} for language, items in values.items()}
    return Findings(tables, {language: {"hubness": sum(items)} for language, items in values.items()})


def cell(role: str, seed: int, found: Findings) -> Cell:
    return Cell("task", role, "encoder", seed, 1.0, found)


def task(runs: list[int], *, seeded: bool = True, trains: bool = False, version: int = 1) -> Task:
    def run(encoder: Encoder, seed: int, folder: Path, progress: Progress) -> Findings:
        runs.append(seed)
        return findings(de=[1.0, 0.0, float(seed % 2)])

    return Task("toy", (RIGHT, LOOK), run, {"version": version}, seeded=seeded, trains=trains)


# Running and resuming


def test_every_role_and_seed_is_run_once_and_resumed_from_disk(
    tiny_encoder: TorchEncoder, tmp_path: Path
) -> None:
    runs: list[int] = []
    openers = {"model": lambda: tiny_encoder, "baseline": lambda: tiny_encoder}
    notes: list[str] = []
    first = run_cells(
        task(runs), openers, seeds=range(3), store=CellStore(tmp_path, resume=False), note=notes.append
    )
    assert runs == [0, 1, 2, 0, 1, 2]
    again = run_cells(
        task(runs), openers, seeds=range(3), store=CellStore(tmp_path, resume=True), note=notes.append
    )
    assert len(runs) == 6
    assert len([note for note in notes if "finished before" in note]) == 6
    for one, other in zip(first, again, strict=True):
        assert one.findings.value(RIGHT, "de") == other.findings.value(RIGHT, "de")
        assert other.findings.figures == one.findings.figures
        assert np.array_equal(one.findings.tables["de"]["right"], other.findings.tables["de"]["right"])


def test_a_figure_that_is_not_a_number_is_null_in_the_file_and_comes_back_as_it_was(
    tiny_encoder: TorchEncoder, tmp_path: Path
) -> None:
    found = Findings(
        {"de": {"rows": np.array([[1.0, np.nan], [np.inf, 2.0]])}}, {"de": {"gap": float("nan")}}
    )
    store = CellStore(tmp_path, resume=True)
    store.save(cell("model", 0, found), {"version": 1})
    text = (tmp_path / "task" / "model" / "seed-0" / "cell.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=pytest.fail)
    rows = replace(task([]), name="task", metrics=(Metric("accuracy", accuracy, table="rows"),))
    again = store.load(rows, "model", 0, {"version": 1})
    assert again is not None
    np.testing.assert_array_equal(again.findings.tables["de"]["rows"], [[1.0, np.nan], [np.nan, 2.0]])
    assert np.isnan(again.findings.figures["de"]["gap"])


def test_a_cell_with_any_value_changed_is_one_error_or_can_be_summarised(tmp_path: Path) -> None:
    store, toy = CellStore(tmp_path, resume=True), task([])
    store.save(replace(cell("model", 0, findings(de=[1.0, 0.0], fr=[1.0, 1.0])), task="toy"), {})
    path = tmp_path / "toy" / "model" / "seed-0" / "cell.json"
    whole, refused = json.loads(path.read_bytes()), 0
    for place, value in product(list(places_in(whole)), VALUES):
        path.write_text(json.dumps(with_value(whole, place, value)), encoding="utf-8")
        try:
            again = store.load(toy, "model", 0, {})
        except InputError:
            refused += 1
            continue
        if again is not None:
            summarise([again], toy.metrics)
    assert refused > 300


def test_cells_of_other_items_are_not_compared(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    """Which a hand, or a fault of the disk, has put there."""
    openers = {"model": lambda: tiny_encoder}
    run_cells(task([]), openers, seeds=range(2), store=CellStore(tmp_path))
    path = tmp_path / "toy" / "model" / "seed-1" / "cell.json"
    document = json.loads(path.read_bytes())
    document["findings"]["tables"]["de"]["right"].pop()
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match="toy do not have the same languages and items; start over"):
        run_cells(task([]), openers, seeds=range(2), store=CellStore(tmp_path, resume=True))


def test_without_resume_and_with_other_settings_or_weights_everything_runs_again(
    tiny_encoder: TorchEncoder, tmp_path: Path
) -> None:
    runs: list[int] = []
    openers = {"model": lambda: tiny_encoder}

    def go(*, resume: bool, version: int = 1) -> None:
        store = CellStore(tmp_path, resume=resume)
        run_cells(task(runs, version=version), openers, seeds=[0], store=store)

    go(resume=False)
    go(resume=False)
    assert len(runs) == 2
    go(resume=True, version=2)
    assert len(runs) == 3
    next(tiny_encoder.model.parameters()).data[0, 0] += 1
    go(resume=True, version=2)
    assert len(runs) == 4
    tiny_encoder.settings = replace(tiny_encoder.settings, prefix="query: ")
    go(resume=True, version=2)
    assert len(runs) == 5


def test_a_task_without_chance_runs_under_one_seed(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    runs: list[int] = []
    store = CellStore(tmp_path, resume=False)
    run_cells(
        task(runs, seeded=False),
        {"model": lambda: tiny_encoder},
        seeds=range(5),
        store=store,
    )
    assert runs == [0]


def test_a_task_that_trains_gets_a_fresh_encoder_for_each_seed(
    tiny_encoder: TorchEncoder, tmp_path: Path
) -> None:
    opened: list[int] = []

    def opener() -> Encoder:
        opened.append(1)
        return tiny_encoder

    store = CellStore(tmp_path, resume=False)
    run_cells(task([], trains=True), {"model": opener}, seeds=range(3), store=store)
    assert len(opened) == 3


def test_a_damaged_cell_is_named(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    openers = {"model": lambda: tiny_encoder}
    run_cells(task([]), openers, seeds=[0], store=CellStore(tmp_path, resume=False))
    path = tmp_path / "toy" / "model" / "seed-0" / "cell.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputError, match=r"cell\.json: is not a finished cell .*delete it"):
        run_cells(task([]), openers, seeds=[0], store=CellStore(tmp_path, resume=True))


# Summaries


def test_means_and_deviations_are_over_seeds() -> None:
    cells = [cell("model", seed, findings(de=[value, 0.0])) for seed, value in enumerate((1.0, 0.0, 1.0))]
    figure = summarise(cells, [RIGHT, LOOK]).rows["de"]["accuracy"]
    assert figure.mean == pytest.approx(1 / 3)
    assert figure.std == pytest.approx(np.std([0.5, 0.0, 0.5], ddof=1))
    assert figure.baseline is None
    assert summarise(cells[:1], [RIGHT, LOOK]).rows["de"]["accuracy"].std is None


def test_averages_weigh_languages_alike_and_seen_languages_apart() -> None:
    cells = [cell("model", 0, findings(de=[1.0, 1.0], fr=[1.0] + [0.0] * 3, sw=[0.0] * 8))]
    summary = summarise(cells, [RIGHT, LOOK], seen=["de", "fr", "el"])
    assert summary.averages["all"]["accuracy"].mean == pytest.approx((1 + 0.25 + 0) / 3)
    assert summary.averages["seen"]["accuracy"].mean == pytest.approx((1 + 0.25) / 2)
    assert "seen" not in summarise(cells, [RIGHT], seen=["el"]).averages
    assert "seen" not in summarise(cells, [RIGHT], seen=["de", "fr", "sw"]).averages


def test_differences_of_one_language_are_those_of_the_paired_bootstrap() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = (rng.random(200) < share for share in (0.7, 0.6))
    cells = [
        cell("model", 0, findings(de=ours.tolist())),
        cell("baseline", 0, findings(de=theirs.tolist())),
    ]
    figure = summarise(cells, [RIGHT, LOOK]).rows["de"]["accuracy"]
    expected = compare(mean_table(ours), mean_table(theirs), accuracy)
    assert figure.difference == pytest.approx(ours.mean() - theirs.mean())
    assert (figure.low, figure.high) == (expected.difference.low, expected.difference.high)
    assert figure.p_value == expected.p_value
    assert summarise(cells, [RIGHT, LOOK]).rows["de"]["hubness"].low is None


@pytest.mark.parametrize("sizes", [(150, 150), (150, 60)])
def test_the_interval_of_an_average_is_around_its_difference_and_as_wide_as_it_should_be(
    sizes: tuple[int, int],
) -> None:
    rng = np.random.default_rng(1)
    ours = {name: (rng.random(size) < 0.8).astype(float) for name, size in zip("ab", sizes, strict=True)}
    theirs = {name: (rng.random(len(values)) < 0.6).astype(float) for name, values in ours.items()}
    cells = [
        cell(role, 0, findings(**{name: values.tolist() for name, values in side.items()}))
        for role, side in (("model", ours), ("baseline", theirs))
    ]
    figure = summarise(cells, [RIGHT], resamples=4000).averages["all"]["accuracy"]
    assert figure.difference == pytest.approx(
        np.mean([ours[name].mean() - theirs[name].mean() for name in ours])
    )
    # Independent languages: the variance of the mean of two differences.
    error = np.sqrt(sum((ours[name] - theirs[name]).var() / len(ours[name]) for name in ours)) / 2
    assert figure.high is not None
    assert figure.low is not None
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * error, rel=0.12)
    assert figure.low < figure.difference < figure.high


def test_parallel_items_are_drawn_together() -> None:
    """Two languages with the same items are no more certain than one of them."""
    rng = np.random.default_rng(2)
    ours, theirs = ((rng.random(300) < share).astype(float).tolist() for share in (0.7, 0.6))
    cells = [
        cell("model", 0, findings(de=ours, fr=ours)),
        cell("baseline", 0, findings(de=theirs, fr=theirs)),
    ]
    summary = summarise(cells, [RIGHT])
    assert summary.averages["all"]["accuracy"] == summary.rows["de"]["accuracy"]


def test_an_average_of_ratios_is_not_the_ratio_of_sums() -> None:
    metric = Metric("macro-F1", macro_f1, table="classes")
    one = class_table("aab", "abb", labels="ab")
    two = class_table("aabbbbbb", "aabbbbbb", labels="ab")
    found = Findings({"de": {"classes": one}, "fr": {"classes": two}})
    worse = Findings({"de": {"classes": class_table("aab", "bbb", labels="ab")}, "fr": {"classes": two}})
    summary = summarise([cell("model", 0, found), cell("baseline", 0, worse)], [metric])
    each = [summary.rows[language]["macro-F1"].mean for language in ("de", "fr")]
    assert each == pytest.approx([2 / 3, 1.0])
    average = summary.averages["all"]["macro-F1"]
    assert average.mean == pytest.approx(np.mean(each))
    assert average.low is not None
    assert average.low <= average.difference  # type: ignore[operator]


# Gates


def test_gates_know_which_way_is_better() -> None:
    from otkit.cli.evaluate_run import check_gates, parse_gates

    summary = summarise([cell("model", 0, findings(de=[1.0, 0.0], fr=[1.0, 1.0]))], [RIGHT, LOOK])
    check_gates(parse_gates(["accuracy=0.75", "Hubness=1.5"], {"toy": [RIGHT, LOOK]}), {"toy": summary})
    with pytest.raises(GateError, match=r"accuracy is 0\.7500, the gate is 0\.76"):
        check_gates({"accuracy": 0.76}, {"toy": summary})
    # Of several tasks each that has the metric is asked, or the one that is named.
    other = summarise([cell("model", 0, findings(de=[0.0, 0.0], fr=[1.0, 1.0]))], [RIGHT, LOOK])
    both = {"toy": summary, "word-toy": other}
    with pytest.raises(GateError, match=r"^word-toy: accuracy is 0\.5000, the gate is 0\.75$"):
        check_gates({"accuracy": 0.75}, both)
    check_gates(
        parse_gates(["toy.accuracy=0.75", "word-toy.accuracy=.5"], {key: [RIGHT] for key in both}), both
    )
    with pytest.raises(GateError, match=r"hubness is 1\.5000, the gate is 1\.4"):
        check_gates({"hubness": 1.4}, {"toy": summary})
    with pytest.raises(
        ConfigError, match="unknown metric of --fail-under 'acuracy'; did you mean 'accuracy'"
    ):
        parse_gates(["acuracy=1"], {"toy": [RIGHT]})
    with pytest.raises(ConfigError, match="write METRIC=X"):
        parse_gates(["accuracy"], {"toy": [RIGHT]})
