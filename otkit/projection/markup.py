"""Strings with markup to a plain text with tags on it, and back: HTML and XML, Markdown, placeholders.

Nothing is interpreted but what has to be: a tag is kept letter for letter, with its attributes. What is not sound in
the source (a tag that is never closed, an end without a beginning, ends in the wrong order) is mended as an HTML parser
would mend it, so that what comes out is sound.
"""

from __future__ import annotations

import html
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html.entities import html5

from otkit.alignment.shares import Shares
from otkit.projection.places import Text
from otkit.projection.tags import Event, Marked, Node, place_tags
from otkit.projection.words import BREAK

__all__ = ["SYNTAXES", "TAG", "closed_stretches", "parse_markup", "syntax_of", "write_markup"]

SYNTAX_NAMES = {
    "auto": "html where there is a tag, else markdown where there are its signs, else placeholders alone",
    "html": "tags and entities as in HTML; inline elements of XLIFF, TMX and DITA too",
    "xml": "the same, every element closed, only XML's own entities",
    "markdown": "emphasis, code, links and images",
    "placeholders": "{name}, %s, ${x}, ICU arguments",
}

_VOID = frozenset(  # HTML 13.1.2
    (
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    )
)
# Elements whose content is code, not text: XLIFF 1.2, XLIFF 2 and TMX, HTML.
_OPAQUE = frozenset(["bpt", "ept", "ph", "it", "ut", "script", "style", "svg", "math"])
_BEGINS, _ENDS = (
    {"bpt": "ept", "bx": "ex", "sc": "ec", "sm": "em"},
    {"ept": "bpt", "ex": "bx", "ec": "sc", "em": "sm"},
)
TAG = re.compile(
    # None of these holds the beginning of another, so that a text of beginnings alone is read in one pass.
    r"<!--(?:(?!<!--).)*?-->|<!\[CDATA\[(?:(?!<!\[).)*?\]\]>|<\?(?:(?!<\?).)*?\?>"
    r"|<(?P<end>/?)(?P<name>[A-Za-z_][\w:.-]*)"
    # A value between quotes may hold a tag, but no more than a tooltip does: each beginning looks so far.
    r"(?P<attributes>(?:\s+[^\s<>=/\"']+(?:\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'|\"[^\"]{0,2000}\"|'[^']{0,2000}'|[^\s\"'<>=`]+))?)*)"
    r"\s*(?P<alone>/?)>",
    re.DOTALL,
)
_ID = re.compile(r"\s(?:rid|id|i|startRef)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BRACE = re.compile(r"[{}]")
_PLACEHOLDER = re.compile(
    r"\{\{[^{}]*\}\}"  # {{ name }}
    r"|\$\{[^{}]*\}"  # ${name}
    r"|(?P<brace>\{)"  # {name}, {0}, {count, plural, ...}
    r"|%(?:\(\w+\)|\d{1,3}\$)?[-+#0]*\d{0,9}(?:\.\d{1,9})?(?:l{0,2}[diouxXeEfFgGcrsaA]|@)(?![^\W\d_])"  # %s %1$s
    r"|%\w{1,100}%"  # %NAME%
)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2
_XML_ENTITIES = frozenset(("&amp;", "&lt;", "&gt;", "&quot;", "&apos;"))


@dataclass
class _Builder:
    """Collects text and tags; a node is known when it ends, its place in the list when it begins."""

    text: list[str] = field(default_factory=list)
    length: int = 0
    nodes: list[Node | None] = field(default_factory=list)
    opened: list[tuple[int, int, str, str]] = field(default_factory=list)  # index, start, name, raw
    names: Counter[str] = field(default_factory=Counter)  # of those, so that no end looks through all of them

    def add(self, text: str) -> None:
        self.text.append(text)
        self.length += len(text)

    @property
    def parent(self) -> int:
        return self.opened[-1][0] if self.opened else -1

    def point(self, raw: str) -> None:
        self.nodes.append(Node(self.length, self.length, self.parent, raw))

    def begin(self, name: str, raw: str) -> None:
        self.nodes.append(None)
        self.opened.append((len(self.nodes) - 1, self.length, name, raw))
        self.names[name.lower()] += 1

    def end(self, raw: str) -> None:
        index, start, name, opening = self.opened.pop()
        self.names[name.lower()] -= 1
        self.nodes[index] = Node(start, self.length, self.parent, opening, raw)

    def finished(self) -> Marked:
        return Marked("".join(self.text), tuple(node for node in self.nodes if node is not None))


def _parse_html(source: str, target: str, *, xml: bool = False) -> Marked:
    built, budget = _Builder(), _Budget(target)
    place = 0
    tags = list(TAG.finditer(source))
    pairs, ends = _code_pairs(tags), _opaque_ends(tags)
    at = 0
    while at < len(tags):
        tag = tags[at]
        _add_text(built, source[place : tag.start()], budget, unescape=True)
        place, raw, name = tag.end(), tag[0], tag["name"]
        low = (name or "").lower().rpartition(":")[2]
        if name is None:
            built.point(raw)
        elif tag["end"]:
            _close(built, name, raw)
        elif low in _OPAQUE and not tag["alone"]:
            # Its content is no text: the element as a whole is the tag.
            last = ends.get(at)
            if last is None:
                built.point(f"{raw}</{name}>")
            else:
                inner = source[tag.end() : tags[last].start()]
                inner = inner if low in ("script", "style") else _mended(inner, xml=xml)
                raw, place, at = f"{raw}{inner}{tags[last][0]}", tags[last].end(), last
                _code(built, pairs, tag.start(), raw)
        elif tag["alone"] or (low in _VOID and not xml):
            _code(built, pairs, tag.start(), raw)
            if low in ("br", "hr", "wbr", "lb"):
                built.add(BREAK)  # words on both sides of it are two
        else:
            built.begin(name, raw)
        at += 1
    _add_text(built, source[place:], budget, unescape=True)
    while built.opened:
        built.end(_ending(built.opened[-1][2]))
    return built.finished()


def _mended(source: str, *, xml: bool) -> str:
    """Markup that is no text, such as that within a `ph`, made sound: as it was, where it was."""
    parts: list[str] = []
    opened: list[str] = []
    names: Counter[str] = Counter()
    place = 0
    syntax = "xml" if xml else "html"
    for tag in TAG.finditer(source):
        parts.append(_escaped(source[place : tag.start()], syntax))
        place, name = tag.end(), tag["name"]
        if tag["end"]:
            if not names[name]:
                continue
            while opened[-1] != name:
                names[opened[-1]] -= 1
                parts.append(f"</{opened.pop()}>")
            names[opened.pop()] -= 1
        elif name and not tag["alone"] and (xml or name.lower() not in _VOID):
            opened.append(name)
            names[name] += 1
        parts.append(tag[0])
    parts.append(_escaped(source[place:], syntax))
    return "".join([*parts, *(f"</{name}>" for name in reversed(opened))])


def _ending(name: str) -> str:
    return "" if name.startswith("\0") else f"</{name}>"


def _close(built: _Builder, name: str, raw: str) -> None:
    """An end closes what was opened within; one that was never begun is left out."""
    if not built.names[name.lower()]:
        return
    while built.opened[-1][2].lower() != name.lower():
        built.end(_ending(built.opened[-1][2]))
    built.end(raw)


def _opaque_ends(tags: Sequence[re.Match[str]]) -> dict[int, int]:
    """Where the elements end whose content is no text, by where they begin; both by their place among the tags."""
    ends: dict[int, int] = {}
    begun: dict[str, list[int]] = {}
    for at, tag in enumerate(tags):
        name = (tag["name"] or "").lower()
        if tag["alone"] or name.rpartition(":")[2] not in _OPAQUE:
            continue
        if not tag["end"]:
            begun.setdefault(name, []).append(at)
        elif begun.get(name):
            ends[begun[name].pop()] = at
    return ends


def _code_pairs(tags: Sequence[re.Match[str]]) -> dict[int, tuple[bool, str]]:
    """The elements that stand for an end of a pair (bpt and ept, bx and ex, sc and ec) which is whole and crosses no
    other tag: by place, whether it begins, and the pair's name."""
    found: dict[int, tuple[bool, str]] = {}
    stack: list[tuple[str, str, int]] = []
    for tag in tags:
        name = (tag["name"] or "").lower().rpartition(":")[2]
        if not name or name in _VOID or (tag["end"] and name in _OPAQUE):
            continue
        known = _ID.search(tag[0])
        number = (known[1] or known[2] or "") if known else ""
        if name in _BEGINS and not tag["end"]:
            stack.append((name, number, tag.start()))
        elif name in _ENDS and not tag["end"]:
            if stack and stack[-1][0] == _ENDS[name] and stack[-1][1] == number:
                begun = stack.pop()
                key = f"\0{begun[2]}"
                found[begun[2]], found[tag.start()] = (True, key), (False, key)
        elif tag["alone"] or name in _OPAQUE:
            continue
        elif tag["end"]:
            while stack and stack.pop()[0] != name:
                pass
        else:
            stack.append((name, "", tag.start()))
    return found


def _code(built: _Builder, pairs: Mapping[int, tuple[bool, str]], place: int, raw: str) -> None:
    begins, key = pairs.get(place, (None, ""))
    if begins:
        built.begin(key, raw)
    elif begins is False and built.opened and built.opened[-1][2] == key:
        built.end(raw)
    else:
        built.point(raw)


# --- Markdown

_MARKDOWN = re.compile(
    # A run of backticks is taken whole, and its end is looked for nearby: no text takes time that grows as its square.
    r"(?<!`)(?P<code>`++)(?P<inner>.{1,9999}?)(?<!`)(?P=code)(?!`)"
    r"|(?P<auto><(?:https?:|mailto:)[^\s<>]*>)"
    r"|(?<!\\)(?P<image>!)?(?<!\\)\[(?P<text>(?:[^\[\]\\]|\\.|\[[^\[\]]*\])*)\](?P<to>\((?:[^()\s]|\([^()\s]*\))*(?:\s+(?:\"[^\"]*\"|'[^']*'))?\)|\[[^\[\]]*\])"
    r"|(?P<mark>\*{1,3}|_{1,3}|~~)",
    re.DOTALL,
)


_MARK = re.compile(r"(?<![\s\\])(?:\*{1,3}|_{1,3}|~~)")


def _parse_markdown(source: str, target: str) -> Marked:
    built, budget = _Builder(), _Budget(target)
    _markdown(built, source, budget)
    return built.finished()


def _markdown(built: _Builder, source: str, budget: _Budget) -> None:
    place = 0
    outer, last, around = len(built.opened), _last_closings(source), built.names.copy()
    for match in _MARKDOWN.finditer(source):
        if match.start() < place or source[max(0, match.start() - 1) : match.start()] == "\\":
            continue
        before, after = source[match.start() - 1 : match.start()], source[match.end() : match.end() + 1]
        mark = match["mark"]
        if mark:
            opens = bool(after) and not after.isspace() and not (mark[0] == "_" and before.isalnum())
            closes = bool(before) and not before.isspace() and not (mark[0] == "_" and after.isalnum())
            if closes and built.names[mark] > around[mark]:
                _add_text(built, source[place : match.start()], budget)
                while built.opened[-1][2] != mark:
                    _unmark(built)
                built.end(mark)
            elif opens and last.get(mark, -1) >= match.end():
                _add_text(built, source[place : match.start()], budget)
                built.begin(mark, mark)
            else:
                continue
        else:
            _add_text(built, source[place : match.start()], budget)
            if match["code"]:
                built.begin("`", match["code"])
                built.add(match["inner"])
                built.end(match["code"])
            elif match["auto"]:
                built.point(match["auto"])
            else:
                built.begin("[", f"{match['image'] or ''}[")
                _markdown(built, match["text"], budget)
                built.end(f"]{match['to']}")
        place = match.end()
    _add_text(built, source[place:], budget)
    while len(built.opened) > outer:
        _unmark(built)


def _unmark(built: _Builder) -> None:
    """A sign that was not closed after all is closed where its surroundings end."""
    built.end(built.opened[-1][3])


def _last_closings(source: str) -> dict[str, int]:
    """Where the last sign of each kind stands that may close: what comes behind it opens nothing."""
    last: dict[str, int] = {}
    for match in _MARK.finditer(source):
        last[match[0]] = match.start()
    return last


# --- placeholders


class _Budget:
    """How often each placeholder stands in the target already: so many of the source's are text there."""

    def __init__(self, target: str) -> None:
        self._left: dict[str, int] = {}
        for start, end in placeholders(target):
            key = _argument(target[start:end])
            self._left[key] = self._left.get(key, 0) + 1

    def there(self, raw: str) -> bool:
        key = _argument(raw)
        left = self._left.get(key, 0)
        self._left[key] = left - 1
        return left > 0


def _argument(raw: str) -> str:
    """What tells a placeholder: its letters; of an ICU choice, whose texts are translated, its name and kind."""
    return "".join(raw.split(",")[:2]).replace(" ", "") if "{" in raw[2:] and "," in raw else raw


_ARGUMENT = re.compile(r"\{\s*[\w.$#-]{1,100}\s*[},:|]")


def placeholders(text: str) -> list[tuple[int, int]]:
    """The stretches that a program replaces: `%s` and its kin, and whatever braces hold, ICU's nested ones too."""
    ends = _braces(text)
    found, place = [], 0
    for match in _PLACEHOLDER.finditer(text):
        start, end = match.span()
        if start < place:
            continue
        if match["brace"]:
            if start not in ends or not _ARGUMENT.match(text, start):
                continue
            end = ends[start]
        found.append((start, end))
        place = end
    return found


def _braces(text: str) -> dict[int, int]:
    """Where each opening brace is closed: behind its partner."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for match in _BRACE.finditer(text):
        if match[0] == "{":
            opened.append(match.start())
        elif opened:
            ends[opened.pop()] = match.end()
    return ends


def _add_text(built: _Builder, raw: str, budget: _Budget, *, unescape: bool = False) -> None:
    place = 0
    for start, end in placeholders(raw):
        built.add(_plain(raw[place:start], unescape))
        if budget.there(raw[start:end]):
            built.add(raw[start:end])
        else:
            built.point(raw[start:end])
        place = end
    built.add(_plain(raw[place:], unescape))


_DIGITS = re.compile("&#[0-9]{100,};?")  # Python refuses numbers of so many


def _plain(raw: str, unescape: bool) -> str:
    return html.unescape(_DIGITS.sub("\ufffd", raw)) if unescape else raw


def _parse_plain(source: str, target: str) -> Marked:
    built = _Builder()
    _add_text(built, source, _Budget(target))
    return built.finished()


SYNTAXES: Mapping[str, Callable[[str, str], Marked]] = {
    "html": _parse_html,
    "xml": lambda source, target: _parse_html(source, target, xml=True),
    "markdown": _parse_markdown,
    "placeholders": _parse_plain,
}


def syntax_of(source: str) -> str:
    """The syntax that a string shows."""
    if any(match["name"] or match[0].startswith("<!--") for match in TAG.finditer(source)):
        return "html"
    last = _last_closings(source)
    for match in _MARKDOWN.finditer(source):
        if not match["mark"] or last.get(match["mark"], -1) >= match.end():
            return "markdown"
    return "placeholders"


def parse_markup(source: str, target: str, syntax: str) -> Marked:
    """The source's plain text and its tags. Of placeholders, those that the target has already are text."""
    return SYNTAXES[syntax](source, target)


def closed_stretches(target: str, syntax: str) -> list[tuple[int, int]]:
    """What no tag may cut in a target text: placeholders, entities, and pairs of UTF-16's halves."""
    closed = placeholders(target)
    if syntax in ("html", "xml"):
        closed += [match.span() for match in _ENTITY.finditer(target)]
    return closed


def write_markup(
    marked: Marked,
    target: str,
    shares: Shares,
    *,
    source: Text,
    words: Text,
    syntax: str,
) -> str:
    """The target text with the source's tags. In HTML and XML its own signs are escaped, entities left as they are."""
    events = place_tags(marked, words, shares, source, closed=closed_stretches(target, syntax))
    return "".join(_written(event, marked, syntax) for event in events)


def _written(event: Event, marked: Marked, syntax: str) -> str:
    if event.kind == "text":
        return _escaped(event.text, syntax) if syntax in ("html", "xml") else event.text
    node = marked.nodes[event.node]
    return str((node.opening if event.kind == "open" else node.closing) or "")


def _escaped(text: str, syntax: str) -> str:
    """Text with its own `<` and `&` escaped, but for those that begin an entity; `>` only where XML forbids it. What
    XML cannot hold is the replacement character there."""
    parts, place = [], 0
    if syntax == "xml":
        text = _NO_XML.sub("\ufffd", text)
    for match in _ENTITY.finditer(text):
        if syntax == "xml":
            known = match[0] in _XML_ENTITIES or (match[0][1] == "#" and _is_xml(match[0][2:-1]))
        else:
            known = match[0][1] == "#" or match[0][1:] in html5
        if known:
            parts += [_bare(text[place : match.start()]), match[0]]
            place = match.end()
    return "".join([*parts, _bare(text[place:])])


def _is_xml(number: str) -> bool:
    """Whether a character reference is to a character that XML has."""
    code = int(number[1:], 16) if number[0] in "xX" else int(number)
    return number[0] != "X" and code <= sys.maxunicode and not _NO_XML.match(chr(code))


def _bare(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;")
