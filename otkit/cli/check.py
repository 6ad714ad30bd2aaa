"""`otkit check`: what of a translation its source does not account for, and what of the source it lost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.cli.options import (
    BatchTokens,
    Device,
    InputFormat,
    JsonPath,
    Layer,
    Model,
    OnError,
    Overwrite,
    Quiet,
    Raw,
    SourceFile,
    TargetFile,
    Threads,
    Verbose,
    name_option,
    note,
    option,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files
from otkit.cli.values import Name, Number, changed, format_of
from otkit.errors import ConfigError

if TYPE_CHECKING:
    from otkit.alignment.checking import TranslationChecker
    from otkit.alignment.settings import CheckSettings
    from otkit.data.parallel import Pair
    from otkit.reports.checked import Worst

__all__ = ["check"]

_ENDINGS = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".html": "html",
    ".htm": "html",
}


def check(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Translations, plain or .gz; - is stdin.")
    ] = None,
    source: SourceFile = None,
    target: TargetFile = None,
    input_format: InputFormat = "auto",
    raw: Raw = False,
    on_error: OnError = "raise",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.", show_default=False),
    ] = None,
    format: Annotated[
        str | None,
        name_option(
            "jsonl, tsv or html. Default: by the ending of --output, else jsonl.",
            "otkit.reports.checked:CHECK_FORMATS",
            "format",
            "--format",
            "-f",
        ),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            metavar="NAME",
            parser=Name("otkit.reports.checked:ORDERS", "order"),
            help="Worst by: max (of both), hallucination or omission.",
        ),
    ] = "max",
    top: Annotated[
        int,
        typer.Option(
            "--top",
            metavar="N",
            parser=Number(int, least=1),
            help="Write the N worst; these are what memory holds.",
        ),
    ] = 1000,
    model: Model = None,
    layers: Layer = None,
    null: Annotated[
        str | None,
        option(
            "Price of the null on both sides: a share of unaligned words in (0, 1), or a rule: mean, median, "
            "middle, equidistant, larger. Default: 0.05 for hallucination, 0.75 for omission.",
            "X|NAME",
            Name("otkit.transport.null:NULL_COSTS", "null price", number=Number(above=0, below=1)),
        ),
    ] = None,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    json_path: JsonPath = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Score translations for hallucination and omission, by sentence and by word, and write the worst first.

    A score is the share of the words of one side that nothing on the other side accounts for: 0 is all of them
    matched. Scores order translations; what is too much depends on the language and on the encoder.

    [bold]Examples[/bold]

    otkit check sample_data/parallel/de-en.dev.tsv --output runs/worst.jsonl

    otkit check sample_data/parallel/de-en.dev.tsv --sort omission --top 20 --output runs/worst.html

    otkit check sample_data/parallel/zh-en.dev.raw.tsv --raw --top 3 --format tsv --quiet
    """
    shape = format or format_of(output, _ENDINGS, default="jsonl")
    inputs = _inputs(files or [], source, target)
    claim_files(
        {"output": output, "json": json_path}, [model, *chain.from_iterable(inputs)], overwrite=overwrite
    )
    set_logging(verbose=verbose)
    set_threads(threads)
    from otkit.alignment.checking import TranslationChecker
    from otkit.cli.progress import count_lines, last_line, progress_bar
    from otkit.cli.stdout import write_data
    from otkit.encoders.open import open_encoder
    from otkit.files import write_file
    from otkit.reports.checked import CHECK_FORMATS, Entry, Worst

    worst = Worst(sort, top)
    config = _config(null, layers)
    checker = TranslationChecker(open_encoder(model, device=device), config, batch_tokens=batch_tokens)
    skipped: list[str] = []
    with progress_bar(quiet=quiet) as bar:
        named = [name for pair in inputs for name in pair if name is not None]
        total = None if quiet else count_lines([first for first, _ in inputs])
        step = bar.step("check", unit="pairs", total=None if "-" in named else total)
        checker.on_encoded = step.under_way
        for place, second in inputs:
            settings = {"target": second, "format": input_format, "on_error": on_error}
            for pair, checked in _checked(checker, place, settings, raw=raw, skipped=skipped, quiet=quiet):
                worst.add(Entry(place, pair.line, checked))
                step.update(worst.pairs + len(skipped))
    entries = worst.entries()
    title = f"The {len(entries)} worst of {worst.pairs} translations"
    lines = CHECK_FORMATS[shape](entries, len(inputs) > 1, title)
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace").decode("utf-8")
    if output is not None:
        write_file(output, text, overwrite=overwrite)
    if json_path is not None:
        _write_json(json_path, checker, worst, inputs, skipped=len(skipped), overwrite=overwrite)
    if output is None:
        write_data(text)
    for complaint in skipped[:5]:
        note(f"skipped: {complaint}", quiet=quiet)
    if skipped:
        note(f"{len(skipped)} lines were skipped", quiet=False)
    last_line(
        f"wrote {output or 'to stdout'}: the {len(entries):,} worst of {worst.pairs:,} translations by {sort}; means "
        f"over all: hallucination {worst.mean('hallucination'):.3f}, omission {worst.mean('omission'):.3f}",
        then="" if shape == "html" else "the same with --output worst.html marks the words on a page",
        quiet=quiet,
    )


def _inputs(files: list[str], source: str | None, target: str | None) -> list[tuple[str, str | None]]:
    """The first and, of two line-aligned files, the second file of each input."""
    if files and (source is not None or target is not None):
        raise ConfigError(
            "files and --source or --target were given", remedy="give files, or both of --source and --target"
        )
    if files:
        return [(name, None) for name in files]
    if source is None or target is None:
        raise ConfigError(
            "there is no translation to check",
            remedy="name a file, - for stdin, or both --source and --target",
        )
    return [(source, target)]


def _config(null: str | None, layers: Any) -> CheckSettings:
    from otkit.alignment.settings import CheckSettings, parse_null

    price = None if null is None else parse_null(null)
    return changed(CheckSettings(), hallucination_null=price, omission_null=price, layers=layers)


def _checked(
    checker: TranslationChecker,
    place: str,
    settings: dict[str, Any],
    *,
    raw: bool,
    skipped: list[str],
    quiet: bool,
) -> Iterator[tuple[Pair, Any]]:
    """Each pair of an input with its scores; the input is read a window ahead."""
    from collections import deque

    from otkit.cli.show_alignment import words_between
    from otkit.data.lines import SpaceCount
    from otkit.data.parallel import BadLine, read_pairs

    waiting: deque[Pair] = deque()
    spaces = SpaceCount()

    def sentences() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        for record in read_pairs(place, **settings, note=lambda text: note(text, quiet=quiet)):
            if isinstance(record, BadLine):
                skipped.append(f"{record.error.where}: {record.error.what}")
                continue
            if not raw:
                spaces.look(record.line, record.source, record.target)
            waiting.append(record)
            yield words_between(record.source, raw=raw), words_between(record.target, raw=raw)

    for checked in checker.check(sentences()):
        yield waiting.popleft(), checked
    note(spaces.note(place), quiet=quiet)


def _write_json(
    path: Path,
    checker: TranslationChecker,
    worst: Worst,
    inputs: list[tuple[str, str | None]],
    *,
    skipped: int,
    overwrite: bool,
) -> None:
    from otkit.cli.outputs import write_document
    from otkit.files import sha256_of

    write_document(
        path,
        {
            "model": checker.encoder.name,
            "layers": list(checker.layers),
            **checker.used(),
            "inputs": [[name for name in pair if name is not None] for pair in inputs],
            "sha256": [
                [None if name == "-" else sha256_of(Path(name)) for name in pair if name is not None]
                for pair in inputs
            ],
            "pairs": worst.pairs,
            "skipped": skipped,
            "means": {name: worst.mean(name) for name in worst.sums},
        },
        overwrite=overwrite,
    )
