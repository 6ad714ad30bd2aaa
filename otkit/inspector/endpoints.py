"""The questions that an inspector answers: for each its fields, checked and documented from one declaration."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otkit import __version__
from otkit.alignment.settings import DEFAULT_THRESHOLDS, THRESHOLD_UNITS, AlignmentSettings
from otkit.data.lines import words_of
from otkit.errors import ConfigError, InputError, choose
from otkit.inspector.annotations import KINDS, Annotations
from otkit.inspector.corpus import FILTERS, ORDERS, CorpusIndex
from otkit.inspector.models import compared, described, in_space, over_layers
from otkit.inspector.session import Session
from otkit.settings import declared, written

__all__ = ["ENDPOINTS", "Endpoint", "answer", "openapi", "settings_facts"]

MOST_PAIRS, MOST_CELLS, MOST_SENTENCES = 64, 160_000, 256
"""Pairs of one request, word pairs of all of them together, and sentences to embed."""


@dataclass(frozen=True)
class Field:
    """One field of a request: the JSON types that it takes, and what it says."""

    types: tuple[type, ...]
    help: str
    needed: bool = False


@dataclass(frozen=True)
class Endpoint:
    """A path, what it answers, its fields, and the function that does."""

    path: str
    summary: str
    fields: Mapping[str, Field]
    function: Callable[[Session, Mapping[str, Any]], Any]


_SENTENCE = (str, list)
_PAIR = {
    "source": Field(_SENTENCE, "the sentence, its words between spaces, or a list of them", needed=True),
    "target": Field(_SENTENCE, "its translation, likewise", needed=True),
}
_MODEL = {
    "model": Field((str,), "which of the models; the first by default"),
    "settings": Field((dict,), "changes of the settings of [alignment], by their keys"),
}
_BY = {"by": Field((str,), "the annotator", needed=True)}


def answer(endpoint: Endpoint, session: Session, request: Any) -> Any:
    """The answer to a request, whose fields are checked first."""
    if not isinstance(request, dict):
        raise InputError("the request is no JSON object", remedy="send {...}")
    for name, value in request.items():
        known = choose(name, endpoint.fields, what="field")
        if type(value) not in known.types:
            kinds = " or ".join(_JSON_NAMES[kind] for kind in known.types)
            raise ConfigError(f"{name} is {value!r:.60}", remedy=f"give {kinds}: {known.help}", setting=name)
    missing = [name for name, known in endpoint.fields.items() if known.needed and name not in request]
    if missing:
        raise ConfigError(f"{missing[0]} is missing", remedy=f"give {endpoint.fields[missing[0]].help}")
    return endpoint.function(session, request)


_JSON_NAMES = {str: "string", list: "array", dict: "object", int: "integer", float: "number", bool: "boolean"}


def _words(sentence: str | list[Any], side: str) -> tuple[str, ...]:
    words = words_of(sentence) if isinstance(sentence, str) else tuple(sentence)
    if not words or not all(isinstance(word, str) and word for word in words):
        raise InputError(f"the {side} sentence has no words", remedy="give words, or text with some")
    return words


def _pair(source: Any, target: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    pair = _words(source, "source"), _words(target, "target")
    if len(pair[0]) * len(pair[1]) > MOST_CELLS:
        raise InputError(
            f"{len(pair[0])} times {len(pair[1])} words are more than {MOST_CELLS} pairs of words",
            remedy="give the sentences one by one",
        )
    return pair


def _asked_pair(request: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _pair(request["source"], request["target"])


def _pairs(given: list[Any]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The pairs of a batch, which has a bound."""
    if not given or not all(isinstance(pair, list) and len(pair) == 2 for pair in given):
        raise InputError("pairs are no pairs", remedy="give [[source, target], ...]")
    pairs = [_pair(*pair) for pair in given[: MOST_PAIRS + 1]]
    cells = sum(len(source) * len(target) for source, target in pairs)
    if len(given) > MOST_PAIRS or cells > MOST_CELLS:
        raise InputError(
            f"{len(given)} pairs of sentences are too many at once",
            remedy=f"send at most {MOST_PAIRS} pairs with {MOST_CELLS} pairs of words",
        )
    return pairs


def _align(session: Session, request: Mapping[str, Any]) -> Any:
    if "pairs" not in request and not {"source", "target"} <= set(request):
        raise InputError("there is no pair", remedy="give source and target, or pairs")
    pairs = _pairs(request["pairs"]) if "pairs" in request else [_asked_pair(request)]
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
    trace = session.models.trace(_asked_pair(request), request.get("model"), request.get("settings", {}))
    side = request.get("side", "source")
    return trace.explain(request["word"], side=side).to_dict()


def _layers(session: Session, request: Mapping[str, Any]) -> Any:
    return over_layers(
        session.models, _asked_pair(request), request.get("model"), request.get("settings", {})
    )


def _two(session: Session, request: Mapping[str, Any]) -> list[str]:
    names = request.get("models", session.models.names[:2])
    if len(names) != 2:
        raise ConfigError(
            "a comparison needs two models", remedy="open the inspector with two", setting="model"
        )
    return [str(name) for name in names]


def _compare(session: Session, request: Mapping[str, Any]) -> Any:
    pair, changes = _asked_pair(request), request.get("settings", {})
    names = _two(session, request)
    traces = session.models.traces(pair, [(name, changes) for name in names])
    layers = [session.models.aligner(name, changes).layers for name in names]
    shown = [
        described(trace, model=name, layers=used)
        for trace, name, used in zip(traces, names, layers, strict=True)
    ]
    return {"models": names, "alignments": shown, **compared(*traces)}


def _space(session: Session, request: Mapping[str, Any]) -> Any:
    pair, changes = _asked_pair(request), request.get("settings", {})
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


def _corpus_of(session: Session) -> CorpusIndex:
    if session.corpus is None:
        raise InputError("there is no corpus", remedy="open the inspector with one")
    return session.corpus


def _corpus(session: Session, request: Mapping[str, Any]) -> Any:
    return _corpus_of(session).page(**request)


def _overview(session: Session, request: Mapping[str, Any]) -> Any:
    corpus = _corpus_of(session)
    return {"histograms": corpus.histograms(), "word_pairs": corpus.word_pairs(), "done": corpus.done}


def _embed(session: Session, request: Mapping[str, Any]) -> Any:
    sentences = request["sentences"]
    if not 0 < len(sentences) <= MOST_SENTENCES:
        raise InputError(f"there are {len(sentences)} sentences", remedy=f"send 1 to {MOST_SENTENCES}")
    texts = [_words(sentence, "given") for sentence in sentences]
    return {"vectors": session.embed(request.get("model"), texts)}


def _check(session: Session, request: Mapping[str, Any]) -> Any:
    found = session.check(request.get("model"), _pairs(request["pairs"]))
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


def _annotations_of(session: Session) -> Annotations:
    if session.annotations is None:
        raise InputError("there is no folder for annotations", remedy="open the inspector with an output")
    return session.annotations


def _annotated(session: Session, request: Mapping[str, Any]) -> Any:
    return _annotations_of(session).of(request["by"], *_asked_pair(request))


def _annotate(session: Session, request: Mapping[str, Any]) -> Any:
    changes = {name: value for name, value in request.items() if name not in (*_PAIR, *_BY)}
    return _annotations_of(session).change(request["by"], *_asked_pair(request), changes)


def _undo(session: Session, request: Mapping[str, Any]) -> Any:
    return {"undone": _annotations_of(session).undo(request["by"])}


def _agreement(session: Session, request: Mapping[str, Any]) -> Any:
    annotations = _annotations_of(session)
    if "first" not in request or "second" not in request:
        return {"annotators": annotations.annotators}
    found = annotations.agreement(request["first"], request["second"])
    return {"annotators": annotations.annotators, **dataclasses.asdict(found)}


def settings_facts(settings: AlignmentSettings) -> dict[str, Any]:
    """What a page is told of the settings that it starts from."""
    known = {
        name: {
            "value": written(each, getattr(settings, name)),
            "default": written(each, each.default),
            "help": each.help,
            "unit": each.unit,
            "choices": dict(each.choices),
        }
        for name, each in declared(AlignmentSettings).items()
    }
    return {
        "version": __version__,
        "settings": known,
        "threshold": settings.compared_with,
        "thresholds": {
            name: {"value": value, "unit": THRESHOLD_UNITS[name]}
            for name, value in DEFAULT_THRESHOLDS.items()
        },
    }


def _settings(session: Session, request: Mapping[str, Any]) -> Any:
    models = [
        {"name": name, "states": encoder.layers + 1, "layers": list(session.models.aligner(name, {}).layers)}
        for name, encoder in session.models.encoders.items()
    ]
    corpus = None
    if session.corpus is not None:
        corpus = {"name": session.name, "pairs": session.corpus.total, "gold": session.corpus.gold}
    return {
        **settings_facts(session.models.settings),
        "models": models,
        "corpus": corpus,
        "annotations": session.annotations is not None,
    }


_NUMBER = (int, float)
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "/settings", "The models, the settings with their defaults and units, and the corpus.", {}, _settings
    ),
    Endpoint(
        "/align",
        "Word links of one pair or of several, with shares of mass, strengths, plan, and words without a partner.",
        {
            **{name: dataclasses.replace(each, needed=False) for name, each in _PAIR.items()},
            "pairs": Field((list,), f"several pairs, [[source, target], ...], at most {MOST_PAIRS}"),
            **_MODEL,
        },
        _align,
    ),
    Endpoint(
        "/explain",
        "Why a word is linked as it is: its five best candidates with everything that was weighed.",
        {
            **_PAIR,
            "word": Field((int,), "the place of the word, counted from 0", needed=True),
            "side": Field((str,), "source or target"),
            **_MODEL,
        },
        _explain,
    ),
    Endpoint(
        "/layers",
        "The pair in every hidden state, and where its words agree best.",
        {**_PAIR, **_MODEL},
        _layers,
    ),
    Endpoint(
        "/compare",
        "The pair through two models: links gained and lost from the first to the second, and the difference.",
        {**_PAIR, "models": Field((list,), "the names of two models"), "settings": _MODEL["settings"]},
        _compare,
    ),
    Endpoint(
        "/space",
        "The words in two dimensions: the main axes (PCA) of both clouds together.",
        {**_PAIR, "models": Field((list,), "one model or two"), "settings": _MODEL["settings"]},
        _space,
    ),
    Endpoint(
        "/corpus",
        "Pairs of the corpus, the worst first, by filters, in pages.",
        {
            "order": Field((str,), ", ".join(ORDERS)),
            "offset": Field((int,), "rows to pass over"),
            "limit": Field((int,), "rows to give, at most 200"),
            "source": Field((str,), "a source word that is linked, in any case"),
            "target": Field(
                (str,), "a target word that is linked, with that source word where both are given"
            ),
            "text": Field((str,), "characters that stand in one of the sentences"),
            **{name: Field(_NUMBER, what.replace("?", "X")) for name, what in FILTERS.items()},
        },
        _corpus,
    ),
    Endpoint(
        "/corpus/overview", "Histograms of the corpus, and the word pairs linked most often.", {}, _overview
    ),
    Endpoint(
        "/embed",
        "A unit vector for each sentence.",
        {
            "sentences": Field((list,), f"sentences, at most {MOST_SENTENCES}", needed=True),
            "model": _MODEL["model"],
        },
        _embed,
    ),
    Endpoint(
        "/check",
        "Words of translations that nothing accounts for, and source words that were lost, each in [0, 1].",
        {
            "pairs": Field((list,), f"[[source, target], ...], at most {MOST_PAIRS}", needed=True),
            "model": _MODEL["model"],
        },
        _check,
    ),
    Endpoint("/annotations", "The links that an annotator has set in a pair.", {**_PAIR, **_BY}, _annotated),
    Endpoint(
        "/annotate",
        "Set links of a pair by hand; the change is on the disk when the answer comes.",
        {
            **_PAIR,
            **_BY,
            "cells": Field(
                (list,), f"[[source word, target word, kind], ...], kind one of {', '.join(KINDS)}"
            ),
            "done": Field((bool,), "whether the pair is done"),
            "note": Field((str,), "a remark"),
        },
        _annotate,
    ),
    Endpoint("/annotate/undo", "Take the annotator's last change back.", _BY, _undo),
    Endpoint(
        "/agreement",
        "How far two annotators agree: Cohen's kappa over the cells, and the AER between them.",
        {"first": Field((str,), "an annotator"), "second": Field((str,), "another")},
        _agreement,
    ),
)


def openapi() -> dict[str, Any]:
    """The endpoints as an OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "otkit inspect", "version": __version__},
        "paths": {
            endpoint.path: {
                "post": {
                    "summary": endpoint.summary,
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": _schema(endpoint.fields)}},
                    },
                    "responses": {
                        "200": {"description": "the answer, a JSON object"},
                        "400": {"description": 'what is wrong with the request: {"error": "..."}'},
                    },
                }
            }
            for endpoint in ENDPOINTS
        },
    }


def _schema(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, field in fields.items() if field.needed],
        "properties": {
            name: {"type": [_JSON_NAMES[kind] for kind in field.types], "description": field.help}
            for name, field in fields.items()
        },
    }
