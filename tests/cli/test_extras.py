"""A package that an option needs and that is missing is told before any work, under its right name."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from otkit.cli.app import main
from otkit.cli.extras import NEEDS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]

# (the module that is hidden, what installs it, a line that needs it: nothing that it names is there)
CASES = [
    ("icu4py", "otkit[raw]", "extract none.tsv --raw"),
    ("icu4py", "otkit[raw]", "show-alignment a b --model none/at/all --raw"),
    ("icu4py", "otkit[raw]", "report none.tsv --raw"),
    ("starlette", "otkit[serve]", "inspect none.tsv"),
    ("uvicorn", "otkit[serve]", "inspect none.tsv"),
    ("icu4py", "otkit[raw]", "check none.tsv --raw"),
    ("icu4py", "otkit[raw]", "embed none.tsv --output out --raw"),
    ("ray", "otkit[ray]", "extract none.tsv --engine ray"),
    ("ray", "otkit[ray]", "embed none.tsv --output out --engine ray"),
    ("pyarrow", "otkit[parquet]", "embed none.tsv --output out --shards parquet"),
    ("faiss", "faiss-cpu", "embed none.tsv --output out --index hnsw"),
    ("faiss", "faiss-cpu", "evaluate retrieval none.tsv --index ivf"),
    ("peft", "otkit[lora]", "align none.tsv --lora 4"),
    ("lxml", "otkit[tags]", "tags none.xlf"),
    ("lxml", "otkit[tags]", "tags none --input-format tmx"),
    ("polib", "otkit[tags]", "tags none.po"),
    ("icu4py", "otkit[raw]", "lexicon none.tsv --raw"),
    ("ray", "otkit[ray]", "lexicon none.tsv --engine ray"),
    ("tensorboard", "otkit[trackers]", "align none.tsv --log-to tensorboard"),
    ("wandb", "wandb", "align none.tsv --log-to wandb"),
    ("comet_ml", "comet-ml", "align none.tsv --log-to comet_ml"),
    ("matplotlib", "otkit[plots]", "evaluate retrieval none.tsv --chart bars.png"),
    ("matplotlib", "otkit[plots]", "show-alignment a b --model none/at/all --output a.png"),
    ("matplotlib", "otkit[plots]", "show-alignment a b --model none/at/all --format svg --output a.svg"),
    ("datasets", "otkit[hub]", "evaluate xnli --data facebook/xnli --languages de"),
    ("datasets", "otkit[hub]", "evaluate xquad --train rajpurkar/squad"),
    ("datasets", "otkit[hub]", "align --dataset Helsinki-NLP/opus-100:de-en"),
    ("datasets", "otkit[hub]", "extract hf://datasets/Helsinki-NLP/opus-100:de-en"),
    ("onnx", "onnx", "export none/at/all"),
    ("onnxscript", "onnxscript", "export none/at/all --quantize int8"),
]


@pytest.mark.parametrize(("module", "package", "line"), CASES, ids=lambda value: str(value)[:40])
def test_a_missing_package_is_told_at_the_door(
    module: str,
    package: str,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "argv", ["otkit", *line.split()])
    with pytest.raises(SystemExit) as stop:
        main()
    shown = capsys.readouterr()
    install = f"'{package}'" if "[" in package else package
    assert shown.err == (
        f"error: the package {module!r} is needed here and is not installed; pip install {install}\n"
    )
    assert (stop.value.code, shown.out) == (1, "")
    assert not list(tmp_path.iterdir())


def test_a_grid_as_svg_and_files_of_a_benchmark_need_no_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for module in ("matplotlib", "datasets"):
        monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]
    grid = ["show-alignment", "a", "b", "--format", "grid", "--output", str(tmp_path / "a.svg")]
    for words in (grid, ["evaluate", "xnli", "--data", str(tmp_path)]):
        monkeypatch.setattr(sys, "argv", ["otkit", *words, "--model", "none/at/all"])
        with pytest.raises(SystemExit):
            main()
        assert "is needed here" not in capsys.readouterr().err


def test_every_row_has_a_case_and_every_extra_brings_its_package() -> None:
    assert {need.module for need in NEEDS} <= {module for module, _, _ in CASES}
    extras = {
        name: {Requirement(one).name for one in packages}
        for name, packages in PROJECT["optional-dependencies"].items()
    }
    plain = {Requirement(one).name for one in PROJECT["dependencies"]}
    for need in NEEDS:
        brought = extras[need.extra] if need.extra else plain
        assert (need.package or need.module) in brought, need
    assert "tensorboard" in extras["trackers"]
