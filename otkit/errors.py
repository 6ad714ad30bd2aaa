"""Every error that otkit raises on purpose: what went wrong, where, and what to do about it.

OtkitError
├── ConfigError        a setting is impossible, or names something that does not exist: the command line exits 2
├── InputError         a data file or a line of it cannot be used (`where` is file:line)
├── CheckpointError    an encoder folder or file is missing, truncated, tampered with or of an unknown kind
├── TrainingError      a run cannot go on (non-finite loss, changed data, unwritable folder)
├── ExportError        an exported encoder cannot be written or read
├── OutputError        an output must not or cannot be written
├── GateError          a quality gate was missed: the command line exits 3
└── MissingExtraError  an optional package is needed and not installed

The command line exits 1 after all others: the exit code belongs to the kind of error.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TypeVar

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ExportError",
    "GateError",
    "InputError",
    "MissingExtraError",
    "OtkitError",
    "OutputError",
    "Remedy",
    "TrainingError",
    "check_extra",
    "choose",
    "reason_of",
    "require_extra",
]

T = TypeVar("T")

Remedy = str | tuple[str, ...]


class OtkitError(Exception):
    """One line for a person: `where: what; remedy`.

    A remedy is one thing to do, or several of which each would help. It names a setting as a Python call has it, in
    backticks: `on_error='skip'`. Who prints the line may word each remedy anew, or leave it out.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: Remedy | None = None) -> None:
        self.what, self.where = what, where
        self.remedies = () if remedy is None else (remedy,) if isinstance(remedy, str) else remedy
        super().__init__(self.told(lambda remedy: remedy))

    @property
    def remedy(self) -> str | None:
        """What to do."""
        return ", or ".join(self.remedies) or None

    def told(self, worded: Callable[[str], str | None]) -> str:
        """The line with its remedies as `worded` has them; None leaves one out."""
        remedies = list(filter(None, map(worded, self.remedies)))
        located = f"{self.where}: {self.what}" if self.where else self.what
        return f"{located}; {', or '.join(remedies)}" if remedies else located


class ConfigError(OtkitError):
    """A setting is impossible, or names something that does not exist; `setting` is its field, where it is one's."""

    exit_code = 2

    def __init__(
        self, what: str, *, where: str | None = None, remedy: Remedy | None = None, setting: str | None = None
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.setting = setting


class InputError(OtkitError):
    """A data file, or a line of it, cannot be used."""


class CheckpointError(OtkitError):
    """An encoder folder or file cannot be opened."""


class TrainingError(OtkitError):
    """A training run cannot go on."""


class ExportError(OtkitError):
    """An exported encoder cannot be written or read."""


class OutputError(OtkitError):
    """An output must not or cannot be written."""


class GateError(OtkitError):
    """A quality gate was missed."""

    exit_code = 3


class MissingExtraError(OtkitError):
    """An optional package is needed and not installed."""


def choose(name: str, table: Mapping[str, T], *, what: str, setting: str | None = None) -> T:
    """The entry of `table` under `name`; an unknown name is answered with the choices and the nearest of them."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, list(table), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(
        f"unknown {what} {name!r}", remedy=f"{hint}choose from: {', '.join(table)}", setting=setting
    )


def reason_of(error: Exception) -> str:
    """Why a file could not be read or written, in one line: the system's words where it has some."""
    words = str(error.strerror if isinstance(error, OSError) and error.strerror else error).splitlines()
    return words[0] if words else type(error).__name__


def require_extra(module: str, *, extra: str | None = None) -> ModuleType:
    """Import an optional module, or say what brings it: an extra of otkit, or else the package of that name."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(error.name or module, extra) from error
    except ImportError as error:
        raise MissingExtraError(
            f"the package {module.partition('.')[0]!r} is needed here and cannot be imported: {reason_of(error)}",
            remedy="reinstall it",
        ) from error


def check_extra(module: str, *, extra: str | None = None, package: str | None = None) -> None:
    """The same error as `require_extra`'s before any work, without the seconds that an import may take.

    `package` is what installs the module where no extra does and the names differ.
    """
    name = module.partition(".")[0]
    try:
        found = importlib.util.find_spec(name) is not None
    except ImportError:
        found = False
    if not found:
        raise _missing(name, extra, package)


def _missing(module: str, extra: str | None, package: str | None = None) -> MissingExtraError:
    name = module.partition(".")[0]
    return MissingExtraError(
        f"the package {name!r} is needed here and is not installed",
        remedy=f"pip install 'otkit[{extra}]'"
        if extra
        else f"pip install {package or name.replace('_', '-')}",
    )
