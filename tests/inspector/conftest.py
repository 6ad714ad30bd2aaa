"""A server with two small models, a corpus with gold, and a folder for annotations; and a Chromium that looks at it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from otkit.alignment.settings import AlignmentSettings
from otkit.data.gold import read_gold
from otkit.encoders.torch import TorchEncoder
from otkit.inspector.annotations import Annotations
from otkit.inspector.corpus import Line
from otkit.inspector.guard import Limits
from otkit.inspector.models import Models
from otkit.inspector.server import Address, configured, listen
from otkit.inspector.session import Session
from tests.conftest import make_tiny_encoder

SOURCE = "Gestern hat die Regierung ein neues Gesetz zum Schutz der Wälder beschlossen ."
TARGET = "Yesterday the government passed a new law to protect the forests ."


@dataclass(frozen=True)
class Running:
    """A server of this process, and what it answers from."""

    address: Address
    session: Session

    @property
    def url(self) -> str:
        return self.address.url

    def ask(self, path: str, **request: Any) -> Any:
        answer = httpx2.post(self.url.rstrip("/") + path, json=request, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()


def gold_lines(path: Path, most: int = 12) -> list[Line]:
    return [Line(pair.line, pair.source, pair.target, pair) for pair in read_gold(path, format="tsv")][:most]


@pytest.fixture(scope="session")
def running(sample_encoder: TorchEncoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("inspector")
    models = Models.of({"sample": sample_encoder, "tiny": make_tiny_encoder()}, AlignmentSettings())
    lines = gold_lines(Path("sample_data/gold/de-en.dev.tsv"))
    session = Session.of(models, name="de-en", lines=lines, annotations=Annotations(folder / "annotations"))
    session.fill(threading.Event())
    address, opened = listen(None, 0)
    server = uvicorn.Server(configured(session, address, limits=Limits(seconds=1.0)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    yield Running(address, session)
    server.should_exit = True
    thread.join(10)
    assert session.corpus is not None
    session.corpus.close()
