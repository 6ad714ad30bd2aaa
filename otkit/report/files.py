"""Pictures and pages reach the disk whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from otkit.errors import OtkitError, reason_of

__all__ = ["write_whole"]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise OtkitError(
            f"cannot be written: {reason_of(error)}", where=str(path), remedy="choose another output"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
