"""Folders of sentence-transformers: the vectors are its own, or the module that cannot be computed is named."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import otkit
from otkit.cli.info import facts_table
from otkit.encoders.families import ENCODERS, WITH_DECODER
from otkit.encoders.open import open_encoder
from otkit.encoders.sentences import encode_sentences
from otkit.encoders.static import StaticEncoder
from otkit.encoders.tokens import TooLongError
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ConfigError, ExportError
from otkit.exports.card import folder_card
from otkit.exports.folders import export_folder
from otkit.exports.gate import Limits
from otkit.exports.onnx import export_onnx
from otkit.exports.settings import ExportSettings
from tests.conftest import mostly_slow
from tests.encoders.families import (
    FAMILIES,
    SPECIALS,
    bert_like,
    gemma_tokenizer,
    modernbert_tokenizer,
    raw_text,
    roberta_tokenizer,
    unigram_tokenizer,
    word_piece_tokenizer,
    write_family,
)
from tests.exports.conftest import PAIRS

st = pytest.importorskip("sentence_transformers")
modules = pytest.importorskip("sentence_transformers.models")

WIDTH = 32
ANY = Limits(difference=100, cosine=-1, agreement=0, retrieval_loss=100)
Model = Any  # SentenceTransformer


def texts() -> list[str]:
    """Sentences as they are, and texts of 1 to 600 words."""
    words = ["das", "Haus", "ist", "klein", ",", "the", "house", "is", "small", "und", "ein"]
    real = " ".join(raw_text(10)).split()
    long = [" ".join(islice(cycle(words), count)) for count in (1, 2, 17, 130, 600)]
    return [*raw_text(3), "x", "", " ".join(real[:70]), *long]


def save_encoder(folder: Path, make: Callable[[int], Any], tokenizer: Any) -> Path:
    tokenizer.model_max_length = int(1e30)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    torch.manual_seed(1)
    make(len(tokenizer)).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


LONG = {"max_position_embeddings": 4096}
BERT = (bert_like("Bert", **LONG), word_piece_tokenizer)
XLMR = (bert_like("XLMRoberta", pad_token_id=1, **LONG), unigram_tokenizer)
ROBERTA = (bert_like("Roberta", pad_token_id=1, **LONG), roberta_tokenizer)
MODERN = (bert_like("ModernBert", **SPECIALS, **LONG), modernbert_tokenizer)
GEMMA = (bert_like("ModernBert", **SPECIALS, **LONG), gemma_tokenizer)


def pool(*modes: str, **more: Any) -> nn.Module:
    return modules.Pooling(WIDTH, pooling_mode=modes, **more)


def dense(out: int, activation: nn.Module | None = None, wide: int = WIDTH, **more: Any) -> nn.Module:
    return modules.Dense(wide, out, activation_function=activation or nn.Tanh(), **more)


def layer_norm(width: int) -> nn.Module:
    module = modules.LayerNorm(width)
    nn.init.normal_(module.norm.weight)
    nn.init.normal_(module.norm.bias)
    return module


Stack = tuple[Any, Callable[[], list[nn.Module]], dict[str, Any]]

STACKS: dict[str, Stack] = {
    "mean": (XLMR, lambda: [pool("mean")], {}),
    "LaBSE: first token, Dense with tanh": (
        BERT,
        lambda: [pool("cls"), dense(WIDTH), modules.Normalize()],
        {},
    ),
    "mean, a narrow Dense": (ROBERTA, lambda: [pool("mean"), dense(12, nn.GELU(), bias=False)], {}),
    "EmbeddingGemma: two linear Dense": (
        GEMMA,
        lambda: [
            pool("mean"),
            dense(64, nn.Identity(), bias=False),
            dense(24, nn.Identity(), 64, bias=False),
            modules.Normalize(),
        ],
        {"prompts": {"query": "task: search result | query: ", "document": "title: none | text: "}},
    ),
    "max": (BERT, lambda: [pool("max"), modules.Normalize()], {}),
    "mean over the root of the length": (MODERN, lambda: [pool("mean_sqrt_len_tokens"), dense(20)], {}),
    "weighted mean": (ROBERTA, lambda: [pool("weightedmean")], {}),
    "Qwen3: last token, a prompt": (
        MODERN,
        lambda: [pool("lasttoken"), modules.Normalize()],
        {
            "prompts": {"query": "Instruct: Find the answer\nQuery:", "document": ""},
            "default_prompt_name": "query",
        },
    ),
    "three poolings": (XLMR, lambda: [pool("mean", "cls", "max"), layer_norm(3 * WIDTH)], {}),
    "two poolings in another order, Dense": (
        BERT,
        lambda: [pool("lasttoken", "mean"), dense(WIDTH, nn.ReLU(), 2 * WIDTH), modules.Normalize()],
        {},
    ),
    "Dense with what came in": (
        BERT,
        lambda: [pool("mean"), dense(WIDTH, nn.SiLU(), use_residual=True), dense(8, use_residual=True)],
        {},
    ),
    "layer norm, dropout": (XLMR, lambda: [pool("mean"), modules.Dropout(0.5), layer_norm(WIDTH)], {}),
    "Normalize before Dense": (
        BERT,
        lambda: [pool("cls"), modules.Normalize(), dense(16, nn.Sigmoid()), modules.Normalize()],
        {},
    ),
    "Instructor: the prompt does not count": (
        ROBERTA,
        lambda: [pool("mean", "weightedmean", "cls", include_prompt=False), dense(9, None, 3 * WIDTH)],
        {"prompts": {"science": "Represent the science title: "}, "default_prompt_name": "science"},
    ),
    "E5: a prompt that counts": (
        XLMR,
        lambda: [pool("mean"), modules.Normalize()],
        {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "passage"},
    ),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Model]]:
    """Each stack, saved by sentence-transformers once, and opened by it again."""
    root = tmp_path_factory.mktemp("stacks")
    known: dict[str, tuple[Path, Model]] = {}

    def find(name: str) -> tuple[Path, Model]:
        if name not in known:
            (make, tokenizer), behind, more = STACKS[name]
            place = root / str(len(known))
            transformer = modules.Transformer(str(save_encoder(place / "encoder", make, tokenizer())))
            torch.manual_seed(2)
            model = st.SentenceTransformer(modules=[transformer, *behind()], device="cpu", **more)
            model.save(str(place / "model"), create_model_card=False)
            known[name] = place / "model", st.SentenceTransformer(str(place / "model"), device="cpu")
        return known[name]

    return find


def theirs(model: Model, sentences: list[str], **more: Any) -> np.ndarray:
    for module in model:
        tokenizer = getattr(module, "tokenizer", None)
        if tokenizer is not None and getattr(tokenizer, "model_max_length", 0) is None:
            tokenizer.model_max_length = int(1e30)  # sentence-transformers sets None where there is no limit
    return np.asarray(model.encode(sentences, normalize_embeddings=True, batch_size=4, **more))


def equal(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


QUICK = "LaBSE: first token, Dense with tanh"


@pytest.mark.parametrize(
    "name",
    mostly_slow(
        STACKS, QUICK, "weighted mean", "three poolings", "Normalize before Dense", "E5: a prompt that counts"
    ),
)
def test_vectors_are_those_of_sentence_transformers(
    name: str, built: Callable[[str], tuple[Path, Model]]
) -> None:
    folder, model = built(name)
    encoder = open_encoder(folder, device="cpu")
    sentences = texts()
    expected = theirs(model, sentences)
    assert encoder.sentence_dimension == expected.shape[1]
    equal(encode_sentences(encoder, sentences), expected)
    for prompt, text in STACKS[name][2].get("prompts", {"": ""}).items():
        for given in (prompt, text):
            equal(encode_sentences(encoder, sentences, prompt=given), theirs(model, sentences, prompt=text))


@pytest.mark.parametrize("name", STACKS)
def test_a_saved_encoder_keeps_its_stack(
    name: str, built: Callable[[str], tuple[Path, Model]], tmp_path: Path
) -> None:
    folder, model = built(name)
    encoder = open_encoder(folder, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    sentences = texts()[:20]
    encoder.save(tmp_path / "saved")
    again = open_encoder(tmp_path / "saved", device="cpu")
    equal(encode_sentences(again, sentences), theirs(model, sentences))
    assert again.weights_sha256() == encoder.weights_sha256()
    export_folder(encoder, tmp_path / "exported", to="sentence-transformers")
    exported = st.SentenceTransformer(str(tmp_path / "exported"), device="cpu")
    equal(theirs(exported, sentences), theirs(model, sentences))


GRAPHS = [
    pytest.param(name, marks=() if name == QUICK else pytest.mark.slow)
    for name, (_, _, more) in STACKS.items()
    if "science" not in more.get("prompts", {})  # which a graph cannot hold: refused below
]


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_holds_the_whole_stack(
    name: str, built: Callable[[str], tuple[Path, Model]], tmp_path: Path
) -> None:
    folder, model = built(name)
    encoder = open_encoder(folder, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    export_onnx(encoder, tmp_path / "onnx", pairs=PAIRS)
    graph = open_encoder(tmp_path / "onnx", device="cpu")
    sentences = texts()
    equal(encode_sentences(graph, sentences), theirs(model, sentences))
    assert graph.sentence_dimension == encoder.sentence_dimension
    ways = [dict(facts_table(each).rows)["sentence vector"] for each in (encoder, graph)]
    assert ways[0] == ways[1]


def test_what_a_graph_or_another_layout_cannot_hold_is_refused(
    built: Callable[[str], tuple[Path, Model]], tmp_path: Path
) -> None:
    prompted = open_encoder(built("Instructor: the prompt does not count")[0], device="cpu")
    labse = open_encoder(built("LaBSE: first token, Dense with tanh")[0], device="cpu")
    assert isinstance(prompted, TorchEncoder)
    assert isinstance(labse, TorchEncoder)
    with pytest.raises(ExportError, match="its pooling leaves out the prompt"):
        export_onnx(prompted, tmp_path / "onnx", pairs=PAIRS)
    for to in ("transformers", "gguf"):
        with pytest.raises(
            ExportError, match=f"need Dense, Normalize, which a folder for {to} does not hold"
        ):
            export_folder(labse, tmp_path / to, to=to)


def test_texts_are_cut_where_the_model_says(built: Callable[[str], tuple[Path, Model]]) -> None:
    folder, model = built("E5: a prompt that counts")
    stated = json.loads((folder / "sentence_bert_config.json").read_text())
    (folder / "sentence_bert_config.json").write_text(json.dumps({**stated, "max_seq_length": 20}))
    encoder = open_encoder(folder, device="cpu")
    (folder / "sentence_bert_config.json").write_text(json.dumps(stated))
    sentences = texts()
    model.max_seq_length = 20
    try:
        expected = theirs(model, sentences)
    finally:
        model.max_seq_length = None
    equal(encode_sentences(encoder, sentences, long="cut"), expected)
    assert encoder.max_tokens > 600, "words are not cut"
    said = r"sentence \d+ has \d+ subword tokens and the encoder takes 20; .*leave its end away: `long='cut'`"
    with pytest.raises(TooLongError, match=said):
        encode_sentences(encoder, sentences)


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_are_cut_at_the_end_that_the_tokenizer_says(
    side: str, built: Callable[[str], tuple[Path, Model]], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(built("E5: a prompt that counts")[0], tmp_path / "model"))
    edit("tokenizer_config.json", truncation_side=side, model_max_length=12)(folder)
    expected = theirs(st.SentenceTransformer(str(folder), device="cpu"), texts())
    encoder = open_encoder(folder, device="cpu")
    equal(encode_sentences(encoder, texts(), long="cut"), expected)
    if side == "left":
        assert isinstance(encoder, TorchEncoder)
        export_onnx(encoder, tmp_path / "onnx", pairs=PAIRS, limits=ANY)
        equal(encode_sentences(open_encoder(tmp_path / "onnx", device="cpu"), texts(), long="cut"), expected)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_the_old_names_of_the_settings_are_read(
    family: str, built: Callable[[str], tuple[Path, Model]], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(built("mean")[0], tmp_path / "model"))
    (folder / "sentence_bert_config.json").unlink()
    stated = {"max_seq_length": 9, "do_lower_case": True}
    (folder / f"sentence_{family}_config.json").write_text(json.dumps(stated))
    expected = theirs(st.SentenceTransformer(str(folder), device="cpu"), texts())
    equal(encode_sentences(open_encoder(folder, device="cpu"), texts(), long="cut"), expected)


def test_a_narrow_sentence_vector_is_made_smaller_too(
    built: Callable[[str], tuple[Path, Model]], tmp_path: Path
) -> None:
    """ONNX Runtime's own inference of shapes met the notes of the exporter, and failed."""
    encoder = open_encoder(built("mean, a narrow Dense")[0], device="cpu")
    assert isinstance(encoder, TorchEncoder)
    made = export_onnx(encoder, tmp_path / "onnx", ExportSettings(quantize="int8"), pairs=PAIRS, limits=ANY)
    assert made.chosen.recipe.startswith("int8, dynamic")
    cosines = encode_sentences(open_encoder(tmp_path / "onnx", device="cpu"), texts()[:3]) * encode_sentences(
        encoder, texts()[:3]
    )
    assert cosines.sum(1).min() > 0.9


@pytest.mark.parametrize("family", list(ENCODERS))
def test_an_encoder_with_a_decoder_gives_the_same_vectors_or_says_that_it_cannot(
    family: str, tmp_path: Path
) -> None:
    folder = write_family(FAMILIES[family], tmp_path / "encoder")
    encoder = open_encoder(folder, device="cpu")
    assert isinstance(encoder, TorchEncoder)
    if family in WITH_DECODER:
        with pytest.raises(ExportError, match=f"opens {family} with a decoder"):
            export_folder(encoder, tmp_path / "out", to="sentence-transformers")
        st.SentenceTransformer(str(folder), device="cpu").save(str(tmp_path / "theirs"))
        with pytest.raises(CheckpointError, match=r"states of its decoder .* take modules.json away"):
            open_encoder(tmp_path / "theirs", device="cpu")
        (tmp_path / "theirs" / "modules.json").unlink()
        again = open_encoder(tmp_path / "theirs", device="cpu")
        equal(encode_sentences(again, ["das haus"]), encode_sentences(encoder, ["das haus"]))
        return
    export_folder(encoder, tmp_path / "out", to="sentence-transformers")
    expected = theirs(st.SentenceTransformer(str(tmp_path / "out"), device="cpu"), ["das haus", "a"])
    equal(encode_sentences(encoder, ["das haus", "a"]), expected)


def test_vectors_are_made_shorter(built: Callable[[str], tuple[Path, Model]]) -> None:
    folder, model = built("EmbeddingGemma: two linear Dense")
    (folder / "otkit.json").write_text(json.dumps({"encoder": {"truncate_dim": 10}}))
    encoder = open_encoder(folder, device="cpu")
    (folder / "otkit.json").unlink()
    assert encoder.sentence_dimension == 10
    equal(encode_sentences(encoder, texts()), theirs(model, texts(), truncate_dim=10))
    assert isinstance(encoder, TorchEncoder)
    assert ', truncate_dim=10).encode(["a sentence"])' in folder_card(encoder, "sentence-transformers")


def test_embed_and_search_take_prompts_by_name(
    built: Callable[[str], tuple[Path, Model]], tmp_path: Path
) -> None:
    folder, model = built("E5: a prompt that counts")
    sentences = [text for text in texts() if text]
    (tmp_path / "texts").write_text("".join(f"{text}\n" for text in sentences), encoding="utf-8")
    made = otkit.embed(
        tmp_path / "texts",
        encoder=folder,
        output=tmp_path / "v",
        prompt="query",
        truncate_dim=7,
        index="none",
        device="cpu",
    )
    found = np.concatenate(list(made.vectors.blocks()))
    equal(found, theirs(model, sentences, prompt_name="query", truncate_dim=7))
    (answer,) = otkit.search(tmp_path / "v", "das Haus", prompt="passage", k=3, device="cpu")
    question = theirs(model, ["das Haus"], prompt_name="passage", truncate_dim=7)[0]
    expected = np.sort(found @ question)[::-1][:3]
    np.testing.assert_allclose([hit.score for hit in answer.hits], expected, atol=1e-5)
    with pytest.raises(ConfigError, match="unknown prompt 'qurey'; did you mean 'query'"):
        otkit.search(tmp_path / "v", "das Haus", prompt="qurey", device="cpu")
    with pytest.raises(ConfigError, match="received 33, and the sentence vectors have 32 numbers"):
        otkit.embed(tmp_path / "texts", encoder=folder, output=tmp_path / "w", truncate_dim=33, device="cpu")


def test_text_is_lower_cased_first(tmp_path: Path) -> None:
    (make, tokenizer) = XLMR
    folder = save_encoder(tmp_path / "encoder", make, tokenizer())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = st.SentenceTransformer(
            modules=[modules.Transformer(str(folder), do_lower_case=True), pool("mean")], device="cpu"
        )
    model.save(str(tmp_path / "model"), create_model_card=False)
    stated = {"max_seq_length": None, "do_lower_case": True}  # as older versions wrote it
    (tmp_path / "model" / "sentence_bert_config.json").write_text(json.dumps(stated))
    expected = theirs(st.SentenceTransformer(str(tmp_path / "model"), device="cpu"), texts())
    equal(encode_sentences(open_encoder(tmp_path / "model", device="cpu"), texts()), expected)


@pytest.mark.parametrize("behind", [[], [modules.Normalize()], [dense(5, nn.Tanh(), 16)]], ids=len)
def test_static_embeddings(behind: list[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(3)
    static = modules.StaticEmbedding(unigram_tokenizer().backend_tokenizer, embedding_dim=16)
    static.tokenizer.no_truncation()
    model = st.SentenceTransformer(modules=[static, *behind], device="cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    encoder = open_encoder(tmp_path / "model", device="cpu")
    assert isinstance(encoder, StaticEncoder)
    equal(encode_sentences(encoder, texts()), theirs(model, texts()))
    tokens = encoder.tokenize([["das", "Haus"]])
    assert (tokens.word_ids >= 0).all(), "no special tokens"


def test_static_embeddings_of_model2vec(tmp_path: Path) -> None:
    torch.manual_seed(3)
    backend = unigram_tokenizer().backend_tokenizer
    backend.no_truncation()
    backend.save(str(tmp_path / "tokenizer.json"))
    size = backend.get_vocab_size()
    weights = {
        "embeddings": torch.randn(40, 16),
        "mapping": torch.randint(0, 40, (size,)),
        "weights": torch.rand(size),
    }
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "model2vec"}')
    listed = [
        {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"},
        {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    model = st.SentenceTransformer(
        modules=[modules.StaticEmbedding.load(str(tmp_path)), modules.Normalize()], device="cpu"
    )
    equal(encode_sentences(open_encoder(tmp_path, device="cpu"), texts()), theirs(model, texts()))


def labse(folder: Path) -> Path:
    """A LaBSE-shaped folder written by hand."""
    from tests.conftest import make_tiny_encoder

    make_tiny_encoder().save(folder)
    (folder / "otkit.json").unlink()
    kinds = [
        ("Transformer", ""),
        ("Pooling", "1_Pooling"),
        ("Dense", "2_Dense"),
        ("Normalize", "3_Normalize"),
    ]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    for _, path in kinds[1:]:
        (folder / path).mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    stated = {
        "in_features": 32,
        "out_features": 32,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    (folder / "2_Dense" / "config.json").write_text(json.dumps(stated))
    weights = {"linear.weight": torch.eye(32), "linear.bias": torch.zeros(32)}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    return folder


def edit(name: str, **changed: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        stated = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**stated, **changed}))

    return change


def rename_module(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "modules.json"
        path.write_text(path.read_text().replace(old, new))

    return change


def pickled(folder: Path) -> None:
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")


def spoil(folder: Path) -> None:
    path = folder / "2_Dense" / "model.safetensors"
    weights = load_file(path)
    weights["linear.weight"][3, 3] = float("nan")
    save_file(weights, path)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "LSTM": (rename_module("models.Dense", "models.LSTM"), "the module 'LSTM' of its sentence vectors"),
    "bag of words": (rename_module("models.Transformer", "models.BoW"), "the module 'BoW'"),
    "own code": (rename_module("sentence_transformers.models.Dense", "custom.Dense"), "never run"),
    "outside": (rename_module("2_Dense", "../elsewhere"), "outside"),
    "no pooling": (rename_module("models.Pooling", "models.Dropout"), "the module 'Dense'"),
    "pooling": (edit("1_Pooling/config.json", pooling_mode="sum"), r"its pooling \(sum\) is not one of"),
    "activation": (
        edit("2_Dense/config.json", activation_function="custom.Snake"),
        "its activation is 'custom.Snake'",
    ),
    "activation of torch that is none": (
        edit("2_Dense/config.json", activation_function="torch.nn.Linear"),
        "its activation is 'torch.nn.Linear'",
    ),
    "tokens through Dense": (
        edit("2_Dense/config.json", module_input_name="token_embeddings"),
        "its Dense has module_input_name 'token_embeddings'",
    ),
    "pickle": (pickled, r"the weights of this module are a pickle \(pytorch_model.bin\)"),
    "another shape": (
        edit("2_Dense/config.json", out_features=31),
        "its weights are .* its config.json says",
    ),
    "another width": (
        edit("1_Pooling/config.json", pooling_mode=["cls", "mean"]),
        "its Dense takes vectors of width 32, and gets 64",
    ),
    "not finite": (spoil, "its weights are not all finite"),
    "prompt": (
        edit("config_sentence_transformers.json", default_prompt_name="query"),
        "default_prompt_name is 'query', which is none of its prompts",
    ),
    "task": (
        edit("sentence_bert_config.json", transformer_task="fill-mask"),
        "transformer_task is 'fill-mask', which cannot be honoured",
    ),
    "length": (edit("sentence_bert_config.json", max_seq_length="long"), "max_seq_length is 'long'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_honoured_is_named(kind: str, tmp_path: Path) -> None:
    change, message = REFUSED[kind]
    folder = labse(tmp_path / "model")
    open_encoder(folder, device="cpu")
    change(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_encoder(folder, device="cpu")
    assert str(folder) in str(caught.value) or "width" in message


def test_a_pooling_that_does_not_fit_the_stack_is_refused(tmp_path: Path) -> None:
    encoder = open_encoder(labse(tmp_path / "model"), device="cpu")
    assert isinstance(encoder, TorchEncoder)
    encoder.settings = type(encoder.settings)((1,), pooling="mean+max")
    with pytest.raises(CheckpointError, match="its Dense takes vectors of width 32, and gets 64"):
        encode_sentences(encoder, ["das haus"])
    with pytest.raises(ConfigError, match="unknown pooling 'sum'"):
        type(encoder.settings)((1,), pooling="mean+sum")
