"""XQuAD: windows, spans and scores, against brute force and against a head that knows the answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from otkit.data.examples import Answer, QaExample, TaskSet
from otkit.data.tasks import read_qa
from otkit.encoders.pairs import JointInputs, PairTokenizer
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError, InputError
from otkit.evaluation.answers import answer_place, best_span, make_windows, owners
from otkit.evaluation.finetune import Transfer
from otkit.evaluation.inputs import Reading, xquad_data
from otkit.evaluation.protocol import unwatched
from otkit.evaluation.settings import XQUAD_FINE_TUNING, XquadSettings
from otkit.evaluation.xquad import (
    XQUAD_METRICS,
    XquadData,
    answer,
    score_answers,
    xquad_task,
)
from otkit.resources import sample_data
from otkit.training.heads import HeadConfig, SpanFinder
from otkit.training.recipe import Recipe
from otkit.training.settings import TransferSettings
from tests.conftest import give_pair_form

SAMPLE = Path(str(sample_data()))
CONFIG = XquadSettings(
    epochs=1,
    lr=5e-5,
    batch_size=4,
    warmup_steps=0,
    window=1,
    freeze=None,
    max_length=24,
    stride=7,
    max_question=6,
    max_answer=8,
)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def encoder(tiny_encoder: TorchEncoder) -> TorchEncoder:
    give_pair_form(tiny_encoder)
    return tiny_encoder


def example(words: int, place: int, length: int = 2, *, seed: int = 0, name: str = "q") -> QaExample:
    """A context of random words, asked for `length` of them."""
    rng = np.random.default_rng([seed, words, place])
    context = " ".join(rng.choice(["Das", "haus", "ist", "klein.", "the", "(small)", "ein", "der"], words))
    starts = [0, *(i + 1 for i, letter in enumerate(context) if letter == " ")]
    ends = [i for i, letter in enumerate(context) if letter == " "] + [len(context)]
    text = context[starts[place] : ends[place + length - 1]]
    return QaExample(name, "der die das", context, (Answer(text, starts[place]),))


def windows(encoder: TorchEncoder, examples: list[QaExample]):  # type: ignore[no-untyped-def]
    tokenizer = PairTokenizer(encoder)
    return make_windows(tokenizer, examples, max_length=24, stride=7, max_question=6)


# Windows


@pytest.mark.parametrize("words", [1, 5, 16, 17, 40])
def test_windows_cover_the_context_at_the_stride_and_fit_the_length(
    encoder: TorchEncoder, words: int
) -> None:
    one = example(words, 0, 1)
    found, contexts = windows(encoder, [one])
    ids = contexts[one.context].ids
    covered: set[int] = set()
    for number, window in enumerate(found):
        row = window.row[0]
        assert len(row) <= 24
        assert window.first == 7 * number
        inside = row[window.offset : window.offset + window.last - window.first]
        assert inside.tolist() == ids[window.first : window.last].tolist()
        covered |= set(range(window.first, window.last))
    assert covered == set(range(len(ids)))
    assert all(window.last < len(ids) for window in found[:-1])


def test_every_answer_is_found_again_at_its_place_in_some_window(encoder: TorchEncoder) -> None:
    examples = [example(40, place, 2, seed=place) for place in range(0, 38, 3)]
    found, contexts = windows(encoder, examples)
    seen = set()
    for window in found:
        start, end = answer_place(window, examples, contexts)
        one = examples[window.example]
        if (start, end) == (0, 0):
            continue
        seen.add(window.example)
        spans = contexts[one.context].spans
        moved = window.first - window.offset
        text = one.context[spans[start + moved, 0] : spans[end + moved, 1]]
        assert text == one.answers[0].text
    assert seen == set(range(len(examples)))


def test_a_window_with_half_an_answer_points_at_the_first_token(encoder: TorchEncoder) -> None:
    one = example(40, 10, 6)
    found, contexts = windows(encoder, [one])
    spans = contexts[one.context].spans
    begin = one.answers[0].start
    stop = begin + len(one.answers[0].text)
    for window in found:
        whole = spans[window.first, 0] <= begin and spans[window.last - 1, 1] >= stop
        assert (answer_place(window, [one], contexts) != (0, 0)) == whole


def test_a_question_that_leaves_no_room_is_an_error(encoder: TorchEncoder) -> None:
    with pytest.raises(ConfigError, match="a length of 6 has no room beside a question of 3 subwords"):
        make_windows(PairTokenizer(encoder), [example(5, 0)], max_length=6, stride=7, max_question=6)


def test_every_subword_belongs_to_the_window_that_sees_most_around_it(encoder: TorchEncoder) -> None:
    examples = [example(40, 0), example(7, 0, seed=1)]
    found, contexts = windows(encoder, examples)
    allowed = owners(found, 2)
    for number, one in enumerate(examples):
        for place in range(len(contexts[one.context].ids)):
            around = {
                index: min(place - w.first, w.last - 1 - place) + 0.01 * (w.last - w.first)
                for index, w in enumerate(found)
                if w.example == number and w.first <= place < w.last
            }
            best = max(around, key=lambda index: around[index])
            holders = [index for index in around if allowed[index][place - found[index].first]]
            assert holders == [best]


# Spans


@pytest.mark.parametrize("seed", range(8))
def test_the_best_span_is_that_of_all_pairs_where_all_are_tried(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts, ends = (rng.normal(size=15).astype(np.float32) for _ in range(2))
    allowed = rng.random(15) < 0.7
    score, start, end = best_span(starts, ends, allowed=allowed, n_best=15, max_answer=5)
    every = {
        (i, j): float(starts[i]) + float(ends[j])
        for i in np.flatnonzero(allowed).tolist()
        for j in range(i, min(i + 5, 15))
    }
    assert (start, end) == max(every, key=lambda pair: every[pair])
    assert score == pytest.approx(every[start, end])


def test_spans_are_made_of_the_best_starts_and_ends_only_and_may_not_exist() -> None:
    starts = np.array([0, 0, 0, 9, 8], dtype=np.float32)
    ends = np.array([9, 8, 0, 0, 1], dtype=np.float32)
    free = np.ones(5, dtype=bool)
    score, *_ = best_span(starts, ends, allowed=free, n_best=2, max_answer=30)
    assert score == -np.inf
    assert best_span(starts, ends, allowed=free, n_best=3, max_answer=30) == (10.0, 3, 4)
    starts[0] = 0.5
    assert best_span(starts, ends, allowed=free, n_best=5, max_answer=1) == (9.5, 0, 0)


class Oracle(SpanFinder):
    """Gives its highest logits to the tokens that a list of answers names."""

    def __init__(self, encoder: TorchEncoder, places: dict[tuple[int, ...], tuple[int, int]]) -> None:
        super().__init__(encoder, HeadConfig())
        self.places = places

    def logits(self, inputs: JointInputs) -> Tensor:
        found = torch.zeros(*inputs.ids.shape, 2)
        for row, (ids, inside) in enumerate(zip(inputs.ids, inputs.attention, strict=True)):
            start, end = self.places[tuple(ids[inside].tolist())]
            found[row, start, 0] = found[row, end, 1] = 9.0
        return found


def test_a_head_that_knows_the_answers_scores_one(encoder: TorchEncoder) -> None:
    examples = [example(30, place, 2, seed=place, name=f"q{place}") for place in range(0, 28, 4)]
    found, contexts = windows(encoder, examples)
    places = {tuple(w.row[0].tolist()): answer_place(w, examples, contexts) for w in found}
    texts = answer(Oracle(encoder, places), PairTokenizer(encoder), examples, CONFIG)
    tables = score_answers(texts, examples, "en")
    for metric in XQUAD_METRICS:
        assert metric.statistic is not None
        assert float(metric.statistic(tables[metric.table].sum(axis=0))) == 1.0


def test_scores_are_squad_s_in_every_language_and_mlqa_s_beside() -> None:
    one = QaExample("q", "?", "el perro grande", (Answer("el perro", 0),))
    tables = score_answers(["perro"], [one], "es")
    assert tables["squad"].tolist() == [[pytest.approx(2 / 3), 0.0, 1.0]]
    assert tables["mlqa"].tolist() == [[1.0, 1.0, 1.0]]


# The task


def taskset(examples: list[QaExample], name: str) -> TaskSet[QaExample]:
    return TaskSet(name, tuple(examples), bool(examples[0].answers), 0, (), name)


def test_training_fits_and_scoring_covers_every_question(encoder: TorchEncoder, tmp_path: Path) -> None:
    examples = [example(12, place, 1, seed=9, name=f"q{place}") for place in range(10)]
    config = replace(
        CONFIG,
        epochs=40,
        lr=3e-3,
        dropout=0.0,
        batch_size=5,
        warmup_steps=4,
    )
    data = XquadData(taskset(examples, "train"), {"en": taskset(examples, "en")})
    found = xquad_task(data, config).run(encoder, 0, tmp_path, unwatched)
    assert found.tables["en"]["squad"].shape == (10, 3)
    assert '"lr"' in (tmp_path / "history.jsonl").read_text()
    losses = [float(line.split('"loss": ')[1].split(",")[0]) for line in (tmp_path / "history.jsonl").open()]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_files_without_answers_are_said(encoder: TorchEncoder, tmp_path: Path) -> None:
    silent = [replace(example(8, 0), answers=())]
    train = taskset([example(8, 0)], "train")
    with pytest.raises(InputError, match="no language has answers"):
        xquad_task(XquadData(train, {"de": taskset(silent, "de")}), CONFIG)
    with pytest.raises(InputError, match="no English questions to train on"):
        xquad_task(XquadData(None, {"de": train}), CONFIG)
    both = XquadData(train, {"en": train, "de": taskset(silent, "de")})
    found = xquad_task(both, CONFIG).run(encoder, 0, tmp_path, unwatched)
    assert list(found.tables) == ["en"]
    assert "unlabelled and so not scored: de" in found.notes


def test_the_xtreme_preset_is_xtreme_s() -> None:
    published = XQUAD_FINE_TUNING["xtreme"]
    train = published.training
    assert (train.lr, train.epochs, train.weight_decay, published.warmup_steps) == (3e-5, 3, 1e-4, 500)
    assert published.batch_size * train.grad_accum == 32
    assert (published.max_length, published.stride, published.max_question) == (384, 128, 64)
    assert (published.max_answer, published.n_best, train.eval_every) == (30, 20, None)


def test_questions_are_learnt_from_copies_whose_answers_agree(encoder: TorchEncoder, tmp_path: Path) -> None:
    items = [example(12 + number, 3, seed=number, name=f"q{number}") for number in range(6)]
    train = taskset(items, "train")
    copies = taskset([replace(one, question="the house") for one in items], "copies")
    transfer = Transfer((), Recipe(), TransferSettings(consistency=1.0, schedule="alternate"))
    data = XquadData(train, {"de": train}, [copies])
    found = xquad_task(data, CONFIG, transfer=transfer).run(encoder, 0, tmp_path, unwatched)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert {"copy/loss", "copy/prediction-consistency"} <= set().union(*history)
    assert any("copies of the examples" in note for note in found.notes)


def test_copies_of_other_questions_are_refused(tmp_path: Path) -> None:
    train, turned = SAMPLE / "qa" / "en.json", tmp_path / "turned.json"
    first = read_qa(train)[0].id
    turned.write_text(train.read_text(encoding="utf-8").replace(f'"{first}"', '"other"'), encoding="utf-8")
    reading = Reading(languages=("de",))
    with pytest.raises(InputError, match=f"'other', that of the training file '{first}'"):
        xquad_data(None, str(train), reading, copies=[turned])
