"""The embedded text is what its README promises: counts, tokenisation, links, splits, labels, offsets."""

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[1] / "sample_data"
LARGE = ("de", "fr", "es", "el", "bg")
SMALL = ("ar", "zh", "hi", "ru", "tr")
LANGUAGES = LARGE + SMALL
GOLD = ("de", "fr", "zh")
NLI = ("en", "de", "es", "fr")
QA = ("en", "de", "es")
SPLITS = ("train", "dev")
LABELS = ("entailment", "neutral", "contradiction")
ELIDED = re.compile(r"(?i)^(l|d|j|m|t|s|n|c|qu|jusqu|lorsqu|puisqu)'\w")


def lines(path: Path) -> list[str]:
    """Lines of a file that must end with exactly one newline and use no other line break."""
    text = path.read_bytes().decode("utf-8")
    assert re.search(r"[^\n]\n\Z", text), f"{path.name} must end with one newline"
    assert "\r" not in text, path.name
    return text[:-1].split("\n")


def pairs(language: str, split: str, suffix: str = "") -> list[tuple[str, str]]:
    """Sentence pairs of one parallel file."""
    found = []
    for line in lines(DATA / "parallel" / f"{language}-en.{split}{suffix}.tsv"):
        source, english = line.split("\t")
        found.append((source, english))
    return found


def key(sentence: str) -> str:
    """What two spellings of one sentence share: case, spaces and punctuation do not tell them apart."""
    return "".join(c for c in sentence.casefold() if unicodedata.category(c)[0] in "LMN")


def punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P") and character != "'"


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_as_many_pairs_as_promised(language: str) -> None:
    train, dev = len(pairs(language, "train")), len(pairs(language, "dev"))
    assert train + dev >= (120 if language in LARGE else 60)
    assert dev >= (24 if language in (*LARGE, *GOLD) else 20)


def test_readme_states_the_counts() -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for group, promised in ((LARGE, "100 train + 32 dev each"), (SMALL, "45 train + 26 dev each")):
        counts = {f"{len(pairs(x, 'train'))} train + {len(pairs(x, 'dev'))} dev each" for x in group}
        assert counts == {promised}
        assert promised in readme
    assert {len(lines(DATA / "gold" / f"{x}-en.dev.tsv")) for x in GOLD} == {26}
    assert "26 pairs each" in readme


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_tokenised_lines_are_words_of_the_raw_lines(language: str, split: str) -> None:
    tokenised, raw = pairs(language, split), pairs(language, split, ".raw")
    assert len(tokenised) == len(raw)
    for words, text in zip(tokenised, raw, strict=True):
        for side in (0, 1):
            assert words[side].replace(" ", "") == text[side].replace(" ", "")
            assert text[side].split(" ") == text[side].split(), "stray white space"
    assert any(words[0] != text[0] for words, text in zip(tokenised, raw, strict=True))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_stands_alone(language: str, split: str) -> None:
    for pair in pairs(language, split):
        for code, sentence in zip((language, "en"), pair, strict=True):
            assert unicodedata.normalize("NFC", sentence) == sentence
            words = sentence.split(" ")
            assert words == sentence.split(), f"stray white space: {sentence!r}"
            assert 5 <= len(words) <= 30, f"{len(words)} words: {sentence}"
            for word in words:
                assert len(word) == 1 or not (punctuation(word[0]) or punctuation(word[-1])), sentence
                assert not (code == "fr" and ELIDED.match(word)), sentence
                assert not (code == "en" and len(word) > 2 and word.endswith("'s")), sentence
                assert not (code == "zh" and len(word) > 1 and any(map(punctuation, word))), sentence


def test_no_sentence_is_in_two_splits_or_twice_in_one_file() -> None:
    seen: dict[str, set[str]] = {"train": set(), "dev": set()}
    for split in SPLITS:
        for language in LANGUAGES:
            for suffix in ("", ".raw"):
                found = pairs(language, split, suffix)
                for side in (0, 1):
                    keys = [key(pair[side]) for pair in found]
                    assert len(set(keys)) == len(keys), f"{language} {split} repeats a sentence"
                    seen[split].update(keys)
    for language in GOLD:
        for line in lines(DATA / "gold" / f"{language}-en.dev.tsv"):
            seen["dev"].update(key(sentence) for sentence in line.split("\t")[:2])
    assert not seen["train"] & seen["dev"]


def sure_links(line: str) -> set[tuple[int, int]]:
    """The sure links of a line of gold, after a look at all of its links."""
    source, english, links = line.split("\t")
    n, m = len(source.split(" ")), len(english.split(" "))
    found: dict[tuple[int, int], str] = {}
    for link in links.split(" "):
        match = re.fullmatch(r"(\d+)([-?])(\d+)", link)
        assert match, f"not a link: {link!r}"
        at = int(match[1]), int(match[3])
        assert at not in found, f"{link} twice in {line}"
        assert max(at[0] - n, at[1] - m) < 0, f"{link} out of range in {line}"
        found[at] = match[2]
    sure = {at for at, mark in found.items() if mark == "-"}
    assert len({i for i, _ in sure}) / n > 0.4, "a pair with few sure links was not finished"
    # The last word of every pair is its full stop or question mark, and those belong together.
    assert (n - 1, m - 1) in sure
    assert list(found) == sorted(found)
    return sure


@pytest.mark.parametrize("language", GOLD)
def test_gold_links_belong_to_dev_pairs_and_are_in_range(language: str) -> None:
    dev, gold = pairs(language, "dev"), lines(DATA / "gold" / f"{language}-en.dev.tsv")
    assert len(gold) >= 20
    for pair, line in zip(dev, gold, strict=False):
        assert tuple(line.split("\t")[:2]) == pair
        assert sure_links(line)


def test_the_reordered_pairs_are_forty_and_each_has_links_that_cross() -> None:
    files = sorted((DATA / "reordered").glob("*-en.tsv"))
    found = [line for path in files for line in lines(path)]
    assert len(files) == 6
    assert len(found) == 40
    for line in found:
        assert unicodedata.is_normalized("NFC", line)
        sure = sure_links(line)
        assert any(i < k and j > m for i, j in sure for k, m in sure), line


@pytest.mark.parametrize("language", GOLD)
def test_gold_links_are_not_the_diagonal(language: str) -> None:
    text = "\n".join(lines(DATA / "gold" / f"{language}-en.dev.tsv"))
    links = [(int(i), int(j)) for i, j in re.findall(r"(\d+)-(\d+)", text)]
    assert sum(i != j for i, j in links) > len(links) / 3
    assert "?" in text.replace(" ?\t", "")


def test_inference_items_are_balanced_and_parallel() -> None:
    items = {x: [line.split("\t") for line in lines(DATA / "nli" / f"{x}.tsv")] for x in NLI}
    labels = [item[2] for item in items["en"]]
    assert len(labels) >= 30
    assert Counter(labels) == dict.fromkeys(LABELS, len(labels) // 3)
    shape = [[item[0] for item in items["en"]].index(item[0]) for item in items["en"]]
    for language in NLI:
        found = items[language]
        assert all(len(item) == 3 and all(item) for item in found)
        assert [item[2] for item in found] == labels
        premises = [item[0] for item in found]
        assert [premises.index(premise) for premise in premises] == shape
        assert len({item[1] for item in found}) == len(found)
    assert len({item[1] for found in items.values() for item in found}) == len(NLI) * len(labels)


def test_answers_stand_where_the_offsets_say() -> None:
    ids = {}
    for language in QA:
        content = json.loads((DATA / "qa" / f"{language}.json").read_text(encoding="utf-8"))
        paragraphs = [paragraph for article in content["data"] for paragraph in article["paragraphs"]]
        assert len(paragraphs) == 6
        ids[language] = [[question["id"] for question in paragraph["qas"]] for paragraph in paragraphs]
        for paragraph in paragraphs:
            context = paragraph["context"]
            assert 80 <= len(context.split()) <= 150
            assert unicodedata.normalize("NFC", context) == context
            for question in paragraph["qas"]:
                assert question["question"].endswith("?")
                for answer in question["answers"]:
                    start, text = answer["answer_start"], answer["text"]
                    assert text
                    assert context[start:].startswith(text)
                    around = context[start - 1 : start], context[start + len(text)]
                    assert not any(c.isalnum() for c in around), f"cut inside a word: {text}"
    flat = [identifier for paragraph in ids["en"] for identifier in paragraph]
    assert len(flat) == len(set(flat)) == 20
    assert all(found == ids["en"] for found in ids.values())


def test_text_is_small() -> None:
    files = [path for path in DATA.rglob("*") if path.is_file() and "encoder" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 1_000_000
