"""A small multilingual BERT that has seen no translation: masked words alone, one vocabulary for all languages.

    python -m benchmarks.pretrain --hours 4 [--threads 2] [--output runs/pretrain] [--resume]
    python -m benchmarks.reproduce --scale pretrained --model runs/pretrain/encoder

Of all sentences of the parallel text that are translations of each other, of whatever languages, one is kept, so what
the encoder knows of how languages belong together it has from masked words, as mBERT has. Few parameters for the text
make languages share them (Dufter and Schütze 2020). The rate follows the share of the hours, or of the steps, that is
over; a run that was stopped goes on with --resume from its last checkpoint.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import BertWordPieceTokenizer
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import ExportableState

from benchmarks.common import data, ended, run_folder, show
from otkit.errors import ConfigError, InputError
from otkit.files import fresh_folder

WARMUP = 0.05
LONGEST = 192  # subwords of a sentence
_CHARACTERS = 5000  # the alphabet: of 16 languages, Chinese among them


def sides(folder: Path) -> Iterable[tuple[str, str, str]]:
    """(language, sentence, its English) of every pair."""
    for path in sorted(folder.glob("*-en.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                source, _, target = line.rstrip("\n").partition("\t")
                yield path.name.removesuffix("-en.tsv.gz"), source, target


def one_of_each(pairs: Iterable[tuple[str, str, str]], seed: int = 0) -> list[tuple[str, str]]:
    """(language, sentence): one of all sentences that translations tie together, of the language that has least so far.

    Two sentences of one English sentence are translations of each other too, so groups are closed under that.
    """
    above: dict[tuple[str, str], tuple[str, str]] = {}

    def top(one: tuple[str, str]) -> tuple[str, str]:
        above.setdefault(one, one)
        while above[one] != one:
            above[one] = above[above[one]]
            one = above[one]
        return one

    for language, source, target in pairs:
        above[top((language, source))] = top(("en", target))
    groups: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for one in above:
        groups[top(one)].append(one)
    shuffled = list(groups.values())
    random.Random(seed).shuffle(shuffled)
    drawn: Counter[str] = Counter()
    kept = []
    # Groups of one language have no choice, so those with many come last and even things out.
    for group in sorted(shuffled, key=lambda members: len({language for language, _ in members})):
        language, sentence = min(group, key=lambda member: drawn[member[0]])
        drawn[language] += 1
        kept.append((language, sentence))
    random.Random(seed).shuffle(kept)
    return kept


def vocabulary(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """Word pieces of all languages together; a text without spaces (Thai) is cut however long it is."""
    pieces = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    pieces.train_from_iterator(iter(texts), vocab_size=size, limit_alphabet=_CHARACTERS, show_progress=False)
    pieces._tokenizer.model.max_input_chars_per_word = 1000
    # One that is trained has no form yet, neither for a text nor for two.
    marks = [(token, pieces.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    pieces._tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    # Not BertTokenizer, which makes its word pieces anew when it is loaded, with the usual limit of a word's length.
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=pieces._tokenizer,
        model_max_length=LONGEST,
        unk_token="[UNK]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        mask_token="[MASK]",
    )


class Budget(TrainerCallback, ExportableState):
    """How much of the hours or steps is over, interruptions left out; asks for checkpoints, and for the end."""

    def __init__(self, hours: float | None, steps: int | None, every: float, seconds: float = 0.0) -> None:
        self.hours, self.steps, self.every, self.seconds = hours, steps, every, seconds
        self.share, self.begun = 0.0, time.monotonic()
        self._saved = self.begun

    def rate(self, step: int) -> float:
        """Of the highest rate: up to it, then down in a line."""
        return min(self.share / WARMUP, (1 - self.share) / (1 - WARMUP), 1.0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        passed = self.seconds + time.monotonic() - self.begun
        shares = [state.global_step / self.steps if self.steps else 0.0]
        shares.append(passed / 3600 / self.hours if self.hours else 0.0)
        self.share = min(1.0, max(shares))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.share >= 1.0:
            control.should_training_stop = True
        if control.should_training_stop or time.monotonic() - self._saved > 60 * self.every:
            control.should_save, self._saved = True, time.monotonic()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"args": {}, "attributes": {"seconds": self.seconds + time.monotonic() - self.begun}}


class MaskedWords(Trainer):
    """transformers' trainer; only the masked positions go through the head, which has as many columns as pieces."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels: Tensor = inputs.pop("labels")
        states = model.bert(**inputs).last_hidden_state[labels != -100]
        loss = nn.functional.cross_entropy(model.cls(states), labels[labels != -100])
        return (loss, {"loss": loss}) if return_outputs else loss


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end: the trainer's state is the last file of one."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def seconds_of(checkpoint: Path) -> float:
    """How long the runs up to a checkpoint took."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return float(state["stateful_callbacks"]["Budget"]["attributes"]["seconds"])


def is_spent(checkpoint: Path, options: argparse.Namespace) -> bool:
    """Whether the run of a checkpoint went as far as is asked: one more step would be another run."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    if options.steps:
        return bool(state["global_step"] >= options.steps)
    return bool(seconds_of(checkpoint) >= 3600 * options.hours)


def configured(options: argparse.Namespace, tokenizer: PreTrainedTokenizerFast) -> BertConfig:
    """A BERT of the asked size, with heads of 64 and the usual fourfold inner width."""
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.width // 64),
        intermediate_size=4 * options.width,
        max_position_embeddings=LONGEST,
        pad_token_id=tokenizer.pad_token_id,
    )


def pretrained(
    sentences: Sequence[tuple[str, str]], folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Train on the sentences, write the encoder into `folder / "encoder"`, and say what came of it."""
    set_seed(options.seed)
    held: defaultdict[str, list[str]] = defaultdict(list)
    seen = []
    for language, sentence in sentences:
        if len(held[language]) < options.held_out:
            held[language].append(sentence)
        else:
            seen.append(sentence)
    checkpoints = folder / "checkpoints"
    last = last_whole(checkpoints) if options.resume else None
    if last and is_spent(last, options):
        raise ConfigError(
            f"has done its {options.steps or options.hours:g} {'steps' if options.steps else 'hours'}",
            where=str(folder),
            remedy="ask for more of them, or name another --output",
        )
    # Made anew from the same sentences a vocabulary would not be the same: equal counts fall as they come.
    tokenizer = (
        PreTrainedTokenizerFast.from_pretrained(last) if last else vocabulary(seen, options.vocabulary)
    )
    budget = Budget(
        options.hours, options.steps, options.checkpoint_minutes, seconds_of(last) if last else 0.0
    )
    model = BertForMaskedLM(configured(options, tokenizer))
    adam = torch.optim.AdamW(model.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=0.01)
    trainer = MaskedWords(
        model=model,
        args=TrainingArguments(
            output_dir=str(checkpoints),
            per_device_train_batch_size=options.batch_size,
            per_device_eval_batch_size=options.batch_size,
            max_steps=options.steps or 10**9,
            train_sampling_strategy="group_by_length",
            save_strategy="no",  # the budget asks for them
            save_total_limit=2,
            logging_steps=50,
            disable_tqdm=True,
            report_to=[],
            seed=options.seed,
            bf16=options.precision == "bf16",
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=False,
        ),
        processing_class=tokenizer,  # into every checkpoint
        train_dataset=encoded(tokenizer, seen),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=options.masked),
        optimizers=(adam, LambdaLR(adam, budget.rate)),
        callbacks=[budget],
    )
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    found: dict[str, Any] = {
        "steps": trainer.state.global_step,
        "hours": (budget.seconds + time.monotonic() - budget.begun) / 3600,
        "sentences": len(seen),
        "epochs": trainer.state.epoch,
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "masked loss": {},
    }
    for language, texts in sorted(held.items()):
        set_seed(options.seed)  # the same positions are masked, whatever was computed before
        measured = trainer.evaluate(encoded(tokenizer, texts))
        found["masked loss"][language] = measured["eval_loss"]
    with fresh_folder(folder / "encoder", "encoder", overwrite=True) as place:
        model.bert.save_pretrained(place)
        tokenizer.save_pretrained(place)
    return found


def encoded(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Any:
    """Ids only, a row a text; the collator pads and masks."""
    rows = tokenizer(list(texts), truncation=True, return_token_type_ids=False, return_attention_mask=False)
    return [{"input_ids": ids} for ids in rows["input_ids"]]


def main() -> None:
    """Draw the sentences, train, and print what was learned."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--parallel", type=Path, help="folder of XX-en.tsv.gz, instead of the benchmark data's"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/pretrain"))
    parser.add_argument("--hours", type=float, help="of this machine, however fast it is")
    parser.add_argument("--steps", type=int, help="repeatable, unlike hours")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=16000)
    parser.add_argument("--masked", type=float, default=0.15)
    parser.add_argument("--batch-size", type=int, default=64, help="sentences")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--held-out", type=int, default=50, help="sentences of each language")
    parser.add_argument("--checkpoint-minutes", type=float, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--overwrite", action="store_true", help="throw away the run that is in the folder")
    options = parser.parse_args()
    if not options.hours and not options.steps:
        parser.error("--hours or --steps says how far")
    torch.set_num_threads(options.threads)
    text = options.parallel or data("parallel")
    sentences = one_of_each(sides(text), options.seed)
    if not sentences:
        raise InputError(
            "holds no file XX-en.tsv.gz with sentences", where=str(text), remedy="check the path"
        )
    folder = run_folder(options.output, resume=options.resume, overwrite=options.overwrite)
    found = pretrained(sentences, folder, options)
    loss = found.pop("masked loss")
    show("A BERT without translations", tuple(found), [tuple(found.values())], digits=2)
    perplexity = {language: math.exp(value) for language, value in loss.items()}
    show(
        "Perplexity of masked word pieces, held out",
        tuple(perplexity),
        [tuple(perplexity.values())],
        digits=1,
    )


if __name__ == "__main__":
    ended(main)
