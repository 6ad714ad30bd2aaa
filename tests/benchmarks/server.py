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
    kind: str = "application/octet-stream"
    """The Content-Type."""
    length: str = "told"
    """Or "chunked", or "untold": the end of the connection is the end of the file."""
    begins: int | None = None
    """Where ranges begin, whatever was asked."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range) of all requests."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Home]:
    """Serve these files (`/host/path`) until the block ends."""
    home = Home(files)

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

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
            status = 206 if begin else 200
            if begin and home.begins is not None:
                begin = home.begins
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Type", home.kind)
            self.send_header("Connection", "close")
            if home.length == "told":
                self.send_header("Content-Length", str(len(content) - begin))
            elif home.length == "chunked":
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            cut = home.cut.pop(0) if home.cut else None
            body = content[begin:] if cut is None else content[begin : begin + cut]
            if home.length == "chunked":
                self.wfile.write(b"%x\r\n%s\r\n" % (len(content) - begin, body))
                self.wfile.write(b"" if cut is not None else b"0\r\n\r\n")
            else:
                self.wfile.write(body)

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
