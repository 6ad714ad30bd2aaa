"""Mozilla's Fluent files, as far as www-l10n needs them: plain messages, and the places of their tags."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["messages", "tagged"]

_MESSAGE = re.compile(r"^([a-zA-Z][\w-]*) *= *(.*)$")
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)\b[^<>]*?(/?)>")
_TERM = re.compile(r"\{ *-brand-name-([\w-]+)(?:\([^)]*\))? *\}")

Tag = list[str | int]


def messages(text: str) -> Iterator[tuple[str, str]]:
    """(name, value) of messages; values on several lines are joined, attributes and terms left out."""
    name, parts = "", list[str]()
    for line in [*text.split("\n"), "#"]:
        if name and line.startswith((" ", "\t")) and not line.lstrip().startswith((".", "[", "*", "}")):
            parts.append(line.strip())
            continue
        if name and (value := " ".join(filter(None, parts))):
            yield name, value
        found = _MESSAGE.match(line)
        name, parts = (found[1], [found[2].strip()]) if found else ("", [])


def tagged(text: str) -> tuple[str, list[Tag]] | None:
    """The plain text and `[name, start, end]` of its pairs of tags; None where they do not nest, or a value is missing.

    Names of products are terms of Fluent, and stand for themselves: `{ -brand-name-firefox }` is Firefox.
    """
    text = _TERM.sub(lambda term: " ".join(word.capitalize() for word in term[1].split("-")), text)
    if "{" in text or "}" in text:
        return None
    plain, tags, opened, at = "", list[Tag](), list[tuple[str, int]](), 0
    for found in _TAG.finditer(text):
        plain += text[at : found.start()]
        at = found.end()
        closing, name, empty = found.groups()
        if empty or name == "br":
            return None
        if not closing:
            opened.append((name, len(plain)))
        elif not opened or opened[-1][0] != name:
            return None
        else:
            tags.append([name, opened.pop()[1], len(plain)])
    plain += text[at:]
    return None if opened else (plain, sorted(tags, key=lambda tag: (tag[1], tag[2])))
