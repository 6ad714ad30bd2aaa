"""JSON files with figures, and what the figures rest on beside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otkit.provenance import versions
from otkit.report.files import write_whole

__all__ = ["write_document"]


def write_document(path: Path, figures: Mapping[str, Any]) -> None:
    """Write figures with the command line and the versions of what computed them."""
    document = {"command": sys.argv[1:], "versions": versions(), **figures}
    text = json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
