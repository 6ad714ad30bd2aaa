"""An exported encoder in ONNX Runtime, behind the Encoder protocol; and the `manifest.json` of its folder: what each
file must be, what the graph gives, how it was measured."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer
from torch import Tensor

from otkit.encoders.device import choose_device
from otkit.encoders.encoder import EncoderSettings, read_json, read_settings, resolve_layers
from otkit.encoders.pooling import pool_sentences
from otkit.encoders.tokens import Sentence, SubwordTokenizer, Tokens, refuse_too_long, tokenizer_errors
from otkit.errors import CheckpointError, ConfigError
from otkit.files import MARKER, file_facts, is_as_stated, sha256_of, to_json

__all__ = [
    "MANIFEST",
    "MODEL_FILE",
    "OnnxEncoder",
    "layer_output",
    "open_onnx",
    "output_names",
    "read_manifest",
    "without_unused",
    "write_manifest",
]

MODEL_FILE, MANIFEST = "model.onnx", "manifest.json"
_FORMAT = "otkit-onnx-1"


def layer_output(layer: int) -> str:
    """The name of a hidden state among the graph's outputs."""
    return f"layer_{layer}"


def output_names(layers: tuple[int, ...]) -> tuple[str, ...]:
    """token_states is the mean of the alignment layers; several of them are also given one by one."""
    single = tuple(layer_output(layer) for layer in layers) if len(layers) > 1 else ()
    return ("token_states", "sentence_vector", *single)


class OnnxEncoder:
    """A graph with the outputs of `output_names`; only the layers in it can be asked for."""

    origin: str | None = None
    precision = "fp32"
    stands_for: str | None = None
    """The hash of the weights of the encoder that it computes for, where it is the graph of one in the cache."""

    def __init__(
        self,
        path: Path,
        subwords: SubwordTokenizer,
        *,
        name: str,
        settings: EncoderSettings,
        dimension: int,
        layers: int,
        modules: Sequence[str] = (),
        sentence_dimension: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.name, self.settings, self.subwords = name, settings, subwords
        self.modules, self._whole = tuple(modules), sentence_dimension or dimension
        self.dimension, self.layers, self.max_tokens = dimension, layers, subwords.limit
        self._path, self._providers = path, _providers(device)
        # Where the graph's results go; a torch without CUDA takes them on the CPU.
        on_gpu = len(self._providers) > 1 and torch.cuda.is_available()
        self.device = choose_device(device if on_gpu else "cpu")
        self._session = _open_session(str(path), str(path), self._providers)
        self._layers_only: onnxruntime.InferenceSession | None = None
        inputs = {node.name for node in self._session.get_inputs()}
        missing = set(output_names(settings.alignment_layers)) - {
            node.name for node in self._session.get_outputs()
        }
        if missing or not inputs <= {"input_ids", "attention_mask", "token_type_ids"}:
            problem = (
                f"gives no {', '.join(sorted(missing))}" if missing else f"takes {', '.join(sorted(inputs))}"
            )
            raise CheckpointError(
                f"the graph {problem}", where=str(path), remedy="export the encoder with otkit export"
            )
        self._inputs = inputs

    @property
    def path(self) -> Path:
        """The graph's file."""
        return self._path

    def tokenize(self, sentences: Sequence[Sentence], *, prefix: str | None = None) -> Tokens:
        return self.subwords.tokenize(sentences, prefix=self.settings.prefix if prefix is None else prefix)

    def hidden_states(self, tokens: Tokens, *, layers: Sequence[int]) -> tuple[Tensor, ...]:
        asked = resolve_layers(layers, self.layers)
        there = self.settings.alignment_layers
        for layer in asked:
            if layer not in there:
                raise ConfigError(
                    f"the exported graph has no layer {layer}",
                    where=str(self._path),
                    remedy=(f"use `layers='{','.join(map(str, there))}'`", "export again with that layer"),
                )
        names = ["token_states" if len(there) == 1 else layer_output(layer) for layer in asked]
        return self.run(tokens, names)

    def encode_sentences(self, tokens: Tokens) -> Tensor:
        (vectors,) = self.run(tokens, ["sentence_vector"])
        return self.cut(vectors)

    def cut(self, vectors: Tensor) -> Tensor:
        """(B, E) what the settings leave of the graph's vectors (B, D): all of them, or the first components."""
        if self.settings.truncate_dim is None:
            return vectors
        return torch.nn.functional.normalize(vectors[:, : self.sentence_dimension], dim=-1)

    @property
    def sentence_dimension(self) -> int:
        return min(self._whole, self.settings.truncate_dim or self._whole)

    def pool(self, hidden: Tensor, tokens: Tokens) -> Tensor:
        if self.modules:
            raise ConfigError(
                f"its graph makes vectors of whole sentences alone ({', '.join(self.modules)} are inside)",
                where=str(self._path),
                remedy="use the encoder that it was exported from",
            )
        return self.cut(pool_sentences(hidden, tokens.to(hidden.device), pooling=self.settings.pooling))

    def weights_sha256(self) -> str:
        if self.stands_for is not None:
            return self.stands_for
        digest = hashlib.sha256()
        for file in sorted(self.path.parent.glob(f"{self.path.name}*")):
            digest.update(sha256_of(file).encode())
        return digest.hexdigest()

    def run(self, tokens: Tokens, names: Sequence[str]) -> tuple[Tensor, ...]:
        """The named outputs of the graph; nothing above the alignment layers is computed when nothing asks
        for it."""
        refuse_too_long(tokens, self.max_tokens)
        ids = tokens.ids.cpu().numpy()
        feed = {"input_ids": ids, "attention_mask": tokens.attention.cpu().numpy().astype(np.int64)}
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = np.zeros_like(ids)
        unique = list(dict.fromkeys(names))
        session = self._session if "sentence_vector" in unique else self._session_of_layers()
        found = dict(zip(unique, session.run(unique, feed), strict=True))
        return tuple(torch.from_numpy(found[name]).to(self.device) for name in names)

    def _session_of_layers(self) -> onnxruntime.InferenceSession:
        """ONNX Runtime runs a graph whole whatever is fetched; without the upper layers it saves their time.

        Cutting the graph takes the `onnx` package; where it is not installed the whole graph runs.
        """
        if self._layers_only is None:
            names = [
                name for name in output_names(self.settings.alignment_layers) if name != "sentence_vector"
            ]
            shortened = without_unused(self._path, names) if importlib.util.find_spec("onnx") else None
            self._layers_only = (
                self._session
                if shortened is None
                else _open_session(shortened, str(self._path), self._providers)
            )
        return self._layers_only


def without_unused(path: Path, outputs: list[str]) -> bytes | None:
    """The graph with only the nodes that `outputs` need; None where it is not one self-contained file."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    graph = model.graph
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
        return None
    needed, nodes = set(outputs), []
    for node in reversed(graph.node):  # nodes stand in topological order
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    kept = [tensor for tensor in graph.initializer if tensor.name in needed]
    ends = [output for output in graph.output if output.name in outputs]
    short = onnx.helper.make_graph(nodes[::-1], graph.name, list(graph.input), ends, kept)
    twin = onnx.helper.make_model(short, opset_imports=model.opset_import, ir_version=model.ir_version)
    return bytes(twin.SerializeToString())


_Provider = str | tuple[str, dict[str, Any]]


def _providers(device: str) -> list[_Provider]:
    """Where ONNX Runtime computes, the best first; the CPU takes what the GPU has no kernel for."""
    available = onnxruntime.get_available_providers()
    if device.startswith("cuda") and "CUDAExecutionProvider" not in available:
        raise ConfigError(
            "this ONNX Runtime has no CUDA provider",
            setting="device",
            remedy=("pip install onnxruntime-gpu", "use `device='cpu'`"),
        )
    if device.startswith("cuda") or (device == "auto" and "CUDAExecutionProvider" in available):
        number = device.partition(":")[2]
        if number and not number.isdecimal():
            raise ConfigError(
                f"unknown device {device!r}", remedy="choose from: auto, cpu, cuda, cuda:N", setting="device"
            )
        return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]
    if device not in ("auto", "cpu"):
        raise ConfigError(
            f"an ONNX encoder cannot run on {device!r}",
            remedy="choose from: auto, cpu, cuda, cuda:N",
            setting="device",
        )
    return ["CPUExecutionProvider"]


def _open_session(model: str | bytes, where: str, providers: list[_Provider]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # Left to itself ONNX Runtime starts a thread for every core of the machine, allowed or not.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    options.intra_op_num_threads = min(torch.get_num_threads(), allowed)
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = (
        False  # batches differ in shape: a remembered plan for each would never stop growing
    )
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # its exception classes share no base but this
        first = (str(error).strip().splitlines() or [""])[0][:200]
        raise CheckpointError(
            f"ONNX Runtime cannot open the graph: {first}", where=where, remedy="export the encoder again"
        ) from error


def open_onnx(folder: Path, *, name: str, device: str = "auto") -> OnnxEncoder:
    """Open a folder that `otkit export` wrote, after checking that every file is the one it wrote."""
    manifest = read_manifest(folder)
    facts: dict[str, Any] = manifest.get("encoder", {})
    try:
        numbers = {
            key: int(facts[key]) for key in ("dimension", "layers", "max_tokens", "unknown_id", "padding_id")
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"'encoder' does not state {error}",
            where=str(folder / MANIFEST),
            remedy="export the encoder again",
        ) from error
    with tokenizer_errors():
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    subwords = SubwordTokenizer(
        backend,
        unknown_id=numbers["unknown_id"],
        padding_id=numbers["padding_id"],
        limit=numbers["max_tokens"],
        languages=facts.get("languages"),
        usual=facts.get("usual_language"),
        truncation_side=facts.get("truncation_side", "right"),
    )
    settings = read_settings(folder, layers=numbers["layers"])
    return OnnxEncoder(
        folder / MODEL_FILE,
        subwords,
        name=name,
        settings=settings,
        dimension=numbers["dimension"],
        layers=numbers["layers"],
        modules=facts.get("modules", ()),
        sentence_dimension=facts.get("sentence_dimension"),
        device=device,
    )


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of a finished folder: `facts`, and size and hash of every other file."""
    files = {
        path.relative_to(folder).as_posix(): file_facts(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, MARKER)
    }
    (folder / MANIFEST).write_text(to_json({"format": _FORMAT, **facts, "files": files}), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, after every file that it lists was found unchanged."""
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(
            f"holds an ONNX file but no {MANIFEST}, so nothing says what the graph takes and gives",
            where=str(folder),
            remedy="export the encoder with otkit",
        )
    manifest = read_json(path)
    files = manifest.get("files")
    if manifest.get("format") != _FORMAT or not isinstance(files, dict):
        raise CheckpointError(
            f"is not a manifest of the format {_FORMAT!r}", where=str(path), remedy="export the encoder again"
        )
    for name in {MODEL_FILE, "tokenizer.json", *(one.name for one in folder.glob("*.onnx*"))} - set(files):
        raise CheckpointError(
            f"the manifest does not list {name}", where=str(path), remedy="export the encoder again"
        )
    for name, stated in files.items():
        file = folder / name
        if not isinstance(stated, dict) or Path(name).is_absolute() or ".." in Path(name).parts:
            raise CheckpointError(
                f"the entry {name!r} cannot be used", where=str(path), remedy="export again"
            )
        if not file.is_file():
            raise CheckpointError(
                f"{name} is missing", where=str(folder), remedy="copy the whole folder again"
            )
        if not is_as_stated(file, stated):
            raise CheckpointError(
                f"{name} is not the file that was exported (its SHA-256 differs from {MANIFEST})",
                where=str(folder),
                remedy="copy the folder again from where you trust it, or export again",
            )
    return manifest
