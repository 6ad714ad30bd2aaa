"""The live page: alignments in a browser, on this machine alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from otkit.alignment.settings import AlignmentSettings
from otkit.data.gold import GoldSet, holds_text, read_gold
from otkit.data.languages import languages_of, languages_to_tell, languages_told
from otkit.data.parallel import ParallelCorpus, open_corpus, silent
from otkit.encoders.encoder import Encoder
from otkit.encoders.open import open_encoder
from otkit.errors import ConfigError, check_extra
from otkit.files import check_growing, hold
from otkit.inspector.corpus import Line, TextLines
from otkit.recipes import settings_of

__all__ = ["inspect"]


def inspect(
    corpus: str | Path | None = None,
    *,
    target: str | Path | None = None,
    gold: str | Path | None = None,
    raw: bool = False,
    input_format: str = "auto",
    langs: str | None = None,
    on_error: str = "raise",
    models: Sequence[str | Path | Encoder] = (),
    recipe: str | Path | None = None,
    device: str = "auto",
    output: str | Path | None = None,
    host: str | None = None,
    port: int = 0,
    on_ready: Callable[[str], None] = silent,
    on_note: Callable[[str], None] = silent,
    **settings: Any,
) -> None:
    """Serve the inspector until an exception ends it, such as the KeyboardInterrupt of Ctrl-C.

    corpus    pairs to browse: any parallel text, with `target` two files, with `raw` text whose words are to be found
    gold      links made by hand, in any of `GOLD_FORMATS`; those without sentences belong to the corpus
    langs     the languages of both sides, such as de-en, where the name does not tell them
    models    one encoder or two to compare, as names, folders or open encoders; by default the sample encoder
    recipe    the settings to start from; `settings` are any of `AlignmentSettings`
    output    the folder for links that are set on the page; one that was begun is gone on with
    host      lets other machines in by this address, and a token; without it the server is for this machine alone
    port      0 is any that is free
    on_ready  is told the address
    on_note   is told how the corpus was read
    """
    for package in ("starlette", "uvicorn"):
        check_extra(package, extra="serve")
    from otkit.inspector.annotations import Annotations
    from otkit.inspector.models import Models
    from otkit.inspector.server import listen, serve
    from otkit.inspector.session import Session

    if corpus is None and input_format != "auto":
        raise ConfigError(
            "there is no corpus whose form it could be", remedy="leave it out", setting="input_format"
        )
    if corpus is None and target is not None:
        raise ConfigError(
            "there is no text whose translation it could be", remedy="give the other side", setting="target"
        )
    if gold is not None and raw:
        raise ConfigError("gold counts words that are known", remedy="leave raw out", setting="gold")
    if gold is not None and (corpus is None) != holds_text(gold):
        raise ConfigError(
            "the gold holds its sentences itself, and a corpus is given"
            if corpus is not None
            else "the gold holds links without their sentences",
            remedy="leave one of them out" if corpus is not None else "give the corpus that they belong to",
            setting="gold",
        )
    if len(models) > 2:
        raise ConfigError(f"received {len(models)} models", remedy="give one or two", setting="model")
    folder = None if output is None else Path(output)
    if folder is not None:
        named = [str(model) for model in models if isinstance(model, str | Path)]
        check_growing(folder, "annotations", inputs=[corpus, target, gold, *named])
    config = settings_of(recipe, "alignment", AlignmentSettings).changed(**settings)
    lines: Sequence[Line] = ()
    if gold is not None:
        links = read_gold(gold, text=corpus, target=target, text_format=input_format, on_error=on_error)
        _note(links, on_note, raw=False)
        lines = [Line(pair.line, pair.source, pair.target, pair) for pair in links]
    elif corpus is not None:
        texts = open_corpus(corpus, target=target, format=input_format, langs=langs, on_error=on_error)
        _note(texts, on_note, raw=raw)
        lines = TextLines(texts, raw=raw)
    address, opened = listen(host, port)
    with opened, hold(folder) if folder is not None else nullcontext():
        encoders = _encoders(models, device=device)
        place = corpus or gold or ""
        spoken = languages_to_tell([*encoders.values()], place, langs, target=target, note=on_note)
        through = Models.of(encoders, config, spoken)
        for name in through.names:
            aligner = through.aligner(name, {})  # a layer that it does not have is said now
            aligner.measure()  # and a text of the space that is none
        annotations = None if folder is None else Annotations(folder)
        name = Path(place).name
        given = languages_of(name, langs) if langs else languages_told(name, target=target)
        serve(
            Session.of(through, name=name, lines=lines, annotations=annotations, languages=given),
            address,
            opened,
            on_ready=on_ready,
        )


def _note(corpus: GoldSet | ParallelCorpus, on_note: Callable[[str], None], *, raw: bool) -> None:
    for text in (*corpus.notes, *([] if raw else corpus.spaces.notes(corpus.name))):
        on_note(text)


def _encoders(models: Sequence[str | Path | Encoder], *, device: str) -> dict[str, Encoder]:
    """Encoders under the names that the page gives them: their own, or as they were given where those are one."""
    opened: list[tuple[str, Encoder]] = []
    for model in models or ("sample",):
        if isinstance(model, str | Path):
            place = None if str(model) == "sample" else model
            opened.append((str(model), open_encoder(place, device=device)))
        else:
            opened.append((model.name, model))
    own = [encoder.name for _, encoder in opened]
    found = {encoder.name if own.count(encoder.name) == 1 else given: encoder for given, encoder in opened}
    if len(found) < len(opened):
        raise ConfigError("both models are the same", remedy="name another", setting="model")
    return found
