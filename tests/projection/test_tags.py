"""Tags: by hand, and with whatever anybody may write: every tag once, and well-formed."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from lxml import etree

from otkit.alignment.shares import shares_of_links
from otkit.api.tags import TagsResult, tag_texts, tags
from otkit.errors import ConfigError, InputError, OutputError
from otkit.projection import transfer
from otkit.projection.markup import (
    SYNTAX_NAMES,
    SYNTAXES,
    TAG,
    parse_markup,
    placeholders,
    syntax_of,
    write_markup,
)
from otkit.projection.places import Text
from otkit.projection.tagfiles import TAG_FORM_NAMES, TAG_FORMS, html_texts
from otkit.projection.tags import Marked, Node, place_tags

NO_SPACES = "abcdefgh"


def carried(source: str, target: str, links: str = "", syntax: str | None = None) -> str:
    """The target with the source's tags, by links between the words of `Text.of`."""
    known = syntax or syntax_of(source)
    marked = parse_markup(source, target, known)
    one, other = Text.of(marked.text), Text.of(target)
    pairs = [tuple(map(int, link.split("-"))) for link in links.split()]
    shares = shares_of_links([(i, j, 1.0) for i, j in pairs], len(one.words), len(other.words))
    return write_markup(marked, target, shares, source=one, words=other, syntax=known)


def test_the_names_are_those_of_the_tables() -> None:
    assert set(SYNTAX_NAMES) == {"auto", *SYNTAXES}
    assert set(TAG_FORM_NAMES) == {"auto", *TAG_FORMS}


@pytest.mark.parametrize(
    ("source", "target", "links", "expected"),
    [
        ("a <b>red</b> car", "une voiture rouge", "0-0 1-2 2-1", "une voiture <b>rouge</b>"),
        ("<b>red</b> <i>car</i>", "voiture rouge", "0-1 1-0", "<i>voiture</i> <b>rouge</b>"),
        ("see <a href='x>y'>it <b>all</b></a>.", "sieh alles.", "0-0 2-1 3-2", "sieh <a href='x>y'><b>alles</b></a>."),
        ("one.<br>two.", "eins. zwei.", "0-0 1-1 2-2 3-3", "eins.<br> zwei."),
        ("it <img src=a> is", "es ist", "0-0 1-1", "es <img src=a> ist"),
        ("<img> it is", "es ist", "0-0 1-1", "<img> es ist"),
        ("it is <a><img></a>", "es ist", "0-0 1-1", "es ist <a><img></a>"),
        ("it is<img>", "es ist", "0-0 1-1", "es ist<img>"),
        ("see {a} and {b} .", "sieh .", "0-0 2-1", "sieh {a} {b} ."),
        ("see (<img>) it", "sieh es", "0-0 3-1", "sieh<img> es"),
        ("<br>it is", "es ist", "0-0 1-1", "<br>es ist"),
        ("see <img> it", "見る それ", "0-0 1-1", "見る<img> それ"),
        ("<b>it </b><img>is", "es ist", "0-0 1-1", "<b>es</b> <img>ist"),
        ("<p>whole thing</p>", "das Ganze", "", "<p>das Ganze</p>"),
        ("a <b></b> b", "x y", "0-0 1-1", "x <b></b> y"),
        ("no tags", "keine <Tags>", "", "keine <Tags>"),
        ("<b>a</b> &amp; b", "a & b &lt; &nbsp; &nope;", "0-0 1-1 2-2", "<b>a</b> &amp; b &lt; &nbsp; &amp;nope;"),
        ("Hi {name}, %s!", "Hallo {name}!", "0-0 1-1 2-2 3-3 5-4", "Hallo {name} %s!"),
        (
            "{n, plural, one {# file} other {# files}} left",
            "{n, plural, one {# Datei} other {# Dateien}} übrig",
            "",
            "{n, plural, one {# Datei} other {# Dateien}} übrig",
        ),
        ("a **red** car", "une voiture rouge", "0-0 1-2 2-1", "une voiture **rouge**"),
        ("a [red *car*](u 't')", "une voiture rouge", "0-0 1-2 2-1", "une [*voiture* rouge](u 't')"),
        ("snake_case and 2 * 3 * 4", "das", "", "das"),
        ("Press <bpt id='1'>&lt;b></bpt>OK<ept id='1'>&lt;/b></ept> now", "Nun OK drücken", "0-2 1-1 2-0",
         "Nun <bpt id='1'>&lt;b></bpt>OK<ept id='1'>&lt;/b></ept> drücken"),
        ("<sc id='1'/>One<ec startRef='1'/> two", "Zwei eins", "0-1 1-0", "Zwei <sc id='1'/>eins<ec startRef='1'/>"),
        ("<b>bold <i>both</b> it</i> end </u>", "fett beides es Ende", "0-0 1-1 2-2 3-3",
         "<b>fett <i>beides</i></b> es Ende"),
    ],
)  # fmt: skip
def test_tags_by_hand(source: str, target: str, links: str, expected: str) -> None:
    assert carried(source, target, links) == expected


def test_words_end_where_a_tag_stands_and_at_the_seams_of_the_translation() -> None:
    marked = parse_markup("Press <kbd>Ctrl</kbd>+<kbd>C</kbd>, a<b>b</b>c", "", "html")
    assert marked.words().bare == ("Press", "Ctrl", "+", "C", ",", "a", "b", "c")
    assert Text.of("Strg+C und/oder 1/2 MZLA、Mozilla GUI:Neu 12:30 a.b，「B", parts=True).bare == (
        "Strg", "+", "C", "und", "/", "oder", "1/2", "MZLA", "、", "Mozilla", "GUI:Neu", "12:30", "a.b", "，", "「", "B",
    )  # fmt: skip


def test_spans_of_the_whole_text_and_neighbours_hold_when_nothing_is_linked() -> None:
    found = carried("<i>a</i><i>b</i> c d", "w x y z")
    assert Counter(TAG.findall(found)) == Counter(TAG.findall("<i>a</i><i>b</i>"))
    assert re.sub("<.*?>", "", found) == "w x y z"


PIECES = [
    "<b>", "</b>", "<i>", "</i>", "<a href='1'>", "</a>", "<br>", "<br/>", "<x id='2'/>", "<!-- c -->", "<b/>", "<", ">",
    "&amp;", "&", "{name}", "{", "}", "{{x}}", "%s", "%1$s", "100%", "word", "zwei", " ", "。", "日本語", "\u202e", "\ud83d\ude00",
    "<bpt id='1'>x</bpt>", "<ept id='1'>y</ept>", "<sc id='4'/>", "<ec startRef='4'/>", "<g id='5'>", "</g>", "(", ")", ".",
    "<ph id='3'>", "</ph>", "*", "**", "_", "`", "[", "](u)", "~~", "<![CDATA[x]]>", "<?pi?>", "\n",
]  # fmt: skip


def hostile(generator: random.Random) -> str:
    return "".join(
        generator.choice(PIECES) + generator.choice(["", " "]) for _ in range(generator.randint(0, 25))
    )


def plain(generator: random.Random) -> str:
    return " ".join(
        generator.choice(["ein", "Haus", ".", "日本語", "&amp;", "<", "&", "{name}", "%s", "(", ")"])
        for _ in range(generator.randint(0, 12))
    )


@pytest.mark.parametrize("seed", range(400))
def test_hostile_markup_comes_out_well_formed_with_every_tag_once(seed: int) -> None:
    pytest.importorskip("icu4py")
    generator = random.Random(seed)
    source, target = hostile(generator), plain(generator)
    for syntax in SYNTAXES:
        marked = parse_markup(source, target, syntax)
        one, other = Text.of(marked.text), Text.of(target)
        shares = np.random.default_rng(seed).random((len(one.words), len(other.words))) ** 4
        found = write_markup(marked, target, shares, source=one, words=other, syntax=syntax)
        written = Counter(str(end) for node in marked.nodes for end in (node.opening, node.closing or ""))
        for end, count in written.items():
            assert not end or found.count(end) >= count, (syntax, end)
        if syntax in ("html", "xml"):
            text = re.sub(r"<(br|hr|img)>", r"<\1/>", found) if syntax == "html" else found
            text = re.sub(r"<!\[CDATA\[.*?\]\]>|&nbsp;", "", text)
            # XML has no comments with two dashes within, and no such character as half a pair.
            etree.fromstring(f"<r>{text}</r>".encode("utf-8", "replace"))


@pytest.mark.parametrize("seed", range(100))
def test_any_forest_of_tags_is_written_in_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    text, target = Text.of("a b c d e f"), Text.of("u v w x y z")
    nodes: list[Node] = []
    for _ in range(generator.integers(0, 12)):
        parent = int(generator.integers(-1, len(nodes))) if nodes else -1
        low, high = (0, 11) if parent < 0 else (nodes[parent].start, nodes[parent].end)
        start, end = sorted(generator.integers(low, high + 1, 2).tolist())
        nodes.append(Node(start, end, parent, len(nodes), len(nodes)))
    events = place_tags(Marked(text.text, tuple(nodes)), target, generator.random((6, 6)) ** 3, text)
    stack: list[int] = []
    seen: list[int] = []
    out = ""
    for event in events:
        if event.kind == "text":
            out += event.text
        elif event.kind == "open":
            assert nodes[event.node].parent == (stack[-1] if stack else -1)
            stack.append(event.node)
            seen.append(event.node)
        else:
            assert stack.pop() == event.node
    assert not stack
    assert sorted(seen) == list(range(len(nodes)))
    assert " ".join(out.split()) == target.text


def test_markup_nested_ten_thousand_deep_and_texts_of_beginnings_alone() -> None:
    deep = "<b>" * 10_000 + "x" + "</b>" * 10_000
    assert carried(deep, "y") == deep.replace("x", "y")
    for piece in ("<!--", "<a ", "{a,", "{", "*a ", "[", "`a", "<![CDATA[", "<?", "%"):
        carried(piece * 5_000, "y", syntax="html")
        carried(piece * 5_000, "y", syntax="markdown")


def test_placeholders_and_their_ends() -> None:
    text = "Hi {name} {0} {{ x }} ${y} %s %1$s %(n)d %@ 100% %USER% {a b} {n, plural, one {{x}} other {#}} {"
    assert [text[slice(*one)] for one in placeholders(text)] == [
        "{name}", "{0}", "{{ x }}", "${y}", "%s", "%1$s", "%(n)d", "%@", "%USER%", "{n, plural, one {{x}} other {#}}",
    ]  # fmt: skip


PAGE = """<!DOCTYPE html>
<html><head><title>Old</title><style>p > a {}</style></head>
<body data-x='1 > 2'><p>An <b CLASS=x>old</b> house.<p>And <i>more</i>
<ul><li>One<li>Two</ul><script>if (a < b) "<p>x</p>"</script><p>1 2 3</p><!-- <p>no</p> --></body></html>
"""


def test_a_page_changes_in_its_texts_alone(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE)
    assert tag_texts(tmp_path / "a.html") == ["Old", "An old house.", "And more", "One", "Two"]
    (tmp_path / "t").write_text("Alt\nEin altes Haus.\n\nEins\nZwei\n")
    (tmp_path / "links").write_text("0-0\n0-0 1-1 2-2 3-3\n\n0-0\n0-0\n")
    result = tags(tmp_path / "a.html", tmp_path / "t", links=tmp_path / "links")
    assert result.text == PAGE.replace("Old", "Alt").replace(
        "An <b CLASS=x>old</b> house", "Ein <b CLASS=x>altes</b> Haus"
    ).replace("One", "Eins").replace("Two", "Zwei")
    assert (result.units, result.filled) == (5, 4)
    (tmp_path / "t").write_text("Alt\n")
    with pytest.raises(InputError, match="t: has 1 line, and the file has 5 texts"):
        tags(tmp_path / "a.html", tmp_path / "t", links=tmp_path / "links")


@pytest.mark.parametrize(
    ("page", "texts"),
    [
        ("", []),
        ("<p>to <b>get <i>it</b></i>.</p>", ["to <b>get <i>it</b></i>."]),
        ("<p>one <b>two</p> three</b> four", ["one", "two", "three", "four"]),
        ("<a href=x>one <div>two</div>three</a> four", ["one", "two", "three", "four"]),
        ("</b> one <i>two</i>", ["one <i>two</i>"]),
        ("<!DOCTYPE html>\none<p>1 2", ["one"]),
    ],
)
def test_no_text_of_an_unsound_page_is_left_out(page: str, texts: list[str]) -> None:
    assert [page[slice(*place)] for place in html_texts(page)] == texts


XLIFF = """<?xml version='1.0' encoding='UTF-8'?>
<!DOCTYPE xliff [<!ENTITY secret SYSTEM "file:///etc/passwd">]>
<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" xmlns:my="urn:x" version="1.2"><file original="f"><body>
<trans-unit id="1"><source>A <g id="1" my:at="&lt;&quot;">red</g> car<x id="2"/></source>
<target>Une voiture rouge</target></trans-unit>
<trans-unit id="2"><source>Done <g id="1">x</g></source><target>Fait <g id="1">x</g></target></trans-unit>
<trans-unit id="3"><source>Empty &secret;</source></trans-unit>
</body></file></xliff>
"""


def test_xliff_keeps_its_attributes_and_reads_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "a.xlf").write_text(XLIFF)
    (tmp_path / "links").write_text("0-0 1-2 2-1\n\n\n")
    text = tags(tmp_path / "a.xlf", links=tmp_path / "links").text or ""
    assert '<target>Une voiture <g id="1" my:at="&lt;&quot;">rouge</g><x id="2"/></target>' in text
    assert '<target>Fait <g id="1">x</g></target>' in text
    assert "root:" not in text
    root = etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False))
    assert len(root.findall(".//{*}target")) == 2
    (tmp_path / "bad.xlf").write_text("<xliff><source></xliff>")
    with pytest.raises(InputError, match="is no well-formed XML"):
        tags(tmp_path / "bad.xlf", links=tmp_path / "links")


def test_xliff_2_and_tmx(tmp_path: Path) -> None:
    (tmp_path / "a.xlf").write_text(
        '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0"><file id="f"><unit id="u"><segment>'
        '<source>A <pc id="1">red</pc> car<ph id="2"/></source><target>Une voiture rouge</target>'
        "</segment></unit></file></xliff>"
    )
    (tmp_path / "links").write_text("0-0 1-2 2-1\n")
    text = tags(tmp_path / "a.xlf", links=tmp_path / "links").text or ""
    assert '<target>Une voiture <pc id="1">rouge</pc><ph id="2"/></target>' in text
    (tmp_path / "a.tmx").write_text(
        '<tmx version="1.4"><header srclang="en"/><body><tu>'
        '<tuv xml:lang="fr"><seg>Une voiture rouge</seg></tuv>'
        '<tuv xml:lang="en"><seg>A <bpt i="1">b</bpt>red<ept i="1">/b</ept> car</seg></tuv></tu></body></tmx>'
    )
    text = tags(tmp_path / "a.tmx", links=tmp_path / "links").text or ""
    assert '<seg>Une voiture <bpt i="1">b</bpt>rouge<ept i="1">/b</ept></seg>' in text


def test_xml_is_read_as_it_is_decoded_whatever_it_declares(tmp_path: Path) -> None:
    """A file that was converted to UTF-8, as advised, may still say what it was."""
    unit = '<trans-unit id="1"><source>Größe <g id="1">für</g> dich</source><target>size for you</target></trans-unit>'
    (tmp_path / "a.xlf").write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<xliff version="1.2" '
        'xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="de" target-language="en" original="x" '
        f'datatype="plaintext"><body>{unit}</body></file></xliff>',
        encoding="utf-8",
    )
    (tmp_path / "links").write_text("0-0 1-1 2-2\n")
    text = tags(tmp_path / "a.xlf", links=tmp_path / "links").text or ""
    assert 'Größe <g id="1">für</g> dich' in text
    assert 'size <g id="1">for</g> you' in text


def test_a_tag_may_hold_another_in_a_value(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p>See <a title="x < y" href="u.html">the page</a> now.</p>')
    (tmp_path / "t").write_text("Siehe die Seite jetzt .\n")
    (tmp_path / "links").write_text("0-0 1-1 2-2 3-3\n")
    text = tags(tmp_path / "a.html", tmp_path / "t", links=tmp_path / "links").text or ""
    assert '<a title="x < y" href="u.html">die Seite</a>' in text


def test_the_plain_texts_are_those_of_the_syntax(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Use **bold** and <b>now</b>\n")
    assert tag_texts(tmp_path / "a.txt", syntax="markdown") == ["Use bold and <b>now</b>"]
    assert tag_texts(tmp_path / "a.txt", syntax="html") == ["Use **bold** and now"]


def test_a_blank_translation_is_none(tmp_path: Path) -> None:
    lines = ['{"source": "<b>a</b>", "target": ""}', '{"source": "<b>b</b>", "target": "  "}']
    (tmp_path / "a.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "links").write_text("\n\n")
    assert tags(tmp_path / "a.jsonl", links=tmp_path / "links").filled == 0


def test_plain_lines_need_a_translation_and_keep_what_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a <b>car</b>\n<i>yes</i>\n")
    with pytest.raises(ConfigError, match="plain lines hold no translation"):
        tags(tmp_path / "a.txt")
    (tmp_path / "t").write_text("une voiture\n\n")
    (tmp_path / "links").write_text("0-0 1-1\n\n")
    text = tags(tmp_path / "a.txt", tmp_path / "t", links=tmp_path / "links").text
    assert text == "une <b>voiture</b>\n<i>yes</i>\n"


def test_po_and_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
        'msgid "A <b>red</b> car"\nmsgstr "Une voiture rouge"\n\n'
        'msgid "%d <b>car</b>"\nmsgid_plural "%d <b>cars</b>"\nmsgstr[0] "%d voiture"\nmsgstr[1] ""\n'
    )
    (tmp_path / "links").write_text("0-0 1-2 2-1\n0-0 1-1\n\n")
    text = tags(tmp_path / "a.po", links=tmp_path / "links").text or ""
    assert 'msgstr "Une voiture <b>rouge</b>"' in text
    assert 'msgstr[0] "%d <b>voiture</b>"' in text
    assert 'msgstr[1] ""' in text
    (tmp_path / "a.jsonl").write_text(
        '{"id": 1, "source": "A <b>red</b> car", "target": "Une voiture rouge"}\n'
    )
    with pytest.raises(InputError, match="more lines of links than the 1 texts"):
        tags(tmp_path / "a.jsonl", links=tmp_path / "links")
    (tmp_path / "links").write_text("0-0 1-2 2-1\n")
    text = tags(tmp_path / "a.jsonl", links=tmp_path / "links").text or ""
    assert text == '{"id": 1, "source": "A <b>red</b> car", "target": "Une voiture <b>rouge</b>"}\n'


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_killed_transfer_goes_on_to_the_same_bytes(
    pieces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.html").write_text("".join(f"<p>a <b>red</b> car {n}</p>\n" for n in range(25)))
    (tmp_path / "t").write_text("".join(f"une voiture rouge {n}\n" for n in range(25)))
    (tmp_path / "links").write_text("0-0 1-2 2-1 3-3\n" * 25)
    monkeypatch.setattr(transfer, "_WINDOW", 10)

    def run(output: str, resume: bool = False, stop: int = 0) -> TagsResult:
        def progress(done: int, total: int) -> None:
            assert total == 25
            if done == stop:
                raise KeyboardInterrupt

        return tags(
            tmp_path / "a.html",
            tmp_path / "t",
            tmp_path / output,
            links=tmp_path / "links",
            resume=resume,
            on_progress=progress,
        )

    run("whole.html")
    with pytest.raises(KeyboardInterrupt):
        run("out.html", stop=10 * pieces)
    assert not (tmp_path / "out.html").exists()
    with pytest.raises(OutputError, match="an interrupted run left a part"):
        run("out.html")
    result = run("out.html", resume=True)
    assert (result.units, result.filled) == (25, 25)
    assert (tmp_path / "out.html").read_bytes() == (tmp_path / "whole.html").read_bytes()
    assert not list(tmp_path.glob("out.html.*"))
    assert run("out.html", resume=True).finished_before
    (tmp_path / "t").write_text("la voiture\n" * 25)
    with pytest.raises(OutputError, match="the finished output differs"):
        run("out.html", resume=True)


def test_lines_that_cannot_be_used_are_named_or_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"source": "A <b>red</b> car", "target": "Une voiture rouge"}\n{"source": 1}\n'
    )
    (tmp_path / "links").write_text("0-0 1-2 2-1\n\n")
    with pytest.raises(InputError, match=r"a\.jsonl:2"):
        tags(tmp_path / "a.jsonl", links=tmp_path / "links")
    result = tags(tmp_path / "a.jsonl", links=tmp_path / "links", on_error="skip")
    assert [str(error.where).rpartition("/")[2] for error in result.bad] == ["a.jsonl:2"]
    first, second = (result.text or "").splitlines()
    assert "<b>rouge</b>" in first
    assert second.startswith('{"skipped": ')
    (tmp_path / "s.txt").write_bytes(b"a <b>red</b> car\n\xff\n")
    (tmp_path / "t.txt").write_bytes(b"une voiture rouge\n\xfe\n")
    with pytest.raises(InputError, match=r"s\.txt:2"):
        tags(tmp_path / "s.txt", tmp_path / "t.txt", links=tmp_path / "links")
    result = tags(tmp_path / "s.txt", tmp_path / "t.txt", links=tmp_path / "links", on_error="skip")
    assert result.text == "une voiture <b>rouge</b>\n\n"
    assert len(result.bad) == 2
    (tmp_path / "bad.xlf").write_text("<xliff>\n<source>\n</xliff>")
    with pytest.raises(InputError, match=r"bad\.xlf:3"):
        tags(tmp_path / "bad.xlf", links=tmp_path / "links")


INLINE = {
    "xliff": ["g", "x/", "bx/", "ex/", "ph", "bpt", "ept", "it", "mrk"],
    "xliff 2": ["pc", "ph/", "sc/", "ec/", "mrk", "sm/", "em/", "cp/"],
    "tmx": ["bpt", "ept", "ph", "it", "hi", "ut"],
}
HEADS = {
    "xliff": ('<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2"><file><body>', "</body></file></xliff>"),
    "xliff 2": ('<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0"><file id="f">', "</file></xliff>"),
    "tmx": ('<tmx version="1.4"><header srclang="en"/><body>', "</body></tmx>"),
}  # fmt: skip
UNITS = {
    "xliff": "<trans-unit id='{n}'><source>{source}</source><target>{target}</target></trans-unit>",
    "xliff 2": "<unit id='{n}'><segment><source>{source}</source><target>{target}</target></segment></unit>",
    "tmx": "<tu><tuv xml:lang='en'><seg>{source}</seg></tuv><tuv xml:lang='de'><seg>{target}</seg></tuv></tu>",
}


def nested(generator: random.Random, kind: str, depth: int = 0) -> str:
    """Well-formed markup of a form, nested anyhow."""
    parts = []
    for _ in range(generator.randint(0, 4 if depth < 3 else 1)):
        name = generator.choice([*INLINE[kind], "word", "word", "&amp;", "{n}", "%s", "日本"])
        at = f'id="{generator.randint(1, 9)}" note="&lt;&quot;&#x41;"'
        if name.endswith("/"):
            parts.append(f"<{name[:-1]} {at}/>")
        elif name in INLINE[kind]:
            opaque = name in ("ph", "bpt", "ept", "it", "ut")
            inner = "&lt;b&gt;" if opaque else nested(generator, kind, depth + 1)
            parts.append(f"<{name} {at}>{inner}</{name}>")
        else:
            parts.append(f"{name} ")
    return "".join(parts)


def elements(element: etree._Element) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    """Those within an element, with their attributes."""
    return Counter(
        (str(each.tag), tuple(sorted(each.attrib.items()))) for each in element.iter() if each is not element
    )


@pytest.mark.parametrize("kind", sorted(INLINE))
@pytest.mark.parametrize("seed", range(12))
def test_files_with_any_inline_elements_keep_each_of_them_once(kind: str, seed: int, tmp_path: Path) -> None:
    pytest.importorskip("icu4py")
    generator = random.Random(seed)
    sources = [nested(generator, kind) or "word" for _ in range(10)]
    targets = [
        plain(generator).replace("&amp;", "&").replace("&", "&amp;").replace("<", "&lt;") or "x"
        for _ in sources
    ]
    units = "".join(
        UNITS[kind].format(n=n, source=source, target=target)
        for n, (source, target) in enumerate(zip(sources, targets, strict=True))
    )
    path = tmp_path / ("a.tmx" if kind == "tmx" else "a.xlf")
    path.write_text(HEADS[kind][0] + units + HEADS[kind][1])
    (tmp_path / "links").write_text("\n" * len(sources))
    root = etree.fromstring((tags(path, links=tmp_path / "links").text or "").encode())
    if kind == "tmx":
        pairs = [unit.findall("tuv/seg") for unit in root.iter("tu")]
    else:
        names = list(root.iter("{*}trans-unit", "{*}segment"))
        pairs = [[each.find("{*}source"), each.find("{*}target")] for each in names]
    assert len(pairs) == len(sources)
    for source, target in pairs:
        assert elements(source) == elements(target)


def test_what_xml_cannot_hold_does_not_break_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.xlf").write_text(
        '<xliff><trans-unit id="1"><source>A <g id="1">red</g> car</source></trans-unit></xliff>'
    )
    (tmp_path / "t").write_text("eine\x0b rote\x01 &#0; &#x1; &#xFFFFFF; &#X41; &#65; \ufffe Kiste\n")
    (tmp_path / "links").write_text("\n")
    text = tags(tmp_path / "a.xlf", tmp_path / "t", links=tmp_path / "links").text or ""
    [target] = etree.fromstring(text.encode()).iter("target")
    assert "".join(target.itertext()) == "eine\ufffd rote\ufffd &#0; &#x1; &#xFFFFFF; &#X41; A \ufffd Kiste"
    assert len(target) == 1


@pytest.mark.parametrize("seed", range(12))
def test_po_strings_with_anything_keep_each_tag_once(seed: int, tmp_path: Path) -> None:
    pytest.importorskip("icu4py")
    pytest.importorskip("polib")
    import polib

    generator = random.Random(seed)
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=UTF-8"}
    for number in range(12):
        source = re.sub(r"[\ud800-\udfff]|\\", "", hostile(generator))
        catalogue.append(polib.POEntry(msgid=f"{number} {source}", msgstr=plain(generator) or "x"))
    catalogue.save(str(tmp_path / "a.po"))
    (tmp_path / "links").write_text("\n" * 12)
    found = polib.pofile(tags(tmp_path / "a.po", links=tmp_path / "links").text or "")
    assert [entry.msgid for entry in found] == [entry.msgid for entry in catalogue]
    for entry, before in zip(found, catalogue, strict=True):
        syntax = syntax_of(before.msgid)
        marked = parse_markup(before.msgid, before.msgstr, syntax)
        for node in marked.nodes:
            for end in (node.opening, node.closing or ""):
                assert not end or str(end) in entry.msgstr
