"""`otkit info`: what an encoder is, and how otkit will use it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from otkit.cli.given import HelpAll
from otkit.cli.options import JsonPath, Langs, Overwrite, Quiet, Verbose, note, set_logging
from otkit.cli.outputs import claim_files, write_document

if TYPE_CHECKING:
    from otkit.encoders.encoder import Encoder
    from otkit.reports.tables import Table

__all__ = ["curve_table", "facts_table", "info"]

_PAIRS = 256  # of a file: enough to tell hidden states apart


def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="A Hub name, a folder or a .gguf file. Default: the sample encoder."
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            metavar="FILE",
            help="Parallel text, to show how far each hidden state agrees across languages, by measures without links.",
            show_default=False,
        ),
    ] = None,
    langs: Langs = None,
    json_path: JsonPath = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    help_all: HelpAll = False,
) -> None:
    """Say what an encoder is: its size, its limits, the layers used for alignment and why, its sentence vectors.

    [bold]Examples[/bold]

    otkit info

    otkit info sample_data/encoder

    otkit info --layers sample_data/parallel/de-en.dev.tsv
    """
    claim_files({"json": json_path}, [model, layers], overwrite=overwrite)
    set_logging(verbose=verbose)
    from otkit.cli.progress import last_line
    from otkit.cli.stdout import show
    from otkit.encoders.open import open_encoder

    encoder = open_encoder(model, device="cpu")
    table = facts_table(encoder)
    document: dict[str, object] = {"model": {str(what): value for what, value in table.rows}}
    tables = [table]
    if layers is not None:
        found = _agreement(encoder, layers, langs, quiet=quiet)
        document["layers"] = [
            {"layer": layer, **{name: curve[layer] for name, curve in found.items()}}
            for layer in range(encoder.layers + 1)
        ]
        tables.append(curve_table(found))
    if json_path is not None:
        write_document(json_path, document, overwrite=overwrite)
    show(*tables)
    last_line(
        f"{encoder.name}, as otkit will use it{'' if json_path is None else f'; wrote {json_path}'}",
        then=f"otkit evaluate word-alignment --model {shlex.quote(model)}"
        if model
        else "otkit evaluate word-alignment",
        quiet=quiet,
    )


def _agreement(encoder: Encoder, path: str, langs: str | None, *, quiet: bool) -> dict[str, list[float]]:
    """The measures of each hidden state on the first pairs of a file."""
    from otkit.alignment.layers import MEASURES, layer_curves, read_texts
    from otkit.cli.progress import progress_bar
    from otkit.data.languages import languages_to_tell

    told = languages_to_tell([encoder], path, langs, note=lambda text: note(text, quiet=quiet))
    pairs = read_texts(path, most=_PAIRS)
    with progress_bar(quiet=quiet) as bar:
        step = bar.step("encode", unit="pairs", total=len(pairs))
        return layer_curves(
            encoder,
            {path: pairs},
            tuple(MEASURES),
            languages=None if told is None else {path: told},
            progress=step.update,
        )


def curve_table(curves: dict[str, list[float]]) -> Table:
    """A row for each hidden state; the one that `--layer auto` would take on this text is marked."""
    from otkit.alignment.layers import CHOOSES
    from otkit.reports.tables import Column, Table

    deciding = curves[CHOOSES]
    best = max(range(min(1, len(deciding) - 1), len(deciding)), key=deciding.__getitem__)
    rows = tuple(
        (str(layer), *(curve[layer] for curve in curves.values()), "auto" if layer == best else "")
        for layer in range(len(deciding))
    )
    columns = (Column("hidden state"), *(Column(name) for name in curves), Column(""))
    return Table("how far each hidden state agrees across languages, without links", columns, rows)


def facts_table(encoder: Encoder) -> Table:
    """A row for each thing to know of an encoder."""
    from otkit.alignment.layer_choice import kept_choice, stated_choice
    from otkit.data.languages import usual_language
    from otkit.encoders.encoder import alignment_layers_rule
    from otkit.encoders.families import table_weights
    from otkit.encoders.static import StaticEncoder
    from otkit.encoders.torch import TorchEncoder
    from otkit.reports.tables import Column, Table

    settings = encoder.settings
    ruled, reason = alignment_layers_rule(encoder.layers)
    layers = ", ".join(map(str, settings.alignment_layers))
    choice, kept = stated_choice(encoder), kept_choice(encoder)
    if choice is not None and settings.alignment_layers == (choice.layer,):
        reason = choice.reason
    elif settings.alignment_layers != ruled:
        reason = "stated by its otkit.json"
    rows: list[tuple[str, str]] = [
        ("encoder", encoder.name),
        ("layers", str(encoder.layers)),
        ("width", str(encoder.dimension)),
        ("longest sentence, in subwords", str(encoder.max_tokens)),
        ("alignment layers", f"{layers} ({reason})"),
        ("layer auto", "not measured yet" if kept is None else f"{kept.layer} ({kept.reason})"),
        ("sentence vector", _sentence_vector(encoder)),
        ("longest text of a sentence vector", str(settings.most_tokens(encoder.max_tokens))),
    ]
    if encoder.subwords.usual is not None:
        known = encoder.subwords.languages
        usual = usual_language(encoder)
        rows.append(("languages of its tokenizer", f"{len(known)}; {usual} where nothing tells (--langs)"))
    if settings.prompts:
        rows.append(("prompts", ", ".join(f"{name} {text!r}" for name, text in settings.prompts.items())))
    if isinstance(encoder, StaticEncoder):
        rows[1:1] = [("architecture", f"static, a table of {len(encoder.table):,} pieces")]
    if isinstance(encoder, TorchEncoder):
        weights = list(encoder.model.parameters())
        count = sum(weight.numel() for weight in weights)
        table_size = table_weights(encoder.model)
        rows[1:1] = [
            ("architecture", str(encoder.model.config.model_type)),
            ("parameters", f"{count:,} ({table_size / count:.0%} in the word table)"),
            (
                "memory",
                f"{sum(weight.numel() * weight.element_size() for weight in weights) / 2**20:.0f} MiB",
            ),
        ]
    return Table("", (Column("what"), Column("value")), tuple(rows))


def _sentence_vector(encoder: Encoder) -> str:
    """What makes it, in its order."""
    settings = encoder.settings
    # The graph of an ONNX folder has them inside, and its manifest names them.
    behind = encoder.head.names if hasattr(encoder, "head") else getattr(encoder, "modules", ())
    steps = [f"{settings.pooling} over the last layer", *(name for name in behind if name != "Normalize")]
    kept = "" if settings.truncate_dim is None else f" of which {encoder.sentence_dimension} are kept"
    counts = "" if settings.pool_prompt else ", which does not count in it"
    return f"{', '.join(steps)}; width {encoder.sentence_dimension}{kept}, prefix {settings.prefix!r}{counts}"
