"""How long a page of 2,000 sentence pairs takes to open in a headless Chromium: `python -m benchmarks.page`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.common import show
from otkit.reports.html import write_page
from tests.reports.browser import CHROMIUM, browser
from tests.reports.views import big_page


def main() -> None:
    """Open a page of each size, and print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", nargs="*", type=int, default=[200, 2000, 5000], help="sizes of the pages")
    counts = parser.parse_args().pairs
    if CHROMIUM is None:
        raise SystemExit("no Chromium on this machine")
    rows = []
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder) / "profile") as tab:
        for count in counts:
            page = Path(folder) / "page.html"
            write_page(big_page(count), page)
            tab.open(page)  # once, so that the browser itself is warm
            seconds = tab.open(page)
            rows.append((count, page.stat().st_size / 1e6, seconds, tab.work()))
    show("A page of a corpus", ("pairs", "MB", "seconds to open", "of the page's thread"), rows)


if __name__ == "__main__":
    main()
