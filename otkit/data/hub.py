"""Parallel text of the Hugging Face Hub, row by row: `hf://datasets/NAME[:CONFIG[:SPLIT]]` stands wherever a file may.

Plain data only: loading scripts are not run. Nothing is kept on disk but what the Hub's own client caches.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from otkit.data.languages import STATED, is_known, short_code
from otkit.data.lines import LINE_LIMIT, quote, refuse_unwritable, trimmed
from otkit.errors import ConfigError, InputError, choose, reason_of, require_extra

__all__ = ["SCHEME", "DataSet", "Rows", "data_set", "hub_errors"]

SCHEME = "hf://datasets/"
_ADDRESS = re.compile(r"hf:/+datasets/(.*)")
_FORM = re.compile(
    r"(?P<name>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^:\[\]]*))?(?::(?P<split>\w+))?(?:\[:(?P<most>[1-9]\d*)\])?"
)
# Columns that say which side they are, and not of which language.
_ROLES = (("source", "target"), ("src", "tgt"), ("source_text", "target_text"))
_TEXT = ("text", "sentence")  # of sets that keep each language by itself, as FLORES+ does
_SCRIPTED = re.compile(r"[a-z]{2,3}_[A-Z][a-z]{3}")
_ENGLISH, _OTHER = "english", "non_english"  # of sentence-transformers' parallel sets

Row = dict[str, Any]
Column = tuple[str, ...]
"""Where a text stands in a row: a column, or a key of the dictionary in one."""


@dataclass(frozen=True)
class DataSet:
    """A set of the Hub: which configuration and split of it (None: the only one, and `train` where there is one), and
    how many rows at most."""

    name: str
    config: str | None = None
    split: str | None = None
    most: int | None = None

    def __str__(self) -> str:
        split = "" if self.split is None else f":{self.split}"
        config = f":{self.config or ''}" if self.config or split else ""
        return f"{self.name}{config}{split}{'' if self.most is None else f'[:{self.most}]'}"

    def languages(self, langs: str | None) -> tuple[str, str] | None:
        """As stated, or as the configuration's name has them."""
        told = STATED.fullmatch((langs or self.config or "").strip())
        if told is None or (langs is None and not (_is_code(told[1]) and _is_code(told[2]))):
            return None
        return told[1], told[2]


def data_set(path: str | Path) -> DataSet | None:
    """The set that a path is the address of; None for a path."""
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        return None
    parts = _FORM.fullmatch(found[1])
    if parts is None:
        raise ConfigError(
            f"received the data set {found[1]!r}",
            remedy="write NAME, NAME:CONFIG, NAME:CONFIG:SPLIT or any of them with [:N] for its first N rows, such as"
            " Helsinki-NLP/opus-100:de-en:train[:50000]",
            setting="dataset",
        )
    most = parts["most"]
    return DataSet(
        parts["name"], parts["config"] or None, parts["split"], None if most is None else int(most)
    )


@dataclass
class Rows:
    """The pairs of a set in order, each as two texts, or an InputError where a row holds none.

    languages  of the sides, once the first row was read: as `langs`, the configuration or the columns tell them
    sha256     of what was read so far
    """

    data: DataSet
    langs: str | None = None

    def __post_init__(self) -> None:
        self._stated = self.data.languages(self.langs)
        self.languages = _short(self._stated)
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[tuple[str, str] | InputError]:
        sides: tuple[Column, Column] | None = None
        with _told(self.data):
            for row in islice(_rows(self.data), self.data.most):
                if sides is None:
                    sides, found = _sides(row, self._stated, str(self.data))
                    self.languages = self.languages or _short(found)
                try:
                    pair = _text(row, sides[0]), _text(row, sides[1])
                except InputError as error:
                    yield error
                    continue
                self._digest.update("\t".join((*pair, "\n")).encode())
                yield pair


def _rows(data: DataSet) -> Iterator[Row]:
    """The rows of the configuration that was asked for, or one with both languages made of two."""
    datasets = require_extra("datasets", extra="hub")
    configs = datasets.get_dataset_config_names(data.name) if data.config else []
    if data.config is None or data.config in configs:
        return iter(_stream(datasets, data, data.config))
    first, _, second = data.config.partition("-")
    if f"{second}-{first}" in configs:
        return iter(_stream(datasets, data, f"{second}-{first}"))
    if first in configs and second in configs:
        return map(_joined, *(_stream(datasets, data, each) for each in (first, second)))
    choose(data.config, dict.fromkeys(configs), what=f"configuration of {data.name}", setting="dataset")
    raise AssertionError  # `choose` has raised


def _stream(datasets: Any, data: DataSet, config: str | None) -> Any:
    loaded = datasets.load_dataset(data.name, config, streaming=True)
    split = data.split or ("train" if "train" in loaded else next(iter(loaded)))
    return choose(split, loaded, what=f"split of {data.name}", setting="dataset")


def _joined(first: Row, second: Row) -> Row:
    if first.get("id") != second.get("id"):
        raise InputError(
            f"its languages are not row by row alike: {first.get('id')!r} beside {second.get('id')!r}"
        )
    column = next((name for name in _TEXT if name in first), None)
    if column is None:
        raise _unknown(first)
    return {"source": first[column], "target": second.get(column)}


def _sides(
    row: Row, languages: tuple[str, str] | None, where: str
) -> tuple[tuple[Column, Column], tuple[str, str] | None]:
    """The columns of the source and of the target, and their languages where the columns tell them."""
    for roles in _ROLES:
        if set(roles) <= set(row):
            return ((roles[0],), (roles[1],)), None
    if {_ENGLISH, _OTHER} <= set(row):
        shown = _short(languages)
        if shown is not None and "en" not in shown:
            raise InputError(
                f"one side is English, and {'-'.join(shown)} has none",
                where=where,
                remedy="state them: `langs='de-en'`",
            )
        english_first = shown is not None and shown[0] == "en"
        columns = (_ENGLISH,), (_OTHER,)
        return (columns if english_first else columns[::-1]), None
    found = _by_language(row)
    if len(found) < 2:
        raise _unknown(row)
    if languages is None:
        if len(found) > 2:
            raise InputError(
                f"it has {len(found)} languages ({', '.join(found)})",
                where=where,
                remedy="state two of them: `langs='de-en'`",
            )
        first, second = found
        return (found[first], found[second]), (first, second)
    first, second = (_named(code, found, where) for code in languages)
    return (found[first], found[second]), None


def _named(code: str, columns: Mapping[str, Column], where: str) -> str:
    """The column of a language: the one of this very name, else the only one of it in any script."""
    if code in columns:
        return code
    several = [name for name in columns if _plain(name) == _plain(code)]
    if len(several) == 1:
        return several[0]
    raise InputError(
        f"it has {len(several)} columns of {code} ({', '.join(several)})"
        if several
        else f"it has no {_plain(code)}, but {', '.join(columns)}",
        where=where,
        remedy=f"state one: `langs='{several[0]}-en'`" if several else "state two of them: `langs='de-en'`",
    )


def _by_language(row: Row) -> dict[str, Column]:
    """The columns by language: of the dictionary `translation`, named `sentence_deu_Latn`, or by the code alone."""
    if isinstance(row.get("translation"), dict):
        return {key: ("translation", key) for key in row["translation"]}
    prefix = "sentence_"
    named = {name.removeprefix(prefix): (name,) for name in row if name.startswith(prefix)}
    if len(named) > 1:
        return {code: column for code, column in named.items() if _is_code(code)}
    return {name: (name,) for name in row if is_known(name)}


def _unknown(row: Row) -> InputError:
    return InputError(
        f"no two sides are seen among its columns ({', '.join(row)})",
        remedy="known are `translation` with two languages, sentence_XX, XX (codes of languages), english and"
        " non_english, source and target: write other sets out as TSV",
    )


def _text(row: Row, column: Column) -> str:
    value: Any = row
    for key in column:
        value = value.get(key) if isinstance(value, dict) else None
    name = ".".join(column)
    if not isinstance(value, str):
        raise InputError(f"the {name} is {quote(repr(value))}, expected text", remedy="leave such rows out")
    if len(value) > LINE_LIMIT:
        raise InputError(
            f"the {name} has {len(value):,} characters, expected {LINE_LIMIT:,} at most",
            remedy="leave such rows out",
        )
    if not value.strip():
        raise InputError(f"the {name} is empty", remedy="fill it")
    refuse_unwritable(value, name)
    return trimmed(value)


def _is_code(name: str) -> bool:
    """Whether it is a language's: a known one, or any with a script (`ace_Latn`)."""
    return is_known(name) or _SCRIPTED.fullmatch(name) is not None


def _plain(code: str) -> str:
    """`de` for `deu_Latn`."""
    return short_code(code.split("_")[0])


def _short(languages: tuple[str, str] | None) -> tuple[str, str] | None:
    return None if languages is None else (_plain(languages[0]), _plain(languages[1]))


def hub_errors() -> tuple[type[BaseException], ...]:
    """What the Hub's clients raise: the base of the HTTP client's errors, and what their own derive from."""
    from huggingface_hub.errors import HfHubHTTPError

    return (HfHubHTTPError.__bases__[0], OSError, ValueError, RuntimeError)


@contextmanager
def _told(data: DataSet) -> Iterator[None]:
    """What goes wrong on the way to a set, as an InputError about it."""
    try:
        yield
    except hub_errors() as error:
        raise InputError(
            f"the data set cannot be read ({reason_of(error)})",  # type: ignore[arg-type]
            where=str(data),
            remedy="check name, configuration, split, network and token (hf auth login); a set with a loading script"
            " has to be given as files",
        ) from error
    except InputError as error:
        raise InputError(error.what, where=error.where or str(data), remedy=error.remedies) from error
