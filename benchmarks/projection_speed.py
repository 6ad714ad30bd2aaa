"""Sentence pairs a second of `otkit project`, `tags` and `lexicon` beside those of `extract`, taken in turns.

    python -m benchmarks.projection_speed [PAIRS [ROUNDS]]

The same pairs go through all four, with one encoder; each pair has two labels and two tags. The time is that of the
process, so that others on the machine count less.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.common import data, numbers, show
from otkit.alignment.corpus import extract_corpus
from otkit.api.lexicon import lexicon
from otkit.api.project import open_aligner, open_projection
from otkit.api.tags import tags
from otkit.reports.tables import Value

__all__ = ["main"]


def _files(folder: Path, pairs: int) -> None:
    text = gzip.decompress(data("parallel", "de-en.tsv.gz").read_bytes()).decode()
    lines = [line.split("\t")[:2] for line in text.splitlines()]
    kept = [(a, b) for a, b in lines if len(a.split()) > 3 and not set("<>&{}%") & set(a + b)][:pairs]
    (folder / "de-en.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in kept), encoding="utf-8")
    labelled, tagged = [], []
    for a, b in kept:
        words = a.split()
        ends = len(words[0]), len(a) - len(words[-1])
        spans = [{"start": 0, "end": ends[0], "label": "A"}, {"start": ends[1], "end": len(a), "label": "B"}]
        labelled.append(json.dumps({"text": a, "target": b, "spans": spans}))
        source = f"<b>{a[: ends[0]]}</b>{a[ends[0] : ends[1]]}<i>{a[ends[1] :]}</i>"
        tagged.append(json.dumps({"source": source, "target": b}))
    (folder / "labels.jsonl").write_text("\n".join(labelled) + "\n", encoding="utf-8")
    (folder / "tags.jsonl").write_text("\n".join(tagged) + "\n", encoding="utf-8")


def main(pairs: int, rounds: int) -> None:
    """Run all in turns, and print the medians."""
    aligner = open_aligner(None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _files(folder, pairs)

        def project() -> None:
            stream = open_projection(folder / "labels.jsonl", None, aligner=aligner)
            (folder / "out").write_text("".join(piece.text for piece in stream.pieces()), encoding="utf-8")

        tasks: dict[str, Callable[[], object]] = {
            "extract": lambda: extract_corpus(
                aligner, folder / "de-en.tsv", folder / "links.align", raw=True, overwrite=True
            ),
            "project": project,
            "tags": lambda: tags(folder / "tags.jsonl", aligner=aligner, output=folder / "t", overwrite=True),
            "lexicon": lambda: lexicon(
                folder / "de-en.tsv",
                folder / "l.sqlite",
                form="sqlite",
                raw=True,
                aligner=aligner,
                overwrite=True,
            ),
        }
        tasks["extract"]()  # what is slow once is over
        times: dict[str, list[float]] = {task: [] for task in tasks}
        for _ in range(rounds):
            for task, run in tasks.items():
                start = time.process_time()
                run()
                times[task].append(time.process_time() - start)
    base = median(times["extract"])
    rows: list[list[Value]] = [
        [task, pairs / median(found), 100 * base / median(found)] for task, found in times.items()
    ]
    show(f"{pairs} pairs, CPU time", ["command", "pairs a second", "% of extract"], rows, digits=1)


if __name__ == "__main__":
    main(*numbers(__doc__, pairs=1000, rounds=3))
