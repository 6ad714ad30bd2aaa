"""A recipe: all settings of an alignment run, from a file or from Python, and what they become for an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol, Self

from otkit.alignment.settings import AlignmentSettings, CheckSettings
from otkit.data.settings import BatchingSettings
from otkit.errors import ConfigError, choose
from otkit.recipes import TABLES, read_recipe, recipe_text
from otkit.settings import Settings
from otkit.training.settings import ObjectiveSettings, TrainingSettings, TransferSettings, TuningSettings

__all__ = ["Recipe"]


class _Layered(Protocol):
    """What a recipe asks an encoder."""

    @property
    def layers(self) -> int: ...

    @property
    def settings(self) -> Any: ...


@dataclass(frozen=True)
class Recipe:
    """All settings of a run: `otkit.train` and `otkit align` take one, and a trained encoder remembers it.

    >>> import otkit
    >>> otkit.Recipe.read("best").changed(objective={"tau": 0.2}).objective.tau
    0.2
    """

    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    check: CheckSettings = field(default_factory=CheckSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    batching: BatchingSettings = field(default_factory=BatchingSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    name: str = ""
    source: str = ""
    """Where the method was published, in the words of the recipe's first comment."""
    transfer_settings: TransferSettings = field(default_factory=TransferSettings, compare=False)
    """The table `transfer` of the file: how parallel text takes part in fine-tuning. `otkit align` does not read it."""

    @classmethod
    def read(cls, recipe: str | Path) -> Self:
        """The recipe of a name (`otkit recipe list`), of a TOML file, or of a folder that `otkit align` wrote.

        ConfigError: there is no such recipe, or a key or a value in it is wrong.
        """
        file = read_recipe(recipe)
        try:
            # The tables of labels and lexicons are read by the commands that make them.
            own = {table: values for table, values in file.tables.items() if table in _own()}
            beside = TransferSettings.from_dict(file.tables.get("transfer", {}))
            read = cls(name=file.name, source=file.source, transfer_settings=beside).changed(**own)
        except ConfigError as error:
            raise ConfigError(
                error.what, where=file.where, remedy=error.remedies, setting=error.setting
            ) from None
        return read

    def changed(self, **tables: Mapping[str, Any]) -> Self:
        """The recipe with some keys of some tables changed: `changed(objective={"tau": None})`.

        Epochs and steps are one length in two units: the one that is given replaces the other.
        """
        new: dict[str, Settings] = {}
        for table, values in tables.items():
            choose(table, {name: name for name in _own()}, what="table")
            given = dict(values)
            if table == "training":
                given = _one_length(given)
            old: Settings = getattr(self, table)
            new[table] = old.changed(**type(old).read(given))
        return replace(self, **new)  # type: ignore[arg-type]

    def for_encoder(self, encoder: _Layered) -> Self:
        """The recipe with the values that follow from the encoder as numbers: `alignment` layers, a `quarter` of the
        layers, the layers `above-compared`."""
        layers, freeze, head = self.objective.layers, self.tuning.freeze, self.tuning.head_layers
        if isinstance(layers, str):
            layers = tuple(encoder.settings.alignment_layers)
        count = encoder.layers
        top = max(layer if layer >= 0 else count + 1 + layer for layer in layers)
        if isinstance(head, str):
            head = max(count - top, 0)
        if isinstance(freeze, str):
            freeze = count // 4
            if head:  # a layer at least is trained and kept
                freeze = max(min(freeze, count - head - 1), 0)
        if head and (head > count or (freeze is not None and freeze + head >= count)):
            raise ConfigError(
                f"the top {head} of the encoder's {count} layers are a head"
                + (f" and the first {freeze} are frozen: none is left" if freeze is not None else ""),
                remedy="freeze fewer, or give a smaller head_layers",
                setting="head_layers",
            )
        return replace(
            self,
            objective=replace(self.objective, layers=layers),
            tuning=replace(self.tuning, freeze=freeze, head_layers=head),
        )

    def for_processes(self, count: int) -> Self:
        """The recipe for `count` processes: where they gather sentences from each other in every batch, batches are not
        cut unless asked to be, for each would have another number of pieces."""
        alone = count == 1 or "sentences" not in self.objective.needs
        if alone or self.batching.batch_tokens != "auto":
            return self
        return replace(self, batching=replace(self.batching, batch_tokens=None))

    def tables(self) -> dict[str, dict[str, Any]]:
        """All settings as a recipe file has them."""
        return {name: getattr(self, name).to_dict() for name in _own()}

    def to_toml(self) -> str:
        """The recipe as a file, with every key; `read` gives the same recipe back."""
        tables = self.tables()
        if self.transfer_settings != TransferSettings():
            tables["transfer"] = self.transfer_settings.to_dict()
        return recipe_text(tables, source=self.source or "The settings of a run of otkit align.")


def _own() -> list[str]:
    """The tables that a run of training has."""
    return [each.name for each in fields(Recipe) if each.name in TABLES]


def _one_length(given: dict[str, Any]) -> dict[str, Any]:
    if given.get("steps") is not None and given.get("epochs") is not None:
        return given  # of a file that records a run: the steps win
    return {"steps": None, **given} if "epochs" in given else given
