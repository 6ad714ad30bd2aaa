"""The paper's comparison, run again: the untouched encoder, L2 on links, and optimal transport, in one table.

    python -m benchmarks.reproduce --scale minutes --output runs/reproduce [--resume]
    python -m benchmarks.reproduce --scale paper --estimate --price 3    # hours and money on this machine, no more
    python -m benchmarks.reproduce --scale paper --accept                # from public names to the table

Each system is aligned once and measured on XNLI, XQuAD, sentence retrieval and word alignment under the same seeds, by
the commands that a user would type (they are printed). The scales reach from a smoke test on the sample data to the
settings of Alqahtani et al. 2021 on a GPU with bert-base-multilingual-cased (benchmarks/scales.py). An estimate times
these commands on the real text, so it fetches the sets that are not there and asks for their licences too. A run that
was killed goes on with --resume: what is finished stays, a fine-tuning goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import data as public
from benchmarks.common import children_seconds, data, data_root, ended, run_folder
from benchmarks.forecast import Timed, forecast
from benchmarks.forecast import shown as hours
from benchmarks.record import facts_of_this_run, record, took_before
from benchmarks.scales import SCALES, Scale
from otkit.errors import choose
from otkit.evaluation.settings import XNLI_FINE_TUNING, XQUAD_FINE_TUNING
from otkit.files import differences, grow_folder, replace_file, to_json
from otkit.reports.tables import Column, Table, Value, to_markdown
from otkit.resources import sample_data

# What is added to `otkit align`; the untouched encoder is not aligned.
SYSTEMS: dict[str, tuple[str, ...] | None] = {
    "untouched": None,
    "L2": ("--recipe", "cao-l2"),
    "OT": ("--recipe", "paper"),
    "best": ("--recipe", "best"),
}

# Alqahtani et al. 2021, table 1 and the per-language figures, mBERT: XNLI accuracy (seen, all), XQuAD F1 and EM (seen).
PAPER: dict[str, tuple[float, float, float, float]] = {
    "untouched": (0.735, 0.671, 0.734, 0.578),
    "L2": (0.746, 0.652, 0.680, 0.516),
    "OT": (0.754, 0.678, 0.747, 0.590),
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
    told = subprocess.run([sys.executable, "-m", "otkit", *arguments], stdout=sys.stderr)
    if told.returncode:  # the command has said why
        raise SystemExit(told.returncode)


def texts(scale: Scale, options: argparse.Namespace) -> list[str]:
    """The parallel text of each language: of --parallel, of the scale's addresses, of the benchmark or sample data."""
    if options.scale == "smoke":
        return [str(sample_data() / "parallel" / f"{language}-en.train.tsv") for language in scale.languages]
    if options.parallel is None and scale.parallel:
        return [scale.parallel[language] for language in scale.languages]
    folder = options.parallel or data("parallel")
    return [str(folder / f"{language}-en.tsv.gz") for language in scale.languages]


def model_of(scale: Scale, options: argparse.Namespace) -> str:
    """The encoder that everything starts from."""
    return options.model or scale.model


def opened(model: str) -> list[str]:
    """The option that opens an encoder; the sample encoder needs none."""
    return [] if model == "sample" else ["--model", model]


def aligning(scale: Scale, name: str, target: Path, options: argparse.Namespace) -> list[str]:
    """The command that aligns a system."""
    extra = SYSTEMS[name]
    assert extra is not None
    words = ["align", *texts(scale, options), *opened(model_of(scale, options)), *extra, *scale.align]
    return [*words, "--output", str(target), "--threads", str(options.threads), "--quiet"]


def measuring(
    scale: Scale, task: str, model: str, cells: Path, options: argparse.Namespace, *, seeds: int
) -> list[str]:
    """The command that measures an encoder on a task."""
    words = ["evaluate", task, *opened(model), *scale.tasks[task], "--output", str(cells)]
    if task not in scale.own_data:
        words += ["--data", str(data())]
    if "--seeds" not in words and task in ("xnli", "xquad"):
        words += ["--seeds", str(seeds)]
    seen = ",".join(("en", *scale.languages))
    return [*words, "--seen", seen, "--threads", str(options.threads), "--quiet"]


def align(scale: Scale, name: str, folder: Path, options: argparse.Namespace) -> str:
    """The encoder of a system, aligned now or before."""
    if SYSTEMS[name] is None:
        return model_of(scale, options)
    target = folder / name / "encoder"
    # Checkpoints of a run that was killed lie in the same folder.
    resumed = ["--resume"] if options.resume and target.exists() else []
    once(
        target / "otkit.json",
        folder / name / "encoder.took.json",
        lambda: call([*aligning(scale, name, target, options), *resumed]),
        resume=options.resume,
    )
    return str(target)


def once(result: Path, took: Path, work: Callable[[], None], *, resume: bool) -> None:
    """Do a part of the comparison, unless `result` of an earlier run is there to go on with; the table's facts have the
    commit and the seconds of the run that did it."""
    kept = resume and result.is_file()
    if not kept:
        begun, before = time.monotonic(), children_seconds()
        work()
        spent = {"seconds": time.monotonic() - begun, "processor": children_seconds() - before}
        replace_file(took, to_json({"commit": facts_of_this_run()["commit"], **spent}))
    known = json.loads(took.read_text(encoding="utf-8")) if took.is_file() else {}
    took_before(
        kept * known.get("seconds", 0.0), kept * known.get("processor", 0.0), known.get("commit", "unknown")
    )


def evaluate(
    scale: Scale, name: str, model: str, folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """The figures of a system on every task, beside the untouched encoder's under the same seeds."""
    found: dict[str, Any] = {}
    for task in scale.tasks:
        result = folder / name / f"{task}.json"

        def work(task: str = task, result: Path = result) -> None:
            cells = folder / name / "cells" / task
            seeds = options.seeds or scale.seeds
            command = measuring(scale, task, model, cells, options, seeds=seeds)
            if SYSTEMS[name] is not None:
                command += ["--baseline", model_of(scale, options)]
            going = reuse_baseline(folder, name, task) or (options.resume and cells.exists())
            call([*command, *(["--resume"] if going else []), "--json", str(result)])

        once(result, folder / name / f"{task}.took.json", work, resume=options.resume)
        found[task] = json.loads(result.read_text(encoding="utf-8"))["tasks"][task]
    return found


def reuse_baseline(folder: Path, name: str, task: str) -> bool:
    """The untouched encoder's cells are the baseline of every system: computed once, then handed on."""
    source = folder / "untouched" / "cells" / task
    if SYSTEMS[name] is None or not source.is_dir():
        return False
    target = grow_folder(folder / name / "cells" / task, "evaluation")
    for cell in source.glob("*/model/seed-*/cell.json"):
        place = target / cell.relative_to(source).parents[2] / "baseline" / cell.parts[-2] / "cell.json"
        document = json.loads(cell.read_text(encoding="utf-8"))
        replace_file(place, json.dumps({**document, "role": "baseline"}))
    return True


def systems_of(options: argparse.Namespace) -> list[str]:
    """The systems that are asked for; the untouched encoder first, whose figures the others are compared with."""
    asked = list(dict.fromkeys(options.systems.split(",")))
    return sorted(asked, key=lambda name: SYSTEMS[name] is not None)


def probes(scale: Scale, options: argparse.Namespace) -> list[Timed]:
    """What is timed for the forecast: a step of each alignment, an example of each fine-tuning, a scored text."""
    systems = systems_of(options)
    # Each is compared with the untouched encoder under its own seeds, which is trained once where it is asked for too.
    trained = len(systems) if "untouched" in systems else 2 * len(systems)
    found = []
    for name in systems:
        if SYSTEMS[name] is not None:

            def steps(count: int, scratch: Path, name: str = name) -> Sequence[str]:
                return [*aligning(scale, name, scratch / "encoder", options), "--steps", str(count)]

            found.append(
                Timed(f"steps of {name}", planned_steps(scale, name, options), steps, few=2, more=10)
            )
    for task in ("xnli", "xquad"):
        if task not in scale.tasks:
            continue

        def examples(count: int, scratch: Path, task: str = task) -> Sequence[str]:
            words = measuring(scale, task, model_of(scale, options), scratch / "cells", options, seeds=1)
            return [*words, "--train-examples", str(count), "--test-examples", "8", "--languages", "en"]

        found.append(
            Timed(
                f"examples of {task}",
                training_examples(scale, task, options) * trained,
                examples,
                few=32,
                more=160,
            )
        )
    return found


# Examples of the whole training sets, which the fine-tuning of XTREME takes.
TRAINING = {"xnli": 392_702, "xquad": 87_599}


def training_examples(scale: Scale, task: str, options: argparse.Namespace) -> int:
    """English examples that one system is trained on, under all its seeds; an example's passes are in its price."""
    words = scale.tasks[task]
    stated = dict(itertools.pairwise(words))
    presets = {"xnli": XNLI_FINE_TUNING, "xquad": XQUAD_FINE_TUNING}[task]
    usual = presets[stated.get("--fine-tuning", "small")].train_examples
    asked = stated.get("--train-examples", "none" if usual is None else str(usual))
    seeds = int(stated.get("--seeds", options.seeds or scale.seeds))
    return seeds * (TRAINING[task] if asked == "none" else int(asked))


def planned_steps(scale: Scale, name: str, options: argparse.Namespace) -> int:
    """The optimiser steps of an alignment, as its recipe and the scale's options have them."""
    from otkit.training.recipe import Recipe

    recipe = Recipe.read((SYSTEMS[name] or ("", "paper"))[1])
    stated = dict(zip(scale.align[::2], scale.align[1::2], strict=True))
    if "--steps" in stated:
        return int(stated["--steps"])
    pairs = int(stated.get("--pairs-per-language", recipe.batching.pairs_per_language or 0))
    batch = int(stated.get("--batch-size", recipe.batching.batch_size))
    together = batch if recipe.batching.mix_languages else batch * len(scale.languages)
    rounds = int(stated.get("--grad-accum", recipe.training.grad_accum))
    return max(1, round(pairs * len(scale.languages) * (recipe.training.epochs or 1.0) / (together * rounds)))


def bring_data(scale: Scale, options: argparse.Namespace) -> None:
    """The files that have no name on the Hub, where they are not there."""
    table = public.read_table()
    missing = [name for name in scale.sets if not public.has_set(data_root(), table[name])]
    accept = ["--accept"] if options.accept else []
    if missing and public.main([*missing, *accept, "--output", str(data_root())]):
        raise SystemExit(1)


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Forecast, align, measure, print one table, and keep it in the output folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", default="minutes", help=", ".join(SCALES))
    parser.add_argument("--model", help="another encoder than the scale's")
    parser.add_argument("--output", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--parallel", type=Path, help="folder of XX-en.tsv.gz, instead of the scale's text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--overwrite", action="store_true", help="throw away the run that is in the folder")
    parser.add_argument("--accept", action="store_true", help="the licences of the sets that are fetched")
    parser.add_argument("--estimate", action="store_true", help="say how long it takes, and stop")
    parser.add_argument("--price", type=float, help="of an hour of this machine, in your currency")
    options = parser.parse_args(arguments)
    scale = choose(options.scale, SCALES, what="scale")
    for name in options.systems.split(","):
        choose(name, SYSTEMS, what="system")
    bring_data(scale, options)
    if options.estimate or options.scale == "paper":
        print(hours(forecast(probes(scale, options), call), options.price), file=sys.stderr, flush=True)
    if options.estimate:
        return
    folder = run_folder(options.output / options.scale, resume=options.resume, overwrite=options.overwrite)
    plan = {
        "model": model_of(scale, options),
        "seeds": options.seeds or scale.seeds,
        "texts": texts(scale, options),
    }
    keep_to(plan, folder / "plan.json")
    shown_columns = [column for column in COLUMNS if column[1] in scale.tasks]
    rows: list[tuple[Value, ...]] = []
    for name in systems_of(options):
        found = evaluate(scale, name, align(scale, name, folder, options), folder, options)
        rows.append((name, *(shown(figure(found, *where)) for _, *where in shown_columns)))
    for name, values in PAPER.items():
        paper = dict(zip([column[0] for column in COLUMNS], values, strict=False))
        figures = [paper.get(column[0]) for column in shown_columns]
        rows.append(
            (f"paper's {name} (mBERT)", *(each if each is None else f"{each:.3f}" for each in figures))
        )
    table = Table(
        f"scale {options.scale}, {Path(model_of(scale, options)).name}, {plan['seeds']} seed(s)",
        (Column("system"), *(Column(name) for name, *_ in shown_columns)),
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


def keep_to(plan: Mapping[str, Any], path: Path) -> None:
    """A run is gone on with under the plan that it was begun with."""
    if path.exists() and (changed := differences(json.loads(path.read_text(encoding="utf-8")), plan)):
        raise SystemExit(
            f"{path}: the run was begun with another plan: {changed}; say --overwrite, or name another --output"
        )
    replace_file(path, to_json(plan))


if __name__ == "__main__":
    ended(main)
