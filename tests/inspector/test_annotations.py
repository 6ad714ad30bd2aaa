"""Links by hand: on the disk at once, undone, compared, and good to train on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.metrics import cohen_kappa_score

import otkit
from otkit.data.gold import GoldPair, read_gold
from otkit.errors import ConfigError, InputError, OutputError
from otkit.evaluation.metrics import ALIGNMENT_METRICS, alignment_table
from otkit.inspector.annotations import Annotations
from tests.conftest import make_tiny_encoder

PAIR = (("das", "kleine", "haus"), ("the", "small", "house"))


def test_changes_are_gold_files_at_once_and_survive(tmp_path: Path) -> None:
    notes = Annotations(tmp_path / "a")
    notes.change("ana", *PAIR, {"cells": [[0, 0, "sure"], [2, 2, "possible"]]})
    shown = notes.change("ana", *PAIR, {"cells": [[1, 1, "sure"]], "note": "fine", "done": True})
    assert shown["cells"] == [[0, 0, "sure"], [1, 1, "sure"], [2, 2, "possible"]]
    assert (tmp_path / "a" / "ana.pharaoh").read_text() == "0-0 1-1 2p2\n"
    (pair,) = read_gold(tmp_path / "a" / "ana.tsv", base=0)
    assert (pair.source, pair.target) == PAIR
    assert (pair.sure, pair.possible) == ({(0, 0), (1, 1)}, {(0, 0), (1, 1), (2, 2)})
    again = Annotations(tmp_path / "a")
    assert again.of("ana", *PAIR)["cells"] == shown["cells"]
    assert (again.of("ana", *PAIR)["note"], again.of("ana", *PAIR)["done"]) == ("fine", True)


def test_every_format_says_the_same_and_a_verdict_is_no_gold(tmp_path: Path) -> None:
    notes = Annotations(tmp_path / "a")
    notes.change("ana", *PAIR, {"cells": [[0, 0, "sure"], [2, 2, "possible"]]})
    notes.change("ana", ["ja"], ["yes", "indeed"], {"done": True, "cells": [[0, 1, "sure"]]})
    notes.change("ana", ["nein"], ["no"], {"verdict": "rejected", "note": "shouted"})
    folder = tmp_path / "a"
    text = {"text": folder / "ana.source.txt", "target": folder / "ana.target.txt"}
    expected = read_gold(folder / "ana.tsv", base=0).pairs
    assert [pair.source for pair in expected] == [PAIR[0], ("ja",)]
    assert (folder / "ana.talp").read_text() == "1-1 3p3\n1-2\n"
    assert (folder / "ana.naacl").read_text() == "1 1 1 S\n1 3 3 P\n2 1 2 S\n"
    for name, base, given in (("pharaoh", 0, text), ("talp", 1, text), ("naacl", 1, text), ("json", 0, {})):
        assert read_gold(folder / f"ana.{name}", base=base, **given).pairs == expected, name
    again = Annotations(folder)
    assert (again.verdict(["nein"], ["no"]), again.verdict(*PAIR)) == ("rejected", "none")
    assert again.of("ana", ["nein"], ["no"])["pairs"] == 2
    back = again.change("bo", ["nein"], ["no"], {"verdict": "accepted"})
    assert (back["verdict"], again.verdict(["nein"], ["no"])) == ("accepted", "accepted")
    assert again.agreement("ana", "bo").pairs == 0


def test_undo_goes_back_change_by_change(tmp_path: Path) -> None:
    notes = Annotations(tmp_path / "a")
    notes.change("ana", *PAIR, {"cells": [[0, 0, "sure"]]})
    notes.change("ana", *PAIR, {"cells": [[0, 0, "possible"], [1, 1, "sure"]]})
    back = notes.undo("ana")
    assert back is not None
    assert back["cells"] == [[0, 0, "sure"]]
    assert Annotations(tmp_path / "a").of("ana", *PAIR)["cells"] == [[0, 0, "sure"]]
    assert notes.undo("ana") is not None
    assert notes.undo("ana") is None
    assert notes.of("ana", *PAIR)["cells"] == []


def test_one_annotator_s_undo_leaves_the_verdict_of_another(tmp_path: Path) -> None:
    notes = Annotations(tmp_path / "a")
    notes.change("ana", *PAIR, {"verdict": "accepted"})
    notes.change("ben", *PAIR, {"verdict": "rejected"})
    assert notes.verdict(*PAIR) == "rejected"
    notes.undo("ben")
    for found in (notes, Annotations(tmp_path / "a")):
        assert found.verdict(*PAIR) == "accepted"
        assert found.of("ben", *PAIR)["verdict"] == "none"
    notes.change("ben", *PAIR, {"cells": [[0, 0, "sure"]]})
    notes.undo("ben")
    assert notes.verdict(*PAIR) == Annotations(tmp_path / "a").verdict(*PAIR) == "accepted"


def test_a_killed_process_loses_no_change_that_it_confirmed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from otkit.inspector.annotations import Annotations\n"
        "notes = Annotations(Path(sys.argv[1])); words = [str(k) for k in range(300)]\n"
        "for k in range(100000):\n"
        "    notes.change('ana', words, words, {'cells': [[k % 300, k // 300, 'sure']]}); print(k, flush=True)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    confirmed = [int(run.stdout.readline()) for _ in range(30)]
    os.kill(run.pid, signal.SIGKILL)
    confirmed += map(int, run.stdout.read().split())
    run.wait()
    words = [str(k) for k in range(300)]
    kept = {(i, j) for i, j, _ in Annotations(tmp_path / "a").of("ana", words, words)["cells"]}
    assert kept >= {(k % 300, k // 300) for k in confirmed}
    assert len(kept) <= len(confirmed) + 1


def test_a_line_that_a_kill_cut_is_left_out_and_the_journal_goes_on(tmp_path: Path) -> None:
    notes = Annotations(tmp_path / "a")
    notes.change("ana", *PAIR, {"cells": [[0, 0, "sure"]]})
    journal = tmp_path / "a" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"by": "ana", "sou')
    again = Annotations(tmp_path / "a")
    again.change("ana", *PAIR, {"cells": [[1, 1, "sure"]]})
    assert Annotations(tmp_path / "a").of("ana", *PAIR)["cells"] == [[0, 0, "sure"], [1, 1, "sure"]]
    journal.write_text('{"nothing": 1}\n')
    with pytest.raises(InputError, match=r"journal\.jsonl:1: is no entry"):
        Annotations(tmp_path / "a")


def test_wrong_changes_reach_no_file(tmp_path: Path) -> None:
    notes = Annotations(tmp_path / "a")
    for by, change, said in (
        ("../up", {}, "the annotator is"),
        ("ana", {"cells": [[0, 3, "sure"]]}, "there is no cell"),
        ("ana", {"cells": [[True, 0, "sure"]]}, "there is no cell"),
        ("ana", {"cells": [[0, 0, "maybe"]]}, "unknown kind of link 'maybe'"),
        ("ana", {"cells": "0-0"}, "cells is no list"),
        ("ana", {"links": []}, "unknown change"),
        ("ana", {"verdict": "fine"}, "unknown verdict 'fine'"),
    ):
        with pytest.raises(ConfigError, match=said):
            notes.change(by, *PAIR, change)
    with pytest.raises(ConfigError, match="has a space"):
        notes.change("ana", ["a\tb"], ["c"], {"cells": []})
    assert not (tmp_path / "a" / "journal.jsonl").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="did not make"):
        Annotations(tmp_path / "mine")


def test_agreement_is_cohens_kappa_and_the_error_rate(tmp_path: Path) -> None:
    notes = Annotations(tmp_path / "a")
    notes.change("ana", *PAIR, {"cells": [[0, 0, "sure"], [1, 1, "possible"], [2, 2, "sure"]]})
    notes.change("bo", *PAIR, {"cells": [[0, 0, "sure"], [1, 2, "sure"], [2, 2, "sure"]]})
    found = notes.agreement("ana", "bo")
    cells = [
        [(i, j) in links for i in range(3) for j in range(3)]
        for links in ({(0, 0), (1, 1), (2, 2)}, {(0, 0), (1, 2), (2, 2)})
    ]
    assert found.kappa == pytest.approx(cohen_kappa_score(*cells))
    assert found.aer == pytest.approx(1 - (2 + 2) / (3 + 2))
    same = notes.agreement("ana", "ana")
    assert (same.pairs, same.kappa) == (1, pytest.approx(1.0))


def _aer(encoder: object, gold: list[GoldPair]) -> float:
    found = otkit.Aligner(encoder).align([(pair.source, pair.target) for pair in gold])  # type: ignore[arg-type]
    sums = alignment_table([each.pairs for each in found], gold).sum(0)
    return float(ALIGNMENT_METRICS["aer"](sums))


def test_look_correct_train_and_look_again(tmp_path: Path) -> None:
    """The links that a person sets feed the training, after which the aligner agrees with the person."""
    every = read_gold("sample_data/gold/de-en.dev.tsv")
    gold = [pair for pair in every if max(len(" ".join(side)) for side in (pair.source, pair.target)) < 58]
    notes = Annotations(tmp_path / "notes")
    for pair in gold:
        cells = [[i, j, "sure" if (i, j) in pair.sure else "possible"] for i, j in sorted(pair.possible)]
        notes.change("ana", pair.source, pair.target, {"cells": cells, "done": True})
    make_tiny_encoder().save(tmp_path / "before")
    otkit.train(
        str(tmp_path / "before"),
        [],
        links=[str(tmp_path / "notes" / "ana.tsv")],
        langs="de-en",
        output=tmp_path / "after",
        objective={"losses": {"word-alignment-supervised": 1.0}},
        training={"steps": 30, "lr": 2e-3},
        batching={"batch_size": 6},
    )
    before, after = (_aer(str(tmp_path / name), gold) for name in ("before", "after"))
    assert after < before
