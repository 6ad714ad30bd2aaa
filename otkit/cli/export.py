"""`otkit export`: an encoder as ONNX, quantised or not, or as a folder for another library."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.cli.options import (
    JsonPath,
    Layer,
    Overwrite,
    Quiet,
    Threads,
    Verbose,
    name_option,
    number_option,
    option,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files, claim_folder
from otkit.cli.values import NONE, Name, Number, folder
from otkit.errors import ConfigError

if TYPE_CHECKING:
    from otkit.encoders.torch import TorchEncoder
    from otkit.exports.onnx import ExportReport
    from otkit.exports.trim import TrimReport
    from otkit.reports.tables import Table

__all__ = ["TARGETS", "export", "onnx_table", "trim_table"]

TARGETS = {
    "onnx": "one graph for ONNX Runtime",
    "transformers": "safetensors",
    "sentence-transformers": "safetensors with pooling and normalisation",
    "gguf": "llama.cpp's format",
}


def export(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A Hub name, a folder or a .gguf file. Default: the sample encoder.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            parser=folder,
            help="The folder to write.",
        ),
    ] = Path("runs/exported"),
    to: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            parser=Name("otkit.cli.export:TARGETS", "export target"),
            help=f"{', '.join(TARGETS)}.",
        ),
    ] = "onnx",
    quantize: Annotated[
        str | None,
        name_option(
            "Smaller ONNX graph, if it passes the gate.",
            "otkit.exports.quantize:RECIPES",
            "quantisation",
            metavar="int8|int4",
        ),
    ] = None,
    gguf_type: Annotated[
        str | None,
        name_option(
            "Weights of --to gguf: q4_0, q8_0, f16 or f32. Default: q8_0.",
            "otkit.exports.gguf:GGUF_TYPES",
            "GGUF type",
            metavar="TYPE",
        ),
    ] = None,
    trim_vocab: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Keep only the pieces this text needs, or those of a tokenizer.json; repeatable, .gz too.",
            show_default=False,
        ),
    ] = None,
    layers: Layer = None,
    opset: Annotated[
        int | None,
        option(
            "18 runs nearly everywhere; 23 and up have native Attention nodes. Default: 18.",
            "N",
            Number(int, least=18, most=24),
        ),
    ] = None,
    min_cosine: Annotated[
        float | None, number_option("Gate: lowest cosine of a sentence vector.", least=-1, most=1)
    ] = None,
    min_agreement: Annotated[
        float | None, number_option("Gate: agreement of word links, 0 to 1.", least=0, most=1)
    ] = None,
    max_retrieval_loss: Annotated[
        float | None, number_option("Gate: points of retrieval accuracy.", least=0, most=100)
    ] = None,
    threads: Threads = None,
    json_path: JsonPath = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write an encoder for other programs, and prove that it is still the same encoder.

    An ONNX export is compared with the original on real sentences; past a limit nothing is written and the exit
    code is 3. With --quantize, recipes are tried from the smallest on and the first within the limits is taken.

    [bold]Examples[/bold]

    otkit export runs/aligned --output encoder-onnx --quantize int8

    otkit export --to sentence-transformers --output encoder-st

    otkit export --to gguf --gguf-type q4_0 --trim-vocab sample_data/parallel/de-en.train.tsv --output encoder-small
    """
    only: dict[str, dict[str, Any]] = {
        "onnx": {
            "quantize": quantize,
            "opset": opset,
            "min_cosine": min_cosine,
            "min_agreement": min_agreement,
            "max_retrieval_loss": max_retrieval_loss,
        },
        "gguf": {"gguf_type": gguf_type},
    }
    for target, settings in only.items():
        for name, value in settings.items() if target != to else ():
            if value is not None:
                raise ConfigError(
                    f"received {value!r}, which is about {target} alone",
                    remedy=f"leave it out, or export --to {target}",
                    setting=name,
                )
    inputs = [model, *(trim_vocab or [])]
    claim_folder(output, "encoder", inputs, overwrite=overwrite)
    claim_files({"json": json_path}, inputs, overwrite=overwrite)
    set_logging(verbose=verbose)
    set_threads(threads)
    from otkit.cli.progress import last_line, progress_bar
    from otkit.cli.stdout import show
    from otkit.encoders.encoder import resolve_layers
    from otkit.encoders.open import open_encoder
    from otkit.encoders.torch import TorchEncoder

    encoder = open_encoder(model, device="cpu")
    if not isinstance(encoder, TorchEncoder):
        raise ConfigError(
            "an ONNX folder is already exported",
            where=str(model),
            remedy="export the encoder it was made from",
        )
    if layers not in (None, NONE):
        encoder.settings = replace(encoder.settings, alignment_layers=resolve_layers(layers, encoder.layers))
    figures: dict[str, Any] = {"model": encoder.name, "to": to, "settings": asdict(encoder.settings)}
    tables = []
    with progress_bar(quiet=quiet) as bar:

        def progress(step: str) -> None:
            bar.note(f"{step} ...")
            bar.step(step, alone=True)

        if trim_vocab:
            from otkit.exports.trim import pieces_of, trim_vocabulary

            progress("trimming the vocabulary")
            vocabularies = [file for file in trim_vocab if file.name == "tokenizer.json"]
            texts = [file for file in trim_vocab if file not in vocabularies]
            named = frozenset[str]().union(*map(pieces_of, vocabularies))
            encoder, trimmed = trim_vocabulary(encoder, _lines(texts), also=named)
            figures["trim"] = asdict(trimmed)
            tables.append(trim_table(trimmed))
        if to == "onnx":
            report = _export_onnx(
                encoder,
                output,
                opset,
                quantize,
                (min_cosine, min_agreement, max_retrieval_loss),
                progress,
                inputs,
                overwrite=overwrite,
            )
            figures["export"] = {**asdict(report), "folder": str(report.folder)}
            tables.append(onnx_table(report))
            written, size = report.chosen.bytes, f"ONNX, {report.share:.0%} of fp32"
        else:
            from otkit.exports.folders import export_folder

            progress(f"writing for {to}")
            written = export_folder(
                encoder, output, to=to, gguf_type=gguf_type or "q8_0", inputs=inputs, overwrite=overwrite
            )
            figures["bytes"], size = written, f"for {to}"
    if json_path is not None:
        from otkit.cli.outputs import write_document

        write_document(json_path, figures, overwrite=overwrite)
    show(*tables)
    last_line(
        f"wrote {output}: {written / 1e6:.1f} MB {size}",
        then=f"otkit show-alignment SOURCE TARGET --model {shlex.quote(str(output))}",
        quiet=quiet,
    )


def _export_onnx(
    encoder: TorchEncoder,
    output: Path,
    opset: int | None,
    quantize: str | None,
    limits: tuple[float | None, float | None, float | None],
    progress: Any,
    inputs: list[str | Path | None],
    *,
    overwrite: bool,
) -> ExportReport:
    from otkit.exports.gate import LIMITS
    from otkit.exports.graph import DEFAULT_OPSET
    from otkit.exports.onnx import export_onnx

    standard = LIMITS[quantize or "fp32"]
    names = ("cosine", "agreement", "retrieval_loss")
    changed = {name: value for name, value in zip(names, limits, strict=True) if value is not None}
    return export_onnx(
        encoder,
        output,
        opset=opset or DEFAULT_OPSET,
        quantize=quantize,
        limits=replace(standard, **changed),
        progress=progress,
        inputs=inputs,
        overwrite=overwrite,
    )


def _lines(files: list[Path]) -> Iterator[str]:
    """The text of all files, line by line; a bad line is an error here: a vocabulary is no place to guess."""
    from otkit.data.lines import LineSource

    for file in files:
        for line in LineSource(file):
            if not isinstance(line, str):
                raise line
            yield line


def onnx_table(report: ExportReport) -> Table:
    """The recipes that were tried, the one that was taken last."""
    from otkit.reports.tables import Column, Table

    rows = tuple(
        (
            attempt.recipe,
            attempt.bytes / 1e6,
            attempt.parity.largest_difference,
            attempt.parity.lowest_cosine,
            attempt.parity.mean_token_cosine,
            attempt.parity.link_agreement,
            attempt.parity.retrieval_after - attempt.parity.retrieval_before,
            "; ".join(attempt.missed) or "passed",
        )
        for attempt in report.attempts
    )
    return Table(
        title=f"against torch, on {report.chosen.parity.sentences} real sentences",
        columns=(
            Column("recipe"),
            Column("MB", digits=1),
            Column("largest difference", digits=6),
            Column("lowest cosine", digits=4),
            Column("token cosine", digits=4),
            Column("same links"),
            Column("retrieval", digits=1, change=True),
            Column("gate"),
        ),
        rows=rows,
    )


def trim_table(report: TrimReport) -> Table:
    """What a smaller vocabulary saves and costs."""
    from otkit.reports.tables import Column, Table

    rows = (
        ("pieces", report.pieces_before, report.pieces_after),
        ("word table, MB in fp32", report.bytes_before / 1e6, report.bytes_after / 1e6),
        ("unknown tokens, %", report.unknown_before, report.unknown_after),
        ("retrieval, %", report.parity.retrieval_before, report.parity.retrieval_after),
    )
    return Table(
        title=f"vocabulary, on {report.parity.sentences} real sentences",
        columns=(Column("figure"), Column("before", digits=2), Column("after", digits=2)),
        rows=rows,
    )
