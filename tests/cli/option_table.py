"""Every option of every command with another valid value, and with wrong ones: what `test_every_option` walks.

An option that is missing here fails the walk. The base lines run on the small files that the walk makes.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BASES", "ROOT_OPTIONS", "TABLE", "Row"]


@dataclass(frozen=True)
class Row:
    """Another value of an option.

    value      what follows the option; nothing for a flag
    beside     words that stand on both lines, so that the option has something to act on
    base       the base line, by its name in BASES; else the command's own
    instead    what of the base line the value takes the place of, for arguments
    wrong      values that are refused with exit code 2, between spaces
    refused    what the error says, where the value is refused because of what stands beside it or of the machine
    after      the base line has run before, and what it wrote is still there
    foreign    a file of the user's that stands where something is to be written
    hidden     a module that this run does not find
    of         the end of the name of the one file in which the lines must differ; else anything may
    own        the test of its own that the option has
    """

    value: str = ""
    beside: str = ""
    base: str = ""
    instead: str = ""
    wrong: str = ""
    refused: str = ""
    after: bool = False
    foreign: str = ""
    hidden: str = ""
    of: str = ""
    own: str = ""


BASES = {
    "align": "align de-en.tsv --model tiny --output out --pairs-per-language 8 --steps 2 --batch-size 2 --threads 1 -q",
    "align many": "align de-en.tsv fr-en.tsv --model tiny --output out --pairs-per-language 8 --steps 2 --threads 1 -q",
    "align short": "align de-en.tsv --model tiny --output out --pairs-per-language 4 --batch-size 2 --threads 1 -q",
    "align two": "align --source x.de --target x.en --langs de-en --model tiny --output out --steps 1 --threads 1 -q",
    "extract": "extract de-en.tsv --model tiny --scores -q",
    "extract two": "extract --source x.de --target x.en --model tiny --scores -q",
    "extract bad": "extract bad.tsv --model tiny -q",
    "extract raw": "extract raw.tsv --model tiny -q",
    "extract to": "extract de-en.tsv --model tiny --output out.align -q",
    "show-alignment": "show-alignment SOURCE TARGET --model tiny --format pairs -q",
    "show-alignment grid": "show-alignment SOURCE TARGET --model tiny",
    "report": "report de-en.tsv --model tiny --output out -q",
    "report raw": "report raw.tsv --langs de-en --model tiny --output out -q",
    "report bad": "report bad.tsv --model tiny --output out -q",
    "report two": "report x.de --target x.en --langs de-en --model tiny --output out -q",
    "report gold": "report --gold de-en.gold.tsv --model tiny --output out -q",
    "check": "check de-en.tsv --model tiny -q",
    "check two": "check --source x.de --target x.en --model tiny -q",
    "check raw": "check raw.tsv --model tiny -q",
    "check bad": "check bad.tsv --model tiny -q",
    "embed": "embed de-en.tsv --model tiny --output out --shards npy --index none -q",
    "embed two": "embed --source x.de --target x.en --langs de-en --model tiny --output out --index none -q",
    "embed bad": "embed bad.tsv --langs de-en --model tiny --output out --index none -q",
    "embed search": "embed --search vectors haus -q",
    "evaluate": "evaluate retrieval de-en.tsv --model tiny --output out --json o.json -q",
    "evaluate two": "evaluate retrieval --source x.de --target x.en --langs de-en --model tiny --output out -q",
    "evaluate bad": "evaluate retrieval bad.tsv --langs de-en --model tiny --output out --json o.json -q",
    "words": "evaluate word-alignment --gold de-en.gold.tsv --model tiny --output out --json o.json -q",
    "word retrieval": "evaluate word-retrieval --gold de-en.gold.tsv --model tiny --output out --json o.json -q",
    "xnli": "evaluate xnli --data nli --languages de --model tiny --output out --json o.json --batch-size 2 -q",
    "xquad": "evaluate xquad --data qa --languages de --model tiny --frozen 0 --output out --json o.json",
    "export": "export tiny --output out --to transformers -q",
    "export gguf": "export tiny --output out --to gguf -q",
    "info": "info tiny -q",
}

# What several commands share, said once.
MODEL = Row("other")
DEVICE = Row("cuda:99", wrong="abacus gpu cuda:x", refused="CUDA")
THREADS = Row("2", wrong="0 1.5", own="threads")
BATCH = Row("8", wrong="0", own="batch_tokens")
ON_ERROR = {"wrong": "ignore"}
QUIET, VERBOSE, HELP = Row(own="quiet"), Row(own="verbose"), Row(own="help")
OVERWRITE = Row(foreign="out/thesis.txt")
JSON = Row("figures.json", wrong="figures.html figures.jpg")

ALIGNER = {
    "--transport": Row("balanced", wrong="sinkhorn"),
    "--epsilon": Row("0.9", wrong="0 -1 inf"),
    "--epsilon-relative": Row("0.9", wrong="0 nan"),
    "--tau": Row("3", wrong="0"),
    "--null": Row("0.01", wrong="-1 cheap"),
    "--strategy": Row("backward", wrong="argmax"),
    "--threshold": Row("0.9", wrong="5 -0.1"),
    "--layer": Row("2", wrong="6-8 first 9"),
    "--word-vector": Row("first", wrong="middle"),
    "--weights": Row("norm", wrong="equal idf"),
    "--center": Row("none", wrong="paragraph"),
    "--distortion": Row("3", wrong="-1"),
    "--agreement": Row("0", wrong="-1"),
    "--rounds": Row("0", wrong="-1 1.5"),
    "--length-power": Row("9", wrong="-1"),
    "--attach-factor": Row("9", wrong="-1"),
    "--cost": Row("euclidean", wrong="manhattan"),
    "--unit": Row("subword", wrong="letter"),
    "--encoding": Row("joint", wrong="together"),
    "--mass": Row("0.2", beside="--transport partial", wrong="0 1.1"),
    "--structure": Row("1", beside="--transport fgw", wrong="-1 1.1"),
    "--distances": Row("position", beside="--transport fgw --structure 1", wrong="letters"),
}

TABLE: dict[str, dict[str, Row]] = {
    "align": {
        "files": Row("fr-en.tsv", instead="de-en.tsv"),
        "--source": Row("y.de", base="align two", of="model.safetensors"),
        "--target": Row("y.en", base="align two", of="model.safetensors"),
        "--input-format": Row("bars", wrong="csv", refused="separator"),
        "--langs": Row("nl-en"),
        "--on-error": Row(
            "skip", instead="de-en.tsv", base="align", beside="bad.tsv --langs de-en", **ON_ERROR
        ),
        "--model": Row("other", of="model.safetensors"),
        "--output": Row("out2", wrong="model.gguf page.html"),
        "--recipe": Row("cao-l2", wrong="bestest", of="model.safetensors"),
        "--set": Row(
            "objective.tau=0.1", wrong="tau objective.tua=1 objectives.tau=1", of="model.safetensors"
        ),
        "--objective": Row("mmd:3", wrong="otto ot:heavy ot:-1 :1", of="model.safetensors"),
        "--cost": Row("cosine", wrong="manhattan", of="model.safetensors"),
        "--epsilon": Row("5", wrong="0 -1 inf", of="model.safetensors"),
        "--scope": Row("batch", wrong="corpus", of="model.safetensors"),
        "--unit": Row("mean-cost", wrong="word", of="model.safetensors"),
        "--granularity": Row("subword", wrong="letter", of="model.safetensors"),
        "--word-vector": Row("mean", wrong="middle", of="model.safetensors"),
        "--layer": Row("1", wrong="6-8 first 9", of="model.safetensors"),
        "--weights": Row("norm", wrong="equal", of="model.safetensors"),
        "--anchor-reduction": Row("mean", wrong="max", of="model.safetensors"),
        "--tau": Row("0.1", wrong="-1 0", of="model.safetensors"),
        "--layer-weights": Row("0.2,3", beside="--layer 1,2", wrong="one 1", of="model.safetensors"),
        "--language-weight": Row("de:0.1", wrong="de:heavy :2", of="model.safetensors"),
        "--position": Row("10", wrong="-1", of="model.safetensors"),
        "--center": Row("sentence", wrong="corpus", of="model.safetensors"),
        "--length-power": Row("2", beside="--objective link-likelihood", wrong="-1", of="model.safetensors"),
        "--attach-factor": Row("9", beside="--objective link-likelihood", wrong="-1", of="model.safetensors"),
        "--relink-every": Row("1", beside="--objective link-likelihood", wrong="0"),
        "--temperature": Row(
            "3", beside="--objective contrastive-weak", wrong="0 -1", of="model.safetensors"
        ),
        "--projection": Row("8", beside="--objective contrastive-weak", wrong="0", of="model.safetensors"),
        "--iterations": Row("3", wrong="0", of="model.safetensors"),
        "--tolerance": Row("1e-9", wrong="0", of="model.safetensors"),
        "--mask-share": Row("0.9", beside="--objective mlm", wrong="0 1", of="model.safetensors"),
        "--use-links": Row("given", wrong="some"),
        "--links": Row("links.txt", beside="--objective l2", of="model.safetensors"),
        "--teacher": Row("other", beside="--objective ot-distill", of="model.safetensors"),
        "--freeze": Row("1", wrong="-1", of="model.safetensors"),
        "--freeze-above": Row("1", wrong="-1", of="model.safetensors"),
        "--head-layers": Row("1", wrong="-1 3", of="model.safetensors"),
        "--lora": Row("2", wrong="0", of="model.safetensors"),
        "--lora-alpha": Row("99", beside="--lora 2", wrong="0", of="model.safetensors"),
        "--gradient-checkpointing": Row(),
        "--compile": Row(),
        "--dropout": Row(of="model.safetensors"),
        "--pairs-per-language": Row("3", base="align short", wrong="0", of="model.safetensors"),
        "--epochs": Row("2", base="align short", wrong="0 -1", of="model.safetensors"),
        "--steps": Row("1", wrong="0 1.5", of="model.safetensors"),
        "--batch-size": Row("3", wrong="0", of="model.safetensors"),
        "--window": Row("1", wrong="0"),
        "--mix-languages": Row(base="align many", of="model.safetensors"),
        "--grad-accum": Row("3", wrong="0", of="model.safetensors"),
        "--lr": Row("1e-2", wrong="0 -1 nan", of="model.safetensors"),
        "--warmup": Row("0.9", wrong="1 -0.1", of="model.safetensors"),
        "--schedule": Row("linear", wrong="cosine", of="model.safetensors"),
        "--weight-decay": Row("9", wrong="-1", of="model.safetensors"),
        "--betas": Row("0.5,0.6", wrong="1,1 0.9", of="model.safetensors"),
        "--max-grad-norm": Row("1e-9", wrong="-1 0", of="model.safetensors"),
        "--precision": Row("bf16", wrong="fp8 int8", of="model.safetensors"),
        "--dev": Row("fr-en.tsv", of="history.jsonl"),
        "--gold": Row("de-en.gold.tsv", of="history.jsonl"),
        "--eval-every": Row("1", wrong="0", of="history.jsonl"),
        "--save-every": Row("1", wrong="0"),
        "--save-minutes": Row("5", wrong="-1 0"),
        "--keep": Row("1", wrong="0"),
        "--resume": Row(after=True),
        "--overwrite": OVERWRITE,
        "--log-to": Row("tensorboard", wrong="paper"),
        "--dry-run": Row(),
        "--log-every": Row("2", wrong="0", of="history.jsonl"),
        "--batch-tokens": Row("16", wrong="0"),
        "--device": DEVICE,
        "--threads": THREADS,
        "--seed": Row("1", wrong="-1", of="model.safetensors"),
        "--json": JSON,
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help-all": HELP,
        "--help": HELP,
    },
    "show-alignment": {
        "source": Row("'das haus'", instead="SOURCE"),
        "target": Row("'a house'", instead="TARGET"),
        "--model": MODEL,
        "--compare": Row("other"),
        "--format": Row("pharaoh", wrong="pngg"),
        "--output": Row("page.html", base="show-alignment grid", wrong="a.jpg a.pdf a.docx"),
        "--gold": Row("0-0", base="show-alignment grid", wrong="0-99 first"),
        "--raw": Row(instead="SOURCE", beside="'das haus, klein.'"),
        "--width": Row("50", base="show-alignment grid", wrong="10 5000"),
        **ALIGNER,
        "--device": DEVICE,
        "--threads": THREADS,
        "--overwrite": Row(foreign="out.pairs", beside="--output out.pairs"),
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
    "extract": {
        "corpus": Row("fr-en.tsv", instead="de-en.tsv"),
        "--source": Row("y.de", base="extract two"),
        "--target": Row("y.en", base="extract two"),
        "--input-format": Row("bars", wrong="csv", refused="separator"),
        "--raw": Row(base="extract raw"),
        "--on-error": Row("skip", base="extract bad", **ON_ERROR),
        "--output": Row("links.gz", wrong="a.jpg a.pdf a.html a.zip a.bz2"),
        "--format": Row("words", wrong="pharao"),
        "--scores": Row(base="extract to"),
        "--resume": Row(own="resume"),
        "--overwrite": Row(base="extract to", foreign="out.align"),
        "--model": MODEL,
        "--config": Row("aligner.json"),
        **ALIGNER,
        "--precision": Row("bf16", wrong="fp8"),
        "--batch-tokens": BATCH,
        "--device": DEVICE,
        "--threads": THREADS,
        "--engine": Row("ray", hidden="ray", wrong="spark", refused="pip install 'otkit[ray]'"),
        "--address": Row("auto", refused="add --engine ray"),
        "--json": JSON,
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
    "embed": {
        "files": Row("fr-en.tsv", instead="de-en.tsv"),
        "--source": Row("y.de", base="embed two"),
        "--target": Row("y.en", base="embed two"),
        "--input-format": Row("text", wrong="csv"),
        "--langs": Row("nl-en"),
        "--side": Row("source", wrong="left"),
        "--raw": Row(beside="--input-format text"),
        "--on-error": Row("skip", base="embed bad", **ON_ERROR),
        "--output": Row("out2", wrong="vectors.npy vectors.zip"),
        "--unit": Row("word", wrong="letter"),
        "--dtype": Row("float16", wrong="int4"),
        "--shards": Row("parquet", wrong="csv"),
        "--shard-rows": Row("4", wrong="0"),
        "--index": Row("flat", wrong="hsnw"),
        "--resume": Row(own="resume"),
        "--overwrite": OVERWRITE,
        "--engine": Row("ray", hidden="ray", wrong="spark", refused="pip install 'otkit[ray]'"),
        "--address": Row("auto", refused="add --engine ray"),
        "--search": Row("vectors2", base="embed search"),
        "-k": Row("2", base="embed search", wrong="0"),
        "--model": MODEL,
        "--batch-tokens": BATCH,
        "--device": DEVICE,
        "--threads": THREADS,
        "--json": JSON,
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
    "evaluate": {
        "task": Row("word-retrieval", instead="retrieval", wrong="retreival"),
        "files": Row("fr-en.tsv", instead="de-en.tsv"),
        "--source": Row("y.de", base="evaluate two"),
        "--target": Row("y.en", base="evaluate two"),
        "--gold": Row("more.de-en.gold.tsv", base="words", instead="--gold de-en.gold.tsv"),
        "--base": Row("1", base="words", wrong="2 -1", refused="index 0"),
        "--format": Row("bars", wrong="csv", refused="separator"),
        "--langs": Row("nl-en"),
        "--on-error": Row("skip", base="evaluate bad", **ON_ERROR),
        "--languages": Row("fr", beside="fr-en.tsv"),
        "--seen": Row("fr", beside="fr-en.tsv"),
        "--model": MODEL,
        "--baseline": Row("other"),
        "--seeds": Row("2", base="xnli", wrong="0"),
        "--seed": Row("3", base="xnli", wrong="-1"),
        "--score": Row("csls", wrong="cos"),
        "--index": Row("hnsw", wrong="annoy"),
        "--neighbours": Row("2", beside="--score csls", wrong="0"),
        "--pooling": Row("cls", wrong="max"),
        "--prefix": Row("das"),
        "--layer": Row("1", wrong="6-8 first 9"),
        "--pool": Row("all", base="word retrieval", wrong="some"),
        **{
            option: Row(**{**vars(row), "base": "words"})
            for option, row in ALIGNER.items()
            if option != "--layer"
        },
        "--data": Row("nli2", base="xnli"),
        "--train": Row("nli2/train-en.tsv", base="xnli"),
        "--preset": Row("xtreme", base="xnli", wrong="large"),
        "--epochs": Row("2", base="xnli", wrong="0"),
        "--lr": Row("0.1", base="xnli", wrong="0"),
        "--batch-size": Row("1", base="xnli", wrong="0"),
        "--grad-accum": Row("2", base="xnli", wrong="0"),
        "--max-length": Row("8", base="xnli", wrong="0"),
        "--stride": Row("5", base="xquad", wrong="0"),
        "--train-examples": Row("2", base="xnli", wrong="0"),
        "--test-examples": Row("1", base="xnli", wrong="0"),
        "--frozen": Row("1", base="xnli", wrong="-1"),
        "--head-pooling": Row("cls", base="xnli", wrong="max"),
        "--eval-every": Row("1", base="xnli", wrong="0"),
        "--precision": Row("bf16", base="xnli", wrong="fp8"),
        "--head": Row("nowhere", base="xnli", instead="--model tiny", refused="nowhere"),
        "--save-heads": Row(base="xnli"),
        "--center": Row("language", wrong="paragraph sentence"),
        "--fail-under": Row(
            "forward@1=1.01", wrong="forward@1=high forwards@1=1", refused="the gate is 1.01"
        ),
        "--output": Row("out2", wrong="cells.json"),
        "--resume": Row(own="resume"),
        "--overwrite": Row(foreign="o.json"),
        "--batch-tokens": BATCH,
        "--device": DEVICE,
        "--threads": THREADS,
        "--json": JSON,
        "--chart": Row("bars.png", wrong="bars.jpg bars.pdf"),
        "--markdown": Row("tables.md", wrong="tables.pdf tables.html"),
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
    "export": {
        "model": Row("other", instead="tiny"),
        "--output": Row("out2", wrong="model.onnx model.zip"),
        "--to": Row("gguf", wrong="gguff"),
        "--quantize": Row("int8", wrong="int9", own="onnx_settings"),
        "--gguf-type": Row("f16", base="export gguf", wrong="q5"),
        "--trim-vocab": Row("x.de"),
        "--layer": Row("2", wrong="6-8 9"),
        "--opset": Row("20", wrong="7 99", own="onnx_settings"),
        "--min-cosine": Row("0.5", wrong="2", own="onnx_settings"),
        "--min-agreement": Row("0.5", wrong="-1 2", own="onnx_settings"),
        "--max-retrieval-loss": Row("50", wrong="-1 200", own="onnx_settings"),
        "--threads": THREADS,
        "--json": JSON,
        "--overwrite": OVERWRITE,
        "--quiet": Row(own="quiet", beside="--trim-vocab x.de"),
        "--verbose": VERBOSE,
        "--help": HELP,
    },
    "check": {
        "files": Row("fr-en.tsv", instead="de-en.tsv"),
        "--source": Row("y.de", base="check two"),
        "--target": Row("y.en", base="check two"),
        "--input-format": Row("bars", wrong="csv", refused="separator"),
        "--raw": Row(base="check raw"),
        "--on-error": Row("skip", base="check bad", **ON_ERROR),
        "--output": Row("worst.html", wrong="a.jpg a.pdf"),
        "--format": Row("tsv", wrong="xml"),
        "--sort": Row("omission", wrong="omision"),
        "--top": Row("2", wrong="0"),
        "--model": MODEL,
        "--layer": Row("2", wrong="6-8 9"),
        "--null": Row("0.4", wrong="2 0 cheap"),
        "--batch-tokens": BATCH,
        "--device": DEVICE,
        "--threads": THREADS,
        "--json": JSON,
        "--overwrite": Row(foreign="worst.tsv", beside="--output worst.tsv"),
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
    "report": {
        "file": Row("fr-en.tsv", instead="de-en.tsv"),
        "--output": Row("out2", wrong="page.html page.pdf"),
        "--target": Row("y.en", base="report two"),
        "--gold": Row("de-en.gold.tsv", instead="de-en.tsv"),
        "--sample": Row("2", wrong="0 9999"),
        "--seed": Row("1", beside="--sample 3", wrong="-1"),
        "--model": MODEL,
        "--compare": Row("other"),
        "--raw": Row(base="report raw"),
        "--format": Row("bars", wrong="csv", refused="separator"),
        "--langs": Row("nl-en", own="report_langs"),
        "--on-error": Row("skip", base="report bad", **ON_ERROR),
        **ALIGNER,
        "--batch-tokens": BATCH,
        "--device": DEVICE,
        "--threads": THREADS,
        "--overwrite": OVERWRITE,
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
    "info": {
        "model": Row("other", instead="tiny"),
        "--json": JSON,
        "--overwrite": Row(foreign="figures.json", beside="--json figures.json"),
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
}

# Of `otkit` itself; the last two are the shell's.
ROOT_OPTIONS = {"--version", "--help", "--install-completion", "--show-completion"}
