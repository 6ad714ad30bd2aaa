"""Clients that ask and do not read: others are served meanwhile, and what was kept for them is given back."""

from __future__ import annotations

import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx2
import pytest
import uvicorn

from otkit.inspector.guard import Limits
from otkit.inspector.server import configured, listen
from tests.inspector.conftest import SOURCE, TARGET, Running

SECONDS = 1.5
CLIENTS = 8


@dataclass(frozen=True)
class Narrow:
    """A server whose connections hold little outside of it, so that what a client leaves unread stays in its memory."""

    port: int
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def asked(self) -> socket.socket:
        """A client that has sent a request with a long answer."""
        body = json.dumps({"model": "tiny", "pairs": [[f"{SOURCE} " * 8, f"{TARGET} " * 8]] * 2}).encode()
        head = f"POST /align HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", self.port))
        client.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return client

    def waits(self) -> bool:
        """Whether some answer waits for its reader."""
        return any(connection.flow.write_paused for connection in list(self.server.server_state.connections))

    def until(self, connections: int) -> None:
        """Wait until no more connections than these are open."""
        deadline = time.monotonic() + 60
        while len(self.server.server_state.connections) > connections:
            assert time.monotonic() < deadline, "the server still waits"
            time.sleep(0.05)


@pytest.fixture
def narrow(running: Running) -> Iterator[Narrow]:
    address, opened = listen(None, 0)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # which connections take over
    server = uvicorn.Server(configured(running.session, address, limits=Limits(seconds=SECONDS)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    while not server.started:  # before that nobody is listened to
        assert thread.is_alive()
        time.sleep(0.01)
    yield Narrow(address.port, server)
    server.should_exit = True
    thread.join(10)


def test_who_never_reads_is_cut_off_and_keeps_no_memory(narrow: Narrow) -> None:
    with narrow.asked() as client:  # which loads what the first answer loads
        client.recv(1)
    narrow.until(0)
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        with ExitStack() as clients:
            for _ in range(CLIENTS):
                clients.enter_context(narrow.asked())
            deadline = time.monotonic() + 60
            while not narrow.waits():
                assert time.monotonic() < deadline, "no answer was so long that it had to wait"
                time.sleep(0.02)
            assert httpx2.post(narrow.url + "settings", json={}, timeout=30).status_code == 200
            narrow.until(0)
            left = tracemalloc.get_traced_memory()[0] - start
            most = tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()
    assert most > 500_000  # what one answer takes
    assert left < most / 4


def test_who_reads_a_byte_at_a_time_is_cut_off(narrow: Narrow) -> None:
    with narrow.asked() as client:
        assert client.recv(1) == b"H"
        begun = time.monotonic()
        while narrow.server.server_state.connections:
            assert time.monotonic() < begun + 60, "the server still waits"
            time.sleep(0.2)
            client.recv(1)
            assert httpx2.post(narrow.url + "settings", json={}, timeout=30).status_code == 200
            narrow.until(1)


def test_who_reads_slowly_but_reads_gets_the_whole_answer(narrow: Narrow) -> None:
    with narrow.asked() as client:
        got = b""
        while b"\r\n\r\n" not in got:
            got += client.recv(4096)
        head, _, got = got.partition(b"\r\n\r\n")
        length = int(
            next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split()[
                1
            ]
        )
        while len(got) < length:
            piece = client.recv(65536)
            assert piece
            got += piece
            time.sleep(0.0002)
    assert len(json.loads(got)["alignments"]) == 2
