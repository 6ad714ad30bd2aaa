"""A terminal's picture as an SVG file, for a README: the characters and colours that the terminal shows."""

from __future__ import annotations

import io
import re

from rich.console import Console, RenderableType

__all__ = ["terminal_svg"]


def terminal_svg(picture: RenderableType, *, width: int, title: str) -> str:
    """The picture as rich exports it, with the fonts of the reader: nothing is loaded from elsewhere."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    shape = re.sub(r"@font-face\s*\{\{.*?\}\}\s*|<!--.*?-->\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console = Console(
        file=io.StringIO(),
        record=True,
        width=width,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    console.print(picture)
    return console.export_svg(title=title, code_format=shape)
