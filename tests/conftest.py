"""Encoders that several folders of tests share."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.hub import Hub, use

# The process that hands tests to workers reads this file too, and then waits for them: torch and what needs it are
# imported where they are used.
if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from otkit.encoders.torch import TorchEncoder

BENCHMARK_DATA = Path(
    os.environ.get("OTKIT_BENCHMARK_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
"""Published test sets, which the repository does not hold."""


def pytest_collection(session: pytest.Session) -> None:
    """Where there is no GPU, kernels are interpreted."""
    if session.config.getoption("numprocesses", None):
        return  # workers collect
    import torch

    if not torch.cuda.is_available():
        # Triton looks at this when it is first imported, which torch.compile does too.
        os.environ.setdefault("TRITON_INTERPRET", "1")


def mostly_slow(names: Collection[Any], *quick: Any) -> list[Any]:
    """Parameters, of which all but the quick ones are for the slow suite."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(scope="session")
def benchmark_data() -> Path:
    """The folder of published test sets; without it the test is skipped."""
    if not BENCHMARK_DATA.is_dir():
        pytest.skip("the benchmark data is not here")
    return BENCHMARK_DATA


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What otkit remembers of the files it wrote is not mixed with the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_tree_of_commands() -> Iterator[None]:
    """Typer builds all commands anew for each call; a user's process makes one call, a worker thousands."""
    import typer.main
    import typer.testing

    build = cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", build)
        patch.setattr(typer.testing, "_get_command", build)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_trace_of_a_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """To trace an encoder takes seconds, and the same graph comes of the same weights and settings: a worker traces it
    once."""
    import torch

    from otkit.exports import onnx
    from otkit.exports.graph import write_graph

    traced = tmp_path_factory.mktemp("graphs")

    def write(encoder: TorchEncoder, path: Path, *, opset: int, also: Collection[int] = ()) -> None:
        whole = hashlib.sha256()
        for part in (encoder.model, encoder.head):
            whole.update(repr((part, getattr(part, "config", None))).encode())
            for name, weight in part.state_dict().items():
                whole.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
                whole.update(weight.contiguous().view(-1).view(torch.uint8).numpy())
        whole.update(repr((encoder.settings, encoder.subwords.padding_id, opset, [*also])).encode())
        kept = traced / whole.hexdigest()
        if not kept.exists():
            write_graph(encoder, path, opset=opset, also=[*also])
            if len([*path.parent.iterdir()]) > 1:
                return  # in two files
            shutil.copy(path, kept)
        shutil.copy(kept, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx, "write_graph", write)
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several threads on so small a model or problem only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sample_encoder() -> TorchEncoder:
    """The embedded encoder on the CPU. Do not train it: take `tiny_encoder` for that."""
    from otkit.encoders.open import open_encoder
    from otkit.encoders.torch import TorchEncoder

    encoder = open_encoder(device="cpu")
    assert isinstance(encoder, TorchEncoder)
    return encoder


@pytest.fixture
def tiny_encoder() -> TorchEncoder:
    """A two-layer random BERT of width 32 that spells with letters; a new one for each test."""
    return make_tiny_encoder()


def give_pair_form(encoder: TorchEncoder) -> None:
    """Let the tiny encoder take two texts as one, as a task of premises or questions needs it."""
    from tokenizers import processors

    encoder.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )


def make_tiny_encoder() -> TorchEncoder:
    """The same, for fixtures of a wider scope."""
    import torch
    from transformers import BertConfig, BertModel

    from otkit.encoders.encoder import EncoderSettings
    from otkit.encoders.torch import TorchEncoder

    letters = "abcdefghijklmnopqrstuvwxyzäöüß0123456789.,?!'-"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    words = [
        "the",
        "is",
        "das",
        "der",
        "die",
        "ist",
        "ein",
        "house",
        "haus",
        "small",
        "klein",
        "##es",
        "##er",
    ]
    tokenizer = _word_piece([*pieces, *words])
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces) + len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
        initializer_range=0.2,
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    return TorchEncoder(model, tokenizer, name="tiny", settings=EncoderSettings(alignment_layers=(1,)))


def _word_piece(pieces: list[str]) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A stand-in for the Hugging Face Hub, which this process takes for the real one."""
    stand_in = Hub()
    with stand_in.served() as address:
        use(monkeypatch, address, tmp_path_factory.mktemp("hub"))
        yield stand_in
