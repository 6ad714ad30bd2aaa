"""`otkit cache`: the int8 graphs that `--precision int8` made, and what was measured on encoders once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from otkit.cli.options import JsonPath, Overwrite, Quiet
from otkit.cli.outputs import claim_files, write_document
from otkit.cli.values import Name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otkit.encoders.measured import Measured
    from otkit.exports.cached import CachedGraph
    from otkit.reports.tables import Table

__all__ = ["cache", "graphs_table", "measured_table"]

ACTIONS = {"list": "show what is kept", "clear": "delete it"}


def cache(
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            parser=Name("otkit.cli.cache:ACTIONS", "action"),
            help="What to do with the cache.",
        ),
    ] = "list",
    json_path: JsonPath = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Show or delete what otkit keeps in your cache folder: int8 graphs (--precision int8) and what it measured on
    encoders (--layer auto, the scale of `otkit check`).

    [bold]Examples[/bold]

    otkit cache

    otkit cache clear
    """
    claim_files({"json": json_path}, [], overwrite=overwrite)
    from dataclasses import asdict

    from otkit.cli.progress import counted, last_line
    from otkit.cli.stdout import show
    from otkit.encoders.measured import clear_measured, every_measured
    from otkit.exports.cached import cached_graphs, clear_cache
    from otkit.files import cache_folder

    graphs, measured = cached_graphs(), every_measured()
    if json_path is not None:
        document = {
            "graphs": [
                {
                    "folder": graph.folder,
                    "encoder": graph.encoder,
                    "layers": graph.layers,
                    "bytes": graph.bytes,
                }
                for graph in graphs
            ],
            "measured": [asdict(each) for each in measured],
            "cleared": action == "clear",
        }
        write_document(json_path, document, overwrite=overwrite)
    kept = f"{counted(len(graphs), 'graph')} and {counted(len(measured), 'measurement')}"
    if action == "clear":
        freed = clear_cache() + clear_measured()
        last_line(f"deleted {kept}, {freed / 2**20:.0f} MiB", quiet=quiet)
        return
    if graphs:
        show(graphs_table(graphs))
    if measured:
        show(measured_table(measured))
    last_line(f"{kept} in {cache_folder()}", quiet=quiet)


def graphs_table(graphs: Sequence[CachedGraph]) -> Table:
    """A row for each graph that is kept."""
    from otkit.reports.tables import Column, Table

    columns = (Column("encoder"), Column("layers"), Column("MiB", 0), Column("folder"))
    rows = tuple(
        (graph.encoder, ", ".join(map(str, graph.layers)), graph.bytes / 2**20, graph.folder.name)
        for graph in graphs
    )
    return Table("", columns, rows)


def measured_table(measured: Sequence[Measured]) -> Table:
    """A row for each measurement that is kept."""
    from otkit.reports.tables import Column, Table

    columns = (Column("encoder"), Column("what"), Column("KiB", 1), Column("file"))
    rows = tuple((each.encoder, each.what, each.bytes / 2**10, each.file.name) for each in measured)
    return Table("", columns, rows)
