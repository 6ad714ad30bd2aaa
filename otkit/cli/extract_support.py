"""What `otkit extract` does around its stream: fingerprint, progress, figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otkit.cli.options import note

if TYPE_CHECKING:
    from otkit.cli.progress import Progress, Total
    from otkit.extraction.aligner import WordAligner
    from otkit.extraction.corpus import CorpusStream, Piece

__all__ = ["fingerprint_of", "watch", "write_json"]

_SHOWN_BAD = 5


def fingerprint_of(
    aligner: WordAligner, place: str, second: str | None, rest: tuple[object, ...]
) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    from otkit import __version__
    from otkit.encoders.device import PRECISIONS
    from otkit.evaluation.protocol import encoder_fingerprint

    return {
        "version": __version__,
        "encoder": encoder_fingerprint(aligner.encoder),
        "settings": aligner.config.to_dict(),
        "layers": list(aligner.layers),
        "batch-tokens": aligner.batch_tokens,
        "precision": str(PRECISIONS[aligner.precision]),
        "window": aligner.window,
        "input": [place, second],
        "format": list(rest),
    }


def watch(
    bar: Progress, aligner: WordAligner, stream: CorpusStream, total: Total | None, *, quiet: bool
) -> Callable[[Piece], None]:
    """Moves the bar, within a window too, and names the first bad lines."""
    step, named, begun = bar.step("extract", unit="lines", total=total), 0, False
    aligner.on_encoded = step.under_way

    def show(piece: Piece) -> None:
        nonlocal named, begun
        if not begun and stream.lines > piece.lines:
            step.start_from(stream.lines)  # the lines of an earlier run do not count for the rate
        begun = True
        step.update(stream.lines)
        for bad in piece.bad[: max(0, _SHOWN_BAD - named)]:
            note(f"skipped: {bad.error.where}: {bad.error.what}", quiet=quiet)
        named += len(piece.bad)

    return show


def write_json(path: Path, aligner: WordAligner, stream: CorpusStream, place: str) -> None:
    import json

    from otkit.cli.evaluate_support import write_output
    from otkit.provenance import versions

    document = {
        "command": "extract",
        "versions": versions(),
        "model": aligner.encoder.name,
        "layers": list(aligner.layers),
        "aligner": aligner.used(),
        "units": aligner.config.units(),
        "input": {"name": place, "lines": stream.lines, "skipped": stream.skipped, "sha256": stream.sha256},
    }
    write_output(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
