"""What a user says is done, or refused: every option of every command, walked from the command line itself.

Another valid value changes what the command gives, or the settings that it records, or is refused with a reason; a
wrong value ends it with exit code 2 and a line that names the option, what it received and what is expected. An option
that `option_table` does not know fails the walk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import typer
from tokenizers import processors
from transformers import BertModel

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.app import app, every_command, main
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ExportError
from otkit.exports.settings import ExportSettings
from otkit.settings import declared, parse_text
from otkit.training.recipe import Recipe
from tests.cli.option_table import BASES, ROOT_OPTIONS, TABLE, Row
from tests.conftest import make_tiny_encoder, mostly_slow
from tests.encoders.families import nllb_tokenizer, write_translator
from tests.hub import Hub, Repo

GROUP = typer.main.get_command(app)
RUNNING = typer.main.get_command(app)  # built once: that takes longer than to refuse a value


COMMANDS = every_command(GROUP)
WALK = [(command, option) for command, rows in TABLE.items() for option in rows]
HERE = [(command, option) for command, option in WALK if not TABLE[command][option].same_as]
WRONG = [
    (command, option, value)
    for command, rows in TABLE.items()
    for option, row in rows.items()
    for value in row.wrong.split()
]


def parameters(command: str) -> dict[str, Any]:
    """Options by their long form, or the short one of those that have no other, and arguments by their name."""
    context = COMMANDS[command].make_context(command, [], resilient_parsing=True)
    found = {}
    for one in COMMANDS[command].get_params(context):
        long = [name for name in one.opts if name.startswith("--")]
        found[(long or one.opts)[0]] = one
    return found


def is_number(parameter: Any) -> bool:
    return parameter.type_descriptor.annotation in (int, float)


def test_the_table_knows_every_option_of_every_command() -> None:
    assert set(TABLE) == set(COMMANDS)
    for command in COMMANDS:
        assert set(TABLE[command]) == set(parameters(command)), command
    assert {max(one.opts, key=len) for one in GROUP.params} | {"--help"} == ROOT_OPTIONS


@pytest.mark.parametrize("command", TABLE)
def test_numbers_and_names_have_wrong_values_in_the_table(command: str) -> None:
    for option, one in parameters(command).items():
        row = TABLE[command][option]
        checked = is_number(one) or one.type_descriptor.parameter_info.parser is not None
        checked = checked and (one.metavar or "") not in ("TEXT", "NAME|TEXT", "FILE")  # any text is right
        assert bool(row.wrong or row.same_as) or not checked, f"{command} {option}"


def test_every_field_of_the_aligner_is_an_option_of_each_command_that_aligns() -> None:
    names = set(declared(AlignmentSettings))
    for command in ("extract", "show-alignment", "report", "evaluate word-alignment", "evaluate all"):
        assert names <= {one.name for one in parameters(command).values()}, command


@pytest.mark.parametrize(("command", "option"), [pair for pair in WALK if TABLE[pair[0]][pair[1]].same_as])
def test_the_same_option_is_walked_elsewhere(command: str, option: str) -> None:
    other = TABLE[command][option].same_as
    assert not TABLE[other][option].same_as
    one, two = parameters(command)[option], parameters(other)[option]
    assert (one.name, one.opts, one.secondary_opts, one.nargs, one.multiple) == (
        two.name,
        two.opts,
        two.secondary_opts,
        two.nargs,
        two.multiple,
    )
    assert one.default == two.default


# --- running


@dataclass(frozen=True)
class Outcome:
    """What a run gives: its exit code, stdout, and the files that it wrote, without times and command lines."""

    code: int
    stdout: str
    files: dict[str, str]
    stderr: str = field(compare=False)

    def only(self, ending: str) -> str:
        """The one written file whose name ends so."""
        (found,) = (content for name, content in self.files.items() if name.endswith(ending))
        return found


SOURCE, TARGET = "hausboot ist kleiner", "the houseboat is smaller"
LINES = [
    ("das hausboot ist kleiner .", "the houseboat is smaller ."),
    (SOURCE, TARGET),
    ("ein haus", "the small house"),
    ("der haus ist das klein haus", "the house is the small house"),
    ("klein", "small house"),
    ("die haus ist ein haus .", "a house is the house ."),
    ("ist das haus klein ?", "is the house small ?"),
    ("das klein haus , das haus", "the small house , the house"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("options"))


def make_inputs(folder: Path) -> Path:
    """Small inputs for every command."""
    encoder = make_tiny_encoder()
    encoder.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    encoder.save(folder / "tiny")
    for weight in encoder.model.encoder.layer.parameters():
        weight.data.mul_(2)
    encoder.save(folder / "other")

    def write(name: str, lines: list[str]) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    pairs = ["\t".join(pair) for pair in LINES]
    write("de-en.tsv", pairs)
    write("fr-en.tsv", [f"le {target}\t{target}" for _, target in LINES])
    write("bad.tsv", [*pairs[:3], "no separator", *pairs[3:]])
    for side, number in (("de", 0), ("en", 1)):
        write(f"x.{side}", [pair[number] for pair in LINES])
        write(f"y.{side}", [pair[number] for pair in LINES[::-1]])
    write("de-en.gold.tsv", [f"{pair}\t0-0 1-1" for pair in pairs[:2]] + [f"{pairs[2]}\t0-1 1-2"])
    write("more.de-en.gold.tsv", [f"{pair}\t0-1 1-0" for pair in pairs[:2]])
    for side, number in (("de", 0), ("en", 1)):
        words = sorted({word for pair in LINES for word in pair[number].split()})
        write(f"cc.{side}.vec", [f"{word} {place % 3} 1 {place % 5}" for place, word in enumerate(words)])
    rows = [" ".join(side.split()[::-1]) for pair in LINES for side in pair]
    # Each word stands with each, and seldom goes with it.
    write("often.tsv", [f"{one}\t{other}" for one in rows for other in rows])
    write("raw.tsv", ["das haus, klein.\tthe house, small."])
    write("links1.txt", ["0-0 1-3"])
    write("links2.txt", ["0-0 1-2", "0-1"])
    write("links.txt", ["0-0"] * len(LINES))
    write("aligner.toml", ["[alignment]", 'transport = "balanced"'])
    write("checker.toml", ["[check]", "epsilon = 3"])
    write("fr-en.gold.tsv", ["le house\tthe house\t0-0 1-1"])
    write("bad.gold.tsv", [f"{pairs[0]}\t0-0", "no gold", f"{pairs[1]}\t0-0"])
    for name, order in (("two", LINES[:2]), ("other", LINES[1::-1])):
        write(f"{name}.de-en.tsv", ["\t".join(pair) for pair in order])
    for side, number in (("de", 0), ("en", 1)):
        write(f"two.{side}", [pair[number] for pair in LINES[:2]])
        write(f"y2.{side}", [pair[number] for pair in LINES[1::-1]])
        write(f"mined.{side}", [f"{side}-{n}\t{pair[number]}" for n, pair in enumerate(LINES)])
        write(f"mined2.{side}", [f"{side}-{n}\t{pair[number]}" for n, pair in enumerate(LINES[::-1])])
        write(
            f"pairs/tatoeba/tatoeba.deu-eng.{'deu' if side == 'de' else 'eng'}",
            [pair[number] for pair in LINES[:3]],
        )
    tagged = [
        [f"{word}\t_\t{'B-X' if n == 1 else 'O'}" for n, word in enumerate(pair[0].split())] for pair in LINES
    ]
    write("labels.conll", [*tagged[0], "", *tagged[1]])
    write(
        "labels3.conll",
        [line.replace("B-X", "O") if n < 6 else line for n, line in enumerate([*tagged[0], "", *tagged[1]])],
    )
    write("labels2.conll", [*tagged[1], "", *tagged[0]])
    write("bad.conll", [*tagged[0], "one column", "", *tagged[1]])
    for name, order in (("book", LINES), ("book2", LINES[::-1])):
        write(f"{name}.de", [pair[0] for pair in order])
        write(f"{name}.en", [pair[1] for pair in order])
        write(f"{name}.beads", [f"[{n}]:[{n if name == 'book' else 7 - n}]" for n in range(8)])
    write("labels.en", [pair[1] for pair in LINES[:2]])
    write("labels2.en", [pair[1] for pair in LINES[1::-1]])
    write("marked.txt", ["das <b>hausboot</b> ist kleiner ."])
    (folder / "bad.txt").write_bytes(b"das <b>hausboot</b> \xff\n")
    write("marked2.txt", ["das hausboot ist <i>kleiner</i> ."])
    write("marked.en", ["the houseboat is smaller ."])
    write("marked2.en", ["smaller is the houseboat ."])
    write("two.links", ["0-0 1-1", "0-0"])
    write("mined.bad", [f"de-{n}\t{pair[0]}" for n, pair in enumerate(LINES)] + ["no separator"])
    write("mined.gold", [f"de-{n}\ten-{n}" for n in range(6)])
    write("mined2.gold", [f"de-{n}\ten-{n}" for n in range(3)])
    write("golden/word-alignment/xlwa-en-de.dev.tsv", [f"{pairs[0]}\t0-0"])
    write("pairs/tatoeba/de-en.tsv", pairs[:3])
    header = [
        "src_lang",
        "tgt_lang",
        "src_text",
        "mt_text",
        "omit_spans",
        "hall_spans",
        "class_hall",
        "class_omit",
    ]
    for name, classes in (
        ("judged", "1_No 3_Partial 1_No 4_Full"),
        ("judged2", "3_Partial 1_No 4_Full 1_No"),
    ):
        rows = []
        for n, (source, target) in enumerate(LINES[:6]):
            hall, omit = classes.split()[n % 2], classes.split()[2 + n % 2]
            rows.append("\t".join(["deu_Latn", "eng_Latn", source, target, source, target, hall, omit]))
        write(f"{name}.tsv", ["\t".join(header), *rows])
    labels = ("entailment", "neutral", "contradiction")
    for name, step in (("nli", 1), ("nli2", 2)):
        for part in ("train-en", "dev-en", "dev-de"):
            items = [f"{a}\t{b}\t{labels[n * step % 3]}" for n, (a, b) in enumerate(LINES)]
            write(f"{name}/{part}.tsv", items)
            if name == "nli":
                write("nli/copies.tsv", [f"{b}\t{a}\t{labels[n % 3]}" for n, (a, b) in enumerate(LINES)])
                write(
                    f"nlibad/{part}.tsv",
                    [*items[:4], "no columns", *items[4:]] if part == "dev-de" else items,
                )
    for part in ("train-en", "dev-de"):
        answers = [{"text": "house", "answer_start": 10}]
        question = {"id": part, "question": "the house", "answers": answers}
        paragraph = {"context": "the small house is a house and the house is small", "qas": [question] * 3}
        paragraph["qas"] = [{**question, "id": f"{part}-{n}"} for n in range(3)]
        write(f"qa/{part}.json", [json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]})])
    with contextlib.chdir(folder):
        for name, file in (("vectors", "de-en.tsv"), ("vectors2", "fr-en.tsv")):
            words = f"embed {file} --model tiny --output {name} --shards npy --index none -q"
            assert run(words).code == 0
        assert run("lexicon de-en.tsv --model tiny --output lexicon.sqlite -q").code == 0
    return folder


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch, place: Path) -> Iterator[None]:
    """Each run in the folder of the inputs, without the minute that the compiler takes; threads and logs as before."""
    monkeypatch.chdir(place)
    threads, verbosity = torch.get_num_threads(), transformers.utils.logging.get_verbosity()
    with torch.compiler.set_stance("force_eager"):
        yield
    torch.set_num_threads(threads)
    transformers.utils.logging.set_verbosity(verbosity)


def run(words: str, *, hidden: str = "") -> Outcome:
    """Run a command line in the current folder and take away what it wrote."""
    spelt = [{"SOURCE": SOURCE, "TARGET": TARGET}.get(word, word) for word in shlex.split(words)]
    before = sorted(Path.cwd().rglob("*"))
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["otkit", *spelt])
        patch.setattr("otkit.cli.app.app", RUNNING)
        patch.setenv("COLUMNS", "200")
        # A curve takes two thirds of so short a run, and without matplotlib there is none.
        for name in filter(None, [hidden, "matplotlib" if words.startswith("align ") else ""]):
            patch.setitem(sys.modules, name, None)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
                code: Any = 0
            except SystemExit as stop:
                code = stop.code or 0
    written = [path for path in sorted(Path.cwd().rglob("*")) if path not in before and path.is_file()]
    shown = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]  # type: ignore[attr-defined]
    files = {_named(path): _told(path) for path in written if path.name != MARKER}
    return Outcome(code, shown[0], files, stderr=shown[1])


def clean(kept: set[Path]) -> None:
    """Remove what runs have left in the current folder."""
    for path in sorted(Path.cwd().iterdir()):
        if path not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


MARKER = ".made-by-otkit.json"  # it holds the sizes of files that hold the command line
# What differs from run to run, wherever it stands in a document.
_PASSING = {
    "command", "versions", "version", "otkit", "seconds", "pairs_per_second", "memory_gb", "time", "written", "mtime",
}  # fmt: skip


def _named(path: Path) -> str:
    name = str(path.relative_to(Path.cwd()))
    return "events" if "events.out" in name else name


def _told(path: Path) -> str:
    """The content of a file, where it is JSON without what passes."""
    if path.suffix in (".json", ".jsonl") and path.stat().st_size < 1 << 20:
        lines = [path.read_text("utf-8")] if path.suffix == ".json" else path.read_text("utf-8").splitlines()
        return "\n".join(json.dumps(_plain(json.loads(line)), sort_keys=True) for line in lines)
    return "" if "events.out" in path.name else hashlib.sha256(path.read_bytes()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if name not in _PASSING}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


BEFORE: dict[tuple[str, bool, str], Outcome] = {}


def base_of(command: str, row: Row) -> str:
    return f"{BASES[row.base or command]} {row.beside}".strip()


def outcome(words: str, row: Row, *, first: str = "") -> Outcome:
    """One run; before it, where the row says so, the base line, or a file of the user's at its output."""
    kept = set(Path.cwd().iterdir())
    try:
        if row.after:
            assert run(first).code == 0
        if row.foreign:
            Path(row.foreign).parent.mkdir(exist_ok=True)
            Path(row.foreign).write_text("a user's own\n", encoding="utf-8")
        return run(words, hidden=row.hidden)
    finally:
        clean(kept)


def plain_outcome(words: str, row: Row) -> Outcome:
    """The base line's, computed once."""
    key = words, row.after, row.foreign
    if key not in BEFORE:
        BEFORE[key] = outcome(words, Row(after=row.after, foreign=row.foreign), first=words)
    return BEFORE[key]


def spelt_with(command: str, option: str, row: Row) -> str:
    """The base line with the option in it."""
    words, value = base_of(command, row), row.value
    given = f"{option} {value}" if option.startswith("-") else value
    if row.instead:
        assert row.instead in words, words
        return words.replace(row.instead, given, 1)
    return f"{words} {given}"


@pytest.mark.parametrize(
    "name", ["align", "extract", "report", "check", "embed", "evaluate retrieval", "evaluate xnli", "export"]
)
def test_the_same_line_gives_the_same(name: str) -> None:
    """Else a change would prove nothing; a word more on the command line that says nothing new changes nothing."""
    first, again = outcome(BASES[name], Row()), outcome(f"{BASES[name]} -q", Row())
    assert first.code == 0, first.stderr
    assert first == again


# Tasks that read their settings as these two do, and take longer.
OF_TASKS = ("evaluate retrieval", "evaluate word-alignment")


@pytest.mark.parametrize(
    ("command", "option"),
    [
        pytest.param(
            *pair, marks=[pytest.mark.slow] * (pair[0].startswith("evaluate") and pair[0] not in OF_TASKS)
        )
        for pair in HERE
    ],
)
def test_another_value_is_done_or_refused(command: str, option: str) -> None:
    row = TABLE[command][option]
    if row.own:
        assert f"test_{row.own}" in globals()
        return
    before = plain_outcome(base_of(command, row), row)
    after = outcome(spelt_with(command, option, row), row, first=base_of(command, row))
    if row.refused:
        assert after.code != 0
        assert row.refused in after.stderr
        assert after.stderr.startswith("error: ")
        return
    if row.foreign:
        assert before.code == 1
        assert "--overwrite" in before.stderr
    assert after.code == 0, after.stderr
    assert after.only(row.of) != before.only(row.of) if row.of else after != before


@pytest.mark.parametrize(("command", "option", "value"), WRONG)
def test_a_wrong_value_is_told_with_its_option(command: str, option: str, value: str) -> None:
    row = TABLE[command][option]
    wrong = outcome(spelt_with(command, option, Row(**{**vars(row), "value": shlex.quote(value)})), Row())
    assert wrong.code == 2, wrong.stderr
    assert wrong.stderr.startswith(f"error: {option if option.startswith('-') else option.upper()}: ")
    assert re.split("[:=]", value)[0] in wrong.stderr
    assert re.search("expected|choose from|give|use|end it|write|leave|go up to", wrong.stderr)
    assert len(wrong.stderr.splitlines()) == 1
    # A layer is known to be none once the encoder is open, and evaluate has claimed its folder by then.
    assert wrong.files == {} or (option == "--layer" and value == "9")


@pytest.mark.parametrize(
    ("command", "option"),
    [(command, option) for command, option in HERE if is_number(parameters(command)[option])],
)
def test_what_is_no_number_is_told(command: str, option: str) -> None:
    test_a_wrong_value_is_told_with_its_option(command, option, "many")


# --- what options of their own change


def having(option: str) -> list[str]:
    return [command for command in TABLE if option in TABLE[command] and not TABLE[command][option].same_as]


def test_languages() -> None:
    """They say which token a tokenizer like NLLB's puts beside each side; the others are as ever."""
    write_translator(nllb_tokenizer(), transformers.M2M100Config, Path("nllb"))
    try:
        for name in ("show-alignment", "extract"):
            words = BASES[name].replace("tiny", "nllb").replace("--format pairs", "--format json")
            told, other, tiny = (
                outcome(f"{line} --langs {langs}", Row())
                for line, langs in ((words, "de-en"), (words, "fr-en"), (BASES[name], "fr-en"))
            )
            assert told.code == other.code == 0, told.stderr
            assert told != other
            assert tiny == outcome(BASES[name], Row())
            refused = outcome(f"{words} --langs xx-en", Row())
            assert (refused.code, refused.files) == (2, {})
            assert "--langs: the tokenizer has no token for the language 'xx'" in refused.stderr
        for name in ("report", "lexicon"):
            words = BASES[name].replace("tiny", "nllb").replace("de-en.tsv", "bad.tsv --on-error skip")
            told, refused = (outcome(f"{words} --langs {langs}", Row()) for langs in ("de-en", "xx-en"))
            assert (told.code, refused.code) == (0, 2), told.stderr
            assert "--langs: the tokenizer has no token for the language 'xx'" in refused.stderr
        for name in ("show-alignment", "extract"):
            words = BASES[name].replace("tiny", "nllb")
            assert "expected two codes joined by a hyphen" in outcome(f"{words} --langs german", Row()).stderr
    finally:
        shutil.rmtree("nllb")


def test_hub(hub: Hub) -> None:
    rows = "".join(
        json.dumps({"translation": {"de": source, "en": target}}) + "\n" for source, target in LINES[::-1]
    )
    hub.repos["datasets/ann/set"] = Repo(False, {"train.jsonl": rows.encode()})
    for command in ("align", "export"):
        words = f"{BASES[command]} --push-to-hub {command}"
        assert outcome(words, Row()) == outcome(BASES[command], Row())
        assert (hub.repos[f"ann/{command}"].private, hub.repos[f"ann/{command}"].commits) == (True, 1)
        assert outcome(f"{words}-seen --public", Row()).code == 0
        assert not hub.repos[f"ann/{command}-seen"].private
        alone = outcome(f"{BASES[command]} --public", Row())
        assert (alone.code, alone.files) == (2, {})
    streamed = outcome(BASES["align"].replace("de-en.tsv", "--dataset ann/set --langs de-en"), Row())
    assert streamed.code == 0, streamed.stderr
    assert streamed.only("model.safetensors") != outcome(BASES["align"], Row()).only("model.safetensors")
    # An address is a file for whatever reads parallel text.
    address = "hf://datasets/ann/set"
    for name in ("extract", "check", "lexicon", "embed", "report", "evaluate retrieval"):
        found = outcome(BASES[name].replace("de-en.tsv", f"{address} --langs de-en"), Row())
        if "langs" not in " ".join(parameters(name)):
            found = outcome(BASES[name].replace("de-en.tsv", address), Row())
        assert found.code == 0, (name, found.stderr)


@pytest.mark.parametrize("command", having("--quiet"))
def test_quiet(command: str) -> None:
    words = base_of(command, TABLE[command]["--quiet"])
    quiet, loud = outcome(words, Row()), outcome(words.replace(" -q", ""), Row())
    assert quiet == loud
    assert quiet.stderr == ""
    assert loud.stderr != ""


@pytest.mark.parametrize("command", having("--verbose"))
def test_verbose(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logging.root.handlers", [])
    monkeypatch.setattr("logging.root.level", 30)
    outcome(BASES[command], Row())
    assert transformers.utils.logging.get_verbosity() == transformers.logging.ERROR
    outcome(f"{BASES[command]} --verbose", Row())
    assert transformers.utils.logging.get_verbosity() == transformers.logging.INFO


@pytest.mark.parametrize("command", TABLE)
def test_help(command: str) -> None:
    shown = run(f"{command} --help")
    assert shown.code == 0
    assert f"otkit {command} [OPTIONS]" in shown.stdout
    assert run(f"{command} -h") == shown


def test_version() -> None:
    import otkit

    shown = run("--version")
    assert (shown.code, shown.stdout) == (0, f"otkit {otkit.__version__}\n")


@pytest.mark.parametrize("command", mostly_slow(having("--threads"), "extract", "align"))
def test_threads(command: str) -> None:
    for threads in (2, 1):
        assert outcome(f"{BASES[command]} --threads {threads}", Row()).code == 0
        assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    "command", [name for name in having("--batch-tokens") if name not in ("align", "tags")]
)
def test_batch_tokens(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller limit means smaller batches in the encoder, and the same result."""
    sizes: list[int] = []
    forward = BertModel.forward

    def counted(self: BertModel, input_ids: torch.Tensor, *rest: Any, **named: Any) -> Any:
        sizes.append(input_ids.numel())
        return forward(self, input_ids, *rest, **named)

    monkeypatch.setattr(BertModel, "forward", counted)
    outcome(BASES[command], Row())
    widest = max(sizes)
    sizes.clear()
    outcome(f"{BASES[command]} --batch-tokens 8", Row())
    assert max(sizes) < widest


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("extract to", "out.align"),
        ("embed", "out/manifest.json"),
        ("evaluate retrieval", "out/*/*/*/cell.json"),
    ],
)
def test_resume(name: str, written: str) -> None:
    """What is finished is made anew without --resume, and left as it is with it."""
    kept = set(Path.cwd().iterdir())
    try:
        times = []
        for words in ("", "", "--resume"):
            assert run(f"{BASES[name]} {words}").code == 0
            (path,) = Path.cwd().glob(written)
            times.append(path.stat().st_mtime_ns)
        assert times[0] != times[1] == times[2]
    finally:
        clean(kept)


def test_onnx_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They reach the export, whose own tests prove what each does there (a graph takes ten seconds)."""
    received: dict[str, Any] = {}

    def export(encoder: TorchEncoder, folder: Path, settings: ExportSettings, **more: Any) -> None:
        received.update(settings.to_dict())
        raise ExportError("seen")

    monkeypatch.setattr("otkit.api.export.export_onnx", export)
    monkeypatch.setattr("otkit.api.export.export_website", export)
    words = "export tiny --output out -q"
    assert outcome(words, Row()).code == 1
    assert (received["quantize"], received["opset"], received["min_cosine"]) == (None, 18, None)
    words += " --quantize int4 --opset 20 --min-cosine 0.5 --min-agreement 0.4 --max-retrieval-loss 50"
    assert outcome(words, Row()).code == 1
    assert (received["quantize"], received["opset"]) == ("int4", 20)
    assert [received[name] for name in ("min_cosine", "min_agreement", "max_retrieval_loss")] == [
        0.5,
        0.4,
        50,
    ]
    assert outcome("export tiny --output out -q --to web --max-graph-mb 30", Row()).code == 1
    assert (received["to"], received["max_graph_mb"]) == ("web", 30)


def test_report_langs() -> None:
    """Languages that are no languages are refused; a report says which they were."""
    shown = outcome(f"{BASES['report']} --langs nl-en", Row())
    assert json.loads(shown.only("figures.json"))["input"]["languages"] == ["nl", "en"]


def test_inspect() -> None:
    """What it serves is driven in tests/inspector; what it refuses ends it before it serves."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, code, said in (
            (
                "inspect de-en.tsv --gold de-en.gold.tsv",
                2,
                "--gold: the gold holds its sentences itself, and a corpus is given",
            ),
            ("inspect --model tiny --model other --model tiny --port 0", 2, "--model: received 3 models"),
            ("inspect --model tiny --model tiny", 2, "--model: both models are the same"),
            ("inspect --model tiny --host 203.0.113.9", 2, "--port: 203.0.113.9:0 cannot be listened on"),
            (f"inspect --model tiny --port {port}", 2, f"--port: 127.0.0.1:{port} cannot be listened on"),
            ("inspect --model tiny --output mine", 1, "did not make (letter.txt)"),
            ("inspect --model tiny --layer 99 --no-browser", 2, "--layer: there is no layer 99"),
        ):
            Path("mine").mkdir(exist_ok=True)
            Path("mine/letter.txt").write_text("dear")
            refused = outcome(words, Row())
            assert refused.code == code, refused.stderr
            assert said in refused.stderr


# --- values that are one setting, or none


@pytest.mark.parametrize("recipe", ["", "--recipe best", "--recipe sample", "--recipe paper"])
def test_a_temperature_acts_under_every_recipe(recipe: str) -> None:
    weights, tables = [], []
    for more in ("--epsilon 0.05", "--epsilon 5", "--epsilon 5 --unit cost", "--epsilon 5 --unit mean-cost"):
        done = outcome(f"{BASES['align']} {recipe} --no-mix-languages {more}", Row())
        assert done.code == 0, done.stderr
        weights.append(done.only("model.safetensors"))
        tables.append(json.loads(done.only("otkit.json"))["recipe"]["objective"])
    assert weights[0] != weights[1]
    assert weights[2] != weights[3]
    assert [table["epsilon"] for table in tables] == [0.05, 5.0, 5.0, 5.0]
    assert [table["unit"] for table in tables[2:]] == ["cost", "mean-cost"]


OPTIONAL = [
    (table, name)
    for table in ("objective", "batching", "training", "tuning")
    for name, known in declared(type(getattr(Recipe(), table))).items()
    if known.none
]


@pytest.mark.parametrize(("table", "name"), OPTIONAL)
def test_none_is_a_value_of_every_setting_that_has_it(table: str, name: str) -> None:
    """From a recipe that has another value of each, by the option and by --set."""
    option = declared(type(getattr(Recipe(), table)))[name].spelling
    words = re.sub(rf" {option} \S+", "", BASES["align"])
    for given in (f"{option} none", f"--set {table}.{name}=none"):
        short = "--epochs 0.001" if name == "steps" and given.startswith("--set") else ""
        done = outcome(
            f"{words} --recipe wu-dredze-weak {given} {short} --layer 1 --dry-run --json plan.json", Row()
        )
        if name == "steps":
            assert done.code in (0, 2), done.stderr
            continue
        assert done.code == 0, done.stderr
        assert json.loads(done.only("plan.json"))["recipe"][table][name] == "none" or (
            json.loads(done.only("plan.json"))["recipe"][table][name] is None
        )


def test_epochs_replace_the_steps_of_a_recipe() -> None:
    words = BASES["align"].replace(" --steps 2", "")
    done = outcome(f"{words} --recipe awesome --epochs 0.001 --pairs-per-language 4 --layer 1", Row())
    assert done.code == 0, done.stderr
    assert json.loads(done.only("otkit.json"))["recipe"]["training"]["epochs"] == 0.001
    assert len(done.only("history.jsonl").splitlines()) < 10


def test_every_setting_takes_its_own_default_as_text() -> None:
    """What `otkit recipe keys` shows can be given back."""
    recipe = Recipe()
    for table, values in recipe.tables().items():
        for name, known in declared(type(getattr(recipe, table))).items():
            value = values[name]
            if known.shape == "weights":
                text = ",".join(f"{one}:{weight}" for one, weight in value.items())
            elif isinstance(value, list):
                text = ",".join(map(str, value))
            else:
                text = "none" if value is None else str(value).lower() if known.kind is bool else str(value)
            if text:
                assert parse_text(known, text) == known.default or text == "none", (table, name)


def test_a_length_in_two_units_is_refused() -> None:
    refused = outcome(f"{BASES['align']} --epochs 2", Row())
    assert refused.code == 2
    assert "one length in two units" in refused.stderr


# --- what nothing would look at


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("export tiny --to gguf --opset 20", "--opset: received 20, which is about onnx and web alone"),
        (
            "export tiny --to transformers --gguf-type f16",
            "--gguf-type: received 'f16', which is about gguf alone",
        ),
        ("show-alignment SOURCE TARGET -f json --width 90", "--width: received 90, and json has no columns"),
        (
            "align de-en.tsv --model tiny --teacher other",
            "--teacher: received 'other', and no loss learns from",
        ),
        (
            "extract de-en.tsv --strategy mutual --threshold 0.5",
            "--threshold: threshold is 0.5, and the strategy",
        ),
        (
            "extract de-en.tsv --strategy itermax --threshold 0.5",
            "--threshold: threshold is 0.5, and for itermax",
        ),
        ("extract de-en.tsv --address auto", "--address: received 'auto', the address of a Ray cluster"),
    ],
)
def test_what_nothing_would_look_at_is_refused(words: str, reason: str) -> None:
    refused = outcome(words, Row())
    assert refused.code == 2, refused.stderr
    assert reason in refused.stderr
    assert refused.files == {}


# --- endings


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (
            "show-alignment SOURCE TARGET --model tiny -o a.jpg",
            ".txt, .text, .pairs, .pharaoh, .json, .html, .png or .svg",
        ),
        (
            "show-alignment SOURCE TARGET --model tiny -o a.pdf",
            ".txt, .text, .pairs, .pharaoh, .json, .html, .png or .svg",
        ),
        ("check de-en.tsv --model tiny -o a.jpg", ".jsonl, .json, .tsv, .txt, .html or .htm"),
        ("extract de-en.tsv --model tiny -o a.pdf", ".align, .pharaoh, .txt, .words or .jsonl"),
        ("extract de-en.tsv --model tiny -o a.pdf.gz", ".align, .pharaoh, .txt, .words or .jsonl"),
        ("extract de-en.tsv --model tiny -o a.xz --format words", "end it in .gz"),
        ("evaluate retrieval de-en.tsv --model tiny --chart a.pdf", ".png"),
        ("evaluate retrieval de-en.tsv --model tiny --markdown a.html", ".md, .markdown or .txt"),
        ("info tiny --json a.txt", ".json"),
        ("report de-en.tsv --model tiny -o a.html", "the name of a folder, without the ending .html"),
        ("align de-en.tsv --model tiny -o a.zip", "the name of a folder, without the ending .zip"),
    ],
)
def test_an_unknown_ending_is_told_with_the_known_ones(words: str, known: str) -> None:
    refused = outcome(words, Row())
    assert refused.code == 2, refused.stderr
    assert known in refused.stderr
    assert refused.files == {}


@pytest.mark.parametrize(
    ("ending", "begins"),
    [
        ("links.jsonl", b'{"'),
        ("links.jsonl.gz", b"\x1f\x8b"),
        ("links.align.GZ", b"\x1f\x8b"),
        ("links.align", b"0-0"),
        ("links.de-en", b"0-0"),
        ("links", b"0-0"),
        ("links.words", b"das"),
    ],
)
def test_the_ending_of_an_extraction_says_its_form(ending: str, begins: bytes) -> None:
    kept = set(Path.cwd().iterdir())
    try:
        assert run(f"extract de-en.tsv --model tiny -q -o {ending}").code == 0
        assert Path(ending).read_bytes().startswith(begins)
    finally:
        clean(kept)


@pytest.mark.parametrize("command", [name for name in TABLE if "--help-all" in TABLE[name]])
def test_help_all(command: str) -> None:
    """Every option stands in it, and everyday ones alone in the help."""
    short, full = run(f"{command} --help").stdout, run(f"{command} --help-all").stdout
    for option, one in parameters(command).items():
        if option.startswith("--"):
            assert re.search(rf"{option}\b", full), option
            row = rf"^│ +{option}(?![\w-])"
            assert bool(re.search(row, short, flags=re.MULTILINE)) == (not one.hidden), option


@pytest.mark.parametrize("command", [name for name in TABLE if "--fail-under" in TABLE[name]])
def test_gates(command: str) -> None:
    """A gate on a metric that the task has not is told with those that it has."""
    if command in ("evaluate translation-errors", "evaluate all"):
        return
    refused = outcome(f"{BASES[command]} --fail-under nothing@all=1", Row())
    assert refused.code == 2, refused.stderr
    assert "--fail-under" in refused.stderr


def test_tune() -> None:
    """It writes a recipe that the aligner reads."""
    words = "evaluate word-alignment --gold de-en.gold.tsv --model tiny --output out -q"
    kept = set(Path.cwd().iterdir())
    try:
        tuned = run(f"{words} --tune more.de-en.gold.tsv --write-recipe found.toml")
        assert tuned.code == 0, tuned.stderr
        assert "[alignment]" in Path("found.toml").read_text(encoding="utf-8")
        assert run("extract de-en.tsv --model tiny -q --recipe found.toml").code == 0
    finally:
        clean(kept)


def test_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lists, and clears, what is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "otkit" / "measured"
    folder.mkdir(parents=True)
    kept = {"encoder": "tiny", "what": "prices", "found": {}}
    (folder / f"{'0' * 32}.json").write_text(json.dumps(kept), encoding="utf-8")
    (folder / f"{'1' * 32}.json").write_text("{", encoding="utf-8")
    (folder / "mine.json").write_text("{}", encoding="utf-8")
    shown = run("cache")
    assert shown.code == 0
    rows = {line.split()[0]: line.split()[1] for line in shown.stdout.splitlines() if ".json" in line}
    assert (rows["tiny"], sorted(rows)) == ("prices", ["damaged", "tiny"])
    assert "0 graphs and 2 measurements" in shown.stderr
    cleared = run("cache clear")
    assert (cleared.code, [each.name for each in folder.iterdir()]) == (0, ["mine.json"])
    assert "0 graphs and 0 measurements" in run("cache").stderr


def test_projection() -> None:
    """What these options do stands in the tests of the room; here they are taken, and their wrong values told."""
    for command, rows in TABLE.items():
        for option, row in rows.items():
            if row.own == "projection" and row.value:
                beside = "--rule gaps" if option in ("--gap", "--linked") else ""
                beside = "--keep complete" if option == "--surety" else beside
                line = BASES[command]
                if option in ("--share", "--seed"):
                    line = "project nli/train-en.tsv --augment --target nli/dev-de.tsv --model tiny -q"
                done = outcome(f"{line} {beside} {option} {row.value}", Row())
                assert done.code == 0, (command, option, done.stderr)


def test_search_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions of stdin that cannot be used."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"haus\n\xff\nklein\n"), encoding="utf-8"))
    assert run("search vectors - -q").code == 1
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"haus\n\xff\nklein\n"), encoding="utf-8"))
    assert run("search vectors - -q --on-error skip").code == 0


DUN = (
    "show-alignment 'Dün Tom kendini bıçağıyla kesti .' 'Tom cut himself with his knife yesterday .' -f pairs"
)


def test_truecase() -> None:
    """The vocabulary of the sample encoder has "dün" and no "Dün"."""
    assert "Dün\tyesterday" in run(DUN).stdout
    assert "kesti\tyesterday" not in run(DUN).stdout
    assert run(f"{DUN} --truecase").stdout == run(DUN).stdout
    assert "Dün\tyesterday" not in run(f"{DUN} --no-truecase").stdout
    why = DUN.replace("-f pairs", "--explain kesti")
    said = "read in lower case, where that is fewer pieces: Dün as dün"
    assert said in run(why).stdout
    assert "in lower case" not in run(f"{why} --no-truecase").stdout
    assert '"read_as":' in run(f"{why} -f json").stdout.replace("\n", "")


def test_word_order_can_be_switched_off() -> None:
    """Turkish puts its verb last: a preference for the order of the other side links it with the last word, where
    the word that belongs there is not known."""
    ordered, free = (
        run(f"{DUN} --no-truecase {more}").stdout
        for more in ("", "--distortion 0 --agreement 0 --length-power 0")
    )
    assert "kesti\tyesterday" in ordered
    assert "kesti\tyesterday" not in free
    for link in ("kesti\tcut", "Tom\tTom", "kendini\thimself", "bıçağıyla\tknife"):
        assert link in free
