"""Two-letter names for languages that files call by three."""

from __future__ import annotations

__all__ = ["short_code"]

_PAIRS = """
afr af ara ar arb ar ben bn bul bg cat ca ces cs cmn zh dan da deu de ell el eng en est et eus eu
fas fa fin fi fra fr heb he hin hi hrv hr hun hu ind id ita it jav jv jpn ja kat ka kaz kk kor ko
lav lv lit lt mal ml mar mr mkd mk msa ms mya my nld nl nob nb nor no pes fa pol pl por pt ron ro
rus ru slk sk slv sl spa es sqi sq srp sr swa sw swe sv swh sw tam ta tel te tgl tl tha th tur tr
ukr uk urd ur vie vi yor yo zho zh zul zu
"""
_CODES = _PAIRS.split()
_SHORT = dict(zip(_CODES[::2], _CODES[1::2], strict=True))


def short_code(language: str) -> str:
    """`de` for `deu`; a code without a short form stays as it is."""
    return _SHORT.get(language, language)
