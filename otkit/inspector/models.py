"""The encoders that an inspector looks through, and what they say of one pair under any settings."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from otkit.alignment.aligner import WordAligner
from otkit.alignment.explain import Trace
from otkit.alignment.settings import AlignmentSettings
from otkit.encoders.encoder import Encoder
from otkit.encoders.remembered import Remembering
from otkit.errors import choose
from otkit.reports.view import compare_links

__all__ = ["Models", "Turns", "compared", "described", "in_space", "over_layers", "subwords"]

Pair = tuple[Sequence[str], Sequence[str]]


class Turns:
    """One computation at a time; those that a person waits for go before the corpus."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._busy, self._waiting = False, 0

    @contextmanager
    def turn(self, *, background: bool = False) -> Iterator[None]:
        """Wait for a turn, and have it while the block runs."""
        with self._free:
            self._waiting += not background
            self._free.wait_for(lambda: not self._busy and not (background and self._waiting))
            self._waiting -= not background
            self._busy = True
        try:
            yield
        finally:
            with self._free:
                self._busy = False
                self._free.notify_all()


@dataclass(frozen=True)
class Models:
    """Encoders by name, and the settings to start from. The hidden states of the last pairs are kept, so that other
    settings of the same words cost one solve."""

    encoders: Mapping[str, Encoder]
    remembering: Mapping[str, Encoder]
    settings: AlignmentSettings
    turns: Turns
    languages: tuple[str, str] | None = None

    @classmethod
    def of(
        cls,
        encoders: Mapping[str, Encoder],
        settings: AlignmentSettings,
        languages: tuple[str, str] | None = None,
    ) -> Models:
        """These encoders. languages: of the pairs that are looked at, for a tokenizer that wants to know."""
        kept = {name: Remembering(encoder) for name, encoder in encoders.items()}
        return cls(encoders, kept, settings, Turns(), languages)

    @property
    def names(self) -> list[str]:
        return list(self.encoders)

    def aligner(self, name: str | None, changes: Mapping[str, Any]) -> WordAligner:
        """An encoder, the first where none is named, with the settings and what a request changes of them."""
        encoder = choose(name or self.names[0], self.remembering, what="model", setting="model")
        config = self.settings.changed(**AlignmentSettings.read(changes))
        return WordAligner(encoder, config, languages=self.languages)

    def plain_aligner(self, name: str) -> WordAligner:
        """The same for texts that are read once: they would push out the pair that is looked at."""
        return WordAligner(self.encoders[name], self.settings, languages=self.languages)

    def trace(self, pair: Pair, name: str | None, changes: Mapping[str, Any]) -> Trace:
        """How the links of a pair come about."""
        return self.traces(pair, [(name, changes)])[0]

    def traces(self, pair: Pair, views: Sequence[tuple[str | None, Mapping[str, Any]]]) -> list[Trace]:
        """The same through several models or settings, in one turn."""
        words = tuple(pair[0]), tuple(pair[1])
        aligners = [self.aligner(name, changes) for name, changes in views]
        with self.turns.turn():
            return [aligner.trace(words) for aligner in aligners]


def described(trace: Trace, *, model: str, layers: Sequence[int]) -> dict[str, Any]:
    """One pair as programs read it: links, shares, strengths and masses, with the settings as they were used."""
    return {
        "model": model,
        "layers": list(layers),
        "source": list(trace.source),
        "target": list(trace.target),
        "links": [[i, j, round(share, 4)] for i, j, share in trace.links],
        "share": _rounded(trace.share, 4),
        "strength": _rounded(trace.strength, 4),
        "plan": _rounded(trace.plan, 6),
        "source_no_partner": _rounded(trace.source_no_partner, 4),
        "target_no_partner": _rounded(trace.target_no_partner, 4),
        "cost": round(trace.mean_cost, 4),
        "settings": trace.settings.used(),
        "units": trace.settings.units(),
    }


def subwords(models: Models, pair: Pair, name: str | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The pair aligned by its subwords: pieces in order, of which word each is, and the links between pieces."""
    trace = models.trace(pair, name, {**changes, "granularity": "subword"})
    pieces = models.aligner(name, changes).encoder.subwords
    sides = [trace.source, trace.target]
    source, target = pieces.truecase(sides) if trace.settings.truecase else sides
    return {
        "source": [piece for word in pieces.spelled(source) for piece in word],
        "target": [piece for word in pieces.spelled(target) for piece in word],
        "source_words": list(trace.source_units),
        "target_words": list(trace.target_units),
        "share": _rounded(trace.unit_share, 4),
        "links": np.argwhere(trace.unit_linked).tolist(),
        "word_links": [[i, j] for i, j, _ in trace.links],
    }


def over_layers(models: Models, pair: Pair, name: str | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The same pair in every single hidden state: shares, links, and the share of words that are each other's
    nearest, which is highest where the two languages agree best."""
    encoder = models.aligner(name, changes).encoder
    views = [(name, {**changes, "layers": [layer]}) for layer in range(encoder.layers + 1)]
    layers = []
    for layer, trace in enumerate(models.traces(pair, views)):
        layers.append({
            "layer": layer,
            "share": _rounded(trace.share, 2),
            "links": [[i, j] for i, j, _ in trace.links],
            "mutual": round(_mutual(trace.cosine), 4),
            "cost": round(trace.mean_cost, 4),
        })  # fmt: skip
    most = max(each["mutual"] for each in layers)
    best = [each["layer"] for each in layers if each["mutual"] == most]
    return {
        "model": name or models.names[0],
        "used": list(models.aligner(name, changes).layers),
        "layers": layers,
        "verdict": f"The words agree best in hidden state{'s' if best[1:] else ''} {_listed(best)}: "
        f"{most:.0%} of them are each other's nearest",
    }  # fmt: skip


def _listed(layers: Sequence[int]) -> str:
    """`2 to 5` for a run, else each by its number."""
    run = len(layers) > 2 and layers[-1] - layers[0] == len(layers) - 1
    return f"{layers[0]} to {layers[-1]}" if run else ", ".join(map(str, layers))


def _mutual(cosine: NDArray[np.float64]) -> float:
    ahead, back = cosine.argmax(1), cosine.argmax(0)
    return 2 * float((back[ahead] == np.arange(len(ahead))).sum()) / sum(cosine.shape)


def compared(before: Trace, after: Trace) -> dict[str, Any]:
    """What the second model has gained and lost, and the difference of the shares."""
    kept, lost, gained = compare_links(*([(i, j) for i, j, _ in trace.links] for trace in (before, after)))
    return {
        "kept": kept,
        "gained": gained,
        "lost": lost,
        "difference": _rounded(after.share - before.share, 4),
    }


def in_space(traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """Two coordinates of every word of one model or of several, along the main axes (PCA) of both clouds together.

    Models of one width share their axes, so that the way of a word from one to the other can be drawn.
    """
    clouds = [_unit(np.concatenate([trace.source_vectors, trace.target_vectors])) for trace in traces]
    widths = {cloud.shape[1] for cloud in clouds}
    groups = [clouds] if len(widths) == 1 else [[cloud] for cloud in clouds]
    placed: list[tuple[NDArray[np.float64], float]] = []
    for group in groups:
        every = np.concatenate(group)
        mean = every.mean(0)
        _, sizes, axes = np.linalg.svd(every - mean, full_matrices=False)
        shown = float((sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-12))
        placed += [((cloud - mean) @ axes[:2].T, shown) for cloud in group]
    return [
        {
            "source": _rounded(_two_wide(places[: len(trace.source)]), 4),
            "target": _rounded(_two_wide(places[len(trace.source) :]), 4),
            "variance": round(shown, 4),
        }
        for trace, (places, shown) in zip(traces, placed, strict=True)
    ]


def _two_wide(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """With a second coordinate where two words leave one axis."""
    return np.pad(places, ((0, 0), (0, 2 - places.shape[1])))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _rounded(values: NDArray[np.float64] | None, digits: int) -> Any:
    if values is None:
        return None
    return np.asarray(values, dtype=np.float64).round(digits).tolist()
