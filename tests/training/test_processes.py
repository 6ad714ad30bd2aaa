"""Several processes: two with gradients averaged are one with twice the accumulation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from otkit.encoders.torch import TorchEncoder
from otkit.training.processes import number_of_processes, open_accelerator
from otkit.training.settings import TrainingSettings

TEXT = "".join(
    f"das haus ist {'klein ' * (n % 4)}{n} .\tthe house is {'small ' * (n % 5)}{n} .\n" for n in range(1, 61)
)

RUN = """
import json, sys
from pathlib import Path
import torch
from otkit.data.settings import BatchingSettings
from otkit.data.parallel import open_corpus
from otkit.encoders.open import open_encoder
from otkit.training.settings import TrainingSettings
from otkit.training.recipe import Recipe
from otkit.training.run import align_encoder
from otkit.training.settings import ObjectiveSettings

class Silent:
    def record(self, record, *, step, steps): pass
    def note(self, message): pass
    def progress(self, what, done, total): pass

torch.set_num_threads(1)
folder, output, accumulate, resume = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
output.mkdir(exist_ok=True)
settings = Recipe(
    objective=ObjectiveSettings(
        losses=(("ot", 1.0), ("anchor", 0.1), ("contrastive-weak", 0.1), ("link-likelihood", 0.1), ("mlm", 0.1)),
        layers=(1,), cost="cosine", epsilon=0.1, iterations=500, tolerance=1e-7, projection=8,
        length_power=0.25, attach_factor=2.5, relink_every=3,
    ),
    # A token budget, so that the processes have different numbers of batches.
    batching=BatchingSettings(batch_size=4, batch_tokens=60),
    training=TrainingSettings(steps=4, grad_accum=accumulate, lr=1e-3, save_every=2, eval_every=2),
)
corpora = [open_corpus(folder / "de-en.tsv")]
result = align_encoder(
    open_encoder(folder / "tiny", device="cpu"), corpora, corpora, settings,
    folder=output, observer=Silent(), resume=resume == "resume",
)
if result.main:
    (output / "result.json").write_text(json.dumps({"step": result.step}))
"""


def launch(folder: Path, output: str, *, processes: int, accumulate: int, resume: str = "no") -> None:
    run = started(folder, output, processes=processes, accumulate=accumulate, resume=resume)
    assert run.returncode == 0, run.stderr[-3000:]


def started(
    folder: Path, output: str, *, processes: int, accumulate: int, resume: str = "no", program: str = RUN
) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "accelerate.commands.launch", "--num_machines", "1", "--mixed_precision", "no"]
    launcher += ["--dynamo_backend", "no", "--num_processes", str(processes), "--main_process_port", "0"]
    start = [*launcher, "--multi_gpu"] if processes > 1 else []
    (folder / "run.py").write_text(program, encoding="utf-8")
    words = [str(folder / "run.py"), str(folder), str(folder / output), str(accumulate), resume]
    return python(folder, *start, *words)


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow  # two launches of three processes, a minute where cores are few
def test_two_processes_are_one_with_twice_the_accumulation(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    tiny_encoder.save(tmp_path / "tiny")
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    launch(tmp_path, "two", processes=2, accumulate=1)
    launch(tmp_path, "one", processes=1, accumulate=2)
    two, one = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    assert set(two) == set(one)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-5, msg=name)
    histories = [
        [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        for name in ("two", "one")
    ]
    assert [record["step"] for record in histories[0]] == [record["step"] for record in histories[1]]
    for ours, theirs in zip(*histories, strict=True):
        assert set(ours) == set(theirs)
        for name in set(ours) - {"pairs_per_second", "memory_gb"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-5), name
    # One process wrote, and the checkpoint holds the random states of both.
    states = sorted(path.name for path in (tmp_path / "two/checkpoints/step-00000004").glob("random_states*"))
    assert states == ["random_states_0.pkl", "random_states_1.pkl"]
    # Both go on from where they were: the last checkpoint is lost, and the run ends as before.
    shutil.rmtree(tmp_path / "two/checkpoints/step-00000004")
    launch(tmp_path, "two", processes=2, accumulate=1, resume="resume")
    again = load_file(tmp_path / "two" / "model.safetensors")
    for name in one:
        torch.testing.assert_close(again[name], two[name], rtol=0, atol=1e-6, msg=name)


@pytest.mark.slow  # two interpreters that import torch
def test_sentences_cannot_be_gathered_from_different_numbers_of_batches(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    tiny_encoder.save(tmp_path / "tiny")
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    program = RUN.replace('("mlm", 0.1)', '("sentence-contrastive", 0.1)')
    run = started(tmp_path, "two", processes=2, accumulate=1, program=program)
    assert run.returncode != 0
    assert "would wait forever; leave batch_tokens out" in run.stderr


def test_a_run_has_its_own_device_whatever_the_process_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """accelerate keeps the device of a process's first run: a run on the CPU after one on a GPU went to the GPU."""
    from accelerate.state import PartialState

    open_accelerator(TrainingSettings(), tmp_path, (), device=torch.device("cpu"))
    monkeypatch.setitem(PartialState._shared_state, "device", torch.device("cuda"))
    assert number_of_processes(torch.device("cpu")) == 1
    assert PartialState().device.type == "cpu"
    monkeypatch.setitem(PartialState._shared_state, "device", torch.device("cuda"))
    assert open_accelerator(TrainingSettings(), tmp_path, (), device=torch.device("cpu")).device.type == "cpu"


# accelerate shards on GPUs only; told that this is such a machine, it does the same with two processes of a CPU.
SHARD = """
from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
import otkit.training.loop as loop
from otkit.training.processes import open_accelerator

def sharded(config, folder, log_to, *, device):
    accelerator = open_accelerator(config, folder, log_to, device=device)
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", cpu_ram_efficient_loading=False,
        transformer_cls_names_to_wrap=["BertLayer"], state_dict_type="SHARDED_STATE_DICT",
    )
    for state in (AcceleratorState, PartialState):
        state._shared_state["distributed_type"] = DistributedType.FSDP
    AcceleratorState._shared_state["fsdp_plugin"] = plugin
    return accelerator

loop.open_accelerator = sharded
"""


@pytest.mark.slow  # five runs of two interpreters that import torch
def test_sharded_weights_train_save_and_resume_as_whole_ones_do(
    tmp_path: Path, tiny_encoder: TorchEncoder
) -> None:
    tiny_encoder.save(tmp_path / "tiny")
    (tmp_path / "de-en.tsv").write_text(TEXT, encoding="utf-8")
    (tmp_path / "sharded.py").write_text(SHARD + RUN, encoding="utf-8")

    def shard(
        resume: str, program: str = "sharded.py", output: str = "two"
    ) -> subprocess.CompletedProcess[str]:
        return python(tmp_path, *TORCHRUN, program, str(tmp_path), str(tmp_path / output), "1", resume)

    run = shard("no")
    assert run.returncode == 0, run.stderr[-3000:]
    launch(tmp_path, "one", processes=1, accumulate=2)
    two, one = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    assert set(two) == set(one)
    for name in one:
        # Norms of gradients are summed in another order, and Adam divides by small numbers at the start.
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=5e-5, msg=name)
    best = load_file(tmp_path / "two" / "best" / "model.safetensors")
    assert {name: value.shape for name, value in best.items()} == {n: v.shape for n, v in one.items()}
    shutil.rmtree(tmp_path / "two/checkpoints/step-00000004")
    run = shard("resume")
    assert run.returncode == 0, run.stderr[-3000:]
    again = load_file(tmp_path / "two" / "model.safetensors")
    for name in one:
        torch.testing.assert_close(again[name], two[name], rtol=0, atol=1e-6, msg=name)
    # Layers that are to be discarded are sharded like the others, and whole where they are put back.
    start = load_file(tmp_path / "tiny" / "model.safetensors")
    for above in (0, 1):
        discarding = RUN.replace(
            "eval_every=2),", f"eval_every=2), tuning=TuningSettings(head_layers={2 - above}),"
        )
        (tmp_path / "headed.py").write_text(
            SHARD + "from otkit.training.settings import TuningSettings\n" + discarding, encoding="utf-8"
        )
        output = f"headed-{above}"
        run = shard("no", "headed.py", output)
        assert run.returncode == 0, run.stderr[-3000:]
        headed, best = (load_file(tmp_path / output / name / "model.safetensors") for name in (".", "best"))
        for name in one:
            upper = name.startswith(tuple(f"encoder.layer.{layer}." for layer in range(above, 2)))
            torch.testing.assert_close(
                headed[name], start[name] if upper else two[name], rtol=0, atol=1e-6, msg=name
            )
            assert not upper or torch.equal(best[name], start[name]), name
    # What compares a weight with its start would compare a shard with a whole: refused, not wrong.
    (tmp_path / "anchored.py").write_text(
        SHARD + RUN.replace('"mlm"', '"parameter-anchor"'), encoding="utf-8"
    )
    run = shard("no", "anchored.py")
    assert run.returncode != 0
    assert "the parameter anchor need every weight whole" in run.stderr


GATHER = """
import sys
import torch
from torch import distributed
from torch.nn.functional import cross_entropy, normalize
from otkit.training.encoded import EncodedPairs
from otkit.training.settings import ObjectiveSettings
from otkit.training.sentence_losses import sentence_contrastive

distributed.init_process_group("gloo")
rank = distributed.get_rank()
generator = torch.Generator().manual_seed(0)
whole = [normalize(torch.randn(5, 8, generator=generator), dim=1) for _ in range(2)]
rows = slice(0, 3) if rank == 0 else slice(3, 5)
own = [side[rows].clone().requires_grad_() for side in whole]
nothing = torch.zeros(1, 1)
pairs = EncodedPairs(None, None, nothing, nothing, None, 1.0, 1, sentences=tuple(own))
loss = sentence_contrastive(pairs, ObjectiveSettings()).value
loss.backward()

both = [side.clone().requires_grad_() for side in whole]
scores = both[0] @ both[1].T / 0.1
parts = []
for part in (slice(0, 3), slice(3, 5)):
    truth = torch.arange(5)[part]
    parts.append((cross_entropy(scores[part], truth) + cross_entropy(scores.T[part], truth)) / 2)
torch.testing.assert_close(loss, parts[rank])
sum(parts).backward()
for ours, theirs in zip(own, both):
    torch.testing.assert_close(ours.grad, theirs.grad[rows], rtol=1e-4, atol=1e-6)
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.mark.slow  # two interpreters that import torch
def test_sentences_of_all_processes_are_negatives_and_their_gradients_come_back(tmp_path: Path) -> None:
    (tmp_path / "gather.py").write_text(GATHER, encoding="utf-8")
    run = python(tmp_path, *TORCHRUN, "gather.py")
    assert run.returncode == 0, run.stderr[-3000:]
