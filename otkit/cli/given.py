"""Settings as options: what a class of settings declares becomes the options of a command, `--recipe` and `--set`.

A command names the tables that it takes and receives one `Given`. Everyday settings stand in its help, the others in
`--help-all`; `--set table.key=value` reaches all of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Annotated, Any, TypeVar

import typer

from otkit.cli.stdout import printable, write_data
from otkit.errors import ConfigError, choose
from otkit.recipes import settings_of, unread
from otkit.settings import Declared, Settings, declared, expected, parse_text

__all__ = ["NOTHING", "Given", "HelpAll", "plain", "takes"]

Some = TypeVar("Some", bound=Settings)
Command = Callable[..., None]


@dataclass(frozen=True)
class Given:
    """What the command line says of settings: the recipe, and by table what options and `--set` change of it."""

    recipe: str | None = None
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def settings(self, table: str, kind: type[Some], base: Some | None = None) -> Some:
        """The settings of a table: the defaults (or `base`), the recipe's on top, and then what was given."""
        return settings_of(self.recipe, table, kind, base).changed(**self.changes.get(table, {}))

    def of(self, table: str) -> Mapping[str, Any]:
        """What options and `--set` change of a table, as keywords of the library."""
        return self.changes.get(table, {})


NOTHING = Given()

HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all",
        is_eager=True,
        callback=lambda ctx, wanted: _show_all(ctx) if wanted else None,
        help="Show the help with all options, and exit.",
    ),
]


def _show_all(ctx: typer.Context) -> None:
    rare: list[Any] = [each for each in ctx.command.params if getattr(each, "hidden", False)]
    for parameter in rare:
        parameter.hidden = False
    write_data(ctx.get_help())  # with rich, it has written the help itself
    for parameter in rare:
        parameter.hidden = True
    raise typer.Exit


def takes(
    recipe: bool = True,
    *,
    usual: str = "",
    beside: Mapping[str, type[Settings]] | None = None,
    **tables: type[Settings],
) -> Callable[[Command], Command]:
    """Put the settings of the tables in the place of the command's parameter `given`.

    `usual` says which recipe is meant where none is named. Tables `beside` them have no options: `--set
    table.key=value` alone reaches them.

    A setting that the command declares itself, under the name of its field, stays the command's own option, whose
    value reaches the table all the same where it is not None.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = set(signature.parameters)
        homes = {name: table for table, kind in tables.items() for name in declared(kind)}
        every = {name: known for kind in tables.values() for name, known in declared(kind).items()}
        options = [_parameter(known) for name, known in every.items() if name not in own]
        names = [option.name for option in options]
        # Settings that are no part of a recipe have options alone, the rare ones hidden.
        extra = [_recipe_option(usual)] if recipe else []
        extra += [_SET] if recipe and tables else []
        extra += [_HELP_ALL] if tables else []
        parameters: list[inspect.Parameter] = []
        for name, parameter in signature.parameters.items():
            parameters += (
                [*extra[:-1], *options, *extra[-1:]]
                if name == "given"
                else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
            )

        @wraps(command)
        def with_settings(**received: Any) -> None:
            chosen = received.pop("recipe", None)
            if chosen is not None:
                quiet = received.get("quiet", getattr(received.get("run"), "quiet", False))
                said = unread(chosen, {*tables, *(beside or {})})
                if said and not quiet:
                    typer.echo(f"note: {printable(said)}", err=True)
            lines = received.pop("set_", None) or []
            received.pop("help_all", None)
            values = {name: received.pop(name) for name in names}
            values |= {name: received[name] for name in own & set(every)}
            changes: dict[str, dict[str, Any]] = {}
            for name, value in values.items():
                if value is not None and value != []:
                    known = every[name]
                    changes.setdefault(homes[name], {})[name] = _joined(known, value)
            for line in lines:
                table, name, value = _assigned(line, tables, {**tables, **(beside or {})})
                if name in changes.get(table, {}):
                    raise ConfigError(
                        f"{table}.{name} is given twice", remedy="give it once", setting=name, where="--set"
                    )
                changes.setdefault(table, {})[name] = value
            command(**received, given=Given(chosen, changes))

        with_settings.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        with_settings.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_settings

    return decorate


@dataclass(frozen=True)
class _Value:
    """A setting's value that may be None, which Typer takes for an option that was not given."""

    value: Any

    def __str__(self) -> str:
        return str(self.value)


def _parameter(known: Declared) -> inspect.Parameter:
    names = [known.spelling]
    parser: Callable[[Any], Any] | None = None
    annotation: Any
    if known.kind is bool and known.shape == "one":
        names = [f"{known.spelling}/--no-{known.spelling[2:]}"]
        annotation = bool | None
    else:
        parser = _parser(known)
        annotation = list[Any] | None if known.shape == "weights" else Any
    option = typer.Option(
        *names,
        parser=parser,
        metavar=known.metavar or _metavar(known),
        help=_help(known),
        show_default=False,
        hidden=not known.everyday,
        rich_help_panel=known.panel or None,
    )
    if known.kind is bool:
        option.metavar = None
    return inspect.Parameter(
        known.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation, option]
    )


def _parser(known: Declared) -> Callable[[Any], Any]:
    def parse(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        try:
            return _Value(parse_text(known, text))
        except ConfigError as error:
            said = f"received {text!r}; expected {expected(known)}"
            # The nearest name is worth more than the list of all.
            near = next((one for one in error.remedies if one.startswith("did you mean")), None)
            raise typer.BadParameter(f"{error.what}; {near}" if near else said) from None

    return parse


def plain(value: Any) -> Any:
    """What was given, of an option that `takes` made or of another."""
    return value.value if isinstance(value, _Value) else value


def _joined(known: Declared, value: Any) -> Any:
    """The value of an option: of one that is repeated, all its parts, the last of a name winning."""
    if isinstance(value, _Value):
        return value.value
    if known.shape == "weights":
        parts = [part.value if isinstance(part, _Value) else part for part in value]
        return () if None in parts else tuple(dict(pair for part in parts for pair in part).items())
    return value


def _metavar(known: Declared) -> str:
    if known.choices:
        return "NAME" if known.kind is str else "NAME|X"
    return {int: "N", float: "X", str: "TEXT"}.get(known.kind, "VALUE") + (
        "[,...]" if known.shape == "several" else ""
    )


def _help(known: Declared) -> str:
    names = ""
    if known.choices and len(known.choices) < 12:
        names = f" {'One of' if known.kind is str else 'Or'} {', '.join(known.choices)}."
    unit = f" In units of the {known.unit}." if known.unit and not known.unit.startswith("`") else ""
    return known.help + names + unit


def _assigned(
    line: str, tables: Mapping[str, type[Settings]], every: Mapping[str, type[Settings]]
) -> tuple[str, str, Any]:
    """Table, key and value of a `--set`; a key without its table is of one that has options."""
    try:
        return _assignment(line, tables, every)
    except ConfigError as error:
        raise ConfigError(f"{line!r}: {error.what}", remedy=error.remedies, where="--set") from None


def _assignment(
    line: str, tables: Mapping[str, type[Settings]], every: Mapping[str, type[Settings]]
) -> tuple[str, str, Any]:
    key, equals, text = line.partition("=")
    table, dot, name = key.strip().partition(".")
    if not equals:
        raise ConfigError("no value is given", remedy="write KEY=VALUE")
    if not dot:
        name = table
        homes = [each for each, kind in tables.items() if name in declared(kind)]
        if len(homes) != 1:
            keys = {f"{each}.{one}": "" for each, kind in tables.items() for one in declared(kind)}
            # Tables that no option is of are named with theirs.
            beside = [each for each, kind in every.items() if each not in tables and name in declared(kind)]
            homes = homes or beside
            choose(key, keys if not homes else {f"{home}.{name}": "" for home in homes}, what="key")
        table = homes[0]
    kind = choose(table, every, what="table")
    known = choose(name, declared(kind), what=f"key of {table}")
    return table, name, parse_text(known, text.strip())


def _extra(name: str, annotation: Any) -> inspect.Parameter:
    default = False if name == "help_all" else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _recipe_option(usual: str) -> inspect.Parameter:
    """`--recipe`, with what is started from where it is not given."""
    return _extra(
        "recipe",
        Annotated[
            str | None,
            typer.Option(
                "--recipe",
                metavar="NAME|FILE|RUN",
                help=f"Settings to start from; see `otkit recipe list`.{usual and f' Default: {usual}.'}",
                show_default=False,
                rich_help_panel="Recipe",
            ),
        ],
    )


_SET = _extra(
    "set_",
    Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a key of them; see `otkit recipe keys`.",
            show_default=False,
            rich_help_panel="Recipe",
        ),
    ],
)
_HELP_ALL = _extra("help_all", HelpAll)
