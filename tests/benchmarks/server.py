"""A file server for tests: ranges, cut answers, refusals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Home:
    """What a server has, and how it misbehaves."""

    files: dict[str, bytes]
    url: str = ""
    ranges: bool = True
    cut: list[int] = field(default_factory=list)
    """The next answers end after so many bytes."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range) of all requests."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Home]:
    """Serve these files (`/host/path`) until the block ends."""
    home = Home(files)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            home.asked.append((self.path, wanted))
            content = home.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and home.ranges else 0
            if wanted and home.ranges and begin >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            most = home.cut.pop(0) if home.cut else len(content)
            self.wfile.write(content[begin : begin + most])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    home.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield home
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
