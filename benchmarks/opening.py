"""What opening an encoder costs beside importing the packages that run it, in fresh interpreters side by side:
`python -m benchmarks.opening [ROUNDS]`. Processor time, so that other work on the machine counts little."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.common import numbers, show
from otkit import export

SAMPLE = {
    "import torch and transformers' BERT": (
        "import torch; from transformers import BertConfig, PreTrainedTokenizerFast;"
        "from transformers.models.bert.modeling_bert import BertModel"
    ),
    "open the sample encoder": "from otkit import open_encoder; open_encoder(device='cpu')",
    "the same without its checks": (
        "import otkit.encoders.open as c; c.check_states = lambda *_: None;c.open_encoder(device='cpu')"
    ),
    "open it a second time": (
        "from otkit import open_encoder; open_encoder(device='cpu'); open_encoder(device='cpu')"
    ),
}
EXPORTED = {
    "import ONNX Runtime": "import onnxruntime",
    "import ONNX Runtime and torch": "import onnxruntime, torch",
    "open an ONNX folder": "import sys, otkit; otkit.open_encoder(sys.argv[1])",
    "the same, and transformers": (
        "import sys, otkit; otkit.open_encoder(sys.argv[1]); from transformers import BertModel"
    ),
}


def seconds(program: str, folder: Path) -> float:
    """Processor seconds of an interpreter that runs `program`, which is given the folder of an exported encoder."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"this program failed: {program}")
    return usage.ru_utime + usage.ru_stime


def main(rounds: int) -> None:
    """Run every program in turn, and print the medians."""
    programs = SAMPLE | EXPORTED
    found: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as place:
        folder = export(None, "onnx", output=Path(place) / "onnx").folder
        for _ in range(rounds):
            for name, program in programs.items():
                found[name].append(seconds(program, folder))
    middle = {name: median(times) for name, times in found.items()}
    middle["open it a second time"] -= middle["open the sample encoder"]
    for title, part in (("Opening the sample encoder", SAMPLE), ("Opening an exported encoder", EXPORTED)):
        first = middle[next(iter(part))]
        rows = [(name, middle[name], middle[name] / first) for name in part]
        show(title, ("interpreter", "processor seconds", "of the first"), rows, digits=2)


if __name__ == "__main__":
    main(*numbers(__doc__, rounds=5))
