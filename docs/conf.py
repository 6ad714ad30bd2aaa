"""The documentation as a site: `make docs`. Built without a network, and read without one.

Sphinx rather than MkDocs with its Material theme: the latter is in maintenance only, Sphinx turns every warning
into an error with one switch, and its `add_html_math_renderer` lets formulas be MathML, made while building.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from otkit import __version__

project, release = "otkit", __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "commands",
    "docstrings",
    "modules",
    "mathml",
    "offline",
    "results_page",
    "settings_reference",
    "run",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
smartquotes = False  # they turn --option into a dash
exclude_patterns = ["_ext"]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"otkit {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False

# The words between single backticks in a docstring are code.
default_role = "code"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 90
