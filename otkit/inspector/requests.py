"""What a request may hold: fields that are checked and documented from one declaration, and the limits on sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otkit.data.lines import refuse_unwritable, words_of
from otkit.errors import ConfigError, InputError, choose
from otkit.inspector.session import Session

__all__ = [
    "JSON_NAMES",
    "MODEL",
    "MOST_CELLS",
    "MOST_PAIRS",
    "NUMBER",
    "PAIR",
    "Endpoint",
    "Field",
    "Words",
    "answer",
    "asked_pair",
    "pair_of",
    "pairs_of",
    "words_in",
]

MOST_PAIRS, MOST_CELLS = 64, 160_000
"""Pairs of one request, and word pairs of all of them together."""
Words = tuple[str, ...]
NUMBER = (int, float)
JSON_NAMES = {str: "string", list: "array", dict: "object", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True)
class Field:
    """One field of a request: the JSON types that it takes, and what it says."""

    types: tuple[type, ...]
    help: str
    needed: bool = False


@dataclass(frozen=True)
class Endpoint:
    """A path, what it answers, its fields, and the function that does; its answer is JSON, or text in pieces."""

    path: str
    summary: str
    fields: Mapping[str, Field]
    function: Callable[[Session, Mapping[str, Any]], Any]
    media: str = "application/json"


_SENTENCE = (str, list)
PAIR = {
    "source": Field(_SENTENCE, "the sentence, its words between spaces, or a list of them", needed=True),
    "target": Field(_SENTENCE, "its translation, likewise", needed=True),
}
MODEL = {
    "model": Field((str,), "which of the models; the first by default"),
    "settings": Field((dict,), "changes of the settings of [alignment], by their keys"),
}


def answer(endpoint: Endpoint, session: Session, request: Any) -> Any:
    """The answer to a request, whose fields are checked first."""
    if not isinstance(request, dict):
        raise InputError("the request is no JSON object", remedy="send {...}")
    for name, value in request.items():
        known = choose(name, endpoint.fields, what="field")
        if type(value) not in known.types:
            kinds = " or ".join(JSON_NAMES[kind] for kind in known.types)
            raise ConfigError(f"{name} is {value!r:.60}", remedy=f"give {kinds}: {known.help}", setting=name)
        if isinstance(value, str):
            refuse_unwritable(value, name)
    missing = [name for name, known in endpoint.fields.items() if known.needed and name not in request]
    if missing:
        raise ConfigError(f"{missing[0]} is missing", remedy=f"give {endpoint.fields[missing[0]].help}")
    return endpoint.function(session, request)


def words_in(sentence: Any, side: str) -> Words:
    """The words of a sentence, which has some."""
    words: Words = words_of(sentence) if isinstance(sentence, str) else ()
    if isinstance(sentence, list):
        words = tuple(sentence)
    if not words or not all(isinstance(word, str) and word for word in words):
        raise InputError(f"the {side} sentence has no words", remedy="give words, or text with some")
    return words


def pair_of(source: Any, target: Any) -> tuple[Words, Words]:
    """Both sentences of a pair, which has a bound."""
    pair = words_in(source, "source"), words_in(target, "target")
    if len(pair[0]) * len(pair[1]) > MOST_CELLS:
        raise InputError(
            f"{len(pair[0])} times {len(pair[1])} words are more than {MOST_CELLS} pairs of words",
            remedy="give the sentences one by one",
        )
    return pair


def asked_pair(request: Mapping[str, Any]) -> tuple[Words, Words]:
    """The pair of a request that has one."""
    return pair_of(request["source"], request["target"])


def pairs_of(given: list[Any]) -> list[tuple[Words, Words]]:
    """The pairs of a batch, which has a bound."""
    if not given or not all(isinstance(pair, list) and len(pair) == 2 for pair in given):
        raise InputError("pairs are no pairs", remedy="give [[source, target], ...]")
    pairs = [pair_of(*pair) for pair in given[: MOST_PAIRS + 1]]
    cells = sum(len(source) * len(target) for source, target in pairs)
    if len(given) > MOST_PAIRS or cells > MOST_CELLS:
        raise InputError(
            f"{len(given)} pairs of sentences are too many at once",
            remedy=f"send at most {MOST_PAIRS} pairs with {MOST_CELLS} pairs of words",
        )
    return pairs
