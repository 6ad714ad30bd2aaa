"""Which hidden states agree across languages, told without gold links: measures of each state on sentences and their
translations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from otkit.alignment.plans import problem_of, solve
from otkit.alignment.settings import AlignmentSettings
from otkit.alignment.store import averaged, encode_layers, tokenise, tokens_at_once
from otkit.data.languages import languages_told
from otkit.data.lines import words_of
from otkit.data.parallel import Pair, read_pairs
from otkit.encoders.encoder import Encoder, resolve_layers
from otkit.encoders.pooling import Encoded, centred
from otkit.errors import InputError
from otkit.resources import sample_data
from otkit.transport.plan import shares
from otkit.transport.problem import widened

__all__ = [
    "CHOOSES",
    "MEASURES",
    "Texts",
    "layer_curves",
    "pair_words",
    "read_texts",
    "sample_texts",
]

Texts = Mapping[str, Sequence[tuple[Sequence[str], Sequence[str]]]]
"""Translated sentences as words, by the name of their languages."""
Measure = Callable[[Encoded, Encoded, Encoded], Tensor]
"""Sentences, their translations, and other sentences of the translations' language to (B,) figures; higher is
better."""

# Pairs that are encoded together; a sentence is sought among the translations of so many.
_BATCH = 32
_PLAN = AlignmentSettings()
_BALANCED = AlignmentSettings(transport="balanced", center="none", distortion=0.0, agreement=0.0)


def mutual_nearest(source: Encoded, target: Encoded, other: Encoded) -> Tensor:
    """The share of a pair's words that are each other's nearest by cosine.

    Less what sentences that are no translations share, it misleads: the last states keep other sentences apart, and
    the words of one sentence together.
    """
    cosine = normalize(widened(source.vectors), dim=-1) @ normalize(widened(target.vectors), dim=-1).mT
    cosine = cosine.masked_fill(~(source.mask[:, :, None] & target.mask[:, None, :]), -torch.inf)
    ahead, back = cosine.argmax(2), cosine.argmax(1)
    mutual = (back.gather(1, ahead) == torch.arange(cosine.shape[1], device=ahead.device)) & source.mask
    return 2 * widened(mutual.sum(1)) / _words(source, target)


def mutual_centred(source: Encoded, target: Encoded, other: Encoded) -> Tensor:
    """The same without the mean vector of both sentences, which the aligner takes off too."""
    x, y = centred(source.vectors, target.vectors, source.mask, target.mask)
    return mutual_nearest(source.with_vectors(x), target.with_vectors(y), other)


def mutual_either_way(source: Encoded, target: Encoded, other: Encoded) -> Tensor:
    """The mean of both: alone each is drawn, the one a state too low, the other a state too high."""
    return (mutual_nearest(source, target, other) + mutual_centred(source, target, other)) / 2


def cheaper_than_others(source: Encoded, target: Encoded, other: Encoded) -> Tensor:
    """How much cheaper balanced transport to the translation is than to another sentence, as a share."""
    return 1 - _transported(source, target) / _transported(source, other)


def sentence_found(source: Encoded, target: Encoded, other: Encoded) -> Tensor:
    """1 where the mean of a sentence's words and that of its translation are each other's nearest of the batch (MEXA:
    Kargaran et al. 2024)."""
    unit = [
        normalize(widened(side.vectors * side.mask[..., None]).sum(1), dim=-1) for side in (source, target)
    ]
    cosine = unit[0] @ unit[1].mT
    own = cosine.diagonal()
    others = cosine.clone().fill_diagonal_(-torch.inf)
    return widened((own > others.amax(0)) & (own > others.amax(1)))


def partner_share(source: Encoded, target: Encoded, other: Encoded) -> Tensor:
    """The mean over words of the largest share of their mass that goes to one word, in the aligner's own plan."""
    problem = problem_of(source, target, _PLAN)
    share = shares(solve(problem, _PLAN), problem.mask)
    return widened(share.amax(2).sum(1) + share.amax(1).sum(1)) / _words(source, target)


def plan_certainty(source: Encoded, target: Encoded, other: Encoded) -> Tensor:
    """What the aligner's plan tells of a word by its partner: mutual information over the marginals' mean entropy."""
    plan = widened(solve(problem_of(source, target, _PLAN), _PLAN))
    plan = plan / plan.sum((1, 2), keepdim=True).clamp_min(1e-30)
    rows, columns, whole = (_entropy(p.flatten(1)) for p in (plan.sum(2), plan.sum(1), plan))
    return (rows + columns - whole) / ((rows + columns) / 2).clamp_min(1e-9)


MEASURES: Mapping[str, Measure] = {
    "nearest": mutual_either_way,
    "mutual": mutual_nearest,
    "centred": mutual_centred,
    "cost": cheaper_than_others,
    "sentences": sentence_found,
    "share": partner_share,
    "certainty": plan_certainty,
}
CHOOSES = "nearest"
"""The measure that a layer is chosen by: the choice of `benchmarks/layers.py`."""


def _words(source: Encoded, target: Encoded) -> Tensor:
    return widened((source.mask.sum(1) + target.mask.sum(1)).clamp_min(1))


def _transported(source: Encoded, target: Encoded) -> Tensor:
    problem = problem_of(source, target, _BALANCED)
    plan = solve(problem, _BALANCED)
    return widened((plan * problem.ground_cost).sum((1, 2)) / plan.sum((1, 2)).clamp_min(1e-30))


def _entropy(p: Tensor) -> Tensor:
    terms: Tensor = torch.special.entr(p)
    return terms.sum(1)


def layer_curves(
    encoder: Encoder,
    texts: Texts,
    measures: Sequence[str] = (CHOOSES,),
    *,
    layers: Sequence[Sequence[int]] | None = None,
    languages: Mapping[str, tuple[str, str]] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, list[float]]:
    """Each measure at each hidden state, 0 (embeddings) to the last, or at the mean of each group of `layers`: the mean
    over languages of the mean over pairs. languages: of the texts, where their names do not tell them. `progress` gets
    the number of pairs done."""
    groups = [(layer,) for layer in range(encoder.layers + 1)] if layers is None else [*map(tuple, layers)]
    found = {name: torch.zeros(len(groups), dtype=torch.float64) for name in measures}
    done = 0
    for name, pairs in texts.items():
        told = (languages or {}).get(name) or languages_told(name)
        spoken = None if told is None else encoder.subwords.known(told)
        for start in range(0, len(pairs), _BATCH):
            batch = pairs[start : start + _BATCH]
            with torch.inference_mode():
                figures = _of_batch(encoder, batch, measures, groups, spoken)
            for name, values in figures.items():
                found[name] += values * len(batch) / len(pairs) / len(texts)
            done += len(batch)
            progress(done)
    return {name: values.tolist() for name, values in found.items()}


def _of_batch(
    encoder: Encoder,
    pairs: Sequence[tuple[Sequence[str], Sequence[str]]],
    measures: Sequence[str],
    groups: Sequence[tuple[int, ...]],
    languages: Sequence[str | None] | None,
) -> dict[str, Tensor]:
    """The mean of each measure over the pairs, a value a group of layers."""
    asked = sorted({layer for group in groups for layer in resolve_layers(group, encoder.layers)})
    stores = encode_layers(
        encoder,
        tokenise(
            encoder,
            [side for pair in pairs for side in pair],
            languages=None if languages is None else [*languages] * len(pairs),
        ),
        layers=asked,
        unit="word",
        word_vector="mean",
        batch_tokens=tokens_at_once(encoder),
    )
    rows = torch.arange(len(pairs), device=encoder.device)
    places = 2 * rows, 2 * rows + 1, 2 * rows.roll(-1) + 1
    figures: dict[str, list[Tensor]] = {name: [] for name in measures}
    for group in groups:
        store = averaged([stores[asked.index(layer)] for layer in resolve_layers(group, encoder.layers)])
        sides = [store.gather(place) for place in places]
        for name, values in figures.items():
            values.append(MEASURES[name](*sides).mean().cpu())
    return {name: torch.stack(values) for name, values in figures.items()}


def sample_texts() -> Texts:
    """The held-out pairs that come with otkit, in ten languages beside English."""
    return {
        path.name.partition(".")[0]: read_texts(path)
        for path in sorted((sample_data() / "parallel").glob("*-en.dev.tsv"))
    }


def read_texts(path: str | Path, *, most: int | None = None) -> list[tuple[Sequence[str], Sequence[str]]]:
    """The first pairs of a file of parallel text, as words."""
    found = list(islice(pair_words(pair for pair in read_pairs(path) if isinstance(pair, Pair)), most))
    if not found:
        raise InputError("holds no pair of sentences", where=str(path), remedy="give parallel text")
    return found


def pair_words(pairs: Iterable[Pair]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Their words, of those that have words on both sides."""
    for pair in pairs:
        source, target = words_of(pair.source), words_of(pair.target)
        if source and target:
            yield source, target
