"""What was measured on an encoder once: files in the user's cache folder, each named by all that it depends on."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otkit.encoders.encoder import Encoder
from otkit.errors import OutputError
from otkit.files import cache_folder, json_in, replace_file, to_json

__all__ = [
    "Measured",
    "clear_measured",
    "every_measured",
    "identity",
    "keep_measured",
    "key_of",
    "measured_file",
    "read_measured",
]

_FOLDER = "measured"  # their part of the cache folder
_NAME = re.compile(r"[0-9a-f]{32}\.json")


def identity(encoder: Encoder) -> list[str]:
    """The hash of its weights, and what stands before every text."""
    return [encoder.weights_sha256(), encoder.settings.prefix]


def key_of(*facts: Any) -> str:
    """A hash of all that a measurement depends on, the `identity` of the encoder among it."""
    return hashlib.sha256(to_json(facts).encode()).hexdigest()[:32]


def measured_file(key: str) -> Path:
    """Where the measurement with this key is kept."""
    return cache_folder(_FOLDER) / f"{key}.json"


def read_measured(key: str) -> Any:
    """The measurement with this key; None where none is kept, or its file is damaged."""
    try:
        return json_in(measured_file(key))["found"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_measured(key: str, encoder: Encoder, what: str, found: Mapping[str, Any]) -> None:
    """Keep a measurement; without a cache folder it is made again next time."""
    with contextlib.suppress(OutputError):
        replace_file(measured_file(key), to_json({"encoder": encoder.name, "what": what, "found": found}))


@dataclass(frozen=True)
class Measured:
    """A measurement that is kept: its file, the encoder it was made on, what was measured, the bytes."""

    file: Path
    encoder: str
    what: str
    bytes: int


def every_measured() -> list[Measured]:
    """All that are kept, the newest first; what is no file of ours is left aside."""
    files = [file for file in cache_folder(_FOLDER).glob("*.json") if _NAME.fullmatch(file.name)]
    found = []
    for file in sorted(files, key=lambda each: each.stat().st_mtime, reverse=True):
        try:
            document = json_in(file)
            encoder, what = str(document["encoder"]), str(document["what"])
        except (OSError, ValueError, KeyError, TypeError):
            encoder, what = "damaged", ""
        found.append(Measured(file, encoder, what, file.stat().st_size))
    return found


def clear_measured() -> int:
    """Delete them; returns the bytes that this frees."""
    every = every_measured()
    for each in every:
        each.file.unlink(missing_ok=True)
    return sum(each.bytes for each in every)
