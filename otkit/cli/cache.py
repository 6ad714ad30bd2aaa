"""`otkit cache`: the int8 graphs that `--precision int8` made, and the layers that were chosen for encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from otkit.cli.options import JsonPath, Overwrite, Quiet
from otkit.cli.outputs import claim_files, write_document
from otkit.cli.values import Name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otkit.alignment.layer_choice import CachedChoice
    from otkit.exports.cached import CachedGraph
    from otkit.reports.tables import Table

__all__ = ["cache", "choices_table", "graphs_table"]

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
    """Show or delete what otkit keeps in your cache folder: int8 graphs (--precision int8) and measured layers
    (--layer auto).

    [bold]Examples[/bold]

    otkit cache

    otkit cache clear
    """
    claim_files({"json": json_path}, [], overwrite=overwrite)
    from otkit.alignment.layer_choice import cached_choices, clear_choices
    from otkit.cli.progress import counted, last_line
    from otkit.cli.stdout import show
    from otkit.exports.cached import cached_graphs, clear_cache
    from otkit.files import cache_folder

    graphs, choices = cached_graphs(), cached_choices()
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
            "layer_choices": [
                {"file": choice.file, "encoder": choice.encoder, "layer": choice.layer, "bytes": choice.bytes}
                for choice in choices
            ],
            "cleared": action == "clear",
        }
        write_document(json_path, document, overwrite=overwrite)
    kept = f"{counted(len(graphs), 'graph')} and {counted(len(choices), 'measured layer')}"
    if action == "clear":
        freed = clear_cache() + clear_choices()
        last_line(f"deleted {kept}, {freed / 2**20:.0f} MiB", quiet=quiet)
        return
    if graphs:
        show(graphs_table(graphs))
    if choices:
        show(choices_table(choices))
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


def choices_table(choices: Sequence[CachedChoice]) -> Table:
    """A row for each measured layer that is kept."""
    from otkit.reports.tables import Column, Table

    columns = (Column("encoder"), Column("layer"), Column("KiB", 1), Column("file"))
    rows = tuple(
        (
            choice.encoder,
            "" if choice.layer is None else str(choice.layer),
            choice.bytes / 2**10,
            choice.file.name,
        )
        for choice in choices
    )
    return Table("", columns, rows)
