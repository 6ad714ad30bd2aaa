"""The endpoints of links that people set by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from otkit.errors import InputError
from otkit.inspector.annotations import KINDS, Annotations
from otkit.inspector.requests import PAIR, Endpoint, Field, asked_pair
from otkit.inspector.session import Session

__all__ = ["ANNOTATION_ENDPOINTS"]

_BY = {"by": Field((str,), "the annotator", needed=True)}


def _annotations_of(session: Session) -> Annotations:
    if session.annotations is None:
        raise InputError("there is no folder for annotations", remedy="open the inspector with an output")
    return session.annotations


def _annotated(session: Session, request: Mapping[str, Any]) -> Any:
    return _annotations_of(session).of(request["by"], *asked_pair(request))


def _annotate(session: Session, request: Mapping[str, Any]) -> Any:
    changes = {name: value for name, value in request.items() if name not in (*PAIR, *_BY)}
    return _annotations_of(session).change(request["by"], *asked_pair(request), changes)


def _undo(session: Session, request: Mapping[str, Any]) -> Any:
    undone = _annotations_of(session).undo(request["by"])
    if undone is not None and session.corpus is not None:
        pair = undone["source"], undone["target"]
        session.corpus.judge(*pair, _annotations_of(session).verdict(*pair))
    return {"undone": undone}


def _agreement(session: Session, request: Mapping[str, Any]) -> Any:
    annotations = _annotations_of(session)
    if "first" not in request or "second" not in request:
        return {"annotators": annotations.annotators}
    found = annotations.agreement(request["first"], request["second"])
    return {"annotators": annotations.annotators, **dataclasses.asdict(found)}


ANNOTATION_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("/annotations", "The links that an annotator has set in a pair.", {**PAIR, **_BY}, _annotated),
    Endpoint(
        "/annotate",
        "Set links of a pair by hand; the change is on the disk when the answer comes.",
        {
            **PAIR,
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
