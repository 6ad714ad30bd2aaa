"""What `otkit align` reads off its command line: settings, corpora, links, and which process it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otkit.cli.options import note_corpus
from otkit.cli.values import given

if TYPE_CHECKING:
    from otkit.data.views import PairCorpus
    from otkit.training.run import AlignSettings
    from otkit.training.supervision import GivenLinks

__all__ = [
    "is_main_process",
    "local_device",
    "mixed",
    "number_of_processes",
    "objective_parts",
    "open_corpora",
    "open_links",
    "run_length",
    "sample_gold",
]


def objective_parts(
    named: Sequence[tuple[str, float]] | None, anchor: float | None, default: tuple[tuple[str, float], ...]
) -> tuple[tuple[str, float], ...]:
    """The objective as (name, weight) pairs, the last of a name winning; --anchor sets the weight of that part."""
    parts = dict(named or default)
    if anchor is not None:
        parts["anchor"] = anchor
    return tuple((name, weight) for name, weight in parts.items() if weight != 0)


def run_length(epochs: float | None, steps: int | None) -> dict[str, Any]:
    """The length of a run in either unit, which replaces one in the other."""
    from otkit.errors import ConfigError

    found = given({"epochs": epochs, "steps": steps})
    if found.get("epochs") is not None and found.get("steps") is not None:
        raise ConfigError(
            f"epochs {epochs:g} and steps {steps} are one length in two units",
            remedy="give one of them",
            setting="steps",
        )
    return {"steps": None} | found if "epochs" in found else found


def open_corpora(
    files: list[str] | None,
    source: str | None,
    target: str | None,
    dev: list[str] | None,
    input_format: str,
    langs: str | None,
    on_error: str,
    seed: int,
    *,
    links: list[str] | None = None,
    quiet: bool = False,
) -> tuple[list[PairCorpus], list[PairCorpus]]:
    """Training and held-out corpora, English last in each; gold files of `links` are the text where no other
    is named."""
    from otkit.data.parallel import open_corpus
    from otkit.data.views import english_last, hold_out
    from otkit.errors import ConfigError
    from otkit.resources import sample_data
    from otkit.training.supervision import gold_corpus

    def opened(names: list[str], other: str | None = None) -> list[PairCorpus]:
        found = [
            open_corpus(name, target=other, format=input_format, langs=langs, on_error=on_error)
            for name in names
        ]
        for corpus in found:
            note_corpus(corpus, quiet=quiet)
        return [english_last(corpus) for corpus in found]

    if (source is None) != (target is None):
        raise ConfigError(
            "--source and --target belong together", remedy="give both files, line by line alike"
        )
    if source is not None and target is not None:
        corpora = [*opened([source], target), *opened(files or [])]
    elif files:
        corpora = opened(files)
    elif links:
        golds = [gold_corpus(Path(name), langs=langs, on_error=on_error) for name in links]
        for gold in golds:
            note_corpus(gold, quiet=quiet)
        corpora = [english_last(gold) for gold in golds]
    else:
        folder = sample_data() / "parallel"
        corpora = opened([str(path) for path in sorted(folder.glob("*.train.tsv"))])
        dev = dev or [str(path) for path in sorted(folder.glob("*.dev.tsv"))]
    return (corpora, opened(dev)) if dev else hold_out(corpora, seed=seed)


def open_links(
    files: list[str] | None, corpora: Sequence[PairCorpus], *, on_error: str = "raise"
) -> GivenLinks | None:
    """Files of links, one for each corpus in order; their sides are exchanged where the corpus's are."""
    from otkit.data.views import CorpusView
    from otkit.errors import ConfigError
    from otkit.training.supervision import GivenLinks, read_links

    if not files:
        return None
    if len(files) != len(corpora):
        raise ConfigError(
            f"{len(files)} files of links for {len(corpora)} of text",
            remedy="give --links once a file, in order",
        )
    return GivenLinks(
        corpora,
        [
            read_links(
                Path(name),
                swap=isinstance(corpus, CorpusView) and corpus.swapped,
                on_error=on_error,
            )
            for name, corpus in zip(files, corpora, strict=True)
        ],
    )


def mixed(
    corpora: Sequence[PairCorpus], settings: AlignSettings, *, links: list[str] | None
) -> tuple[list[PairCorpus], AlignSettings]:
    """All corpora as one, of which a batch has `batch_size` pairs; what is said of one language is refused."""
    from otkit.data.views import MixedCorpus
    from otkit.errors import ConfigError

    if links or settings.objective.language_weights:
        raise ConfigError(
            "a batch of all languages has no links and no weights of one",
            remedy="leave --mix out, or --links and --language-weight",
        )
    if len(corpora) == 1:
        return list(corpora), settings
    batching = settings.batching
    whole = MixedCorpus(corpora, quota=batching.pairs_per_language, seed=batching.seed)
    return [whole], replace(settings, batching=replace(batching, pairs_per_language=len(whole)))


def sample_gold() -> list[Path]:
    """The gold links that come with the package."""
    from otkit.resources import sample_data

    return sorted((sample_data() / "gold").glob("*.dev.tsv"))


def number_of_processes() -> int:
    """How many processes run this (`accelerate launch`, torchrun)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """True in the one process of several (`accelerate launch`, torchrun) that speaks."""
    return int(os.environ.get("RANK", "0")) == 0


def local_device(device: str) -> str:
    """The device of this process: with several, each has the CUDA device of its own number."""
    import torch

    number = os.environ.get("LOCAL_RANK")
    if device in ("auto", "cuda") and number is not None and torch.cuda.is_available():
        return f"cuda:{number}"
    return device
