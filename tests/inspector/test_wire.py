"""Bytes of anyone's on a bare socket: what is no request is answered with an error or not at all, the server lives on,
and its memory is what it was."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import make_tiny_encoder, mostly_slow

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc")


@dataclass(frozen=True)
class Served:
    """A server that is a process of its own."""

    process: subprocess.Popen[str]
    port: int

    @property
    def resident(self) -> int:
        """Kilobytes in memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])

    def ask(self, pieces: Iterable[bytes], *, reading: bool = True) -> bytes:
        """What comes back until the server closes, or has said all."""
        answer = bytearray()
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            with contextlib.suppress(ConnectionError, TimeoutError):
                connection.settimeout(30 if reading else 1)
                for piece in pieces:
                    connection.sendall(piece)
            with contextlib.suppress(ConnectionError, TimeoutError):
                while reading and (piece := connection.recv(1 << 16)):
                    answer += piece
                    connection.settimeout(1)
        return bytes(answer)

    def codes(self, pieces: Iterable[bytes]) -> list[int]:
        """The statuses of the answers."""
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d\d\d) ", self.ask(pieces))]

    def lives(self) -> bool:
        return self.codes([self.get("/", "Connection: close")]) == [200]

    def get(self, target: str = "/", *more: str) -> bytes:
        lines = [f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", *more]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")

    def post(self, *more: str, target: str = "/settings") -> bytes:
        lines = [f"POST {target} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Content-Type: application/json"]
        return "\r\n".join([*lines, *more, "\r\n"]).encode("latin-1")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("wire")
    make_tiny_encoder().save(folder / "tiny")
    words = ["inspect", "--model", "tiny", "--no-browser", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "otkit", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
    assert found is not None, process.stderr.read()
    served = Served(process, int(found[1]))
    try:
        assert served.lives()  # the address is told when it answers
        yield served
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert said == "interrupted\n"  # and not a word of all that came


NO_REQUESTS: dict[str, bytes] = {
    "nothing": b"\r\n\r\n",
    "blank lines": b"\r\n" * 50_000,
    "no words": b"\x00\xff" * 40_000,
    "one line without end": b"G" * 200_000,
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(200),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n\r\n",
    "four words": b"GET / / HTTP/1.1\r\n\r\n",
    "tabs between": b"GET\t/\tHTTP/1.1\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "an old one without host": b"GET / HTTP/1.0\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "NUL in a target": b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n",
    "no ASCII in a target": "GET /é\u2028 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "no ASCII in a method": "GÉT / HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "carriage returns alone": b"GET / HTTP/1.1\rHost: x\r\r",
}
UNENDING = {"nothing", "carriage returns alone"}
"""The server waits for the rest of them, as long as it waits for a slow client."""


@pytest.mark.parametrize("kind", mostly_slow(NO_REQUESTS, *(NO_REQUESTS.keys() - UNENDING)))
def test_what_is_no_request_is_refused_or_closed(kind: str, served: Served) -> None:
    codes = served.codes([NO_REQUESTS[kind]])
    assert all(400 <= code < 500 for code in codes), codes
    assert len(codes) <= 1
    assert served.lives()


LIES: dict[str, tuple[list[str], bytes]] = {
    **{
        f"a length of {value[:20]!r}": ([f"Content-Length: {value}"], b"{}")
        for value in ("-1", "+2", "0x2", "2, 3", "2 2", "", "2.0", "1e1", "\xb2", "9" * 30, "9" * 5000, "inf")
    },
    "two lengths": (["Content-Length: 2", "Content-Length: 3"], b"{} "),
    "chunked and a length": (["Content-Length: 5", "Transfer-Encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n"),
    "a length and chunked": (["Transfer-Encoding: chunked", "Content-Length: 5"], b"2\r\n{}\r\n0\r\n\r\n"),
    "chunked twice": (["Transfer-Encoding: chunked"] * 2, b"2\r\n{}\r\n0\r\n\r\n"),
    "chunked in a list": (["Transfer-Encoding: identity, chunked"], b"2\r\n{}\r\n0\r\n\r\n"),
    "chunked with a tab": (["Transfer-Encoding: \x0bchunked"], b"2\r\n{}\r\n0\r\n\r\n"),
    "another coding": (["Transfer-Encoding: gzip"], b"{}"),
    "a chunk of no number": (["Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n"),
    "a negative chunk": (["Transfer-Encoding: chunked"], b"-2\r\n{}\r\n0\r\n\r\n"),
    "a chunk of 2^64": (["Transfer-Encoding: chunked"], b"FFFFFFFFFFFFFFFF\r\n" + b" " * (2 << 20)),
    "a chunk that is longer": (["Transfer-Encoding: chunked"], b"1\r\n{}\r\n0\r\n\r\n"),
    "an extension without end": (["Transfer-Encoding: chunked"], b"2;" + b"a" * 300_000),
    "trailers without end": (["Transfer-Encoding: chunked"], b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * 100_000),
    "another site": (["Content-Length: 2", "Origin: null"], b"{}"),
    "another host too": (["Content-Length: 2", "Host: evil.example"], b"{}"),
}


@pytest.mark.parametrize("kind", LIES)
def test_a_body_that_lies_is_refused_and_hides_no_second_request(kind: str, served: Served) -> None:
    """Smuggling: two readers of one stream who disagree where a request ends. What follows is never answered."""
    headers, body = LIES[kind]
    hidden = served.get("/openapi.json")
    codes = served.codes([served.post(*headers) + body + hidden])
    assert codes == [] or (len(codes) == 1 and 400 <= codes[0] < 500), codes
    assert served.lives()


TARGETS = (
    *("http://evil.example/", "http://127.0.0.1/", "https://127.0.0.1/assets/inspector.css", "//evil.example/", "*"),
    *("/assets/%252e%252e/%252e%252e/etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/..%5c..%5cserver.py"),
    *("/assets/%00", "/%ff%fe", "/%e2%80%a8", "/%0d%0aSet-Cookie:%20x=y", "/" + "a" * 60_000, "/" + "../" * 5000),
    *("/%", "/%zz", "/;", "/.", "/..", "file:///etc/passwd", "127.0.0.1:80"),
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40])
def test_a_target_that_is_none_of_ours_is_not_found(target: str, served: Served) -> None:
    answer = served.ask([served.get(target, "Connection: close")])
    assert answer == b"" or 400 <= int(answer.split()[1]) < 500
    assert b"root:" not in answer
    assert b"Set-Cookie: x" not in answer


def test_a_web_socket_is_not_opened(served: Served) -> None:
    key = ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    codes = served.codes([served.get("/", "Upgrade: websocket", "Connection: Upgrade", *key)])
    assert 101 not in codes
    assert all(code < 500 for code in codes)
    other = served.get("/", "Upgrade: websocket", "Connection: Upgrade", "Origin: http://evil.example", *key)
    assert served.codes([other]) in ([], [403])
    assert served.lives()


def _floods(served: Served) -> dict[str, Iterable[bytes]]:
    header, piece = b"a: b\r\n" * 1000, b"x" * 100_000
    start = served.get().removesuffix(b"\r\n")
    chunked = served.post("Transfer-Encoding: chunked")
    return {
        "100,000 headers": (start, *[header] * 100),
        "a header of 10 MB": (start + b"a: ", *[piece] * 100),
        "a target of 10 MB": (b"GET /", *[piece] * 100),
        "a body of 10 MB": (served.post("Content-Length: 10000000"), *[piece] * 100),
        "a body of 10 MB in chunks": (chunked, *[b"186a0\r\n" + piece + b"\r\n"] * 100),
        "chunks of a byte": (chunked, *[b"1\r\nx\r\n" * 20_000] * 20),
        "10,000 requests at once": (served.get("/none") * 100 for _ in range(100)),
        "10,000 pages at once": (served.get() * 100 for _ in range(100)),
    }


FLOODS = [*_floods(Served(None, 0))]  # type: ignore[arg-type]  # their names alone


@pytest.mark.parametrize("kind", mostly_slow(FLOODS, "a header of 10 MB", "a body of 10 MB in chunks"))
def test_a_flood_is_refused_or_answered_in_the_same_memory(kind: str, served: Served) -> None:
    """Whether the client reads what comes back or not."""
    served.ask(_floods(served)[kind])
    before = served.resident
    for reading in (True, False):
        answer = served.ask(_floods(served)[kind], reading=reading)
        assert not re.search(rb"HTTP/1\.1 5\d\d ", answer)
        assert served.lives()
    assert served.resident < before + 16_000
