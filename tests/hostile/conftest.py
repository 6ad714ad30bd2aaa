"""A folder in which every command runs, and a server that starts them as processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.commands import Server, make_bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inputs of all commands; nobody writes here."""
    return make_bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def here(bench: Path, tmp_path: Path) -> Path:
    """The same, to work in."""
    return Path(shutil.copytree(bench, tmp_path / "here"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    scratch = tmp_path_factory.mktemp("server")
    with Server(scratch, {"XDG_CACHE_HOME": str(scratch / "cache"), "COLUMNS": "200"}) as server:
        yield server
