"""Files with markup of anyone's: entities without end or of other files, markup as deep as it likes, texts that take a
parser long, and bytes changed anywhere. What comes out is well-formed, or there is one error."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree  # type: ignore[import-untyped]

from otkit.errors import InputError, OtkitError
from otkit.projection import tagfiles
from otkit.projection.markup import SYNTAXES, parse_markup
from otkit.projection.tagfiles import html_texts, open_tags
from otkit.projection.transfer import transfer_tags
from tests.hostile.test_inputs import no_longer_than


def _out(path: Path, form: str, target: str = "the house & <b> is %s small {x}") -> str:
    """What a file becomes where no word is linked: every tag goes to the same relative place."""
    file = open_tags(path, form, "skip")
    jobs = [(unit.source, None if unit.bad else unit.target or target, unit.syntax) for unit in file.units]
    found = list(transfer_tags(jobs, None, links=iter([[] for _ in jobs])))
    assert len(found) == len(file.units)
    return file.filled(found)


def _xliff(source: str, declared: str = "") -> str:
    return f"<!DOCTYPE xliff [{declared}]><xliff><trans-unit id='1'>{source}</trans-unit></xliff>"


LAUGHS = '<!ENTITY l0 "lol">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
OUTSIDE = '<!ENTITY x SYSTEM "file:///etc/hostname"><!ENTITY y SYSTEM "http://127.0.0.1:9/y">'
REFUSED = {
    "a billion laughs": _xliff("<source>&l11;</source>", LAUGHS),
    "a billion laughs in an attribute": _xliff("<source id='&l11;'>a</source>", LAUGHS),
    "a billion laughs in a tag": _xliff("<source><g id='&l11;'>a</g></source>", LAUGHS),
    "an entity of itself": _xliff("<source>&a;</source>", '<!ENTITY a "&b;"><!ENTITY b "&a;">'),
    "a large entity often": _xliff(f"<source a='{'&a;' * 10_000}'/>", f'<!ENTITY a "{"x" * 10_000}">'),
    "entities of parameters": _xliff("<source/>", "<!ENTITY % a \"<!ENTITY b '%a;'>\"> %a;"),
    "an entity in a tag": _xliff("<source>a <g id='&x;'>b</g></source>", OUTSIDE),
    "an entity in a placeholder": _xliff("<source>a <ph id='1'>&x;</ph></source>", OUTSIDE),
    "nested 10,000 deep": _xliff("<source>" + "<g id='1'>" * 10_000 + "x" + "</g>" * 10_000 + "</source>"),
    "an attribute twice": _xliff("<source a='1' a='2'>x</source>"),
    "a prefix that nobody declares": _xliff("<z:source>x</z:source>"),
    "no end": _xliff("<source>x"),
    "controls": _xliff("<source>a &#27; b</source>"),
    "nothing": " \n",
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("form", ["xliff", "tmx"])
def test_xml_that_is_a_trap_is_one_error(kind: str, form: str, tmp_path: Path) -> None:
    text = REFUSED[kind]
    if form == "tmx":
        text = text.replace("source", "seg").replace("<trans-unit id='1'>", "<tu><tuv>")
        text = text.replace("</trans-unit>", "</tuv><tuv><seg>x</seg></tuv></tu>")
    (tmp_path / "x").write_text(text)
    with pytest.raises(InputError) as refused:
        _out(tmp_path / "x", form)
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize(
    "source",
    [
        "<source>a &x; b &y;</source>",
        '<source>a <xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:SECRET"/></source>',
        '<source xml:base="file:///"><g id="1" href="file:SECRET">a</g></source>',
    ],
)
def test_what_lies_elsewhere_is_not_fetched(source: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("five years")
    text = _xliff(source, OUTSIDE.replace("///etc/hostname", "SECRET"))
    (tmp_path / "x").write_text(text.replace("SECRET", f"//{tmp_path}/secret"))
    found = _out(tmp_path / "x", "xliff")
    assert source.replace("SECRET", f"//{tmp_path}/secret") in found
    assert "five years" not in found


@pytest.mark.parametrize(
    "number", ["9" * 3000, "-1", "1e999", "\u2028", "&lt;b&gt;", "id='1", "\U0010ffff", ""]
)
def test_absurd_ids_stay_as_they_are(number: str, tmp_path: Path) -> None:
    tags = f'<bpt id="{number}">x</bpt>', f'<ept id="{number}"/>', f'<x id="{number}"/>'
    (tmp_path / "x").write_text(_xliff(f"<source>{tags[0]}das{tags[1]} haus {tags[2]}</source>"))
    found = etree.fromstring(_out(tmp_path / "x", "xliff").encode())
    source, target = found.find(".//source"), found.find(".//target")
    assert sorted(map(etree.tostring, source), key=len)[-1].startswith(b"<bpt")
    names = [[(one.tag, one.get("id")) for one in side] for side in (source, target)]
    assert sorted(names[0]) == sorted(names[1])


def test_a_po_file_is_no_path_to_another(tmp_path: Path) -> None:
    """polib opens a text that is the name of a file."""
    (tmp_path / "secret.po").write_text('msgid "secret"\nmsgstr ""\n')
    (tmp_path / "x.po").write_text(str(tmp_path / "secret.po"))
    with pytest.raises(InputError, match="no PO file"):
        open_tags(tmp_path / "x.po", "po")


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c"])
def test_a_po_file_ends_its_lines_at_line_feeds(sign: str, tmp_path: Path) -> None:
    (tmp_path / "x.po").write_text(f'#: a.c:1\nmsgid "das {sign} <b>haus</b>"\nmsgstr "the house"\n')
    (unit,) = open_tags(tmp_path / "x.po", "po").units
    assert (unit.source, unit.target) == (f"das {sign} <b>haus</b>", "the house")
    assert unit.where.endswith(":1")


MANY = 20_000
LONG = {
    **{f"{text!r} many times": text * MANY for text in ("<ph>", "<b>", "</b>", "<bpt id='1'>", "<!--", "<a ", "<a b=\"")},
    **{f"{text!r} many times ": text * MANY for text in ("a* *b ", "*a ", "[a](", "[\\", "[a]", "[a](b", "[", "&#", "%(")},
    "tags and other ends": "<b>" * MANY + "</i>" * MANY,
    "codes and other ends": "<ph>" + "<b>" * MANY + "</i>" * MANY + "</ph>",
    "marks and other ends": " *a" * MANY + "b_" * MANY,
    "backticks": "".join("`" * n + "a" for n in range(1, 200)),
    "one run of backticks": "`" * MANY,
    "brackets in one": "[" + "[]" * MANY,
    "brackets behind one": "[a](" + "()" * MANY,
    "spaces in a tag": "<a" + " " * MANY,
    "names in a tag": "<a" + " b" * MANY,
    "braces": "{" * MANY,
    "ICU 10,000 deep": "{n, plural, other {" * 10_000 + "}" * 20_000,
    "digits": f"&#{'9' * 5000};&#x{'f' * 5000};&#{'0' * 5000}65;",
}  # fmt: skip


@pytest.mark.parametrize("kind", LONG)
def test_no_text_takes_a_parser_long(kind: str) -> None:
    """Under a tenth of the bytes of the longest line; what grew with the square of them took minutes."""
    text = LONG[kind]
    with no_longer_than(300):
        for syntax in SYNTAXES:
            marked = parse_markup(text, "x", syntax)
            assert all(0 <= node.start <= node.end <= len(marked.text) for node in marked.nodes)
        html_texts(f"<p>{text}</p>")


@pytest.mark.parametrize("form", ["lines", "jsonl", "html", "xliff", "tmx", "po"])
def test_a_file_that_would_fill_the_memory_is_one_error(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tagfiles, "_MOST", 1 << 16)
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        file.write(b'{"source": "a"}\n' * 10_000)
    with pytest.raises(InputError, match="held in memory"):
        open_tags(tmp_path / "x.gz", form)


WHOLE = {
    "xliff": '<?xml version="1.0"?>\n<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" xmlns:q="urn:q"><file>'
    '<trans-unit id="1"><source>Das <g id="1">ist <x id="2"/></g> <q:z a="1"/> klein</source><target>The is</target>'
    '</trans-unit><unit><segment><source>Das <pc id="1"><ph id="2"/> q</pc> <sc id="3"/>x<ec startRef="3"/></source>'
    "</segment></unit></file></xliff>",
    "tmx": '<tmx version="1.4"><header srclang="de"/><body><tu><tuv xml:lang="de"><seg>Das <bpt i="1">&lt;b></bpt>Haus'
    '<ept i="1">x</ept> a</seg></tuv><tuv xml:lang="en"><seg>The house</seg></tuv></tu><tu><tuv/></tu></body></tmx>',
    "po": '#: a.c:1\n#, fuzzy\nmsgctxt "c"\nmsgid "Das <b>Haus</b> %s"\nmsgid_plural "Die <b>%d</b>"\nmsgstr[0] "a"\n'
    'msgstr[1] "b"\n\n#~ msgid "old"\n#~ msgstr "x"\n\nmsgid ""\n"Das {n} <i>Haus</i>"\nmsgstr ""\n',
    "html": '<!doctype html><title>Das Haus</title><script>x<b</script><p class="a">Das <b>Haus</b> <i>ist<br></p>'
    "<!-- c --><div>&amp; klein &#x41;<img src=x></div>",
    "jsonl": '{"source": "Das <b>Haus</b>", "target": "the house", "x": [1]}\n{"source": "**a** {n, plural, one {x}}"}\n',
    "lines": "Das <b>Haus</b>\nDie {x} **y** `z`\n",
}
PIECES = (
    *("<", "&", ">", '"', "'", "{", "}", "</g>", "<g id='1'>", "<source>", "</source>", "&lt;", "&nbsp;", "&a;", "<!--"),
    *("\u2028", "\x85", "\x00", "\x1b", "\\", "<target/>", "]]>", "<![CDATA[", "xml:", "%s", "`", "#~ ", "msgid ", "<?x?>"),
    *("<ph id='1'>&lt;b</ph>", "<trans-unit><source>a<source>b</source></source></trans-unit>", "<seg>n</seg>", "<tu/>"),
    *("<g xmlns:z='urn:z'><z:y/></g>", "<q xmlns=''>n</q>", "<target>x<!--c--></target>", "<mrk mid='9'>a</mrk>"),
)  # fmt: skip


def _mutated(text: str, luck: random.Random) -> Iterator[str]:
    while True:
        found = text
        for _ in range(luck.randint(1, 3)):
            at, other = (luck.randrange(len(found) + 1) for _ in range(2))
            kind = luck.random()
            if kind < 0.3:
                found = found[:at] + found[at + luck.randint(0, 12) :]
            elif kind < 0.8:
                found = found[:at] + luck.choice(PIECES) + found[at:]
            else:
                found = found[:at] + found[other : other + luck.randint(0, 40)] + found[at:]
        yield found


@pytest.mark.parametrize("count", [150, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", WHOLE)
def test_mutated_files_are_well_formed_or_one_error(form: str, count: int, tmp_path: Path) -> None:
    luck, path, good = random.Random(form), tmp_path / "x", 0
    texts = _mutated(WHOLE[form], luck)
    for _ in range(count):
        text = next(texts)
        path.write_text(text, encoding="utf-8", newline="")
        try:
            found = _out(path, form)
        except OtkitError:
            continue
        good += 1
        if form in ("xliff", "tmx"):
            parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
            again = etree.fromstring(found.encode(), parser)
            assert again.tag == etree.fromstring(text.encode(), parser).tag
        elif form in ("lines", "jsonl"):
            assert found.count("\n") == len(text.split("\n")) - text.endswith("\n")
            if form == "jsonl":
                assert all(isinstance(json.loads(line), dict) for line in found.split("\n")[:-1])
        else:
            path.write_text(found, encoding="utf-8", newline="")
            assert open_tags(path, form, "skip").units or not open_tags(path, form, "skip").units
    assert good >= count // 20
