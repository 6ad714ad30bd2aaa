"""Families of encoders: each opens and gives the states that transformers gives, or is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from typer.testing import CliRunner

import otkit.exports.trim as trim
from otkit.cli.app import app
from otkit.encoders.encoder import EncoderSettings
from otkit.encoders.families import ENCODERS, UNMASKED
from otkit.encoders.open import open_encoder
from otkit.encoders.pairs import JointInputs
from otkit.encoders.tokens import TooLongError
from otkit.encoders.torch import TorchEncoder
from otkit.errors import CheckpointError, ExportError
from otkit.exports.graph import write_graph
from otkit.exports.onnx import export_onnx
from tests.encoders.families import FAMILIES, POSITIONS, REFUSED, write_family
from tests.exports.conftest import PAIRS

# Rows of the table of positions that no token reaches: those up to the padding index.
UNUSED = {"camembert": 1, "longformer": 1, "xmod": 1} | dict.fromkeys(
    ("ibert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"), 2
)
SENTENCES = [
    ["das", "haus", "ist", "klein", "und", "die", "katze", "schläft"],
    ["x"],
    ["the", "house", "is", "small"],
]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TorchEncoder]:
    """Each family, written and opened once; `name` is its folder."""
    root = tmp_path_factory.mktemp("families")
    found: dict[str, TorchEncoder] = {}
    for family, make in FAMILIES.items():
        encoder = open_encoder(write_family(make, root / family), device="cpu")
        assert isinstance(encoder, TorchEncoder)
        found[family] = encoder
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_those_of_transformers_asked_alone_or_together_alone_or_in_a_batch(
    family: str, encoders: dict[str, TorchEncoder]
) -> None:
    encoder = encoders[family]
    assert (encoder.layers, encoder.dimension) == (3, 32)
    batch = encoder.tokenize(SENTENCES)
    with torch.inference_mode():
        together = encoder.hidden_states(batch, layers=[0, 1, -1])
        for layer, states in zip((0, 1, -1), together, strict=True):
            assert states.shape == (*batch.ids.shape, 32)
            torch.testing.assert_close(encoder.hidden_states(batch, layers=[layer])[0], states)
        for row, sentence in enumerate(SENTENCES):
            alone = encoder.tokenize([sentence])
            full = encoder.model(
                input_ids=alone.ids, attention_mask=alone.attention.long(), output_hidden_states=True
            ).hidden_states
            for layer, states in zip((0, 1, -1), together, strict=True):
                expected = full[layer][0, : alone.ids.shape[1]]
                torch.testing.assert_close(states[row, : len(expected)], expected, rtol=1e-4, atol=2e-6)
                torch.testing.assert_close(
                    encoder.hidden_states(alone, layers=[layer])[0][0], expected, rtol=1e-4, atol=2e-6
                )


@pytest.mark.parametrize("family", sorted(ENCODERS))
def test_of_a_model_with_a_decoder_the_encoder_opens(
    family: str, encoders: dict[str, TorchEncoder], tmp_path: Path
) -> None:
    encoder = encoders[family]
    torch.manual_seed(1)  # as write_family has it
    whole = FAMILIES[family](len(encoder.tokenizer)).eval()
    tokens = encoder.tokenize(SENTENCES)
    given = {"input_ids": tokens.ids, "attention_mask": tokens.attention.long()}
    with torch.inference_mode():
        expected = whole.get_encoder()(**given, output_hidden_states=True).hidden_states
        found = encoder.hidden_states(tokens, layers=[0, 1, 2, 3])
    for states, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(states[tokens.attention], reference[tokens.attention])
    encoder.save(tmp_path / "saved")
    again = open_encoder(tmp_path / "saved", device="cpu")
    assert again.weights_sha256() == encoder.weights_sha256()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_position_can_be_used_and_no_more(family: str, encoders: dict[str, TorchEncoder]) -> None:
    encoder = encoders[family]
    if family in ("xlnet", "t5", "mt5", "umt5"):
        assert encoder.max_tokens == 1_000_000, "it has no table of positions"
        return
    assert encoder.max_tokens == POSITIONS - UNUSED.get(family, 0)
    full = [["a"] * (encoder.max_tokens - 2)]
    (states,) = encoder.hidden_states(encoder.tokenize(full), layers=[1])
    assert states.shape[1] == encoder.max_tokens
    with pytest.raises(TooLongError):
        encoder.tokenize([[*full[0], "a"]])


@pytest.mark.parametrize("family", FAMILIES)
def test_info_describes_it(family: str, encoders: dict[str, TorchEncoder], tmp_path: Path) -> None:
    folder = encoders[family].model.name_or_path
    result = CliRunner().invoke(app, ["info", folder, "--json", str(tmp_path / "info.json")])
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "info.json").read_text())["model"]
    assert facts["architecture"] == encoders[family].model.config.model_type
    assert (facts["layers"], facts["width"]) == ("3", "32")
    assert int(facts["longest sentence, in subwords"]) == encoders[family].max_tokens


@pytest.mark.parametrize("family", sorted(set(FAMILIES) & UNMASKED))
def test_pairs_of_texts_are_not_changed_by_padding_either(
    family: str, encoders: dict[str, TorchEncoder]
) -> None:
    encoder = encoders[family]
    tokens = encoder.tokenize(SENTENCES)
    types = torch.zeros_like(tokens.ids)
    types[0, 5:] = 1
    with torch.inference_mode():
        batch = JointInputs(tokens.ids, tokens.attention, types).states(encoder)
        row = encoder.model(input_ids=tokens.ids[:1], token_type_ids=types[:1]).last_hidden_state
    torch.testing.assert_close(batch[:1], row, rtol=1e-4, atol=2e-6)


def test_a_short_batch_does_not_change_what_a_long_one_gives(tmp_path: Path) -> None:
    folder = write_family(FAMILIES["big_bird"], tmp_path / "big_bird")
    long = [["a", "b"] * 30]
    with torch.inference_mode():
        found = []
        for before in ([["a"]], long):
            encoder = open_encoder(folder, device="cpu")
            encoder.hidden_states(encoder.tokenize(before), layers=[-1])
            found.append(encoder.hidden_states(encoder.tokenize([*long, ["x"]]), layers=[-1])[0][0])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_refused_when_opened(kind: str, tmp_path: Path) -> None:
    make, message = REFUSED[kind]
    folder = write_family(make, tmp_path / "model")
    with pytest.raises(CheckpointError, match=message) as caught:
        open_encoder(folder, device="cpu")
    assert "model" in str(caught.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_smaller_vocabulary_gives_the_same_vectors(
    family: str, encoders: dict[str, TorchEncoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trim, "real_sentences", lambda: PAIRS)
    encoder = encoders[family]
    texts = [" ".join(sentence) for sentence in SENTENCES]
    if family == "ibert":
        with pytest.raises(ExportError, match="the architecture 'ibert' keeps its words in no plain table"):
            trim.trim_vocabulary(encoder, texts)
        return
    small, report = trim.trim_vocabulary(encoder, texts)
    assert report.pieces_after < report.pieces_before
    small.save(tmp_path / "small")
    again = open_encoder(tmp_path / "small", device="cpu")
    with torch.inference_mode():
        before, after = (e.encode_sentences(e.tokenize(SENTENCES)) for e in (encoder, again))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)


UNTRACEABLE = {"longformer", "xlnet"}  # torch cannot take apart the `1.0 - mask` of the second


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=pytest.mark.slow if family in UNTRACEABLE else [])  # found out by tracing
        for family in sorted((set(FAMILIES) & UNMASKED) | UNTRACEABLE)
    ],
)
def test_an_export_that_is_not_possible_names_the_architecture(
    family: str, encoders: dict[str, TorchEncoder], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        ExportError, match=f"the architecture '{family}'.*choose `to='transformers'`"
    ) as caught:
        write_graph(encoders[family], tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow  # ten seconds each
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - UNMASKED - UNTRACEABLE))
def test_every_other_family_becomes_a_graph_that_passes_the_gate(
    family: str, encoders: dict[str, TorchEncoder], tmp_path: Path
) -> None:
    encoder = encoders[family]
    encoder.settings = EncoderSettings((1, 2))
    report = export_onnx(encoder, tmp_path / "onnx", pairs=PAIRS)
    assert report.chosen.parity.largest_difference < 1e-4
    assert open_encoder(tmp_path / "onnx", device="cpu").layers == 3


def test_pieces_of_byt5_are_the_bytes_of_its_words(tmp_path: Path) -> None:
    slow = transformers.ByT5Tokenizer()
    config = transformers.T5Config(vocab_size=384, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path / "byt5")
    slow.save_pretrained(tmp_path / "byt5")
    encoder = open_encoder(tmp_path / "byt5", device="cpu")
    assert isinstance(encoder, TorchEncoder)
    for text in ("das Häus", "日本語 x", "a"):
        assert encoder.subwords.encode_texts([text]).ids[0].tolist() == slow(text).input_ids
    tokens = encoder.tokenize([["das", "Häus"]])
    assert tokens.ids[0].tolist() == slow(" das Häus").input_ids, "a word has the space before it"
    assert tokens.word_ids[0].tolist() == [0] * 4 + [1] * 6 + [-1]
    encoder.save(tmp_path / "saved")
    again = open_encoder(tmp_path / "saved", device="cpu")
    assert torch.equal(again.tokenize([["das", "Häus"]]).ids, tokens.ids)
