"""The search for `--preset best`: one alignment recipe after the other under one protocol, in one table.

    python -m benchmarks.best --pairs 250 --output runs/best [--only "NAME;..."] [--seeds 0,1,2] [--model MODEL]

Every recipe fine-tunes the encoder on the first PAIRS pairs of each language, with `otkit align`. Beside each: the mean
AER of the ten XL-WA development sets under the default extraction, the mean Tatoeba accuracy of 14 languages (both
directions), and the minutes that training took. XL-WA's languages are seldom those of the training text, so what
is measured is transfer. Finished runs are kept in the output folder and not run again.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import data, show, xlwa
from otkit.data.parallel import open_corpus
from otkit.data.views import CorpusView, PairCorpus
from otkit.encoders.checkpoint import open_encoder
from otkit.encoders.encoder import Encoder
from otkit.evaluation.retrieval import evaluate_retrieval
from otkit.evaluation.word_alignment import evaluate_word_alignment
from otkit.resources import sample_encoder
from otkit.training.checkpoints import write_text

# Languages of the training text that are written with spaces: words are what links are drawn between.
LANGUAGES = ("ar", "bg", "de", "el", "es", "fr", "hi", "ro", "ru", "sw", "tr", "ur", "vi")

_MIDDLE = ("--layer", "6,7", "--word-vector", "mean", "--cost", "cosine", "--epsilon-relative", "0.1")
_HOLD = ("--objective", "anchor:1", "--anchor-reduction", "mean")
_SENTENCES = ("--objective", "sentence-contrastive:0.2")

# What is added to `otkit align FILES`; "links": give it those that the untouched encoder's default extraction finds.
RECIPES: dict[str, tuple[str, ...]] = {
    "ot, last layer": ("--preset", "sample"),
    "ot, layers 6 and 7": ("--objective", "ot:20", *_HOLD, *_MIDDLE),
    "ot, layers 6 and 7, + sentences": ("--objective", "ot:20", *_HOLD, *_SENTENCES, *_MIDDLE),
    "l2 on links": ("links", "--objective", "l2:1", *_HOLD, *_MIDDLE),
    "contrastive-weak on links": ("links", "--objective", "contrastive-weak:1", *_HOLD, *_MIDDLE),
    "contrastive-strong on links": ("links", "--objective", "contrastive-strong:1", *_HOLD, *_MIDDLE),
    "contrastive-strong on links, + sentences": (
        "links", "--objective", "contrastive-strong:1", *_HOLD, *_SENTENCES, *_MIDDLE,
    ),
    "self-training on links": ("links", "--objective", "self-training:1", *_HOLD, *_MIDDLE),
    "self-training on own links + consistency": (
        "--objective", "self-training:1", "--objective", "consistency:1", *_HOLD, *_MIDDLE,
    ),
    "plan trained on links (OTAlign)": (
        "links", "--objective", "word-alignment-supervised:0.1", *_HOLD, "--tau", "0.5", "--layer", "6,7",
        "--word-vector", "mean", "--cost", "cosine", "--epsilon", "0.1",
    ),
}  # fmt: skip


def training_files(folder: Path, pairs: int) -> list[Path]:
    """The first pairs of each language, and their links by the untouched encoder."""
    files = []
    for language in LANGUAGES:
        path = folder / "text" / f"{language}-en.tsv"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(data("parallel", f"{language}-en.tsv.gz"), "rt", encoding="utf-8") as lines:
                write_text(path, "".join(itertools.islice(lines, pairs)))
        files.append(path)
    return files


def links_of(files: Sequence[Path], model: str, folder: Path, threads: int) -> list[Path]:
    """Pharaoh links of every file, found once."""
    found = []
    for path in files:
        links = folder / "links" / f"{path.stem}.align"
        if not links.exists():
            links.parent.mkdir(parents=True, exist_ok=True)
            call("extract", str(path), "--model", model, "--output", str(links), threads=threads)
        found.append(links)
    return found


def call(*arguments: str, threads: int) -> None:
    """Run one command of the package."""
    subprocess.run(
        [sys.executable, "-m", "otkit", *arguments, "--threads", str(threads), "--quiet"], check=True
    )


def measure(encoder: Encoder, tatoeba: int) -> dict[str, float]:
    """AER of each XL-WA set in percent, accuracy of each Tatoeba language in percent."""
    sets = xlwa()
    words = evaluate_word_alignment(encoder, sets)
    corpora: list[PairCorpus] = []
    for path in sorted(data("tatoeba").glob("*-eng.tsv.gz")):
        whole = open_corpus(path)
        corpora.append(CorpusView(whole, np.arange(min(tatoeba, len(whole)))))
    sentences = evaluate_retrieval(encoder, corpora)
    found = {f"aer {language}": 100 * words.value(language) for language in sets}
    found |= {f"tatoeba {language}": 100 * scores.mean for language, scores in sentences.items()}
    return found


def result(name: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """One recipe under one seed: trained and measured now, or read from what was."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in name)
    folder: Path = options.output
    path = folder / f"{slug}.{seed}.json"
    if path.exists():
        kept: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    model, minutes = options.model, 0.0
    if name != "untouched":
        files = training_files(folder, options.pairs)
        arguments = [part for part in RECIPES[name] if part != "links"]
        if "links" in RECIPES[name]:
            for links in links_of(files, options.model, folder, options.threads):
                arguments += ["--links", str(links)]
        model = str(folder / f"{slug}.{seed}")
        start = time.perf_counter()
        call(
            "align", *map(str, files), "--model", options.model, "--output", model, "--batch-size", "4",
            "--epochs", str(options.epochs), "--lr", options.lr, "--warmup", "0.1", "--seed", str(seed), *arguments,
            threads=options.threads,
        )  # fmt: skip
        minutes = (time.perf_counter() - start) / 60
    found = measure(open_encoder(model, device=options.device), options.tatoeba) | {"minutes": minutes}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(found, indent=1))
    print(
        name,
        seed,
        {key: round(value, 2) for key, value in summary(found).items()},
        file=sys.stderr,
        flush=True,
    )
    return found


def summary(found: dict[str, float]) -> dict[str, float]:
    """The means that the table shows."""
    aer = [value for key, value in found.items() if key.startswith("aer")]
    tatoeba = [value for key, value in found.items() if key.startswith("tatoeba")]
    return {"AER": float(np.mean(aer)), "Tatoeba": float(np.mean(tatoeba)), "minutes": found["minutes"]}


def deviation(values: Sequence[float]) -> float | None:
    """Over the seeds."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/best"))
    parser.add_argument("--model", default=str(sample_encoder()))
    parser.add_argument("--pairs", type=int, default=250, help="of each language")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--lr", default="5e-5")
    parser.add_argument("--only", help="names of recipes, separated by ';'")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--tatoeba", type=int, default=1000, help="first pairs of each language")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    rows: list[list[float | int | str | None]] = []
    for name in ["untouched", *(options.only.split(";") if options.only else RECIPES)]:
        runs = [summary(result(name, seed, options)) for seed in (seeds if name != "untouched" else [0])]
        spread = [deviation([run[key] for run in runs]) for key in ("AER", "Tatoeba")]
        means = [float(np.mean([run[key] for run in runs])) for key in ("AER", "Tatoeba", "minutes")]
        rows.append([name, means[0], spread[0], means[1], spread[1], means[2], len(runs)])
    title = f"{options.pairs} pairs of each of {len(LANGUAGES)} languages, {options.epochs} epochs, lr {options.lr}"
    show(title, ("recipe", "AER", "±", "Tatoeba", "±", "minutes", "seeds"), rows, digits=2)


if __name__ == "__main__":
    main()
