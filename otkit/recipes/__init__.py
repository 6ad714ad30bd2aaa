"""Recipes: the settings of a published method, or of a run, as one TOML file.

A recipe has the tables that `TABLES` names; a key that it leaves out keeps its default. The files beside this one are
otkit's own, each with its source in its first comment.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from otkit.errors import ConfigError, choose, reason_of
from otkit.settings import Settings

__all__ = [
    "RECIPE_FILE",
    "TABLES",
    "RecipeFile",
    "read_recipe",
    "recipe_names",
    "recipe_text",
    "settings_of",
    "shown",
    "unread",
]

Some = TypeVar("Some", bound=Settings)

TABLES = {
    "alignment": "how words are aligned, by every command that does",
    "check": "how translations are checked",
    "lexicon": "what a lexicon counts and keeps",
    "projection": "how labels and tags are carried to a translation",
    "objective": "what fine-tuning compares, and which losses it adds",
    "batching": "how sentence pairs become batches",
    "training": "how long and how fast a run trains",
    "tuning": "which part of the encoder is trained",
    "transfer": "how a task is fine-tuned beside parallel text and copies",
}

RECIPE_FILE = "recipe.toml"
"""The recipe in the folder of an encoder that otkit trained."""

_LARGEST = 1_000_000
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class RecipeFile:
    """A recipe as its file has it: `tables` are not yet checked, since each belongs to another room."""

    name: str
    where: str
    source: str
    tables: Mapping[str, Mapping[str, Any]]

    def table(self, name: str) -> dict[str, Any]:
        """One table; empty where the file does not have it."""
        return dict(self.tables.get(name, {}))


def recipe_names() -> list[str]:
    """The recipes that come with otkit."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def read_recipe(recipe: str | Path) -> RecipeFile:
    """The recipe of a name, of a TOML file, or of a folder that `align` made."""
    path = Path(recipe).expanduser()
    if isinstance(recipe, str) and recipe in recipe_names():
        path = _HERE / f"{recipe}.toml"
    elif path.is_dir():
        if not (path / RECIPE_FILE).is_file():
            raise ConfigError(
                f"the folder {recipe} has no {RECIPE_FILE}",
                remedy="name a folder that `otkit align` wrote, or a recipe",
                setting="recipe",
            )
        path /= RECIPE_FILE
    elif not path.is_file():
        near = difflib.get_close_matches(str(recipe), recipe_names(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"there is no recipe {str(recipe)!r}",
            remedy=f"{hint}choose from: {', '.join(recipe_names())}; or name a TOML file, or a folder that was trained",
            setting="recipe",
        )
    return _parsed(path, name=path.parent.name if path.name == RECIPE_FILE else path.stem)


def unread(recipe: str | Path, tables: Collection[str]) -> str | None:
    """What to say of a recipe that has none of the `tables` that are read: it is without effect. An empty one is all
    defaults, as it looks."""
    file = read_recipe(recipe)
    if not file.tables or set(file.tables) & set(tables):
        return None
    has = ", ".join(f"[{name}]" for name in file.tables)
    return f"the recipe {recipe} has {has}, and none of them is read here: the defaults hold"


def settings_of(recipe: str | Path | None, table: str, kind: type[Some], base: Some | None = None) -> Some:
    """The settings of a recipe's table on top of the defaults, or of `base`; those themselves without a recipe."""
    found = base or kind()
    if recipe is None:
        return found
    file = read_recipe(recipe)
    try:
        return found.changed(**kind.read(file.table(table)))
    except ConfigError as error:
        raise ConfigError(error.what, where=file.where, remedy=error.remedies) from None


def _parsed(path: Path, *, name: str) -> RecipeFile:
    where = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ConfigError("is too large for a recipe", where=where, remedy="name a TOML file")
        text = data.decode("utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot be read ({reason_of(error)})", where=where) from error
    except (ValueError, RecursionError) as error:  # invalid UTF-8 is a ValueError too
        raise ConfigError(
            f"is not valid TOML ({reason_of(error)})", where=where, remedy="mend the file"
        ) from error
    for table, values in document.items():
        try:
            choose(table, TABLES, what="table")
        except ConfigError as error:
            raise ConfigError(error.what, where=where, remedy=error.remedies) from None
        if not isinstance(values, dict):
            raise ConfigError(
                f"{table} is no table", where=where, remedy=f"write its settings below [{table}]"
            )
    comment = [line[1:].strip() for line in _first_comment(text)]
    return RecipeFile(name, where, " ".join(comment), document)


def _first_comment(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    return lines


def recipe_text(tables: Mapping[str, Mapping[str, Any]], *, source: str) -> str:
    """A recipe's TOML: `source` as its first comment, then the tables. TOML has no null: the word `none` stands for
    it."""
    comment = "".join(f"# {line}\n" for line in source.splitlines())
    return comment + "\n" + tomli_w.dumps({name: _plain(table) for name, table in tables.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return "none" if value is None else value


def shown(value: Any) -> str:
    """A value as a recipe's line has it."""
    return "none" if value is None else json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
