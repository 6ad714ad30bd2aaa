"""The floors of the house: a file imports only from floors below its own, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import otkit

ROOT = Path(otkit.__file__).parent

FLOORS = {
    "errors": 0,
    "settings": 1,
    "files": 1,
    "cluster": 1,
    "resources": 1,
    "provenance": 1,
    "recipes": 2,
    "transport": 2,
    "encoders": 3,
    "data": 4,
    "alignment": 5,
    "checks": 6,
    "training": 6,
    "sentence_transformers": 7,
    "evaluation": 7,
    "projection": 8,
    "vectors": 7,
    "exports": 7,
    "reports": 8,
    "inspector": 9,
    "api": 10,
    "__init__": 11,
    "cli": 12,
    "__main__": 13,
}


def imports(path: Path) -> Iterator[str]:
    """The otkit modules that a file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def test_every_import_points_down() -> None:
    wrong = []
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "otkit" or len(parts) == 1:
                continue
            other = parts[1]
            if other != room and FLOORS[other] >= FLOORS[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_pot_is_imported_in_one_file_only() -> None:
    users = [path.name for path in ROOT.rglob("*.py") if "ot" in set(imports(path))]
    assert users == ["exact.py"]


@pytest.mark.parametrize(
    ("begun", "heavy"),
    [
        (
            "otkit, otkit.cli.app",
            ("torch", "transformers", "faiss", "onnxruntime", "accelerate", "scipy", "numpy"),
        ),
        (
            "otkit.api.align, otkit.api.check, otkit.api.embed, otkit.api.project",
            ("torch.distributed.tensor", "torch._dynamo", "accelerate"),
        ),
    ],
    ids=["the package and its help", "commands that do not train"],
)
def test_what_starts_imports_nothing_that_it_does_not_need(begun: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {begun}; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if path.read_text(encoding="utf-8").strip()
        and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert not silent
