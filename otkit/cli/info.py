"""`otkit info`: what an encoder is, and how otkit will use it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.cli.given import HelpAll
from otkit.cli.options import JsonPath, Overwrite, Quiet, Verbose, set_logging
from otkit.cli.outputs import claim_files, write_document

if TYPE_CHECKING:
    from otkit.encoders.encoder import Encoder
    from otkit.reports.tables import Table

__all__ = ["facts_table", "info"]


def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="A Hub name, a folder or a .gguf file. Default: the sample encoder."
        ),
    ] = None,
    json_path: JsonPath = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    help_all: HelpAll = False,
) -> None:
    """Say what an encoder is: its size, its limits, the layers used for alignment and why, its sentence vectors.

    [bold]Examples[/bold]

    otkit info

    otkit info sample_data/encoder
    """
    claim_files({"json": json_path}, [model], overwrite=overwrite)
    set_logging(verbose=verbose)
    from otkit.cli.progress import last_line
    from otkit.cli.stdout import show
    from otkit.encoders.open import open_encoder

    encoder = open_encoder(model, device="cpu")
    table = facts_table(encoder)
    if json_path is not None:
        write_document(
            json_path, {"model": {str(what): value for what, value in table.rows}}, overwrite=overwrite
        )
    show(table)
    last_line(
        f"{encoder.name}, as otkit will use it{'' if json_path is None else f'; wrote {json_path}'}",
        then=f"otkit evaluate word-alignment --model {shlex.quote(model)}"
        if model
        else "otkit evaluate word-alignment",
        quiet=quiet,
    )


def facts_table(encoder: Encoder) -> Table:
    """A row for each thing to know of an encoder."""
    from otkit.encoders.encoder import alignment_layers_rule
    from otkit.encoders.torch import TorchEncoder
    from otkit.reports.tables import Column, Table

    settings = encoder.settings
    ruled, reason = alignment_layers_rule(encoder.layers)
    layers = ", ".join(map(str, settings.alignment_layers))
    if settings.alignment_layers != ruled:
        reason = "stated by its otkit.json"
    rows: list[tuple[str, str]] = [
        ("encoder", encoder.name),
        ("layers", str(encoder.layers)),
        ("width", str(encoder.dimension)),
        ("longest sentence, in subwords", str(encoder.max_tokens)),
        ("alignment layers", f"{layers} ({reason})"),
        ("sentence vector", f"{settings.pooling} over the last layer, prefix {settings.prefix!r}"),
    ]
    if isinstance(encoder, TorchEncoder):
        weights = list(encoder.model.parameters())
        count = sum(weight.numel() for weight in weights)
        table_size = next(encoder.model.get_input_embeddings().parameters()).numel()
        rows[1:1] = [
            ("architecture", str(encoder.model.config.model_type)),
            ("parameters", f"{count:,} ({table_size / count:.0%} in the word table)"),
            (
                "memory",
                f"{sum(weight.numel() * weight.element_size() for weight in weights) / 2**20:.0f} MiB",
            ),
        ]
    return Table("", (Column("what"), Column("value")), tuple(rows))
