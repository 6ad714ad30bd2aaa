"""Checkpoints that survive a kill at any moment: written beside, hashed, renamed, and checked before they are
used.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from otkit.errors import TrainingError, reason_of
from otkit.files import json_in, to_json

__all__ = [
    "Checkpoint",
    "append_text",
    "latest_checkpoint",
    "partial_folder",
    "write_checkpoint",
]

_PARTIAL = ".partial-"
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: its folder, the optimiser step it stands at, and what the loop noted there."""

    folder: Path
    step: int
    progress: dict[str, Any]


def partial_folder(root: Path, step: int) -> Path:
    """Where the checkpoint of a step stands until it is whole."""
    return root / f"{_PARTIAL}step-{step:08d}"


def write_checkpoint(
    root: Path, step: int, progress: dict[str, Any], save: Callable[[Path], None], *, keep: int
) -> Path:
    """Let `save` fill a folder, seal it with a manifest, and rename it to its final name; keep the newest
    `keep`.
    """
    partial, final = partial_folder(root, step), root / f"step-{step:08d}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save(partial)
        manifest = {"step": step, "progress": progress, "files": _hashes(partial)}
        (partial / _MANIFEST).write_text(to_json(manifest), encoding="utf-8")
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
    except (OSError, RuntimeError, SafetensorError) as error:
        # torch and safetensors report a full disk in their own ways.
        shutil.rmtree(partial, ignore_errors=True)
        raise TrainingError(
            f"the checkpoint of step {step} could not be written ({reason_of(error)})",
            where=str(root),
            remedy="make room, or choose another output; continue from the checkpoint before with `resume=True`",
        ) from error
    for old in _steps(root)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def latest_checkpoint(root: Path, *, note: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is whole; a damaged one is named through `note` and passed over."""
    for leftover in root.glob(f"{_PARTIAL}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for folder in reversed(_steps(root)):
        try:
            manifest = json_in(folder / _MANIFEST)
            wrong = [name for name, digest in manifest["files"].items() if _hash(folder / name) != digest]
            step, progress = int(manifest["step"]), manifest["progress"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            note(f"{folder}: damaged checkpoint passed over ({error})")
            continue
        if wrong:
            note(
                f"{folder}: damaged checkpoint passed over (changed since it was written: {', '.join(wrong)})"
            )
            continue
        return Checkpoint(folder, step, progress)
    return None


def append_text(path: Path, text: str) -> None:
    """Add a line to a file, or say why it cannot be."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise TrainingError(
            f"cannot be written ({reason_of(error)})",
            where=str(path),
            remedy="make room, then continue with `resume=True`",
        ) from error


def _steps(root: Path) -> list[Path]:
    return sorted(root.glob("step-[0-9]*"))


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): _hash(path) for path in files}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
