"""Attacks on the server: other sites, other names, other machines, other files, too much and too slow."""

from __future__ import annotations

import contextlib
import select
import socket
import time

import httpx2
import pytest

from otkit.inspector.guard import Guard
from otkit.inspector.server import Address, application, listen
from tests.inspector.conftest import Running

JSON = {"content-type": "application/json"}


def post(
    running: Running, headers: dict[str, str], content: bytes = b"{}", path: str = "settings"
) -> httpx2.Response:
    return httpx2.post(running.url + path, headers=headers, content=content, timeout=30)


def raw(running: Running, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", running.address.port), timeout=15) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


def test_a_plain_request_is_answered_with_a_policy_and_no_leave_for_others(running: Running) -> None:
    answer = post(running, JSON)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost.evil.example:{port}", ""]
)
def test_a_name_that_is_not_ours_is_refused(running: Running, host: str) -> None:
    """DNS rebinding: a site lets its name point here, and asks as if it were its own server."""
    assert post(running, {**JSON, "host": host.format(port=running.address.port)}).status_code == 421


def test_two_hosts_are_refused(running: Running) -> None:
    name = f"127.0.0.1:{running.address.port}".encode()
    answer = raw(
        running, b"GET / HTTP/1.1\r\nHost: " + name + b"\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )
    assert answer.split()[1] in (b"400", b"421")


@pytest.mark.parametrize("headers", [
    {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "https://127.0.0.1"},
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
], ids=str)  # fmt: skip
def test_another_site_may_not_ask(running: Running, headers: dict[str, str]) -> None:
    assert post(running, {**JSON, **headers}).status_code == 403


def test_a_refusal_waits_for_the_rest_and_is_not_lost_in_a_reset(running: Running) -> None:
    head = f"POST /settings HTTP/1.1\r\nHost: 127.0.0.1:{running.address.port}\r\nOrigin: null\r\n"
    with socket.create_connection(("127.0.0.1", running.address.port), timeout=15) as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 4\r\n\r\n{{".encode())
        assert not select.select([connection], [], [], 0.3)[0]
        connection.sendall(b"   ")
        assert connection.recv(65536).split()[1] == b"403"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_can_send_is_refused(running: Running, kind: str) -> None:
    assert post(running, {"content-type": kind}).status_code == 415


@pytest.mark.parametrize("path", [
    "assets/../server.py", "assets/%2e%2e/server.py", "assets/..%2fserver.py", "assets//etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "assets/", "assets/index.html%00.js", "static/main.js",
])  # fmt: skip
def test_no_other_file_is_read(running: Running, path: str) -> None:
    name = f"127.0.0.1:{running.address.port}"
    answer = raw(running, f"GET /{path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] in (b"404", b"400")
    assert b"root:" not in answer
    assert b"import" not in answer


def test_a_body_that_is_too_large_is_refused_before_it_came(running: Running) -> None:
    name = f"127.0.0.1:{running.address.port}"
    head = f"POST /align HTTP/1.1\r\nHost: {name}\r\nContent-Type: application/json\r\n"
    assert b" 413 " in raw(running, f"{head}Content-Length: 104857600\r\n\r\n".encode())
    piece = b"20000\r\n" + b"x" * 0x20000 + b"\r\n"
    assert b" 413 " in raw(running, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + piece * 9)


def test_a_slow_client_is_sent_away(running: Running) -> None:
    name = f"127.0.0.1:{running.address.port}"
    head = f"POST /align HTTP/1.1\r\nHost: {name}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    assert b" 408 " in raw(running, head.encode() + b'{"source"')


@pytest.mark.parametrize("head", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
def test_a_head_that_comes_drop_by_drop_ends(running: Running, head: bytes) -> None:
    """Slowloris: clients that never end their request's head would take every place that there is."""
    with socket.create_connection(("127.0.0.1", running.address.port), timeout=20) as connection:
        if head:
            connection.sendall(head)
        connection.setblocking(False)
        for _ in range(200):  # the limit of this server is a second
            time.sleep(0.1)
            try:
                if connection.recv(1) == b"":
                    return
            except BlockingIOError:
                try:
                    connection.sendall(b"X" if head else b"")
                except (ConnectionError, BlockingIOError):
                    return
            except ConnectionError:
                return
    pytest.fail("the server still waits")


def test_a_second_request_is_not_waited_for_either(running: Running) -> None:
    name = f"127.0.0.1:{running.address.port}"
    first = f"GET /openapi.json HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
    answer = raw(running, first + b"GET / HTTP/1.1\r\nX: y")
    assert answer.startswith(b"HTTP/1.1 200")


def test_many_slow_clients_keep_nobody_out(running: Running) -> None:
    places = [socket.create_connection(("127.0.0.1", running.address.port)) for _ in range(70)]
    try:
        for connection in places:
            connection.sendall(b"GET / HTTP/1.1\r\n")
        for connection in places:  # until the server ends them
            connection.settimeout(20)
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""
        assert post(running, JSON).status_code == 200
    finally:
        for connection in places:
            connection.close()


@pytest.mark.parametrize("body", [b"", b"[" * 200_000, b"{", b"\xff\xfe", b"[1]", b'"x"', b"nul"])
def test_a_body_that_is_no_object_harms_nothing(running: Running, body: bytes) -> None:
    assert post(running, JSON, body, "align").status_code == 400
    assert post(running, JSON).status_code == 200


def test_other_methods_are_refused(running: Running) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert httpx2.request(method, running.url).status_code == 405


async def _status(
    guard: Guard, path: str, headers: dict[str, str], query: str = ""
) -> tuple[int, dict[str, str]]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=guard)) as client:  # type: ignore[arg-type]
        answer = await client.get(f"http://192.0.2.7:99/{path}{query}", headers=headers)
    return answer.status_code, dict(answer.headers)


def test_other_machines_need_the_token(running: Running) -> None:
    import asyncio

    guard = application(running.session, Address("192.0.2.7", 99, "secret"))
    ask = lambda headers, query="": asyncio.run(_status(guard, "", headers, query))  # noqa: E731
    assert ask({})[0] == 401
    assert ask({"authorization": "Bearer wrong"})[0] == 401
    assert ask({"cookie": "otkit-token=wrong"})[0] == 401
    assert ask({"authorization": "Bearer secret"})[0] == 200
    status, headers = ask({}, "?token=secret")
    assert status == 200
    assert "HttpOnly; SameSite=Strict" in headers["set-cookie"]
    assert ask({"cookie": "otkit-token=secret"})[0] == 200
    assert ask({"cookie": "otkit-token=secret", "host": "evil.example:99"})[0] == 421


def test_only_a_host_that_is_named_is_listened_on() -> None:
    address, opened = listen(None, 0)
    with opened:
        assert opened.getsockname()[0] == "127.0.0.1"
        assert address.token is None
    address, opened = listen("0.0.0.0", 0)
    with opened:
        assert address.token is not None
        assert f"?token={address.token}" in address.url
