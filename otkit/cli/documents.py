"""JSON files with figures, and what the figures rest on beside them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otkit.files import write_json
from otkit.provenance import versions

__all__ = ["write_document"]


def write_document(path: Path, figures: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write figures with the command line and the versions of what computed them."""
    write_json(path, {"command": sys.argv[1:], "versions": versions(), **figures}, overwrite=overwrite)
