"""The model card of an aligned encoder: what was done to it, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath, PureWindowsPath
from typing import Any

import yaml  # type: ignore[import-untyped]

from otkit import __version__
from otkit.encoders.families import ENCODERS
from otkit.encoders.torch import TorchEncoder
from otkit.training.recipe import Recipe
from otkit.training.records import Record
from otkit.training.settings import ObjectiveSettings

__all__ = ["FIGURES", "PLACE", "based_on", "described", "model_card", "opening", "portable_name"]

PLACE = "path/to/this/folder"
"""What cards call their own folder; on the Hub its name there stands instead."""

FIGURES = {
    "divergence": ("held-out Sinkhorn divergence", "lower"),
    "aer": ("word-alignment AER", "lower"),
    "aer_trained": ("word-alignment AER of the trained layers", "lower"),
    "retrieval": ("sentence retrieval, accuracy@1", "higher"),
    "score": ("held-out words that are each other's nearest", "higher"),
}
"""What an evaluation measures: its name for people, and which way is better."""


def model_card(
    encoder: TorchEncoder, settings: Recipe, metadata: dict[str, Any], history: Sequence[Record]
) -> str:
    """The README.md of a run's folder: `settings` as they were used, `metadata` as otkit.json has it."""
    files = metadata["data"]
    front: dict[str, Any] = {
        "library_name": "transformers",
        "tags": ["word-alignment", "cross-lingual", "optimal-transport", "otkit"],
        "language": sorted({language for file in files for language in file["languages"]}),
    }
    front |= based_on(encoder)
    # Quoted throughout: `no` is a language, and a folder may be called `a: b`.
    header = yaml.safe_dump(front, default_style='"', sort_keys=False, width=10**9)
    data = "\n".join(
        f"- {_code(file['name'])} ({_plain('-'.join(file['languages']))}, {file['pairs']:,} pairs)"
        for file in files
    )
    rows = described(settings, encoder.layers)
    done = "\n".join(f"| {name} | {_plain(value)} |" for name, value in rows)
    return f"""---
{header}---

# {_code(encoder.name)}, aligned with optimal transport

Fine-tuned by otkit {__version__} so that translated sentences have the same cloud of word vectors
(the method of [Alqahtani et al. 2021](https://arxiv.org/abs/2110.02887)).

## What changed

{_changes(history, settings.objective)}

## What was done

| setting | value |
|---|---|
{done}
| optimiser steps | {metadata["steps"]:,} |
| processes | {metadata["processes"]} |

Trained on:

{data}

Everything needed to repeat the run is in `otkit.json`; every step is in `history.jsonl`.

```python
{opening(encoder)}
```
"""


def opening(encoder: TorchEncoder) -> str:
    """The lines that open a folder of the encoder with transformers. Of a model with a decoder the encoder alone is
    saved, and AutoModel would make up the rest."""
    kind = type(encoder.model)
    alone = encoder.model.config.model_type in ENCODERS
    name, module = (kind.__name__, kind.__module__) if alone else ("AutoModel", "transformers")
    return f"""from transformers import AutoTokenizer
from {module} import {name}

model = {name}.from_pretrained("{PLACE}")
tokenizer = AutoTokenizer.from_pretrained("{PLACE}")"""


def based_on(encoder: TorchEncoder) -> dict[str, str]:
    """The line of a card's front matter that names the model on the Hub that the encoder was made from; a folder's name
    is nobody's model there."""
    return {} if encoder.hub_name is None else {"base_model": encoder.hub_name}


def described(settings: Recipe, count: int) -> list[tuple[str, str]]:
    """The settings that had an effect, each with its unit, for people; of an encoder of `count` layers."""
    objective, batching, train, tuning = (
        settings.objective,
        settings.batching,
        settings.training,
        settings.tuning,
    )
    rows = [
        ("objective", ", ".join(f"{weight:g} x {name}" for name, weight in objective.losses)),
        ("layers compared", _layers(objective, count)),
        ("vectors", _vectors(objective)),
        *_transport(objective),
        *_parts(objective),
        ("trained", _trained(settings, count)),
        (
            "batches",
            f"{batching.batch_size} pairs of {'all languages together' if batching.mix_languages else 'each corpus'}, "
            f"{train.grad_accum} to an optimiser step"
            + (f", at most {batching.budget} subwords a pass" if batching.budget else ""),
        ),
        ("pairs of each corpus in an epoch", f"{batching.pairs_per_language}"),
        (
            "learning rate",
            f"{train.lr:g} at its peak, {train.schedule}, warm-up over {train.warmup:g} of the steps",
        ),
        (
            "optimiser",
            f"AdamW, betas {train.betas[0]:g} and {train.betas[1]:g}, weight decay {train.weight_decay:g}, "
            + (
                f"gradients clipped at {train.max_grad_norm:g}"
                if train.max_grad_norm
                else "gradients not clipped"
            ),
        ),
        ("precision", train.precision),
        ("seed", f"{train.seed}"),
    ]
    if tuning.compile:
        rows.append(("compiled", "yes"))
    return rows


def portable_name(name: str) -> str:
    """A corpus as other machines may know it: without the folders of this one."""
    local = (
        PurePath(name).is_absolute() or PureWindowsPath(name).is_absolute() or name.startswith(("~", ".."))
    )
    return PureWindowsPath(name).name if local else name


def _layers(objective: ObjectiveSettings, count: int) -> str:
    listed = ", ".join(map(str, objective.compared))
    if objective.layer_weights is not None:
        weights = ", ".join(f"{weight:g}" for weight in objective.layer_weights)
        return f"hidden states {listed} of {count}, each by itself, weighted {weights}"
    many = len(objective.compared) > 1
    return f"{'the mean of hidden states' if many else 'hidden state'} {listed} of {count}"


def _vectors(objective: ObjectiveSettings) -> str:
    unit = (
        "subwords"
        if objective.granularity == "subword"
        else f"words, by their {objective.word_vector} subword"
    )
    if objective.granularity == "word" and objective.word_vector == "mean":
        unit = "words, the mean of their subwords"
    return unit + (", minus the mean of their sentence pair" if objective.center == "sentence" else "")


def _transport(objective: ObjectiveSettings) -> list[tuple[str, str]]:
    """The transport problems that the parts solve, or only the held-out divergence."""
    solver, unit = objective.sinkhorn, ("the mean cost" if objective.unit == "mean-cost" else "the cost")
    purpose = "" if objective.transports else " (of the held-out divergence)"
    enough = "none" if solver.tolerance is None else f"{solver.tolerance:g}"
    rows = [
        ("cost", objective.cost),
        ("epsilon", f"{solver.epsilon:g}, in units of {unit}"),
        (
            "tau",
            "none, both marginals are hard"
            if objective.tau is None
            else f"{objective.tau:g}, in units of {unit}",
        ),
        ("marginals", objective.weights),
        ("solver", f"at most {solver.max_iterations} iterations, tolerance {enough}"),
    ]
    if objective.position:
        rows.append(("position", f"{objective.position:g} times a unit's place in its sentence"))
    if objective.scope == "batch":
        rows.append(("scope", "all words of a batch as one cloud"))
    return [(name + purpose, value) for name, value in rows]


def _parts(objective: ObjectiveSettings) -> list[tuple[str, str]]:
    """What single parts take."""
    needs, rows = objective.needs, []
    if needs & {"links", "gold", "pairing"}:
        if objective.links == "given" or "gold" in needs:
            links = "given with the text"
        elif objective.reads_links:
            every = (
                "before the first step"
                if objective.relink_every is None
                else f"every {objective.relink_every} steps"
            )
            links = f"its own; for link-likelihood those of the word aligner, read {every}"
        else:
            links = "its own, anew at each step"
        rows.append(("links", links))
    if objective.reads_links and objective.weighs_lengths:
        rows.append(
            (
                "length of words",
                f"power {objective.length_power:g}, short words lean on the next by {objective.attach_factor:g}",
            )
        )
    if "projection" in needs:
        head = "no head" if objective.projection is None else f"a head of width {objective.projection}"
        rows.append(("contrast of words", f"temperature {objective.temperature:g}, {head}"))
    if any(name == "window-ot" for name, _ in objective.losses):
        rows.append(("windows", f"{objective.context_words} words around a linked word"))
    if "static" in needs:
        rows.append(("static vectors", "through a linear map fitted to the encoder as it starts"))
    if needs & {"masked", "joint"}:
        rows.append(("hidden words", f"{objective.mask_share:g} of them"))
    if "start" in needs or any(name == "l2" for name, _ in objective.losses):
        rows.append(("distances reduced by", objective.anchor_reduction))
    if objective.language_weights:
        rows.append(
            (
                "weights of languages",
                ", ".join(f"{name} {weight:g}" for name, weight in objective.language_weights),
            )
        )
    rows.append(("dropout", "the encoder's" if objective.dropout else "none"))
    return rows


def _trained(settings: Recipe, count: int) -> str:
    tuning = settings.tuning
    first = "the embeddings and all" if tuning.frozen is None else "the"
    below = 0 if tuning.frozen is None else tuning.frozen
    above = count if tuning.freeze_above is None else tuning.freeze_above
    layers = f"{first} layers {below + 1} to {above} of {count}"
    if tuning.lora_rank is not None:
        layers = f"adapters of rank {tuning.lora_rank} (alpha {tuning.lora_alpha}) on {layers}"
    if tuning.head and count - tuning.head < above:
        layers += f"; those above {count - tuning.head} are saved as they were before the run"
    return layers


def _changes(history: Sequence[Record], objective: ObjectiveSettings) -> str:
    """A table of the figures before and after the run, and of the losses in its first and last record."""
    measured = [record for record in history if "divergence" in record]
    steps = [record for record in history if "lr" in record]
    rows = []
    for name, value in measured[0].items() if len(measured) > 1 else ():
        kind, _, language = name.partition("/")
        title, better = FIGURES.get(kind, (kind, ""))
        if name == "step" or name not in measured[-1]:
            continue
        label = f"{title}, {_plain(language)}" if language else title
        rows.append(
            (f"{label} ({better} is better)" if better and not language else label, value, measured[-1][name])
        )
    for name, _ in objective.losses:
        if steps and name in steps[0]:
            rows.append((f"loss {name} (first and last record of training)", steps[0][name], steps[-1][name]))
    if not rows:
        return "Nothing was measured."
    lines = [f"| {label} | {_figure(before)} | {_figure(after)} |" for label, before, after in rows]
    return "\n".join(["| figure | before | after |", "|---|---|---|", *lines])


def _figure(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(text: str) -> str:
    """Text that is one line and one cell of a table."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("|", "/")


def _code(text: str) -> str:
    """A name as it is, between backticks."""
    return "`" + _plain(text).replace("`", "'") + "`"
