"""`manifest.json` of an exported folder: what each file must be, what the graph gives, how it was
measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otkit.encoders.settings import read_json
from otkit.errors import CheckpointError
from otkit.files import MARKER, sha256_of, to_json

__all__ = ["FORMAT", "MANIFEST", "file_facts", "is_as_stated", "read_manifest", "write_manifest"]

MANIFEST = "manifest.json"
FORMAT = "otkit-onnx-1"


def file_facts(path: Path) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def is_as_stated(path: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a file is the one that a manifest means; the hash is taken only where the size fits."""
    return path.stat().st_size == facts.get("bytes") and sha256_of(path) == facts.get("sha256")


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of a finished folder: `facts`, and size and hash of every other file."""
    files = {
        path.relative_to(folder).as_posix(): file_facts(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, MARKER)
    }
    (folder / MANIFEST).write_text(to_json({"format": FORMAT, **facts, "files": files}), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, after every file that it lists was found unchanged."""
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(
            f"holds an ONNX file but no {MANIFEST}, so nothing says what the graph takes and gives",
            where=str(folder),
            remedy="export the encoder with otkit export",
        )
    manifest = read_json(path)
    files = manifest.get("files")
    if manifest.get("format") != FORMAT or not isinstance(files, dict):
        raise CheckpointError(
            f"is not a manifest of the format {FORMAT!r}", where=str(path), remedy="export the encoder again"
        )
    for name, stated in files.items():
        file = folder / name
        if not isinstance(stated, dict) or Path(name).is_absolute() or ".." in Path(name).parts:
            raise CheckpointError(
                f"the entry {name!r} cannot be used", where=str(path), remedy="export again"
            )
        if not file.is_file():
            raise CheckpointError(
                f"{name} is missing", where=str(folder), remedy="copy the whole folder again"
            )
        if not is_as_stated(file, stated):
            raise CheckpointError(
                f"{name} is not the file that was exported (its SHA-256 differs from {MANIFEST})",
                where=str(folder),
                remedy="copy the folder again from where you trust it, or export again",
            )
    return manifest
