"""Beads against gold: Vecalign's counts, files, and a run of the task."""

from __future__ import annotations

from pathlib import Path

import pytest

from otkit.alignment.beads import Bead
from otkit.data.documents import sentences_in
from otkit.data.lines import LineSource
from otkit.encoders.torch import TorchEncoder
from otkit.errors import InputError
from otkit.evaluation.documents import (
    BEAD_METRICS,
    bead_table,
    documents_task,
    read_beads,
    read_document,
)

GOLD = [Bead((0,), (0,)), Bead((1,), (1, 2)), Bead((2, 3), (3,)), Bead((), (4,)), Bead((4,), ())]


def _scores(found: list[Bead], gold: list[Bead]) -> dict[str, float]:
    sums = bead_table([found], [gold]).sum(0)
    return {name: float(metric(sums)) for name, metric in BEAD_METRICS.items()}


def test_the_gold_itself_is_right() -> None:
    assert set(_scores(GOLD, GOLD).values()) == {1.0}


def test_known_counts() -> None:
    found = [Bead((0,), (0,)), Bead((1,), (1,)), Bead((), (2,)), Bead((2, 3), (3,)), Bead((4,), (4,))]
    # Strictly right: two of the five found, two of the three gold beads with both sides. [1]:[1] is near [1]:[1, 2].
    scores = _scores(found, GOLD)
    assert scores["strict_precision"] == pytest.approx(2 / 5)
    assert scores["strict_recall"] == pytest.approx(2 / 3)
    assert scores["strict_f1"] == pytest.approx(0.5)
    assert scores["lax_precision"] == pytest.approx(3 / 5)
    assert scores["lax_recall"] == pytest.approx(1.0)


def test_nothing_found_is_zero() -> None:
    assert set(_scores([], GOLD).values()) == {0.0}
    with pytest.raises(InputError, match="1 alignments for 0 documents"):
        bead_table([GOLD], [])


def test_files(tmp_path: Path) -> None:
    gold = tmp_path / "gold"
    gold.write_text("".join(f"{bead}\n" for bead in GOLD) + "[]:[]\n\n", encoding="utf-8")
    assert list(read_beads(gold)) == GOLD
    gold.write_text("[0,1]:[0]:0.25\n", encoding="utf-8")
    assert read_beads(gold) == (Bead((0, 1), (0,)),)
    text = tmp_path / "text"
    text.write_text("a b\n\nc\n", encoding="utf-8")
    assert sentences_in(LineSource(text)) == (("a", "b"), (), ("c",))
    gold.write_text("[3]:[0]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"names the sentence 3, and .* has 3"):
        read_document(text, text, gold)
    gold.write_text("[0]:[0]\n1-2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"gold:2: is no bead: '1-2'"):
        read_beads(gold)


def test_the_task(sample_encoder: TorchEncoder, tmp_path: Path) -> None:
    lines = ["Das Haus ist klein .", "Wir kaufen Brot und Käse .", "Mein Bruder spielt Klavier ."]
    english = ["The house is small .", "We buy bread and cheese .", "My brother plays the piano ."]
    for name, some in (("de", lines), ("en", english), ("gold", ["[0]:[0]", "[1]:[1]", "[2]:[2]"])):
        (tmp_path / name).write_text("\n".join(some) + "\n", encoding="utf-8")
    document = read_document(tmp_path / "de", tmp_path / "en", tmp_path / "gold")
    task = documents_task({"de-en": [document]})
    done: list[tuple[int, int | None, str]] = []
    findings = task.run(sample_encoder, 0, tmp_path, lambda *reached: done.append(reached))
    assert {metric.name: findings.value(metric, "de-en") for metric in task.metrics} == dict.fromkeys(
        BEAD_METRICS, 1.0
    )
    assert done == [(6, 6, "documents")]
    assert task.fingerprint["data"] == {"de-en": [document.sha256]}
