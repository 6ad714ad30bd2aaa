"""Docstrings as otkit writes them, to reStructuredText.

They are plain text to be read in an editor: paragraphs, code between single backticks, and tables and drawings that
spaces line up. So prose is escaped but for its backticks, and what is lined up stays as it is.
"""

from __future__ import annotations

import re
from itertools import groupby

from sphinx.application import Sphinx

_CODE = re.compile(r"(`+[^`]+`+)")
_LINED_UP = re.compile(r"^\S+(?:[ ,]+\S+){0,5}? {2,}\S|[├└│]")


def paragraphs(lines: list[str]) -> list[list[str]]:
    return [list(group) for filled, group in groupby(lines, key=lambda line: bool(line.strip())) if filled]


def converted(lines: list[str]) -> list[str]:
    found: list[str] = []
    for paragraph in paragraphs(lines):
        if paragraph[0].startswith("  ") or any(map(_LINED_UP.search, paragraph)):
            found += [".. code-block:: text", "", *(f"    {line}" for line in paragraph)]
        else:
            # One line, so that code between backticks that a line break cuts is whole.
            found.append(escaped(" ".join(line.strip() for line in paragraph)))
        found.append("")
    return found


def escaped(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(
        f"\\ ``{part.strip('` ')}``\\ " if place % 2 else re.sub(r"([\\*|_`])", r"\\\1", part)
        for place, part in enumerate(parts)
    )


def plain_text(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    if lines and lines[0].startswith("Alias for field number"):  # what Python says of a named tuple's fields
        lines.clear()
    elif name.startswith("otkit"):
        lines[:] = converted(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", plain_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
