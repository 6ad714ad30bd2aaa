"""`otkit report`: a page to browse the alignments of a corpus sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    BatchTokens,
    Compare,
    Device,
    GoldFile,
    InputFormat,
    Langs,
    Model,
    OnError,
    Overwrite,
    Quiet,
    Raw,
    Seed,
    SegmenterName,
    TargetFile,
    Threads,
    Verbose,
    note,
    note_corpus,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_folder
from otkit.cli.values import Number, folder
from otkit.errors import ConfigError, InputError
from otkit.files import fresh_folder

if TYPE_CHECKING:
    from otkit.data.segmentation import RawText
    from otkit.reports.view import GoldLinks, GridView

__all__ = ["report"]

Example = tuple[int, tuple[str, ...], tuple[str, ...], "GoldLinks | None"]


@takes(alignment=AlignmentSettings)
def report(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]", help="Sentence pairs, `-` for stdin. Not with --gold.", show_default=False
        ),
    ] = None,
    target: TargetFile = None,
    gold: GoldFile = None,
    raw: Raw = False,
    segmenter: SegmenterName = None,
    input_format: InputFormat = "auto",
    langs: Langs = None,
    on_error: OnError = "raise",
    sample: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=Number(int, least=1, most=5000),
            help="The pairs on the page, drawn at random.",
            rich_help_panel="Data",
        ),
    ] = 500,
    given: Given = NOTHING,
    model: Model = None,
    compare: Compare = None,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    seed: Seed = 0,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            parser=folder,
            help="The folder for the page and its data.",
            rich_help_panel="Output",
        ),
    ] = Path("report"),
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Align a sample of a corpus and write a page to browse it: worst pairs first, figures, frequent word pairs.

    [bold]Examples[/bold]

    otkit report sample_data/parallel/de-en.dev.tsv --output pages

    otkit report --gold sample_data/gold/de-en.dev.tsv --model runs/aligned --compare sample --output runs/pages
    """
    inputs = [file, target, gold, model, compare, given.recipe]
    claim_folder(output, "report", inputs, overwrite=overwrite)
    set_logging(verbose=verbose)
    set_threads(threads)
    config = given.settings("alignment", AlignmentSettings)
    if (file is None) == (gold is None):
        raise ConfigError("a report needs one corpus", remedy="give a FILE, or --gold FILE")
    if gold is not None and (raw or segmenter or target is not None or input_format != "auto"):
        raise ConfigError(
            "--gold holds both sentences and their words",
            remedy="leave --raw, --target and --input-format out",
        )
    if gold is not None:
        facts, examples = _from_gold(gold, count=sample, seed=seed, on_error=on_error, quiet=quiet)
    else:
        assert file is not None
        reading = {"target": target, "format": input_format, "langs": langs, "on_error": on_error}
        facts, examples = _from_corpus(
            file, reading, raw=segmenter or raw, count=sample, seed=seed, quiet=quiet
        )
    from otkit.alignment.aligner import WordAligner
    from otkit.cli.outputs import write_document
    from otkit.cli.progress import counted, last_line, progress_bar
    from otkit.cli.show_alignment import open_both
    from otkit.cli.stdout import show
    from otkit.data.languages import languages_of, languages_to_tell
    from otkit.reports.corpus import corpus_figures, figures_table, frequent_pairs, unlinked_words
    from otkit.reports.html import Page, PagePair, Variant, write_page
    from otkit.reports.variants import layers_name, page_threshold
    from otkit.reports.view import view_of

    models: dict[str, list[GridView]] = {}
    variants, layers = [], {}
    with progress_bar(quiet=quiet) as bar:
        encoders = open_both(model, compare, device=device)
        stated = langs or "-".join(facts["languages"]) or None
        known = languages_of("", stated) if stated else None
        facts["languages"] = list(known or ())
        spoken = languages_to_tell(
            [*encoders.values()], facts["name"], stated, note=lambda text: note(text, quiet=quiet)
        )
        for label, encoder in encoders.items():
            aligner = WordAligner(encoder, config, batch_tokens=batch_tokens, languages=spoken)
            layers[label] = list(aligner.layers)
            named = f"layer {layers_name(aligner.layers)}"
            variants.append(Variant(label, named, config.transport, config.described()))
            step = bar.step(f"align with {label}", unit="pairs", total=len(examples))
            aligner.on_encoded = step.under_way
            models[label] = []
            alignments = aligner.align((source, target_words) for _, source, target_words, _ in examples)
            for (_, _, _, links), alignment in zip(examples, alignments, strict=True):
                models[label].append(view_of(alignment, gold=links, languages=known))
                step.update(len(models[label]))
    first = next(iter(models.values()))
    tables = (
        figures_table(models),
        frequent_pairs(first),
        unlinked_words(first, side="source"),
        unlinked_words(first, side="target"),
    )
    views = zip(*models.values(), strict=True)
    worst = "the highest error rate (AER)" if gold is not None else "the weakest links"
    page = Page(
        title=f"Alignments of {Path(facts['name']).name}",
        variants=tuple(variants),
        pairs=tuple(PagePair(example[0], pair) for example, pair in zip(examples, views, strict=True)),
        note=f"{len(examples)} pairs drawn with seed {seed}, {worst} first; words and pairs counted for "
        f"{variants[0].model}.",
        tables=tables,
        threshold=page_threshold(config),
    )
    with fresh_folder(output, "report", inputs=inputs, overwrite=overwrite) as folder:
        write_page(page, folder / "index.html")
        write_document(
            folder / "figures.json",
            {
                "input": facts,
                "seed": seed,
                "config": config.used(),
                "layers": layers,
                "units": config.units(),
                "order": page.order,
                "figures": {label: corpus_figures(each) for label, each in models.items()},
            },
        )
    show(tables[0])
    last_line(
        f"wrote {output / 'index.html'}: {counted(len(examples), 'pair')}, the worst first, and figures.json",
        then=f"open {output / 'index.html'} in a browser",
        quiet=quiet,
    )


def _from_corpus(
    file: str, settings: dict[str, Any], *, raw: RawText, count: int, seed: int, quiet: bool
) -> tuple[dict[str, Any], list[Example]]:
    from otkit.data.parallel import open_corpus
    from otkit.data.segmentation import words_between

    corpus = open_corpus(file, **settings)
    note_corpus(corpus, quiet=quiet, raw=raw)
    chosen = [corpus[index] for index in _sample(len(corpus), count, seed, name=corpus.name)]
    examples: list[Example] = [
        (pair.line, words_between(pair.source, raw=raw), words_between(pair.target, raw=raw), None)
        for pair in chosen
    ]
    try:
        languages = list(corpus.languages)
    except InputError:  # a page needs none; but what --langs says must be some
        if settings["langs"] is not None:
            raise
        languages = []
    return {"name": corpus.name, "languages": languages, "sha256": corpus.sha256}, examples


def _from_gold(
    file: str, *, count: int, seed: int, on_error: str, quiet: bool
) -> tuple[dict[str, Any], list[Example]]:
    from otkit.data.gold import languages_of_gold, read_gold
    from otkit.reports.view import GoldLinks

    pairs = read_gold(file, format="tsv", on_error=on_error)
    note_corpus(pairs, quiet=quiet)
    chosen = [pairs[index] for index in _sample(len(pairs), count, seed, name=pairs.name)]
    examples: list[Example] = [
        (pair.line, pair.source, pair.target, GoldLinks(pair.sure, pair.possible)) for pair in chosen
    ]
    return {
        "name": pairs.name,
        "languages": list(languages_of_gold(pairs) or ()),
        "sha256": pairs.sha256,
    }, examples


def _sample(size: int, count: int, seed: int, *, name: str) -> Iterator[int]:
    """Indices in the order of the file."""
    import numpy as np

    if size == 0:
        raise InputError("there is no sentence pair", where=name, remedy="give a file with at least one")
    chosen = np.random.default_rng(seed).permutation(size)[:count]
    return iter(sorted(map(int, chosen)))
