"""Both sides of a batch of pairs through the encoder, in one pass where that is quicker."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from otkit.encoders.encoder import TorchEncoder, resolve_layers
from otkit.encoders.tokens import Tokens, stack_tokens

__all__ = ["states_of_both"]

# Padded subwords that a GPU computes in less time than the calls of another forward pass take.
_CHEAP = 8192


def states_of_both(
    encoder: TorchEncoder, tokens: Sequence[Tokens], layers: Sequence[int]
) -> list[tuple[Tensor, ...]]:
    """The chosen layers of both sides, (B,N,D) and (B,M,D) each; on a GPU, where it pads little, out of one pass.

    A small batch keeps a GPU waiting for the next kernel to be called, so what counts there is how many are.
    """
    layers = resolve_layers(layers, encoder.layers)
    rows, (n, m) = len(tokens[0]), (side.ids.shape[1] for side in tokens)
    if encoder.device.type == "cpu" or rows * abs(n - m) > max(_CHEAP, 0.1 * rows * (n + m)):
        return [encoder.hidden_states(side, layers=layers) for side in tokens]
    both = stack_tokens(tokens, padding_id=encoder.subwords.padding_id)
    states = encoder.hidden_states(both, layers=layers)
    return [tuple(state[:rows, :n] for state in states), tuple(state[rows:, :m] for state in states)]
