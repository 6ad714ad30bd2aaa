"""Files from their public homes: bounded, checked, and gone on with where a download was cut."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from otkit.errors import InputError
from otkit.files import hold, sha256_of

__all__ = ["Remote", "fetch"]

_PIECE = 1 << 16
_SECONDS = 60  # without a byte: the connection is dead
_ATTEMPTS = 4
_AGENT = "otkit-benchmarks"


@dataclass(frozen=True)
class Remote:
    """A file of a public home."""

    name: str
    url: str
    most: int
    """Bytes: more are not read, whatever the server says."""
    sha256: str | None = None
    """None where no sum is published."""

    def at(self, mirror: str | None) -> str:
        """The address; on a mirror host and path of the home follow the mirror's own."""
        if mirror is None:
            return self.url
        home = urllib.parse.urlsplit(self.url)
        return f"{mirror.rstrip('/')}/{home.netloc}{home.path}"


def fetch(
    remote: Remote,
    target: Path,
    *,
    expected: str | None,
    mirror: str | None = None,
    note: Callable[[str], None] = print,
    pause: float = 2.0,
) -> str:
    """Have the file under `target`, and return its SHA-256; `expected` is the sum it must have, where one is known.

    What a cut download left is `target.part`: this call goes on behind it, and where the sum is known the next one too.
    InputError: the home cannot be reached, the file is too large, or its sum is another: it is not kept then.
    """
    with hold(target):
        if target.exists():
            return _checked(target, expected, remote, mirror)
        part = target.with_name(target.name + ".part")
        if expected is None:  # nothing would tell that two halves are of two files
            part.unlink(missing_ok=True)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                _download(remote, part, remote.at(mirror), summed=expected is not None)
                break
            except (
                OSError,
                http.client.HTTPException,
                _CutError,
            ) as error:  # HTTPError and URLError are OSErrors
                told = (
                    f"{error.code} {error.reason}"
                    if isinstance(error, urllib.error.HTTPError)
                    else str(error)
                )
                gone = isinstance(error, urllib.error.HTTPError) and error.code < 500
                if gone or attempt == _ATTEMPTS:
                    kept = expected is not None and part.exists()
                    size = f"; {part.stat().st_size} bytes are kept" if kept else ""
                    raise InputError(
                        f"cannot be fetched ({told}{size})",
                        where=remote.at(mirror),
                        remedy=f"run again{' to go on' if kept else ''}, or name a `mirror`",
                    ) from error
                note(f"{remote.name}: {told}; trying again")
                time.sleep(pause * attempt)
        found = _checked(part, expected, remote, mirror)
        part.replace(target)
        return found


class _CutError(Exception):
    """Fewer bytes came than were announced."""


def _checked(path: Path, expected: str | None, remote: Remote, mirror: str | None) -> str:
    found = sha256_of(path)
    if expected is not None and found != expected:
        path.unlink()
        mend = "mend data.toml" if remote.sha256 else "take its sum out of sets.json"
        raise InputError(
            f"its SHA-256 is {found}, expected {expected}; what was fetched is deleted",
            where=remote.at(mirror),
            remedy=f"try again later or from a `mirror`; if the home says that it changed the file, {mend}",
        )
    return found


def _download(remote: Remote, part: Path, url: str, *, summed: bool) -> None:
    """Bring the part to its end; what it has is kept, if the server goes on behind it."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        with _opened(request) as answer:
            if have and answer.status != 206:
                have = 0  # a server that knows no ranges begins anew
            elif have and _begins(answer.headers) not in (None, have):
                part.unlink()
                raise _CutError("the server went on at another place")
            _refuse_page(answer, remote, url)
            length = answer.headers.get("Content-Length")
            whole = None if length is None else have + int(length)
            if whole is not None and whole > remote.most:
                raise _too_large(remote, url)
            if whole is None and not answer.chunked and not summed:
                raise InputError(
                    "the server does not say how long the file is, and no sum is known: a part would look whole",
                    where=url,
                    remedy="name a `mirror` that says it",
                )
            with part.open("ab" if have else "wb") as file:
                for piece in _pieces(answer):
                    have += len(piece)
                    if have > remote.most:
                        file.close()
                        part.unlink()
                        raise _too_large(remote, url)
                    file.write(piece)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # the part holds all there is, or more than the file has now
            total = _total(error.headers)
            if total == have:
                return
            part.unlink()
            raise _CutError("the part does not fit the file any more") from error
        raise
    if whole is not None and have < whole:
        raise _CutError(f"cut after {have} of {whole} bytes")


def _refuse_page(answer: http.client.HTTPResponse, remote: Remote, url: str) -> None:
    """A page to log in or to wait has the status of the file that it stands for."""
    kind = answer.headers.get_content_type()
    if kind in ("text/html", "application/xhtml+xml") and not remote.name.endswith((".html", ".htm")):
        raise InputError(
            f"the server sends a page ({kind}) instead of {remote.name}",
            where=url,
            remedy="look at the address in a browser, or name a `mirror`",
        )


def _begins(headers: Message) -> int | None:
    """Where `Content-Range: bytes 12-99/100` begins."""
    digits = headers.get("Content-Range", "").removeprefix("bytes").strip().partition("-")[0]
    return int(digits) if digits.isdigit() else None


def _too_large(remote: Remote, url: str) -> InputError:
    return InputError(
        f"is larger than the {remote.most} bytes that it may have",
        where=url,
        remedy="check the address; if the file has grown, mend `most` in data.toml",
    )


def _total(headers: Message) -> int | None:
    """The length of the file in `Content-Range: bytes */1234`."""
    digits = headers.get("Content-Range", "").rpartition("/")[2]
    return int(digits) if digits.isdigit() else None


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := answer.read(_PIECE):
            yield piece
    except http.client.IncompleteRead as cut:
        yield cut.partial
        raise _CutError("cut in the middle") from cut


@contextmanager
def _opened(request: urllib.request.Request) -> Iterator[http.client.HTTPResponse]:
    """The answer; a home with https may send us elsewhere, but not to a place without it."""
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        if request.full_url.startswith("https:") and not answer.url.startswith("https:"):
            raise InputError(f"sends on to {answer.url}, which is not encrypted", where=request.full_url)
        yield answer
