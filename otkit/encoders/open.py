"""From a name to an encoder: a Hub name, a transformers or sentence-transformers folder, a GGUF file, an ONNX folder.

What a kind of encoder needs is imported when one of that kind is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from otkit.encoders.adapter import ADAPTER, base_of, merge_adapter
from otkit.encoders.characters import NEEDS_NO_FILE, fast_tokenizer
from otkit.encoders.device import choose_device
from otkit.encoders.encoder import SETTINGS_FILE, Encoder, read_json, read_settings
from otkit.encoders.families import ENCODERS, WITH_DECODER, layer_count, load_model, refuse_family
from otkit.encoders.soundness import check_states, check_weights
from otkit.encoders.stack import MODULES, Stack, module_weights, read_stack
from otkit.encoders.static import open_static
from otkit.encoders.tokens import SENTENCEPIECE, lower_case, refuse_huge
from otkit.encoders.torch import TorchEncoder, quiet_transformers
from otkit.errors import CheckpointError, OtkitError
from otkit.resources import sample_encoder

__all__ = ["open_encoder"]

_MANIFEST = "manifest.json"  # of what otkit exported
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth", "model.pkl")
# transformers makes up an empty tokenizer where none of these is found.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", *SENTENCEPIECE)
# Tokenizers that transformers has no fast form of, and what to use instead.
_SLOW = {
    "M2M100Tokenizer": "use NLLB's encoder, which is of the same architecture: facebook/nllb-200-distilled-600M",
    "MarianTokenizer": "use the encoder of mBART-50 or of NLLB",
    "XLMTokenizer": "use XLM-R: FacebookAI/xlm-roberta-base",
}
# As llama.cpp numbers them; a file may state none (0).
_GGUF_POOLINGS = {None: "mean", 0: "mean", 1: "mean", 2: "cls", 3: "lasttoken"}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def open_encoder(model: str | Path | Encoder | None = None, *, device: str = "auto") -> Encoder:
    """The encoder under this name, ready on `device`, in evaluation mode.

    model    a Hub name, a folder (transformers, sentence-transformers, ONNX, GGUF) or a .gguf file; None is the sample
             encoder that comes with otkit. An encoder that is open already is given back as it is.
    device   "auto" (CUDA, else Apple's GPU, else CPU), "cpu", "cuda", "cuda:N" or "mps"

    What cannot give a finite vector for each token, and another for another word, is a `CheckpointError` here, as is a
    folder without an encoder; `ConfigError` for a device that the machine does not have.

    >>> import otkit
    >>> encoder = otkit.open_encoder(device="cpu")
    >>> encoder.dimension, encoder.layers, encoder.settings.alignment_layers
    (384, 12, (6, 7))
    """
    if model is not None and not isinstance(model, str | Path):
        return model
    encoder = _open(model, device=device)
    if model is not None:
        path = Path(model).expanduser()
        encoder.origin = str(path.resolve() if path.exists() else model)
    # Some families remark on their first batch.
    with quiet_transformers() if isinstance(encoder, TorchEncoder) else nullcontext():
        check_states(encoder, encoder.name if model is None else str(model))
    return encoder


def _open(model: str | Path | None, *, device: str) -> Encoder:
    if model is None:
        return _open_gguf(_only_gguf(sample_encoder()), name="sample encoder", device=device)
    path = Path(model).expanduser()
    if path.is_dir():
        encoder = _open_folder(path, name=path.resolve().name, device=device)
        if isinstance(encoder, TorchEncoder) and (path / SETTINGS_FILE).is_file():
            stated = read_json(path / SETTINGS_FILE).get("hub_name")
            encoder.hub_name = stated if isinstance(stated, str) else None
        return encoder
    if path.is_file():
        if path.suffix == ".gguf":
            return _open_gguf(path, name=path.stem, device=device)
        raise CheckpointError(
            "is not an encoder that can be opened",
            where=str(path),
            remedy="give a .gguf file, a folder or a Hub name",
        )
    # Where the first part of `runs/aligned` is a folder, a path was meant, and nobody on the Hub is asked for it.
    meant = (
        isinstance(model, Path) or path.suffix == ".gguf" or (path.parent != Path() and path.parent.is_dir())
    )
    if meant or not _HUB_NAME.fullmatch(str(model)):
        raise CheckpointError("no such file or folder", where=str(model), remedy="check the path")
    encoder = _open_folder(_download(str(model)), name=str(model), device=device)
    if isinstance(encoder, TorchEncoder):
        encoder.hub_name = str(model)
    return encoder


def _download(name: str) -> Path:
    """A Hub repository's encoder files, safetensors and JSON only, in the Hub's own cache."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
    avoided = ["onnx/*", "openvino/*", "*/*.safetensors"]
    try:
        folder = Path(
            huggingface_hub.snapshot_download(name, allow_patterns=patterns, ignore_patterns=avoided)
        )
        inner = module_weights(folder)
        if inner and not all((folder / file).is_file() for file in inner):
            huggingface_hub.snapshot_download(name, allow_patterns=inner)
    except (RepositoryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise CheckpointError(
            f"there is no file or folder {name!r}, and the Hub gives none ({type(error).__name__})",
            remedy="check the spelling; without network give a folder, or nothing for the sample encoder",
        ) from error
    return folder


def _open_folder(folder: Path, *, name: str, device: str) -> Encoder:
    """Look what kind of encoder lies in a folder, in a fixed order, and open it."""
    refuse_huge(folder)
    if (folder / _MANIFEST).is_file() and any(folder.glob("*.onnx")):
        return _open_exported(folder, name=name, device=device)
    if (folder / ADAPTER).is_file():
        return _open_adapter(folder, name=name, device=device)
    stack = read_stack(folder)
    inner = stack.first  # old sentence-transformers kept the encoder in 0_Transformer
    refuse_huge(inner)
    if stack.static:
        return open_static(stack, folder, name=name, device=device)
    if (inner / "config.json").is_file() and any(inner.glob("*.safetensors")):
        return _open_transformers(stack, folder, name=name, device=device)
    if any(folder.glob("*.gguf")):
        return _open_gguf(_only_gguf(folder), name=name, device=device)
    if any(folder.glob("*.onnx")):
        return _open_exported(folder, name=name, device=device)  # says what is missing
    for pickle in _PICKLES:
        if (inner / pickle).is_file():
            raise CheckpointError(
                f"its weights are a pickle ({pickle}), which can run any code when it is read",
                where=str(folder),
                remedy="convert it to safetensors where you trust it: model.save_pretrained(folder)",
            )
    sought = "config.json with *.safetensors, *.gguf with tokenizer.json, or *.onnx with manifest.json"
    have = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
    raise CheckpointError(
        f"holds no encoder: looked for {sought}; found {have}",
        where=str(folder),
        remedy="check the path",
    )


def _open_adapter(folder: Path, *, name: str, device: str) -> TorchEncoder:
    """A LoRA adapter over the encoder that it names: its weights are added into the encoder's."""
    base = base_of(folder)
    encoder = _open(base, device=device)
    if not isinstance(encoder, TorchEncoder):
        raise CheckpointError(
            f"its base {str(base)!r} is no encoder of transformers",
            where=str(folder),
            remedy="open the encoder that it was trained on",
        )
    model = merge_adapter(encoder.model, folder)
    stack = read_stack(folder) if (folder / MODULES).is_file() else None
    tokenizer, place = encoder.tokenizer, folder if stack is None else stack.first
    refuse_huge(place)
    if _has_tokenizer(place):  # its limit of tokens may be another than the base's
        with quiet_transformers():
            tokenizer = _tokenizer_in(place, model.config)
    if stack is not None and stack.lower_case:
        lower_case(tokenizer.backend_tokenizer)
    own = stack.settings if stack is not None else asdict(encoder.settings)
    defaults = {key: value for key, value in own.items() if key != "alignment_layers"}
    settings = read_settings(folder, layers=encoder.layers, **defaults)
    if not (folder / SETTINGS_FILE).is_file():
        settings = replace(settings, alignment_layers=encoder.settings.alignment_layers)
    check_weights(model, str(folder))
    head = encoder.head if stack is None else stack.head
    return TorchEncoder(model, tokenizer, name=name, settings=settings, head=head)


def _only_gguf(folder: Path) -> Path:
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise CheckpointError(
            f"expected one .gguf file, found {names}", where=str(folder), remedy="name the file"
        )
    return files[0]


def _open_exported(folder: Path, *, name: str, device: str) -> Encoder:
    from otkit.encoders.onnx import open_onnx

    return open_onnx(folder, name=name, device=device)


def _open_gguf(path: Path, *, name: str, device: str) -> TorchEncoder:
    from transformers import PreTrainedTokenizerFast

    from otkit.encoders.gguf import build_bert, open_gguf, read_gguf, read_tokenizer

    place = choose_device(device)
    refuse_huge(path.parent)
    folder, file = path.parent, open_gguf(path)
    config, state = _need(lambda: read_gguf(file), path, what="header")
    if (folder / "tokenizer.json").is_file():
        tokenizer = _need(lambda: PreTrainedTokenizerFast.from_pretrained(folder), folder, what="tokenizer")
    else:
        limit = config.max_position_embeddings
        tokenizer = _need(lambda: read_tokenizer(file, limit=limit), path, what="tokenizer")
    if tokenizer.pad_token_id is not None:
        config.pad_token_id = tokenizer.pad_token_id
    pooling = _GGUF_POOLINGS.get(file.value("bert.pooling_type"))
    if pooling is None:
        raise CheckpointError(
            f"its pooling_type is {file.value('bert.pooling_type')!r}, which is no sentence vector known here",
            where=str(path),
            remedy="convert the encoder again",
        )
    settings = read_settings(folder, layers=config.num_hidden_layers, pooling=pooling)
    model = _need(lambda: build_bert(config, state), path, what="header")
    model.to(place)
    return TorchEncoder(model, tokenizer, name=name, settings=settings)


def _open_transformers(stack: Stack, root: Path, *, name: str, device: str) -> TorchEncoder:
    """A transformers folder; `root` is where its otkit.json lies (the same, mostly)."""
    from transformers import AutoConfig

    folder, place = stack.first, choose_device(device)
    stated = folder / "tokenizer_config.json"
    kinds = {read_json(folder / "config.json").get("model_type")}
    kinds |= {read_json(stated).get("tokenizer_class")} if stated.is_file() else set()
    if not kinds & NEEDS_NO_FILE and not _has_tokenizer(folder):
        raise CheckpointError(
            f"holds no tokenizer: looked for {', '.join(_TOKENIZERS)}",
            where=str(folder),
            remedy="copy tokenizer.json beside the encoder",
        )
    with quiet_transformers():
        config = _need(
            lambda: AutoConfig.from_pretrained(folder, trust_remote_code=False), folder, what="encoder"
        )
        refuse_family(config, str(folder))
        _refuse_decoder(config, root)
        _need(lambda: _check_claims(config, folder), folder, what="encoder")
        model, missing = _need(lambda: load_model(folder, config), folder, what="encoder")
        tokenizer = _tokenizer_in(folder, config)
    if any(key.startswith("pooler.") for key in missing):
        model.pooler = None  # the checkpoint has none: a random one would be saved with the encoder later
    lost = [key for key in missing if not key.startswith("pooler.")]
    if lost:
        raise CheckpointError(
            f"{len(lost)} weights are missing, the first is {lost[0]!r}",
            where=str(folder),
            remedy="copy the whole folder again",
        )
    if stack.lower_case:
        lower_case(tokenizer.backend_tokenizer)
    check_weights(model, str(folder))
    settings = read_settings(root, layers=layer_count(model.config), **stack.settings)
    return TorchEncoder(model.eval().to(place), tokenizer, name=name, settings=settings, head=stack.head)


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / file).is_file() for file in _TOKENIZERS)


def _tokenizer_in(folder: Path, config: Any) -> Any:
    """The fast tokenizer of a folder, for an encoder of this config."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    def load() -> Any:
        return fast_tokenizer(AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False))

    tokenizer = _need(load, folder, what="tokenizer")
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise CheckpointError(
            f"transformers cannot convert its tokenizer ({type(tokenizer).__name__}) to the fast form, which keeps"
            " words apart",
            where=str(folder),
            remedy=_SLOW.get(type(tokenizer).__name__, "use an encoder that comes with tokenizer.json"),
        )
    return tokenizer


def _refuse_decoder(config: Any, root: Path) -> None:
    """A folder whose sentence vectors are made of its decoder's states, which are not computed here."""
    kind = config.model_type
    alone = config.architectures == [ENCODERS.get(kind)]  # otkit wrote it: the encoder by itself
    if kind in WITH_DECODER and (root / MODULES).is_file() and not alone:
        raise CheckpointError(
            f"its sentence vectors are made of the states of its decoder ({kind}), which cannot be computed here",
            where=str(root),
            remedy=f"take {MODULES} away, and its encoder opens",
        )


_LAYERS = 512  # so many are no danger, and some encoders use the weights of one layer for all


def _check_claims(config: Any, folder: Path) -> None:
    """Refuse a config that claims more than the weights beside it hold: it would be built before they are found
    missing. And an index of weights that lie elsewhere."""
    index = folder / "model.safetensors.index.json"
    shards = read_json(index).get("weight_map") if index.is_file() else {}
    if not isinstance(shards, dict) or not all(str(name) == Path(str(name)).name for name in shards.values()):
        raise CheckpointError(
            "names weights outside its folder", where=str(index), remedy="copy the whole folder again"
        )
    tensors = room = 0
    for file in folder.glob("*.safetensors"):
        room += file.stat().st_size
        with safe_open(file, framework="pt") as weights:
            tensors += len(weights.keys())
    sizes = ("hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings", "type_vocab_size")
    for name, most in {"num_hidden_layers": max(tensors, _LAYERS), **dict.fromkeys(sizes, room)}.items():
        claimed = getattr(config, name, None)
        if isinstance(claimed, int | float) and not -1 <= claimed <= most:
            raise CheckpointError(
                f"its config says {name} {claimed}, which its weights ({tensors} tensors, {room} bytes) do not hold",
                where=str(folder),
                remedy="restore config.json",
            )


def _need(load: Callable[[], Any], folder: Path, *, what: str) -> Any:
    """Run a loader of transformers and turn what it raises for a bad folder into one CheckpointError."""
    try:
        return load()
    except OtkitError:
        raise
    except SafetensorError as error:
        raise CheckpointError(
            f"its safetensors file is truncated or damaged ({error})",
            where=str(folder),
            remedy="copy it again",
        ) from error
    except BaseException as error:  # tokenizers raises bare Exception, transformers nearly all of them
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of Rust
            raise
        first = (str(error).strip().splitlines() or [""])[0][:200]
        raise CheckpointError(
            f"its {what} cannot be read: {first or type(error).__name__}",
            where=str(folder),
            remedy="check that all files of the checkpoint are there and belong together",
        ) from error
