"""The inspector as a web application, and as a server that runs until it is told to stop."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from otkit.errors import ConfigError, OtkitError, reason_of
from otkit.files import parse_json, to_json
from otkit.inspector.endpoints import ENDPOINTS, documented, openapi
from otkit.inspector.guard import LOOPBACK, Guard, Limits
from otkit.inspector.patience import patient
from otkit.inspector.requests import Endpoint, answer
from otkit.inspector.session import Session

__all__ = ["Address", "application", "configured", "listen", "serve"]

_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ANY = ("0.0.0.0", "::", "[::]")


@dataclass(frozen=True)
class Address:
    """Where a server listens. The token is asked for by whoever is not this machine."""

    host: str
    port: int
    token: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """What its clients may call it; nothing where they may call it anything."""
        if self.host in _ANY:
            return frozenset()
        own = LOOPBACK if self.token is None else (self.host,)
        return frozenset(f"{name}:{self.port}" for name in own)

    @property
    def url(self) -> str:
        """What a browser opens."""
        shown = "127.0.0.1" if self.host in _ANY or self.host == "localhost" else self.host
        return f"http://{shown}:{self.port}/" + (f"?token={self.token}" if self.token else "")


def listen(host: str | None, port: int) -> tuple[Address, socket.socket]:
    """A socket on this machine alone, or on a named host behind a new token; port 0 is any that is free."""
    name = host or LOOPBACK[0]
    token = None if host is None or host in LOOPBACK or host == "::1" else secrets.token_urlsafe(24)
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((name.strip("[]"), port))
        opened.listen()  # whoever reads the address may come at once, and waits until the server is there
    except OSError as error:
        opened.close()
        raise ConfigError(
            f"{name}:{port} cannot be listened on ({reason_of(error)})",
            remedy="choose another port; 0 is any that is free",
            setting="port",
        ) from error
    shown = f"[{name.strip('[]')}]" if ":" in name else name
    return Address(shown, opened.getsockname()[1], token), opened


def application(session: Session, address: Address, *, limits: Limits | None = None) -> Guard:
    """The pages, the endpoints, and the guard before them."""

    def routed(endpoint: Endpoint) -> Route:
        async def respond(request: Request) -> Response:
            try:
                asked = parse_json(await request.body() or b"{}")
            except ValueError as error:
                return _json({"error": f"the request is no JSON ({error})"}, status=400)
            try:
                found = await run_in_threadpool(answer, endpoint, session, asked)
            except OtkitError as error:
                return _json({"error": str(error)}, status=400)
            if endpoint.media == "application/json":
                return _json(found)
            return StreamingResponse(found, media_type=endpoint.media)

        return Route(endpoint.path, respond, methods=["POST"])

    # The files are named here, once: no path of a request reaches the disk.
    pages = {"/": _page("index.html"), "/docs": Response(documented(), media_type="text/html")}
    folder = resources.files("otkit.inspector") / "assets"
    pages |= {f"/assets/{file.name}": _page(file.name) for file in folder.iterdir() if file.is_file()}
    pages["/openapi.json"] = _json(openapi())
    routes = [Route(path, _always(page), methods=["GET"]) for path, page in pages.items()]
    app = Starlette(routes=[*routes, *map(routed, ENDPOINTS)])
    return Guard(app, address.names, address.token, limits or Limits())


def _always(page: Response) -> Callable[[Request], Response]:
    return lambda request: page


def _page(name: str) -> Response:
    file = resources.files("otkit.inspector") / "assets" / name
    kind = _KINDS.get(f".{name.rpartition('.')[2]}", "application/octet-stream")
    return Response(file.read_bytes(), media_type=kind)


def _json(document: object, status: int = 200) -> Response:
    return Response(to_json(document, indent=None), media_type="application/json", status_code=status)


@contextmanager
def _filling(session: Session) -> Iterator[None]:
    """The corpus is aligned in a thread of its own."""
    if session.corpus is None:
        yield
        return
    stop = threading.Event()
    worker = threading.Thread(target=session.fill, args=(stop,), daemon=True)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()
        session.corpus.close()


def configured(session: Session, address: Address, *, limits: Limits | None = None) -> uvicorn.Config:
    """How uvicorn serves the application."""
    chosen = limits or Limits()
    return uvicorn.Config(
        application(session, address, limits=chosen),
        http=patient(chosen.seconds),  # type: ignore[arg-type]  # it calls what it is given
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",  # by default they are spoken wherever a package for them is installed
        limit_concurrency=64,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=1 << 16,
    )


def serve(
    session: Session,
    address: Address,
    opened: socket.socket,
    *,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Answer until the process is told to stop (Ctrl-C, SIGTERM) by an exception in this thread."""
    server = uvicorn.Server(configured(session, address))
    with _filling(session):
        # In a thread, so that the signals stay with the caller, who knows what they mean. It is not joined: a join that
        # a signal interrupts takes a thread that still runs for one that ended (Python 3.11).
        ended = threading.Event()

        def run() -> None:
            try:
                server.run(sockets=[opened])
            finally:
                ended.set()

        try:
            threading.Thread(target=run, daemon=True).start()
            on_ready(address.url)
            while not ended.wait(0.2):
                pass
        finally:
            server.should_exit = True  # it closes the socket itself
            ended.wait(60)
