"""What a language shares, taken off: sentence retrieval on 14 Tatoeba languages and AER on 12 gold sets.

    python -m benchmarks.space [--pairs N] [--gold-pairs N]

Retrieval: accuracy@1, the mean of both directions, sample encoder, measured on the very sentences. Word links: the
default extraction with and without the centring of each pair, measured on the gold text (which has no links in it).
`--pairs` and `--gold-pairs` take the first N of each language.
"""

from __future__ import annotations

import argparse
import gzip
from itertools import islice

import numpy as np

from benchmarks.common import data, show
from benchmarks.word_alignment import aer, gold_sets
from otkit.alignment.settings import SPACES, AlignmentSettings
from otkit.alignment.store import averaged
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.evaluation.retrieval import encode_texts, score_retrieval
from otkit.evaluation.settings import RetrievalSettings
from otkit.evaluation.word_alignment import encode_gold, score_store

Rows = dict[str, list[float]]


def retrieval(encoder: Encoder, most: int | None) -> tuple[list[str], Rows]:
    """Accuracy@1 in points of each language under each space."""
    names, rows = [], Rows({space: [] for space in SPACES})
    for path in sorted(data("tatoeba").glob("*-eng.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            pairs = [line.rstrip("\n").split("\t") for line in islice(file, most)]
        names.append(path.name[:3])
        vectors = encode_texts(encoder, [side for pair in pairs for side in pair], batch_tokens=4096)
        for space, row in rows.items():
            config = RetrievalSettings(space=space)
            row.append(100 * score_retrieval(vectors[0::2], vectors[1::2], config=config).mean)
    return names, rows


def word_links(encoder: Encoder, most: int | None) -> tuple[list[str], Rows]:
    """AER in points of each gold set under each space, with and without the centring of pairs."""
    names, rows = [], Rows()
    for language, pairs in gold_sets().items():
        names.append(language)
        gold = list(pairs)[:most]
        layers = encoder.settings.alignment_layers
        store = averaged(encode_gold(encoder, gold, layers=layers, config=AlignmentSettings()))
        for center in ("sentence", "none"):
            for space in SPACES:
                table = score_store(store, gold, AlignmentSettings(space=space, center=center))
                rows.setdefault(f"{space}, center {center}", []).append(aer(table))
    return names, rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=None)
    parser.add_argument("--gold-pairs", type=int, default=None)
    options = parser.parse_args()
    encoder = open_encoder(device="cpu")
    for title, (names, rows) in {
        "accuracy@1 on Tatoeba": retrieval(encoder, options.pairs),
        "AER": word_links(encoder, options.gold_pairs),
    }.items():
        found: list[list[float | str]] = [[name, float(np.mean(row)), *row] for name, row in rows.items()]
        show(title, ["space", "mean", *names], found, digits=1)


if __name__ == "__main__":
    main()
