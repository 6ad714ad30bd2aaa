"""The site must be readable without a network: a page that would load anything from elsewhere fails the build."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

_LOG = logging.getLogger(__name__)

# Links that a reader may follow are fine; what a browser fetches by itself is not.
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\ssrc\s*=\s*["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b(?=[^>]*\brel\s*=\s*["']?(?:stylesheet|icon|preload|preconnect|modulepreload))[^>]*"""
    r"""href\s*=\s*["']?(?:https?:)?//[^>]*>"""
    r"""|@import\s+["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//""",
    re.IGNORECASE,
)


def refuse_addresses(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.name != "html":
        return
    for path in Path(app.outdir).rglob("*"):
        if path.suffix in (".html", ".css", ".svg"):
            found = _FETCHED.search(path.read_text(encoding="utf-8"))
            if found is not None:
                _LOG.warning("%s would fetch %s", path, found[0][:120])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", refuse_addresses)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
