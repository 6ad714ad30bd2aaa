"""The search for the recipe `best`: one alignment recipe after the other under one protocol, in one table.

    python -m benchmarks.best [--only "NAME;..."] [--seeds 0,1,2] [--pairs 300] [--tatoeba 150] [--model MODEL]

Every recipe fine-tunes the encoder with `otkit align` on the first PAIRS pairs of each of thirteen languages (those
of "silver" on the training text of XL-WA in ten, with the links that come with it). Beside each: the mean AER of the
ten XL-WA development sets under the default extraction, at the layers that the recipe trains, and of all twelve sets of
`benchmarks.word_alignment`, of which en-fr and en-hi chose nothing; the mean Tatoeba accuracy of 14 languages (both
directions, the first TATOEBA pairs); and the minutes that training took. Finished runs are kept in the output folder
and not run again.
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
from benchmarks.word_alignment import gold_sets
from otkit.alignment.settings import AlignmentSettings
from otkit.data.parallel import open_corpus
from otkit.data.views import CorpusView, PairCorpus
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.evaluation.retrieval import evaluate_retrieval
from otkit.evaluation.word_alignment import evaluate_word_alignment
from otkit.files import replace_file
from otkit.resources import sample_encoder

# Languages of the training text that are written with spaces: words are what links are drawn between.
LANGUAGES = ("ar", "bg", "de", "el", "es", "fr", "hi", "ro", "ru", "sw", "tr", "ur", "vi")


def losses(*named: str) -> tuple[str, ...]:
    """An `--objective` for each NAME:WEIGHT."""
    return tuple(word for name in named for word in ("--objective", name))


# What all recipes share, but for what they say themselves: one epoch of mixed batches, the first layers kept; the rest
# is the paper's, its constant learning rate too.
COMMON = (
    *(
        "--layer",
        "6,7",
        "--word-vector",
        "mean",
        "--cost",
        "cosine",
        "--epsilon",
        "0.1",
        "--unit",
        "mean-cost",
    ),
    *("--anchor-reduction", "mean", "--batch-size", "8", "--grad-accum", "1", "--max-grad-norm", "1"),
    *("--warmup", "0.1", "--freeze", "3", "--epochs", "1", "--lr", "1e-4"),
)
CENTRED = ("--center", "sentence", "--epsilon", "0.075", "--unit", "mean-cost")
WEAK = (*losses("contrastive-weak:1", "anchor:0.1"), *CENTRED, "--lr", "5e-4")
LIKELY = (*losses("anchor:0.1"), "--tau", "0.1", *CENTRED, "--lr", "5e-4")

# Words of a recipe that are no option.
MARKS = ("links", "silver", "mixed", "both")

# The recommendation of the first two searches.
CONTRAST = (
    *losses("contrastive-weak:1", "sentence-contrastive:1", "anchor:0.1"),
    *(*CENTRED, "--tau", "0.1", "--lr", "3e-4", "--schedule", "linear"),
)
# What the recipes of the second search share: half the weight on sentences, all languages in one batch.
MIXED = ("mixed", *CONTRAST, "--batch-size", "80", *losses("sentence-contrastive:0.5"))
SILVER = (*MIXED, "silver", *losses("link-likelihood:1"))

# The third search: links weighed by the length of words, read before the first step.
LENGTHS = (
    *(*CONTRAST, "--mix-languages", "--batch-size", "24", "--epochs", "2", "--lr", "5e-4"),
    *losses("link-likelihood:2"),
)

# What is added to `otkit align`. "links" gives it the links that the untouched encoder's default extraction finds,
# "silver" the text and links of XL-WA's training sets instead of the parallel text, "mixed" one file of all languages;
# "both" is the parallel text and XL-WA's, without its links, pairs of at most 25 words.
# Options said later win, and so do the weights of objectives.
RECIPES: dict[str, tuple[str, ...]] = {
    "ot": losses("ot:20", "anchor:1"),
    "self-training": losses("self-training:1", "anchor:1"),
    "self-training, links": ("links", *losses("self-training:1", "anchor:1"), "--lr", "2e-4"),
    "contrastive-weak": losses("contrastive-weak:1", "anchor:1"),
    "contrastive-strong": losses("contrastive-strong:1", "anchor:1"),
    "contrastive-strong, links": ("links", *losses("contrastive-strong:1", "anchor:1"), "--lr", "2e-4"),
    "contrastive-weak, centred": (*WEAK, *losses("anchor:1"), "--lr", "3e-4"),
    "contrastive-weak, centred, links": ("links", *WEAK, *losses("anchor:1"), "--lr", "3e-4"),
    "contrastive-weak, centred, far": (*WEAK, *losses("anchor:0.02"), "--temperature", "0.05", "--lr", "1e-3"),
    "contrast": CONTRAST,
    "silver: self-training": ("silver", *losses("self-training:1", "anchor:1"), "--lr", "2e-4"),
    "silver: self-training, centred, loose": (
        *("silver", *losses("self-training:1", "anchor:0.1"), *CENTRED, "--lr", "5e-4"),
    ),
    "silver: contrastive-weak, centred": ("silver", *WEAK, *losses("anchor:1"), "--lr", "3e-4"),
    "silver: link-likelihood": ("silver", *LIKELY, *losses("link-likelihood:1")),
    "silver: link-likelihood, contrastive-weak": (
        *("silver", *LIKELY, *losses("link-likelihood:2", "contrastive-weak:0.5")),
    ),
    "mixed": MIXED,
    "mixed, no sentences": (*MIXED, *losses("sentence-contrastive:0")),
    "mixed, sentences:2": (*MIXED, *losses("sentence-contrastive:2")),
    "mixed, anchor:0": (*MIXED, *losses("anchor:0")),
    "mixed, anchor:1": (*MIXED, *losses("anchor:1")),
    "mixed, consistency:1": (*MIXED, *losses("consistency:1")),
    "mixed, link-likelihood:0.5": (*MIXED, *losses("link-likelihood:0.5")),
    "mixed, contrastive-strong": (*MIXED, *losses("contrastive-strong:1", "contrastive-weak:0")),
    "mixed, self-training": (*MIXED, *losses("self-training:1", "contrastive-weak:0")),
    "mixed, temperature 0.05": (*MIXED, "--temperature", "0.05"),
    "mixed, temperature 0.2": (*MIXED, "--temperature", "0.2"),
    "mixed, lr 1e-3": (*MIXED, "--lr", "1e-3"),
    "mixed, three epochs": (*MIXED, "--epochs", "3"),
    "mixed, dropout": (*MIXED, "--dropout"),
    "mixed, embeddings kept alone": (*MIXED, "--freeze", "0"),
    "mixed, layers 7 and 8": (*MIXED, "--layer", "7,8"),
    "mixed, layers 6 to 9": (*MIXED, "--layer", "6,7,8,9"),
    "mixed, layers 8 and 9": (*MIXED, "--layer", "8,9"),
    "mixed, layers 9 and 10": (*MIXED, "--layer", "9,10"),
    "mixed, silver: link-likelihood:1": (*SILVER, *losses("contrastive-weak:0.5")),
    "mixed, silver: layers 8 and 9": (*SILVER, "--layer", "8,9"),

    "best": ("both", "--recipe", "best"),
    "best, all saved": ("both", "--recipe", "best", "--head-layers", "none"),
    "best, low": ("both", "--recipe", "best", "--freeze-above", "7"),
    "best, far": (
        *("both", "--recipe", "best", "--lr", "5e-4", *losses("contrastive-weak:1", "link-likelihood:2")),
        *(*losses("sentence-contrastive:0.5", "anchor:0.05"), "--head-layers", "none"),
    ),
    "lengths 0.35, 3": (*LENGTHS, "--length-power", "0.35", "--attach-factor", "3"),
    "lengths 0.5, 4": (*LENGTHS, "--length-power", "0.5", "--attach-factor", "4"),
    "lengths 0.7, 6": (*LENGTHS, "--length-power", "0.7", "--attach-factor", "6"),
    "mixed, silver: layers 7 and 8, three epochs": (
        *(*SILVER, "--layer", "7,8", "--epochs", "3"),
        *losses("link-likelihood:2", "contrastive-weak:0"),
    ),
}  # fmt: skip


def training_files(folder: Path, pairs: int) -> list[Path]:
    """The first pairs of each language."""
    files = []
    for language in LANGUAGES:
        source = data("parallel", f"{language}-en.tsv.gz")
        files.append(head_of(source, folder / f"text-{pairs}" / f"{language}-en.tsv", pairs))
    return files


def silver_files(folder: Path, pairs: int) -> list[Path]:
    """The first pairs of each of XL-WA's training sets, with their links."""
    found = sorted(data("word-alignment").glob("xlwa-en-*.train.tsv.gz"))
    return [head_of(path, folder / f"silver-{pairs}" / f"en-{path.name[8:10]}.tsv", pairs) for path in found]


def both_files(folder: Path, pairs: int) -> list[Path]:
    """The first short pairs of each of twenty languages, from the parallel text and from XL-WA's training sets."""
    texts: dict[str, list[str]] = {}
    sources = [(language, data("parallel", f"{language}-en.tsv.gz"), 1) for language in LANGUAGES]
    silver = sorted(data("word-alignment").glob("xlwa-en-*.train.tsv.gz"))
    sources += [(path.name[8:10], path, -1) for path in silver]  # English comes first there
    for language, path, order in sources:
        with gzip.open(path, "rt", encoding="utf-8") as whole:
            sides = (line.rstrip("\n").split("\t")[:2][::order] for line in whole)
            short = (side for side in sides if all(len(text.split()) <= 25 for text in side))
            texts.setdefault(language, []).extend("\t".join(side) for side in itertools.islice(short, pairs))
    found = []
    for language, lines in texts.items():
        found.append(folder / f"both-{pairs}" / f"{language}-en.tsv")
        found[-1].parent.mkdir(parents=True, exist_ok=True)
        replace_file(found[-1], "".join(f"{line}\n" for line in lines))
    return found


def mixed_file(files: Sequence[Path]) -> Path:
    """All the files in one."""
    target = files[0].with_name("mul-eng.tsv" if files[0].stem.endswith("-en") else "eng-mul.tsv")
    if not target.exists():
        replace_file(target, "".join(path.read_text(encoding="utf-8") for path in files))
    return target


def head_of(source: Path, target: Path, lines: int) -> Path:
    """The first lines of a gzip file, written once."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(source, "rt", encoding="utf-8") as whole:
            replace_file(target, "".join(itertools.islice(whole, lines)))
    return target


def links_of(files: Sequence[Path], model: str, threads: int) -> list[Path]:
    """Pharaoh links of every file, found once."""
    found = []
    for path in files:
        links = path.with_suffix(".align")
        if not links.exists():
            call("extract", str(path), "--model", model, "--output", str(links), threads=threads)
        found.append(links)
    return found


def call(*arguments: str, threads: int) -> None:
    """Run one command of the package."""
    subprocess.run(
        [sys.executable, "-m", "otkit", *arguments, "--threads", str(threads), "--quiet"], check=True
    )


def measure(encoder: Encoder, tatoeba: int, layers: tuple[int, ...] | None) -> dict[str, float]:
    """AER of each gold set in percent, accuracy of each Tatoeba language in percent."""
    chosen_on, sets = xlwa(), gold_sets()
    words = evaluate_word_alignment(encoder, sets, config=AlignmentSettings(layers=layers))
    corpora: list[PairCorpus] = []
    for path in sorted(data("tatoeba").glob("*-eng.tsv.gz")):
        whole = open_corpus(path)
        corpora.append(CorpusView(whole, np.arange(min(tatoeba, len(whole)))))
    sentences = evaluate_retrieval(encoder, corpora)
    found = {
        f"{'aer' if language in chosen_on else 'other aer'} {language}": 100 * words.value(language)
        for language in sets
    }
    found |= {f"tatoeba {language}": 100 * scores.mean for language, scores in sentences.items()}
    return found


def arguments_of(name: str, options: argparse.Namespace) -> list[str]:
    """The command line of a recipe, after `otkit align`."""
    recipe = RECIPES[name]
    settings = [part for part in recipe if part not in MARKS]
    silver = "silver" in recipe
    chosen = silver_files if silver else both_files if "both" in recipe else training_files
    files = chosen(options.output, options.pairs)
    pairs = options.pairs
    if "mixed" in recipe:
        pairs, files = pairs * len(files), [mixed_file(files)]
    words = [] if silver else [str(path) for path in files]
    if silver or "links" in recipe:
        links = files if silver else links_of(files, options.model, options.threads)
        words += [part for path in links for part in ("--links", str(path))]
    common = () if "--recipe" in settings else COMMON
    shared = (*common, "--precision", options.precision)
    return [*words, *shared, *settings, "--pairs-per-language", str(pairs)]


def trained_layers(arguments: Sequence[str]) -> tuple[int, ...] | None:
    """The layers that a command line names last; None where it leaves them to the encoder."""
    places = [place for place, word in enumerate(arguments) if word == "--layer"]
    return tuple(map(int, arguments[places[-1] + 1].split(","))) if places else None


def result(name: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """One recipe under one seed: trained and measured now, or read from what was."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in f"{name}.{options.pairs}.{seed}")
    folder: Path = options.output
    path = folder / f"{slug}.tatoeba-{options.tatoeba}.json"
    if path.exists():
        kept: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    model, minutes, layers = options.model, 0.0, None
    if name != "untouched":
        model = str(folder / slug)
        start = time.perf_counter()
        where = ("--model", options.model, "--output", model, "--seed", str(seed))
        arguments = arguments_of(name, options)
        call("align", *arguments, *where, threads=options.threads)
        layers = trained_layers(arguments)
        minutes = (time.perf_counter() - start) / 60
    encoder = open_encoder(model, device=options.device)
    found = measure(encoder, options.tatoeba, layers) | {"minutes": minutes}
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(found, indent=1))
    figures = {key: round(value, 2) for key, value in summary(found).items()}
    print(name, seed, figures, file=sys.stderr, flush=True)
    return found


def summary(found: dict[str, float]) -> dict[str, float]:
    """The means that the table shows."""
    aer = [value for key, value in found.items() if key.startswith("aer")]
    other = [value for key, value in found.items() if key.startswith("other aer")]
    tatoeba = [value for key, value in found.items() if key.startswith("tatoeba")]
    means = {"AER": aer, "twelve": [*aer, *other], "Tatoeba": tatoeba, "minutes": [found["minutes"]]}
    return {name: float(np.mean(values)) for name, values in means.items()}


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
    parser.add_argument("--pairs", type=int, default=300, help="of each language")
    parser.add_argument("--only", help="names of recipes, separated by ';'")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--tatoeba", type=int, default=150, help="first pairs of each language")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision", default="bf16", help="fp32 where the processor has no bf16: far quicker there"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    rows: list[list[float | int | str | None]] = []
    by_language: list[list[float | int | str | None]] = []
    languages: list[str] = []
    for name in ["untouched", *(options.only.split(";") if options.only else RECIPES)]:
        found = [result(name, seed, options) for seed in (seeds if name != "untouched" else [0])]
        languages = [key for key in found[0] if key.partition(" ")[0] in ("aer", "other")]
        by_language.append([name, *(float(np.mean([run[key] for run in found])) for key in languages)])
        runs = [summary(run) for run in found]
        spread = [deviation([run[key] for run in runs]) for key in ("AER", "Tatoeba")]
        means = [
            float(np.mean([run[key] for run in runs])) for key in ("AER", "twelve", "Tatoeba", "minutes")
        ]
        rows.append([name, means[0], spread[0], *means[1:3], spread[1], means[3], len(runs)])
    title = f"{options.pairs} pairs of each language, Tatoeba: {options.tatoeba}"
    show(
        title, ("recipe", "AER", "±", "AER, twelve sets", "Tatoeba", "±", "minutes", "seeds"), rows, digits=2
    )
    show("AER", ("recipe", *(key.rpartition(" ")[2] for key in languages)), by_language, digits=1)


if __name__ == "__main__":
    main()
