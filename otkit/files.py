"""The one door through which everything is written: whole or not at all, and never over what a user has.

A file or a folder gets its final name in one rename, when it is whole. What stood there before is replaced only
where otkit made it and nobody changed it since, or where the caller says `overwrite`; a home folder, a root, the
current folder, a parent of these, a link, a mount point and whatever holds an input of the run are never replaced.

How otkit knows what it made: a folder holds the file `.made-by-otkit.json`, which lists its files and is the last
that is written; of single files a record lies in the user's cache folder (see `remember`). A file that was changed
afterwards is newer than the list, or no longer fits its record, and counts as the user's.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import math
import os
import platform
import re
import secrets
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from otkit import __version__
from otkit.errors import ConfigError, OutputError, reason_of

__all__ = [
    "MARKER",
    "PACKED",
    "append_line",
    "cache_folder",
    "check_file",
    "check_folder",
    "check_growing",
    "check_outputs",
    "clear_killed",
    "differences",
    "either",
    "ending_of",
    "file_facts",
    "finish_folder",
    "format_of",
    "fresh_folder",
    "grow_folder",
    "hold",
    "is_as_stated",
    "is_packed",
    "is_stream",
    "journal_lines",
    "json_in",
    "made_here",
    "open_new",
    "own_kind",
    "parse_json",
    "remember",
    "replace_file",
    "script_json",
    "sha256_of",
    "to_json",
    "undisturbed",
    "versions",
    "write_file",
    "write_json",
]

MARKER = ".made-by-otkit.json"
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# Half a surrogate pair is no UTF-8; the others end a line for some readers, or command a terminal.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# What a figure rests on.
_PACKAGES = (
    *(
        "torch",
        "transformers",
        "tokenizers",
        "accelerate",
        "numpy",
        "faiss-cpu",
        "onnx",
        "onnxscript",
        "onnxruntime",
    ),
    "pot",
)
_RECORDS = 4096  # of single files; the oldest are forgotten first


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_facts(path: Path) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def is_as_stated(path: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a file is the one that a manifest means; the hash is taken only where the size fits."""
    return path.stat().st_size == facts.get("bytes") and sha256_of(path) == facts.get("sha256")


def versions() -> dict[str, str]:
    """otkit's, Python's and the packages' versions, of those that are installed."""
    return {"otkit": __version__, "python": platform.python_version(), **_packages()}


@cache
def _packages() -> dict[str, str]:
    """Of one process: to look a version up means to read the package's metadata."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def to_json(document: Any, *, indent: int | None = 1) -> str:
    """Valid JSON for every reader: what is not a number (NaN, infinity) is null, paths are text, and characters that
    are not text are escaped."""
    try:
        text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):  # something in it is no number, or no type of JSON's
        text = json.dumps(_plain(document), indent=indent, ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def script_json(document: Any) -> str:
    """JSON on one line that may stand within a script of a page: no HTML parser ends it early."""
    return to_json(document, indent=None).rstrip("\n").replace("<", "\\u003c").replace("&", "\\u0026")


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says; a ValueError for whatever is none, what is nested too deeply included."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


_LARGEST = 1 << 28
"""Bytes of a file that is read whole: far above the largest tokenizer.json, far below a computer's memory."""


def json_in(path: Path) -> Any:
    """What a file of JSON says; a ValueError for one that is none, or so large that it would fill the memory."""
    return parse_json(_content(path))


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > _LARGEST else file.read(_LARGEST + 1)  # a device has no size
    if max(size, len(content)) > _LARGEST:
        raise ValueError(f"it has {max(size, len(content)):,} bytes, expected at most {_LARGEST:,}")
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, float):  # numpy's float64 is one
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # arrays, tensors and their scalars
        return _plain(value.tolist())
    return str(value)


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What two fingerprints differ in, each with both values; empty where they are equal."""
    found = []
    for key in dict.fromkeys((*then, *now)):
        was, is_now = then.get(key), now.get(key)
        if isinstance(was, Mapping) and isinstance(is_now, Mapping):
            if inner := differences(was, is_now):
                found.append(f"{key}: {inner}")
        elif was != is_now:
            found.append(f"{key} was {_short(was)}, is {_short(is_now)}")
    return "; ".join(found)


def _short(value: Any) -> str:
    text = to_json(value, indent=None).rstrip("\n")
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- single files


def is_stream(path: Path) -> bool:
    """True for what is written to and never renamed over: a device, a pipe, a descriptor of the shell's."""
    if str(path).startswith(("/dev/fd/", "/dev/std", "/proc/")):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Refuse an output that is an input or another output, under any spelling of its path.

    outputs: by the name of the setting that gives them. inputs: `-`, None and what does not exist are passed over.
    """
    given = {name: path for name, path in outputs.items() if path is not None and not is_stream(path)}
    read = [Path(one) for one in inputs if one is not None and str(one) != "-"]
    for name, path in given.items():
        for one in read:
            if _same(path, one):
                raise OutputError(
                    f"the output `{name}` is an input of this run",
                    where=str(path),
                    remedy="name another file",
                )
        for other, path_of_other in given.items():
            if other != name and _same(path, path_of_other):
                raise OutputError(
                    f"is named twice as an output, by `{name}` and `{other}`",
                    where=str(path),
                    remedy="name two files",
                )


def _same(first: Path, second: Path) -> bool:
    with contextlib.suppress(OSError):
        if first.samefile(second):
            return True
    return os.path.realpath(first) == os.path.realpath(second)  # resolve() raises where links go round


def check_file(path: Path, *, overwrite: bool = False) -> Path:
    """The place that a file will have, links followed; an error where something stands there that is the user's."""
    try:
        place = path.resolve(strict=True) if path.is_symlink() else path
    except (OSError, RuntimeError) as error:
        raise OutputError("is a link to nothing", where=str(path), remedy="name a file") from error
    if place.is_dir():
        raise OutputError("is a folder", where=str(path), remedy="name a file")
    if path.suffix.lower() in PACKED:
        raise ConfigError(
            f"received {str(path)!r}, an ending of packed files that otkit does not write",
            remedy="end it in .gz, or leave the ending out",
        )
    if not overwrite and place.exists() and place.stat().st_size and made_here(place) is None:
        raise OutputError(
            "exists, and otkit did not make it or it was changed since",
            where=str(path),
            remedy="choose another name, or replace it with `overwrite=True`",
        )
    return place


def write_file(
    path: Path,
    content: str | bytes | Callable[[Path], object],
    *,
    overwrite: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a file whole, packed where its name ends in .gz: a text (UTF-8), bytes, or what `content` puts into the
    path that it is called with.

    facts: what the record of this file holds beside its size and time.
    """
    if is_stream(path):
        with _told(path), tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder) / (path.name + ".new")
            _fill(scratch, content)
            with scratch.open("rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
        return
    place = check_file(path, overwrite=overwrite)
    replace_file(place, _packing(content) if is_packed(path) else content)
    remember(place, facts or {})


def replace_file(path: Path, content: str | bytes | Callable[[Path], object]) -> None:
    """The same for a file in a folder that otkit made: what stands there is otkit's own."""
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path) as temporary:
            mode = temporary.stat().st_mode
            _fill(temporary, content)
            temporary.chmod(stat.S_IMODE(mode))  # some writers make private files of their own
            _flush(temporary)
            temporary.replace(path)


def _fill(path: Path, content: str | bytes | Callable[[Path], object]) -> None:
    if callable(content):
        content(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))


def _packing(content: str | bytes | Callable[[Path], object]) -> Callable[[Path], None]:
    """The same content, packed; without a time stamp and a name, so that the same content is the same bytes."""

    def fill(path: Path) -> None:
        _fill(path, content)
        with tempfile.TemporaryFile() as plain:  # without a name: a kill leaves nothing
            with path.open("rb") as written:
                shutil.copyfileobj(written, plain)
            plain.seek(0)
            with (
                path.open("wb") as target,
                gzip.GzipFile("", "wb", compresslevel=6, fileobj=target, mtime=0) as packed,
            ):
                shutil.copyfileobj(plain, packed)

    return fill


def write_json(path: Path, document: Any, *, overwrite: bool = False) -> None:
    """Write a JSON file whole."""
    write_file(path, to_json(document), overwrite=overwrite)


def append_line(path: Path, line: str) -> None:
    """Add a line to a journal of otkit's, and return when it is on the disk: a kill or a power cut later loses none."""
    with _told(path), path.open("ab") as file:
        file.write(line.encode("utf-8") + b"\n")
        file.flush()
        os.fsync(file.fileno())


def journal_lines(path: Path) -> list[str]:
    """The lines of a journal; one that a kill cut in two at the end is cut off, for it was never confirmed."""
    with _told(path):
        if not path.exists():
            return []
        try:
            content = _content(path)
        except ValueError as error:
            raise OutputError(f"is no journal ({error})", where=str(path), remedy="choose another") from error
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(path, len(whole))
    return whole.decode("utf-8").splitlines()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Of a full disk safetensors and tokenizers tell in their own ways.
        own = type(error) is Exception and "(os error " in str(error)
        if not (own or isinstance(error, OSError | SafetensorError)):
            raise
        raise OutputError(
            f"cannot be written ({reason_of(error)})",
            where=str(path),
            remedy="make room, or choose another output; what was there before is kept",
        ) from error


def open_new(path: Path) -> int:
    """A descriptor of a new file that nothing stood in for, with the permissions that the umask leaves."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o666)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A signal that asks for the end within the block is heard when it is over: what is cleared away is cleared."""
    came: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():  # signals reach no other
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if (number := getattr(signal, name, None)) is not None and callable(signal.getsignal(number)):
                before[number] = signal.signal(number, lambda got, frame: came.append(got))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def _stem(place: Path) -> str:
    """What names of temporary files of this output begin with: short, whatever the output is called."""
    return f".otkit-{hashlib.sha256(place.name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


@contextmanager
def _temporary(place: Path, *, folder: bool = False) -> Iterator[Path]:
    """A new file or folder beside `place` under a name that nobody can foresee; gone at the end if it is still there.

    A lock on it says that its process lives: what a killed process left is found without one and cleared.
    """
    temporary = place.with_name(f"{_stem(place)}-new-{secrets.token_hex(8)}{place.suffix[:16]}")
    descriptor = None
    try:
        with undisturbed():
            clear_killed(place)
            if folder:
                temporary.mkdir()
                descriptor = os.open(temporary, os.O_RDONLY) if os.name == "posix" else None
            else:
                descriptor = open_new(temporary)
            if descriptor is not None:
                _try_lock(descriptor)
        yield temporary
    finally:
        with undisturbed():
            if descriptor is not None:
                os.close(descriptor)
            if folder:
                shutil.rmtree(temporary, ignore_errors=True)
            elif descriptor is not None:  # else it is not ours
                with contextlib.suppress(OSError):
                    temporary.unlink()


def clear_killed(place: Path) -> None:
    """Remove what killed processes left of this output; a folder set aside between two renames gets its name back."""
    for left in place.parent.glob(f"{_stem(place)}-*"):
        if left.is_symlink():
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY | _NOFOLLOW)
            try:
                if not _try_lock(descriptor):
                    continue
                if left.name.startswith(f"{_stem(place)}-old-") and not place.exists():
                    left.rename(place)
                elif left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
            finally:
                os.close(descriptor)


def _flush(path: Path) -> None:
    """Bring a file to the disk before its name says that it is whole."""
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- what otkit made


def cache_folder(name: str = "") -> Path:
    """Where otkit keeps what it need not make again, in the user's cache folder: all of it, or what has this name."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("otkit", appauthor=False)) / name


def _record_of(place: Path) -> Path:
    name = hashlib.sha256(str(place.resolve()).encode("utf-8", "surrogatepass")).hexdigest()
    return cache_folder("written") / f"{name[:32]}.json"


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def remember(place: Path, facts: Mapping[str, Any]) -> None:
    """Note that otkit wrote this file, and what it was made from; without a cache folder nothing is noted."""
    with contextlib.suppress(OSError):
        record = _record_of(place)
        record.parent.mkdir(parents=True, exist_ok=True)
        document = {"path": str(place.resolve()), "stamp": _stamp(place), "facts": dict(facts)}
        temporary = record.with_name(f".{secrets.token_hex(8)}")
        with undisturbed():
            try:
                with os.fdopen(open_new(temporary), "w", encoding="utf-8") as file:
                    file.write(to_json(document))
                temporary.replace(record)
            finally:
                temporary.unlink(missing_ok=True)
        kept = list(record.parent.glob("*.json"))
        if len(kept) > 2 * _RECORDS:
            for old in sorted(kept, key=lambda one: one.stat().st_mtime)[:-_RECORDS]:
                old.unlink(missing_ok=True)


def made_here(place: Path) -> dict[str, Any] | None:
    """The facts of a file that otkit wrote and nobody changed since; None of any other."""
    try:
        document = json_in(_record_of(place))
        return dict(document["facts"]) if document["stamp"] == _stamp(place) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


# --- folders


def check_folder(
    folder: Path, kind: str, *, inputs: Iterable[str | Path | None] = (), overwrite: bool = False
) -> Path:
    """The place that a folder will have; an error where it must not be replaced.

    kind: what the folder holds; one of another kind is not replaced. inputs: what the run reads.
    """
    place = _allowed(folder, inputs)
    if overwrite or not place.exists():
        return place
    entries = sorted(path.name for path in place.iterdir())
    if not entries:
        return place
    marked = _marker(place)
    if marked is None:
        shown = next((name for name in entries if not name.startswith(".")), entries[0])
        raise OutputError(
            f"the folder holds files that otkit did not make ({shown})",
            where=str(folder),
            remedy="choose a new folder, or replace this one with `overwrite=True`",
        )
    if marked["kind"] != kind:
        raise OutputError(
            f"the folder holds {_KINDS.get(marked['kind'], marked['kind'])}, not {_KINDS[kind]}",
            where=str(folder),
            remedy="choose a new folder, or replace this one with `overwrite=True`",
        )
    changed = _changed(place, marked["files"])
    if changed is not None:
        raise OutputError(
            f"the folder holds a file that was added or changed since otkit made it ({changed})",
            where=str(folder),
            remedy="choose a new folder, or replace this one with `overwrite=True`",
        )
    return place


_KINDS = {
    "encoder": "an encoder",
    "run": "a training run",
    "vectors": "vectors",
    "report": "a report",
    "evaluation": "an evaluation",
    "annotations": "annotations",
    "data": "benchmark data",
}


def _allowed(folder: Path, inputs: Iterable[str | Path | None]) -> Path:
    """The resolved place, if a folder may be made or replaced there at all; `overwrite` changes nothing here."""

    def refused(why: str) -> OutputError:
        return OutputError(why, where=str(folder), remedy="name a new folder")

    if folder.is_symlink():
        raise refused("is a link, and a link is never replaced by a folder")
    place = folder.resolve()
    for kept, what in _kept():
        if place == kept or place in kept.parents:
            holds = "is" if place == kept else "holds"
            raise refused(f"{holds} {what}, which is never replaced")
    if place.exists() and not place.is_dir():
        raise refused("is a file, not a folder")
    if os.path.ismount(place):
        raise refused("is a mount point, which is never replaced")
    for one in inputs:
        if one is None or str(one) == "-":
            continue
        read = Path(one).expanduser()
        if read.exists() and (place == read.resolve() or place in read.resolve().parents):
            raise refused(f"is or holds an input of this run ({one})")
    return place


def _kept() -> Iterator[tuple[Path, str]]:
    yield Path(Path.cwd().anchor), "the root folder"
    yield Path.cwd().resolve(), "the current folder"
    with contextlib.suppress(RuntimeError):
        yield Path.home().resolve(), "a home folder"
    with contextlib.suppress(ImportError, KeyError):
        import pwd

        yield Path(pwd.getpwuid(os.getuid()).pw_dir).resolve(), "a home folder"


def _marker(place: Path) -> dict[str, Any] | None:
    try:
        document = json_in(place / MARKER)
        return {"kind": str(document["kind"]), "files": dict(document["files"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _listed(place: Path) -> dict[str, int]:
    """Sizes only: the same run writes the same bytes, this list among them."""
    return {
        path.relative_to(place).as_posix(): path.stat().st_size
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != MARKER
    }


def _changed(place: Path, stated: Mapping[str, Any]) -> str | None:
    """The first file that was added or changed since the list was written; one that is missing hurts nobody."""
    sealed = (place / MARKER).stat().st_mtime_ns
    for name, size in _listed(place).items():
        if stated.get(name) != size or (place / name).stat().st_mtime_ns > sealed:
            return name
    return None


def _mark(place: Path, kind: str, files: Mapping[str, Any]) -> None:
    from otkit import __version__

    document = {"otkit": __version__, "kind": kind, "files": dict(files)}
    (place / MARKER).write_text(to_json(document), encoding="utf-8")


@contextmanager
def fresh_folder(
    final: Path, kind: str, *, inputs: Iterable[str | Path | None] = (), overwrite: bool = False
) -> Iterator[Path]:
    """A temporary folder beside `final` that takes its place when the block ends well, and vanishes otherwise.

    A folder that was there before is set aside first and deleted last; a kill between the two renames leaves it
    under a hidden name, and the next run gives it its name back.
    """
    place = check_folder(final, kind, inputs=inputs, overwrite=overwrite)
    with _told(final):
        place.parent.mkdir(parents=True, exist_ok=True)
    with _told(final), _temporary(place, folder=True) as temporary:
        yield temporary
        finish_folder(temporary, place, kind)


def finish_folder(temporary: Path, place: Path, kind: str) -> None:
    """Give a whole folder its final name; the one that has it is deleted last, or gets it back."""
    _settle(temporary)
    _mark(temporary, kind, _listed(temporary))
    aside = place.with_name(f"{_stem(place)}-old-{secrets.token_hex(8)}")
    with undisturbed():
        if place.exists():
            place.rename(aside)
        try:
            temporary.rename(place)
        except OSError:
            if aside.exists():
                aside.rename(place)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Files with the permissions that the umask leaves (safetensors makes private ones), and on the disk."""
    mode = stat.S_IMODE(folder.stat().st_mode) & 0o666
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)
            _flush(path)


def check_growing(
    folder: Path, kind: str, *, inputs: Iterable[str | Path | None] = (), overwrite: bool = False
) -> Path:
    """The place of a folder that fills during a run: new, empty, or begun by otkit for the same kind."""
    place = _allowed(folder, inputs)
    if not overwrite and place.exists() and any(place.iterdir()):
        marked = _marker(place)
        if marked is None or marked["kind"] != kind:
            check_folder(folder, kind)
    return place


def grow_folder(
    folder: Path, kind: str, *, inputs: Iterable[str | Path | None] = (), overwrite: bool = False
) -> Path:
    """Make such a folder, or go on in it; with `overwrite` what stood there is removed first."""
    place = check_growing(folder, kind, inputs=inputs, overwrite=overwrite)
    with _told(folder):
        if overwrite and place.exists():
            shutil.rmtree(place)
        new = not place.exists()
        place.mkdir(parents=True, exist_ok=True)
        if not (place / MARKER).exists():
            try:
                _mark(place, kind, {})
            except OSError:  # half a marker on a full disk would make the folder a stranger's
                (place / MARKER).unlink(missing_ok=True)
                if new:
                    place.rmdir()
                raise
    return place


# --- what an ending says

PACKED = (".bz2", ".xz", ".zst", ".zip", ".7z", ".tar", ".tgz", ".rar", ".lz4")
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".svg", ".webp", ".bmp", ".tif", ".tiff")
_DOCUMENTS = (".pdf", ".html", ".htm", ".doc", ".docx", ".odt", ".xls", ".xlsx", ".json", ".parquet", ".npy")
_ENCODERS = (".gguf", ".onnx", ".safetensors", ".pt", ".pth")


def own_kind(path: Path) -> bool:
    """Whether the ending says that a file is of a kind of its own: no table of lines, no folder."""
    return ending_of(path) in (*PACKED, *_PICTURES, *_DOCUMENTS, *_ENCODERS)


def format_of(output: Path | None, endings: Mapping[str, str], *, default: str, others: bool = False) -> str:
    """The format that the ending of --output asks for; the default for stdout, pipes and names without an ending.

    An unknown ending is an error, or with `others` the default, unless it names a kind of file of its own.
    """
    ending = "" if output is None or is_stream(output) else ending_of(output)
    if output is None or not ending or (others and ending not in endings and not own_kind(output)):
        return default
    if ending not in endings:
        raise ConfigError(
            f"received {str(output)!r}, whose ending tells no format",
            remedy=f"end it in {either(list(endings))}, or name the format",
            setting="output",
        )
    return endings[ending]


def ending_of(output: Path) -> str:
    """The ending that tells what is in a file, whether it is packed or not: `.tsv` of `a.tsv.gz`."""
    return (output.with_suffix("") if is_packed(output) else output).suffix.lower()


def is_packed(output: Path) -> bool:
    """Whether the name says that the file is packed with gzip."""
    return output.suffix.lower() == ".gz"


def either(words: Sequence[str]) -> str:
    """`.tsv, .jsonl or .html`."""
    *rest, last = words
    return f"{', '.join(rest)} or {last}" if rest else last


# --- one run at a time


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Keep other runs away from an output while the block runs; the lock of a process that died does not count."""
    if is_stream(path):
        yield
        return
    place = path.resolve()
    descriptor = None
    try:
        with _told(path), undisturbed():
            place.parent.mkdir(parents=True, exist_ok=True)
            # Beside the output; within a folder where its parent is closed to this user.
            inside = place.is_dir() and not os.access(place.parent, os.W_OK)
            lock = (place if inside else place.parent) / f".{place.name[:100]}.otkit-lock"
            descriptor = _locked(lock, path)
            clear_killed(place)  # a run that finds its work done writes nothing that would
        yield
    finally:
        if descriptor is not None:
            with undisturbed():
                with contextlib.suppress(OSError):
                    lock.unlink()
                os.close(descriptor)


def _locked(lock: Path, path: Path) -> int:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | _NOFOLLOW, 0o666)
        if not _try_lock(descriptor):
            holder = os.read(descriptor, 4096).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise OutputError(
                f"another run writes it ({holder or 'which has just begun'})",
                where=str(path),
                remedy="wait for that run, or choose another output",
            )
        # The one that held it may have removed the name since it was opened: then this lock keeps nobody away.
        with contextlib.suppress(OSError):
            if lock.stat().st_ino == os.fstat(descriptor).st_ino:
                break
        os.close(descriptor)
    with contextlib.suppress(OSError):  # a lock on a full disk is a lock, which does not say whose it is
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
    return descriptor


def _try_lock(descriptor: int) -> bool:
    """Whether this process has the file now; the system frees it when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: better no lock than no output
        return True
    return True
