"""The int8 graph of an encoder, made once and kept in the user's cache folder: what `precision="int8"` runs.

The graph is that of `export_onnx` with `quantize="int8"`: the first recipe that passes the gate on this processor. A
folder of the cache is named by what the graph depends on: weights, settings, versions, and what the processor can
multiply in. One that was damaged is made anew.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch

from otkit import __version__
from otkit.encoders.device import PRECISIONS, multiplies_in, slow_precision
from otkit.encoders.encoder import Encoder, resolve_layers
from otkit.encoders.onnx import OnnxEncoder, open_onnx, read_manifest
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ConfigError, choose
from otkit.exports.onnx import export_onnx
from otkit.exports.settings import ExportSettings
from otkit.files import cache_folder, hold, to_json

__all__ = [
    "CachedGraph",
    "cached_graphs",
    "clear_cache",
    "encoder_in",
    "fastest_precision",
    "int8_encoder",
]

_INT8 = ("avx512_vnni", "avx_vnni", "asimddp", "i8mm")  # abilities of processors, as Linux names them
_NAME = re.compile(r"[0-9a-f]{32}")
_GRAPHS = "graphs"  # their part of the cache folder


@dataclass(frozen=True)
class CachedGraph:
    """A graph of the cache: the encoder it was made from, the layers in it, the bytes of its folder."""

    folder: Path
    encoder: str
    layers: tuple[int, ...]
    bytes: int


def encoder_in(
    precision: str,
    encoder: Encoder,
    layers: Sequence[int] | None = None,
    *,
    progress: Callable[[str], None] = lambda step: None,
) -> Encoder:
    """The encoder multiplying in a precision: as it is, in a half precision, or its int8 graph (see `int8_encoder`).

    `progress` is told, too, of a precision that the device has no instructions for.
    """
    choose(precision, PRECISIONS, what="precision", setting="precision")
    if precision == encoder.precision:
        return encoder
    if precision == "int8":
        return int8_encoder(encoder, layers, progress=progress)
    if not isinstance(encoder, TorchEncoder):
        raise ConfigError(
            f"{precision} is for encoders of torch",
            setting="precision",
            remedy="leave it out: an exported graph computes as it was exported",
        )
    slow = slow_precision(encoder.device, precision)
    if slow is not None:
        progress(slow)
    return encoder.in_precision(precision)


def int8_encoder(
    encoder: Encoder,
    layers: Sequence[int] | None = None,
    *,
    progress: Callable[[str], None] = lambda step: None,
) -> OnnxEncoder:
    """The encoder with int8 products, from the cache or made now; `layers` are those to align with, by default its own.

    `progress` is told each step of the making, in a few words; opening a graph that is there says nothing. A
    GateError means that no recipe keeps the encoder's vectors.
    """
    if not isinstance(encoder, TorchEncoder) or encoder.device.type != "cpu":
        raise ConfigError(
            "int8 is for encoders of torch on the CPU",
            setting="precision",
            remedy=(
                "use `device='cpu'`",
                "use `precision='bf16'` on a GPU",
                "leave it out for an exported graph",
            ),
        )
    settings = replace(
        encoder.settings,
        alignment_layers=resolve_layers(layers or encoder.settings.alignment_layers, encoder.layers),
    )
    twin = TorchEncoder(
        encoder.model, encoder.tokenizer, name=encoder.name, settings=settings, head=encoder.head
    )
    folder = cache_folder(_GRAPHS) / _key(twin)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not _has(*_INT8) or multiplies_in(torch.device("cpu"), torch.bfloat16):
        progress(fastest_precision())
    found = _opened(folder, encoder.name)
    if found is None:
        with hold(folder):  # an error where another process is making it
            found = _opened(folder, encoder.name)
            if found is None:
                progress(f"making an int8 graph of {encoder.name}, once; it is kept in {folder.parent}")
                export_onnx(twin, folder, ExportSettings(quantize="int8"), progress=progress, overwrite=True)
                found = open_onnx(folder, name=encoder.name, device="cpu")
    found.precision, found.origin, found.stands_for = "int8", encoder.origin, encoder.weights_sha256()
    return found


def _opened(folder: Path, name: str) -> OnnxEncoder | None:
    """A graph that is there, whole."""
    try:
        return open_onnx(folder, name=name, device="cpu") if folder.is_dir() else None
    except CheckpointError:
        return None


def cached_graphs() -> list[CachedGraph]:
    """The graphs of the cache, the newest first; what is no folder of ours is left aside."""
    graphs = []
    for folder in sorted(_folders(), key=lambda each: each.stat().st_mtime, reverse=True):
        try:
            facts = read_manifest(folder)
        except CheckpointError:
            facts = {}
        layers = facts.get("graph", {}).get("alignment_layers", ())
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        graphs.append(
            CachedGraph(folder, str(facts.get("encoder", {}).get("name", "damaged")), tuple(layers), size)
        )
    return graphs


def clear_cache() -> int:
    """Delete the graphs; returns the bytes that this frees. One that another process is making is an error."""
    freed = 0
    for graph in cached_graphs():
        with hold(graph.folder):
            shutil.rmtree(graph.folder)
        freed += graph.bytes
    return freed


def fastest_precision() -> str:
    """What is fastest on this processor for encoding, in one sentence."""
    if _has(*_INT8):
        both = " and bf16" if multiplies_in(torch.device("cpu"), torch.bfloat16) else ""
        return f"this processor multiplies int8{both} directly: int8 is fastest"
    if multiplies_in(torch.device("cpu"), torch.bfloat16):
        return "this processor multiplies bf16 and not int8 directly: bf16 may be faster than int8"
    return "this processor multiplies neither int8 nor bf16 directly: int8 gains little over fp32"


def _folders() -> list[Path]:
    place = cache_folder(_GRAPHS)
    return [each for each in place.iterdir() if _NAME.fullmatch(each.name)] if place.is_dir() else []


def _key(encoder: TorchEncoder) -> str:
    """A name for the graph of this encoder, here."""
    facts = {
        "weights": encoder.weights_sha256(),
        "tokenizer": encoder.tokenizer.backend_tokenizer.to_str(),
        "settings": asdict(encoder.settings),
        "versions": [__version__, *map(version, ("onnx", "onnxruntime", "torch"))],
        "processor": [platform.machine(), _has("avx512_vnni", "avx_vnni"), _has("asimddp"), _has("i8mm")],
    }
    return hashlib.sha256(to_json(facts).encode()).hexdigest()[:32]


def _has(*flags: str) -> bool:
    """Whether the processor names one of these abilities; Linux says so, elsewhere nothing is known."""
    try:
        known = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", known, re.MULTILINE)
    return line is not None and not set(flags).isdisjoint(line[1].split())
