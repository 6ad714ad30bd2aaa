"""Settings of the aligner and of the check: the names that they take are those of the functions that act on them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from otkit.alignment.plans import PLANS
from otkit.alignment.settings import (
    DEFAULT_THRESHOLDS,
    OTHER_DESIGNS,
    THRESHOLD_UNITS,
    AlignmentSettings,
    CheckSettings,
)
from otkit.alignment.strategies import STRATEGIES
from otkit.encoders.pooling import POOLINGS
from otkit.errors import ConfigError
from otkit.settings import Settings, declared
from otkit.transport.cost import COSTS
from otkit.transport.marginals import MARGINALS
from otkit.transport.null import NULL_COSTS

TABLES: tuple[tuple[type[Settings], str, set[str]], ...] = (
    (AlignmentSettings, "strategy", set(STRATEGIES)),
    (AlignmentSettings, "cost", {*COSTS, "dot"}),  # dot goes with transport none
    (AlignmentSettings, "transport", {*PLANS, "none"}),
    (AlignmentSettings, "weights", set(MARGINALS) - {"idf"}),  # no document frequencies are at hand
    (AlignmentSettings, "null", set(NULL_COSTS)),
    (AlignmentSettings, "word_vector", set(POOLINGS)),
    (CheckSettings, "hallucination_null", set(NULL_COSTS)),
    (CheckSettings, "omission_null", set(NULL_COSTS)),
    (CheckSettings, "word_vector", set(POOLINGS)),
)


@pytest.mark.parametrize(
    ("kind", "name", "keys"), TABLES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_names_of_a_setting_are_those_of_its_table(
    kind: type[Settings], name: str, keys: set[str]
) -> None:
    choices: Mapping[str, str] = declared(kind)[name].choices
    assert set(choices) == keys
    assert all(choices.values())  # each says what it means


def test_thresholds_have_a_unit_and_belong_to_strategies() -> None:
    assert set(DEFAULT_THRESHOLDS) == set(THRESHOLD_UNITS)
    assert set(DEFAULT_THRESHOLDS) <= set(STRATEGIES)


def test_a_threshold_is_a_share_or_a_count() -> None:
    with pytest.raises(ConfigError, match="it is a share"):
        AlignmentSettings(threshold=1.5)
    with pytest.raises(ConfigError, match="it counts"):
        AlignmentSettings(strategy="top-k", threshold=1.5)
    with pytest.raises(ConfigError, match="threshold"):
        AlignmentSettings(strategy="mutual", threshold=0.5)


def test_what_was_used_names_no_setting_of_another_transport() -> None:
    used = AlignmentSettings(transport="exact", layers=(3,)).used()
    assert not {"epsilon", "tau", "mass", "structure", "distances", "unit"} & set(used)
    assert used["threshold"] == DEFAULT_THRESHOLDS["threshold"]
    settings = AlignmentSettings(transport="partial", mass=0.5, unit="cost")
    assert AlignmentSettings.from_dict(settings.used()).used() == settings.used()
    assert settings.units()["epsilon"] == "cost"


def test_other_designs_of_the_check_differ_from_the_default() -> None:
    designs = [CheckSettings(), *OTHER_DESIGNS.values()]
    assert len({repr(each) for each in designs}) == len(designs)
