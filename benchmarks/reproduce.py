"""The paper's comparison, run again: the untouched encoder, L2 on links, and optimal transport, in one table.

    python -m benchmarks.reproduce --scale minutes --output runs/reproduce [--resume]

Each system is aligned once and measured on XNLI, XQuAD, sentence retrieval and word alignment under the same seeds, by
the commands that a user would type (they are printed). The scales reach from a smoke test on the sample data to the
settings of Alqahtani et al. 2021 on a GPU with bert-base-multilingual-cased.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import data
from benchmarks.record import record
from otkit.errors import choose
from otkit.files import replace_file
from otkit.reports.tables import Column, Table, Value, to_markdown
from otkit.resources import sample_data

XNLI_MINUTES = ("--train-examples", "1500", "--test-examples", "300", "--languages", "en,bg,de,es,sw")
HALF = ("--preset", "small", "--precision", "bf16")

# What is added to `otkit align`; the untouched encoder is not aligned.
SYSTEMS: dict[str, tuple[str, ...] | None] = {
    "untouched": None,
    "L2": ("--preset", "cao-l2"),
    "OT": ("--preset", "paper"),
    "best": ("--preset", "best"),
}

# Alqahtani et al. 2021, table 1 and the per-language figures, mBERT: XNLI accuracy (seen, all), XQuAD F1 and EM (seen).
PAPER: dict[str, tuple[float, float, float, float]] = {
    "untouched": (0.735, 0.671, 0.734, 0.578),
    "L2": (0.746, 0.652, 0.680, 0.516),
    "OT": (0.754, 0.678, 0.747, 0.590),
}


@dataclass(frozen=True)
class Scale:
    """How much of everything: options of `otkit align` and of each task of `otkit evaluate`."""

    model: tuple[str, ...]
    languages: tuple[str, ...]
    align: tuple[str, ...]
    tasks: Mapping[str, tuple[str, ...]]
    seeds: int = 1
    retrieval: tuple[str, ...] = field(default=())


SCALES: dict[str, Scale] = {
    # A minute: does every step run? The figures mean nothing.
    "smoke": Scale(
        model=(),
        languages=("de", "fr"),
        align=("--steps", "4", "--batch-size", "4"),
        tasks={"retrieval": (), "word-alignment": ()},
    ),
    # A quarter of an hour on two cores: alignment moves retrieval and AER; XNLI is only begun.
    "minutes": Scale(
        model=(),
        languages=("bg", "de", "es"),
        align=("--pairs-per-language", "800", "--batch-size", "8", "--grad-accum", "1"),
        tasks={
            "retrieval": ("--languages", "bg,de,es,sw"),
            "word-alignment": ("--languages", "bg,es,it"),
            "xnli": XNLI_MINUTES,
        },
    ),
    # Two hours on two cores with bf16: all languages of the paper's table, a part of the small presets, two
    # seeds of XNLI and one of XQuAD.
    "hours": Scale(
        model=(),
        languages=("bg", "de", "el", "es", "fr"),
        align=("--pairs-per-language", "1500", "--precision", "bf16"),
        tasks={
            "retrieval": (),
            "word-alignment": (),
            "xnli": (*HALF, "--train-examples", "4000", "--test-examples", "300"),
            "xquad": (*HALF, "--train-examples", "1000", "--test-examples", "120", "--seeds", "1"),
        },
        seeds=2,
    ),
    # A night on two cores, all languages of the paper's table, three seeds.
    "night": Scale(
        model=(),
        languages=("bg", "de", "el", "es", "fr"),
        align=("--pairs-per-language", "10000"),
        tasks={
            "retrieval": (),
            "word-alignment": (),
            "xnli": ("--preset", "small"),
            "xquad": ("--preset", "small"),
        },
        seeds=3,
    ),
    # The paper: one GPU, about a day. Give --parallel a folder with 250,000 pairs of each language.
    "paper": Scale(
        model=("--model", "bert-base-multilingual-cased"),
        languages=("bg", "de", "el", "es", "fr"),
        align=(),
        tasks={
            "retrieval": (),
            "word-alignment": (),
            "xnli": ("--preset", "xtreme"),
            "xquad": ("--preset", "xtreme"),
        },
        seeds=3,
    ),
}

# (column, task, metric, which average): F1 and EM of XQuAD are the paper's "seen" languages where there are some.
COLUMNS = (
    ("XNLI seen", "xnli", "accuracy", "seen"),
    ("XNLI all", "xnli", "accuracy", "all"),
    ("XQuAD F1", "xquad", "F1", "seen"),
    ("XQuAD EM", "xquad", "EM", "seen"),
    ("retrieval →", "retrieval", "forward @1", "all"),
    ("retrieval ←", "retrieval", "backward @1", "all"),
    ("AER", "word-alignment", "aer", "all"),
)


def call(arguments: Sequence[str]) -> None:
    """Run one command of the package, shown as a user would type it."""
    print(f"$ {shlex.join(['otkit', *arguments])}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "otkit", *arguments], check=True, stdout=sys.stderr)


def align(scale: Scale, name: str, folder: Path, options: argparse.Namespace) -> tuple[str, ...]:
    """The `--model` options of a system, aligned now or before."""
    extra = SYSTEMS[name]
    if extra is None:
        return scale.model
    target = folder / name / "encoder"
    if not (options.resume and (target / "otkit.json").is_file()):
        files = [str(parallel(options, language)) for language in scale.languages]
        command = ["align", *files, *scale.model, *scale.align, *extra, "--output", str(target), "--quiet"]
        command += ["--threads", str(options.threads)]
        call([*command, *(["--resume"] if options.resume and target.exists() else [])])
    return ("--model", str(target))


def parallel(options: argparse.Namespace, language: str) -> Path:
    """The parallel text of a language: of --parallel, of the benchmark data, or the sample data's."""
    if options.scale == "smoke":
        return sample_data() / "parallel" / f"{language}-en.train.tsv"
    folder = Path(options.parallel) if options.parallel else data("parallel")
    return folder / f"{language}-en.tsv.gz"


def evaluate(scale: Scale, name: str, model: Sequence[str], folder: Path, options: argparse.Namespace) -> Any:
    """The figures of a system on every task, beside the untouched encoder's under the same seeds."""
    found: dict[str, Any] = {}
    seeds = str(options.seeds or scale.seeds)
    base = scale.model[1] if scale.model else "sample"
    for task, extra in scale.tasks.items():
        result = folder / name / f"{task}.json"
        command = ["evaluate", task, *model, "--seeds", seeds, *extra, "--json", str(result), "--quiet"]
        command += ["--threads", str(options.threads)]
        command += ["--output", str(folder / name / "cells"), "--seen", ",".join(("en", *scale.languages))]
        if SYSTEMS[name] is not None:
            command += ["--baseline", base]
        if options.scale != "smoke":
            command += ["--data", str(data())]
        if reuse_baseline(folder, name) or options.resume:
            command.append("--resume")
        call(command)
        found[task] = json.loads(result.read_text(encoding="utf-8"))["tasks"][task]
    return found


def reuse_baseline(folder: Path, name: str) -> bool:
    """The untouched encoder's cells are the baseline of every system: computed once, then handed on."""
    source = folder / "untouched" / "cells"
    if SYSTEMS[name] is None or not source.is_dir():
        return False
    for cell in source.glob("*/model/seed-*/cell.json"):
        task, seed = cell.parts[-4], cell.parts[-2]
        target = folder / name / "cells" / task / "baseline" / seed / "cell.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        document = json.loads(cell.read_text(encoding="utf-8"))
        replace_file(target, json.dumps({**document, "role": "baseline"}))
    return True


def figure(found: Mapping[str, Any], task: str, metric: str, average: str) -> dict[str, Any] | None:
    """A figure of the asked average, of all languages where that one is missing, of the only language."""
    if task not in found:
        return None
    averages = found[task]["averages"]
    row = averages.get(average) or averages.get("all") or next(iter(found[task]["languages"].values()))
    figures: dict[str, Any] | None = row.get(metric)
    return figures


def shown(figures: Mapping[str, Any] | None) -> Value:
    """`0.754 ±0.003`, and the change from the untouched encoder with its interval."""
    if figures is None:
        return None
    text = f"{figures['mean']:.3f}"
    if "std" in figures:
        text += f" ±{figures['std']:.3f}"
    if "low" in figures:
        text += f" ({figures['difference']:+.3f} [{figures['low']:+.3f}, {figures['high']:+.3f}])"
    return text


def main() -> None:
    """Align, measure, print one table, and keep it in the output folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", default="minutes", help=", ".join(SCALES))
    parser.add_argument("--output", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--parallel", help="folder of XX-en.tsv.gz, instead of the benchmark data's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    scale = choose(options.scale, SCALES, what="scale")
    folder = options.output / options.scale
    rows: list[tuple[Value, ...]] = []
    for name in options.systems.split(","):
        choose(name, SYSTEMS, what="system")
        model = align(scale, name, folder, options)
        found = evaluate(scale, name, model, folder, options)
        rows.append((name, *(shown(figure(found, *where)) for _, *where in COLUMNS)))
    rows += [
        (f"paper's {name} (mBERT)", *(f"{value:.3f}" for value in values), *[None] * (len(COLUMNS) - 4))
        for name, values in PAPER.items()
    ]
    seeds = options.seeds or scale.seeds
    table = Table(
        f"scale {options.scale}, {' '.join(scale.model[1:]) or 'sample encoder'}, {seeds} seed(s)",
        (Column("system"), *(Column(name) for name, *_ in COLUMNS)),
        tuple(rows),
        notes=(
            "In parentheses the change from the untouched encoder with its 95 % paired bootstrap interval. "
            "XQuAD and XNLI 'seen': English and the languages of the parallel text.",
        ),
    )
    record(table.title, [column.name for column in table.columns], table.rows, digits=3)
    text = to_markdown(table) + "\n"
    replace_file(folder / "table.md", text)
    print(text)


if __name__ == "__main__":
    main()
