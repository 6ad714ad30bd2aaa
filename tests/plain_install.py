"""The commands of the first page in a plain install: `python -I plain_install.py FOLDER`, the wheel's folder.

Nothing can be imported but the standard library, what lies in FOLDER, and the distributions that otkit's metadata there
requires, with theirs: what else this environment has is hidden from `import` and from `importlib.metadata`, so the
commands find what they would find after `pip install otkit` in an empty environment.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def required(name: str, extras: frozenset[str] = frozenset(), seen: set[Any] | None = None) -> set[str]:
    """A distribution and all that it requires, canonical names."""
    seen = set() if seen is None else seen
    if (name, extras) in seen:
        return set()
    seen.add((name, extras))
    found = {name}
    for text in importlib.metadata.requires(name) or []:
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # for another platform, say
                found |= required(canonicalize_name(one.name), frozenset(one.extras), seen)
    return found


def hide_all_but(allowed: set[str]) -> None:
    """Take every other distribution away from `import` and from `importlib.metadata`."""
    owners = importlib.metadata.packages_distributions()
    hidden = {
        module
        for module, names in owners.items()
        if not allowed & {canonicalize_name(name) for name in names}
    }

    class Plain(PathFinder):
        @classmethod
        def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
            return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)

        @classmethod
        def find_distributions(cls, context: Any = None) -> Iterator[Any]:  # type: ignore[override]
            for one in super().find_distributions(context or importlib.metadata.DistributionFinder.Context()):
                if canonicalize_name(one.name) in allowed:
                    yield one

    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Plain]  # type: ignore[list-item]
    importlib.invalidate_caches()


def run(*words: str) -> str:
    """What a command prints; it must end well."""
    from otkit.cli.app import main

    sys.argv = ["otkit", *words]
    shown = io.StringIO()
    code: Any = 0
    try:
        with contextlib.redirect_stdout(shown):
            main()
    except SystemExit as stop:
        code = stop.code or 0
    assert code == 0, f"otkit {' '.join(words)} ended with {code}"
    return shown.getvalue()


def check(folder: Path) -> None:
    """Run the commands, each on what came with the wheel."""
    places = {str(Path(path).resolve()) for path in sysconfig.get_paths().values()}
    places |= {f"{place}/lib-dynload" for place in places}
    sys.path[:] = [str(folder), *(path for path in sys.path if str(Path(path).resolve()) in places)]
    hide_all_but(required("otkit"))
    for absent in ("pytest", "matplotlib", "peft", "sklearn"):
        assert importlib.util.find_spec(absent) is None, f"{absent} is not hidden"
    import otkit
    from otkit.resources import sample_data

    assert Path(otkit.__file__).is_relative_to(folder), otkit.__file__
    dev, gold = (str(sample_data() / kind / "de-en.dev.tsv") for kind in ("parallel", "gold"))
    links = run("show-alignment", "Das Haus ist klein .", "The house is small .", "--format", "pharaoh")
    assert links.strip() == "0-0 1-1 2-2 3-3 4-4", links
    assert "divergence" in run("align", dev, "--steps", "1", "--batch-size", "2", "--output", "aligned", "-q")
    assert (
        "aer"
        in run(
            "evaluate", "word-alignment", "--gold", gold, "--model", "aligned", "--json", "words.json"
        ).lower()
    )
    assert "exported" in run("export", "aligned", "--output", "exported", "-q")
    assert (Path("exported") / "model.onnx").is_file()
    run("embed", dev, "--output", "vectors", "-q")  # .npy: pyarrow is no part of a plain install
    assert "de-en.dev.tsv" in run("search", "vectors", "Où sont mes clés ?", "-k", "1", "-q")
    assert "paper" in run("recipe", "list")
    sys.stdout.write(
        f"wheel: show-alignment, align, evaluate, export, embed, search and recipe ran from {folder}\n"
    )


if __name__ == "__main__":
    wheel = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        check(wheel)
        os.chdir(wheel)
