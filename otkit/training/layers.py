"""An encoder's stack of layers: which of them are trained, and which are trained as a head only."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from otkit.encoders.encoder import TorchEncoder
from otkit.errors import ConfigError

__all__ = ["as_saved", "copy_layers_above", "exchange_last", "freeze", "parted"]


def parted(encoder: TorchEncoder, count: int, *, what: str) -> tuple[list[nn.Module], list[nn.Module]]:
    """The first `count` layers and those above them; `what` says in an error what was to be done with them."""
    stack = list(_stack(encoder))
    if not 0 <= count <= len(stack):
        raise ConfigError(
            f"{count} layers cannot be {what}", remedy=f"the encoder has {len(stack)}: give 0 to {len(stack)}"
        )
    return stack[:count], stack[count:]


def freeze(encoder: TorchEncoder, layers: int | None, *, above: int | None = None) -> None:
    """Keep the embeddings and the first `layers` layers as they are, and those above the first `above`; None keeps
    none."""
    encoder.model.requires_grad_(True)
    kept: list[nn.Module] = []
    if layers is not None:
        embeddings = getattr(encoder.model, "embeddings", encoder.model.get_input_embeddings())
        kept += [embeddings, *parted(encoder, layers, what="frozen")[0]]
    if above is not None:
        kept += parted(encoder, above, what="frozen")[1]
    for module in kept:
        module.requires_grad_(False)


def copy_layers_above(encoder: TorchEncoder, above: int | None) -> tuple[nn.Module, ...]:
    """Copies of the layers above the first `above` as they are now; None copies none."""
    if above is None:
        return ()
    return tuple(copy.deepcopy(layer).eval() for layer in parted(encoder, above, what="discarded")[1])


def exchange_last(encoder: TorchEncoder, layers: Sequence[nn.Module]) -> tuple[nn.Module, ...]:
    """Put `layers` in the place of the encoder's last ones, which are returned."""
    if not layers:
        return ()
    stack = _stack(encoder)
    first = len(stack) - len(layers)
    before = tuple(stack[first:])
    for place, layer in enumerate(layers, first):
        stack[place] = layer
    return before


@contextmanager
def as_saved(encoder: TorchEncoder, layers: Sequence[nn.Module]) -> Iterator[None]:
    """The encoder with `layers` as its last ones, for as long as the block lasts.

    Whole modules change places, not their weights: so it does not matter whether those in training are compiled,
    sharded or carry adapters.
    """
    trained = exchange_last(encoder, layers)
    try:
        yield
    finally:
        exchange_last(encoder, trained)


def _stack(encoder: TorchEncoder) -> nn.ModuleList:
    for module in encoder.model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == encoder.layers:
            return module
    raise ConfigError(
        "the layers of this kind of encoder are not known", where=encoder.name, remedy="train it whole"
    )
