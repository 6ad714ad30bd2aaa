"""The questions that an inspector answers, and their documents for readers and for programs."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from otkit import __version__
from otkit.alignment.settings import DEFAULT_THRESHOLDS, THRESHOLD_UNITS, AlignmentSettings
from otkit.data.languages import web_language
from otkit.inspector.annotation_endpoints import ANNOTATION_ENDPOINTS
from otkit.inspector.corpus_endpoints import CORPUS_ENDPOINTS
from otkit.inspector.pair_endpoints import PAIR_ENDPOINTS
from otkit.inspector.requests import JSON_NAMES, Endpoint, Field
from otkit.inspector.session import Session
from otkit.settings import declared, written

__all__ = ["ENDPOINTS", "documented", "openapi", "settings_facts"]


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
        "languages": None if session.languages is None else [*map(web_language, session.languages)],
        "annotations": session.annotations is not None,
    }


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "/settings", "The models, the settings with their defaults and units, and the corpus.", {}, _settings
    ),
    *PAIR_ENDPOINTS,
    *CORPUS_ENDPOINTS,
    *ANNOTATION_ENDPOINTS,
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
                        "200": {"description": "the answer", "content": {endpoint.media: {}}},
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
            name: {"type": [JSON_NAMES[kind] for kind in field.types], "description": field.help}
            for name, field in fields.items()
        },
    }


def documented() -> str:
    """The endpoints for a reader, without a script."""
    parts = []
    for endpoint in ENDPOINTS:
        rows = "".join(
            f"<tr><td><code>{html.escape(name)}</code></td><td>{'needed' if field.needed else ''}</td>"
            f"<td>{html.escape(field.help)}</td></tr>"
            for name, field in endpoint.fields.items()
        )
        table = f"<table>{rows}</table>" if rows else "<p>No fields: send <code>{}</code>.</p>"
        kind = "" if endpoint.media == "application/json" else f" Answers <code>{endpoint.media}</code>."
        parts.append(
            f"<h2><code>POST {endpoint.path}</code></h2><p>{html.escape(endpoint.summary)}{kind}</p>{table}"
        )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>otkit inspect: endpoints</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/assets/style.css">'
        "<main class=docs><h1>Endpoints</h1><p>JSON in, JSON out; <a href=/openapi.json>openapi.json</a> describes them"
        " for programs. A request that is wrong is answered with 400 and what is wrong.</p>"
        f"{''.join(parts)}</main></html>"
    )
