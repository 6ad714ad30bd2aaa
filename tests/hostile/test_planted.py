"""What is planted in real folders: weights of a graph that lie elsewhere, tokenizers without a bottom or an end,
pickles in the place of an index."""

from __future__ import annotations

import contextlib
import json
import pickle
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from otkit.encoders.onnx import write_manifest
from otkit.encoders.open import open_encoder
from otkit.errors import OtkitError
from otkit.exports.onnx import export_onnx
from otkit.files import file_facts
from otkit.vectors.embedder import Embedder
from otkit.vectors.embeddings import TextInput, embed_corpora
from otkit.vectors.folder import open_vectors
from otkit.vectors.index import open_index
from otkit.vectors.settings import EmbeddingSettings
from tests.conftest import make_tiny_encoder
from tests.exports.conftest import PAIRS


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("graph") / "onnx"
    return export_onnx(make_tiny_encoder(), place, pairs=PAIRS).folder


@pytest.mark.parametrize(
    "place", ["../outside.bin", "/ROOT/outside.bin", "down/../../outside.bin", "link.bin"]
)
def test_weights_outside_the_folder_of_a_graph_are_refused(place: str, graph: Path, tmp_path: Path) -> None:
    """Under a manifest that is true: whoever writes the graph can write it too."""
    onnx = pytest.importorskip("onnx")
    folder = Path(shutil.copytree(graph, tmp_path / "onnx"))
    model = onnx.load(str(folder / "model.onnx"))
    outside = tmp_path / "outside.bin"
    with outside.open("wb") as file:
        for tensor in model.graph.initializer:
            if len(tensor.raw_data) < 128:
                continue
            facts = {
                "location": place.replace("/ROOT", str(tmp_path)),
                "offset": str(file.tell()),
                "length": str(file.write(tensor.raw_data)),
            }
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in facts.items():
                tensor.external_data.add(key=key, value=value)
    assert outside.stat().st_size > 1000
    (folder / "down").mkdir()
    (folder / "link.bin").symlink_to(outside)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    facts = json.loads((folder / "manifest.json").read_text())
    (folder / "link.bin").unlink()
    write_manifest(folder, {key: value for key, value in facts.items() if key not in ("format", "files")})
    (folder / "link.bin").symlink_to(outside)
    with pytest.raises(OtkitError, match="cannot open the graph"):
        open_encoder(folder, device="cpu")


def _tokenizers(folder: Path, kind: str) -> None:
    path = folder / "tokenizer.json"
    if kind == "deep":
        path.write_bytes(b'{"a": ' * 10_000 + b"1" + b"}" * 10_000)
    elif kind == "deep where it is read":
        facts = json.loads(path.read_text())
        facts["normalizer"] = "DEEP"
        deep = '{"type": "Sequence", "normalizers": [' * 10_000 + "]}" * 10_000
        path.write_text(json.dumps(facts).replace('"DEEP"', deep))
    else:
        with path.open("wb") as file:
            file.truncate(500_000_000)  # nothing is written: it has holes


@pytest.mark.parametrize("kind", ["deep", "deep where it is read", "huge"])
@pytest.mark.parametrize("of", ["transformers", "onnx", "gguf"])
def test_a_tokenizer_without_a_bottom_or_an_end_is_one_error(
    kind: str, of: str, graph: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "x"
    if of == "onnx":
        shutil.copytree(graph, folder)
    elif of == "transformers":
        make_tiny_encoder().save(folder)
    else:
        from tests.encoders.test_checkpoint import write_gguf_file

        folder.mkdir()
        write_gguf_file(folder / "x.gguf")
    if of == "gguf" and kind == "deep where it is read":
        shutil.copy(graph / "tokenizer.json", folder / "tokenizer.json")
    _tokenizers(folder, kind)
    if of == "onnx" and kind != "huge":
        facts = json.loads((folder / "manifest.json").read_text())
        facts["files"]["tokenizer.json"] = file_facts(folder / "tokenizer.json")
        (folder / "manifest.json").write_text(json.dumps(facts))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(OtkitError) as refused:
        open_encoder(folder, device="cpu")
    assert len(str(refused.value)) < 1000
    assert "\n" not in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


class _Payload:
    """Whoever unpickles it leaves a file: harmless, and seen."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_no_pickle_in_the_place_of_an_index_or_beside_it_runs(tmp_path: Path) -> None:
    text, folder, ran = tmp_path / "de-en.tsv", tmp_path / "out", tmp_path / "ran"
    text.write_text("".join(f"das haus {n}\tthe house {n}\n" for n in range(12)), encoding="utf-8")
    inputs = [TextInput(str(text), languages={"source": "de", "target": "en"})]
    encoder = Embedder(make_tiny_encoder())
    embed_corpora(encoder, inputs, folder, config=EmbeddingSettings(shards="npy", index="hnsw"))
    data = pickle.dumps(_Payload(ran))
    for name in ("index.pkl", "index.faiss.pkl", "docstore.pkl", "metadata.pkl", "index.faiss.meta"):
        (folder / name).write_bytes(data)
    vectors = open_vectors(folder)
    question = next(vectors.blocks())[:1]
    open_index(vectors, vectors.facts["index"]).search(question, 3)
    for planted in (data, (folder / "index.faiss").read_bytes() + data):
        (folder / "index.faiss").write_bytes(planted)
        facts = {**vectors.facts["index"], **file_facts(folder / "index.faiss")}
        with contextlib.suppress(OtkitError):
            open_index(vectors, facts).search(question, 3)
    assert not ran.exists()
