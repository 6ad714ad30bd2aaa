"""Work beside the steps is told of, from its beginning to its end: whoever waits sees what for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from otkit.data.parallel import open_corpus
from otkit.data.settings import BatchingSettings
from otkit.encoders.torch import TorchEncoder
from otkit.training.forecast import forecast
from otkit.training.recipe import Recipe
from otkit.training.run import align_encoder
from otkit.training.settings import ObjectiveSettings, TrainingSettings
from tests.conftest import make_tiny_encoder
from tests.training.support import Silent

TEXT = "".join(f"das haus ist {'klein ' * (n % 4)}{n} .\tthe house is {n} .\n" for n in range(40))
SETTINGS = Recipe(
    objective=ObjectiveSettings(
        losses=(("link-likelihood", 1.0), ("anchor", 1.0)),
        cost="cosine",
        epsilon=0.1,
        layers=(1,),
        weights="idf",
        relink_every=2,
    ),
    batching=BatchingSettings(batch_size=4, window=3),
    training=TrainingSettings(steps=4, save_every=2, eval_every=2),
)


class Watching(Silent):
    """Everything that is told, in order; a record of a step is a line of its own."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def record(self, record: object, *, step: int, steps: int) -> None:
        if "lr" in record:  # type: ignore[operator]  # and no evaluation
            self.told.append(("step", step, steps))

    def progress(self, what: str, done: int, total: int | None) -> None:
        assert total is not None
        self.told.append((what, done, total))

    def works(self) -> list[str]:
        """What was told, at the end of each: reading links may wait for text that is being tokenised."""
        found, under_way = [], {}
        for what, done, total in self.told:
            assert under_way.get(what, 0) <= done <= total
            if what == "step":
                assert not under_way
            elif done < total:
                under_way[what] = done
            else:
                under_way.pop(what, None)
                found.append(what)
        assert not under_way
        return found


@pytest.fixture
def corpora(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{code}-en.tsv" for code in ("de", "fr")]
    for path in paths:
        path.write_text(TEXT, encoding="utf-8")
    return paths


def test_a_run_tells_what_it_does_before_its_first_step_and_between(
    tmp_path: Path, corpora: list[Path]
) -> None:
    texts = [open_corpus(path) for path in corpora]
    heard = []
    for resume in (False, True):
        watch = Watching()
        steps = replace(SETTINGS.training, steps=4)
        (tmp_path / "out").mkdir(exist_ok=True)
        stops = iter([False, not resume, False, False])
        align_encoder(
            make_tiny_encoder(),
            texts,
            texts,
            replace(SETTINGS, training=steps),
            folder=tmp_path / "out",
            observer=watch,
            resume=resume,
            should_stop=lambda stops=stops: next(stops),
        )
        heard.append(watch)
    first, second = heard
    before = first.told[: [what for what, *_ in first.told].index("step", 1)]
    assert {what for what, *_ in before} >= {
        "counting document frequencies",
        "measuring held-out text",
        "tokenising",
        "reading links",
    }
    assert first.works().count("reading links") == 1
    assert first.works()[-1] == "writing a checkpoint"
    assert second.works()[:2] == ["counting document frequencies", "reading the checkpoint"]
    assert second.works().count("reading links") == 1


def test_a_dry_run_tells_what_it_does(corpora: list[Path], tiny_encoder: TorchEncoder) -> None:
    watch = Watching()
    forecast(tiny_encoder, [open_corpus(path) for path in corpora], SETTINGS, observer=watch)
    assert list(dict.fromkeys(watch.works())) == [
        "counting document frequencies",
        "looking for the longest batch",
        "trying steps out",
    ]
