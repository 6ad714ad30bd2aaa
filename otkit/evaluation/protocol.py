"""How a task is run: under every seed, for the model and for the untouched encoder, resuming what is done.

A *cell* is one encoder on one task under one seed. Cells are written as they finish, so that an interrupted
evaluation goes on where it stopped; `summary` computes averages and intervals from the cells alone.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from otkit.encoders.encoder import Encoder
from otkit.errors import InputError, OutputError
from otkit.evaluation.metrics import FloatArray, Statistic
from otkit.files import grow_folder, hold, json_in, replace_file, to_json

__all__ = [
    "KEPT",
    "Cell",
    "CellStore",
    "Findings",
    "Metric",
    "Progress",
    "Task",
    "encoder_fingerprint",
    "run_cells",
    "unfinished",
    "unwatched",
]

MODEL, BASELINE = "model", "baseline"
KEPT = "tuned"
"""In the folder of a cell: the encoder and the head that it trained."""

Progress = Callable[[int, int | None, str], None]
"""Is told how much of how much is done (None: not known), and of what."""


def unwatched(done: int, total: int | None, what: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Metric:
    """One figure of a language.

    statistic  the figure as a function of the summed rows of `table`; None where the task gives a number
    better     which way is good
    headline   whether the comparison with a baseline shows it
    group      metrics of one group stand in one table
    digits     after the point, in a table; 0 for a count
    chance     what guessing gives: a number, or the name of a figure that the task states of each language
    """

    name: str
    statistic: Statistic | None = None
    table: str = ""
    better: Literal["higher", "lower", "none"] = "higher"
    headline: bool = True
    group: str = ""
    digits: int = 3
    chance: float | str | None = None


@dataclass(frozen=True)
class Findings:
    """What a task found of each language: tables of examples (see `metrics`), and numbers that have none."""

    tables: dict[str, dict[str, FloatArray]]
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def value(self, metric: Metric, language: str) -> float:
        """The figure of a language."""
        if metric.statistic is None:
            return self.figures[language][metric.name]
        return float(metric.statistic(self.tables[language][metric.table].sum(axis=0)))

    def chance(self, metric: Metric, language: str) -> float | None:
        """What guessing gives in a language; None where that is not known."""
        if isinstance(metric.chance, str):
            return self.figures.get(language, {}).get(metric.chance)
        return metric.chance

    def has(self, metric: Metric, language: str) -> bool:
        """Whether the language has this figure."""
        if metric.statistic is None:
            return metric.name in self.figures.get(language, {})
        return metric.table in self.tables.get(language, {})


@dataclass(frozen=True)
class Task:
    """Something to measure.

    run          (encoder, seed, folder, progress) -> Findings; what it wants to keep goes into the folder
    fingerprint  settings and data hashes: a finished cell is used again only where they are equal
    seeded       False where nothing is random: one seed is all there is
    trains       whether `run` changes the encoder, which is then opened anew for every cell
    keeps        whether `run` leaves its weights in the folder `KEPT` of the cell, which is unfinished without them
    """

    name: str
    metrics: tuple[Metric, ...]
    run: Callable[[Encoder, int, Path, Progress], Findings]
    fingerprint: dict[str, Any]
    seeded: bool = False
    trains: bool = False
    keeps: bool = False


@dataclass(frozen=True)
class Cell:
    """The findings of one encoder on one task under one seed."""

    task: str
    role: str
    model: str
    seed: int
    seconds: float
    findings: Findings


class CellStore:
    """Finished cells as JSON files in a folder, each with the fingerprint it was made under."""

    def __init__(
        self,
        folder: Path,
        *,
        resume: bool = False,
        overwrite: bool = False,
        inputs: Iterable[str | Path | None] = (),
    ) -> None:
        # Finished cells of other tasks and runs may lie here: a folder of ours is always gone on with.
        self.folder = grow_folder(folder, "evaluation", inputs=inputs)
        self._resume, self._overwrite = resume, overwrite

    @contextmanager
    def task(self, name: str) -> Iterator[None]:
        """While a task runs: nobody else writes its cells, and cells of an interrupted run are not lost unasked."""
        mark = self.folder / name / "unfinished.json"
        with hold(self.folder / name):
            if mark.is_file() and not (self._resume or self._overwrite) and _cells_since(mark):
                raise OutputError(
                    f"an interrupted run of {name} left finished parts",
                    where=str(self.folder / name),
                    remedy="use them with `resume=True`, start over with `overwrite=True`, or choose another output",
                )
            if not (self._resume and mark.is_file()):
                replace_file(mark, to_json({"task": name}))
            yield
            mark.unlink(missing_ok=True)

    def spare_kept(self, task: str, role: str, seed: int, *, going_on: bool = False) -> None:
        """Refuse to train where the weights of an earlier run lie, unless they may be overwritten.

        `going_on`: a run that resumes may still find that they are its own.
        """
        place = self.folder / task / role / f"seed-{seed}"
        kept = place / KEPT
        # Without a finished cell they are what an interrupted run left, which begins that seed anew.
        own = self._resume and (going_on or not (place / "cell.json").exists())
        if kept.is_dir() and not (self._overwrite or own):
            raise OutputError(
                "holds an encoder and a head that another run trained",
                where=str(kept),
                remedy=(
                    "replace them with `overwrite=True`",
                    "use them with `resume=True` under the settings of that run",
                    "choose another output",
                ),
            )

    def place(self, task: str, role: str, seed: int) -> Path:
        """The folder of one cell."""
        folder = self.folder / task / role / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def load(self, task: Task, role: str, seed: int, fingerprint: Mapping[str, Any]) -> Cell | None:
        """The finished cell, where resuming and made from the same settings, data and weights. Every figure of it is
        computed once: what cannot be is found here, not in the summary."""
        path = self.place(task.name, role, seed) / "cell.json"
        if not self._resume or not path.is_file() or (task.keeps and not (path.parent / KEPT).is_dir()):
            return None
        try:
            return _cell_of(json_in(path), fingerprint, task, (role, seed))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(
                f"is not a finished cell ({error})", where=str(path), remedy="delete it and evaluate again"
            ) from error

    def save(self, cell: Cell, fingerprint: Mapping[str, Any], *, keeps: bool = False) -> None:
        """Keep a cell, whole or not at all; where its run kept no weights, those of an earlier one go."""
        document = {**asdict(cell), "fingerprint": fingerprint}
        place = self.place(cell.task, cell.role, cell.seed)
        replace_file(place / "cell.json", to_json(document, indent=None))
        if not keeps and (place / KEPT).is_dir():
            shutil.rmtree(place / KEPT)


def unfinished(folder: Path) -> bool:
    """Whether an interrupted run left finished cells in the folder of a store."""
    return any(map(_cells_since, folder.glob("*/unfinished.json")))


def _cells_since(mark: Path) -> bool:
    begun = mark.stat().st_mtime_ns
    return any(cell.stat().st_mtime_ns >= begun for cell in mark.parent.glob("*/*/cell.json"))


def run_cells(
    task: Task,
    openers: Mapping[str, Callable[[], Encoder]],
    *,
    seeds: Sequence[int],
    store: CellStore,
    progress: Progress = unwatched,
    note: Callable[[str], None] = lambda text: None,
) -> list[Cell]:
    """All cells of a task: each role of `openers` ("model", "baseline") under each seed. `note` is told of cells that
    were finished before."""
    with store.task(task.name):
        return _run_cells(task, openers, seeds=seeds, store=store, progress=progress, note=note)


def _run_cells(
    task: Task,
    openers: Mapping[str, Callable[[], Encoder]],
    *,
    seeds: Sequence[int],
    store: CellStore,
    progress: Progress,
    note: Callable[[str], None],
) -> list[Cell]:
    cells = []
    seeds = seeds if task.seeded else seeds[:1]
    if task.trains:  # before the first hour of training, not after it
        for role, seed in product(openers, seeds):
            store.spare_kept(task.name, role, seed, going_on=True)
    for role, opener in openers.items():
        encoder: Encoder | None = None
        identity: dict[str, Any] | None = None
        for seed in seeds:
            if encoder is None or task.trains:
                encoder = opener()
            identity = identity or encoder_fingerprint(encoder)
            fingerprint = {"task": task.fingerprint, "encoder": identity, "seed": seed}
            cell = store.load(task, role, seed, fingerprint)
            if cell is None:
                if task.trains:
                    store.spare_kept(task.name, role, seed)
                begun = time.perf_counter()
                findings = task.run(encoder, seed, store.place(task.name, role, seed), progress)
                seconds = time.perf_counter() - begun
                cell = Cell(task.name, role, encoder.name, seed, seconds, findings)
                store.save(cell, fingerprint, keeps=task.keeps)
                # A run that trained has used its encoder up.
                encoder = None if task.trains else encoder
            else:
                note(f"{task.name}, {role}, seed {seed}: finished before, not run again")
            cells.append(cell)
    # The seeds of an encoder are added item by item. Two encoders may skip other sentences: the comparison tells it.
    if len({(cell.role, _shapes(cell)) for cell in cells}) > len(openers):
        raise InputError(
            f"the finished cells of {task.name} do not have the same languages and items",
            where=str(store.folder / task.name),
            remedy="start over: `overwrite=True`",
        )
    return cells


def _shapes(cell: Cell) -> frozenset[tuple[str, str, int]]:
    tables = cell.findings.tables
    return frozenset(
        (language, name, len(tables[language][name])) for language in tables for name in tables[language]
    )


def encoder_fingerprint(encoder: Encoder) -> dict[str, Any]:
    """Name, precision, settings and a hash of the weights."""
    return {
        "name": encoder.name,
        "precision": encoder.precision,
        "settings": asdict(encoder.settings),
        "weights": encoder.weights_sha256(),
    }


def _cell_of(stored: Any, fingerprint: Mapping[str, Any], task: Task, member: tuple[str, int]) -> Cell | None:
    if stored.pop("fingerprint", None) != _plain(fingerprint):
        return None
    found = stored.pop("findings")
    tables = {
        language: {name: _array(rows) for name, rows in row.items()}
        for language, row in found["tables"].items()
    }
    figures = {
        language: {name: math.nan if value is None else float(value) for name, value in row.items()}
        for language, row in found["figures"].items()
    }
    notes = found["notes"]
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise ValueError("its notes are no text")
    cell = Cell(**stored, findings=Findings(tables, figures, tuple(notes)))
    if (cell.task, cell.role, cell.seed) != (task.name, *member):
        raise ValueError("it is of another task, model or seed")
    if not isinstance(cell.model, str) or not isinstance(cell.seconds, int | float):
        raise ValueError("its model is no name, or its time no number")
    for metric, language in product(task.metrics, {**tables, **figures}):
        if cell.findings.has(metric, language):
            cell.findings.value(metric, language)
    return cell


def _array(rows: list[Any]) -> FloatArray:
    """Rows of numbers from JSON, which has null where one was not a number."""
    found = np.asarray(rows)
    found = found.astype(np.float64) if found.dtype == object else found
    if found.ndim != 2 or found.dtype.kind not in "iuf":
        raise ValueError("a table is no rows of numbers")
    return found


def _plain(value: Mapping[str, Any]) -> Any:
    return json.loads(to_json(value))
