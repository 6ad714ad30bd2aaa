"""Sentence vectors as the folder of a sentence-transformers model states them: which modules stand behind the encoder,
the prompts, the longest text.

Its own code is not needed: a module is a few lines of torch here, and one that is not here is refused by name. Weights
are read from safetensors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from otkit.encoders.encoder import EncoderSettings, read_json
from otkit.errors import CheckpointError
from otkit.files import json_in, to_json

__all__ = [
    "MODULES",
    "POOLING_MODES",
    "SentenceHead",
    "Stack",
    "module_weights",
    "read_stack",
    "read_weights",
    "write_stack",
]

MODULES = "modules.json"
_PROMPTS, _TEXT = "config_sentence_transformers.json", "sentence_bert_config.json"
# Before version 3 the file was named after the family; the first that is there is read.
_OLD_TEXTS = ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_TEXTS = (_TEXT, *(f"sentence_{family}_config.json" for family in _OLD_TEXTS))
_WEIGHTS = "model.safetensors"

POOLING_MODES = {
    "cls": "cls",
    "mean": "mean",
    "max": "max",
    "mean_sqrt_len": "mean_sqrt_len_tokens",
    "weightedmean": "weightedmean",
    "lasttoken": "lasttoken",
}
"""The poolings by their names, with those of sentence-transformers."""

# Before version 6 there was a yes or no for each of them, in this order.
_OLD_MODES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}

ACTIVATIONS: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        nn.ELU,
        nn.GELU,
        nn.Hardtanh,
        nn.Identity,
        nn.LeakyReLU,
        nn.Mish,
        nn.ReLU,
        nn.ReLU6,
        nn.SELU,
        nn.Sigmoid,
        nn.SiLU,
        nn.Softplus,
        nn.Softsign,
        nn.Tanh,
    )
}
"""What a Dense module may end with, by the last part of its name; with the settings that torch gives it."""


class Dense(nn.Module):
    """A linear layer and an activation, and with `residual` what came in beside it."""

    def __init__(self, wide: int, out: int, *, bias: bool, activation: str, residual: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(wide, out, bias=bias)
        self.activation, self.added = ACTIVATIONS[activation](), residual
        if residual and wide != out:
            self.residual = nn.Linear(wide, out, bias=False)

    def forward(self, vector: Tensor) -> Tensor:
        found: Tensor = self.activation(self.linear(vector))
        if not self.added:
            return found
        return found + (self.residual(vector) if hasattr(self, "residual") else vector)


class LayerNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, vector: Tensor) -> Tensor:
        found: Tensor = self.norm(vector)
        return found


class Normalize(nn.Module):
    def forward(self, vector: Tensor) -> Tensor:
        return nn.functional.normalize(vector, dim=-1)


class SentenceHead(nn.Sequential):
    """The modules behind the pooling, (B, E) to (B, F), with what each says of itself in its folder."""

    def __init__(self, modules: Sequence[nn.Module] = (), configs: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(*modules)
        self.configs = tuple(configs)
        self.requires_grad_(False)

    @property
    def names(self) -> list[str]:
        return [type(module).__name__ for module in self]

    @property
    def changes(self) -> bool:
        """Whether a unit vector of it is another than without it."""
        return any(not isinstance(module, Normalize) for module in self)

    def width(self, before: int) -> int:
        """Of its vectors, where those that it gets have the width `before`."""
        for module in self:
            before = module.linear.out_features if isinstance(module, Dense) else before
        return before

    def check(self, before: int, where: str) -> None:
        """Raise CheckpointError where a module takes vectors of another width than it gets."""
        for module in self:
            takes = (
                module.linear.in_features
                if isinstance(module, Dense)
                else module.norm.normalized_shape[0]
                if isinstance(module, LayerNorm)
                else before
            )
            if takes != before:
                raise CheckpointError(
                    f"its {type(module).__name__} takes vectors of width {takes}, and gets {before}",
                    where=where,
                    remedy="copy the whole folder again; the pooling belongs to it",
                )
            before = module.linear.out_features if isinstance(module, Dense) else before


@dataclass(frozen=True)
class Stack:
    """first: the folder of the encoder, or of the table where `static`; settings: what the folder says of them, by the
    fields of EncoderSettings; lower_case: text is lower-cased first."""

    first: Path
    static: bool = False
    head: SentenceHead = field(default_factory=SentenceHead)
    settings: Mapping[str, Any] = field(default_factory=dict)
    lower_case: bool = False


def read_stack(root: Path) -> Stack:
    """What `modules.json` and its neighbours say; for another folder, what there is of the neighbours."""
    settings, lower_case = _prompts(root), False
    if not (root / MODULES).is_file():
        return Stack(root, settings=settings)
    listed = _listed(root)
    if not listed:  # nothing but a mark of the library
        return Stack(root, settings=settings | _pooling(root / "1_Pooling"))
    kind, first = listed[0]
    if kind not in ("Transformer", "StaticEmbedding"):
        raise _unknown(kind, root)
    if kind == "Transformer":
        stated, lower_case = _text(first, root)
        settings |= stated
    modules: list[nn.Module] = []
    configs: list[Mapping[str, Any]] = []
    has_pooling = kind == "StaticEmbedding"  # it is the mean of its words
    for kind, folder in listed[1:]:
        if kind == "Pooling" and not has_pooling:
            settings |= _pooling(folder)
            has_pooling = True
        elif kind in _READERS and has_pooling:
            config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
            _on_sentences(config, kind, folder)
            modules.append(_READERS[kind](config, folder))
            configs.append(config)
        elif kind != "Dropout":  # which does nothing outside training
            raise _unknown(kind, folder)
    if not has_pooling:
        raise CheckpointError(
            f"its {MODULES} has no Pooling, so nothing makes a sentence vector",
            where=str(root),
            remedy=f"take {MODULES} away, and the encoder opens for words, with the mean for sentences",
        )
    return Stack(
        first, listed[0][0] == "StaticEmbedding", SentenceHead(modules, configs), settings, lower_case
    )


def module_weights(root: Path) -> list[str]:
    """The weights files in folders of their own that `modules.json` may speak of."""
    if not (root / MODULES).is_file():
        return []
    inner = [folder.relative_to(root).as_posix() for _, folder in _listed(root) if folder != root]
    return [f"{folder}/{_WEIGHTS}" for folder in inner]


def _listed(root: Path) -> list[tuple[str, Path]]:
    """The modules in their order: the name of each, and its folder."""
    where = str(root / MODULES)
    try:
        entries = json_in(root / MODULES)
        found = [(str(entry["type"]), root / str(entry.get("path") or "")) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"is not a list of modules ({type(error).__name__})", where=where, remedy="restore the file"
        ) from error
    for kind, folder in found:
        if not kind.startswith("sentence_transformers."):
            raise CheckpointError(
                f"names the module {kind!r}, whose code is not sentence-transformers' own and is never run",
                where=where,
                remedy="use a model of its own modules",
            )
        if not folder.resolve().is_relative_to(root.resolve()):
            raise CheckpointError(f"names the folder {str(folder)!r}, outside", where=where, remedy="mend it")
    return [(kind.rpartition(".")[2], folder) for kind, folder in found]


def _unknown(kind: str, folder: Path) -> CheckpointError:
    known = ", ".join(("Transformer", "StaticEmbedding", "Pooling", *_READERS, "Dropout"))
    return CheckpointError(
        f"the module {kind!r} of its sentence vectors cannot be computed here, at its place",
        where=str(folder),
        remedy=(f"use a model of {known}", f"take {MODULES} away, and the encoder opens for words"),
    )


def _on_sentences(config: Mapping[str, Any], kind: str, folder: Path) -> None:
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, "sentence_embedding"):
            raise CheckpointError(
                f"its {kind} has {key} {config[key]!r}; only sentence_embedding can be computed here",
                where=str(folder),
                remedy="use a model of sentence vectors",
            )


def _prompts(root: Path) -> dict[str, Any]:
    """`prompts`, and the text of the default one as `prefix`."""
    path = root / _PROMPTS
    stated = read_json(path) if path.is_file() else {}
    prompts = {str(name): str(text) for name, text in (stated.get("prompts") or {}).items()}
    default = stated.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise CheckpointError(
            f"default_prompt_name is {default!r}, which is none of its prompts",
            where=str(path),
            remedy="mend the file",
        )
    found: dict[str, Any] = {"prompts": prompts} if prompts else {}
    return found | ({} if default is None else {"prefix": prompts[default]})


def _text(folder: Path, root: Path) -> tuple[dict[str, Any], bool]:
    """What the Transformer module says: the longest text, and whether text is lower-cased."""
    places = (place / name for place in (folder, root) for name in _TEXTS)
    path = next((place for place in places if place.is_file()), None)
    stated = read_json(path) if path is not None else {}
    text = (stated.get("modality_config") or {}).get("text")
    refused = {
        "transformer_task": stated.get("transformer_task") not in (None, "feature-extraction"),
        "module_output_name": stated.get("module_output_name") not in (None, "token_embeddings"),
        "query_expansion": bool(stated.get("query_expansion")),
        "processing_kwargs": bool(stated.get("processing_kwargs")),
        "modality_config": text
        not in (None, {"method": "forward", "method_output_name": "last_hidden_state"}),
    }
    for key, true in refused.items():
        if true:
            raise CheckpointError(
                f"{key} is {stated[key]!r}, which cannot be honoured here",
                where=str(path),
                remedy="use a model of sentence vectors from text",
            )
    longest = stated.get("max_seq_length")
    if longest is not None and (type(longest) is not int or longest < 1):
        raise CheckpointError(
            f"max_seq_length is {longest!r}, not a number of tokens", where=str(path), remedy="mend it"
        )
    return {} if longest is None else {"max_seq_length": longest}, bool(stated.get("do_lower_case"))


def _pooling(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        return {}
    stated = read_json(path)
    modes = stated.get("pooling_mode")
    if modes is None:
        modes = [POOLING_MODES[name] for name, key in _OLD_MODES.items() if stated.get(key) is True] or [
            "mean"
        ]
    names = {theirs: ours for ours, theirs in POOLING_MODES.items()}
    modes = [modes] if isinstance(modes, str) else modes
    unknown = [str(mode) for mode in modes if mode not in names]
    unknown += [
        key
        for key, value in stated.items()
        if key.startswith("pooling_mode_") and value is True and key not in _OLD_MODES.values()
    ]
    if unknown or not modes:
        raise CheckpointError(
            f"its pooling ({', '.join(unknown) or 'none'}) is not one of {', '.join(POOLING_MODES)}",
            where=str(path),
            remedy=f"mend the file, or take {MODULES} away",
        )
    found = {"pooling": "+".join(names[mode] for mode in modes)}
    return found | ({} if stated.get("include_prompt", True) else {"pool_prompt": False})


def _dense(config: Mapping[str, Any], folder: Path) -> nn.Module:
    stated = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    activation = stated.rpartition(".")[2]
    if activation not in ACTIVATIONS or not stated.startswith("torch.nn."):
        raise CheckpointError(
            f"its activation is {stated!r}, not one of {', '.join(ACTIVATIONS)} of torch.nn",
            where=str(folder),
            remedy="use a model with one of them",
        )
    sizes = [int(config.get(key) or 0) for key in ("in_features", "out_features")]
    if min(sizes) < 1:
        raise CheckpointError(
            "config.json states no in_features and out_features", where=str(folder), remedy="restore it"
        )
    dense = Dense(
        sizes[0],
        sizes[1],
        bias=bool(config.get("bias", True)),
        activation=activation,
        residual=bool(config.get("use_residual", False)),
    )
    return _filled(dense, folder)


def _layer_norm(config: Mapping[str, Any], folder: Path) -> nn.Module:
    if type(config.get("dimension")) is not int:
        raise CheckpointError("config.json states no dimension", where=str(folder), remedy="restore it")
    return _filled(LayerNorm(config["dimension"]), folder)


def _filled(module: nn.Module, folder: Path) -> nn.Module:
    weights = read_weights(folder)
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if shapes != found:
        raise CheckpointError(
            f"its weights are {found}, and its config.json says {shapes}",
            where=str(folder),
            remedy="copy the folder again",
        )
    module.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    if not all(bool(tensor.isfinite().all()) for tensor in module.state_dict().values()):
        raise CheckpointError(
            "its weights are not all finite", where=str(folder), remedy="copy the folder again"
        )
    return module.eval()


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of a module's safetensors file."""
    path = folder / _WEIGHTS
    if not path.is_file():
        pickle = (folder / "pytorch_model.bin").is_file()
        why = "a pickle (pytorch_model.bin), which can run any code when it is read" if pickle else "missing"
        raise CheckpointError(
            f"the weights of this module are {why}",
            where=str(folder),
            remedy="save the model again with sentence-transformers where you trust it: it writes safetensors",
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"its safetensors file is truncated or damaged ({error})", where=str(path), remedy="copy it again"
        ) from error


_READERS: dict[str, Callable[[Mapping[str, Any], Path], nn.Module]] = {
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": lambda config, folder: Normalize(),
}


def write_stack(
    folder: Path, settings: EncoderSettings, head: SentenceHead, *, dimension: int, max_tokens: int
) -> None:
    """Beside a transformers encoder, what `SentenceTransformer(folder)` reads; without modules of its own, the unit
    vectors that otkit gives."""
    modules = list(zip(head, head.configs, strict=True)) or [(Normalize(), {})]
    names = ["Transformer", "Pooling", *(type(module).__name__ for module, _ in modules)]
    paths = ["", *(f"{place}_{name}" for place, name in enumerate(names[1:], 1))]
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    chosen = settings.pooling.split("+")
    ordered = [name for name in _OLD_MODES if name in chosen]
    pooling: dict[str, Any] = {
        "word_embedding_dimension": dimension,
        # Every version reads the old form, which has no order of its own.
        **(
            {key: name in chosen for name, key in _OLD_MODES.items()}
            if ordered == chosen
            else {"pooling_mode": [POOLING_MODES[name] for name in chosen]}
        ),
        "include_prompt": settings.pool_prompt,  # E5's mean runs over the prefix too
    }
    prompts = dict(settings.prompts)
    default = next((name for name, text in prompts.items() if text == settings.prefix), None)
    if settings.prefix and default is None:
        default = "default" if "query" in prompts else "query"
        prompts[default] = settings.prefix
    documents = {
        MODULES: entries,
        f"{paths[1]}/config.json": pooling,
        _PROMPTS: {
            "prompts": prompts,
            "default_prompt_name": default if settings.prefix else None,
            "similarity_fn_name": "cosine",
        },
        _TEXT: {"max_seq_length": settings.max_seq_length or max_tokens, "do_lower_case": False},
        **{f"{path}/config.json": dict(config) for path, (_, config) in zip(paths[2:], modules, strict=True)},
    }
    for name, document in documents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(to_json(document), encoding="utf-8")
    for path, (module, _) in zip(paths[2:], modules, strict=True):
        if state := module.state_dict():
            save_file({key: value.contiguous() for key, value in state.items()}, folder / path / _WEIGHTS)
