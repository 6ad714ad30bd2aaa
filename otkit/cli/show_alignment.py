"""`otkit show-alignment`: which word of a sentence goes to which word of its translation."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.alignment.settings import AlignmentSettings
from otkit.cli.given import NOTHING, Given, takes
from otkit.cli.options import (
    Compare,
    Device,
    Langs,
    Model,
    Overwrite,
    Quiet,
    Raw,
    SegmenterName,
    Threads,
    Verbose,
    name_option,
    note,
    option,
    set_logging,
    set_threads,
)
from otkit.cli.outputs import claim_files
from otkit.cli.values import Number
from otkit.errors import ConfigError, InputError
from otkit.files import format_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from otkit.data.segmentation import RawText
    from otkit.encoders.encoder import Encoder
    from otkit.reports.view import GridView

__all__ = ["FORMATS", "open_both", "show_alignment"]

FORMATS = {
    "grid": "shaded cells and lists, for the terminal; with --output FILE.svg a picture of it",
    "text": "each source word over the target words that it is linked with, for long sentences",
    "pairs": "a line for each link: i-j, both words, link strength",
    "pharaoh": "i-j i-j ..., counted from 0",
    "json": "links, words without a partner, shares and settings",
    "html": "a page where words light their partners",
    "png": "a heat map",
    "svg": "a heat map",
}
_FILES = ("html", "png", "svg")
_EXPLAINED = ("grid", "text", "json")
_ENDINGS = {".txt": "grid", **{f".{name}": name for name in FORMATS if name != "grid"}}


_NARROWEST = 40
"""Columns below which a picture is no picture: a narrower terminal folds the lines itself."""


@takes(alignment=AlignmentSettings)
def show_alignment(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A sentence, its words between spaces.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Its translation, likewise.")],
    gold: Annotated[
        str | None,
        option(
            "Links made by hand to compare with, counted from 0: '0-0 1p2', p for possible.",
            "LINKS",
            panel="Data",
        ),
    ] = None,
    explain: Annotated[
        str | None,
        option(
            "Show why a word is linked as it is, instead of the plan: the word, or its place as source:0 or target:0.",
            "WORD",
            panel="Data",
        ),
    ] = None,
    raw: Raw = False,
    segmenter: SegmenterName = None,
    langs: Langs = None,
    given: Given = NOTHING,
    model: Model = None,
    compare: Compare = None,
    device: Device = "auto",
    threads: Threads = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write. Default: stdout.",
            show_default=False,
            rich_help_panel="Output",
        ),
    ] = None,
    format: Annotated[
        str | None,
        name_option(
            f"The format: {', '.join(FORMATS)}. Default: what --output ends in, else grid, or text where a grid is"
            " wider than the terminal.",
            "otkit.cli.show_alignment:FORMATS",
            "format",
            "--format",
            "-f",
            panel="Output",
        ),
    ] = None,
    width: Annotated[
        int | None,
        option(
            "The columns of grid and text. Default: the terminal's.",
            "N",
            Number(int, least=_NARROWEST, most=1000),
            panel="Output",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Draw the transport plan between two sentences, and list the linked words with their link strength.

    [bold]Examples[/bold]

    otkit show-alignment "Das ist ein kleines Haus ." "This is a small house ."

    otkit show-alignment "Das Haus ist alt ." "The house is old ." --gold "0-0 1-1 3p3" --output page.html

    otkit show-alignment "Das Haus ist alt ." "The house is old ." --model runs/aligned --compare sample
    """
    shape = _format(format, output)
    if width is not None and shape not in ("grid", "text"):
        raise ConfigError(
            f"received {width}, and {shape} has no columns", remedy="leave it out", setting="width"
        )
    if explain is not None and shape not in _EXPLAINED:
        raise ConfigError(
            f"received {explain!r}, and {shape} shows no reasons",
            remedy=f"use one of: {', '.join(_EXPLAINED)}",
            setting="explain",
        )
    if gold is not None and (explain is not None or shape == "pharaoh"):
        raise ConfigError(
            f"received {gold!r}, and {'reasons' if explain is not None else shape} compare with no gold",
            remedy="leave it out",
            setting="gold",
        )
    claim_files({"output": output}, [model, compare, given.recipe], overwrite=overwrite)
    set_logging(verbose=verbose)
    config = given.settings("alignment", AlignmentSettings)
    words = [
        _words(text, side=side, raw=segmenter or raw, quiet=quiet)
        for side, text in (("source", source), ("target", target))
    ]
    from otkit.data.languages import languages_of, languages_to_tell
    from otkit.reports.variants import pair_page, pair_view
    from otkit.reports.view import parse_gold

    links = None
    if gold is not None:
        try:
            links = parse_gold(gold, source_words=len(words[0]), target_words=len(words[1]))
        except InputError as error:  # here the links are no file's, but the option's value
            raise ConfigError(error.what, where=error.where, remedy=error.remedies) from error
    set_threads(threads)
    encoders = open_both(model, compare, device=device)
    languages_to_tell([*encoders.values()], "", langs, note=lambda text: note(text, quiet=quiet))
    languages = languages_of("", langs) if langs else None
    from otkit.cli.progress import counted, last_line

    if explain is not None:
        _explain(
            explain,
            encoders,
            config,
            words,
            languages,
            shape=shape,
            output=output,
            width=width,
            overwrite=overwrite,
        )
        return
    if shape == "html":
        assert output is not None  # _format asked for it
        from otkit.reports.html import write_page

        page = pair_page(encoders, config, *words, gold=links, languages=languages)
        write_page(page, output, overwrite=overwrite)
        last_line(
            f"wrote {output}: one pair in {len(page.variants)} views by model, layer and transport",
            then=f"open {output} in a browser",
            quiet=quiet,
        )
        return
    views = [
        pair_view(encoder, config, *words, name=name, gold=links, languages=languages)
        for name, encoder in encoders.items()
    ]
    if format is None and output is None and shape == "grid":
        from otkit.reports.grid import is_whole

        cells = _cells(width)
        if not all(is_whole(view, width=cells) for view in views):
            shape = "text"  # a grid in pieces is no picture
    if shape in _FILES:
        assert output is not None
        from otkit.reports.picture import write_picture

        for remark in write_picture(views, output, format=shape, overwrite=overwrite):
            note(remark, quiet=quiet)
    elif shape == "grid":
        _print_grid(views, output, width=width, overwrite=overwrite)
    else:
        lines = _lines(shape, views, encoders, config, languages, width=width)
        _print_text(lines, output, overwrite=overwrite)
    counts = " and ".join(counted(len(view.links), "link") for view in views)
    place = "" if output is None else f"wrote {output}: "
    last_line(
        f"{place}{counts} between {len(words[0])} and {counted(len(words[1]), 'word')}",
        then="the same with --output page.html shows every layer and transport",
        quiet=quiet,
    )


def _explain(
    word: str,
    encoders: dict[str, Encoder],
    config: AlignmentSettings,
    words: Sequence[tuple[str, ...]],
    languages: tuple[str, str] | None,
    *,
    shape: str,
    output: Path | None,
    width: int | None,
    overwrite: bool,
) -> None:
    """Write why a word is linked as it is, as each encoder has it."""
    from otkit.alignment.aligner import WordAligner
    from otkit.reports.explained import ExplainedPicture

    found = {}
    for name, encoder in encoders.items():
        trace = WordAligner(encoder, config, languages=languages).trace((words[0], words[1]))
        side, colon, place = word.partition(":")
        if colon and side in ("source", "target") and place.isdecimal():
            places = [(side, int(place))]
        else:
            places = trace.places_of(word)
        found[name] = [trace.explain(index, side=side) for side, index in places]
    if shape == "json":
        from otkit.files import to_json

        document = [
            {"model": name, **explanation.to_dict()} for name, each in found.items() for explanation in each
        ]
        _print_text([to_json(document).rstrip("\n")], output, overwrite=overwrite)
        return
    tables = [
        ExplainedPicture(explanation, model=name if len(found) > 1 else "")
        for name, each in found.items()
        for explanation in each
    ]
    _print_pictures(tables, output, width=width, overwrite=overwrite)


def _cells(width: int | None) -> int:
    """The columns to draw in."""
    return width or max(_NARROWEST, shutil.get_terminal_size((80, 0)).columns)


def _format(name: str | None, output: Path | None) -> str:
    name = name or format_of(output, _ENDINGS, default="grid")
    if name in _FILES and output is None:
        raise ConfigError(
            f"{name} is written to a file", remedy=f"name it: --output alignment.{name}", setting="format"
        )
    return name


def _words(text: str, *, side: str, raw: RawText, quiet: bool) -> tuple[str, ...]:
    from otkit.data.lines import looks_raw
    from otkit.data.segmentation import words_between

    words = words_between(text, raw=raw)
    if not words:
        remedy = "give words: otkit show-alignment 'Das Haus' 'the house'"
        raise InputError(f"the {side} sentence is empty", remedy=remedy)
    if not raw and looks_raw(text):
        note(
            f"the {side} sentence is in a script without spaces, and has none between its words: each stretch counts as"
            " one word (`raw=True` finds the words)",
            quiet=quiet,
        )
    if raw and not quiet:
        from otkit.cli.progress import stderr_console

        stderr_console().print(f"{side}: found {len(words)} words: {' '.join(words)}", markup=False)
    return words


def open_both(model: str | None, compare: str | None, *, device: str) -> dict[str, Encoder]:
    """The encoder of --model and that of --compare, under the names that pictures give them."""
    from otkit.encoders.open import open_encoder

    first = open_encoder(model, device=device)
    if compare is None:
        return {first.name: first}
    if (model or "sample") == compare:
        raise ConfigError("--compare names the model itself", remedy="name another encoder")
    second = open_encoder(None if compare == "sample" else compare, device=device)
    names = (first.name, second.name) if first.name != second.name else (model or first.name, compare)
    if names[0] == names[1]:
        raise ConfigError("--compare names the model itself", remedy="name another encoder")
    return {names[0]: first, names[1]: second}


def _print_grid(
    views: Sequence[GridView], output: Path | None, *, width: int | None, overwrite: bool
) -> None:
    from otkit.files import write_file
    from otkit.reports.terminal import AlignmentPicture, ComparisonPicture, terminal_svg

    picture = AlignmentPicture(views[0]) if len(views) == 1 else ComparisonPicture(*views)
    if output is not None and output.suffix == ".svg":
        svg = terminal_svg(picture, width=width or 80, title="otkit show-alignment")
        write_file(output, svg, overwrite=overwrite)
        return
    _print_pictures([picture], output, width=width, overwrite=overwrite)


def _print_pictures(
    pictures: Sequence[RenderableType], output: Path | None, *, width: int | None, overwrite: bool
) -> None:
    from rich.console import Console

    from otkit.cli.stdout import show
    from otkit.files import write_file

    if output is None:
        narrow = width is None and shutil.get_terminal_size((80, 0)).columns < _NARROWEST
        show(*pictures, width=_NARROWEST if narrow else width, piped=80)
        return

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8") as file:
            Console(file=file, width=width or 100, highlight=False).print(*pictures, sep="\n")

    write_file(output, write, overwrite=overwrite)


def _lines(
    shape: str,
    views: Sequence[GridView],
    encoders: dict[str, Encoder],
    config: AlignmentSettings,
    languages: tuple[str, str] | None,
    *,
    width: int | None,
) -> list[str]:
    from otkit.alignment.aligner import WordAligner
    from otkit.reports.plain import alignment_document, interlinear_lines, pair_lines, pharaoh_line

    if shape == "text":
        cells = _cells(width)
        # The settings are those of both models.
        first, *others = views
        blocks = [
            interlinear_lines(view, width=cells)
            for view in (first, *(replace(each, settings="") for each in others))
        ]
        told = []
        if len(views) > 1:
            from otkit.reports.terminal import difference_lines

            told = ["", *(line.plain for line in difference_lines(views[0], views[1], width=cells))]
        return [line for block in blocks[:-1] for line in (*block, "")] + blocks[-1] + told

    if shape == "pharaoh":
        return [pharaoh_line(view) for view in views]
    if shape == "pairs" and len(views) == 1:
        return pair_lines(views[0])
    if shape == "pairs":
        return [
            f"{name}\t{line}" for name, view in zip(encoders, views, strict=True) for line in pair_lines(view)
        ]
    from otkit.files import to_json

    used = [WordAligner(encoder, config, languages=languages).used() for encoder in encoders.values()]
    document = {**alignment_document(views, list(encoders), used), "units": config.units()}
    return [to_json(document).rstrip("\n")]


def _print_text(lines: Sequence[str], output: Path | None, *, overwrite: bool) -> None:
    from otkit.cli.stdout import write_data
    from otkit.files import write_file

    text = "".join(f"{line}\n" for line in lines)
    if output is None:
        write_data(text)
    else:
        write_file(output, text, overwrite=overwrite)
