"""The tokenizer that was opened is never changed: what is saved and exported cuts text as the original does."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from otkit.data.parallel import Pair
from otkit.encoders.open import open_encoder
from otkit.encoders.pairs import PairTokenizer
from otkit.encoders.tokens import own_tokenizer
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError
from otkit.exports.folders import FOLDERS, export_folder
from otkit.exports.onnx import export_onnx
from tests.encoders.families import TOKENIZERS, bert_like, raw_text
from tests.encoders.test_checkpoint import add_word_pieces, write_gguf_file

TEXT = "Das Haus (1904) ist klein, не так ли?"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind, as transformers writes it."""
    found: dict[str, Path] = {}
    for number, (kind, (make_tokenizer, make_model)) in enumerate(TOKENIZERS.items()):
        folder = tmp_path_factory.mktemp("tokenizers") / f"model-{number}"
        tokenizer = make_tokenizer()
        torch.manual_seed(0)
        make_model(len(tokenizer)).eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        found[kind] = folder
    return found


def document(folder: Path) -> Any:
    return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))


def use(encoder: TorchEncoder) -> None:
    """All that otkit does with a tokenizer."""
    words = [["Das", "Haus", "</s>", " a"], ["x"] * 20, []]
    encoder.hidden_states(encoder.tokenize(words, prefix="query: "), layers=[-1])
    encoder.subwords.join(words[:1], words[:1])
    encoder.subwords.encode([["x"] * 500])
    with contextlib.suppress(CheckpointError):  # some have no form for two texts
        PairTokenizer(encoder).pieces([TEXT])


def theirs(folder: Path) -> torch.Tensor:
    """What transformers makes of raw text with this folder."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer([TEXT, "Haus"], padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state
    return states[inputs["attention_mask"].bool()]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_saved_and_exported_folders_have_the_tokenizer_that_was_opened(
    kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    original = folders[kind]
    encoder = open_encoder(original, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    before = encoder.tokenizer.backend_tokenizer.to_str()
    use(encoder)
    assert encoder.tokenizer.backend_tokenizer.to_str() == before
    assert not encoder.tokenizer.backend_tokenizer.encode_special_tokens
    encoder.save(tmp_path / "saved")
    for to in FOLDERS:
        if to != "gguf":
            export_folder(encoder, tmp_path / to, to=to)
    expected = theirs(original)
    for name in ("saved", "transformers", "sentence-transformers"):
        assert document(tmp_path / name) == document(original), name
        assert torch.equal(theirs(tmp_path / name), expected), name


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_words_are_cut_as_in_the_middle_of_a_text(kind: str, folders: dict[str, Path]) -> None:
    encoder = open_encoder(folders[kind], device="cpu")
    backend = AutoTokenizer.from_pretrained(folders[kind]).backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    for text in raw_text(5)[-20:]:
        words = text.split(" ")
        expected = backend.encode(text, add_special_tokens=False).ids
        found = [piece for word in encoder.subwords.pieces(words) for piece in word]
        # The first word of a text has no space before it where that marks a word.
        length = len(encoder.subwords.pieces(words[:1])[0])
        alone = backend.encode(words[0], add_special_tokens=False).ids
        assert found[length:] == expected[len(alone) :], text


@pytest.mark.slow
def test_an_onnx_folder_has_it_too(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["byte-level, RoBERTa"][0]()
    torch.manual_seed(0)
    model = bert_like("Roberta", pad_token_id=1, num_hidden_layers=1)(len(tokenizer)).eval()
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    encoder = open_encoder(tmp_path / "model", device="cpu")
    assert isinstance(encoder, TorchEncoder)
    export_onnx(encoder, tmp_path / "onnx", pairs={"de": [Pair("Das Haus", "the house", 1)]})
    assert document(tmp_path / "onnx") == document(tmp_path / "model")
    again = open_encoder(tmp_path / "onnx", device="cpu")
    words = [TEXT.split(), ["Haus"]]
    assert torch.equal(again.tokenize(words).ids, encoder.tokenize(words).ids)


@pytest.mark.parametrize("place", ["inside the file", "beside the file"])
def test_a_gguf_file_keeps_its_tokenizer(place: str, tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    original = tmp_path / "original"
    if place == "inside the file":
        original.mkdir()
        write_gguf_file(original / "small.gguf", add_word_pieces)
    else:
        export_folder(tiny_encoder, original, to="gguf", gguf_type="f32")
    encoder = open_encoder(original, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    before = encoder.tokenizer.backend_tokenizer.to_str()
    encoder.hidden_states(encoder.tokenize([["das", "[SEP]"], ["x"]]), layers=[-1])
    export_folder(encoder, tmp_path / "gguf", to="gguf", gguf_type="f32")
    assert encoder.tokenizer.backend_tokenizer.to_str() == before
    assert document(tmp_path / "gguf") == json.loads(before)
    if place == "beside the file":
        assert document(tmp_path / "gguf") == document(original)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_tokenizer_of_ones_own_cuts_as_a_copy_would(kind: str, folders: dict[str, Path]) -> None:
    backend = AutoTokenizer.from_pretrained(folders[kind]).backend_tokenizer
    copy = type(backend).from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    own = own_tokenizer(backend)
    for text in raw_text(5):
        assert own.encode(text).ids == copy.encode(text).ids
    assert own.encode("a </s>").ids != copy.encode("a </s>").ids or kind.startswith("WordPiece")
