"""The command line: the table of commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import atexit
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from otkit import __version__
from otkit.cli.align import align
from otkit.cli.cache import cache
from otkit.cli.check import check
from otkit.cli.command import Command
from otkit.cli.embed import embed
from otkit.cli.evaluate import app as evaluate
from otkit.cli.export import export
from otkit.cli.extract import extract
from otkit.cli.info import info
from otkit.cli.inspect import inspect
from otkit.cli.lexicon import lexicon
from otkit.cli.outputs import during_command
from otkit.cli.project import project
from otkit.cli.recipe import recipe
from otkit.cli.report import report
from otkit.cli.search import search
from otkit.cli.show_alignment import show_alignment
from otkit.cli.stdout import guarded, printable, write_data
from otkit.cli.stopping import Stopped, end_silently, signals_raise, stopped_line
from otkit.cli.tags import tags
from otkit.errors import OtkitError, reason_of

__all__ = ["app", "every_command", "main"]


class Commands(TyperGroup):
    """Where an error becomes a line on stderr and the exit code of its kind."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OtkitError as error:
            typer.secho(f"error: {printable(str(error))}", fg="red", err=True)
            raise typer.Exit(error.exit_code) from error
        except (
            OSError
        ) as error:  # the system says no where no reader or writer expects it: a closed folder, say
            where = f"{error.filename}: " if error.filename else ""
            typer.secho(f"error: {printable(where + reason_of(error))}", fg="red", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    name="otkit",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Align multilingual encoders across languages with optimal transport, and see which word goes where.",
)
# The commands in the panels of the help; an app is one with commands of its own.
_PANELS: dict[str, tuple[Any, ...]] = {
    "Train and measure": (align, evaluate),
    "Look": (show_alignment, inspect, report, check),
    "Produce": (extract, project, tags, lexicon, embed, search, export),
    "Know": (info, recipe, cache),
}
for panel, commands in _PANELS.items():
    for command in commands:
        if isinstance(command, typer.Typer):
            app.add_typer(command, rich_help_panel=panel)
        else:
            app.command(cls=Command, rich_help_panel=panel)(during_command(command))


def _version(wanted: bool) -> None:
    if wanted:
        write_data(f"otkit {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def every_command(group: Any = None, before: str = "") -> dict[str, Any]:
    """The commands by the words that call them, `extract` or `evaluate retrieval`: what pages and tests walk over."""
    found: dict[str, Any] = {}
    here: Any = group or typer.main.get_command(app)
    for name, command in here.commands.items():
        inner = getattr(command, "commands", None)
        found |= every_command(command, f"{before}{name} ") if inner else {before + name: command}
    return found


def main() -> None:
    """Run the command line: 0 done, 1 a clear error, 2 wrong options, 3 a missed quality gate, 130 interrupted."""
    try:
        with guarded(), signals_raise():
            app()
    except OtkitError as error:  # of stdout, before a command began: --help into a full disk
        typer.secho(f"error: {printable(str(error))}", fg="red", err=True)
        sys.exit(error.exit_code)
    except Stopped as stop:
        typer.secho(stopped_line(), err=True)
        sys.exit(stop.exit_code)
    finally:
        atexit.register(end_silently)  # the last to register is the first to run
