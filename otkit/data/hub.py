"""The transfer tasks from the Hugging Face Hub, as plain data: loading scripts are not run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from otkit.data.examples import Example, NliExample, QaExample, TaskSet, gather
from otkit.data.tasks import nli_example, qa_example
from otkit.errors import InputError, require_extra

__all__ = ["read_nli_hub", "read_qa_hub"]

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
