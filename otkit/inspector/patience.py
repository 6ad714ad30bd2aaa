"""How long the server waits for a client: uvicorn waits for ever for a head, and for whoever does not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["patient"]


def patient(seconds: float) -> Callable[..., asyncio.Protocol]:
    """A maker of connections that end where a request's head has not come whole after these seconds, or where nothing
    of an answer is read for so long. (A body has its own limit: `otkit.inspector.guard`.)"""

    def make(*given: Any, **named: Any) -> asyncio.Protocol:
        return _Patient(seconds, *given, **named)

    return make


class _Patient(H11Protocol):
    def __init__(self, seconds: float, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._seconds = seconds
        self._head: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _stop(self._head)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle is None or self.cycle.response_complete:  # else a request that waited has begun
            self._await_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader = self.loop.call_later(self._seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        _stop(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self._head)
        _stop(self._reader)
        super().connection_lost(exc)

    def _await_head(self) -> None:
        _stop(self._head)
        self._head = self.loop.call_later(self._seconds, self.transport.abort)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
