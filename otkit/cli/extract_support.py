"""What `otkit extract` does around its stream: fingerprint, progress, figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otkit.cli.options import note

if TYPE_CHECKING:
    from otkit.alignment.aligner import WordAligner
    from otkit.alignment.corpus import CorpusStream, Piece
    from otkit.cli.progress import Progress, Total
    from otkit.data.parallel import BadLine, Pair

__all__ = ["fingerprint_of", "was_finished", "watch", "write_json"]

_SHOWN_BAD = 5


def fingerprint_of(aligner: WordAligner, rest: tuple[object, ...]) -> dict[str, Any]:
    """What must be the same for a run to go on; the text itself is compared as it is read."""
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


def was_finished(
    output: Path,
    fingerprint: dict[str, Any],
    records: Iterator[Pair | BadLine],
    stream: CorpusStream,
    *,
    quiet: bool,
) -> bool:
    """Whether this very run is done already; an error where the finished output is that of another."""
    from otkit.alignment.sink import finished_facts
    from otkit.errors import InputError

    facts = finished_facts(output, fingerprint)
    if facts is None:
        return False
    lines, sha256 = stream.read_only(records)
    written = int(facts.get("lines", lines_of(output)))
    if lines != written or facts.get("sha256", sha256) != sha256:
        raise InputError(
            f"was made from another corpus ({written} lines then, {lines} now)"
            if lines != written
            else "was made from another corpus: its text has changed since",
            where=str(output),
            remedy="choose another output, or make this one again with `overwrite=True`",
        )
    said = "finished before: nothing to resume" if facts else "complete; what made it is not known here"
    note(f"{output} is {said}", quiet=quiet and bool(facts))
    return True


def lines_of(path: Path) -> int:
    """Lines of an output, packed or not."""
    import gzip

    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def write_json(
    path: Path, aligner: WordAligner, stream: CorpusStream, place: str, *, overwrite: bool = False
) -> None:
    from otkit.files import versions
    from otkit.files import write_json as write

    document = {
        "command": "extract",
        "versions": versions(),
        "model": aligner.encoder.name,
        "layers": list(aligner.layers),
        "aligner": aligner.used(),
        "units": aligner.config.units(),
        "input": {"name": place, "lines": stream.lines, "skipped": stream.skipped, "sha256": stream.sha256},
    }
    write(path, document, overwrite=overwrite)
