"""Folders as the Hub has them: the pieces of sentencepiece and no tokenizer.json."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch

from otkit.encoders.open import open_encoder
from otkit.errors import CheckpointError
from tests.encoders.families import FAMILIES, raw_text

BERT_LIKE = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "user_defined_symbols": ["[MASK]"]}
T5_LIKE = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
KINDS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "mT5": ("mt5", "T5Tokenizer", "spiece.model", T5_LIKE),
    "mDeBERTa": ("deberta-v2", "DebertaV2Tokenizer", "spm.model", BERT_LIKE),
    "mBART-50": (
        "mbart",
        "MBart50Tokenizer",
        "sentencepiece.bpe.model",
        {"bos_id": 0, "eos_id": 1, "unk_id": 2},
    ),
    "XLM-R": ("xlm-roberta", "XLMRobertaTokenizer", "sentencepiece.bpe.model", {}),
    "Llama": ("llama", "LlamaTokenizer", "tokenizer.model", {"model_type": "bpe"}),
}


def write(folder: Path, family: str, tokenizer: str, file: str, **options: Any) -> Path:
    torch.manual_seed(0)
    FAMILIES[family](1200).eval().save_pretrained(folder)
    made = folder / file
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(raw_text()),
        model_prefix=str(made.with_suffix("")),
        vocab_size=700,
        character_coverage=1.0,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    made.with_suffix(".vocab").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer}))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_the_pieces_are_converted(kind: str, tmp_path: Path) -> None:
    family, tokenizer, file, options = KINDS[kind]
    encoder = open_encoder(write(tmp_path / "m", family, tokenizer, file, **options), device="cpu")
    own = sentencepiece.SentencePieceProcessor(str(tmp_path / "m" / file))
    for text in ("Das ist ein kleines Haus.", "Привет мир", "中文"):
        tokens = encoder.tokenize([text.split()])
        inside = tokens.ids[tokens.word_ids >= 0].tolist()
        assert [encoder.subwords.backend.id_to_token(token) for token in inside] == own.encode(
            text, out_type=str
        )


@pytest.mark.parametrize(
    ("family", "tokenizer", "remedy"),
    [
        ("m2m_100", "M2M100Tokenizer", "use NLLB's encoder"),
        ("marian", "MarianTokenizer", "use the encoder of mBART"),
    ],
)
def test_what_transformers_cannot_convert_is_refused_by_name(
    family: str, tokenizer: str, remedy: str, tmp_path: Path
) -> None:
    file = "source.model" if family == "marian" else "sentencepiece.bpe.model"
    folder = write(tmp_path / "m", family, tokenizer, file, eos_id=2, unk_id=3, pad_id=1, bos_id=0)
    own = sentencepiece.SentencePieceProcessor(str(folder / file))
    pieces = {own.id_to_piece(number): number for number in range(own.get_piece_size())}
    (folder / "vocab.json").write_text(json.dumps(pieces))
    if family == "marian":
        for name in ("source.spm", "target.spm"):
            (folder / name).write_bytes((folder / file).read_bytes())
        (folder / file).unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CheckpointError, match=rf"convert its tokenizer \({tokenizer}\).*; {remedy}"):
            open_encoder(folder, device="cpu")
