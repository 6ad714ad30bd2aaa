"""What `pip install otkit` brings: every package that a file imports is one that pyproject.toml asks for."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import otkit

PACKAGE = Path(otkit.__file__).parent
PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = {
    canonicalize_name(Requirement(one).name)
    for name, packages in PROJECT["optional-dependencies"].items()
    if name not in ("dev", "docs", "all")
    for one in packages
}
# Triton comes with torch, where torch has a GPU to compile for, and is looked for; the other is for type checkers.
COMES_ALONG = {"triton", "_typeshed"}


def imported() -> dict[str, set[str]]:
    """Top-level modules of others, by the files that import them, wherever in the file."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(str(path.relative_to(PACKAGE)))
    return found


def test_every_import_is_asked_for() -> None:
    plain = {canonicalize_name(Requirement(one).name) for one in PROJECT["dependencies"]}
    owners = importlib.metadata.packages_distributions()
    stray = {}
    for module, files in imported().items():
        if module in sys.stdlib_module_names or module in ("otkit", *COMES_ALONG):
            continue
        if not {canonicalize_name(name) for name in owners.get(module, [])} & (plain | EXTRAS):
            stray[module] = sorted(files)
    assert not stray


def test_all_extras_of_users_are_in_all_and_no_extra_is_empty() -> None:
    optional = PROJECT["optional-dependencies"]
    (whole,) = (Requirement(one) for one in optional["all"])
    assert whole.extras == {
        *(
            "plots",
            "raw",
            "chinese",
            "japanese",
            "thai",
            "hub",
            "language",
            "lora",
            "parquet",
            "frames",
            "serve",
        ),
        *("tags", "trackers", "losses"),
    }
    assert all(optional.values())


def test_what_the_wheel_holds_has_its_licences() -> None:
    root = Path(__file__).parents[1]
    runtime = "otkit/inspector/website_assets/onnxruntime/LICENSE"
    assert PROJECT["license-files"] == ["LICENSE", "sample_data/encoder/LICENSE", runtime]
    assert "MIT License" in (root / runtime).read_text("utf-8")
    assert "Apache License" in (root / "LICENSE").read_text("utf-8")
    assert "The MIT License" in (root / "sample_data" / "encoder" / "LICENSE").read_text("utf-8")
