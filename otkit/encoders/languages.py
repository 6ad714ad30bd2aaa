"""Codes of languages, and the tokens by which the tokenizers of translation models name the language of a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from otkit.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["SHORT", "language_key", "language_tokens"]

T = TypeVar("T")

# What files call by three letters, and its two.
_PAIRS = """
afr af ara ar arb ar ben bn bul bg cat ca ces cs cmn zh dan da deu de ell el eng en est et eus eu
fas fa fin fi fra fr heb he hin hi hrv hr hun hu ind id ita it jav jv jpn ja kat ka kaz kk kor ko
lav lv lit lt mal ml mar mr mkd mk msa ms mya my nld nl nob nb nor no pes fa pol pl por pt ron ro
rus ru slk sk slv sl spa es sqi sq srp sr swa sw swe sv swh sw tam ta tel te tgl tl tha th tur tr
ukr uk urd ur vie vi yor yo zho zh zul zu
"""
# What tokenizers (NLLB's, FLORES') call by three letters beside, often one language of several that the two stand for.
_MORE = """
aka ak als sq amh am asm as ayr ay azj az bak ba bam bm bel be bod bo bos bs cym cy dzo dz epo eo ewe ee fao fo fij fj
fuv ff gaz om gla gd gle ga glg gl grn gn guj gu hat ht hau ha hye hy ibo ig isl is kan kn kas ks khk mn khm km kik ki
kin rw kir ky kmr ku knc kr kon kg lao lo lim li lin ln ltz lb lug lg lvs lv mlt mt mri mi nno nn npi ne nya ny oci oc
ory or pan pa pbt ps plt mg quy qu run rn sag sg san sa sin si smo sm sna sn snd sd som so sot st srd sc ssw ss sun su
tat tt tgk tg tir ti tsn tn tso ts tuk tk twi tw uig ug uzn uz wol wo xho xh ydd yi zsm ms
"""


def _table(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


SHORT: Mapping[str, str] = _table(_PAIRS)
"""`de` for `deu`."""
_WIDE = {**_table(_MORE), **SHORT, "no": "nb", "iw": "he", "in": "id"}
# Which of several scripts a bare code means.
_USUAL = ("zho_Hans", "zh_CN")
_TOKEN = re.compile(r"(?:__)?([a-z]{2,3}(?:_[A-Z][A-Za-z]{1,3})?)(?:__)?")


def language_key(code: str, known: Mapping[str, T]) -> str:
    """How `known` spells a language: `deu_Latn`, `de_DE` or `de` for `de`; a ConfigError where it has none such."""
    if code in known:
        return code
    language, _, more = code.partition("_")
    found = [
        key
        for key in known
        if _wide(key.partition("_")[0]) == _wide(language) and _go(more, key.partition("_")[2])
    ]
    usual = [key for key in found if key in _USUAL]
    if len(found) == 1 or usual:
        return (usual or found)[0]
    if found:
        raise ConfigError(
            f"the tokenizer has {len(found)} tokens for the language {code!r}",
            remedy=f"say which: {', '.join(sorted(found))}",
            setting="langs",
        )
    shown = ", ".join(sorted(known)[:8])
    raise ConfigError(
        f"the tokenizer has no token for the language {code!r}",
        remedy=f"state one that it has ({shown}, ...), or give text of another name",
        setting="langs",
    )


def _go(first: str, second: str) -> bool:
    """Whether what stands behind two codes may be one thing: a script of four letters and a region of two may."""
    return first == second or not first or not second or len(first) != len(second)


def _wide(language: str) -> str:
    return _WIDE.get(language, language)


def language_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[dict[str, int], int | None]:
    """The tokens that say in which language a text is, by the tokenizer's own codes, and the one that it uses where
    nobody says (`src_lang`); none for a tokenizer without such tokens."""
    # A tokenizer that was made smaller is of no class that has the attribute, and states it all the same.
    usual = getattr(tokenizer, "src_lang", None) or tokenizer.init_kwargs.get("src_lang")
    if not isinstance(usual, str):
        return {}, None
    found = {
        match[1]: number
        for number, token in sorted(tokenizer.added_tokens_decoder.items())
        if (match := _TOKEN.fullmatch(token.content))
    }
    if usual not in found:
        return {}, None
    return found, found[usual]
