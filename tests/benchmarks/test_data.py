"""`python -m benchmarks.data` against a server on this machine: small stand-ins for every set, laid out as the readers
of the scripts read them; wrong sums, cut downloads, hostile archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import archives
from benchmarks.archives import member, members
from benchmarks.data import TABLE, has_set, main, read_record, read_table
from benchmarks.download import Remote, fetch
from benchmarks.fluent import messages, tagged
from otkit.data.gold import read_gold
from otkit.data.halomi import read_halomi
from otkit.data.parallel import open_corpus
from otkit.data.tasks import read_nli, read_qa
from otkit.errors import InputError
from tests.benchmarks.server import Home, serving

FLUENT = """
## a comment
title = Plain
donate = <a href="{ $url }">Donate</a> now
get = Get <a>{ -brand-name-firefox-browser }</a>
  and <strong>more</strong>
    .label = left out
both = <a>One</a> <b>two</b>
"""


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def tarred(files: dict[str, str | tarfile.TarInfo]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            if isinstance(text, tarfile.TarInfo):
                archive.addfile(text)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def stand_in(name: str, remote: Remote) -> bytes:
    """A small file of the form that the home has."""
    squad = {
        "data": [
            {
                "paragraphs": [
                    {
                        "context": "a b",
                        "qas": [{"id": "1", "question": "q", "answers": [{"text": "a", "answer_start": 0}]}],
                    }
                ]
            }
        ]
    }
    by_set = {
        "xl-wa": "A house .\tEin Haus .\t0-0 1-1 2-2\t\t\n",
        "en-fr": "".join(
            "1-1 2p2\n" if remote.name.endswith("gold") else "a b ||| c d\n" for _ in range(120)
        ),
        "xquad": json.dumps(squad),
        "squad": json.dumps(squad),
        "tatoeba": f"one {remote.name}\ntwo\n",
        "europarl-ner": "Haus\tO\nBerlin\tB-LOC\n\n" * 500,
        "text-berg": "[0]:[0]\n" if remote.name.endswith("defr") else "Satz .\n",
        "parallel": f"{remote.name}\n\tsecond\n",
    }
    archive = {
        "XNLI-1.0.zip": lambda: zipped(
            **{
                "__MACOSX/XNLI-1.0/._xnli.dev.tsv": "x",
                "XNLI-1.0/xnli.dev.tsv": "language\tgold_label\tx\tsentence1\tsentence2\n"
                'de\tneutral\t\tEr "sagt\tSie\nfr\tentailment\t\tIl dit\tElle\n',
            }
        ),
        "multinli_1.0.zip": lambda: zipped(
            **{
                "multinli_1.0/multinli_1.0_train.txt": "gold_label\tsentence1\tsentence2\n"
                "neutral\tone\ttwo\n-\tno\tlabel\ncontradiction\tthree\tfour\n"
            }
        ),
        "halomi_release_v2.zip": lambda: zipped(
            **{
                "halomi_release_v2/data/halomi_core.tsv": "src_lang\ttgt_lang\tsrc_text\tmt_text\t"
                "omit_spans\thall_spans\tclass_hall\tclass_omit\tdata_source\n"
                "deu_Latn\teng_Latn\tHaus\thouse\tHaus\thouse\t1_No_hallucination\t1_No_omission\twiki\n"
            }
        ),
        "www-l10n.tar.gz": lambda: tarred(
            {
                f"www-l10n-72dd/{language}/firefox/new.ftl": FLUENT
                for language in ("en", "de", "fr", "ja", "sw")
            }
        ),
        "flores200_dataset.tar.gz": lambda: tarred(
            {
                f"./flores200_dataset/{part}/{code}.{part}": f"{code} {part}\n"
                for part in ("dev", "devtest")
                for code in ("eng_Latn", *(f"{name}" for name in _flores()))
            }
        ),
    }
    return archive[remote.name]() if remote.name in archive else by_set[name].encode()


def _flores() -> Iterator[str]:
    from benchmarks.layouts import _PARALLEL

    yield from (code for _, code in _PARALLEL.values())


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    files = {}
    for name, entry in read_table().items():
        for remote in entry.files:
            files[remote.at("")] = stand_in(name, remote)
    with serving(files) as found:
        yield found


@pytest.fixture(scope="module")
def laid(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sets of the real table, fetched from the mirror; its published sums are those of the true files."""
    place = tmp_path_factory.mktemp("sets")
    table = place / "table.toml"
    table.write_text(re.sub(r'^(sha256|"xquad.*json") = ".*"\n', "", TABLE.read_text(), flags=re.MULTILINE))
    assert (
        main(["--accept", "--mirror", home.url, "--output", str(place / "data"), "--table", str(table)]) == 0
    )
    return place / "data"


def test_every_set_is_laid_out_as_the_readers_read_it(laid: Path) -> None:
    gold = list(read_gold(laid / "word-alignment" / "xlwa-en-bg.dev.tsv.gz"))
    assert gold[0].sure == {(0, 0), (1, 1), (2, 2)}
    assert len(list((laid / "word-alignment").glob("xlwa-en-*.train.tsv.gz"))) == 10
    assert (
        len(gzip.decompress((laid / "word-alignment" / "en-fr.first100.gold.gz").read_bytes()).splitlines())
        == 100
    )
    assert open_corpus(laid / "tatoeba" / "deu-eng.tsv.gz")[0].target == "one deu-eng.eng"
    pairs = read_nli(laid / "xnli" / "dev-de.tsv.gz")
    assert pairs[0].premise == 'Er "sagt'
    assert len(read_nli(laid / "xnli" / "train-en.tsv.gz")) == 2
    assert read_qa(laid / "xquad" / "xquad.zh.json.gz")[0].answers[0].text == "a"
    assert len(read_qa(laid / "xquad" / "train-en.json.gz")) == 1
    assert len(read_halomi(laid / "halomi" / "halomi.tsv.gz").items) == 1
    assert (
        gzip.decompress((laid / "projection" / "europarl-ner.de.dev.conll.gz").read_bytes()).count(b"\n\n")
        == 399
    )
    assert len(list((laid / "documents").glob("text-berg.*.gz"))) == 12
    packed = (laid / "tags" / "www-l10n.en-ja.dev.jsonl.gz").read_bytes()
    tags = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    assert tags[0]["source"] == "Get Firefox Browser and more"
    assert tags[0]["source_tags"] == [["a", 4, 19], ["strong", 24, 28]]
    corpus = open_corpus(laid / "parallel" / "sw-en.tsv.gz")
    assert [corpus[i].source for i in range(len(corpus))] == [
        "newstest2019-ref.swa.txt",
        "second",
        "swh_Latn dev",
    ]


def test_sums_that_nobody_publishes_are_recorded_at_the_first_fetch_and_said(
    laid: Path, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = read_record(laid)["xl-wa"]["fetched"]["bg.dev.tsv"]
    assert facts["published"] is False
    assert facts["sha256"] == hashlib.sha256(stand_in("xl-wa", Remote("bg.dev.tsv", "", 0))).hexdigest()
    asked = len(home.asked)
    assert main(["xl-wa", "--accept", "--mirror", home.url, "--output", str(laid)]) == 0
    assert "xl-wa: is there" in capsys.readouterr().out
    assert len(home.asked) == asked
    # A file whose recorded sum no longer fits is fetched anew, and refused: the home changed it.
    (laid / "word-alignment" / "xlwa-en-bg.dev.tsv.gz").unlink()
    (laid / "downloads" / "xl-wa" / "bg.dev.tsv").unlink()
    path = next(path for path in home.files if path.endswith("/data/bg/dev.tsv"))
    was, home.files[path] = home.files[path], b"another\tfile\t0-0\n"
    assert main(["xl-wa", "--accept", "--mirror", home.url, "--output", str(laid)]) == 1
    assert "its SHA-256 is" in capsys.readouterr().err
    home.files[path] = was
    assert main(["xl-wa", "--accept", "--mirror", home.url, "--output", str(laid)]) == 0


def test_a_licence_is_shown_and_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xnli", "--output", str(tmp_path / "data")]) == 2
    told = capsys.readouterr().err
    assert "CC BY-NC 4.0" in told
    assert "--accept" in told
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{name}: " in listed for name in read_table())
    assert main(["en-hi", "--accept", "--output", str(tmp_path / "data")]) == 0
    assert "no address of these files is known" in capsys.readouterr().out
    assert main(["xnlj", "--output", str(tmp_path / "data")]) == 2
    assert "did you mean 'xnli'" in capsys.readouterr().err


def test_a_published_sum_that_does_not_fit_keeps_nothing(tmp_path: Path) -> None:
    with serving({"/example.org/file": b"tampered"}) as home:
        remote = Remote("file", "https://example.org/file", 100, hashlib.sha256(b"true").hexdigest())
        with pytest.raises(InputError, match="expected"):
            fetch(remote, tmp_path / "file", expected=remote.sha256, mirror=home.url, pause=0)
    assert not list(tmp_path.glob("file*"))


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
def test_a_cut_download_is_gone_on_with(ranges: bool, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    expected = hashlib.sha256(content).hexdigest()
    remote = Remote("file", "https://example.org/file", len(content), expected)
    with serving({"/example.org/file": content}) as home:
        home.ranges, home.cut = ranges, [1000, 70_000]
        said: list[str] = []
        assert (
            fetch(remote, tmp_path / "file", expected=expected, mirror=home.url, note=said.append, pause=0)
            == expected
        )
        assert len(said) == 2
        assert home.asked[1][1] == "bytes=1000-"
        assert (home.asked[2][1] == "bytes=71000-") is ranges
        # Of an earlier run: the part is whole, but was not yet named.
        (tmp_path / "file").rename(tmp_path / "file.part")
        home.ranges = True
        assert fetch(remote, tmp_path / "file", expected=expected, mirror=home.url, pause=0) == expected
    assert (tmp_path / "file").read_bytes() == content


@pytest.mark.parametrize("length", ["told", "chunked"])
def test_half_a_file_without_a_sum_is_never_taken_for_the_whole(length: str, tmp_path: Path) -> None:
    content = b"0123456789" * 100
    remote = Remote("file", "https://example.org/file", len(content))
    with serving({"/example.org/file": content}) as home:
        home.length, home.cut = length, [500] * 4
        home.ranges = False
        with pytest.raises(InputError, match="cannot be fetched") as failed:
            fetch(remote, tmp_path / "file", expected=None, mirror=home.url, note=str, pause=0)
        # Nothing would tell the next run that its half is of the same file, so it is not promised.
        assert "bytes are kept" not in str(failed.value)
        assert not (tmp_path / "file").exists()
        fetch(remote, tmp_path / "file", expected=None, mirror=home.url, pause=0)
    assert (tmp_path / "file").read_bytes() == content


def test_answers_that_cannot_be_told_from_the_file_are_refused(tmp_path: Path) -> None:
    content = b"0123456789" * 100
    remote = Remote("file", "https://example.org/file", len(content))
    with serving({"/example.org/file": content}) as home:

        def refused(said: str) -> None:
            with pytest.raises(InputError, match=said):
                fetch(remote, tmp_path / "file", expected=None, mirror=home.url, pause=0)
            assert not (tmp_path / "file").exists()

        home.length = "untold"
        refused("does not say how long the file is")
        home.length, home.kind = "told", "text/html; charset=utf-8"
        refused("sends a page")
        # A server that goes on from another byte than was asked would glue two parts.
        home.kind, home.begins, home.cut = "text/plain", 0, [500]
        fetch(remote, tmp_path / "file", expected=None, mirror=home.url, note=str, pause=0)
    assert (tmp_path / "file").read_bytes() == content


def test_a_file_that_cannot_be_laid_out_is_fetched_anew(
    tmp_path: Path, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["mozilla", "--accept", "--mirror", home.url, "--output", str(tmp_path / "data")]
    paths = [path for path in home.files if path.endswith((".zip", ".tar.gz")) and "l10n" in path]
    was = {path: home.files[path] for path in paths}
    assert paths
    home.files.update(dict.fromkeys(paths, b"no archive"))
    assert main(words) == 1
    assert "fetched anew" in capsys.readouterr().err
    home.files.update(was)
    assert main(words) == 0


def test_a_damaged_file_is_moved_aside_and_laid_out_again(
    laid: Path, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also by another user, who has no record of having written it."""
    file = laid / "tatoeba" / "deu-eng.tsv.gz"
    whole = file.read_bytes()
    file.write_bytes(b"mine")
    table = read_table()
    assert not has_set(laid, table["tatoeba"])
    other = laid.parent / "other"  # a folder that this script did not fill
    (other / "word-alignment").mkdir(parents=True, exist_ok=True)
    (other / "word-alignment" / "xlwa-en-bg.dev.tsv.gz").touch()
    assert not has_set(other, table["xl-wa"]), "the training part is not there"
    (other / "word-alignment" / "xlwa-en-bg.train.tsv.gz").touch()
    assert has_set(other, table["xl-wa"])
    assert not has_set(other, table["en-fr"]), "it lies in the same folder"
    assert main(["tatoeba", "--accept", "--mirror", home.url, "--output", str(laid)]) == 0
    assert file.read_bytes() == whole
    assert (laid / "tatoeba" / "deu-eng.tsv.gz.old1").read_bytes() == b"mine"
    assert "deu-eng.tsv.gz.old1 now" in capsys.readouterr().out
    assert has_set(laid, table["tatoeba"])
    (laid / "tatoeba" / "deu-eng.tsv.gz.old1").unlink()


def test_what_stands_in_the_way_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    (tmp_path / "half").mkdir()
    for words, said in (
        (["xnli", "--accept", "--output", str(tmp_path / "mine")], "otkit did not make"),
        (["xnli", "--accept", "--mirror", "example", "--output", str(tmp_path / "a")], "give an address"),
        (["--table", str(tmp_path / "none.toml")], "is no table of sets"),
    ):
        assert main(words) != 0
        told = capsys.readouterr().err
        assert said in told
        assert "overwrite" not in told
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"
    # Who says no has no data: a script that asked for it must not go on.
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert main(["xnli", "--output", str(tmp_path / "b")]) != 0
    assert "not accepted: xnli" in capsys.readouterr().err


def test_what_is_too_large_or_not_there_is_said(tmp_path: Path) -> None:
    with serving({"/example.org/file": b"x" * 101}) as home:
        with pytest.raises(InputError, match="larger than the 100 bytes"):
            fetch(
                Remote("file", "https://example.org/file", 100),
                tmp_path / "a",
                expected=None,
                mirror=home.url,
                pause=0,
            )
        with pytest.raises(InputError, match="404"):
            fetch(
                Remote("file", "https://example.org/none", 100),
                tmp_path / "a",
                expected=None,
                mirror=home.url,
                pause=0,
            )
    assert len(home.asked) == 2
    assert not list(tmp_path.iterdir())


def test_hostile_archives_write_nothing_and_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tarfile.TarInfo("a/data/core.tsv")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hostile = tmp_path / "hostile.tar.gz"
    hostile.write_bytes(tarred({"../../escaped": "x", "/abs/data/core.tsv": "true", "a/data/core.tsv": link}))
    assert member(hostile, "data/core.tsv") == b"true"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.tar.gz"]
    with pytest.raises(InputError, match="0 files"):
        member(hostile, "none.tsv")
    twice = tmp_path / "twice.zip"
    twice.write_bytes(zipped(**{"a/core.tsv": "1", "b/core.tsv": "2"}))
    with pytest.raises(InputError, match="2 files"):
        member(twice, "core.tsv")
    monkeypatch.setattr(archives, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="unpacked"):
        list(members(bomb(tmp_path), lambda parts: True))
    monkeypatch.setattr(archives, "MOST_MEMBERS", 1)
    with pytest.raises(InputError, match="members"):
        list(members(twice, lambda parts: True))
    broken = tmp_path / "broken.zip"
    broken.write_bytes(twice.read_bytes()[:-30])
    with pytest.raises(InputError, match="no archive"):
        list(members(broken, lambda parts: True))


def bomb(folder: Path) -> Path:
    """A zip whose directory says that its member is small."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"0" * 100_000)
    (folder / "bomb.zip").write_bytes(buffer.getvalue())
    return folder / "bomb.zip"


def test_fluent_messages_and_tags() -> None:
    found = dict(messages(FLUENT))
    assert set(found) == {"title", "donate", "get", "both"}
    assert tagged("a {variable}") is None
    assert tagged("<a>no end") is None
    assert tagged("<a><b>x</a></b>") is None
    assert tagged("one <b>two <i>three</i></b>") == ("one two three", [["b", 4, 13], ["i", 8, 13]])
