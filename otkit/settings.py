"""How a setting is declared: once, in a field of a frozen dataclass, with all that is known of it.

From that one place come the option of a command, the key of a recipe, the keyword of a Python call, the check and its
error, the row of the reference page, and the record of what a run used. No other file names a setting but the one that
acts on it.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from otkit.errors import ConfigError, choose

__all__ = [
    "LARGEST",
    "SMALLEST",
    "Declared",
    "Settings",
    "checked",
    "declared",
    "expected",
    "parse_text",
    "setting",
    "written",
]

SMALLEST, LARGEST = 1e-9, 1e9
"""How near to 0 a number comes that must lie above it, and how large one gets that has no bound of its own: beyond,
single precision overflows, counts overflow in the libraries underneath, and a run never ends."""

Choices = Mapping[str, str]
"""The names that a setting takes, each with what it means."""


@dataclass(frozen=True)
class Declared:
    """What is known of one setting.

    kind        `int`, `float`, `str` or `bool`: of the value, or of each of its parts
    shape       "one" value, "several" of a kind, or "weights": a number for each of some names
    none        True where the value may be None, which the word `none` gives in a recipe and in a shell
    choices     the names that it takes, with their meanings; a `kind` that is no `str` is taken beside them
    least, above, most, below   bounds of a number
    unit        what a number is counted in
    panel       the heading under which a command's help has it
    everyday    True where the help shows it; the others are shown by --help-all
    option      the option's name where it is not the field's; `metavar` is what stands for its value
    """

    name: str
    kind: type
    shape: str
    none: bool
    default: Any
    help: str
    choices: Choices = dataclasses.field(default_factory=dict)
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    unit: str = ""
    panel: str = ""
    everyday: bool = False
    option: str = ""
    metavar: str = ""

    @property
    def spelling(self) -> str:
        """The option."""
        return self.option or "--" + self.name.replace("_", "-")


def setting(default: Any, help: str, **known: Any) -> Any:
    """A field of a settings class; `known` are fields of `Declared`."""
    return dataclasses.field(default=default, metadata={"help": help, **known})


_DECLARED: dict[type, Mapping[str, Declared]] = {}


def declared(settings: type[Settings]) -> Mapping[str, Declared]:
    """The settings of a class by name, in the order of its file."""
    if settings not in _DECLARED:
        _DECLARED[settings] = _declared(settings)
    return _DECLARED[settings]


def _declared(settings: type[Settings]) -> Mapping[str, Declared]:
    hints = typing.get_type_hints(settings)
    return {
        field.name: Declared(
            field.name, *_type_of(hints[field.name]), default=field.default, **dict(field.metadata)
        )
        for field in dataclasses.fields(settings)  # type: ignore[arg-type]  # subclasses are dataclasses
    }


def _type_of(hint: Any) -> tuple[type, str, bool]:
    """Kind and shape of a field's type, and whether None is of it."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    inner = [part for part in parts if part is not type(None)]
    # A name or a number: the number's kind, since the names are the choices.
    kind = next((part for part in inner if part is not str), str)
    none = type(None) in parts
    if typing.get_origin(kind) is not tuple:
        return kind, "one", none
    of = typing.get_args(kind)[0]
    return (float, "weights", none) if typing.get_origin(of) is tuple else (of, "several", none)


class Settings:
    """A frozen dataclass whose fields are `setting`s: each is checked by itself, then `agree` sees them together."""

    def __post_init__(self) -> None:
        for each in declared(type(self)).values():
            object.__setattr__(self, each.name, checked(each, getattr(self, each.name)))
        self.agree()

    def agree(self) -> None:
        """Raise a ConfigError where settings that are fine by themselves do not go together."""

    def changed(self, **given: Any) -> Self:
        """The same settings with those given; an unknown name is answered with the nearest."""
        for name in given:
            choose(name, declared(type(self)), what="setting", setting=name)
        return dataclasses.replace(self, **given)  # type: ignore[type-var]

    def to_dict(self) -> dict[str, Any]:
        """All settings, for JSON; `from_dict` reads it back."""
        return {name: written(each, getattr(self, name)) for name, each in declared(type(self)).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The settings of a table; what it does not name has its default."""
        return cls().changed(**cls.read(values))

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """A table of a file as keywords: the word `none` is the value None of a setting that has one."""
        return {name: _read(declared(cls).get(name), value) for name, value in values.items()}


def _read(known: Declared | None, value: Any) -> Any:
    """The word `none` of a file is the value None of a setting that has one, unless it is a name of its own."""
    return (
        None
        if value == "none" and known is not None and known.none and "none" not in known.choices
        else value
    )


def written(known: Declared, value: Any) -> Any:
    """A value as a file holds it: tuples as lists, weights as a table."""
    if isinstance(value, tuple):
        return dict(value) if known.shape == "weights" else list(value)
    return value


def checked(known: Declared, value: Any) -> Any:
    """The value in the form that code sees, or a ConfigError that says what is expected."""
    if value is None:
        if known.none:
            return None
        raise _wrong(known, "none")
    if known.shape == "one":
        return _one(known, value, value)
    if known.shape == "weights":
        pairs = value.items() if isinstance(value, Mapping) else value
        if not isinstance(value, Mapping | tuple | list) or not all(
            isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
        ):
            raise _wrong(known, value)
        for name, _ in pairs:
            if known.choices:
                choose(name, known.choices, what=_noun(known), setting=known.name)
        return tuple((name, _number(known, weight, value)) for name, weight in pairs)
    if isinstance(value, str) and known.choices and value in known.choices:
        return value
    parts = value if isinstance(value, tuple | list) else (value,)
    if not parts:
        raise _wrong(known, "an empty list")
    return tuple(_one(known, part, value) for part in parts)


def _one(known: Declared, value: Any, whole: Any) -> Any:
    if isinstance(value, str) and known.choices:
        names: Mapping[str, str] = known.choices
        if known.kind is not str:
            names = {**names, _amount(known): ""}
        choose(value, names, what=_noun(known), setting=known.name)
        return value
    if known.kind is bool or known.kind is str:
        if not isinstance(value, known.kind):
            raise _wrong(known, whole)
        return value
    return _number(known, value, whole)


def _number(known: Declared, value: Any, whole: Any) -> Any:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    # A whole number may be larger than any float.
    if not real or (isinstance(value, float) and not math.isfinite(value)):
        raise _wrong(known, whole)
    if known.kind is int and value != int(value):
        raise _wrong(known, whole)
    within = (
        (known.least is None or value >= known.least)
        and (known.above is None or value > known.above)
        and (known.most is None or value <= known.most)
        and (known.below is None or value < known.below)
    )
    if not within:
        raise _wrong(known, whole)
    if known.most is None and known.below is None and abs(value) > LARGEST:
        raise _wrong(known, whole, f"a number of at most {LARGEST:g}")
    if known.kind is float and known.above == 0 and value < SMALLEST:
        raise _wrong(known, whole, f"a number of at least {SMALLEST:g}")
    return known.kind(value)


def _noun(known: Declared) -> str:
    return (known.option.removeprefix("--") or known.name).replace("_", " ")


def _wrong(known: Declared, value: Any, instead: str = "") -> ConfigError:
    said = value if isinstance(value, str) else "none" if value is None else _repr(value)
    return ConfigError(
        f"{known.name} is {said}", remedy=f"give {instead or expected(known)}", setting=known.name
    )


def _repr(value: Any) -> str:
    """A value as Python has it, cut where a file put a whole tree in the place of a number."""
    try:
        said = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits
        return f"a {type(value).__name__} too large to show"
    return said if len(said) <= 200 else f"{said[:197]}..."


def _amount(known: Declared) -> str:
    """A number and its bounds, in words."""
    bounds = (
        ("of at least", known.least),
        ("above", known.above),
        ("at most", known.most),
        ("below", known.below),
    )
    said = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    return f"{'a whole number' if known.kind is int else 'a number'} {said}".rstrip()


def expected(known: Declared) -> str:
    """What a setting takes, in words."""
    names = ", ".join(known.choices)
    if known.shape == "weights":
        return "names with weights of at least 0, such as NAME:0.5" + f"; the names are {names}" * bool(names)
    if len(known.choices) > 1:
        names = f"one of {names}"
    if known.kind is bool:
        what = "true or false"
    elif known.kind is str:
        what = names or "a text"
    else:
        what = ", or ".join(filter(None, [names, _amount(known)]))
    if known.shape == "several":
        what += ", or several between commas"
    return what + (", or none" if known.none else "")


def parse_text(known: Declared, text: str) -> Any:
    """The value that a shell's text stands for: `none`, numbers between commas, `NAME:WEIGHT`."""
    if _read(known, text.lower()) is None:
        return None
    if known.shape == "weights":
        return checked(known, tuple(_weighted(known, part) for part in text.split(",")))
    if known.shape == "several" and text not in known.choices:
        return checked(known, tuple(_parsed(known, part, text) for part in text.split(",")))
    return checked(known, _parsed(known, text, text))


def _weighted(known: Declared, text: str) -> tuple[str, float]:
    name, colon, weight = text.partition(":")
    if not name:
        raise _wrong(known, text)
    try:
        return name, float(weight) if colon else 1.0
    except ValueError:
        raise _wrong(known, text) from None


def _parsed(known: Declared, part: str, whole: str) -> Any:
    if known.kind is str:
        return part
    if known.kind is bool:
        truth = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if part.lower() not in truth:
            raise _wrong(known, whole)
        return truth[part.lower()]
    try:
        return known.kind(part)
    except ValueError:
        if known.choices:
            return part  # a name, or refused as none
        raise _wrong(known, whole) from None
