"""The encoder without translations: what it reads, and that a stopped run goes on."""

from __future__ import annotations

import gzip
import itertools
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import pretrain
from benchmarks.pretrain import Budget, last_whole, one_of_each, seconds_of, sides
from otkit.encoders.open import open_encoder
from otkit.encoders.pairs import PairTokenizer
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ConfigError
from otkit.resources import sample_data


def test_no_sentence_stands_with_a_translation_of_it() -> None:
    """Neither directly nor through English, over a text in which languages share their English sentences."""
    pairs = [
        (language, f"{language} {i}", f"en {i % 40}") for language in ("de", "fr", "sw") for i in range(60)
    ]
    pairs += [("de", "de 100", "en 100"), ("de", "de 100", "en 101"), ("fr", "fr 101", "en 101")]
    kept = one_of_each(pairs)
    english = {(language, source): target for language, source, target in pairs}

    def meaning(one: tuple[str, str]) -> str:
        text = one[1] if one[0] == "en" else english[one]
        return {"en 100": "en 101"}.get(text, text)

    meanings = [meaning(one) for one in kept]
    assert len(meanings) == len(set(meanings)) == 41
    counts = Counter(language for language, _ in kept)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert one_of_each(pairs) == kept


def test_the_rate_rises_and_falls_with_what_is_over() -> None:
    budget = Budget(None, 100, every=10)
    rates = []
    for budget.share in (0.0, 0.025, 0.05, 0.525, 1.0):
        rates.append(round(budget.rate(0), 3))
    assert rates == [0.0, 0.5, 1.0, 0.5, 0.0]


def test_a_stopped_run_goes_on_to_an_encoder_that_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").mkdir()
    for language in ("de", "zh"):
        text = (sample_data() / "parallel" / f"{language}-en.train.tsv").read_bytes()
        lines = list(itertools.islice((line for line in text.splitlines() if b"\t" in line), 40))
        (tmp_path / "text" / f"{language}-en.tsv.gz").write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    assert len(list(sides(tmp_path / "text"))) == 80
    words = f"pretrain --parallel {tmp_path / 'text'} --output {tmp_path / 'out'} --layers 2 --width 64 --threads 1"
    words += " --vocabulary 600 --batch-size 8 --held-out 2 --checkpoint-minutes 0"
    monkeypatch.setattr(sys, "argv", [*words.split(), "--steps", "3"])
    pretrain.main()
    checkpoint = last_whole(tmp_path / "out" / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-3"
    # A kill in the midst of the next one leaves it without its last file.
    (checkpoint / "trainer_state.json").unlink()
    assert last_whole(tmp_path / "out" / "checkpoints") == checkpoint.with_name("checkpoint-2")
    assert seconds_of(checkpoint.with_name("checkpoint-2")) > 0
    monkeypatch.setattr(sys, "argv", [*words.split(), "--steps", "5", "--resume"])
    pretrain.main()
    steps = {path.parent.name for path in (tmp_path / "out" / "checkpoints").glob("*/trainer_state.json")}
    assert steps == {"checkpoint-4", "checkpoint-5"}
    with pytest.raises(ConfigError, match="has done its 5 steps"):  # one more would be another run
        pretrain.main()
    encoder = open_encoder(str(tmp_path / "out" / "encoder"), device="cpu")
    assert encoder.layers == 2
    # A long stretch without spaces is cut into pieces, not given up.
    stretch = encoder.tokenize(["一二三 " + "ab" * 55])
    assert stretch.ids.shape[1] > 100
    assert isinstance(encoder, TorchEncoder)
    assert PairTokenizer(encoder).added == 3  # a task of two texts can be fine-tuned
    marked = encoder.tokenizer("haus")["input_ids"]
    assert [marked[0], marked[-1]] == encoder.tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
