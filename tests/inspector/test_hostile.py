"""Requests of anyone's: each field of each endpoint with what it is not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otkit.alignment.settings import AlignmentSettings
from otkit.errors import OtkitError
from otkit.files import parse_json, to_json
from otkit.inspector.annotations import Annotations
from otkit.inspector.endpoints import ENDPOINTS
from otkit.inspector.models import Models
from otkit.inspector.requests import answer
from otkit.inspector.session import Session
from tests.conftest import make_tiny_encoder
from tests.inspector.conftest import gold_lines

GOOD: dict[str, Any] = {
    "source": "das haus ist klein",
    "target": ["the", "house", "is"],
    "word": 1,
    "by": "ann",
    "pairs": [["das haus", "the house"]],
    "sentences": ["das haus", ["a", "b"]],
}
ENDLESS = ("das " * 200).strip()
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 2**31, 2**64, 10**30, 1.5, float("nan"), float("inf"), 1e308),
    *("", "\ud800", "a\x00b", "\x1b[31m", "../../x", "a\tb\nc", "\u2028", ENDLESS, "x" * 5000),
    *([], [[]], [None], [{}], ["\ud800"], ["a", 7], ["a b"], ["a"] * 100, [["a", "b"]] * 65, [[ENDLESS] * 2] * 9),
    *([[0, 0, "sure"]], [[2**70, 0, "sure"]], [[-1, 0, "sure"]], [[True, 0, "sure"]], [[0, 0, None]], [[0, 0, "x"]]),
    *({}, {"a": {}}, {"layers": [10**9]}, {"epsilon": float("nan")}, {"epsilon": 1e-6}, {"null": 1e6}),
    *({"transport": "partial", "mass": 1e-300}, {"strategy": "itermax", "threshold": 1}, {"space": "center"}),
)  # fmt: skip
FIELDS = [(endpoint, field) for endpoint in ENDPOINTS for field in endpoint.fields]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    models = Models.of({"a": make_tiny_encoder(), "b": make_tiny_encoder()}, AlignmentSettings())
    folder = tmp_path_factory.mktemp("hostile") / "annotations"
    lines = gold_lines(Path("sample_data/gold/de-en.dev.tsv"), 3)
    session = Session.of(models, name="x", lines=lines, annotations=Annotations(folder))
    session.fill(threading.Event())
    yield session
    assert session.corpus is not None
    session.corpus.close()


@pytest.mark.parametrize(("endpoint", "field"), FIELDS, ids=[f"{e.path}-{field}" for e, field in FIELDS])
def test_a_field_that_is_wrong_is_one_error(endpoint: Any, field: str, session: Session) -> None:
    """And what is right is answered in JSON that every reader takes."""
    assert session.annotations is not None
    folder = session.annotations.folder
    for value in VALUES:
        request = {name: GOOD[name] for name in endpoint.fields if name in GOOD} | {field: value}
        try:
            asked = parse_json(json.dumps(request))
            found = to_json(answer(endpoint, session, asked), indent=None)
        except OtkitError as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        json.loads(found, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        found.encode()
    assert all(path.parent == folder for path in folder.rglob("*"))
    known = (".made-by-otkit.json", "journal.jsonl")
    assert all(path.name in known or path.name.startswith("ann.") for path in folder.iterdir())
