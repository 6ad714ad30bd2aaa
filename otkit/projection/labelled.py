"""A labelled text with its translation beside it, whatever form it has in files, and what a form is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from otkit.data.parallel import BadLine
from otkit.projection.places import Place, Placed, Text

__all__ = ["Form", "Item", "Labelled"]


@dataclass(frozen=True)
class Labelled:
    """A labelled text and its translation; `record` is what its form needs to write it."""

    source: Text
    target: Text
    places: tuple[Place, ...]
    line: int
    record: Any = None


Item = Labelled | BadLine


class Form(Protocol):
    """How one form is read and written."""

    copies: bool
    """Whether a part of a word may be a span."""
    rule: str
    """The rule for its spans, where none is given."""
    chooses: bool
    """Whether it leaves out incomplete parts of a text itself."""
    state: dict[str, int]
    """What has been written, as far as what follows depends on it: an interrupted run goes on with it."""

    def read(self) -> Iterator[Item]:
        """What the files hold, in order; a bad one in its place or raised."""

    def write(self, item: Labelled, placed: Sequence[Placed]) -> str:
        """The text to append for one of them."""

    def skipped(self, item: BadLine) -> str:
        """The text that stands for a bad one."""

    def end(self) -> str:
        """What is written last."""
