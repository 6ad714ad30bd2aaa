"""Requests of anyone's: each field of each endpoint with what it is not, and bytes that are no request."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
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
from tests.inspector.conftest import Running, gold_lines

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
    assert not {path.name for path in folder.iterdir()} - {
        *(".made-by-otkit.json", "journal.jsonl", "ann.tsv", "ann.pharaoh"),
        *(f"x{end}" for end in (".tsv", ".pharaoh")),
    }


RAW = {
    "garbage": b"\x00\xff\x1b[31m\r\n\r\n",
    "no end of a line": b"G" * 200_000,
    "no end of the heads": b"GET / HTTP/1.1\r\nHost: HOST\r\n" + b"X-A: b\r\n" * 20_000,
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: HOST\r\n\r\n",
    "a length of 5,000 digits": b"POST /align HTTP/1.1\r\nHost: HOST\r\nContent-Length: "
    + b"9" * 5000
    + b"\r\n\r\n",
    "a negative length": b"POST /align HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /align HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": b"POST /align HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of 2^64": b"POST /align HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: HOST\r\nHost: evil\r\n\r\n",
    "a host with bytes": b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    "a cookie that is none": b'GET / HTTP/1.1\r\nHost: HOST\r\nCookie: \x80=;=;;="\\777\r\n\r\n',
    "a way out of the folder": b"GET /assets/../../../etc/passwd HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "an encoded way out": b"GET /assets/%2e%2e%2f%2e%2e%2fetc/passwd%00 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "a socket of the web": b"GET / HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "a proxy": b"CONNECT example.org:443 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", RAW)
def test_bytes_that_are_no_request_end_nothing(
    kind: str, running: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    host = f"127.0.0.1:{running.address.port}"
    with socket.create_connection(("127.0.0.1", running.address.port), timeout=30) as opened:
        try:
            opened.sendall(RAW[kind].replace(b"HOST", host.encode()))
            opened.shutdown(socket.SHUT_WR)
            found = opened.recv(1 << 16)
        except ConnectionError:
            found = b""
    assert b"root:" not in found
    assert (
        not found
        or found.startswith(b"HTTP/1.1 4")
        or kind in ("a cookie that is none", "a socket of the web")
    )
    assert "Traceback" not in capfd.readouterr().err
    assert httpx2.post(f"http://{host}/settings", json={}, timeout=60).status_code == 200
