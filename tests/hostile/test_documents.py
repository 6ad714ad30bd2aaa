"""Files of tasks with bytes changed, and documents that carry anyone's words: cards, pages and pictures have no orders
for a terminal, and each keeps its form."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]

from otkit.data.tasks import read_nli, read_qa
from otkit.encoders.encoder import EncoderSettings
from otkit.errors import OtkitError
from otkit.exports.card import folder_card
from otkit.reports.html import Page, PagePair, Variant, page_html
from otkit.reports.picture import write_picture
from otkit.reports.tables import Column, Table
from otkit.training.card import model_card
from otkit.training.recipe import Recipe
from tests.conftest import make_tiny_encoder
from tests.hostile.test_words import NASTY, ORDERS
from tests.reports.views import small_view

SIGNS = (0, 9, 10, 0x1B, 0x80, 0xC3, 0xFF, 0x85, 0xE2, 0x22, 0x5C, 0x5B, 0x7B, 0x7D)
QA = {
    "data": [
        {
            "title": f"t{n}",
            "paragraphs": [
                {
                    "context": "das haus ist klein",
                    "qas": [
                        {
                            "id": f"{n}-{k}",
                            "question": "was?",
                            "answers": [{"text": "haus", "answer_start": 4}],
                        }
                        for k in range(3)
                    ],
                }
            ],
        }
        for n in range(3)
    ]
}


def _changed(text: bytes, luck: random.Random) -> bytes:
    data = bytearray(text)
    for _ in range(luck.randint(1, 4)):
        data[luck.randrange(len(data))] = luck.choice(SIGNS)
    return bytes(data[: luck.randrange(len(data))] if luck.random() < 0.1 else data)


@pytest.mark.parametrize("count", [1000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_squad_with_bytes_changed_is_read_or_one_error(count: int, tmp_path: Path) -> None:
    luck, path = random.Random(0), tmp_path / "x.json"
    whole = json.dumps(QA).encode()
    read = 0
    for _ in range(count):
        path.write_bytes(_changed(whole, luck))
        try:
            found = read_qa(path, on_error="skip")
        except OtkitError:
            continue
        read += 1
        assert len(found) + found.skipped <= 9
        for item in found:
            assert all(item.context[each.start :].startswith(each.text) for each in item.answers)
    assert read > count // 50  # most are no JSON any more


VALUES: tuple[Any, ...] = (None, 7, 1e300, True, [], {}, [[1]], "", "\x00", {"a": {"b": []}}, "\u2028")


def _with(document: Any, value: Any) -> list[Any]:
    """The document once for each of its places, with the value there."""
    found = [value]
    if isinstance(document, dict):
        found += [{**document, key: one} for key in document for one in _with(document[key], value)]
    elif isinstance(document, list):
        found += [
            [*document[:n], one, *document[n + 1 :]]
            for n in range(len(document))
            for one in _with(document[n], value)
        ]
    return found


def test_squad_of_wrong_types_is_read_or_one_error(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    small = {
        "data": [
            {
                **QA["data"][0],
                "paragraphs": [
                    {**QA["data"][0]["paragraphs"][0], "qas": QA["data"][0]["paragraphs"][0]["qas"][:1]}
                ],
            }
        ]
    }  # type: ignore[dict-item]
    for value in VALUES:
        for document in _with(small, value):
            path.write_text(json.dumps(document))
            for on_error in ("raise", "skip"):
                with contextlib.suppress(OtkitError):
                    read_qa(path, on_error=on_error)


@pytest.mark.parametrize("count", [10_000, pytest.param(300_000, marks=pytest.mark.slow)])
def test_nli_with_bytes_changed_keeps_its_count(count: int, tmp_path: Path) -> None:
    """Both of its forms, and the one with named columns; a line feed among the changes makes a line more."""
    luck = random.Random(1)
    shapes = (b"", b"premise\thypothesis\tlabel\n"), b"das haus {n}\tthe house {n}\tneutral"
    for head in shapes[0]:
        path = tmp_path / "x.tsv"
        lines = [_changed(shapes[1].replace(b"{n}", b"%d" % n), luck) for n in range(count // 2)]
        body = b"\n".join([b"a\tb\tneutral", *lines]) + b"\n"
        path.write_bytes(head + body)
        found = read_nli(path, on_error="skip")
        assert len(found) + found.skipped == body.count(b"\n")


@pytest.mark.parametrize("kind", NASTY)
def test_a_card_has_no_orders_and_keeps_its_front(kind: str) -> None:
    word = NASTY[kind] + "\n---\nlicense: mine"
    encoder = make_tiny_encoder()
    encoder.name, encoder.hub_name = word, word.replace("\ud800", "")
    encoder.settings = EncoderSettings((1, 2), prefix=word)
    metadata = {
        "data": [{"name": word, "languages": ["no", word.replace("\ud800", "")], "pairs": 2}],
        "steps": 1,
        "processes": 1,
    }
    cards = [folder_card(encoder, to) for to in ("transformers", "sentence-transformers", "gguf")]
    for card in (*cards, model_card(encoder, Recipe(), metadata, [])):
        assert not ORDERS & set(card)
        front = yaml.safe_load(card.split("---\n")[1])
        assert front["base_model"] == encoder.hub_name
        assert "license" not in front
        assert "no" in front.get("language", ["no"])


@pytest.mark.parametrize("kind", NASTY)
def test_a_page_has_no_orders(kind: str) -> None:
    word = NASTY[kind]
    view = small_view(source=(word, "b", "c", "d", word), target=(word, "x", "y", word))
    table = Table(word, (Column(word), Column("b")), ((word, "1"),))
    page = page_html(
        Page(word, (Variant(word, word, word),), (PagePair(1, (view,)),), note=word, tables=(table,))
    )
    assert not ORDERS & set(page)


@pytest.mark.parametrize("kind", ["colour", "override", "line separator", "half a pair", "NUL"])
def test_a_picture_has_no_orders(kind: str, tmp_path: Path) -> None:
    word = NASTY[kind]
    view = small_view(source=(word, "b", "c", "d", "e"), caption=word)
    write_picture([view], tmp_path / "x.svg")
    assert not ORDERS & set((tmp_path / "x.svg").read_text(encoding="utf-8"))
    assert np.isfinite(view.shares).all()
