"""How settings are declared, checked, read and written: what every command, recipe and Python call relies on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest

from otkit.errors import ConfigError
from otkit.settings import Declared, Settings, checked, declared, expected, parse_text, setting, written
from otkit.training.recipe import Recipe

NAMES = {"red": "a colour", "green": "another"}


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    """One setting of every shape."""

    count: int = setting(3, "A whole number.", least=1, most=9)
    share: float = setting(0.5, "A number.", above=0, below=1)
    limit: float | None = setting(None, "A number, or none.", least=0)
    name: str = setting("red", "A name.", choices=NAMES)
    text: str = setting("", "A text.")
    mixed: int | str | None = setting(None, "A name, a number, or none.", choices=NAMES, least=0)
    switch: bool = setting(False, "A switch.")
    several: tuple[int, ...] | str = setting((1,), "Numbers, or a name.", choices={"all": "every one"})
    weights: tuple[tuple[str, float], ...] = setting((("red", 1.0),), "Weights.", choices=NAMES, least=0)

    def agree(self) -> None:
        if self.switch and self.count == 1:
            raise ConfigError("one cannot be switched", setting="count")


KNOWN = declared(Example)


@pytest.mark.parametrize(
    ("name", "given", "held"),
    [
        ("count", 4.0, 4),
        ("share", 0.25, 0.25),
        ("limit", None, None),
        ("limit", 2, 2.0),
        ("mixed", "green", "green"),
        ("mixed", 0, 0),
        ("several", 7, (7,)),
        ("several", [1, -2], (1, -2)),
        ("several", "all", "all"),
        ("weights", {"red": 2, "green": 0}, (("red", 2.0), ("green", 0.0))),
        ("weights", [["green", 1]], (("green", 1.0),)),
    ],
)
def test_a_value_is_held_in_one_form(name: str, given: Any, held: Any) -> None:
    found = getattr(Example().changed(**{name: given}), name)
    assert found == held
    assert type(found) is type(held)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("count", 0, "count is 0; give a whole number of at least 1 and at most 9"),
        ("count", 10, "count is 10; give a whole number of at least 1 and at most 9"),
        ("count", 1.5, "count is 1.5; give a whole number"),
        ("count", True, "count is True; give a whole number"),
        ("count", "3", "count is 3; give a whole number"),
        ("count", None, "count is none; give a whole number"),
        ("share", 1, "share is 1; give a number above 0 and below 1"),
        ("share", math.nan, "share is nan"),
        ("limit", math.inf, "limit is inf; give a number of at least 0, or none"),
        ("name", "rad", "unknown name 'rad'; did you mean 'red'? choose from: red, green"),
        ("name", 3, "name is 3; give one of red, green"),
        ("text", 3, "text is 3; give a text"),
        ("mixed", "gren", "unknown mixed 'gren'; did you mean 'green'?"),
        ("mixed", -1, "mixed is -1; give one of red, green, or a whole number of at least 0, or none"),
        ("switch", 1, "switch is 1; give true or false"),
        ("switch", "yes", "switch is yes; give true or false"),
        ("several", (), "several is an empty list"),
        ("several", (1, "x"), "unknown several 'x'"),
        ("weights", {"blue": 1}, "unknown weights 'blue'"),
        ("weights", {"red": -1}, "weights is {'red': -1}; give names with weights of at least 0"),
        ("weights", "red", "weights is red"),
        ("weights", [("red", 1, 2)], "give names with weights"),
    ],
)
def test_a_wrong_value_is_answered_with_what_is_expected(name: str, given: Any, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Example().changed(**{name: given})
    assert said in str(refused.value)
    assert refused.value.setting == name


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'cuont'; did you mean 'count'\?"):
        Example().changed(cuont=1)
    with pytest.raises(ConfigError, match="unknown setting 'cuont'"):
        Example.from_dict({"cuont": 1})


def test_settings_are_seen_together_whoever_changes_them() -> None:
    for make in (lambda: Example(count=1, switch=True), lambda: Example(count=1).changed(switch=True)):
        with pytest.raises(ConfigError, match="one cannot be switched"):
            make()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "4", 4),
        ("share", "2.5e-1", 0.25),
        ("limit", "none", None),
        ("limit", "NONE", None),
        ("name", "green", "green"),
        ("text", "none", "none"),
        ("mixed", "none", None),
        ("mixed", "7", 7),
        ("mixed", "red", "red"),
        ("switch", "yes", True),
        ("switch", "False", False),
        ("several", "all", "all"),
        ("several", "-1,2", (-1, 2)),
        ("weights", "red:0.5,green", (("red", 0.5), ("green", 1.0))),
    ],
)
def test_a_text_stands_for_a_value(name: str, text: str, value: Any) -> None:
    assert parse_text(KNOWN[name], text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("count", "4.5"), ("count", "none"), ("share", "half"), ("switch", "maybe"), ("several", "1,,2"),
     ("weights", "red:heavy"), ("mixed", "blue"), ("name", "none")],
)  # fmt: skip
def test_a_wrong_text_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError):
        parse_text(KNOWN[name], text)


def test_a_name_that_is_called_none_is_a_name() -> None:
    known = Declared("center", str, "one", none=True, default=None, help="", choices={"none": "as they are"})
    assert parse_text(known, "none") == "none"


def test_what_is_written_is_read_back() -> None:
    one = Example(limit=2.0, several=(1, 2), weights=(("green", 0.5),), mixed="red")
    document = one.to_dict()
    assert document["weights"] == {"green": 0.5}
    assert document["several"] == [1, 2]
    assert Example.from_dict(document) == one
    assert Example.from_dict({"limit": "none", "mixed": "none"}) == Example()


def every() -> Iterator[tuple[str, Declared]]:
    for table in dataclasses.fields(Recipe):
        kind = getattr(Recipe(), table.name)
        if isinstance(kind, Settings):
            for known in declared(type(kind)).values():
                yield f"{table.name}.{known.name}", known


EVERY = dict(every())


@pytest.mark.parametrize("key", EVERY)
def test_every_setting_says_what_it_is(key: str) -> None:
    known = EVERY[key]
    assert known.help[0].isupper()
    assert known.help.endswith(".")
    assert len(known.help) < 130
    assert known.panel
    assert known.kind in (int, float, str, bool)
    assert all(meaning and not meaning.endswith(".") for meaning in known.choices.values())
    if known.kind in (int, float) and known.name not in ("layers",):
        assert (known.least, known.above) != (None, None), "a number has a lower bound"
    assert expected(known)
    assert checked(known, known.default) == known.default
    # What a file or a shell says of the default is the default.
    held = written(known, known.default)
    assert checked(known, held) == known.default if held is not None else known.none


@pytest.mark.parametrize("key", [key for key, known in EVERY.items() if known.kind in (int, float)])
def test_every_bound_holds(key: str) -> None:
    known = EVERY[key]

    def value(number: float) -> Any:
        first = next(iter(known.choices), "de")
        return {"one": number, "several": (number,), "weights": ((first, number),)}[known.shape]

    step = 1 if known.kind is int else 1e-6
    inside = [(known.least, 0), (known.above, step), (known.most, 0), (known.below, -step)]
    outside = [
        (known.least, -step),
        (known.above, 0),
        (known.most, max(step, (known.most or 0) * 1e-6)),
        (known.below, 0),
    ]
    for bound, by in inside:
        if bound is not None:
            checked(known, value(bound + by))
    for bound, by in outside:
        if bound is not None:
            with pytest.raises(ConfigError):
                checked(known, value(bound + by))
