"""Static embeddings behind the Encoder protocol: a table of word pieces and no layers (StaticEmbedding of
sentence-transformers, model2vec)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, processors
from torch import Tensor
from torch.nn.functional import normalize

from otkit.encoders.device import choose_device
from otkit.encoders.encoder import EncoderSettings, read_settings, resolve_layers
from otkit.encoders.pooling import pooled
from otkit.encoders.stack import SentenceHead, Stack, read_weights
from otkit.encoders.tokens import Sentence, SubwordTokenizer, Tokens
from otkit.errors import CheckpointError

__all__ = ["StaticEncoder", "open_static"]

_MOST_TOKENS = 1_000_000  # it has no positions


class StaticEncoder:
    """Hidden state 0 is all that it has: the row of each piece; a sentence is their mean."""

    origin: str | None = None
    precision = "fp32"
    layers = 0
    max_tokens = _MOST_TOKENS

    def __init__(
        self,
        table: Tensor,
        subwords: SubwordTokenizer,
        *,
        name: str,
        settings: EncoderSettings,
        head: SentenceHead,
    ) -> None:
        self.table, self.subwords, self.name, self.settings, self.head = table, subwords, name, settings, head
        head.check(self.dimension, name)

    @property
    def dimension(self) -> int:
        return int(self.table.shape[1])

    @property
    def sentence_dimension(self) -> int:
        width = self.head.width(self.dimension)
        return min(width, self.settings.truncate_dim or width)

    @property
    def device(self) -> torch.device:
        return self.table.device

    def tokenize(self, sentences: Sequence[Sentence], *, prefix: str | None = None) -> Tokens:
        return self.subwords.tokenize(sentences, prefix=self.settings.prefix if prefix is None else prefix)

    def hidden_states(self, tokens: Tokens, *, layers: Sequence[int]) -> tuple[Tensor, ...]:
        asked = resolve_layers(layers, self.layers)
        states = self.table[tokens.ids.to(self.device)]
        return tuple(states for _ in asked)

    def encode_sentences(self, tokens: Tokens) -> Tensor:
        (states,) = self.hidden_states(tokens, layers=[0])
        return self.pool(states, tokens)

    def pool(self, hidden: Tensor, tokens: Tokens) -> Tensor:
        vectors = self.head(pooled(hidden, tokens.attention.to(hidden.device), "mean"))
        return normalize(vectors[:, : self.sentence_dimension], dim=-1)

    def weights_sha256(self) -> str:
        digest = hashlib.sha256()
        for name, tensor in sorted({"table": self.table, **self.head.state_dict()}.items()):
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


def open_static(stack: Stack, root: Path, *, name: str, device: str) -> StaticEncoder:
    """The table and the tokenizer of a StaticEmbedding module; of model2vec also its mapping and weights of pieces."""
    folder, place = stack.first, choose_device(device)
    weights = read_weights(folder)
    table = weights.get("embedding.weight", weights.get("embeddings"))
    if table is None or table.ndim != 2:
        raise CheckpointError(
            f"its weights are {', '.join(sorted(weights)) or 'none'}: there is no table of embeddings",
            where=str(folder),
            remedy="copy the whole folder again",
        )
    if "embedding.weight" not in weights:
        rows = weights["mapping"].long() if "mapping" in weights else torch.arange(len(table))
        table = table[rows].float() * weights.get("weights", torch.ones(len(rows))).float()[:, None]
    if not bool(table.isfinite().all()):
        raise CheckpointError(
            "its table has values that are not finite", where=str(folder), remedy="copy the folder again"
        )
    try:
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(
            f"its tokenizer cannot be read: {error}", where=str(folder), remedy="copy the folder again"
        ) from error
    if backend.get_vocab_size() > len(table):
        raise CheckpointError(
            f"the tokenizer has {backend.get_vocab_size()} pieces and the table {len(table)} rows",
            where=str(folder),
            remedy="the tokenizer belongs to another encoder: put the right one beside it",
        )
    backend.post_processor = processors.Sequence([])  # a sentence has no special tokens
    subwords = SubwordTokenizer(backend, unknown_id=0, padding_id=0, limit=_MOST_TOKENS)
    settings = read_settings(root, layers=0, **stack.settings)
    head = stack.head.to(place)
    return StaticEncoder(table.float().to(place), subwords, name=name, settings=settings, head=head)
