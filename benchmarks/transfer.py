"""Zero-shot transfer: what standing beside English fine-tuning makes it better in languages without labels.

    python -m benchmarks.transfer [--output FOLDER] [--systems NAME,...] [--seeds 3] [--tasks xnli,xquad]

Every system fine-tunes the sample encoder on the same 4,000 English pairs of MultiNLI (2,000 questions of SQuAD) with
the same settings and is scored on the first 900 dev pairs of XNLI in 15 languages (160 questions of XQuAD in 6): only
what stands beside the task differs. The text is `parallel/` of the benchmark data; lexicons are counted on its short
pairs by `otkit.lexicon`, copies of the examples are written with them by `otkit.augment`. Runs are queued seed by seed;
a finished one is not run again, and each leaves a row in `rows/`. The table has paired bootstrap intervals over items
and seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import otkit
from benchmarks.common import data, ended, show
from benchmarks.record import facts_of_this_run, took_before
from otkit.data.parallel import open_corpus
from otkit.data.tasks import read_nli, read_qa
from otkit.errors import ConfigError, choose
from otkit.evaluation.finetune import subset
from otkit.evaluation.settings import FineTuningSettings, XnliSettings, XquadSettings
from otkit.files import differences, replace_file, to_json

LANGUAGES = ("ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
COUNTED = 1200  # short pairs of each language that a lexicon is counted on
SHORT = range(3, 15)  # English words of them
SHARE = 0.75  # of the words of a copy
PAIRS = 300  # of each language, for losses on parallel text


@dataclass(frozen=True)
class System:
    """What differs from the task alone: the passes over the examples, the copies, the recipe of parallel text, and keys
    of the table `transfer`."""

    what: str
    epochs: float = 1.0
    copies: str = ""
    recipe: str = ""
    transfer: Mapping[str, Any] = field(default_factory=dict)


ALTERNATE = {"schedule": "alternate"}
SYSTEMS: dict[str, System] = {
    "task": System("the task alone"),
    "copies": System("a step of copies after each step of the task", copies="example", transfer=ALTERNATE),
    "copies-half": System(
        "a step of copies after every second one", copies="example", transfer={**ALTERNATE, "align_every": 2}
    ),
    "task-twice": System("the task alone, two passes: the time of copies", epochs=2),
    "task-four": System("the task alone, four passes", epochs=4),
    "copies-twice": System(
        "copies, two passes of both: the time of four passes",
        epochs=2,
        copies="example",
        transfer=ALTERNATE,
    ),
    "copies-agree": System(
        "and prediction-consistency", copies="example", transfer={**ALTERNATE, "consistency": 1.0}
    ),
    "copies-sum": System("copies in the task's own steps", copies="example"),
    "agree": System(
        "prediction-consistency on copies, without their labels",
        copies="example",
        transfer={"copy_weight": 0.0, "consistency": 1.0},
    ),
    "copies-mixed": System(
        "copies with words of all languages in one text", copies="word", transfer=ALTERNATE
    ),
    "first": System("aligned first, recipe best", recipe="best", transfer={"schedule": "first"}),
    "paper-first": System("aligned first, recipe paper", recipe="paper", transfer={"schedule": "first"}),
    "sum": System("aligned in the task's steps, recipe best", recipe="best"),
    "sum-tenth": System("the same at a tenth of its weight", recipe="best", transfer={"align_weight": 0.1}),
    "alternate": System("aligned in steps between, recipe best", recipe="best", transfer=ALTERNATE),
    "neighbours": System(
        "prediction-consistency of neighbouring sentences",
        recipe="best",
        transfer={"align_weight": 0.0, "text_consistency": 1.0},
    ),
    "copies-best": System(
        "copies and the recipe best, every second step",
        copies="example",
        recipe="best",
        transfer={**ALTERNATE, "align_every": 2},
    ),
}


@dataclass(frozen=True)
class Work:
    """A task: its settings, how many English examples it learns from, its languages, the figure that counts."""

    settings: FineTuningSettings
    examples: int
    file: str
    languages: tuple[str, ...]
    table: str
    columns: Mapping[str, int]


TASKS: dict[str, Work] = {
    "xnli": Work(
        XnliSettings(precision="bf16", train_examples=None),
        4000,
        "train-en.tsv",
        LANGUAGES,
        "right",
        {"accuracy": 0},
    ),
    "xquad": Work(
        XquadSettings(precision="bf16", train_examples=None),
        2000,
        "train-en.json",
        ("ar", "de", "el", "es", "zh"),
        "squad",
        {"F1": 0, "EM": 1},
    ),
}


def training_file(task: str, folder: Path) -> Path:
    """The English examples that all systems learn from."""
    work, path = TASKS[task], folder / TASKS[task].file
    if path.is_file():
        return path
    if task == "xnli":
        pairs = read_nli(data("xnli", "train-en.tsv.gz"))
        rows = [pairs[number] for number in subset(len(pairs), work.examples)]
        text = "".join(f"{row.premise}\t{row.hypothesis}\t{row.label}\n" for row in rows)
    else:
        questions = read_qa(data("xquad", "train-en.json.gz"))
        chosen = [questions[number] for number in subset(len(questions), work.examples)]
        paragraphs = [
            {
                "context": one.context,
                "qas": [
                    {
                        "id": one.id,
                        "question": one.question,
                        "answers": [{"text": each.text, "answer_start": each.start} for each in one.answers],
                    }
                ],
            }
            for one in chosen
        ]
        text = to_json({"version": "1.1", "data": [{"paragraphs": paragraphs}]})
    replace_file(path, text)
    return path


def lexicon(language: str, folder: Path) -> Path:
    """A lexicon of a language, counted on short pairs of its parallel text."""
    path = folder / f"{language}-en.sqlite"
    if path.is_file():
        return path
    pairs = (pair for pair in open_corpus(data("parallel", f"{language}-en.tsv.gz")))
    short = [pair for pair in pairs if len(pair.target.split()) in SHORT][:COUNTED]
    text = folder / f"{language}-en.tsv"
    replace_file(text, "".join(f"{pair.source}\t{pair.target}\n" for pair in short))
    begun = time.process_time()
    otkit.lexicon(text, path, form="sqlite", raw=True, langs=f"{language}-en", overwrite=True)
    print(f"lexicon {language}: {len(short)} pairs, {time.process_time() - begun:.0f} s", flush=True)
    return path


def copies_of(task: str, form: str, folder: Path) -> list[Path]:
    """The training examples in other languages: a file a language, or one whose texts mix all of them."""
    english = training_file(task, folder)
    lexicons = [lexicon(language, folder) for language in LANGUAGES]
    groups = {"example": [[one] for one in lexicons], "word": [lexicons]}[form]
    found = []
    for members in groups:
        name = members[0].name[:2] if len(members) == 1 else "mul"
        path = folder / english.name.replace("-en", f"-{name}")
        if not path.is_file():
            begun = time.process_time()
            made = otkit.augment(english, path, lexicons=members, share=SHARE, overwrite=True)
            print(
                f"{path.name}: {made.replaced / made.words:.0%} of the words, {time.process_time() - begun:.0f} s",
                flush=True,
            )
        found.append(path)
    return found


class Clock:
    """Processor seconds of training and of scoring, told by what a run says it is busy with."""

    def __init__(self) -> None:
        self.seconds = {"training": 0.0, "scoring": 0.0}
        self._last = time.process_time()

    def __call__(self, done: int, total: int | None, what: str) -> None:
        now = time.process_time()
        scoring = what.endswith(("scoring", "answering")) and done > 0
        self.seconds["scoring" if scoring else "training"] += now - self._last
        self._last = now


def run(name: str, task: str, seed: int, options: argparse.Namespace) -> Path:
    """One system under one seed; its row."""
    system, work, folder = SYSTEMS[name], TASKS[task], options.output
    row = _row(name, task, seed, folder)
    settings = work.settings.changed(
        epochs=work.settings.epochs * system.epochs,
        test_examples=options.examples or work.settings.test_examples,
        precision=options.precision,
    )
    if row.is_file():
        then = json.loads(row.read_bytes())["settings"]
        if changed := differences(then, settings.to_dict()):
            raise ConfigError(
                f"was run with other settings: {changed}", where=str(row), remedy="name another --output"
            )
        return row
    how: dict[str, Any] = {}
    if system.copies:
        how["copies"] = copies_of(task, system.copies, folder / "data")
    if system.recipe:
        how["align"] = [data("parallel", f"{language}-en.tsv.gz") for language in LANGUAGES]
        how["recipe"] = system.recipe
        how["changes"] = {"batching": {"pairs_per_language": PAIRS}}
    if system.copies or system.recipe:
        how["changes"] = {**how.get("changes", {}), "transfer": dict(system.transfer)}
    clock, begun = Clock(), time.perf_counter()
    found = getattr(otkit.evaluate, task)(
        settings=settings,
        data=data(task),
        train=str(training_file(task, folder / "data")),
        seeds=(seed,),
        output=folder / "cells" / name,
        resume=True,
        device="cpu",
        on_progress=clock,
        **how,
    )
    document = {
        "task": task,
        "system": name,
        "what": system.what,
        "seed": seed,
        "figures": {
            language: {metric: found.value(metric, language) for metric in work.columns}
            for language in ("en", *work.languages)
        },
        "processor_seconds": clock.seconds,
        "seconds": time.perf_counter() - begun,
        "threads": torch.get_num_threads(),
        **facts_of_this_run(),
        "settings": settings.to_dict(),
    }
    replace_file(row, to_json(document))
    return row


def _row(name: str, task: str, seed: int, folder: Path) -> Path:
    return folder / "rows" / f"{task}-{name}-{seed}.json"


def per_item(name: str, task: str, seed: int, folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """(items, metrics) of each language."""
    cell = json.loads((folder / "cells" / name / task / "model" / f"seed-{seed}" / "cell.json").read_bytes())
    work = TASKS[task]
    return {
        language: np.asarray(tables[work.table], dtype=np.float64)[:, list(work.columns.values())]
        for language, tables in cell["findings"]["tables"].items()
    }


def difference(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    """Mean of `one` - `two`, (seeds, items), with its 95 % bootstrap interval over items and seeds."""
    found, rng = one - two, np.random.default_rng(0)
    draws = []
    for _ in range(2000):
        seeds, items = (rng.integers(size, size=size) for size in found.shape)
        draws.append(found[seeds][:, items].mean())
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(found.mean()), float(low), float(high)


def table(task: str, folder: Path, beside: str, names: Sequence[str], seeds: Collection[int]) -> None:
    """The systems that were run, each beside one of them under the same seeds."""
    work = TASKS[task]
    rows = [json.loads(path.read_bytes()) for path in sorted((folder / "rows").glob(f"{task}-*.json"))]
    seconds = {
        (row["system"], row["seed"]): row["processor_seconds"]["training"]
        for row in rows
        if row["seed"] in seeds
    }
    shown: list[tuple[Any, ...]] = []
    for name, system in SYSTEMS.items():
        ran = [seed for each, seed in seconds if each == name]
        paired = [seed for seed in ran if (beside, seed) in seconds]
        if not ran or name not in names:
            continue
        found = {seed: per_item(name, task, seed, folder) for seed in ran}
        base = {seed: per_item(beside, task, seed, folder) for seed in paired}
        cells: list[Any] = [name, system.what, len(ran)]
        for place in range(len(work.columns)):
            for members in (("en",), work.languages):
                of = partial(_matrix, languages=members, place=place)
                cells.append(f"{of([found[seed] for seed in ran]).mean():.3f}")
                if name != beside and paired:
                    value, low, high = difference(
                        of([found[seed] for seed in paired]), of([base[seed] for seed in paired])
                    )
                    cells[-1] += f" ({100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}])"
        ratio = [seconds[name, seed] / seconds[beside, seed] for seed in paired]
        cells.append(float(np.mean(ratio)) if ratio else None)
        shown.append(tuple(cells))
    columns = ["system", "what", "seeds"]
    for metric in work.columns:
        columns += [f"{metric} en", f"{metric} mean of {len(work.languages)}"]
    show(f"{task}, zero-shot from {work.examples} English examples", [*columns, "time"], shown, digits=2)


def _matrix(
    cells: Sequence[Mapping[str, np.ndarray[Any, Any]]], *, languages: Sequence[str], place: int
) -> np.ndarray[Any, Any]:
    """(seeds, items), the mean over languages of the same item."""
    return np.stack([np.mean([cell[language][:, place] for language in languages], axis=0) for cell in cells])


def queue(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """All runs, seed by seed."""
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for task in options.tasks:
            for name in options.systems:
                yield name, task, seed


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, help="by default runs/transfer-PRECISION")
    parser.add_argument("--systems", type=lambda text: text.split(","), default=list(SYSTEMS))
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--examples", type=int, help="scored of each language, instead of 900 and 160")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16", help="fp32 before AVX-512")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beside", choices=SYSTEMS, default="task", help="what the others are compared with")
    parser.add_argument("--table", action="store_true", help="only print what was measured")
    options = parser.parse_args()
    for name in options.systems:
        choose(name, SYSTEMS, what="system")
    for name in options.tasks:
        choose(name, TASKS, what="task")
    torch.set_num_threads(options.threads)
    options.output = options.output or Path(f"runs/transfer-{options.precision}")
    for folder in ("data", "rows"):
        (options.output / folder).mkdir(parents=True, exist_ok=True)
    for name, task, seed in () if options.table else queue(options):
        before = _row(name, task, seed, options.output).is_file()
        row = json.loads(run(name, task, seed, options).read_bytes())
        spent = sum(row["processor_seconds"].values())
        took_before(before * row["seconds"], before * spent, row["commit"])
        print(row["figures"], flush=True)
        print(f"{task} {name} seed {seed} done at {time.strftime('%H:%M:%S')}", flush=True)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for task in options.tasks:
        table(task, options.output, options.beside, options.systems, seeds)


if __name__ == "__main__":
    ended(main)
