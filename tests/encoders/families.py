"""A tiny random model of each family of encoders, and the tokenizers that come with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from otkit.resources import sample_data
from tests.conftest import make_tiny_encoder

__all__ = [
    "FAMILIES",
    "REFUSED",
    "TOKENIZERS",
    "canine",
    "nllb_tokenizer",
    "raw_text",
    "write_family",
    "write_translator",
]

POSITIONS = 64

Make = Callable[[int], hf.PreTrainedModel]


def common(size: int) -> dict[str, Any]:
    return {
        "vocab_size": size,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 0,
    }


def bert_like(name: str, **more: Any) -> Make:
    """A family whose settings are called as BERT's are."""

    def make(size: int) -> hf.PreTrainedModel:
        config = getattr(hf, f"{name}Config")(**{**common(size), **more})
        return getattr(hf, f"{name}Model")(config)

    return make


def deberta(size: int) -> hf.PreTrainedModel:
    config = hf.DebertaV2Config(
        **common(size),
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        position_buckets=16,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        conv_kernel_size=3,
        conv_act="gelu",
    )
    return hf.DebertaV2Model(config)


def fnet(size: int) -> hf.PreTrainedModel:
    settings = common(size)
    del settings["num_attention_heads"]
    return hf.FNetModel(hf.FNetConfig(**settings))


def distilbert(size: int) -> hf.PreTrainedModel:
    config = hf.DistilBertConfig(
        vocab_size=size, dim=32, n_layers=3, n_heads=4, hidden_dim=48, max_position_embeddings=POSITIONS
    )
    return hf.DistilBertModel(config)


def xlm(size: int) -> hf.PreTrainedModel:
    config = hf.XLMConfig(
        vocab_size=size, emb_dim=32, n_layers=3, n_heads=4, max_position_embeddings=POSITIONS, pad_index=0
    )
    return hf.XLMModel(config)


def xlnet(size: int) -> hf.PreTrainedModel:
    config = hf.XLNetConfig(vocab_size=size, d_model=32, n_layer=3, n_head=4, d_inner=48, pad_token_id=0)
    return hf.XLNetModel(config)


def canine(size: int) -> hf.PreTrainedModel:
    config = hf.CanineConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=128,
        num_hash_buckets=128,
        local_transformer_stride=16,
    )
    return hf.CanineModel(config)


def funnel(size: int) -> hf.PreTrainedModel:
    config = hf.FunnelConfig(
        vocab_size=size,
        d_model=32,
        n_head=4,
        d_head=8,
        d_inner=48,
        block_sizes=[1, 1, 1],
        num_decoder_layers=1,
    )
    return hf.FunnelModel(config)


def t5_like(name: str) -> Make:
    """An encoder with a decoder that T5 is the model of."""

    def make(size: int) -> hf.PreTrainedModel:
        config = getattr(hf, f"{name}Config")(
            vocab_size=size, d_model=32, d_kv=8, d_ff=48, num_layers=3, num_heads=4, decoder_start_token_id=0
        )
        return getattr(hf, f"{name}ForConditionalGeneration")(config)

    return make


def bart_like(name: str, model: str = "ForConditionalGeneration") -> Make:
    """An encoder with a decoder whose settings are called as BART's are."""

    def make(size: int) -> hf.PreTrainedModel:
        config = getattr(hf, f"{name}Config")(
            vocab_size=size,
            d_model=32,
            encoder_layers=3,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            max_position_embeddings=POSITIONS,
            pad_token_id=0,
            decoder_start_token_id=0,
        )
        return getattr(hf, f"{name}{model}")(config)

    return make


def decoder(name: str, config: str | None = None, **more: Any) -> Make:
    """A family of decoders, with the head that predicts the next word."""

    def make(size: int) -> hf.PreTrainedModel:
        settings = {**common(size), "num_key_value_heads": 2, "head_dim": 8, **more}
        return getattr(hf, f"{name}ForCausalLM")(getattr(hf, config or f"{name}Config")(**settings))

    return make


def led(size: int) -> hf.PreTrainedModel:
    config = hf.LEDConfig(
        vocab_size=size,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
    )
    return hf.LEDModel(config)


SPECIALS = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3, "mask_token_id": 4}

FAMILIES: dict[str, Make] = {
    "albert": bert_like("Albert", embedding_size=16),
    "bart": bart_like("Bart", "Model"),
    "bert": bert_like("Bert"),
    "big_bird": bert_like("BigBird", attention_type="block_sparse", block_size=4, num_random_blocks=1),
    "camembert": bert_like("Camembert"),
    "convbert": bert_like("ConvBert", embedding_size=16),
    "deberta-v2": deberta,
    "distilbert": distilbert,
    "electra": bert_like("Electra", embedding_size=16),
    "fnet": fnet,
    "gemma3_text": decoder("Gemma3", "Gemma3TextConfig", sliding_window=16),
    "ibert": bert_like("IBert", pad_token_id=1),
    "llama": decoder("Llama"),
    "longformer": bert_like("Longformer", attention_window=16),
    "m2m_100": bart_like("M2M100"),
    "marian": bart_like("Marian", "MTModel"),
    "mbart": bart_like("MBart"),
    "megatron-bert": bert_like("MegatronBert"),
    "modernbert": bert_like("ModernBert", **SPECIALS),
    "mpnet": bert_like("MPNet", pad_token_id=1),
    "mt5": t5_like("MT5"),
    "nystromformer": bert_like("Nystromformer", num_landmarks=8, segment_means_seq_len=8, conv_kernel_size=5),
    "pegasus": bart_like("Pegasus"),
    "qwen3": decoder("Qwen3"),
    "rembert": bert_like("RemBert", input_embedding_size=16, output_embedding_size=16),
    "roberta": bert_like("Roberta", pad_token_id=1),
    "roberta-prelayernorm": bert_like("RobertaPreLayerNorm", pad_token_id=1),
    "t5": t5_like("T5"),
    "umt5": t5_like("UMT5"),
    "xlm": xlm,
    "xlm-roberta": bert_like("XLMRoberta", pad_token_id=1),
    "xlm-roberta-xl": bert_like("XLMRobertaXL", pad_token_id=1),
    "xlnet": xlnet,
    "xmod": bert_like("Xmod", languages=["en_XX", "de_DE"], default_language="en_XX"),
}

REFUSED: dict[str, tuple[Make, str]] = {
    "funnel": (funnel, "its hidden state 2 has the shape .* a vector for each token .*'funnel'"),
    "nystromformer with few landmarks": (
        bert_like("Nystromformer", num_landmarks=8, segment_means_seq_len=64),
        "it cannot be run .*'nystromformer'",
    ),
    "led": (led, "the architecture 'led' is an encoder with a decoder, and its encoder is not known here"),
    "xmod without a language": (
        bert_like("Xmod", languages=["en_XX", "de_DE"]),
        r"an adapter for each of its languages \(en_XX, de_DE\).*name one in its config.json",
    ),
}


def write_family(make: Make, folder: Path) -> Path:
    """A folder of the family with random weights, and the tokenizer of the tiny encoder without a limit; CANINE
    has its own."""
    tokenizer: Any = hf.CanineTokenizer() if make is canine else make_tiny_encoder().tokenizer
    tokenizer.model_max_length = int(1e30)
    torch.manual_seed(1)
    model = make(len(tokenizer)).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_translator(tokenizer: Any, config: Any, folder: Path) -> Path:
    """A tiny random translation model, whose tokenizer names the language of a text."""
    torch.manual_seed(1)
    settings = config(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64, pad_token_id=1,
    )  # fmt: skip
    model = getattr(hf, config.__name__.replace("Config", "ForConditionalGeneration"))(settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def nllb_tokenizer() -> Any:
    """`NllbTokenizer` that spells with letters."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzäöüéßDE."]
    return hf.NllbTokenizer(vocab={piece: n for n, piece in enumerate(pieces)}, merges=[])


def raw_text(lines: int = 60) -> list[str]:
    """Text in three scripts to learn pieces from."""
    found: list[str] = []
    for name in ("de-en.train.tsv", "ru-en.train.tsv", "zh-en.train.tsv"):
        text = (sample_data() / "parallel" / name).read_text(encoding="utf-8")
        found += [side for line in text.splitlines()[:lines] for side in line.split("\t")[:2]]
    return found


def byte_level(steps: pre_tokenizers.PreTokenizer) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = steps, decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(raw_text(), trainer)
    return backend


def roberta_tokenizer() -> Any:
    """`RobertaTokenizer`, which transformers builds anew from the vocabulary, its first word without a space."""
    backend = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    model = json.loads(backend.to_str())["model"]
    return hf.RobertaTokenizer(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], model_max_length=POSITIONS - 2
    )


def modernbert_tokenizer() -> Any:
    backend = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    return fast(backend, first="<s>", last="</s>", unknown="<unk>", padding="<pad>")


def eurobert_tokenizer() -> Any:
    """Byte pieces behind a first cut, as Llama and EuroBERT have them."""
    cut = pre_tokenizers.Split(Regex(r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+"), behavior="isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend = byte_level(pre_tokenizers.Sequence([cut, level]))
    return fast(backend, first="<s>", last="</s>", unknown="<unk>", padding="<pad>")


def gemma_tokenizer() -> Any:
    """Spaces become `▁` before anything is cut, and no text gets one in front: Gemma and mmBERT."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False
    )
    backend.train_from_iterator(raw_text(), trainer)
    return fast(backend, first="<s>", last="</s>", unknown="<unk>", padding="<pad>")


def unigram_tokenizer() -> Any:
    """`XLMRobertaTokenizer`, with the truncation and padding that sentence-transformers leave in tokenizer.json."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=1500,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        unk_token="<unk>",
        show_progress=False,
    )
    backend.train_from_iterator(raw_text(), trainer)
    vocab = [tuple(entry) for entry in json.loads(backend.to_str())["model"]["vocab"]]
    tokenizer = hf.XLMRobertaTokenizer(vocab=vocab, model_max_length=POSITIONS - 2)
    tokenizer.backend_tokenizer.enable_truncation(POSITIONS - 2)
    tokenizer.backend_tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
    return tokenizer


def fast(backend: Tokenizer, *, first: str, last: str, unknown: str, padding: str) -> Any:
    ids = [(token, backend.token_to_id(token)) for token in (first, last)]
    backend.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ids)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        cls_token=first,
        sep_token=last,
        unk_token=unknown,
        pad_token=padding,
        mask_token="<mask>",
        model_max_length=POSITIONS - 2,
    )


def word_piece_tokenizer() -> Any:
    return make_tiny_encoder().tokenizer


TOKENIZERS: dict[str, tuple[Callable[[], Any], Make]] = {
    "WordPiece, BERT": (word_piece_tokenizer, FAMILIES["bert"]),
    "byte-level, RoBERTa": (roberta_tokenizer, bert_like("Roberta", pad_token_id=1)),
    "byte-level, Longformer": (
        roberta_tokenizer,
        bert_like("Longformer", pad_token_id=1, attention_window=16),
    ),
    "byte-level, ModernBERT": (modernbert_tokenizer, bert_like("ModernBert", **SPECIALS)),
    "byte-level behind a cut, EuroBERT": (
        eurobert_tokenizer,
        bert_like("EuroBert", num_key_value_heads=4, **SPECIALS),
    ),
    "spaces as pieces, mmBERT": (gemma_tokenizer, bert_like("ModernBert", **SPECIALS)),
    "unigram, XLM-R": (unigram_tokenizer, bert_like("XLMRoberta", pad_token_id=1)),
    "unigram, DeBERTa": (unigram_tokenizer, deberta),
}
