"""An encoder that keeps the hidden states of what it last read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor

from otkit.encoders.encoder import Encoder
from otkit.encoders.tokens import Sentence, Tokens

__all__ = ["Remembering"]


class Remembering:
    """An encoder that runs once for each batch of tokens and then answers for any layer: 70 views of one pair
    cost one pass. The states of the last `keep` batches stay in memory."""

    def __init__(self, encoder: Encoder, *, keep: int = 64) -> None:
        self._encoder, self._keep = encoder, keep
        self._states: OrderedDict[bytes, tuple[Tensor, ...]] = OrderedDict()
        self.name, self.origin, self.precision = encoder.name, encoder.origin, encoder.precision
        self.settings, self.subwords = encoder.settings, encoder.subwords
        self.dimension, self.layers = encoder.dimension, encoder.layers
        self.sentence_dimension = encoder.sentence_dimension
        self.max_tokens, self.device = encoder.max_tokens, encoder.device

    def tokenize(self, sentences: Sequence[Sentence], *, prefix: str | None = None) -> Tokens:
        return self._encoder.tokenize(sentences, prefix=prefix)

    def hidden_states(self, tokens: Tokens, *, layers: Sequence[int]) -> tuple[Tensor, ...]:
        key = repr(tuple(tokens.ids.shape)).encode() + tokens.ids.cpu().numpy().tobytes()
        if key not in self._states:
            self._states[key] = self._encoder.hidden_states(tokens, layers=range(self.layers + 1))
            if len(self._states) > self._keep:
                self._states.popitem(last=False)
        self._states.move_to_end(key)
        return tuple(self._states[key][layer] for layer in layers)

    def encode_sentences(self, tokens: Tokens) -> Tensor:
        return self._encoder.encode_sentences(tokens)

    def pool(self, hidden: Tensor, tokens: Tokens) -> Tensor:
        return self._encoder.pool(hidden, tokens)

    def weights_sha256(self) -> str:
        return self._encoder.weights_sha256()
