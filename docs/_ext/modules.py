"""A page of the API for each floor of the package, from the files that are there."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

from sphinx.application import Sphinx

import otkit

ROOT = Path(otkit.__file__).parent
FLOORS = {
    "": "Python's way in",
    "transport": "Transport: tensors in, plans out",
    "encoders": "Encoders: text to vectors",
    "data": "Data: files to typed examples",
    "alignment": "Alignment: plans to word links",
    "training": "Training",
    "evaluation": "Evaluation: figures, without a printed word",
    "projection": "Projection: labels, tags and lexicons",
    "vectors": "Vectors: embed, index, search",
    "exports": "Exports",
    "reports": "Reports: text, pages and pictures",
    "api": "The functions that `import otkit` gives",
}


def write_pages(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    for stale in {path.stem for path in folder.glob("*.rst")} - {floor or "otkit" for floor in FLOORS}:
        (folder / f"{stale}.rst").unlink()
    for floor, title in FLOORS.items():
        files = sorted((ROOT / floor).glob("*.py"))
        names = [
            ".".join(["otkit", *filter(None, [floor]), file.stem]) for file in files if file.stem[0] != "_"
        ]
        text = "\n".join([title, "=" * len(title), "", *map(section, names)])
        write_if_new(folder / f"{floor or 'otkit'}.rst", text)


def section(module: str) -> str:
    """Everything in the module's `__all__` that the module itself defines."""
    opened = importlib.import_module(module)
    imported = imported_names(Path(str(opened.__file__)))
    elsewhere = [name for name in getattr(opened, "__all__", []) if name in imported]
    exclude = f"\n   :exclude-members: {', '.join(elsewhere)}" if elsewhere else ""
    return f"{module}\n{'-' * len(module)}\n\n.. automodule:: {module}{exclude}\n"


def imported_names(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def write_if_new(path: Path, text: str) -> None:
    """A page that stays the same is not built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
