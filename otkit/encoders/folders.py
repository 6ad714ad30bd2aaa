"""Folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from otkit.errors import ExportError, reason_of

__all__ = ["fresh_folder"]


@contextmanager
def fresh_folder(final: Path) -> Iterator[Path]:
    """A temporary folder beside `final` that takes its place when the block ends well, and vanishes
    otherwise.

    A folder that was there before is set aside first and deleted last, so a kill at any moment leaves one
    whole copy on disk: under its name, or (between two renames) as `.NAME.old-*` beside it.
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.new-", dir=final.parent))
    except OSError as error:
        raise ExportError(
            f"the folder cannot be written ({reason_of(error)})",
            where=str(final),
            remedy="choose another output",
        ) from error
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp makes it private
        if final.exists() and not final.is_dir():
            raise ExportError("is a file, not a folder", where=str(final), remedy="choose another output")
        aside = (
            Path(tempfile.mkdtemp(prefix=f".{final.name}.old-", dir=final.parent)) if final.exists() else None
        )
        if aside is not None:
            final.replace(aside)
        temporary.replace(final)
        if aside is not None:
            shutil.rmtree(aside)
    except (OSError, SafetensorError) as error:
        raise ExportError(
            f"the folder could not be written ({reason_of(error)})",
            where=str(final),
            remedy="make room or choose another output; what was there before is kept",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
