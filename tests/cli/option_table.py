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
    same_as    the command that has the very same option, with the same help and values, where it is walked
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
    same_as: str = ""


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
    "search": "search vectors haus --device cpu -q",
    "evaluate retrieval": "evaluate retrieval de-en.tsv --model tiny --output out --json o.json -q",
    "evaluate two": "evaluate retrieval --source x.de --target x.en --langs de-en --model tiny --output out -q",
    "evaluate bad": "evaluate retrieval bad.tsv --langs de-en --model tiny --output out --json o.json -q",
    "evaluate word-alignment": "evaluate word-alignment --gold de-en.gold.tsv --model tiny --output out --json o.json -q",
    "words apart": "evaluate word-alignment two.de-en.tsv --gold two.links --langs de-en --model tiny --output out"
    " --json o.json -q",
    "words bad": "evaluate word-alignment --gold bad.gold.tsv --langs de-en --model tiny --output out --json o.json -q",
    "words two": "evaluate word-alignment --source two.de --target two.en --gold two.links --langs de-en --model tiny"
    " --output out --json o.json -q",
    "evaluate word-retrieval": "evaluate word-retrieval --gold de-en.gold.tsv --model tiny --output out --json o.json -q",
    "evaluate mining": "evaluate mining --source mined.de --target mined.en --gold mined.gold --langs de-en --model tiny"
    " --output out --json o.json -q",
    "mining bad": "evaluate mining --source mined.bad --target mined.en --gold mined.gold --langs de-en --model tiny"
    " --output out --json o.json -q",
    "evaluate xnli": "evaluate xnli --data nli --languages de --model tiny --output out --json o.json --batch-size 2 -q",
    "xnli bad": "evaluate xnli --data nlibad --languages de --model tiny --output out --json o.json --batch-size 2 -q",
    "evaluate xquad": "evaluate xquad --data qa --languages de --model tiny --freeze 0 --output out --json o.json -q",
    "evaluate translation-errors": "evaluate translation-errors --data judged.tsv --model tiny --output out --json o.json -q",
    "evaluate all": "evaluate all de-en.tsv --gold de-en.gold.tsv --model tiny --output out --json o.json -q",
    "export": "export tiny --output out --to transformers -q",
    "recipe list": "recipe list",
    "recipe show": "recipe show best",
    "recipe keys": "recipe keys tuning",
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

RECIPE = Row("aligner.toml", wrong="bestest")
SET = Row("alignment.tau=3", wrong="tau alignment.tua=1 alignment.tau=0 cheese=1")
HELP_ALL = Row(own="help_all")

ALIGNER = {
    "--recipe": RECIPE,
    "--set": SET,
    "--help-all": HELP_ALL,
    "--transport": Row("balanced", wrong="sinkhorn"),
    "--epsilon": Row("0.9", wrong="0 -1 inf"),
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
    "--unit": Row("cost", wrong="meters"),
    "--granularity": Row("subword", wrong="letter"),
    "--encoding": Row("joint", wrong="together"),
    "--mass": Row("0.2", beside="--transport partial", wrong="0 1.1"),
    "--structure": Row("1", beside="--transport fgw", wrong="-1 1.1"),
    "--distances": Row("position", beside="--transport fgw --structure 1", wrong="letters"),
}

# The very same options elsewhere: that they reach the aligner is seen by two of them.
ALIGNER_ELSEWHERE = {
    option: row if option in ("--transport", "--threshold", "--help-all") else Row(same_as="extract")
    for option, row in ALIGNER.items()
}
FIGURES = ("--json", "--chart", "--markdown", "--seen", "--overwrite", "--device", "--threads", "--quiet")
OF_EVALUATE = {
    "--model": Row(same_as="evaluate retrieval"),
    "--baseline": Row("other"),
    "--fail-under": Row(own="gates"),
    "--output": Row("out2", wrong="cells.json"),
    "--resume": Row(same_as="evaluate retrieval"),
    "--verbose": Row(same_as="evaluate retrieval"),
    "--help": HELP,
    "--help-all": HELP_ALL,
    **{option: Row(same_as="evaluate retrieval") for option in FIGURES},
}
SEARCHES = {
    "--score": Row("csls", wrong="cos"),
    "--index": Row("hnsw", wrong="annoy"),
    "--neighbours": Row("2", beside="--score csls", wrong="0"),
    "--candidates": Row("3", beside="--score csls --index hnsw", wrong="0"),
    "--effort": Row("7", beside="--index hnsw", wrong="0"),
    "--batch-tokens": BATCH,
    "--center": Row("language", wrong="paragraph sentence"),
}
SENTENCES = {"--pooling": Row("cls", wrong="middle"), "--prompt": Row("das")}
SEEDS = {"--seeds": Row("2", wrong="0"), "--seed": Row("3", wrong="-1")}
FINE_TUNING = {
    "--fine-tuning": Row("xtreme", wrong="large"),
    "--train": Row("nli2/train-en.tsv"),
    "--data": Row("nli2", instead="nli"),
    "--languages": Row("en"),
    "--on-error": Row("skip", base="xnli bad", **ON_ERROR),
    "--epochs": Row("2", wrong="0"),
    "--lr": Row("0.1", wrong="0"),
    "--batch-size": Row("1", wrong="0"),
    "--grad-accum": Row("2", wrong="0"),
    "--weight-decay": Row("0.5", wrong="-1"),
    "--warmup-steps": Row("1", wrong="-1"),
    "--max-length": Row("8", wrong="0"),
    "--window": Row("1", wrong="0"),
    "--dropout": Row(),
    "--freeze": Row("1", wrong="-1"),
    "--train-examples": Row("2", wrong="0"),
    "--test-examples": Row("1", wrong="0"),
    "--precision": Row("bf16", wrong="fp8"),
    "--batch-tokens": Row("64", wrong="0"),
    "--head": Row("nowhere", instead="--model tiny", refused="nowhere"),
    "--save-heads": Row(),
    **SEEDS,
}
GOLD_TEXT = {
    "texts": Row("other.de-en.tsv", base="words apart", instead="two.de-en.tsv"),
    "--source": Row("y2.de", base="words two"),
    "--target": Row("y2.en", base="words two"),
    "--gold": Row("more.de-en.gold.tsv", instead="de-en.gold.tsv"),
    "--base": Row("1", wrong="2 -1", refused="index 0"),
    "--input-format": Row("bars", base="words apart", wrong="csv", refused="separator"),
    "--langs": Row("nl-en"),
    "--languages": Row("de", beside="--gold fr-en.gold.tsv"),
    "--data": Row("golden", instead="--gold de-en.gold.tsv"),
    "--on-error": Row("skip", base="words bad", **ON_ERROR),
}

CHECK = {
    "--recipe": Row("checker.toml", wrong="bestest"),
    "--set": Row("check.epsilon=3", wrong="epsilon check.epsilom=1 check.epsilon=0 cheese=1"),
    "--hallucination-null": Row("0.4", wrong="2 0 cheap"),
    "--omission-null": Row("0.4", wrong="2 0 cheap"),
    "--mass": Row("sentence", wrong="letter"),
    "--epsilon": Row("0.9", wrong="0 -1 inf"),
    "--layer": Row("1", wrong="6-8 9"),
    "--word-vector": Row("first", wrong="middle"),
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
            "objective.tau=0.1", wrong="tau objective.tua=1 objective.tau=0 cheese=1", of="model.safetensors"
        ),
        "--help-all": HELP_ALL,
        "--objective": Row("mmd:3", wrong="otto ot:heavy ot:-1 :1", of="model.safetensors"),
        "--cost": Row("cosine", wrong="manhattan", of="model.safetensors"),
        "--epsilon": Row("5", wrong="0 -1 inf", of="model.safetensors"),
        "--scope": Row("batch", wrong="corpus", of="model.safetensors"),
        "--unit": Row("mean-cost", wrong="meters", of="model.safetensors"),
        "--granularity": Row("subword", wrong="letter", of="model.safetensors"),
        "--iterations": Row("1", wrong="0", of="model.safetensors"),
        "--tolerance": Row("none", beside="--iterations 2", wrong="0", of="model.safetensors"),
        "--use-links": Row("given", beside="--objective l2", wrong="some", refused="links"),
        "--mask-share": Row("0.9", beside="--objective mlm", wrong="0 1", of="model.safetensors"),
        "--window": Row("1", base="align short", wrong="0"),
        "--weight-decay": Row("9", wrong="-1", of="model.safetensors"),
        "--betas": Row("0.1,0.2", wrong="one 1 0.5", of="model.safetensors"),
        "--keep": Row("1", beside="--save-every 1", wrong="0"),
        "--lora-alpha": Row("99", beside="--lora 2", wrong="0", of="model.safetensors"),
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
        "--links": Row("links.txt", beside="--objective l2", of="model.safetensors"),
        "--teacher": Row("other", beside="--objective ot-distill", of="model.safetensors"),
        "--freeze": Row("1", wrong="-1", of="model.safetensors"),
        "--freeze-above": Row("1", wrong="-1", of="model.safetensors"),
        "--head-layers": Row("1", wrong="-1 top", of="model.safetensors"),
        "--lora": Row("2", wrong="0", of="model.safetensors"),
        "--gradient-checkpointing": Row(),
        "--compile": Row(),
        "--dropout": Row(of="model.safetensors"),
        "--pairs-per-language": Row("3", base="align short", wrong="0", of="model.safetensors"),
        "--epochs": Row("2", base="align short", wrong="0 -1", of="model.safetensors"),
        "--steps": Row("1", wrong="0 1.5", of="model.safetensors"),
        "--batch-size": Row("3", wrong="0", of="model.safetensors"),
        "--mix-languages": Row(base="align many", of="model.safetensors"),
        "--grad-accum": Row("3", wrong="0", of="model.safetensors"),
        "--lr": Row("1e-2", wrong="0 -1 nan", of="model.safetensors"),
        "--warmup": Row("0.9", wrong="1 -0.1", of="model.safetensors"),
        "--schedule": Row("linear", wrong="cosine", of="model.safetensors"),
        "--max-grad-norm": Row("1e-9", wrong="-1", of="model.safetensors"),
        "--precision": Row("bf16", wrong="fp8 int8", of="model.safetensors"),
        "--dev": Row("fr-en.tsv", of="history.jsonl"),
        "--gold": Row("de-en.gold.tsv", of="history.jsonl"),
        "--eval-every": Row("1", wrong="0", of="history.jsonl"),
        "--save-every": Row("1", wrong="0"),
        "--save-minutes": Row("5", wrong="-1"),
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
        **ALIGNER_ELSEWHERE,
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
        "--prompt": Row("das "),
        "--long": Row("cut", wrong="shorten"),
        "--truncate-dim": Row("5", wrong="0"),
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
        "--help-all": HELP_ALL,
        "--model": MODEL,
        "--batch-tokens": BATCH,
        "--device": DEVICE,
        "--threads": THREADS,
        "--json": JSON,
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
    "search": {
        "vectors": Row("vectors2", instead="vectors"),
        "questions": Row("klein", instead="haus"),
        "--on-error": Row(own="search_skips", **ON_ERROR),
        "--model": Row("tiny"),
        "-k": Row("2", wrong="0"),
        "--prompt": Row("das haus ist klein"),
        "--device": DEVICE,
        "--threads": THREADS,
        "--json": JSON,
        "--overwrite": Row(foreign="figures.json", beside="--json figures.json"),
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
        "--help-all": HELP_ALL,
    },
    "evaluate retrieval": {
        "files": Row("fr-en.tsv", instead="de-en.tsv"),
        "--source": Row("y.de", base="evaluate two"),
        "--target": Row("y.en", base="evaluate two"),
        "--input-format": Row("bars", wrong="csv", refused="separator"),
        "--langs": Row("nl-en"),
        "--on-error": Row("skip", base="evaluate bad", **ON_ERROR),
        "--languages": Row("fr", beside="fr-en.tsv"),
        "--data": Row("pairs", instead="de-en.tsv"),
        **SEARCHES,
        "--layer": Row("1", wrong="6-8 first 9"),
        **SENTENCES,
        **OF_EVALUATE,
        "--model": MODEL,
        "--seen": Row("fr", beside="fr-en.tsv"),
        "--fail-under": Row(
            "forward@1=1.01", wrong="forward@1=high forwards@1=1", refused="the gate is 1.01"
        ),
        "--resume": Row(own="resume"),
        "--overwrite": Row(foreign="o.json"),
        "--device": DEVICE,
        "--threads": THREADS,
        "--json": JSON,
        "--chart": Row("bars.png", wrong="bars.jpg bars.pdf"),
        "--markdown": Row("tables.md", wrong="tables.pdf tables.html"),
        "--quiet": QUIET,
        "--verbose": VERBOSE,
    },
    "evaluate word-alignment": {
        **GOLD_TEXT,
        "--by-layer": Row(),
        "--tune": Row(own="tune"),
        "--write-recipe": Row(own="tune", wrong="found.json"),
        **{
            option: Row(same_as="extract") if row.same_as else row
            for option, row in ALIGNER_ELSEWHERE.items()
        },
        **OF_EVALUATE,
    },
    "evaluate word-retrieval": {
        **{option: Row(same_as="evaluate word-alignment") for option in GOLD_TEXT},
        **{option: Row(same_as="evaluate retrieval") for option in SEARCHES if option != "--batch-tokens"},
        "--batch-tokens": BATCH,
        "--pool": Row("all", wrong="some"),
        "--word-vector": Row("first", wrong="middle"),
        "--layer": Row("1", wrong="6-8 first 9"),
        **OF_EVALUATE,
    },
    "evaluate mining": {
        "--source": Row("y.de", instead="mined.de"),
        "--target": Row("y.en", instead="mined.en"),
        "--gold": Row("mined2.gold", instead="mined.gold"),
        "--langs": Row("nl-en", instead="de-en"),
        "--on-error": Row("skip", base="mining bad", **ON_ERROR),
        **{option: Row(same_as="evaluate retrieval") for option in SEARCHES if option != "--score"},
        "--score": Row("cosine", wrong="cos"),
        "--dev-share": Row("0.5", wrong="0 1"),
        "--split-seed": Row("3", wrong="-1"),
        **{option: Row(same_as="evaluate retrieval") for option in SENTENCES},
        **OF_EVALUATE,
    },
    "evaluate xnli": {
        **FINE_TUNING,
        "--head-pooling": Row("cls", wrong="max"),
        "--eval-every": Row("1", wrong="0"),
        **OF_EVALUATE,
    },
    "evaluate xquad": {
        **{option: Row(same_as="evaluate xnli") for option in FINE_TUNING},
        "--stride": Row("5", wrong="0"),
        "--max-question": Row("2", wrong="0"),
        "--max-answer": Row("1", wrong="0"),
        "--n-best": Row("1", wrong="0"),
        **OF_EVALUATE,
    },
    "evaluate translation-errors": {
        "--data": Row("judged2.tsv", instead="judged.tsv"),
        "--on-error": Row(same_as="evaluate retrieval"),
        **{option: Row(same_as="check") for option in CHECK},
        "--hallucination-null": Row("0.4", wrong="2 0 cheap"),
        **{option: Row(same_as="evaluate retrieval") for option in SENTENCES},
        **OF_EVALUATE,
    },
    "evaluate all": {
        **{
            option: Row(same_as="evaluate retrieval")
            for option in (
                "files",
                "--source",
                "--target",
                "--input-format",
                "--langs",
                "--on-error",
                "--languages",
            )
        },
        "--gold": Row("more.de-en.gold.tsv", instead="de-en.gold.tsv"),
        "--data": Row("nli", instead="de-en.tsv --gold de-en.gold.tsv"),
        "--fine-tuning": Row(same_as="evaluate xnli"),
        **{option: Row(same_as="extract") for option in ALIGNER},
        **{option: Row(same_as="evaluate xnli") for option in SEEDS},
        **OF_EVALUATE,
    },
    "recipe list": {"--help": HELP},
    "recipe show": {"name": Row("paper", instead="best"), "--help": HELP},
    "recipe keys": {"table": Row("batching", instead="tuning"), "--help": HELP},
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
        "--help-all": HELP_ALL,
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
        **CHECK,
        "--help-all": HELP_ALL,
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
        "--input-format": Row("bars", wrong="csv", refused="separator"),
        "--langs": Row("nl-en", own="report_langs"),
        "--on-error": Row("skip", base="report bad", **ON_ERROR),
        **ALIGNER_ELSEWHERE,
        "--batch-tokens": BATCH,
        "--device": DEVICE,
        "--threads": THREADS,
        "--overwrite": OVERWRITE,
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
    "info": {
        "--layers": Row("de-en.tsv"),
        "model": Row("other", instead="tiny"),
        "--help-all": HELP_ALL,
        "--json": JSON,
        "--overwrite": Row(foreign="figures.json", beside="--json figures.json"),
        "--quiet": QUIET,
        "--verbose": VERBOSE,
        "--help": HELP,
    },
}

# Of `otkit` itself; the last two are the shell's.
ROOT_OPTIONS = {"--version", "--help", "--install-completion", "--show-completion"}
