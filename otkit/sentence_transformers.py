"""otkit's objectives as losses of sentence-transformers: for a dataset of two columns, a sentence and its translation.

>>> from sentence_transformers import SentenceTransformer
>>> from otkit.sentence_transformers import TransportLoss
>>> loss = TransportLoss(SentenceTransformer("sample_data/encoder"))  # doctest: +SKIP

Give it to `SentenceTransformerTrainer(model, loss=loss, train_dataset=...)`. The second column is the side that the
`anchor` holds (English in the papers); further columns are an error, and labels are not looked at. The gradients are
those of `otkit.train` on the same batch.

Words are what white space separates, found in the pieces of the model's own fast tokenizer; of a WordPiece tokenizer,
which does not keep white space, punctuation is a word of its own. Special tokens and prompts belong to no word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers.models import WordPiece
from torch import Tensor, nn

from otkit.data.batching import PairBatch
from otkit.encoders.encoder import EncoderSettings, alignment_layers_rule
from otkit.encoders.families import layer_count
from otkit.encoders.stack import POOLING_MODES
from otkit.encoders.tokens import Tokens, letters_of
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, choose
from otkit.training.frozen import CopiedStart, copy_dtype
from otkit.training.objectives import AlignmentModel, encode_units
from otkit.training.recipe import Recipe

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["ObjectiveLoss", "TransportLoss", "word_ids_of"]

Features = Mapping[str, Tensor]

# Behind a Transformer: sentences are compared as unit vectors anyway, and dropout is for training alone.
_COMPUTED = ("Pooling", "Normalize", "Dropout")


class ObjectiveLoss(nn.Module):
    """The weighted sum of some losses of otkit (`otkit recipe keys objective` lists them).

    model    a SentenceTransformer over a transformers encoder with a fast tokenizer
    losses   names and weights, `{"contrastive-weak": 1.0, "anchor": 0.1}`; None: those of the recipe
    recipe   where the other settings come from: a `Recipe`, a name, a TOML file or a trained folder; by default the
             paper's. Tables `objective` and `alignment` count; how the run trains is the trainer's business
    changes  tables with keys of the recipe, `objective={"tau": 0.1}`

    What a batch of this loss cannot know is refused: given links, document frequencies, weights of languages. Losses on
    links use the encoder's own, at every step. The frozen start is the model as it is now. One process trains.

    ConfigError: a setting is impossible here, or the model is of another kind.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        losses: Mapping[str, float] | None = None,
        recipe: Recipe | str | Path | None = None,
        **changes: Mapping[str, Any],
    ) -> None:
        super().__init__()
        encoder = _encoder(model)
        asked = recipe if isinstance(recipe, Recipe) else Recipe.read("paper" if recipe is None else recipe)
        asked = asked.changed(**changes)
        if losses is not None:
            asked = asked.changed(objective={"losses": losses})
        self.recipe = asked.for_encoder(encoder)
        config = self.recipe.objective
        _refuse(self.recipe)
        if "sentences" in config.needs:
            _refuse_modules(model)
        start = None
        if config.needs & {"start", "teacher"}:
            start = CopiedStart(
                encoder,
                lambda which, tokens: encode_units(which, tokens, config),
                dtype=copy_dtype(encoder.device),
            )
        self.model = model
        # After the model: whoever sets the mode of both sets this one's last, which knows of dropout.
        self.objective = AlignmentModel(
            encoder, config, start=start, alignment=self.recipe.alignment, seed=self.recipe.training.seed
        )
        self._batches = 0

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch: features of two columns, each (B,T), in one number."""
        columns = list(sentence_features)
        if len(columns) != 2:
            raise ConfigError(
                f"the dataset has {len(columns)} columns of text",
                remedy="give two, a sentence and its translation",
            )
        self.objective.train(self.model.training)
        parts = self.objective(self._batch(columns)).parts
        return torch.stack(list(parts.values())).sum()

    def get_config_dict(self) -> dict[str, Any]:
        """What a model card says of the loss."""
        return {"recipe": self.recipe.name, "objective": self.recipe.objective.to_dict()}

    @property
    def citation(self) -> str:
        """The method's paper."""
        return self.recipe.source

    def _batch(self, columns: list[Features]) -> PairBatch:
        source, target = (self._tokens(column) for column in columns)
        self._batches += 1
        return PairBatch(
            corpus=0,
            language="",
            indices=tuple(range(len(source))),
            source=source,
            target=target,
            batch_fraction=1.0,
            target_units=(sum(target.counts), int((target.word_ids >= 0).sum())),
            letters=(self._letters(source), self._letters(target)),
            draw=self._batches,
        )

    def _tokens(self, features: Features) -> Tokens:
        ids, attention = features["input_ids"], features["attention_mask"].bool()
        prompt = features.get("prompt_length", 0)
        words = word_ids_of(
            ids, attention, self.objective.encoder.tokenizer, prompt=int(torch.as_tensor(prompt).max())
        )
        return Tokens(ids, attention, words)

    def _letters(self, tokens: Tokens) -> Tensor:
        """(B,W) letters of the words; zeros where no loss asks for them."""
        letters = torch.zeros(len(tokens), max(tokens.counts, default=0), dtype=torch.int64)
        if not self.recipe.objective.counts_letters:
            return letters
        tokenizer, words = self.objective.encoder.tokenizer, tokens.word_ids.tolist()
        for row, ids in enumerate(tokens.ids.tolist()):
            for word in range(tokens.counts[row]):
                pieces = [piece for piece, owner in zip(ids, words[row], strict=True) if owner == word]
                letters[row, word] = letters_of(_text_of(pieces, tokenizer))
        return letters


class TransportLoss(ObjectiveLoss):
    """The debiased Sinkhorn divergence between the words of a sentence and of its translation, with an anchor on the
    second column (Alqahtani, Mirza, Zhang et al. 2021, equation 1), or what another recipe says.

    TransportLoss(model), or TransportLoss(model, recipe="sample", objective={"tau": 0.1}).
    """

    def __init__(
        self,
        model: SentenceTransformer,
        recipe: Recipe | str | Path | None = None,
        **changes: Mapping[str, Any],
    ) -> None:
        super().__init__(model, None, recipe, **changes)


def word_ids_of(ids: Tensor, attention: Tensor, tokenizer: Any, *, prompt: int = 0) -> Tensor:
    """(B,T) the index of the word that each piece belongs to, -1 for specials, padding and the first `prompt` pieces.

    ids (B,T), attention (B,T) bool. A piece that begins with the tokenizer's sign of white space begins a word; of
    WordPiece one that is no continuation does.
    """
    begins, special = (table.to(ids.device) for table in _piece_tables(tokenizer)[:2])
    inside = attention & ~special[ids]
    inside[:, :prompt] = False
    before = torch.cat([torch.zeros_like(inside[:, :1]), inside[:, :-1]], 1)
    words = (inside & (begins[ids] | ~before)).cumsum(1) - 1
    return words.masked_fill(~inside, -1)


def _text_of(pieces: list[int], tokenizer: Any) -> str:
    """The word that pieces make."""
    if not _piece_tables(tokenizer)[2]:
        return str(tokenizer.decode(pieces)).strip()
    return "".join(str(piece).removeprefix("##") for piece in tokenizer.convert_ids_to_tokens(pieces))


def _piece_tables(tokenizer: Any) -> tuple[Tensor, Tensor, bool]:
    """(V,) bool which pieces begin a word, (V,) bool which are no text, and whether the tokenizer is a WordPiece one;
    kept with it."""
    known: tuple[Tensor, Tensor, bool] | None = vars(tokenizer).get("_otkit_pieces")
    if known is None:
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        size = max(vocabulary.values()) + 1
        # Asked of the tokenizer, not of its pieces: a byte-level vocabulary has "##" as text too.
        continued = isinstance(tokenizer.backend_tokenizer.model, WordPiece)
        space = max("▁Ġ", key=lambda sign: sum(piece.startswith(sign) for piece in vocabulary))
        begins, special = torch.zeros(size, dtype=torch.bool), torch.zeros(size, dtype=torch.bool)
        for piece, number in vocabulary.items():
            begins[number] = not piece.startswith("##") if continued else piece.startswith(space)
        special[[number for number in tokenizer.all_special_ids if number != tokenizer.unk_token_id]] = True
        known = vars(tokenizer)["_otkit_pieces"] = begins, special, continued
    return known


def _encoder(model: SentenceTransformer) -> TorchEncoder:
    transformer = model[0]
    encoder: Any = getattr(transformer, "auto_model", None)
    tokenizer: Any = getattr(transformer, "tokenizer", None)
    if encoder is None or not getattr(tokenizer, "is_fast", False):
        raise ConfigError(
            "the model has no transformers encoder with a fast tokenizer",
            remedy="give a SentenceTransformer whose first module is a Transformer",
        )
    layers, _ = alignment_layers_rule(layer_count(encoder.config))
    settings = EncoderSettings(layers, pooling=_pooling(model))
    return TorchEncoder(encoder, tokenizer, name=str(encoder.config.name_or_path), settings=settings)


def _pooling(model: SentenceTransformer) -> str:
    """The model's pooling by otkit's name; several are joined as they are there."""
    stated = next(
        (getattr(module, "pooling_mode", None) for module in model if hasattr(module, "pooling_mode")), None
    )
    modes = ["mean"] if stated is None else [stated] if isinstance(stated, str) else list(stated)
    names = {theirs: ours for ours, theirs in POOLING_MODES.items()}
    for mode in modes:
        choose(mode, names, what="pooling of the model")
    return "+".join(names[mode] for mode in modes)


def _refuse_modules(model: SentenceTransformer) -> None:
    """What stands between the token states and the sentence vector, and a loss on sentences would pass over."""
    kinds = [type(module).__name__ for module in model]
    others = [kind for kind in kinds[1:] if kind not in _COMPUTED]
    if any(getattr(module, "include_prompt", True) is False for module in model):
        others.append("Pooling without the prompt")
    if others or "Pooling" not in kinds:
        raise ConfigError(
            f"the model's sentence vectors go through {', '.join(others) or 'no Pooling'}, which a loss on sentences"
            " does not compute here",
            remedy="train with otkit.train, or leave sentence-contrastive out",
            setting="losses",
        )


def _refuse(recipe: Recipe) -> None:
    """What only a run of otkit knows."""
    objective = recipe.objective
    refused = [
        ("links are given", objective.links == "given" or "gold" in objective.needs, "losses"),
        ("static vectors are given", "static" in objective.needs, "losses"),
        ("words weigh by document frequencies", objective.weights == "idf", "weights"),
        ("languages have weights", bool(objective.language_weights), "language_weights"),
    ]
    for what, true, setting in refused:
        if true:
            raise ConfigError(
                f"{what}, which this loss does not know", remedy="train with otkit.train", setting=setting
            )
