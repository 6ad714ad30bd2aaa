"""Adapters of peft open over their base, and weights in every form that the Hub has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from otkit.encoders.open import open_encoder
from otkit.encoders.sentences import encode_sentences
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError
from tests.encoders.families import FAMILIES, common, write_family

SENTENCES = [["das", "haus", "ist", "klein"], ["x"], ["the", "house"]]
TASKS: dict[str, tuple[str, Any, Callable[[Any], Any]]] = {
    "encoder": ("bert", hf.AutoModel, lambda model: model),
    "decoder": ("qwen3", hf.AutoModel, lambda model: model),
    "decoder under a head": ("qwen3", hf.AutoModelForCausalLM, lambda model: model.model),
    "encoder under a head": ("bert", hf.AutoModelForMaskedLM, lambda model: model.bert),
    "a head trained too": ("bert", hf.AutoModelForSequenceClassification, lambda model: model.bert),
}
TARGETS = {"bert": ["query", "value", "dense"], "qwen3": ["q_proj", "v_proj", "up_proj"]}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {family: write_family(FAMILIES[family], root / family) for family in TARGETS}


def adapt(base: Path, folder: Path, *, loader: Any = hf.AutoModel, **more: Any) -> Any:
    peft = pytest.importorskip("peft")
    torch.manual_seed(4)
    config = peft.LoraConfig(r=4, init_lora_weights=False, **more)
    model = peft.get_peft_model(loader.from_pretrained(base), config).eval()
    model.save_pretrained(folder)
    return model.base_model.model


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"bias": "lora_only"}, "the adapter trained more than matrices .bias is 'lora_only'"),
        ({"modules_to_save": ["LayerNorm"]}, "have no place in the encoder"),
    ],
)
def test_an_adapter_of_more_than_matrices_is_refused(
    bases: dict[str, Path], tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    """Its other weights were left out without a word, and the vectors were others."""
    adapt(bases["bert"], tmp_path / "adapter", target_modules=["query"], **more)
    with pytest.raises(CheckpointError, match=f"{said}.*merge it into its base with peft"):
        open_encoder(tmp_path / "adapter", device="cpu")


@pytest.mark.parametrize("kind", TASKS)
def test_an_adapter_opens_over_its_base(kind: str, bases: dict[str, Path], tmp_path: Path) -> None:
    family, loader, inside = TASKS[kind]
    more = {"task_type": "SEQ_CLS"} if kind == "a head trained too" else {}
    targets = [name for name in TARGETS[family] if "head" not in kind or name != "dense"]
    model = adapt(bases[family], tmp_path / "adapter", loader=loader, target_modules=targets, **more)
    encoder = open_encoder(tmp_path / "adapter", device="cpu")
    assert isinstance(encoder, TorchEncoder)
    assert encoder.name == "adapter"
    tokens = encoder.tokenize(SENTENCES)
    with torch.inference_mode():
        given = {"input_ids": tokens.ids, "attention_mask": tokens.attention.long()}
        expected = inside(model)(**given).last_hidden_state
        (found,) = encoder.hidden_states(tokens, layers=[-1])
        (without,) = open_encoder(bases[family], device="cpu").hidden_states(tokens, layers=[-1])
    torch.testing.assert_close(found[tokens.attention], expected[tokens.attention], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(without, found, atol=1e-2)
    encoder.save(tmp_path / "merged")
    again = open_encoder(tmp_path / "merged", device="cpu")
    assert again.weights_sha256() == encoder.weights_sha256()


def test_an_adapter_of_sentence_transformers_keeps_its_own_text(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    """Its limit, its case and its side of a cut stand in its folder, not in its base's."""
    library = pytest.importorskip("sentence_transformers")
    peft = pytest.importorskip("peft")
    model = library.SentenceTransformer(str(bases["bert"]), device="cpu")
    model.add_adapter(peft.LoraConfig(r=4, init_lora_weights=False, target_modules=TARGETS["bert"]))
    model.save(str(tmp_path / "adapter"), create_model_card=False)
    for name, stated in (
        ("tokenizer_config.json", {"model_max_length": 8, "truncation_side": "left"}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
    ):
        path = tmp_path / "adapter" / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **stated}))
    texts = ["Das Haus ist klein .", "the house is small and the house is a house", "X"]
    expected = library.SentenceTransformer(str(tmp_path / "adapter"), device="cpu").encode(
        texts, normalize_embeddings=True
    )
    encoder = open_encoder(tmp_path / "adapter", device="cpu")
    assert encoder.max_tokens == 8
    np.testing.assert_allclose(encode_sentences(encoder, texts, long="cut"), expected, atol=1e-5)


def edit(**changed: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))

    return change


def pickled(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def spoil(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])


def rename(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    weights = {name.replace("layer.1", "layer.9"): tensor for name, tensor in load_file(path).items()}
    save_file(weights, path)


def lose(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    weights.pop(sorted(weights)[0])
    save_file(weights, path)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "another kind": (edit(peft_type="IA3"), "the adapter is of the kind 'IA3'; only LORA"),
    "no base": (edit(base_model_name_or_path=None), "names no base_model_name_or_path"),
    "a base that is gone": (edit(base_model_name_or_path="/nowhere/base"), "no such file or folder"),
    "pickle": (pickled, "holds no adapter_model.safetensors"),
    "cut": (spoil, "its safetensors file is truncated or damaged"),
    "other layers": (rename, r"\d+ of its \d+ weights have no place in the encoder"),
    "a lost weight": (lose, "the adapter and its base do not agree about"),
    "other targets": (edit(target_modules=["nonesuch"]), "the adapter does not fit its base"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_adapter_that_cannot_be_added_is_named(kind: str, bases: dict[str, Path], tmp_path: Path) -> None:
    change, message = REFUSED[kind]
    adapt(bases["bert"], tmp_path / "adapter", target_modules=["query"])
    change(tmp_path / "adapter")
    with pytest.raises(CheckpointError, match=message):
        open_encoder(tmp_path / "adapter", device="cpu")


FORMS: dict[str, Callable[[hf.PreTrainedModel, Path], Any]] = {
    "fp16": lambda model, folder: model.half().save_pretrained(folder),
    "bf16": lambda model, folder: model.bfloat16().save_pretrained(folder),
    "shards": lambda model, folder: model.save_pretrained(folder, max_shard_size="20KB"),
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_open_in_every_form(form: str, bases: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    model = hf.AutoModel.from_pretrained(bases["bert"])
    FORMS[form](model, folder)
    hf.AutoTokenizer.from_pretrained(bases["bert"]).save_pretrained(folder)
    encoder = open_encoder(folder, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    state = model.float().state_dict()
    for name, tensor in encoder.model.state_dict().items():
        assert tensor.dtype in (torch.float32, torch.int64)
        assert torch.equal(tensor, state[name]), name
    if form == "shards":
        assert len(list(folder.glob("*.safetensors"))) > 1


HEADS = ["ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"]


@pytest.mark.parametrize("head", HEADS)
def test_what_stands_under_a_task_head_opens(head: str, bases: dict[str, Path], tmp_path: Path) -> None:
    torch.manual_seed(5)
    config = hf.BertConfig(**{**common(200), "tie_word_embeddings": True})
    model = getattr(hf, f"Bert{head}")(config).eval()
    model.save_pretrained(tmp_path / "model")
    hf.AutoTokenizer.from_pretrained(bases["bert"]).save_pretrained(tmp_path / "model")
    encoder = open_encoder(tmp_path / "model", device="cpu")
    assert isinstance(encoder, TorchEncoder)
    state = model.bert.state_dict()
    for name, tensor in encoder.model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
