"""The objectives as losses of sentence-transformers: the gradients of otkit's own, and a trainer that trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from otkit.data.batching import PairSource
from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.resources import sample_data
from otkit.training.frozen import CopiedStart, copy_dtype
from otkit.training.objectives import AlignmentModel, encode_units
from otkit.training.recipe import Recipe

library = pytest.importorskip("sentence_transformers")

from otkit.sentence_transformers import ObjectiveLoss, TransportLoss, word_ids_of  # noqa: E402
from tests.encoders.families import modernbert_tokenizer, roberta_tokenizer, unigram_tokenizer  # noqa: E402

TEXT = "das haus ist klein .\tthe house is small .\nein haus\ta house\ndas ist ein haus !\tthis is a house\n"


def wrapped(encoder: TorchEncoder, folder: Path, *behind: torch.nn.Module, **pooling: Any) -> Any:
    """The encoder as a SentenceTransformer of its own weights, with other modules behind its pooling."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    encoder.save(folder)
    body = Transformer(str(folder))
    pool = Pooling(encoder.dimension, **pooling)
    return library.SentenceTransformer(modules=[body, pool, *behind], device="cpu")


def gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    found = {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}
    module.zero_grad()
    return found


LOSSES = [
    {"ot": 1.0, "anchor": 0.5},
    {"contrastive-weak": 1.0, "sentence-contrastive": 1.0, "link-likelihood": 1.0},
    {"self-training": 1.0, "consistency": 1.0, "l2": 0.1},
    {"gaussian-w2": 1.0, "mmd": 1.0, "ot-distill": 1.0},
]


@pytest.mark.parametrize("losses", LOSSES, ids=lambda losses: "+".join(losses))
def test_gradients_are_those_of_a_run_of_otkit(
    tmp_path: Path, tiny_encoder: TorchEncoder, losses: dict[str, float]
) -> None:
    model = wrapped(tiny_encoder, tmp_path / "tiny")
    changes = {"cost": "cosine", "epsilon": 0.1, "layers": [1], "length_power": 0.25, "attach_factor": 2.0}
    changes |= {"word_vector": "mean", "iterations": 500, "tolerance": 1e-7}
    loss = ObjectiveLoss(model, losses, objective=changes)
    # The same text, in the order in which a run visits it.
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    corpus = open_corpus(tmp_path / "de-en.tsv")
    (batch,) = next(PairSource([corpus], tiny_encoder, BatchingSettings(batch_size=3)).micro_steps(0, 1))
    columns = [
        [corpus[index].source for index in batch.indices],
        [corpus[index].target for index in batch.indices],
    ]
    features = [model.preprocess(column) for column in columns]
    for side, found in zip((batch.source, batch.target), features, strict=True):
        assert torch.equal(found["input_ids"], side.ids)
        words = word_ids_of(found["input_ids"], found["attention_mask"].bool(), tiny_encoder.tokenizer)
        assert torch.equal(words, side.word_ids)
    value = loss(features, None)
    value.backward()
    theirs = gradients(model[0].auto_model)

    config = (
        Recipe.read("paper")
        .changed(objective={"losses": losses, **changes})
        .for_encoder(tiny_encoder)
        .objective
    )
    start = CopiedStart(
        tiny_encoder, lambda e, t: encode_units(e, t, config), dtype=copy_dtype(tiny_encoder.device)
    )
    module = AlignmentModel(tiny_encoder, config, start=start).eval()
    own = torch.stack(list(module(batch).parts.values())).sum()
    own.backward()  # type: ignore[no-untyped-call]
    ours = gradients(tiny_encoder.model)
    assert value.item() == pytest.approx(own.item(), rel=1e-6)
    assert set(ours) == set(theirs)
    assert any(bool(gradient.abs().max() > 0) for gradient in ours.values())
    for name, gradient in ours.items():
        torch.testing.assert_close(theirs[name], gradient, rtol=1e-5, atol=1e-7, msg=name)


def test_words_of_a_tokenizer_that_keeps_white_space(sample_encoder: TorchEncoder) -> None:
    tokenizer = sample_encoder.tokenizer
    texts = ["Der Direktor kaufte gestern (leider!) das Haus.", "Да", "unbelievable 房子 12,5 %"]
    found = tokenizer(texts, padding=True, return_tensors="pt")
    words = word_ids_of(found["input_ids"], found["attention_mask"].bool(), tokenizer)
    split = sample_encoder.tokenize([text.split() for text in texts], prefix="")
    assert torch.equal(words, split.word_ids)
    assert torch.equal(found["input_ids"], split.ids)


@pytest.mark.parametrize("make", [modernbert_tokenizer, roberta_tokenizer, unigram_tokenizer])
def test_a_piece_that_looks_like_one_of_word_piece_is_text(make: Callable[[], Any]) -> None:
    """Vocabularies that were learnt from web pages have "##" for headings; theirs are no WordPiece for that."""
    tokenizer = make()
    tokenizer.add_tokens(["##"])
    found = tokenizer(["das Haus ist klein", "a house"], padding=True, return_tensors="pt")
    words = word_ids_of(found["input_ids"], found["attention_mask"].bool(), tokenizer)
    for row, count in zip(words.tolist(), (4, 2), strict=True):
        known = [word for word in row if word >= 0]
        assert known == sorted(known)
        assert set(known) == set(range(count))


@pytest.mark.parametrize(
    "kind", ["transport", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("ranking", "objective"))]
)
def test_a_trainer_trains_on_real_text(tmp_path: Path, sample_encoder: TorchEncoder, kind: str) -> None:
    datasets = pytest.importorskip("datasets")
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = wrapped(sample_encoder, tmp_path / "sample")
    corpus = open_corpus(sample_data() / "parallel" / "de-en.train.tsv")
    pairs = [corpus[index] for index in range(8)]
    data = datasets.Dataset.from_dict({"de": [p.source for p in pairs], "en": [p.target for p in pairs]})
    loss = {
        "ranking": MultipleNegativesRankingLoss,
        "transport": TransportLoss,
        "objective": lambda model: ObjectiveLoss(model, recipe="best"),
    }[kind](model)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=3,
        per_device_train_batch_size=4,
        learning_rate=1e-4,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=loss)
    trainer.train()
    losses = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    assert len(losses) == 3
    assert all(0 < value < 1e6 for value in losses)
    moved = [name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])]
    assert moved
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())


@pytest.mark.parametrize(
    "mode", ["cls", "mean_sqrt_len_tokens", ("cls", "mean"), ("lasttoken", "weightedmean")]
)
def test_sentences_are_pooled_as_the_model_pools_them(
    tmp_path: Path, tiny_encoder: TorchEncoder, mode: str | tuple[str, ...]
) -> None:
    model = wrapped(tiny_encoder, tmp_path / "tiny", pooling_mode=mode)
    loss = ObjectiveLoss(model, {"sentence-contrastive": 1.0}, objective={"temperature": 0.1})
    columns = [list(side) for side in zip(*(line.split("\t") for line in TEXT.splitlines()), strict=True)]
    found = loss([model.preprocess(column) for column in columns]).item()
    with torch.no_grad():
        u, v = (
            torch.nn.functional.normalize(model.encode(c, convert_to_tensor=True), dim=-1) for c in columns
        )
        scores, own = u @ v.T / 0.1, torch.arange(len(u))
        entropy = torch.nn.functional.cross_entropy
        expected = (entropy(scores, own) + entropy(scores.T, own)) / 2
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_modules_that_a_loss_on_sentences_would_pass_over_are_refused(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    headed = wrapped(tiny_encoder, tmp_path / "dense", Dense(tiny_encoder.dimension, 8))
    with pytest.raises(ConfigError, match="go through Dense, which a loss on sentences"):
        ObjectiveLoss(headed, {"sentence-contrastive": 1.0})
    without = wrapped(tiny_encoder, tmp_path / "prompt", include_prompt=False)
    with pytest.raises(ConfigError, match="go through Pooling without the prompt"):
        ObjectiveLoss(without, {"sentence-contrastive": 1.0})
    ObjectiveLoss(headed, {"ot": 1.0})  # looks at words alone


def test_what_the_loss_cannot_know_is_refused(tmp_path: Path, tiny_encoder: TorchEncoder) -> None:
    model = wrapped(tiny_encoder, tmp_path / "tiny")
    for recipe, objective, said in (
        ("otalign", {}, "links are given, which this loss does not know; train with otkit.train"),
        ("paper", {"weights": "idf"}, "words weigh by document frequencies"),
        ("paper", {"language_weights": {"de": 2.0}}, "languages have weights"),
        ("paper", {"tua": 1.0}, "did you mean 'tau'"),
    ):
        with pytest.raises(ConfigError, match=said):
            TransportLoss(model, recipe, objective=objective)
    loss = TransportLoss(model, objective={"layers": [1]})
    with pytest.raises(ConfigError, match="the dataset has 3 columns of text; give two"):
        loss([model.preprocess(["ein haus"])] * 3)
    with pytest.raises(ConfigError, match="no transformers encoder with a fast tokenizer"):
        TransportLoss(library.SentenceTransformer(modules=[torch.nn.Identity()]))
