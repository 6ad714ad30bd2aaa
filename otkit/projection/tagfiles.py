"""Files with markup: the texts in them, and the same file with translations that carry the tags.

A file is a `TagFile`: `units` are pairs of a source with markup and, where the file has one, a plain translation;
`filled` gives the file back with a translation with markup for each unit (None leaves one as it is). HTML is spliced,
so that all around the texts stays letter for letter (but line ends, which are line feeds). XML goes through lxml with
entities, external DTDs and the network off.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Any

from otkit.data.lines import ON_ERROR, LineSource, checked, located, quote, unskipped
from otkit.errors import InputError, choose, require_extra
from otkit.files import parse_json, to_json
from otkit.projection.markup import TAG, parse_markup

__all__ = ["TAG_FORMS", "TagFile", "Unit", "open_tags", "plain_text", "tag_form_of"]

TAG_FORM_NAMES = {
    "auto": "seen from the name",
    "lines": "a string a line",
    "jsonl": 'an object a line: {"source": "<b>...</b>", "target": "..."}',
    "html": "a page; its translation has a line for each text",
    "xliff": "XLIFF 1.2 or 2",
    "tmx": "TMX",
    "po": "gettext",
}


@dataclass(frozen=True)
class Unit:
    """A source with markup, its plain translation or None, the syntax (None: seen from the source), and where; or what
    is wrong with it."""

    source: str
    target: str | None
    where: str
    syntax: str | None = None
    bad: InputError | None = None


@dataclass(frozen=True)
class TagFile:
    """The units of a file, and how it is written with translations of them."""

    units: tuple[Unit, ...]
    filled: Callable[[Sequence[str | None]], str]


def plain_text(source: str, syntax: str) -> str:
    """The text of a unit as a translator gets it: without tags, white space joined."""
    return " ".join(parse_markup(source, source, syntax).text.split())


_MOST = 1 << 28  # characters of a file, which is held whole; each line counts for some more


def _held(source: LineSource) -> Iterator[str | InputError]:
    """The lines of a file as long as it is none that fills the memory, packed or not."""
    size = 0
    for line in source:
        size += 64 + (len(line) if isinstance(line, str) else 0)
        if size > _MOST:
            raise InputError(
                f"has more than {_MOST >> 20} MB, and it is held in memory",
                where=source.name,
                remedy="cut it into several files",
            )
        yield line


def _read(path: str | Path) -> tuple[str, str]:
    source = LineSource(path, line_limit=_MOST)
    return "\n".join(checked(line) for line in _held(source)), source.name


def _lines(path: str | Path, on_error: str) -> TagFile:
    source = LineSource(path)
    units = []
    for number, line in enumerate(_held(source), 1):
        where = f"{source.name}:{number}"
        try:
            units.append(Unit(checked(line), None, where))
        except InputError as error:
            units.append(_bad(error, where, on_error))

    def filled(targets: Sequence[str | None]) -> str:
        # A text without a translation stays as it is.
        rows = zip(units, targets, strict=True)
        return "".join(
            f"{'' if unit.bad else unit.source if text is None else text}\n" for unit, text in rows
        )

    return TagFile(tuple(units), filled)


def _bad(error: InputError, where: str, on_error: str) -> Unit:
    """A line that cannot be used, in the place of its unit, or raised."""
    if on_error == "raise":
        raise unskipped(error, where) from None
    return Unit("", None, where, bad=located(error, where))


def _jsonl(path: str | Path, on_error: str) -> TagFile:
    source = LineSource(path)
    records, units = [], []
    for number, line in enumerate(_held(source), 1):
        where = f"{source.name}:{number}"
        try:
            record = _record(checked(line))
        except InputError as error:
            records.append({"skipped": error.what})
            units.append(_bad(error, where, on_error))
            continue
        target = record.get("target")
        records.append(record)
        translated = isinstance(target, str) and bool(target.strip())
        units.append(Unit(record["source"], target if translated else None, where))

    def filled(targets: Sequence[str | None]) -> str:
        return "".join(
            to_json(record if target is None else {**record, "target": target}, indent=None)
            for record, target in zip(records, targets, strict=True)
        )

    return TagFile(tuple(units), filled)


def _record(line: str) -> dict[str, Any]:
    try:
        record = parse_json(line)
    except ValueError as error:
        raise InputError(f"is no JSON ({error})", remedy="write one object a line") from None
    if not isinstance(record, dict) or not isinstance(record.get("source"), str):
        raise InputError(f"received {quote(line)}", remedy='expected {"source": "...", "target": "..."}')
    return record


# --- HTML

_INLINE = frozenset(
    (
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "br",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "input",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "rp",
        "rt",
        "ruby",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "svg",
        "math",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    )
)
_HIDDEN = frozenset(("script", "style", "template", "textarea", "pre", "noscript", "iframe"))
_LETTER = re.compile(r"[^\W\d_]")
_NO_TEXT = re.compile(r"(?:\s|<!doctype[^>]*>)*", re.IGNORECASE)


def html_texts(page: str) -> list[tuple[int, int]]:
    """The stretches of a page that are text with inline tags, between two tags of blocks.

    An inline tag that a block interrupts, and the end of one, stands between two texts: it stays where it is.
    """
    found: list[tuple[int, int]] = []
    start, hidden = 0, ""
    opened: list[re.Match[str]] = []
    names: Counter[str] = Counter()  # of those
    crossed: Counter[str] = Counter()  # ended by the end of one around them
    for tag in TAG.finditer(page):
        name = (tag["name"] or "").lower()
        if hidden:
            if tag["end"] and name == hidden:
                hidden, start = "", tag.end()
            continue
        if not name and tag[0].startswith("<!--"):
            continue
        if name in _INLINE:
            if not tag["end"]:
                if not tag["alone"] and name not in ("br", "img", "input", "wbr"):
                    opened.append(tag)
                    names[name] += 1
                continue
            if names[name]:
                while (inner := opened.pop()["name"].lower()) != name:
                    names[inner] -= 1
                    crossed[inner] += 1
                names[name] -= 1
                continue
            if crossed[name]:
                crossed[name] -= 1
                continue
        _add(found, page, start, tag.start(), opened)
        opened, names, crossed, start = [], Counter(), Counter(), tag.end()
        if name in _HIDDEN and not tag["end"] and not tag["alone"]:
            hidden = name
    _add(found, page, start, len(page), opened)
    return found


def _add(
    found: list[tuple[int, int]], page: str, start: int, end: int, opened: Sequence[re.Match[str]]
) -> None:
    """What has a letter of a stretch, cut at inline tags that are not ended in it."""
    for first, last in [*(tag.span() for tag in opened), (end, end)]:
        begin = _NO_TEXT.match(page, start, first).end()  # type: ignore[union-attr]
        if _LETTER.search(TAG.sub("", page[begin:first])):
            found.append((begin, begin + len(page[begin:first].rstrip())))
        start = last


def _html(path: str | Path, on_error: str) -> TagFile:
    page, name = _read(path)
    page += "\n"
    places = html_texts(page)
    lines = accumulate(
        (page.count("\n", *span) for span in pairwise([0, *(start for start, _ in places)])), initial=1
    )
    units = tuple(
        Unit(page[start:end], None, f"{name}:{line}", "html")
        for (start, end), line in zip(places, islice(lines, 1, None), strict=True)
    )

    def filled(targets: Sequence[str | None]) -> str:
        parts, place = [], 0
        for (start, end), target in zip(places, targets, strict=True):
            parts += [page[place:start], page[start:end] if target is None else target]
            place = end
        return "".join([*parts, page[place:]])

    return TagFile(tuple(units), filled)


# --- XML


def _tree(path: str | Path) -> tuple[Any, Any, str]:
    etree = require_extra("lxml.etree", extra="tags")
    text, name = _read(path)
    parser = etree.XMLParser(
        encoding="utf-8",  # what the text is given in, whatever its declaration says
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        dtd_validation=False,
        huge_tree=False,
        remove_blank_text=False,
    )
    try:
        root = etree.fromstring(text.encode("utf-8", "surrogatepass"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"{name}:{line}" if line else name
        raise InputError(f"is no well-formed XML ({error})", where=where, remedy="mend it") from None
    return etree, root, name


def _local(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


_OWN_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);|#)[^;\s]*;")
_DECLARED = re.compile(r"\sxmlns(?::[\w.-]+)?=(?:\"[^\"]*\"|'[^']*')")


def _inner(etree: Any, element: Any) -> str:
    """What is between the tags of an element, without the declarations of namespaces that its surroundings have."""
    parts = [_xml_escape(element.text or "")]
    parts += (etree.tostring(child, encoding="unicode", with_tail=True) for child in element)
    for child, part in zip(element, parts[1:], strict=True):
        if _local(child) and (own := _OWN_ENTITY.search(part)):
            raise InputError(
                f"a tag has the entity {own[0]} in it, which stands for text that is elsewhere",
                remedy="write that text in its place",
            )
    around = {f'xmlns{":" + prefix if prefix else ""}="{uri}"' for prefix, uri in element.nsmap.items()}
    text = "".join(parts)
    return TAG.sub(
        lambda tag: _DECLARED.sub(lambda one: "" if one[0].strip() in around else one[0], tag[0]), text
    )


def _xml_escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _set_inner(etree: Any, element: Any, inner: str) -> None:
    declared = "".join(
        f' xmlns{":" + prefix if prefix else ""}="{_xml_escape(uri)}"'
        for prefix, uri in element.nsmap.items()
        if prefix != "xml"
    )
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    around = etree.fromstring(
        f"<around{declared}>{inner}</around>".encode("utf-8", "xmlcharrefreplace"), parser
    )
    for child in list(element):
        element.remove(child)
    element.text = around.text
    for child in around:
        element.append(child)
    etree.cleanup_namespaces(element)


def _xml_file(path: str | Path, pairs: Callable[[Any, Any], Iterator[tuple[Any, Any]]]) -> TagFile:
    """A file whose units are pairs of elements; the second is made where it is missing."""
    etree, root, name = _tree(path)
    found = list(pairs(etree, root))
    units = []
    for source, target in found:
        plain = None if len(target) or not (target.text or "").strip() else _xml_escape(target.text)
        where = f"{name}:{source.sourceline}"
        try:
            units.append(Unit(_inner(etree, source), plain, where, "xml"))
        except InputError as error:
            raise located(error, where) from None

    def filled(targets: Sequence[str | None]) -> str:
        for (source, target), text in zip(found, targets, strict=True):
            if text is None:
                continue
            if target.getparent() is None:
                tail = source.tail
                source.addnext(target)
                target.tail, source.tail = tail, tail
            _set_inner(etree, target, text)
        tree = root.getroottree()
        text = etree.tostring(tree, encoding="UTF-8", xml_declaration=True).decode()
        return text if text.endswith("\n") else f"{text}\n"

    return TagFile(tuple(units), filled)


def _xliff_pairs(etree: Any, root: Any) -> Iterator[tuple[Any, Any]]:
    for unit in root.iter("{*}trans-unit", "{*}segment"):
        source = next((child for child in unit if _local(child) == "source"), None)
        if source is None:
            continue
        target = next((child for child in unit if _local(child) == "target"), None)
        if target is None:
            target = etree.Element(source.tag[: -len("source")] + "target", nsmap=source.nsmap)
        yield source, target


def _tmx_pairs(etree: Any, root: Any) -> Iterator[tuple[Any, Any]]:
    header = root.find("{*}header")
    language = (header.get("srclang") if header is not None else None) or ""
    for unit in root.iter("{*}tu"):
        variants = [child for child in unit if _local(child) == "tuv"]
        segs = [
            (_language(one), next((each for each in one if _local(each) == "seg"), None)) for one in variants
        ]
        segs = [(name, seg) for name, seg in segs if seg is not None]
        if not segs:
            continue
        same = [seg for name, seg in segs if name.lower() == language.lower()]
        same += [seg for name, seg in segs if _primary(name) == _primary(language)]  # en for en-US
        first = same[0] if same else segs[0][1]
        for _, seg in segs:
            if seg is not first:
                yield first, seg


def _primary(language: str) -> str:
    return re.split("[-_]", language.lower())[0]


def _language(variant: Any) -> str:
    return str(variant.get("{http://www.w3.org/XML/1998/namespace}lang") or variant.get("lang") or "")


class _Content(str):
    """Text for polib, which takes any other for a path where there is such a file, and ends lines at U+2028 too. A
    line feed comes first: no path begins so."""

    def splitlines(self, keepends: bool = False) -> list[str]:
        return self.split("\n")


def _po(path: str | Path, on_error: str) -> TagFile:
    polib = require_extra("polib", extra="tags")
    text, name = _read(path)
    try:
        catalogue = polib.pofile(_Content(f"\n{text}"))
    except OSError as error:
        raise InputError(f"is no PO file ({error})", where=name, remedy="mend it with msgfmt -c") from None
    spots: list[tuple[Any, str | int | None]] = []
    units = []
    for entry in catalogue:
        if entry.obsolete:
            continue
        choices: list[tuple[str | int | None, str, str]] = [(None, entry.msgid, entry.msgstr)]
        if entry.msgid_plural:
            choices = [
                (at, entry.msgid if at in (0, "0") else entry.msgid_plural, plural)
                for at, plural in sorted(entry.msgstr_plural.items(), key=lambda item: int(item[0]))
            ]
        for at, source, target in choices:
            done = bool(TAG.search(target))
            spots.append((entry, at))
            where = f"{name}:{max(1, entry.linenum - 1)}"
            units.append(Unit(source, None if done or not target else target, where))

    def filled(targets: Sequence[str | None]) -> str:
        for (entry, at), target in zip(spots, targets, strict=True):
            if target is None:
                continue
            if at is None:
                entry.msgstr = target
            else:
                entry.msgstr_plural[at] = target
        return f"{catalogue}\n".rstrip("\n") + "\n"

    return TagFile(tuple(units), filled)


TAG_FORMS: Mapping[str, Callable[[str | Path, str], TagFile]] = {
    "lines": _lines,
    "jsonl": _jsonl,
    "html": _html,
    "xliff": lambda path, on_error: _xml_file(path, _xliff_pairs),
    "tmx": lambda path, on_error: _xml_file(path, _tmx_pairs),
    "po": _po,
}
_ENDINGS = {
    ".jsonl": "jsonl",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".xlf": "xliff",
    ".xliff": "xliff",
    ".tmx": "tmx",
    ".po": "po",
    ".pot": "po",
}


def tag_form_of(path: str | Path) -> str:
    """The form that a name shows."""
    return _ENDINGS.get(Path(str(path).removesuffix(".gz")).suffix.lower(), "lines")


def open_tags(path: str | Path, form: str, on_error: str = "raise") -> TagFile:
    """A file with markup, whole in memory; lines that cannot be used are bad units, or raised."""
    choose(on_error, ON_ERROR, what="way to treat bad lines")
    return TAG_FORMS[form](path, on_error)
