"""What stands between the network and the inspector: who may ask, from which page, and how much.

A page of another site that a person opens can send requests to this machine, and with a name that it lets point here
(DNS rebinding) read the answers. So the Host must be ours, an Origin must be ours, a POST must be JSON, which another
site cannot send without leave that is never given, and other machines need the token.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from otkit.files import to_json

__all__ = ["COOKIE", "LOOPBACK", "Guard", "Limits"]

COOKIE = "otkit-token"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


_REST_SECONDS = 1.0
"""How long the rest of a refused request may take."""


@dataclass(frozen=True)
class Limits:
    """The most bytes of a body, and the seconds in which it must have come."""

    body: int = 1 << 20
    seconds: float = 10.0


class _RefusedError(Exception):
    def __init__(self, status: int, what: str) -> None:
        self.status, self.what = status, what
        super().__init__(what)


@dataclass(frozen=True)
class Guard:
    """The application behind the checks. `hosts` are the names (with port) that it answers to; without any, whoever
    has the token may call it by any name. `token` is asked for where there is one."""

    app: App
    hosts: frozenset[str]
    token: str | None = None
    limits: Limits = Limits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        given = self._given(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *_encoded(_HEADERS)]
                if given:  # a page that was opened with the token keeps it, and its address loses it
                    cookie = f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
                    headers.append((b"set-cookie", cookie.encode()))
                message = {**message, "headers": headers}
            await send(message)

        try:
            self._check(scope, given=given)
            body = await asyncio.wait_for(self._body(receive), self.limits.seconds)
        except _RefusedError as refused:
            # Who sends "Expect" waits for an answer: nothing is on its way.
            if not any(name.lower() == b"expect" for name, _ in scope["headers"]):
                await self._take_rest(receive)
            await _answer(with_headers, refused.status, refused.what)
            return
        except TimeoutError:
            await _answer(
                with_headers, 408, f"the request did not come within {self.limits.seconds:g} seconds"
            )
            return
        sent = False

        async def whole() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, whole, with_headers)

    def _check(self, scope: Scope, *, given: bool) -> None:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        host = headers.get("host", "").lower()
        if sum(name.lower() == b"host" for name, _ in scope["headers"]) != 1 or (
            self.hosts and host not in self.hosts
        ):
            raise _RefusedError(421, "this server does not go by that name")
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host}":
            raise _RefusedError(403, "another site may not ask")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise _RefusedError(403, "another site may not ask")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise _RefusedError(405, "use GET or POST")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            raise _RefusedError(415, "send JSON (content-type: application/json)")
        if self.token is not None and not given and not self._known(headers):
            raise _RefusedError(401, "the token is missing: open the address that the command printed")
        if "content-length" in headers and "transfer-encoding" in headers:
            # A proxy that goes by the other one sees another request begin where this one ends.
            raise _RefusedError(400, "the request has two lengths")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.body:
            raise _RefusedError(413, f"the request is larger than {self.limits.body} bytes")

    def _given(self, scope: Scope) -> bool:
        """Whether the address itself has the token."""
        values = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
        return self.token is not None and any(_same(value, self.token) for value in values)

    def _known(self, headers: dict[str, str]) -> bool:
        assert self.token is not None
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        kept = cookies[COOKIE].value if COOKIE in cookies else ""
        return _same(bearer, self.token) or _same(kept, self.token)

    async def _take_rest(self, receive: Receive) -> None:
        """A connection that closes on bytes that nobody took is reset, and its answer may be lost with it."""
        with contextlib.suppress(_RefusedError, TimeoutError):
            await asyncio.wait_for(self._body(receive), min(_REST_SECONDS, self.limits.seconds))

    async def _body(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise _RefusedError(400, "the request broke off")
            body += message.get("body", b"")
            if len(body) > self.limits.body:  # whatever its header said
                raise _RefusedError(413, f"the request is larger than {self.limits.body} bytes")
            if not message.get("more_body", False):
                return bytes(body)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _answer(send: Send, status: int, what: str) -> None:
    body = to_json({"error": what}).encode()
    headers = _encoded({"content-type": "application/json", "connection": "close"})
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
