"""Messages name options that exist: every option that a string of the package names is one of every command that can
print it, and errors of the library are told in the words of the command that was run.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import processors

import otkit
from otkit.cli.app import every_command, main
from otkit.cli.command import SETTING
from otkit.encoders.torch import TorchEncoder
from tests.conftest import make_tiny_encoder

ROOT = Path(otkit.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?![\w-])")
IN_PYTHON_ALONE = {"long"}  # settings of functions that no command lets anybody set

Name = tuple[str, str]  # a module and a name that stands at its top level


@dataclass
class Definition:
    """What stands under a name at the top level of a module: the names that it uses, and its strings."""

    uses: set[Name] = field(default_factory=set)
    strings: list[tuple[str, str]] = field(default_factory=list)


@cache
def commands() -> dict[str, Any]:
    """All commands by their words: `extract`, `evaluate retrieval`."""
    return every_command()


def named_by(words: Sequence[str]) -> str:
    """The command that a command line names."""
    return words[0] if words[0] in commands() else " ".join(words[:2])


@cache
def options(command: str) -> set[str]:
    each = (param for param in commands()[command].params if param.param_type_name == "option")
    return {word for param in each for word in (*param.opts, *param.secondary_opts, "--help")}


@cache
def definitions() -> dict[Name, Definition]:
    found: dict[Name, Definition] = {}
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(["otkit", *path.relative_to(ROOT).with_suffix("").parts])
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = [(name, node) for node in tree.body for name in _names(node)]
        own = {name: (module, name) for name, _ in top}
        shared = {**own, **_imports(tree.body)}
        for name, node in top:
            definition = found.setdefault((module, name), Definition())
            known = {**shared, **_imports(list(ast.walk(node)))}
            words = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            definition.uses |= {known[word] for word in words if word in known}
            definition.strings += [(f"{module}:{line}", text) for line, text in _strings(node)]
    return found


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [
        each.id for target in targets if target for each in ast.walk(target) if isinstance(each, ast.Name)
    ]


def _imports(nodes: list[Any]) -> dict[str, Name]:
    """Local name to what it is, of imports out of otkit, those under `if TYPE_CHECKING` aside."""
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("otkit")
        for alias in node.names
    }


def _strings(node: ast.AST) -> Iterator[tuple[int, str]]:
    """The strings of a definition that are no docstrings; an f-string is one, without its values."""
    passed = {id(each.value) for each in ast.walk(node) if isinstance(each, ast.Expr)}
    for each in ast.walk(node):
        if isinstance(each, ast.JoinedStr):
            parts = [part for part in each.values if isinstance(part, ast.Constant)]
            passed |= set(map(id, parts))
            yield each.lineno, " ".join(str(part.value) for part in parts)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in passed:
            yield each.lineno, each.value


@cache
def reached(command: str) -> set[Name]:
    """All definitions that a command uses, through whatever others."""
    callback = inspect.unwrap(commands()[command].callback)
    waiting, seen = [(callback.__module__, callback.__name__)], set()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in definitions():
            seen.add(name)
            waiting += definitions()[name].uses
    return seen


def users(name: Name) -> list[str]:
    return [command for command in commands() if name in reached(command)]


def test_the_way_from_a_command_to_a_message_is_seen() -> None:
    assert set(users(("otkit.data.formats", "_complaint"))) >= {
        "align",
        "extract",
        "check",
        "embed",
        "report",
    }
    assert users(("otkit.evaluation.mining", "read_mining")) == ["evaluate mining"]
    assert users(("otkit.exports.trim", "trim_vocabulary")) == ["export"]
    assert len(definitions()) > 1000


def test_every_option_that_a_message_names_is_one_of_the_commands_that_print_it() -> None:
    wrong, seen = [], 0
    for name, definition in definitions().items():
        for where, text in definition.strings:
            if re.fullmatch(OPTION, text):  # the declaration of an option, which is no message
                continue
            text = re.sub(r"accelerate launch.*|style=\".*", "", text)
            named = [command for command in commands() if re.search(rf"\botkit {command}(?![\w-])", text)]
            for option in OPTION.findall(text):
                seen += 1
                # What is said of these two is said where `takes` has put them.
                if where.startswith("otkit.cli.given:") and option in ("--set", "--recipe"):
                    continue
                lacking = [each for each in named or users(name) if option not in options(each)]
                if lacking:
                    wrong.append(f"{where}: {option} is no option of {', '.join(lacking)}: {text[:90]!r}")
    assert seen > 50
    assert not wrong, "\n".join(wrong)


def test_every_setting_that_the_library_advises_is_one_of_a_command_that_prints_it() -> None:
    wrong, seen = [], 0
    for name, definition in definitions().items():
        for where, text in definition.strings:
            for setting in SETTING.finditer(text):
                if setting[2] is None or setting[1] in IN_PYTHON_ALONE:
                    continue
                seen += 1
                parameters = {param.name for command in users(name) for param in commands()[command].params}
                if not parameters & {setting[1], f"input_{setting[1]}"}:
                    wrong.append(f"{where}: {setting[0]}")
    assert seen >= 10
    assert not wrong, "\n".join(wrong)


# What is printed when a command runs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    encoder: TorchEncoder = make_tiny_encoder()
    encoder.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    encoder.save(folder)
    return folder


BAD = b"das haus\tthe house\nStra\xdfe\tstreet\nein haus\ta house\n"
GOLD = b"das haus\tthe house\t0-0 1-1\nStra\xdfe\tstreet\t0-0\nein haus\ta house\t0-0 1-1\n"
NLI = b"das haus\tist klein\tneutral\nStra\xdfe\tstreet\tneutral\nein haus\tist\tentailment\n"
COLLECTION, PAIRS = b"1\tdas haus\n2\tStra\xdfe\n3\tein haus\n4\tklein\n", b"1\t1\n2\t2\n3\t3\n4\t4\n"
FILES = {
    "bad.de-en.tsv": BAD,
    "bad.de": b"das haus\nStra\xdfe\nein haus\n",
    "good.en": b"the house\nstreet\na house\n",
    "gold.de-en.tsv": GOLD,
    "text.de-en.tsv": b"das haus\tthe house\nein haus\ta house\n",
    "no-languages.tsv": b"das haus\tthe house\n",
    "links": b"0-0 1-1\n0-0 \xff\n",
    "collection": COLLECTION,
    "pairs": PAIRS,
    "nli/train-en.tsv": NLI.replace(b"\xdf", b"ss"),
    "nli/dev-de.tsv": NLI,
}
TWO = ("--source", "bad.de", "--target", "good.en")
EMBED = ("embed", "--output", "vectors", "--shards", "npy", "--index", "none")
READING: dict[str, tuple[str, ...]] = {
    "extract": ("extract", "bad.de-en.tsv"),
    "extract, two files": ("extract", *TWO),
    "check": ("check", "bad.de-en.tsv"),
    "check, two files": ("check", *TWO),
    "embed": (*EMBED, "bad.de-en.tsv"),
    "embed, two files": (*EMBED, *TWO),
    "embed, text": (*EMBED, "bad.de"),
    "report": ("report", "bad.de-en.tsv", "--output", "pages"),
    "report, gold": ("report", "--gold", "gold.de-en.tsv", "--output", "pages"),
    "align": ("align", "bad.de-en.tsv", "--dry-run", "--steps", "1"),
    "align, two files": ("align", *TWO, "--langs", "de-en", "--dry-run", "--steps", "1"),
    "align, links": ("align", "--links", "gold.de-en.tsv", "--dry-run", "--steps", "1"),
    "evaluate retrieval": ("evaluate", "retrieval", "bad.de-en.tsv"),
    "evaluate word-retrieval": ("evaluate", "word-retrieval", "bad.de-en.tsv"),
    "evaluate word-alignment": ("evaluate", "word-alignment", "--gold", "gold.de-en.tsv"),
    "evaluate word-alignment, apart": ("evaluate", "word-alignment", "text.de-en.tsv", "--gold", "links"),
    "evaluate mining": (
        *("evaluate", "mining", "--source", "collection", "--target", "collection", "--gold", "pairs"),
    ),
    "evaluate xnli": ("evaluate", "xnli", "--data", "nli", "--epochs", "1", "--languages", "de"),
}


Run = Any


@pytest.fixture
def otkit_(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], model: Path
) -> Run:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)

    def run(*words: str) -> tuple[int, str]:
        own = () if words[0] == "export" else ("--model", str(model))
        monkeypatch.setattr(sys, "argv", ["otkit", *words, *own])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        return int(stop.value.code or 0), " ".join((err + out).split())

    return run


@pytest.mark.parametrize("name", READING)
def test_a_bad_line_is_told_to_be_skipped_and_then_is_named(name: str, otkit_: Run) -> None:
    words = READING[name]
    code, said = otkit_(*words)
    assert code == 1, said
    message = said[said.index("error: ") :]
    assert re.search(r":2: invalid UTF-8 at byte \d of the line", message)
    assert message.endswith(", or skip such lines: --on-error skip")
    assert set(OPTION.findall(message)) <= options(named_by(words))
    code, said = otkit_(*words, "--on-error", "skip")
    assert code == 0, said
    assert re.search(r"(line |:)2 \(invalid UTF-8|:2: invalid UTF-8", said)
    assert "--on-error" not in said


@pytest.mark.parametrize("words", [("export", "--trim-vocab", "bad.de-en.tsv", "--to", "transformers")])
def test_a_command_that_cannot_skip_does_not_say_so(words: tuple[str, ...], otkit_: Run, model: Path) -> None:
    code, said = otkit_(*words, str(model), "--output", "new")
    assert code == 1
    assert said.endswith("convert the file to UTF-8 (iconv -t UTF-8)")


ELSEWHERE: dict[str, tuple[tuple[str, ...], str]] = {
    "the format of extract": (
        ("extract", "bad.de", "--input-format", "files"),
        "name both: --source F --target F",
    ),
    "the format of report": (
        ("report", "bad.de"),
        "no tab, ||| or JSON object in the first 3 lines (line 1: 'das haus')",
    ),
    "the format of evaluate": (
        ("evaluate", "retrieval", *TWO, "--input-format", "tsv"),
        "both sides in one file; leave the target file out, or say --input-format files",
    ),
    "the format of embed": (
        (*EMBED, *TWO, "--input-format", "tsv"),
        "both sides in one file; leave the target file out, or say --input-format files",
    ),
    "languages": (("evaluate", "retrieval", "no-languages.tsv"), "state them, source first: --langs de-en"),
    "an extract's settings": (
        ("extract", "bad.de", "--recipe", "links"),
        "links: is not valid TOML",
    ),
    "links as gold of a page": (
        ("report", "--gold", "pairs"),
        "pairs:1: 2 columns, expected 3 (received '1\\t1'); write source<TAB>target<TAB>links",
    ),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_setting_is_told_as_the_option_of_the_command(name: str, otkit_: Run) -> None:
    words, complaint = ELSEWHERE[name]
    code, said = otkit_(*words)
    assert code in (1, 2)
    assert complaint in said
    assert set(OPTION.findall(said)) <= options(named_by(words))
    assert not SETTING.search(said)
