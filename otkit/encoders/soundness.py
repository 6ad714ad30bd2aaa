"""What an encoder must be to be of use: finite weights, finite states, other vectors for other words."""

from __future__ import annotations

import math
from itertools import chain

import torch
from torch import Tensor, nn

from otkit.encoders.encoder import Encoder
from otkit.encoders.static import StaticEncoder
from otkit.encoders.tokens import Tokens
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, OtkitError, reason_of

__all__ = ["check_states", "check_weights", "refuse_not_finite"]

_PIECES = 6  # of each sentence that an encoder is tried with
# States that differ by less, as a share of the largest number in them, differ by rounding alone.
_ROUNDING = 1e-6
_LEAK = 1e-3  # what padding changes in the states of a family that mixes positions is far above this


def check_weights(model: nn.Module, where: str) -> None:
    """Raise CheckpointError for the first tensor with a number that is not finite.

    The smallest and largest number of a tensor say it in a tenth of the time that a look at every number takes.
    """
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if tensor.is_floating_point() and tensor.numel() and not _finite(tensor):
            bad = ~tensor.isfinite()
            first = tuple(int(place) for place in bad.nonzero()[0])
            raise CheckpointError(
                f"the tensor {name!r} has {int(bad.sum())} values that are not finite, the first is"
                f" {float(tensor.detach()[first])} at {list(first)}",
                where=where,
                remedy="train or convert the encoder again, in fp32 or bf16",
            )


def _finite(tensor: Tensor) -> bool:
    return all(math.isfinite(float(extreme)) for extreme in torch.aminmax(tensor.detach()))


def refuse_not_finite(vectors: Tensor, encoder: Encoder, what: str, *, where: str | None = None) -> None:
    """Raise CheckpointError where vectors of an encoder are not finite; `what` says which they are.

    A GPU is waited for, so this is asked once for a window or batch of results, and never in a training step.
    """
    if not vectors.numel() or _finite(vectors):
        return
    kind = encoder.device.type
    around = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.float16
    if around or encoder.precision == "fp16":
        what, remedy = f"{what}, in fp16,", "compute in fp32 or bf16: fp16 ends at 65504"
    else:
        remedy = "its weights are damaged or too large: train or convert it again"
    raise CheckpointError(
        f"{what} has values that are not finite (NaN or infinity)", where=where or encoder.name, remedy=remedy
    )


def check_states(encoder: Encoder, where: str) -> None:
    """Encode a few pieces of the vocabulary, and raise CheckpointError where the states are not those of an encoder:
    of another shape, not finite, the same for all words, or changed by padding."""
    torch_encoder = encoder if isinstance(encoder, TorchEncoder) else None
    kind = f" (architecture {torch_encoder.model.config.model_type!r})" if torch_encoder else ""
    other = "use an encoder of another architecture"
    tokens = _trial(encoder)
    try:
        with torch.inference_mode():
            states = _states(encoder, tokens, encoder.layers)
            alone = _states(encoder, tokens.select(torch.tensor([2])), 1) if torch_encoder else {}
    except OtkitError:
        raise
    except Exception as error:  # what a model raises for input that it cannot take has no common class
        raise CheckpointError(
            f"it cannot be run{kind}: {reason_of(error)[:200]}", where=where, remedy=other
        ) from error
    vectors = states.pop("sentence_vector", torch.zeros(0))
    words = (tokens.word_ids >= 0).to(encoder.device)
    for name, state in states.items():
        shape = (*tokens.ids.shape, encoder.dimension)
        if state.shape != shape:
            raise CheckpointError(
                f"its {name} has the shape {tuple(state.shape)}, and {shape} is a vector for each token{kind}",
                where=where,
                remedy=other,
            )
        used = state[words]
        refuse_not_finite(used, encoder, f"its {name}", where=where)
        largest = float(used.abs().max())
        if float((state[0] - state[1])[words[0]].abs().max()) <= _ROUNDING * largest:
            raise CheckpointError(
                f"its {name} is the same for all words{_zero_weights(encoder)}",
                where=where,
                remedy="its weights are lost or were never trained: copy the encoder again",
            )
        # A graph in int8 rounds by the largest number of the whole batch.
        if (
            name in alone
            and float((state[2, : alone[name].shape[1]] - alone[name][0]).abs().max()) > _LEAK * largest
        ):
            raise CheckpointError(
                f"its {name} changes with the padding beside a sentence{kind}", where=where, remedy=other
            )
    refuse_not_finite(vectors, encoder, "its sentence_vector", where=where)


def _trial(encoder: Encoder) -> Tokens:
    """Two sentences of one length without a common piece, and the first half of one of them."""
    room = encoder.max_tokens - encoder.subwords.encode([[]]).ids.shape[1]
    count = max(1, min(_PIECES, room))
    chosen = torch.linspace(0, encoder.subwords.backend.get_vocab_size() - 1, 2 * count).long().tolist()
    return encoder.subwords.of_pieces([chosen[::2], chosen[1::2], chosen[:count:2] or chosen[:1]])


def _states(encoder: Encoder, tokens: Tokens, top: int) -> dict[str, Tensor]:
    """The states of each token up to layer `top`, by their names; of an exported graph, those that it gives."""
    if isinstance(encoder, TorchEncoder):
        layers = range(top + 1)
        states = encoder.hidden_states(tokens, layers=layers)
        return {f"hidden state {layer}": state for layer, state in zip(layers, states, strict=True)}
    if isinstance(encoder, StaticEncoder):
        return {"hidden state 0": encoder.hidden_states(tokens, layers=[0])[0]}
    from otkit.encoders.onnx import OnnxEncoder, output_names

    assert isinstance(encoder, OnnxEncoder)
    names = output_names(encoder.settings.alignment_layers)
    return dict(zip(names, encoder.run(tokens, names), strict=True))


def _zero_weights(encoder: Encoder) -> str:
    """Which tensors are all zero, or so small that fp32 has no full digits for them."""
    if not isinstance(encoder, TorchEncoder):
        return ""
    tiny = torch.finfo(torch.float32).tiny
    named = [(name, weight) for name, weight in encoder.model.named_parameters() if name.endswith("weight")]
    empty = [name for name, weight in named if float(weight.detach().abs().max()) < tiny]
    if not empty:
        return ""
    return f": {len(empty)} of its {len(named)} weight tensors are all zero, the first is {empty[0]!r}"
