"""```` ```{run} ````: Python that runs while the site is built, with what it gives below it, as in a notebook.

The blocks of a page share their names. A block that fails is a failed build.
"""

from __future__ import annotations

import ast
import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_ROOT = Path(__file__).resolve().parents[2]


class Run(SphinxDirective):
    has_content = True

    def run(self) -> list[nodes.Node]:
        code = "\n".join(self.content)
        names = self.env.current_document.setdefault("run_names", {"__name__": "__main__"})
        printed, value = executed(code, names)
        block = nodes.literal_block(code, code, language="python")
        self.set_source_info(block)
        shown: list[nodes.Node] = [block]
        if printed:
            shown.append(nodes.literal_block(printed, printed, language="text"))
        if value is not None:
            html = getattr(value, "_repr_html_", None)
            text = repr(value)
            shown.append(
                nodes.raw("", html(), format="html")
                if html
                else nodes.literal_block(text, text, language="text")
            )
        return shown


def executed(code: str, names: dict[str, Any]) -> tuple[str, Any]:
    """What the code prints, and the value of its last line if that is an expression. Files go to a folder of their
    own, in which the sample data lies."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(printed),
    ):
        Path("sample_data").symlink_to(_ROOT / "sample_data")
        exec(compile(tree, "docs", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "docs", "eval"), names) if last is not None else None
    return printed.getvalue(), value


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("run", Run)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
