"""Which file of a folder holds a task in a language, under the names that XNLI, XTREME and XQuAD use."""

from __future__ import annotations

import re
from pathlib import Path

from otkit.data.languages import is_known
from otkit.errors import InputError, choose

__all__ = ["FILE_NAMES", "language_file", "languages_in"]

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
