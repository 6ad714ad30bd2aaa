"""Hidden states: the layers that are asked for, the same alone as in a batch, and nothing above computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertModel,
    ModernBertConfig,
    ModernBertModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from otkit.encoders.device import choose_device, multiplies_in, slow_precision
from otkit.encoders.encoder import EncoderSettings, alignment_layers_rule, resolve_layers
from otkit.encoders.open import open_encoder
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ConfigError

SENTENCES = [
    ["Das", "ist", "ein", "kleines", "Haus", "."],
    ["Yes"],
    [
        "The",
        "weather",
        "was",
        "so",
        "bad",
        "that",
        "nobody",
        "wanted",
        "to",
        "leave",
        "the",
        "house",
        "before",
        "noon",
        ".",
    ],
]
FAMILIES = {
    "xlm-roberta": lambda size: XLMRobertaModel(
        XLMRobertaConfig(
            vocab_size=size,
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=66,
            pad_token_id=1,
        )
    ),
    "distilbert": lambda size: DistilBertModel(
        DistilBertConfig(
            vocab_size=size, dim=32, n_layers=3, n_heads=2, hidden_dim=48, max_position_embeddings=64
        )
    ),
    "modernbert": lambda size: ModernBertModel(
        ModernBertConfig(
            vocab_size=size,
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=48,
            pad_token_id=0,
            cls_token_id=2,
            sep_token_id=3,
            bos_token_id=2,
            eos_token_id=3,
        )
    ),
}


def of_family(name: str, tiny: TorchEncoder) -> TorchEncoder:
    torch.manual_seed(1)
    model = FAMILIES[name](len(tiny.tokenizer)).eval()
    return TorchEncoder(model, tiny.tokenizer, name=name, settings=EncoderSettings((1,)))


def test_early_stop_gives_the_full_models_states(sample_encoder: TorchEncoder) -> None:
    tokens = sample_encoder.tokenize(SENTENCES)
    with torch.inference_mode():
        full = sample_encoder.model(
            input_ids=tokens.ids, attention_mask=tokens.attention.long(), output_hidden_states=True
        ).hidden_states
        for layers in ([0], [7, 6], [12], [-1, 0, 3, 3], [-13]):
            found = sample_encoder.hidden_states(tokens, layers=layers)
            for layer, states in zip(layers, found, strict=True):
                torch.testing.assert_close(states, full[layer], rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_transformers_states(family: str, tiny_encoder: TorchEncoder) -> None:
    encoder = of_family(family, tiny_encoder)
    tokens = encoder.tokenize(SENTENCES[:2])
    inputs = {"input_ids": tokens.ids, "attention_mask": tokens.attention.long()}
    with torch.inference_mode():
        full = encoder.model(**inputs, output_hidden_states=True).hidden_states
        for layer, states in zip(
            (0, 1, 2, 3), encoder.hidden_states(tokens, layers=[0, 1, 2, 3]), strict=True
        ):
            torch.testing.assert_close(states[tokens.attention], full[layer][tokens.attention])


def test_layers_above_are_not_run(sample_encoder: TorchEncoder) -> None:
    ran: list[int] = []
    stack = sample_encoder.model.encoder.layer
    hooks = [
        layer.register_forward_pre_hook(lambda module, inputs, number=number: ran.append(number))
        for number, layer in enumerate(stack, 1)
    ]
    with torch.inference_mode():
        sample_encoder.hidden_states(sample_encoder.tokenize(SENTENCES), layers=[3, 6])
    for hook in hooks:
        hook.remove()
    assert ran == [1, 2, 3, 4, 5, 6]
    assert len(sample_encoder.model.encoder.layer) == 12
    assert not any(layer._forward_pre_hooks for layer in stack)


def test_a_batch_equals_its_sentences_alone(sample_encoder: TorchEncoder) -> None:
    together = sample_encoder.tokenize(SENTENCES)
    with torch.inference_mode():
        batch = sample_encoder.hidden_states(together, layers=[6, 12])
        vectors = sample_encoder.encode_sentences(together)
        for row, sentence in enumerate(SENTENCES):
            alone = sample_encoder.tokenize([sentence])
            for states, single in zip(
                batch, sample_encoder.hidden_states(alone, layers=[6, 12]), strict=True
            ):
                torch.testing.assert_close(states[row, : alone.ids.shape[1]], single[0], rtol=0, atol=2e-5)
            torch.testing.assert_close(
                vectors[row], sample_encoder.encode_sentences(alone)[0], rtol=0, atol=1e-5
            )


def test_gradients_stop_below_the_asked_layer(tiny_encoder: TorchEncoder) -> None:
    (states,) = tiny_encoder.hidden_states(tiny_encoder.tokenize([["das", "haus"]]), layers=[1])
    states.square().sum().backward()
    lower, upper = tiny_encoder.model.encoder.layer
    trained = [weight for name, weight in lower.named_parameters() if "key.bias" not in name]
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in trained)
    assert all(p.grad is None for p in upper.parameters())


def test_translations_lie_near(sample_encoder: TorchEncoder) -> None:
    texts = ["Das ist ein kleines Haus .", "This is a small house .", "The train to Berlin leaves at nine ."]
    with torch.inference_mode():
        vectors = sample_encoder.encode_sentences(sample_encoder.tokenize([text.split() for text in texts]))
    similar = vectors @ vectors.T
    torch.testing.assert_close(similar.diagonal(), torch.ones(3))
    assert similar[0, 1] > 0.9 > similar[0, 2]


def test_saved_folder_opens_everywhere(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "aligned"
    tiny_encoder.save(folder, {"training": {"steps": 3}})
    tiny_encoder.save(folder, {"training": {"steps": 4}})  # a second time replaces the first
    assert [path.name for path in tmp_path.iterdir()] == ["aligned"]
    again = open_encoder(folder, device="cpu")
    assert isinstance(again, TorchEncoder)
    assert again.settings == tiny_encoder.settings
    assert '"steps": 4' in (folder / "otkit.json").read_text()
    tokens = again.tokenize(SENTENCES[:1])
    (expected,) = tiny_encoder.hidden_states(tiny_encoder.tokenize(SENTENCES[:1]), layers=[-1])
    assert torch.equal(again.hidden_states(tokens, layers=[-1])[0], expected)
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer([SENTENCES[0]], is_split_into_words=True, return_tensors="pt")
    torch.testing.assert_close(model(**inputs).last_hidden_state, expected)


def test_a_failed_save_leaves_the_old_folder(tiny_encoder: TorchEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "aligned"
    tiny_encoder.save(folder)
    before = (folder / "otkit.json").read_text()
    circular: dict[str, object] = {}
    circular["itself"] = circular
    with pytest.raises(RecursionError):
        tiny_encoder.save(folder, circular)
    assert [path.name for path in tmp_path.iterdir()] == ["aligned"]
    assert (folder / "otkit.json").read_text() == before


def test_layers_out_of_range_are_named() -> None:
    assert resolve_layers([0, -1, -13, 12], 12) == (0, 12, 0, 12)
    with pytest.raises(
        ConfigError, match=r"there is no layer 13; choose from 0 \(embeddings\) to 12, or -1 to -13"
    ):
        resolve_layers([13], 12)
    with pytest.raises(ConfigError, match="no layer was asked for"):
        resolve_layers([], 12)


@pytest.mark.parametrize(
    ("layers", "expected"), [(1, (1,)), (2, (1,)), (6, (3,)), (12, (6, 7)), (24, (12, 13, 14))]
)
def test_the_layer_rule(layers: int, expected: tuple[int, ...]) -> None:
    chosen, reason = alignment_layers_rule(layers)
    assert chosen == expected
    assert f"of {layers}" in reason


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="unknown pooling 'sum'"):
        EncoderSettings((6,), pooling="sum")
    with pytest.raises(CheckpointError, match="hidden-state indices from 0 up"):
        EncoderSettings((-1,))


@pytest.mark.skipif(
    not Path("/proc/cpuinfo").exists(), reason="the kernel's list of instructions is the reference"
)
def test_half_precision_is_slow_without_the_instructions() -> None:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = next((line.split()[2:] for line in text.splitlines() if line.startswith("flags")), None)
    if found is None:
        pytest.skip("not an x86 processor")
    cpu = torch.device("cpu")
    instructions = any(
        name.startswith(("avx512bw", "avx512_bf16", "amx_bf16", "avx_ne_convert")) for name in found
    )
    assert multiplies_in(cpu, torch.bfloat16) == instructions
    assert (slow_precision(cpu, "bf16") is None) == instructions
    assert multiplies_in(cpu, torch.float32)
    assert slow_precision(cpu, "fp32") is None
    assert slow_precision(torch.device("cuda:0"), "bf16") is None
    with pytest.raises(ConfigError, match="choose from: fp32, bf16, fp16"):
        slow_precision(cpu, "fp8")


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match="unknown device 'gpu'; choose from: auto, cpu, cuda, cuda:N, mps"):
        choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"no CUDA device can be used here.*; use `device='cpu'`"):
            choose_device("cuda:0")
