"""A terminal's picture as an SVG file, for a README: the characters and colours that the terminal shows."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

__all__ = ["terminal_svg"]

# rich fills in what is between braces; the fonts are the reader's own, so that nothing is loaded from elsewhere.
_SVG = """\
<svg class="otkit-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, monospace; }}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def terminal_svg(picture: RenderableType, *, width: int, title: str) -> str:
    """The picture as rich exports it."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=width,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    console.print(picture)
    return console.export_svg(title=title, code_format=_SVG)
