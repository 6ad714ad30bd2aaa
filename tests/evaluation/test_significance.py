"""Intervals and tests: coverage, agreement with SciPy and with exact enumeration, invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from otkit.errors import ConfigError, InputError
from otkit.evaluation.metrics import accuracy, class_table, macro_f1, mean_table
from otkit.evaluation.significance import bootstrap, compare


def test_bootstrap_equals_scipy_on_a_mean() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=120)
    ours = bootstrap(mean_table(values), accuracy, resamples=20_000, seed=3)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=4
    ).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02 * values.std())


def test_bootstrap_of_a_ratio_equals_resampling_by_hand() -> None:
    generator = np.random.default_rng(2)
    wanted, found = generator.integers(3, size=(2, 60))
    table = class_table(wanted.tolist(), found.tolist(), labels=[0, 1, 2])
    ours = bootstrap(table, macro_f1, resamples=4000, seed=5)
    draws = [float(macro_f1(table[generator.integers(60, size=60)].sum(axis=0))) for _ in range(4000)]
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.01)
    assert ours.low < ours.value < ours.high


def test_intervals_cover_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    samples = generator.random((400, 80)) < 0.7
    found = [
        bootstrap(mean_table(sample), accuracy, resamples=300, level=0.9, seed=k)
        for k, sample in enumerate(samples)
    ]
    covered = np.mean([interval.low <= 0.7 <= interval.high for interval in found])
    assert covered == pytest.approx(0.9, abs=0.04)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = mean_table(np.random.default_rng(4).random(50))
    whole = bootstrap(table, accuracy, resamples=500, seed=1)
    monkeypatch.setattr("otkit.evaluation.significance.CELLS", 50 * 7)
    assert bootstrap(table, accuracy, resamples=500, seed=1) == whole
    assert bootstrap(table, accuracy, resamples=500, seed=2) != whole


def test_permutation_test_equals_enumeration() -> None:
    generator = np.random.default_rng(5)
    ours, theirs = generator.integers(0, 6, size=(2, 10)) / 5
    gaps = ours - theirs
    exact = np.mean(
        [
            abs(np.dot(signs, gaps)) >= abs(gaps.sum()) - 1e-12
            for signs in itertools.product((1, -1), repeat=10)
        ]
    )
    found = compare(mean_table(ours), mean_table(theirs), accuracy, resamples=20_000)
    assert found.p_value == pytest.approx(float(exact), abs=0.015)
    assert found.difference.value == pytest.approx(gaps.mean())


def test_comparison_is_paired_and_antisymmetric() -> None:
    generator = np.random.default_rng(6)
    hard = generator.random(300)
    ours, theirs = (generator.random(300) < hard + 0.3), (generator.random(300) < hard)
    found = compare(mean_table(ours), mean_table(theirs), accuracy, seed=1)
    turned = compare(mean_table(theirs), mean_table(ours), accuracy, seed=1)
    assert found.difference.value == pytest.approx(-turned.difference.value)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (-turned.difference.high, -turned.difference.low)
    )
    assert found.p_value == turned.p_value < 0.01
    # a system that is a little better on every example is so beyond doubt, however much those differ
    better = compare(mean_table(hard + 0.01), mean_table(hard), accuracy)
    assert (better.difference.low, better.difference.high) == pytest.approx((0.01, 0.01))
    assert better.p_value == pytest.approx(1 / 1001)


def test_equal_systems_do_not_differ() -> None:
    table = mean_table(np.random.default_rng(7).random(40))
    same = compare(table, table, accuracy)
    assert (same.difference.low, same.difference.value, same.difference.high, same.p_value) == (0, 0, 0, 1)


def test_p_values_of_no_difference_are_uniform() -> None:
    generator = np.random.default_rng(8)
    values = [
        compare(
            mean_table(generator.random(60)),
            mean_table(generator.random(60)),
            accuracy,
            resamples=200,
            seed=k,
        ).p_value
        for k in range(200)
    ]
    assert stats.kstest(values, "uniform").pvalue > 0.001


def test_errors() -> None:
    table = mean_table([0.5, 1.0])
    with pytest.raises(InputError, match="there is nothing to score; give at least one example"):
        bootstrap(table[:0], accuracy)
    with pytest.raises(
        InputError, match="2 examples are compared with 1; score both systems on the same data"
    ):
        compare(table, table[:1], accuracy)
    with pytest.raises(
        ConfigError, match=r"0 resamples at level 0\.95; give at least 1 resample and a level"
    ):
        bootstrap(table, accuracy, resamples=0)
    with pytest.raises(ConfigError, match="a level between 0 and 1"):
        bootstrap(table, accuracy, level=95)
