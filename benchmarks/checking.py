"""What `otkit check` finds of errors that are planted into clean translations, kind by kind.

    python -m benchmarks.checking [--languages de,ru,zh] [--seed 0] [--fit]

Pairs of the benchmark's parallel text with English as the translation. Of each kind 40 pairs of a language are spoilt;
the area under the ROC curve sets them against all those pairs as they were, under the score of the kind's own class and
under the order `max`. `--fit` measures the scale of the scores anew, on lines that the probe does not use, and writes
`otkit/checks/scale.json`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

import otkit
from benchmarks.common import data, show
from otkit.alignment.checking import Checked, TranslationChecker
from otkit.checks.classes import FINDERS, OF_TRANSPORT
from otkit.checks.reader import Found, PairReader, means_of, sides_of
from otkit.checks.scale import SHARES
from otkit.data.segmentation import words_between
from otkit.encoders.open import open_encoder
from otkit.evaluation.significance import area
from otkit.files import write_file
from otkit.reports.tables import Value

LANGUAGES = ("ar", "bg", "de", "el", "es", "fr", "hi", "ro", "ru", "sw", "th", "tr", "ur", "vi", "zh")
EACH = 40
_FITTED_FROM = 5000
"""The scale is measured on lines from here on, the probe planted into those before."""

_FITTED_PAIRS = 60
"""Pairs of each language that the scale is measured on."""

Pair = tuple[str, str]
Read = Sequence[Mapping[str, Found]]


@cache
def text(language: str) -> tuple[Pair, ...]:
    """Pairs of a language with English that are sentences: 8 to 50 English words."""
    with gzip.open(data("parallel", f"{language}-en.tsv.gz"), "rt", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    return tuple((line[0], line[1]) for line in lines)


def is_sentence(pair: Pair) -> bool:
    return 8 <= len(pair[1].split()) <= 50


def number(pair: Pair, rng: random.Random, other: Pair) -> Pair | None:
    """One number of the translation is another one."""
    found = list(re.finditer(r"\d+(?:[.,]\d+)*", pair[1]))
    if not found:
        return None
    one = rng.choice(found)
    places = [k for k, sign in enumerate(one[0]) if sign.isdigit()]
    place = rng.choice(places)
    digit = rng.choice([d for d in "123456789" if d != one[0][place]])
    changed = one[0][:place] + digit + one[0][place + 1 :]
    return pair[0], pair[1][: one.start()] + changed + pair[1][one.end() :]


_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")


def name(pair: Pair, rng: random.Random, other: Pair) -> Pair | None:
    """One capitalised word of the translation, not its first, is that of another sentence."""
    found, others = list(_NAME.finditer(pair[1])), _NAME.findall(other[1])
    others = [word for word in others if word not in pair[1]]
    if not found or not others:
        return None
    one = rng.choice(found)
    return pair[0], pair[1][: one.start()] + rng.choice(others) + pair[1][one.end() :]


_NEGATED = re.compile(
    r"\b(is|are|was|were|will|would|can|could|should|must|has|have|had|do|does|did)( not|n't)\b"
)
_PLAIN = re.compile(r"\b(is|are|was|were|will|would|could|should|must)\b(?! not|n't)")


def negation(pair: Pair, rng: random.Random, other: Pair) -> Pair | None:
    """A `not` of the translation is gone, or one is put in."""
    found = list(_NEGATED.finditer(pair[1]))
    if found:
        one = rng.choice(found)
        return pair[0], pair[1][: one.start()] + one[1] + pair[1][one.end() :]
    found = list(_PLAIN.finditer(pair[1]))
    if not found:
        return None
    one = rng.choice(found)
    return pair[0], pair[1][: one.end()] + " not" + pair[1][one.end() :]


def dropped(pair: Pair, rng: random.Random, other: Pair) -> Pair | None:
    """The last third of the translation is gone."""
    words = pair[1].split()
    return pair[0], " ".join(words[: len(words) - len(words) // 3])


def added(pair: Pair, rng: random.Random, other: Pair) -> Pair | None:
    """A clause of another sentence stands at the end."""
    words = other[1].split()
    clause = " ".join(words[: max(5, min(10, len(words) // 2))]).rstrip(".,;:!?")
    body = pair[1].rstrip(".!?")
    return pair[0], f"{body}, {clause}{pair[1][len(body) :] or '.'}"


def copied(pair: Pair, rng: random.Random, other: Pair) -> Pair | None:
    """The translation is the source."""
    return pair[0], pair[0]


KINDS: Mapping[str, Callable[[Pair, random.Random, Pair], Pair | None]] = {
    "copy": copied,
    "numbers": number,
    "names": name,
    "negation": negation,
    "dropped": dropped,
    "added": added,
}


def probe(language: str, seed: int) -> tuple[list[Pair], dict[str, list[Pair]]]:
    """Clean pairs, and those spoilt by kind."""
    rng = random.Random(f"{language} {seed}")
    pairs = [pair for pair in text(language)[:_FITTED_FROM] if is_sentence(pair)]
    rng.shuffle(pairs)
    clean: list[Pair] = []
    spoilt: dict[str, list[Pair]] = {}
    for kind, plant in KINDS.items():
        spoilt[kind] = []
        while pairs and len(spoilt[kind]) < EACH:
            pair = pairs.pop()
            made = plant(pair, rng, rng.choice(pairs))
            if made is None:
                pairs.insert(rng.randrange(len(pairs) // 2 + 1), pair)
                continue
            clean.append(pair)
            spoilt[kind].append(made)
    return clean, spoilt


def checked(checker: TranslationChecker, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Checked]]:
    words = [(words_between(source, raw=True), words_between(target, raw=True)) for source, target in pairs]
    return zip(pairs, checker.check(words), strict=True)


def fit(checker: TranslationChecker) -> None:
    """Measure the scale and write it: figures of clean pairs, and of each source with the next translation."""
    clean, unaligned = (means_of(pairs) for pairs in checker.check_sample())
    figures: dict[str, dict[str, list[float]]] = {name: {"clean": [], "unaligned": []} for name in FINDERS}
    for language in LANGUAGES:
        pairs = [pair for pair in text(language)[_FITTED_FROM:] if is_sentence(pair)]
        pairs = random.Random(language).sample(pairs, _FITTED_PAIRS)
        others = [(one[0], other[1]) for one, other in zip(pairs, [*pairs[1:], *pairs[:1]], strict=True)]
        PairReader(checker).begin(f"{language}-en.tsv", None, pairs, raw=True)
        for kind, some in (("clean", pairs), ("unaligned", others)):
            for pair, one in checked(checker, some):
                sides = sides_of(one, pair, (language, "en"))
                for name, each in figures.items():
                    figure = FINDERS[name](*sides).figure
                    if name in OF_TRANSPORT:
                        figure = (figure - clean[name]) / (unaligned[name] - clean[name])
                    each[kind].append(figure)
        print(language, flush=True)
    scale = {
        name: {kind: np.quantile(each[kind], SHARES).round(4).tolist() for kind in each}
        for name, each in figures.items()
    }
    path = Path(otkit.__file__).parent / "checks" / "scale.json"
    rows = (f'"{name}": {json.dumps(each)}' for name, each in scale.items())
    write_file(path, "{\n" + ",\n".join(rows) + "\n}\n", overwrite=True)


def areas(spoilt: Read, clean: Read, name: str) -> tuple[float, float]:
    """Of a kind under its own class, and under the worst of all."""
    marks = [True] * len(spoilt) + [False] * len(clean)
    read = [*spoilt, *clean]
    own = area(marks, [found[name].score for found in read]).share()
    worst = area(marks, [max(each.score for each in found.values()) for found in read]).share()
    return float(own), float(worst)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fit", action="store_true", help="measure the scale instead")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    checker = TranslationChecker(open_encoder(device="cpu"))
    if options.fit:
        fit(checker)
        return
    reader = PairReader(checker)
    rows: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for language in options.languages.split(","):
        clean, spoilt = probe(language, options.seed)
        reader.begin(f"{language}-en.tsv", None, clean, raw=True)
        every = [*clean, *(pair for some in spoilt.values() for pair in some)]
        read = [reader.read(one, *pair) for pair, one in checked(checker, every)]
        for place, kind in enumerate(spoilt):
            first = len(clean) + EACH * place
            rows[kind].append(areas(read[first : first + EACH], read[: len(clean)], kind))
        print(
            language, {kind: f"{row[-1][0]:.3f} {row[-1][1]:.3f}" for kind, row in rows.items()}, flush=True
        )
    table: list[list[Value]] = [
        [kind, *(float(np.mean([each[k] for each in row])) for k in (0, 1)), min(each[0] for each in row)]
        for kind, row in rows.items()
    ]
    show("planted errors", ("kind", "own class", "max", "own class, worst language"), table)


if __name__ == "__main__":
    main()
