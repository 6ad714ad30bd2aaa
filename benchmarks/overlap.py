"""Whether the parallel text holds what XNLI and XQuAD test: `python -m benchmarks.overlap [--json FILE] [--near 0.5]`.

A text is a premise, a hypothesis, a question, or a sentence of a context, with three n-grams at least. Of each, the
share of its n-grams that stand anywhere in the parallel text of its language (of English: in the English sides of all
files): runs of 5 words, or of 10 characters in Chinese and 20 in Thai, in small letters, without punctuation. A text is
near where half of them do; a near text of fewer than 12 n-grams (of characters: as many times more as a run is longer)
is mostly a common phrase.
"""

from __future__ import annotations

import argparse
import gzip
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import data, show
from otkit.data.tasks import read_nli, read_qa
from otkit.files import replace_file, to_json

WORDS, CHARACTERS = 5, {"th": 20, "zh": 10}
LEAST = 3
LONG = 12  # n-grams of a text that is no common phrase
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s*")


class _Bare(dict[int, int]):
    """Signs that are no letter, mark or digit as spaces, each looked up once."""

    def __missing__(self, sign: int) -> int:
        self[sign] = 32 if unicodedata.category(chr(sign))[0] in "PSZC" else sign
        return self[sign]


_BARE = _Bare()


def grams(text: str, language: str) -> set[int]:
    """The hashes of a text's n-grams."""
    words = text.lower().translate(_BARE).split()
    units, size = ("".join(words), CHARACTERS[language]) if language in CHARACTERS else (words, WORDS)
    return {hash(tuple(units[start : start + size])) for start in range(len(units) - size + 1)}


def parallel_sides() -> Iterator[tuple[str, str]]:
    """Every side of the parallel text, with its language."""
    for path in sorted(data("parallel").glob("*-en.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                source, target = line.rstrip("\n").split("\t")[:2]
                yield path.name[:2], source
                yield "en", target


def tested() -> Iterator[tuple[str, str, Iterable[str]]]:
    """The texts of every file of the tests: its task, its language, its texts."""
    for path in sorted(data("xnli").glob("*-??.tsv.gz")):
        if not path.name.startswith("train"):
            items = read_nli(path)
            yield (
                "xnli",
                path.name[-9:-7],
                dict.fromkeys(text for one in items for text in (one.premise, one.hypothesis)),
            )
    for path in sorted(data("xquad").glob("xquad.??.json.gz")):
        questions = read_qa(path)
        contexts = dict.fromkeys(one.context for one in questions)
        sentences = (sentence for context in contexts for sentence in _SENTENCE.split(context))
        yield "xquad", path.name[6:8], dict.fromkeys([*(one.question for one in questions), *sentences])


def main() -> None:
    """Print a row a file, and the nearest texts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--near", type=float, default=0.5, help="the share of n-grams from which a text is near"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    known: dict[str, set[int]] = {}
    for language, text in parallel_sides():
        known.setdefault(language, set()).update(grams(text, language))
    rows: list[tuple[Any, ...]] = []
    nearest: list[tuple[float, str, str, str]] = []
    for task, language, texts in tested():
        shares, sizes = {}, {}
        for text in texts:
            found = grams(text, language)
            if len(found) >= LEAST:
                shares[text], sizes[text] = len(found & known[language]) / len(found), len(found)
        near = [text for text, share in shares.items() if share >= options.near]
        touched = sum(share > 0 for share in shares.values())
        nearest += [(shares[text], task, language, text) for text in near]
        rows.append((task, language, len(shares), touched / len(shares), max(shares.values()), len(near)))
        long = LONG * CHARACTERS.get(language, WORDS) // WORDS
        rows[-1] += (sum(sizes[text] >= long for text in near),)
    columns = ("task", "language", "texts", "share a run", "largest share", "near", "near and long")
    show("n-grams of the tests in the parallel text", columns, rows)
    for share, task, language, text in sorted(nearest, reverse=True):
        print(f"{task} {language} {share:.2f}: {text}")
    if options.json is not None:
        figures = [dict(zip(columns, row, strict=True)) for row in rows]
        replace_file(options.json, to_json({"files": figures, "near": sorted(nearest, reverse=True)}))


if __name__ == "__main__":
    main()
