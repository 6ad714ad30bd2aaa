"""Messages name options that exist: every option that a string of the package names is one of every command that can
print it, and errors of the library are told in the words of the command that was run.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import typer

import otkit
from otkit.cli.app import app
from otkit.cli.messages import SETTING

ROOT = Path(otkit.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?![\w-])")
NAMED = re.compile(r"\botkit ([a-z][a-z-]*)")
IN_PYTHON_ALONE = {"long"}  # settings of functions that no command lets anybody set

Name = tuple[str, str]  # a module and a name that stands at its top level


@dataclass
class Definition:
    """What stands under a name at the top level of a module: the names that it uses, and its strings."""

    uses: set[Name] = field(default_factory=set)
    strings: list[tuple[str, str]] = field(default_factory=list)


@cache
def commands() -> dict[str, Any]:
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@cache
def options(command: str) -> set[str]:
    each = (param for param in commands()[command].params if param.param_type_name == "option")
    return {word for param in each for word in (*param.opts, *param.secondary_opts, "--help")}


@cache
def definitions() -> dict[Name, Definition]:
    found: dict[Name, Definition] = {}
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(["otkit", *path.relative_to(ROOT).with_suffix("").parts])
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = [(name, node) for node in tree.body for name in _names(node)]
        own = {name: (module, name) for name, _ in top}
        shared = {**own, **_imports(tree.body)}
        for name, node in top:
            definition = found.setdefault((module, name), Definition())
            known = {**shared, **_imports(list(ast.walk(node)))}
            words = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            definition.uses |= {known[word] for word in words if word in known}
            definition.strings += [(f"{module}:{line}", text) for line, text in _strings(node)]
    return found


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [
        each.id for target in targets if target for each in ast.walk(target) if isinstance(each, ast.Name)
    ]


def _imports(nodes: list[Any]) -> dict[str, Name]:
    """Local name to what it is, of imports out of otkit, those under `if TYPE_CHECKING` aside."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("otkit")
        for alias in node.names
    }


def _strings(node: ast.AST) -> Iterator[tuple[int, str]]:
    """The strings of a definition that are no docstrings."""
    docs = {id(each.value) for each in ast.walk(node) if isinstance(each, ast.Expr)}
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in docs:
            yield each.lineno, each.value


@cache
def reached(command: str) -> set[Name]:
    """All definitions that a command uses, through whatever others."""
    callback = inspect.unwrap(commands()[command].callback)
    waiting, seen = [(callback.__module__, callback.__name__)], set()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in definitions():
            seen.add(name)
            waiting += definitions()[name].uses
    return seen


def users(name: Name) -> list[str]:
    return [command for command in commands() if name in reached(command)]


def test_the_way_from_a_command_to_a_message_is_seen() -> None:
    assert set(users(("otkit.data.formats", "_complaint"))) >= {
        "align",
        "extract",
        "check",
        "embed",
        "report",
    }
    assert users(("otkit.evaluation.mining", "read_mining")) == ["evaluate"]
    assert users(("otkit.export.trim", "trim_vocabulary")) == ["export"]
    assert len(definitions()) > 1000


def test_every_option_that_a_message_names_is_one_of_the_commands_that_print_it() -> None:
    wrong, seen = [], 0
    for name, definition in definitions().items():
        for where, text in definition.strings:
            text = re.sub(r"accelerate launch.*|style=\".*", "", text)
            named = [command for command in NAMED.findall(text) if command in commands()]
            for option in OPTION.findall(text):
                seen += 1
                lacking = [each for each in named or users(name) if option not in options(each)]
                if lacking:
                    wrong.append(f"{where}: {option} is no option of {', '.join(lacking)}: {text[:90]!r}")
    assert seen > 50
    assert not wrong, "\n".join(wrong)


def test_every_setting_that_the_library_advises_is_one_of_a_command_that_prints_it() -> None:
    wrong, seen = [], 0
    for name, definition in definitions().items():
        for where, text in definition.strings:
            for setting in SETTING.finditer(text):
                if setting[2] is None or setting[1] in IN_PYTHON_ALONE:
                    continue
                seen += 1
                parameters = {param.name for command in users(name) for param in commands()[command].params}
                if not parameters & {setting[1], f"input_{setting[1]}"}:
                    wrong.append(f"{where}: {setting[0]}")
    assert seen >= 10
    assert not wrong, "\n".join(wrong)
