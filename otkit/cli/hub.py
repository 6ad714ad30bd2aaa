"""`--push-to-hub`: what a command wrote goes to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

import typer

from otkit.cli.stopping import Stopped
from otkit.errors import ConfigError

__all__ = ["check_hub", "push_written"]


def check_hub(name: str | None, *, public: bool) -> None:
    """Before any work: whether the push at its end could be made."""
    if name is None:
        if public:
            raise ConfigError("nothing is pushed", remedy="add --push-to-hub NAME", setting="public")
        return
    from otkit.exports.hub import check_push

    check_push(name, public=public)


def push_written(folder: Path, name: str | None, *, public: bool, quiet: bool) -> None:
    """Push the folder, and say where it is; an interruption says how it is pushed later."""
    if name is None:
        return
    from otkit.api.push import push
    from otkit.cli.progress import last_line, progress_bar

    try:
        with progress_bar(quiet=quiet) as bar:
            bar.step(f"pushing to {name}", alone=True)
            pushed = push(folder, name, public=public)
    except Stopped:
        later = f'python -c "import otkit; otkit.push({str(folder)!r}, {name!r})"'
        typer.echo(f"{folder} is whole and was not pushed; do it with: {later}", err=True)
        raise
    seen = "private" if pushed.private else "public"
    last_line(
        f"pushed {len(pushed.files)} files, {pushed.bytes / 1e6:.1f} MB, to {pushed.url} ({seen})",
        quiet=quiet,
    )
