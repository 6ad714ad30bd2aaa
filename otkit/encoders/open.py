"""From a name to an encoder: a Hub name, a transformers or sentence-transformers folder, a GGUF file, an ONNX folder.

What a kind of encoder needs is imported when one of that kind is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from otkit.encoders.device import choose_device
from otkit.encoders.encoder import SETTINGS_FILE, Encoder, read_json, read_settings
from otkit.encoders.families import refuse_family
from otkit.encoders.soundness import check_states, check_weights
from otkit.encoders.torch import TorchEncoder, quiet_transformers
from otkit.errors import CheckpointError, OtkitError
from otkit.resources import sample_encoder

__all__ = ["open_encoder"]

_MANIFEST = "manifest.json"  # of what otkit exported
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth", "model.pkl")
# transformers makes up an empty tokenizer where none of these is found.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")
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
        return _open_folder(path, name=path.resolve().name, device=device)
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
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=patterns, ignore_patterns=avoided))
    except (RepositoryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise CheckpointError(
            f"there is no file or folder {name!r}, and the Hub gives none ({type(error).__name__})",
            remedy="check the spelling; without network give a folder, or nothing for the sample encoder",
        ) from error


def _open_folder(folder: Path, *, name: str, device: str) -> Encoder:
    """Look what kind of encoder lies in a folder, in a fixed order, and open it."""
    if (folder / _MANIFEST).is_file() and any(folder.glob("*.onnx")):
        return _open_exported(folder, name=name, device=device)
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return _open_transformers(folder, folder, name=name, device=device)
    if any(folder.glob("*.gguf")):
        return _open_gguf(_only_gguf(folder), name=name, device=device)
    inner = folder / "0_Transformer"  # where old sentence-transformers kept the encoder
    if (inner / "config.json").is_file() and any(inner.glob("*.safetensors")):
        return _open_transformers(inner, folder, name=name, device=device)
    if any(folder.glob("*.onnx")):
        return _open_exported(folder, name=name, device=device)  # says what is missing
    for pickle in _PICKLES:
        if (folder / pickle).is_file():
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
    folder, file = path.parent, open_gguf(path)
    config, state = _need(lambda: read_gguf(file), path, what="header")
    if (folder / "tokenizer.json").is_file():
        tokenizer = _need(lambda: PreTrainedTokenizerFast.from_pretrained(folder), folder, what="tokenizer")
    else:
        limit = config.max_position_embeddings
        tokenizer = _need(lambda: read_tokenizer(file, limit=limit), path, what="tokenizer")
    if tokenizer.pad_token_id is not None:
        config.pad_token_id = tokenizer.pad_token_id
    pooling = "cls" if file.value("bert.pooling_type") == 2 else "mean"
    settings = read_settings(folder, layers=config.num_hidden_layers, pooling=pooling)
    model = _need(lambda: build_bert(config, state), path, what="header")
    model.to(place)
    return TorchEncoder(model, tokenizer, name=name, settings=settings)


def _open_transformers(folder: Path, root: Path, *, name: str, device: str) -> TorchEncoder:
    """A transformers folder; `root` is where sentence-transformers keeps modules.json (the same, mostly)."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast

    place = choose_device(device)
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        raise CheckpointError(
            f"holds no tokenizer: looked for {', '.join(_TOKENIZERS)}",
            where=str(folder),
            remedy="copy tokenizer.json beside the encoder",
        )
    with quiet_transformers():
        config = _need(lambda: AutoConfig.from_pretrained(folder), folder, what="encoder")
        refuse_family(config, str(folder))
        _need(lambda: _check_claims(config, folder), folder, what="encoder")
        model, report = _need(
            lambda: AutoModel.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            ),
            folder,
            what="encoder",
        )
        tokenizer = _need(
            lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
            folder,
            what="tokenizer",
        )
    if any(key.startswith("pooler.") for key in report["missing_keys"]):
        model.pooler = None  # the checkpoint has none: a random one would be saved with the encoder later
    lost = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if lost:
        raise CheckpointError(
            f"{len(lost)} weights are missing, the first is {lost[0]!r}",
            where=str(folder),
            remedy="copy the whole folder again",
        )
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise CheckpointError(
            f"its tokenizer ({type(tokenizer).__name__}) has no fast form, which keeps words apart",
            where=str(folder),
            remedy="convert it and save tokenizer.json beside the encoder",
        )
    check_weights(model, str(folder))
    defaults = _sentence_transformers_settings(root)
    settings = read_settings(folder, layers=int(model.config.num_hidden_layers), **defaults)
    return TorchEncoder(model.eval().to(place), tokenizer, name=name, settings=settings)


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


def _sentence_transformers_settings(root: Path) -> dict[str, str]:
    """Pooling and default prompt as sentence-transformers' own files state them; nothing where there are
    none."""
    found: dict[str, str] = {}
    pooling = root / "1_Pooling" / "config.json"
    if (root / "modules.json").is_file() and pooling.is_file():
        stated = read_json(pooling)
        modes = [key for key, value in stated.items() if key.startswith("pooling_mode_") and value is True]
        mode = stated.get("pooling_mode", modes[0].removeprefix("pooling_mode_") if modes else "mean")
        short = {"cls_token": "cls", "cls": "cls", "mean_tokens": "mean", "mean": "mean"}.get(str(mode))
        if short is None or len(modes) > 1:
            raise CheckpointError(
                f"its pooling ({', '.join(modes) or mode}) is not one of mean, cls",
                where=str(pooling),
                remedy=f'choose one with "pooling" in {SETTINGS_FILE}, and remove {pooling.parent.name}',
            )
        found["pooling"] = short
    prompts = root / "config_sentence_transformers.json"
    if prompts.is_file():
        stated = read_json(prompts)
        prompt = (stated.get("prompts") or {}).get(stated.get("default_prompt_name") or "")
        if prompt:
            found["prefix"] = str(prompt)
    return found


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
