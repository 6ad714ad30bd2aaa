"""A page for each command, from the help that the command itself prints: it cannot go stale."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modules import write_if_new
from sphinx.application import Sphinx

from otkit.cli.app import every_command

_EXAMPLES = "[bold]Examples[/bold]"


def write_pages(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "commands"
    folder.mkdir(exist_ok=True)
    pages = {name.replace(" ", "-"): page(name, command) for name, command in every_command().items()}
    for stale in {path.stem for path in folder.glob("*.md")} - set(pages):
        (folder / f"{stale}.md").unlink()
    for name, text in pages.items():
        write_if_new(folder / f"{name}.md", text)


def page(name: str, command: Any) -> str:
    about, _, examples = inspect.cleandoc(command.help).partition(_EXAMPLES)
    lines = [f"# otkit {name}", "", escaped(about), ""]
    if shown := [f"$ {line.strip()}" for line in examples.splitlines() if line.strip()]:
        lines += ["## Examples", "", "```console", *shown, "```", ""]
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    if arguments:
        lines += ["## Arguments", "", *table(arguments)]
    panels: dict[str, list[Any]] = {}
    for each in command.params:
        if each.param_type_name == "option":
            panels.setdefault(each.rich_help_panel or "Options", []).append(each)
    for title, options in panels.items():
        lines += [f"## {title}", "", *table(options)]
    return "\n".join(lines)


def table(rows: Iterable[Any]) -> list[str]:
    lines = ["| name | meaning |", "|---|---|"]
    for each in rows:
        lines.append(f"| {spelling(each)} | {escaped(each.help or '')}{default(each)} |")
    return [*lines, ""]


def spelling(each: Any) -> str:
    names = [*each.opts, *each.secondary_opts] if each.param_type_name == "option" else []
    value = "" if names and each.is_flag else each.metavar or ("" if names else each.name.upper())
    parts = [", ".join(f"`{name}`" for name in names), f"`{value}`" if value else ""]
    return escaped_bars(" ".join(filter(None, parts)))


def default(each: Any) -> str:
    shown = each.param_type_name == "option" and each.show_default and not each.is_flag
    return f" Default: `{each.default}`." if shown and each.default is not None else ""


def escaped(text: str) -> str:
    """Markdown that says what the terminal says: rich's own marks gone, the rest taken as text."""
    plain = re.sub(r"\[/?bold\]", "", text).strip()
    paragraphs = re.sub(r"([*_<\[\]#])", r"\\\1", plain).split("\n\n")
    return escaped_bars("\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs))


def escaped_bars(text: str) -> str:
    return text.replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
