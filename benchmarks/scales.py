"""How much of everything the paper's comparison takes: from a smoke test on the sample data to the paper's own size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["SCALES", "Scale"]

_XNLI = "en,ar,bg,de,el,es,fr,hi,ru,sw,th,tr,ur,vi,zh"
_XQUAD = "en,ar,de,el,es,hi,ru,th,tr,vi,zh"
_MINUTES = ("--train-examples", "1500", "--test-examples", "300", "--languages", "en,bg,de,es,sw")
_ALL_EXAMPLES = (
    *("--train-examples", "none", "--test-examples", "900", "--languages", "en,bg,de,el,es,fr,ru,tr"),
    *("--freeze", "none", "--lr", "3e-4", "--precision", "bf16"),
)
_HALF = ("--fine-tuning", "small", "--precision", "bf16")
_SHORT = ("--on-error", "skip")  # that encoder takes 192 subwords
_FIVE = ("bg", "de", "el", "es", "fr")
# Europarl on the Hub has a configuration for each pair, its languages in the order of the alphabet.
_EUROPARL = {
    language: f"hf://datasets/Helsinki-NLP/europarl:{'-'.join(sorted((language, 'en')))}:train[:250000]"
    for language in _FIVE
}


@dataclass(frozen=True)
class Scale:
    """Options of `otkit align` and of each task of `otkit evaluate`.

    parallel: addresses of the text by language; of others it is a file of the benchmark data. sets: what
    `python -m benchmarks.data` has to bring. own_data: tasks whose options name their data.
    """

    model: str
    languages: tuple[str, ...]
    align: tuple[str, ...]
    tasks: Mapping[str, tuple[str, ...]]
    seeds: int = 1
    parallel: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    own_data: tuple[str, ...] = ()


SCALES: dict[str, Scale] = {
    # A minute: does every step run? The figures mean nothing.
    "smoke": Scale(
        model="sample",
        languages=("de", "fr"),
        align=("--steps", "4", "--batch-size", "4"),
        tasks={"retrieval": (), "word-alignment": ()},
        own_data=("retrieval", "word-alignment"),
    ),
    # A quarter of an hour on two cores: alignment moves retrieval and AER; XNLI is only begun.
    "minutes": Scale(
        model="sample",
        languages=("bg", "de", "es"),
        align=("--pairs-per-language", "800", "--batch-size", "8", "--grad-accum", "1"),
        tasks={
            "retrieval": ("--languages", "bg,de,es,sw"),
            "word-alignment": ("--languages", "bg,es,it"),
            "xnli": _MINUTES,
        },
    ),
    # An encoder that saw no translation (benchmarks/pretrain.py). It has little English to begin with, so it learns the
    # task from as many pairs as there are, all of its weights with it.
    "pretrained": Scale(
        model="runs/pretrain/encoder",
        languages=_FIVE,
        align=("--pairs-per-language", "5000", "--batch-size", "8", "--grad-accum", "1", *_SHORT),
        tasks={"retrieval": _SHORT, "word-alignment": _SHORT, "xnli": _ALL_EXAMPLES},
    ),
    # Two hours on two cores with bf16: all languages of the paper's table, a part of the small fine-tuning, two
    # seeds of XNLI and one of XQuAD.
    "hours": Scale(
        model="sample",
        languages=_FIVE,
        align=("--pairs-per-language", "1500", "--precision", "bf16"),
        tasks={
            "retrieval": (),
            "word-alignment": (),
            "xnli": (*_HALF, "--train-examples", "4000", "--test-examples", "300"),
            "xquad": (*_HALF, "--train-examples", "1000", "--test-examples", "120", "--seeds", "1"),
        },
        seeds=2,
    ),
    # A night on two cores, all languages of the paper's table, three seeds.
    "night": Scale(
        model="sample",
        languages=_FIVE,
        align=("--pairs-per-language", "10000"),
        tasks={
            "retrieval": (),
            "word-alignment": (),
            "xnli": ("--fine-tuning", "small"),
            "xquad": ("--fine-tuning", "small"),
        },
        seeds=3,
    ),
    # The paper, from public names alone: its encoder, 250,000 pairs of Europarl a language, fine-tuning as XTREME
    # published it, three seeds. A GPU, and about a day of it: `--estimate` says it for the machine at hand.
    "paper": Scale(
        model="bert-base-multilingual-cased",
        languages=_FIVE,
        align=(),
        tasks={
            "retrieval": (),
            "word-alignment": (),
            "xnli": ("--fine-tuning", "xtreme", "--data", "facebook/xnli", "--languages", _XNLI),
            "xquad": (
                *("--fine-tuning", "xtreme", "--data", "google/xquad", "--train", "rajpurkar/squad"),
                *("--languages", _XQUAD),
            ),
        },
        seeds=3,
        parallel=_EUROPARL,
        sets=("tatoeba", "xl-wa"),
        own_data=("xnli", "xquad"),
    ),
}
