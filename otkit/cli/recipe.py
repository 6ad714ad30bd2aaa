"""`otkit recipe`: the settings of published methods, and every key that a recipe may have."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from otkit.cli.command import Command
from otkit.cli.stdout import write_data
from otkit.errors import choose
from otkit.recipes import TABLES, read_recipe, recipe_names
from otkit.settings import Declared, Settings, declared, expected, written

__all__ = ["key_text", "recipe", "tables"]

recipe = typer.Typer(
    name="recipe", no_args_is_help=True, help="List recipes, show one, or show the keys that it may have."
)


@recipe.command("list", cls=Command)
def list_recipes() -> None:
    """List the recipes that come with otkit, each with its source.

    otkit recipe list
    """
    names = recipe_names()
    width = max(map(len, names)) + 2
    room = max(shutil.get_terminal_size((80, 24)).columns - width, 20)
    for name in names:
        source = textwrap.shorten(read_recipe(name).source, room, placeholder=" ...")
        write_data(f"{name:<{width}}{source}\n")


@recipe.command("show", cls=Command)
def show_recipe(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE|RUN", help="A recipe, a TOML file, or a trained folder.")
    ],
) -> None:
    """Print a recipe as its file has it: the start of a file of your own.

    otkit recipe show best > mine.toml
    """
    write_data(Path(read_recipe(name).where).read_text(encoding="utf-8"))


@recipe.command("keys", cls=Command)
def show_keys(
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help=f"One of {', '.join(TABLES)}.")
    ] = None,
) -> None:
    """Show the keys of a recipe: default, what it takes, and what it does.

    otkit recipe keys objective
    """
    kinds = tables()
    if table is not None:
        choose(table, kinds, what="table", setting="table")
    for name in [table] if table else kinds:
        write_data(f"[{name}]  # {TABLES[name]}\n\n")
        for known in declared(kinds[name]).values():
            write_data(key_text(known) + "\n\n")


def tables() -> dict[str, type[Settings]]:
    """The settings of every table that a recipe may have."""
    from otkit.projection.settings import LexiconSettings, SpanSettings
    from otkit.training.recipe import Recipe
    from otkit.training.settings import TransferSettings

    recipe = Recipe()
    kinds: dict[str, type[Settings]] = {name: type(getattr(recipe, name)) for name in recipe.tables()}
    return {**kinds, "projection": SpanSettings, "lexicon": LexiconSettings, "transfer": TransferSettings}


def key_text(known: Declared) -> str:
    """A key with its default, what it takes with the names' meanings, and its help, in lines of 80 columns."""
    ground = {"`unit`": "in the unit that the key `unit` names", "": ""}
    unit = ground.get(known.unit, f"in units of the {known.unit}")
    lines = [f"{known.name} = {_in_toml(written(known, known.default))}"]
    lines += _wrapped(known.help)
    if known.choices:
        for name, meaning in known.choices.items():
            lines += _wrapped(f"{name}: {meaning}", "  - ", "    ")
    if not known.choices or known.kind is not str or known.shape != "one":
        takes = expected(known)
        if len(known.choices) > 3:
            takes = takes.replace(f"one of {', '.join(known.choices)}", "one of these names")
        lines += _wrapped("; ".join(filter(None, [f"takes {takes}", unit])))
    if known.spelling != "--" + known.name.replace("_", "-"):
        lines += _wrapped(f"the option is {known.spelling}")
    return "\n".join(lines)


def _in_toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {each}' for name, each in value.items())} }}" if value else "{}"
    return json.dumps("none" if value is None else value, allow_nan=False)


def _wrapped(text: str, first: str = "  ", rest: str = "  ") -> list[str]:
    return textwrap.wrap(text, 79, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
