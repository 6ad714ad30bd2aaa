"""The layer without gold: what each label-free measure chooses, and what it costs in AER.

    python -m benchmarks.layers [ENCODER ...] [--pairs N]

For each encoder (none is the sample encoder) the mean AER of twelve gold sets at each hidden state alone, by the
default extraction, and what each measure of `otkit.alignment.layers` says of that state on the sample text, which has
none of the gold sentences. `--pairs` takes the first N pairs of each gold set.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.common import show
from benchmarks.word_alignment import Sets, gold_sets
from otkit.alignment.layers import MEASURES, layer_curves, sample_texts
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.evaluation.word_alignment import aer_by_layer


def curves(encoder: Encoder, sets: Sets) -> tuple[list[float], dict[str, list[float]]]:
    """AER in points at each hidden state, and each measure."""
    scores = aer_by_layer(encoder, sets)
    return [100 * score.mean() for score in scores.values()], layer_curves(
        encoder, sample_texts(), tuple(MEASURES)
    )


def chosen(curve: Sequence[float]) -> int:
    """Of the states behind the embeddings, the one with the highest figure."""
    return 1 + int(np.argmax(curve[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("encoders", nargs="*", metavar="ENCODER")
    parser.add_argument("--pairs", type=int, default=None)
    options = parser.parse_args()
    sets: Sets = {language: list(pairs)[: options.pairs] for language, pairs in gold_sets().items()}
    rows = []
    for name in options.encoders or [None]:
        encoder = open_encoder(name, device="cpu")
        aer, found = curves(encoder, sets)
        best, ruled = int(np.argmin(aer)), encoder.settings.alignment_layers
        layers: list[list[float | str]] = [
            [str(layer), aer[layer], *(100 * curve[layer] for curve in found.values())]
            for layer in range(encoder.layers + 1)
        ]
        show(
            f"{encoder.name}: AER, and measures in percent", ["hidden state", "AER", *found], layers, digits=2
        )
        takes = {measure: chosen(curve) for measure, curve in found.items()}
        rows.append(
            [
                encoder.name,
                f"{best} ({aer[best]:.2f})",
                ", ".join(map(str, ruled)),
                *(f"{layer} (+{aer[layer] - aer[best]:.2f})" for layer in takes.values()),
            ]
        )
    show(
        "the layer that each measure takes, and its AER above the best layer's",
        ["encoder", "best", "stated or ruled", *MEASURES],
        rows,
    )


if __name__ == "__main__":
    main()
