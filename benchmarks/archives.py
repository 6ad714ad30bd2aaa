"""Members of zip and tar archives, read by name: nothing is unpacked, so no archive can write anywhere."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from otkit.errors import InputError

__all__ = ["member", "members"]

MOST_MEMBERS = 200_000
MOST_BYTES = 300_000_000
"""Of one member, unpacked: the training pairs of MultiNLI have 240 million."""


def member(archive: Path, ending: str) -> bytes:
    """The one regular file whose path ends with these parts (`data/core.tsv`)."""
    wanted = PurePosixPath(ending).parts
    found = [content for _, content in members(archive, lambda path: path[-len(wanted) :] == wanted)]
    if len(found) != 1:
        raise InputError(f"holds {len(found)} files {ending}, expected one", where=str(archive))
    return found[0]


def members(archive: Path, wanted: Callable[[tuple[str, ...]], bool]) -> Iterator[tuple[str, bytes]]:
    """(path, content) of the regular files whose parts are wanted; links and devices are passed over.

    InputError: it is no archive, has too many members, or one that is wanted is larger than it may be.
    """
    try:
        if zipfile.is_zipfile(archive):
            yield from _of_zip(archive, wanted)
        else:
            yield from _of_tar(archive, wanted)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise InputError(f"is no archive that can be read ({error})", where=str(archive)) from error


def _of_zip(archive: Path, wanted: Callable[[tuple[str, ...]], bool]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        if len(entries) > MOST_MEMBERS:
            raise _too_many(archive)
        for entry in entries:
            if entry.is_dir() or not wanted(PurePosixPath(entry.filename).parts):
                continue
            with opened.open(entry) as file:
                yield entry.filename, _bounded(archive, entry.filename, file.read(MOST_BYTES + 1))


def _of_tar(archive: Path, wanted: Callable[[tuple[str, ...]], bool]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive, "r|*") as opened:  # as a stream: nothing is read twice
        for number, entry in enumerate(opened):
            if number >= MOST_MEMBERS:
                raise _too_many(archive)
            if not entry.isreg() or not wanted(PurePosixPath(entry.name).parts):
                continue
            file = opened.extractfile(entry)
            assert file is not None
            yield entry.name, _bounded(archive, entry.name, file.read(MOST_BYTES + 1))


def _bounded(archive: Path, name: str, content: bytes) -> bytes:
    if len(content) > MOST_BYTES:
        raise InputError(f"{name} has more than {MOST_BYTES} bytes unpacked", where=str(archive))
    return content


def _too_many(archive: Path) -> InputError:
    return InputError(f"has more than {MOST_MEMBERS} members", where=str(archive))
