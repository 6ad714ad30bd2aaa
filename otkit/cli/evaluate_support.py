"""Small things around an evaluation: opening encoders, language lists, progress, files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from otkit.errors import ConfigError

if TYPE_CHECKING:
    from otkit.cli.progress import Progress
    from otkit.encoders.encoder import Encoder

__all__ = ["Watch", "aligned_on", "language_codes", "open_with"]


def open_with(name: str | None, *, device: str, pooling: str | None, prefix: str | None) -> Encoder:
    from dataclasses import replace

    from otkit.encoders.open import open_encoder

    encoder = open_encoder(name, device=device)
    was = encoder.settings
    encoder.settings = replace(
        was,
        pooling=was.pooling if pooling is None else pooling,
        prefix=was.prefix if prefix is None else prefix,
    )
    return encoder


def language_codes(text: str | None) -> tuple[str, ...] | None:
    from otkit.evaluation.codes import short_code

    if text is None:
        return None
    codes = tuple(short_code(code.strip()) for code in text.split(",") if code.strip())
    if not codes:
        raise ConfigError("an empty list of languages", remedy="write for instance de,fr")
    return codes


def aligned_on(model: str | None) -> tuple[str, ...]:
    """The languages that otkit.json says the model was aligned on, and English."""
    import json

    from otkit.evaluation.codes import short_code

    path = Path(model) / "otkit.json" if model is not None else None
    if path is None or not path.is_file():
        return ()
    data = json.loads(path.read_text(encoding="utf-8")).get("data", [])
    found = {code for corpus in data if isinstance(corpus, dict) for code in corpus.get("languages", [])}
    return tuple(sorted(short_code(code) for code in found | {"en"})) if found else ()


class Watch:
    """The protocol's observer on a terminal: a bar for each thing that a task is busy with."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._step = bar, bar.step("evaluate")

    def note(self, message: str) -> None:
        self._bar.note(message)

    def progress(self, what: str, done: int, total: int | None) -> None:
        if what != self._step.name or done < self._step.done:  # the next task, language or encoder
            self._step.turn_to(what)
        self._step.update(done, total=total)
