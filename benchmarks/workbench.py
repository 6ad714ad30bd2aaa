"""How the workbench of `otkit inspect` does with 100,000 pairs: `python -m benchmarks.workbench [PAIRS]`.

The pairs are real, ten thousand of each of ten languages; the links between their words are drawn near the diagonal,
since the index is measured here and not the hours that an encoder takes for so many. Answers are timed over loopback,
each asked for five times, and pages in a headless Chromium from the address to the rows that it shows.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import httpx2
import numpy as np
import uvicorn

from benchmarks.common import data, numbers, show
from otkit.alignment.aligner import Alignment, Link
from otkit.alignment.settings import AlignmentSettings
from otkit.checks.classes import CLASSES
from otkit.data.parallel import open_corpus
from otkit.data.segmentation import words_between
from otkit.encoders.open import open_encoder
from otkit.inspector.corpus import CorpusIndex, Judged, Line
from otkit.inspector.models import Models
from otkit.inspector.server import configured, listen
from otkit.inspector.session import Session
from tests.reports.browser import CHROMIUM

_LANGUAGES = ("de", "fr", "es", "el", "bg", "ru", "tr", "ar", "hi", "vi")
_WINDOW = 256
_TIMES = 5
# A word that stands in many pairs, and characters within words.
_ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "first page, weakest links first": ("corpus", {"order": "worst"}),
    "its histograms and counts": ("corpus/overview", {}),
    "page 2,000": ("corpus", {"order": "worst", "offset": 50_000}),
    "sorted by cost": ("corpus", {"order": "cost"}),
    "sorted by check score": ("corpus", {"order": "check"}),
    "characters in a sentence": ("corpus", {"text": "govern"}),
    "a target word that is linked": ("corpus", {"target": "government"}),
    "a bar of a histogram": ("corpus", {"least_strength": 0.5, "below_strength": 0.55}),
    "the histograms behind that bar": ("corpus/overview", {"least_strength": 0.5, "below_strength": 0.55}),
    "a class of the check, sorted by length": ("corpus", {"class": "dropped", "order": "long"}),
    "words that are most often linked": ("corpus/words", {}),
}


def lines(count: int) -> Iterator[Line]:
    """Real pairs, the languages one after another."""
    each = -(-count // len(_LANGUAGES))
    number = 0
    for language in _LANGUAGES:
        corpus = open_corpus(str(data("parallel", f"{language}-en.tsv.gz")))
        for pair in islice(corpus, min(each, count - number)):
            number += 1
            source, target = (words_between(side, raw=False) for side in (pair.source, pair.target))
            yield Line(number, source, target)


def aligned(line: Line, rng: np.random.Generator) -> Alignment:
    """Nine of ten source words linked near the diagonal."""
    n, m = len(line.source), len(line.target)
    near = np.rint(np.arange(n) * m / max(n, 1) + rng.normal(0, 1.5, n)).clip(0, max(m - 1, 0)).astype(int)
    kept = rng.random(n) < 0.9
    strengths = rng.beta(5, 2, n)
    links = tuple(Link(i, int(near[i]), float(strengths[i])) for i in range(n) if kept[i] and m)
    return Alignment(line.source, line.target, links, None, None, None, float(rng.gamma(4, 0.1)))


def filled(count: int) -> tuple[CorpusIndex, list[Line], list[tuple[str, float]]]:
    """The index with its pairs, a few of them, and what it took."""
    rng = np.random.default_rng(0)
    index = CorpusIndex(count, gold=False)
    few: list[Line] = []
    adding = checking = 0.0
    pairs = lines(count)
    while window := list(islice(pairs, _WINDOW)):
        found = [[aligned(line, rng)] for line in window]
        few = few or window
        begun = time.perf_counter()
        index.add(window, found)
        adding += time.perf_counter() - begun
    names = list(CLASSES)
    for start in range(0, index.done, _WINDOW):
        scores = rng.random(min(_WINDOW, index.done - start))
        chosen = rng.integers(0, len(names), len(scores)).tolist()
        judged = [
            Judged(start + k, score, names[place], "a remark", (names[place],) if score >= 0.93 else ())
            for k, (score, place) in enumerate(zip(scores.tolist(), chosen, strict=True))
        ]
        begun = time.perf_counter()
        index.check(judged)
        checking += time.perf_counter() - begun
    (file,) = Path(index._folder.name).glob("index.sqlite")
    facts = [
        ("s to add the pairs", adding),
        ("s to add what the check says", checking),
        ("MB on disk", file.stat().st_size / 1e6),
    ]
    return index, few, facts


def main(count: int) -> None:
    """Measure and show."""
    index, few, facts = filled(count)
    models = Models.of({"sample": open_encoder(None, device="cpu")}, AlignmentSettings())
    session = Session(models, "ten languages", few, index)
    address, opened = listen(None, 0)
    server = uvicorn.Server(configured(session, address))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    with httpx2.Client(base_url=address.url, timeout=600) as client:
        show(
            "The index of a corpus",
            ("what", f"{count:,} pairs"),
            [(name, round(value, 1)) for name, value in facts],
            digits=1,
        )
        rows = []
        for name, (path, request) in _ASKED.items():
            taken = [_timed(partial(client.post, path, json=request)) for _ in range(_TIMES)]
            rows.append((name, round(1000 * median(taken)), round(1000 * max(taken))))
        show("Questions to it, ms", ("what", "median", "most"), rows, digits=0)
    if CHROMIUM is not None:
        show("The page, ms", ("what", "median", "most"), _opened(address.url), digits=0)
    server.should_exit = True
    thread.join(10)
    index.close()


def _timed(act: Callable[[], httpx2.Response]) -> float:
    begun = time.perf_counter()
    act().raise_for_status()
    return time.perf_counter() - begun


def _opened(url: str) -> list[tuple[str, int, int]]:
    """From an address to the rows it shows."""
    from playwright.sync_api import sync_playwright

    view = {"corpus": {"order": "cost", "offset": 100, "least_strength": 0.5, "text": "govern"}}
    pages = {
        "the address of the server": url,
        "a permalink, filtered and sorted": f"{url}#{quote(json.dumps(view))}",
    }
    rows = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = chromium.new_page()
        tab.set_default_timeout(300_000)
        for name, page in pages.items():
            taken = []
            for _ in range(_TIMES):
                tab.goto("about:blank")
                begun = time.perf_counter()
                tab.goto(page)
                tab.wait_for_selector("#corpus tr[data-id] [data-what=open]")
                taken.append(time.perf_counter() - begun)
            rows.append((name, round(1000 * median(taken)), round(1000 * max(taken))))
        chromium.close()
    return rows


if __name__ == "__main__":
    main(*numbers(__doc__, pairs=100_000))
