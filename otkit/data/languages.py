"""Which two languages a file holds: as stated, or told by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otkit.encoders.languages import SHORT
from otkit.errors import InputError

if TYPE_CHECKING:
    from otkit.encoders.encoder import Encoder

__all__ = [
    "is_known",
    "language_of",
    "languages_of",
    "languages_to_tell",
    "languages_told",
    "short_code",
    "untold",
    "usual_language",
    "web_language",
]

# ISO 639-1, and the three-letter twins of those a corpus is likely to use
_TWO = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz
ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik
io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml
mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd
se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve
vi vo wa wo xh yi yo za zh zu
"""
_THREE = """
afr amh ara arb asm aze bel ben bod bos bul cat ceb ces cmn cym dan deu ell eng epo est eus fas fin fra
gle glg guj hat hau heb hin hrv hun hye ibo ind isl ita jav jpn kan kat kaz khm kin kir kor kur lao lat
lav lit ltz mal mar mkd mlg mlt mon mri msa mya nep nld nno nob nor orm ory pan pes pol por prs pus ron
rus sin slk slv snd som spa sqi srp swa swe swh tam tat tel tgk tgl tha tir tuk tur ukr urd uzb vie wol
xho yid yor yue zho zul
"""
TWO, THREE = frozenset(_TWO.split()), frozenset(_THREE.split())
CODE = r"[a-z]{2,3}(?:[_][A-Z][A-Za-z]{1,3})?"
PAIR = re.compile(rf"(?<![A-Za-z0-9])(?=({CODE})-({CODE})(?![A-Za-z0-9]))")
STATED = re.compile(r"([A-Za-z]{2,8}(?:_[A-Za-z0-9]{2,8})?)-([A-Za-z]{2,8}(?:_[A-Za-z0-9]{2,8})?)")
REMEDY = "state them, source first: `langs='de-en'`"
# What may stand behind the language of a name.
_FORMS = {"gz", "txt", "tsv", "conll", "iob", "bio", "bioes", "json", "jsonl", "html", "htm"}
_FORMS |= {"xml", "xliff", "xlf", "tmx", "po"}


def is_known(code: str) -> bool:
    """Whether the code is one of an actual language; a script or region may follow after `_`."""
    return code.split("_")[0] in TWO | THREE


def _believable(*codes: str) -> bool:
    """Both known, or both of three letters and one known."""
    known = [is_known(code) for code in codes]
    return all(known) or (any(known) and all(len(code.split("_")[0]) == 3 for code in codes))


def languages_of(
    path: str | Path, langs: str | None = None, *, target: str | Path | None = None
) -> tuple[str, str]:
    """(source, target) codes: `langs` such as `de-en`, else the endings of two files (`news.de`,
    `news.en.gz`), else the file name (`de-en.tsv`, `corpus.de-en.tsv.gz`, `xlwa-en-bg.dev.tsv`).

    A rare three-letter code is believed beside a known one; a name that says nothing, or two things, is
    an error.
    """
    if langs is not None:
        stated = STATED.fullmatch(langs.strip())
        if stated is None:
            raise InputError(
                f"received the languages {langs!r}, expected two codes joined by a hyphen",
                remedy="write for instance de-en",
            )
        return stated[1], stated[2]
    name = Path(path).name
    if target is not None:
        # Of two files a whole name may be a language too: labels/en.conll beside labels/de.txt.
        endings = [_ending(f".{each}") for each in (name, Path(target).name)]
        if endings[0] and endings[1]:
            return endings[0], endings[1]
    found = {(match[1], match[2]) for match in PAIR.finditer(name) if _believable(match[1], match[2])}
    if len(found) == 1:
        return found.pop()
    several = " and ".join(sorted("-".join(pair) for pair in found))
    what = (
        f"the file name names several language pairs ({several})"
        if found
        else "the file name does not tell its languages"
    )
    where = "<stdin>" if str(path) == "-" else str(path)
    if where == "<stdin>":
        what = "the languages of standard input are not known"
    raise InputError(what, where=where, remedy=REMEDY)


def languages_told(path: str | Path, *, target: str | Path | None = None) -> tuple[str, str] | None:
    """The same, and None where the names tell nothing."""
    try:
        return languages_of(path, target=target)
    except InputError:
        return None


def languages_to_tell(
    encoders: Sequence[Encoder],
    path: str | Path,
    langs: str | None = None,
    *,
    target: str | Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[str, str] | None:
    """What encoders whose tokenizer names the language of a text (NLLB, mBART) are told of the two sides of a file: as
    stated, or told by the names; one that they do not know is a ConfigError. None where nothing tells, which `note`
    gets to know, and where no encoder is of that kind."""
    stated = None if langs is None else languages_of(path, langs)
    asking = [encoder for encoder in encoders if encoder.subwords.usual is not None]
    if not asking:
        return None
    told = stated or languages_told(path, target=target)
    if told is None:
        note(untold(asking[0]))
    for encoder in asking if told else ():
        for code in told or ():
            encoder.subwords.language_token(code)
    return told


def usual_language(encoder: Encoder) -> str:
    """The code of the language that a tokenizer with tokens for languages takes where nobody says."""
    tokens = encoder.subwords
    return next(code for code, token in tokens.languages.items() if token == tokens.usual)


def untold(encoder: Encoder, remedy: str = REMEDY) -> str:
    """The remark on texts whose language nothing tells to a tokenizer that wants to know."""
    return (
        "the tokenizer names the language of a text, and nothing tells it here: each counts as"
        f" {usual_language(encoder)}; {remedy}"
    )


def language_of(path: str | Path) -> str | None:
    """The language of a file in one language, told by the ending of its name; None where nothing tells."""
    return _ending(Path(path).name)


def _ending(name: str) -> str | None:
    """`de` of `news.de`, `news.de.gz`, `news.de.txt` and `page.de.html`."""
    parts = name.split(".")[1:]
    while parts and parts[-1] in _FORMS:
        parts.pop()
    return parts[-1] if parts and is_known(parts[-1]) else None


def short_code(language: str) -> str:
    """`de` for `deu`; a code without a short form stays as it is."""
    return SHORT.get(language, language)


def web_language(code: str) -> str:
    """What browsers and fonts call a language by: `zh-Hant` for `zho_Hant`, `de` for `deu`."""
    language, _, more = code.partition("_")
    return "-".join(filter(None, (short_code(language), more)))
