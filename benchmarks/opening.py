"""What opening the sample encoder costs beside importing torch and transformers, in fresh interpreters side by side:
`python -m benchmarks.opening [ROUNDS]`. Processor time, so that other work on the machine counts little."""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median

from benchmarks.common import show

PROGRAMS = {
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


def seconds(program: str) -> float:
    """Processor seconds of an interpreter that runs `program`."""
    process = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"this program failed: {program}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            found[name].append(seconds(program))
    middle = [median(times) for times in found.values()]
    middle[3] -= middle[1]
    rows = [(name, time, time / middle[0]) for name, time in zip(PROGRAMS, middle, strict=True)]
    show("Opening the sample encoder", ("interpreter", "processor seconds", "of the import"), rows, digits=2)


if __name__ == "__main__":
    main()
