"""How a figure of matplotlib's becomes a file: the same bytes for the same input, and the same picture everywhere."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from otkit.errors import ConfigError
from otkit.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

__all__ = ["FIXED", "FORMATS", "kind_of", "save_figure"]

FORMATS = ("png", "svg")

FIXED = {"svg.fonttype": "path", "svg.hashsalt": "otkit"}
"""Settings to draw and save under: letters as paths, so that an SVG looks the same where fonts are missing, and a fixed
salt."""


def kind_of(path: Path, format: str | None = None) -> str:
    """The format, or what the name ends in: a PNG where it has no ending, such as a device."""
    kind = format or path.suffix.lstrip(".").lower() or "png"
    if kind not in FORMATS:
        raise ConfigError(
            f"a picture cannot be written as {kind!r}", remedy=f"choose from: {', '.join(FORMATS)}"
        )
    return kind


def save_figure(
    figure: Figure, path: Path, *, kind: str, overwrite: bool, dpi: int = 150, box: Bbox | None = None
) -> None:
    """Write the figure, or its part in `box` (inches), as a `png` or an `svg`."""
    metadata = {"Date": None, "Creator": None} if kind == "svg" else None
    drawn = io.BytesIO()  # no file by its name: matplotlib packs what ends in .gz, and so does `write_file`
    figure.savefig(drawn, format=kind, dpi=dpi, bbox_inches=box, metadata=metadata)
    write_file(path, drawn.getvalue(), overwrite=overwrite)
