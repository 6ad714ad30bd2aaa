"""The GPU's kernel is relied on where it converges on the run's own text."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otkit.data.parallel import open_corpus
from otkit.data.views import CorpusView
from otkit.encoders.torch import TorchEncoder
from otkit.resources import sample_data
from otkit.training.recipe import Recipe
from otkit.training.solver import kernel_converges, sync_free_objective
from otkit.transport import solve

pytest.importorskip(
    "triton", reason="Triton comes with CUDA builds of torch, and with the extra 'dev' on Linux"
)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    def everywhere(device: torch.device) -> bool:
        return True

    monkeypatch.setattr(solve, "has_kernel", everywhere)


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are interpreted where there is no GPU")
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(
    ("recipe", "converges"),
    [("paper", True), ("best", True), pytest.param("paper-default", False, marks=pytest.mark.slow)],
)
def test_the_paper_converges_and_its_librarys_defaults_do_not(
    sample_encoder: TorchEncoder, recipe: str, converges: bool
) -> None:
    corpora = [CorpusView(open_corpus(sample_data() / "parallel" / "de-en.train.tsv"), np.arange(2))]
    objective = Recipe.read(recipe).for_encoder(sample_encoder).objective
    assert kernel_converges(objective, sample_encoder, corpora) == converges


def test_a_processor_may_be_asked(sample_encoder: TorchEncoder) -> None:
    objective = Recipe.read("paper").objective
    assert sync_free_objective(objective, sample_encoder, []) == objective
