"""The endpoints that answer for sentences which a request brings along."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from otkit.errors import ConfigError, InputError
from otkit.inspector.models import compared, described, in_space, over_layers, subwords
from otkit.inspector.requests import (
    MODEL,
    MOST_PAIRS,
    PAIR,
    Endpoint,
    Field,
    asked_pair,
    pairs_of,
    words_in,
)
from otkit.inspector.session import Session
from otkit.projection.batches import project_labels
from otkit.projection.settings import SpanSettings

__all__ = ["PAIR_ENDPOINTS"]

MOST_SENTENCES = 256


def _align(session: Session, request: Mapping[str, Any]) -> Any:
    if "pairs" not in request and not {"source", "target"} <= set(request):
        raise InputError("there is no pair", remedy="give source and target, or pairs")
    pairs = pairs_of(request["pairs"]) if "pairs" in request else [asked_pair(request)]
    name, changes = request.get("model"), request.get("settings", {})
    begun = time.perf_counter()
    layers = session.models.aligner(name, changes).layers
    found = [
        described(
            session.models.trace(pair, name, changes), model=name or session.models.names[0], layers=layers
        )
        for pair in pairs
    ]
    return {"alignments": found, "milliseconds": round(1000 * (time.perf_counter() - begun), 1)}


def _explain(session: Session, request: Mapping[str, Any]) -> Any:
    trace = session.models.trace(asked_pair(request), request.get("model"), request.get("settings", {}))
    return trace.explain(request["word"], side=request.get("side", "source")).to_dict()


def _layers(session: Session, request: Mapping[str, Any]) -> Any:
    return over_layers(session.models, asked_pair(request), request.get("model"), request.get("settings", {}))


def _subwords(session: Session, request: Mapping[str, Any]) -> Any:
    return subwords(session.models, asked_pair(request), request.get("model"), request.get("settings", {}))


def _compare(session: Session, request: Mapping[str, Any]) -> Any:
    pair, changes = asked_pair(request), request.get("settings", {})
    names = [str(name) for name in request.get("models", session.models.names[:2])]
    if len(names) != 2:
        raise ConfigError(
            "a comparison needs two models", remedy="open the inspector with two", setting="model"
        )
    traces = session.models.traces(pair, [(name, changes) for name in names])
    layers = [session.models.aligner(name, changes).layers for name in names]
    shown = [
        described(trace, model=name, layers=used)
        for trace, name, used in zip(traces, names, layers, strict=True)
    ]
    return {"models": names, "alignments": shown, **compared(*traces)}


def _space(session: Session, request: Mapping[str, Any]) -> Any:
    pair, changes = asked_pair(request), request.get("settings", {})
    names = [str(name) for name in request.get("models", session.models.names[:1])]
    traces = session.models.traces(pair, [(name, changes) for name in names[:2]])
    places = in_space(traces)
    return {
        "source": list(pair[0]),
        "target": list(pair[1]),
        "models": [
            {"model": name, "links": [[i, j, round(share, 4)] for i, j, share in trace.links], **each}
            for name, trace, each in zip(names, traces, places, strict=False)
        ],
    }


def _embed(session: Session, request: Mapping[str, Any]) -> Any:
    sentences = request["sentences"]
    if not 0 < len(sentences) <= MOST_SENTENCES:
        raise InputError(f"there are {len(sentences)} sentences", remedy=f"send 1 to {MOST_SENTENCES}")
    texts = [words_in(sentence, "given") for sentence in sentences]
    return {"vectors": session.embed(request.get("model"), texts)}


def _check(session: Session, request: Mapping[str, Any]) -> Any:
    found = session.check(request.get("model"), pairs_of(request["pairs"]))
    return {
        "checked": [
            {
                "omission": round(each.omission, 4),
                "hallucination": round(each.hallucination, 4),
                "source_scores": [round(float(score), 4) for score in each.source_scores],
                "target_scores": [round(float(score), 4) for score in each.target_scores],
            }
            for each in found
        ]
    }


def _project(session: Session, request: Mapping[str, Any]) -> Any:
    pairs, labels = pairs_of(request["pairs"]), request["labels"]
    if len(labels) != len(pairs):
        raise InputError(
            f"there are labels of {len(labels)} sentences for {len(pairs)} pairs",
            remedy="give a list of labels for each pair",
        )
    for (source, _), each in zip(pairs, labels, strict=True):
        if not isinstance(each, list) or not all(isinstance(label, str) for label in each):
            raise InputError("the labels are no lists of text", remedy='give [["B-PER", "O", ...], ...]')
        if len(each) != len(source):
            raise InputError(
                f"there are {len(each)} labels for {len(source)} words", remedy="give a label for each word"
            )
    spans = SpanSettings().changed(**SpanSettings.read(request.get("spans", {})))
    aligner = session.models.aligner(request.get("model"), request.get("settings", {}))
    with session.models.turns.turn():
        found = project_labels(pairs, labels, aligner=aligner, settings=spans)
    return {"projected": [dataclasses.asdict(each) for each in found]}


PAIR_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "/align",
        "Word links of one pair or of several, with link strengths, plan, and probabilities of no partner.",
        {
            **{name: dataclasses.replace(each, needed=False) for name, each in PAIR.items()},
            "pairs": Field((list,), f"several pairs, [[source, target], ...], at most {MOST_PAIRS}"),
            **MODEL,
        },
        _align,
    ),
    Endpoint(
        "/explain",
        "Why a word is linked as it is: its five best candidates with everything that was weighed.",
        {
            **PAIR,
            "word": Field((int,), "the place of the word, counted from 0", needed=True),
            "side": Field((str,), "source or target"),
            **MODEL,
        },
        _explain,
    ),
    Endpoint(
        "/layers",
        "The pair in every hidden state, and where its words agree best.",
        {**PAIR, **MODEL},
        _layers,
    ),
    Endpoint(
        "/subwords",
        "The pair aligned by its subwords: the pieces of each word, and the links between pieces.",
        {**PAIR, **MODEL},
        _subwords,
    ),
    Endpoint(
        "/compare",
        "The pair through two models: links gained and lost from the first to the second, and the difference.",
        {**PAIR, "models": Field((list,), "the names of two models"), "settings": MODEL["settings"]},
        _compare,
    ),
    Endpoint(
        "/space",
        "The words in two dimensions: the main axes (PCA) of both clouds together.",
        {**PAIR, "models": Field((list,), "one model or two"), "settings": MODEL["settings"]},
        _space,
    ),
    Endpoint(
        "/embed",
        "A unit vector for each sentence.",
        {
            "sentences": Field((list,), f"sentences, at most {MOST_SENTENCES}", needed=True),
            "model": MODEL["model"],
        },
        _embed,
    ),
    Endpoint(
        "/check",
        "Words of translations that nothing accounts for, and source words that were lost, each in [0, 1].",
        {
            "pairs": Field((list,), f"[[source, target], ...], at most {MOST_PAIRS}", needed=True),
            "model": MODEL["model"],
        },
        _check,
    ),
    Endpoint(
        "/project",
        "Labels of source words carried to the words of translations, as `otkit project` does it.",
        {
            "pairs": Field((list,), f"[[source, target], ...], at most {MOST_PAIRS}", needed=True),
            "labels": Field(
                (list,),
                "for each pair a label for each source word: O, or B-, I-, E- or S- and a name",
                needed=True,
            ),
            "spans": Field((dict,), "changes of the settings of [projection], by their keys"),
            **MODEL,
        },
        _project,
    ),
)
