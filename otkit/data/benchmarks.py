"""Where the sets of a transfer task lie: files of a folder, under the names that XNLI, XTREME and XQuAD use, or the
Hugging Face Hub, read as plain data: loading scripts are not run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from otkit.data.examples import Example, NliExample, QaExample, TaskSet, gather
from otkit.data.languages import is_known
from otkit.data.tasks import nli_example, qa_example
from otkit.errors import InputError, choose, require_extra

__all__ = [
    "FILE_NAMES",
    "language_file",
    "languages_in",
    "read_nli_hub",
    "read_qa_hub",
    "scored_split",
    "training_file",
]

FILE_NAMES: dict[str, tuple[str, ...]] = {
    "nli": ("{split}-{language}.tsv", "{split}-{language}.jsonl", "{language}.tsv", "{language}.jsonl"),
    "qa": ("xquad.{language}.json", "{split}-{language}.json", "{language}.json"),
}
"""In order of preference; each plain or with `.gz`."""

CODE = r"([a-z]{2,3}(?:_[A-Za-z]{2,4}|-[A-Z][A-Za-z]{1,3})?)"


def languages_in(folder: str | Path, *, task: str, split: str = "dev") -> tuple[str, ...]:
    """The languages that have a file, sorted."""
    return tuple(sorted(_files(folder, task, split)))


def language_file(folder: str | Path, language: str, *, task: str, split: str = "dev") -> Path:
    """The file of one language; where it is missing, what was looked for and what is there instead."""
    files = _files(folder, task, split)
    if language in files:
        return files[language]
    names = ", ".join(name.format(split=split, language=language) for name in FILE_NAMES[task])
    there = (
        f"the folder has {', '.join(sorted(files))}" if files else "the folder has no file of any language"
    )
    what = f"there is no {split} file for the language {language!r}"
    raise InputError(what, where=str(folder), remedy=f"expected one of {names}, or with .gz; {there}")


def _files(folder: str | Path, task: str, split: str) -> dict[str, Path]:
    place = Path(folder)
    patterns = choose(task, FILE_NAMES, what="task")
    if not place.is_dir():
        what = "received a file, expected a folder" if place.exists() else "there is no such folder"
        raise InputError(what, where=str(folder), remedy="name the folder that holds one file a language")
    names = sorted(path.name for path in place.iterdir() if path.is_file())
    found: dict[str, Path] = {}
    for pattern in patterns:
        shape = re.escape(pattern.format(split=split, language="LANGUAGE")).replace("LANGUAGE", CODE)
        for name in names:
            match = re.fullmatch(shape + r"(?:\.gz)?", name)
            # a bare name may be anything (dev.tsv, all.tsv), the others speak of a language
            if match and (is_known(match[1]) or not pattern.startswith("{language}")):
                found.setdefault(match[1], place / name)
    return found


def scored_split(folder: str | Path, *, task: str) -> str:
    """ "test" where the folder has test files, else "dev". A bare name (de.tsv) serves as any split: only a name that
    says "test" makes one."""
    tested, dev = (_files(folder, task, split) for split in ("test", "dev"))
    named = any(dev.get(language) != path for language, path in tested.items())
    return "test" if tested and (named or not dev) else "dev"


def training_file(folder: Path, *, task: str) -> Path:
    """`train-en`, `train-v1.1` or `multinli.train.en`; else whatever English file the folder has."""
    for pattern in ("train-en.*", "train*.json*", "*.train.en.tsv*"):
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    return language_file(folder, "en", task=task, split="train")


Row = dict[str, Any]


def read_nli_hub(
    name: str, *, config: str | None = None, split: str = "validation", on_error: str = "raise"
) -> TaskSet[NliExample]:
    """Inference items of a Hub name (or a folder laid out like one), such as `facebook/xnli`, config `de`."""

    def made(row: Row, classes: list[str] | None) -> NliExample:
        label = row.get("label")
        named = classes[label] if classes and isinstance(label, int) and 0 <= label < len(classes) else label
        return nli_example({**row, "label": named})

    return _read(name, config, split, on_error, made)


def read_qa_hub(
    name: str, *, config: str | None = None, split: str = "validation", on_error: str = "raise"
) -> TaskSet[QaExample]:
    """Questions of a Hub name, such as `google/xquad`, config `xquad.de`."""
    return _read(name, config, split, on_error, lambda row, _: qa_example(row, row.get("context")))


def _read(
    name: str,
    config: str | None,
    split: str,
    on_error: str,
    made: Callable[[Row, list[str] | None], Example],
) -> TaskSet[Example]:
    datasets = require_extra("datasets", extra="hub")
    where = f"{name}{f'/{config}' if config else ''}@{split}"
    try:
        rows = datasets.load_dataset(name, config, split=split)
    except (OSError, ValueError, RuntimeError) as error:  # what the errors of `datasets` derive from
        remedy = "check name, config, split and network; a set with a loading script has to be given as files"
        raise InputError(f"the data set cannot be loaded ({error})", where=where, remedy=remedy) from error
    classes = getattr(rows.features.get("label"), "names", None)
    digest = hashlib.sha256()

    def items() -> Iterator[tuple[str, Example | InputError]]:
        for number, row in enumerate(rows):
            digest.update(json.dumps(row, sort_keys=True, default=str).encode())
            try:
                yield f"{where}[{number}]", made(row, classes)
            except InputError as error:
                yield f"{where}[{number}]", error

    return gather(items(), name=where, on_error=on_error, digest=digest.hexdigest)
