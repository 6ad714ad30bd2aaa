"""`otkit cache`: the int8 graphs that `--precision int8` made and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from otkit.cli.options import JsonPath, Overwrite, Quiet
from otkit.cli.outputs import claim_files, write_document
from otkit.cli.values import Name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otkit.exports.cached import CachedGraph
    from otkit.reports.tables import Table

__all__ = ["cache", "graphs_table"]

ACTIONS = {"list": "show the graphs", "clear": "delete them"}


def cache(
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            parser=Name("otkit.cli.cache:ACTIONS", "action"),
            help="What to do with the graphs.",
        ),
    ] = "list",
    json_path: JsonPath = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Show or delete the int8 graphs that --precision int8 made and keeps in your cache folder.

    [bold]Examples[/bold]

    otkit cache

    otkit cache clear
    """
    claim_files({"json": json_path}, [], overwrite=overwrite)
    from otkit.cli.progress import counted, last_line
    from otkit.cli.stdout import show
    from otkit.exports.cached import cache_folder, cached_graphs, clear_cache

    graphs = cached_graphs()
    if json_path is not None:
        rows = [
            {"folder": graph.folder, "encoder": graph.encoder, "layers": graph.layers, "bytes": graph.bytes}
            for graph in graphs
        ]
        write_document(json_path, {"graphs": rows, "cleared": action == "clear"}, overwrite=overwrite)
    if action == "clear":
        freed = clear_cache()
        last_line(f"deleted {counted(len(graphs), 'graph')}, {freed / 2**20:.0f} MiB", quiet=quiet)
        return
    if graphs:
        show(graphs_table(graphs))
    last_line(f"{counted(len(graphs), 'graph')} in {cache_folder()}", quiet=quiet)


def graphs_table(graphs: Sequence[CachedGraph]) -> Table:
    """A row for each graph that is kept."""
    from otkit.reports.tables import Column, Table

    columns = (Column("encoder"), Column("layers"), Column("MiB", 0), Column("folder"))
    rows = tuple(
        (graph.encoder, ", ".join(map(str, graph.layers)), graph.bytes / 2**20, graph.folder.name)
        for graph in graphs
    )
    return Table("", columns, rows)
