"""The page of all settings, from their declarations: it cannot go stale."""

from __future__ import annotations

from pathlib import Path

from modules import write_if_new
from sphinx.application import Sphinx

from otkit.cli.recipe import tables
from otkit.recipes import TABLES, shown
from otkit.settings import Declared, declared

INTRODUCTION = """# All settings

A recipe is a TOML file with the tables below. `--set table.key=value` changes a key on the command line, the table's
name is a keyword in Python (`otkit.train(..., objective={"tau": 0.2})`), and the word `none` stands for no value.
`otkit recipe keys` prints the same.
"""


def write_page(app: Sphinx) -> None:
    parts = [INTRODUCTION]
    for table, kind in tables().items():
        meaning = TABLES[table]
        parts += [f"## {table}", "", meaning[0].upper() + meaning[1:] + ".", ""]
        parts += ["| key | default | meaning |", "|---|---|---|"]
        parts += [row(known) for known in declared(kind).values()]
        parts.append("")
    write_if_new(Path(app.srcdir) / "settings.md", "\n".join(parts))


def row(known: Declared) -> str:
    names = "".join(f"<br>`{name}`: {meaning}" for name, meaning in known.choices.items())
    unit = f" In units of the {known.unit}." if known.unit and not known.unit.startswith("`") else ""
    unit = " In `unit`." if known.unit.startswith("`") else unit
    text = f"{known.help}{unit}{names}".replace("|", "\\|")
    return f"| `{known.name}` | `{shown(known.default)}` | {text} |"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
