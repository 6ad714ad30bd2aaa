"""Hallucination and omission in machine translation: otkit check beside cosine and balanced transport, on HalOmi.

    python -m benchmarks.translation_errors [--full FOLDER] [--threads 1]

Areas under the ROC curve, as the mean over directions and over all directions together, with 95 % bootstrap
intervals; the lead over each baseline is paired. Without --full only the sample encoder is measured. Half B are the
rows whose source text has an odd check sum. Figures of both halves were seen while the design was chosen; the prices of
the null are those that half A alone would choose.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace

import numpy as np
import torch

from benchmarks.common import data, show
from otkit.alignment.settings import CheckSettings
from otkit.data.halomi import CLASSES, read_halomi
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.evaluation.significance import Interval
from otkit.evaluation.translation_errors import BASELINES, ErrorTask, evaluate_translation_errors
from otkit.reports.tables import Value


def written(found: Interval, *, sign: str = "") -> str:
    return f"{found.value:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def part(task: ErrorTask, keep: np.ndarray) -> ErrorTask:
    return replace(
        task,
        classes=task.classes[keep],
        directions=task.directions[keep],
        scores={name: values[keep] for name, values in task.scores.items()},
    )


def report(name: str, encoder: Encoder) -> None:
    items = read_halomi(sorted(data("halomi").glob("halomi*.tsv.gz"))[0]).items
    with_layer = {f"state {layer}": CheckSettings(layers=(layer,)) for layer in (7, 12)}
    scores = evaluate_translation_errors(encoder, items, more=with_layer)
    for error, task in scores.tasks.items():
        kept = [item for item in items if error == "hallucination" or item.hallucination == 1]
        second = np.array([zlib.crc32(item.source.encode()) % 2 == 1 for item in kept])
        half = part(task, second)
        rows = []
        for system in task.scores:
            words = f"{task.words(system):.3f}" if system in task.word_scores else ""
            means = [written(task.mean(system)), written(half.mean(system)), written(task.pooled(system))]
            rows.append([system, *means, f"{task.mean(system, order=True).value:.3f}", words])
        heads = ("score", "mean of directions", "half B alone", "all together", "order", "words")
        show(f"{name}: {error}, {len(kept)} items", heads, rows)
        leads: list[list[Value]] = []
        for base in BASELINES:
            found = [one.mean("check", against=base) for one in (task, half)]
            found.append(task.pooled("check", against=base))
            leads.append([base, *(written(one, sign="+") for one in found)])
        show(f"{name}: {error}, lead of check over", ("baseline", *heads[1:4]), leads)
        directions: list[list[Value]] = [
            [direction, *(task.auc(system, direction=direction) for system in ("check", *BASELINES))]
            for direction in task.names
        ]
        show(f"{name}: {error} by direction", ("direction", "check", *BASELINES), directions)
        classes = [
            [CLASSES[severity]]
            + [written(task.pooled(system, severity=severity)) for system in ("check", *BASELINES)]
            for severity in (2, 3, 4)
            if (task.classes == severity).any()
        ]
        show(f"{name}: {error} by class", ("class", "check", *BASELINES), classes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", help="folder of the full-vocabulary encoder")
    parser.add_argument("--prefix", default="query: ", help="of the full-vocabulary encoder")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.full:
        encoder = open_encoder(options.full, device="cpu")
        encoder.settings = replace(encoder.settings, prefix=options.prefix)
        report("full-vocabulary encoder", encoder)
    report("sample encoder", open_encoder(device="cpu"))


if __name__ == "__main__":
    main()
