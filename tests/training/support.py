"""What several training tests share: a small text, and a watcher that says nothing."""

from __future__ import annotations

TEXT = "das haus ist klein .\tthe house is small .\nein haus\ta house\ndas ist ein haus !\tthis is a house\n"


class Silent:
    def record(self, record: object, *, step: int, steps: int) -> None:
        pass

    def note(self, message: str) -> None:
        pass

    def progress(self, what: str, done: int, total: int | None) -> None:
        pass
