"""Which option, or value of it, needs a package that a plain install lacks or that a broken one has lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otkit.cli.given import plain
from otkit.errors import check_extra

__all__ = ["NEEDS", "Need", "check_extras"]

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Need:
    """`module`, from otkit's `extra` or from the package `package`, where `when` is true of the options given.

    commands  those that the row is about; all, where it is empty
    """

    module: str
    when: Callable[[Options], object]
    extra: str | None = None
    package: str | None = None
    commands: tuple[str, ...] = ()


def _draws(options: Options) -> bool:
    """A picture of a heat map; the grid of the terminal as SVG needs nothing."""
    output, format = options.get("output"), options.get("format")
    return format in ("png", "svg") or (
        format is None and isinstance(output, Path) and output.suffix.lower() in (".png", ".svg")
    )


def _on_hub(options: Options) -> bool:
    """Benchmarks that are no folder or file here are looked for on the Hub."""
    data, train = options.get("data"), options.get("train")
    return bool((data and not Path(data).is_dir()) or (train and not Path(train).is_file()))


def _streamed(options: Options) -> bool:
    """Parallel text from a data set of the Hub."""
    given = [each for value in options.values() for each in (value if isinstance(value, list) else [value])]
    return bool(options.get("dataset")) or any(str(each).startswith("hf:/") for each in given)


def _marked(*forms: str) -> Callable[[Options], object]:
    """A file with markup in one of these forms."""

    def reads(options: Options) -> bool:
        from otkit.projection.tagfiles import tag_form_of

        form = options.get("input_format")
        return (tag_form_of(options["source"]) if form == "auto" else form) in forms

    return reads


NEEDS: tuple[Need, ...] = (
    Need("icu4py", lambda given: given.get("raw"), "raw"),
    Need("ray", lambda given: given.get("engine") == "ray", "ray"),
    Need("pyarrow", lambda given: given.get("shards") == "parquet", "parquet"),
    Need("peft", lambda given: given.get("lora_rank"), "lora"),
    Need("matplotlib", lambda given: given.get("chart"), "plots"),
    Need("matplotlib", _draws, "plots", commands=("show-alignment",)),
    Need("datasets", _on_hub, "hub", commands=("xnli", "xquad", "all")),
    Need("datasets", _streamed, "hub"),
    Need("onnx", lambda given: given.get("to") in (None, "onnx"), package="onnx", commands=("export",)),
    Need(
        "onnxscript",
        lambda given: given.get("to") in (None, "onnx"),
        package="onnxscript",
        commands=("export",),
    ),
    Need("starlette", lambda given: True, "serve", commands=("inspect",)),
    Need("uvicorn", lambda given: True, "serve", commands=("inspect",)),
    Need("lxml", _marked("xliff", "tmx"), "tags", commands=("tags",)),
    Need("polib", _marked("po"), "tags", commands=("tags",)),
    Need("faiss", lambda given: given.get("index") not in (None, "none"), package="faiss-cpu"),
    Need("faiss", lambda given: not given.get("index"), package="faiss-cpu", commands=("embed", "search")),
)


def check_extras(command: str, options: Options) -> None:
    """An error that names the package and what installs it, where the options need one that is missing."""
    options = {name: plain(value) for name, value in options.items()}
    for need in NEEDS:
        if (not need.commands or command in need.commands) and need.when(options):
            check_extra(need.module, extra=need.extra, package=need.package)
    for tracker in options.get("log_to") or ():  # each is a package of its own name
        check_extra(tracker, extra="trackers" if tracker == "tensorboard" else None)
