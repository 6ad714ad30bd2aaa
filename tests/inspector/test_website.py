"""The page in the browser alone: its pieces of words, transport and links are Python's, and it asks nobody else."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import otkit
from otkit.alignment.links import decide
from otkit.alignment.partners import rules_of
from otkit.alignment.settings import AlignmentSettings
from otkit.data.gold import read_gold
from otkit.encoders.encoder import EncoderSettings
from otkit.encoders.pooling import Encoded, pool_words, subword_units
from otkit.encoders.tokens import letters_of
from otkit.encoders.torch import TorchEncoder
from otkit.errors import ExportError, OutputError
from otkit.inspector.website import _tokenizer, _wide
from tests.conftest import make_tiny_encoder
from tests.hostile.test_words import NASTY
from tests.inspector.conftest import SOURCE, TARGET
from tests.inspector.test_page import CHROMIUM
from tests.reports.views import SENTENCES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
PARTS = Path(otkit.__file__).parent / "inspector" / "website_assets"
EASY = {"min_cosine": -1.0, "min_agreement": 0.0, "max_retrieval_loss": 100.0}  # for weights drawn by chance


def unigram_encoder() -> TorchEncoder:
    """A tiny encoder that cuts words into unigram pieces, with a prefix and two layers to average."""
    letters = sorted({letter for text in (SOURCE, TARGET, "query:") for letter in text if letter != " "})
    pieces = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")] + [("▁", -3.0)]
    pieces += [(letter, -6.0) for letter in letters] + [
        ("▁the", -2.0),
        ("▁Ge", -4.0),
        ("st", -4.5),
        ("er", -4.0),
    ]
    backend = Tokenizer(models.Unigram(pieces, unk_id=3))
    backend.normalizer = normalizers.Replace(pre_tokenizers_regex(), " ")
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **names)  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=128, pad_token_id=1, initializer_range=0.2,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False).eval()
    return TorchEncoder(model, tokenizer, name="unigram", settings=EncoderSettings((1, 2), prefix="query: "))


def pre_tokenizers_regex() -> Any:
    from tokenizers import Regex

    return Regex(" {2,}")


class Served:
    """A folder behind a server of files, as any host of pages has it."""

    def __init__(self, folder: Path) -> None:
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        yield page
        chromium.close()


@pytest.fixture(scope="module")
def parts(page: Page) -> Iterator[Page]:
    """The page's modules without the page."""
    served = Served(PARTS)
    page.goto(served.url + "LICENSE")
    yield page
    served.server.shutdown()


def test_words_are_cut_as_in_python(parts: Page, sample_encoder: TorchEncoder) -> None:
    words = [word for sentence in SENTENCES.values() for word in sentence]
    words += [
        word
        for pair in read_gold(Path("sample_data/gold/zh-en.dev.tsv"), format="tsv")
        for word in pair.source
    ]
    words += [
        "½",
        "ﬁne",
        "e\u0301cole",
        "Ａｂｃ",
        "x\u00a0y",
        "</s>",
        "\u200b",
        "👩\u200d👩\u200d👧",
        "▁▁a",
        "a▁b",
        "\u0301",
    ]
    words += [
        "한국어",
        "㎏",
        "\u3000",
        "a\u3000\u3000b",
        "ﷺ",
        "zz🜁🜂x",
        "🜁🜂",
        "ŉ",
        "１２３",
        "ก็",
        *(text for text in NASTY.values() if text),
    ]
    cut, letters = parts.evaluate(
        """async ([document, words, wide]) => {
            const { Tokenizer, lettersOf } = await import("/tokenizer.js");
            const tokenizer = new Tokenizer(document);
            return [words.map((word) => tokenizer.pieces(word)), words.map((word) => lettersOf(word, wide))];
        }""",
        [_tokenizer(sample_encoder), words, _wide()],
    )
    assert cut == [list(pieces) for pieces in sample_encoder.subwords.pieces(words)]
    assert letters == [letters_of(word) for word in words]


def test_first_words_are_truecased_as_in_python(parts: Page, sample_encoder: TorchEncoder) -> None:
    known = [
        word
        for pair in read_gold(Path("sample_data/gold/zh-en.dev.tsv"), format="tsv")
        for word in pair.target
    ]
    known += [word for sentence in SENTENCES.values() for word in sentence]
    words = [
        *known,
        *map(str.capitalize, known),
        "Dün",
        "DÜN",
        '"Dün',
        "İki",
        "Ⅻ",
        "ǅep",
        "ΟΔΟΣ",
        "Οδος",
        "ŉ",
        "½",
    ]
    sentences = [(word, "Dün") for word in words] + [("„", word) for word in words]
    sentences += [("他", "Dün"), ("٣", "Dün")]
    lowered = parts.evaluate(
        """async ([document, sentences]) => {
            const { Tokenizer } = await import("/tokenizer.js");
            const tokenizer = new Tokenizer(document);
            return sentences.map((words) => tokenizer.truecase(words));
        }""",
        [_tokenizer(sample_encoder), sentences],
    )
    assert [tuple(words) for words in lowered] == sample_encoder.subwords.truecase(sentences)
    assert len({*map(tuple, lowered)} - {*sentences}) > 5


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"epsilon": 0.02, "tau": 0.5, "unit": "cost"},
        {"distortion": 0.0, "agreement": 0.0, "length_power": 0.0, "attach_factor": 1.0, "center": "none"},
        {"agreement": 0.0, "threshold": 0.2},
        {"rival_factor": 1.0, "threshold": 0.1},
        {"rounds": 0, "strategy": "mutual"},
        {"rounds": 3, "strategy": "union"},
        {"strategy": "forward"},
        {"strategy": "backward"},
    ],
)
def test_the_transport_is_pythons(parts: Page, settings: dict[str, Any]) -> None:
    config = AlignmentSettings(**settings)
    rng = np.random.default_rng(7)
    for n, m in ((1, 1), (1, 5), (7, 3), (24, 31)):
        shared = rng.normal(size=(max(n, m), 16))
        vectors = [shared[:size] + rng.normal(size=(size, 16)) * 0.7 + 1 for size in (n, m)]
        letters = [rng.integers(0, 9, size=size) for size in (n, m)]
        found = parts.evaluate(
            """async ([sides, letters, settings, rules]) => {
                const { trace } = await import("/aligner.js");
                return trace(sides, letters, settings, rules);
            }""",
            [
                [each.tolist() for each in vectors],
                [each.tolist() for each in letters],
                config.used(),
                rules_of(config),
            ],
        )
        decision = decide(
            *(encoded(each) for each in vectors),
            config,
            lengths=tuple(torch.tensor(each)[None] for each in letters),
        )
        assert decision.alone is not None
        expected = {
            "plan": decision.scores[0], "paid": decision.paid.cost[0], "share": decision.share[0],
            "strength": decision.strength[0], "cost": decision.problem.ground_cost[0],
            "source_no_partner": decision.alone[0][0], "target_no_partner": decision.alone[1][0],
        }  # fmt: skip
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values.numpy(), atol=1e-4, err_msg=name)
        assert found["linked"] == decision.linked[0].tolist()
        assert found["mean_cost"] == pytest.approx(float(decision.cost[0]), abs=1e-4)


def encoded(vectors: np.ndarray[Any, Any]) -> Encoded:
    states = torch.tensor(vectors, dtype=torch.float32)[None]
    size = states.shape[1]
    return Encoded(states, torch.ones(1, size, dtype=torch.bool), torch.arange(size)[None])


class Graph:
    """The exported graph in Python, and the links that otkit's aligner finds on its vectors."""

    def __init__(self, folder: Path, encoder: TorchEncoder) -> None:
        self.session, self.encoder = (
            onnxruntime.InferenceSession(str(folder / "assets" / "model.onnx")),
            encoder,
        )

    def decision(self, pair: Sequence[Sequence[str]], *, granularity: str = "word") -> Any:
        tokens = self.encoder.tokenize([tuple(side) for side in pair])
        feed = {"input_ids": tokens.ids.numpy(), "attention_mask": tokens.attention.to(torch.int64).numpy()}
        names = [f"layer_{layer}" for layer in self.encoder.settings.alignment_layers]
        mean = torch.stack([torch.from_numpy(state) for state in self.session.run(names, feed)]).mean(0)
        pieces = granularity == "subword"
        words = subword_units(mean, tokens) if pieces else pool_words(mean, tokens, word_vector="mean")
        sizes = words.mask.sum(1).tolist()
        sides = [
            Encoded(
                words.vectors[k : k + 1, :size],
                words.mask[k : k + 1, :size],
                words.word_ids[k : k + 1, :size],
            )
            for k, size in enumerate(sizes)
        ]
        lengths = tuple(
            torch.tensor([[letters_of(side[word]) for word in units.word_ids[0].tolist()]])
            for side, units in zip(pair, sides, strict=True)
        )
        return decide(*sides, AlignmentSettings(granularity=granularity), lengths=lengths)


def answered(page: Page, path: str, pair: Sequence[Sequence[str]]) -> Any:
    return page.evaluate(
        """async ([path, source, target]) => {
            const { ask } = await import(new URL("assets/ask.js", location.href));
            return ask(path, { source, target });
        }""",
        [path, *(list(side) for side in pair)],
    )


def asked(page: Page, pair: Sequence[Sequence[str]]) -> Any:
    return answered(page, "/align", pair)["alignments"][0]


def opened(page: Page, url: str) -> list[str]:
    """The page, open and drawn; what it asks for and what it complains of."""
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on("console", lambda message: seen.append(f"said: {message.text}"))
    page.goto(url)
    page.wait_for_selector("#picture .word")
    return seen


def test_the_page_aligns_without_a_server(page: Page, tmp_path: Path) -> None:
    encoder = unigram_encoder()
    made = otkit.export(encoder, "web", output=tmp_path / "under" / "page", **EASY)
    assert made.bytes == (made.folder / "assets" / "model.onnx").stat().st_size
    assert "MIT License" in (made.folder / "assets" / "onnxruntime" / "LICENSE").read_text("utf-8")
    served = Served(tmp_path)
    seen = opened(page, f"{served.url}under/page/")
    pair = SOURCE.split(), TARGET.split()
    found, expected = asked(page, pair), Graph(made.folder, encoder).decision(pair)
    np.testing.assert_allclose(found["plan"], expected.scores[0].numpy(), atol=1e-4)
    links = {tuple(link[:2]) for link in found["links"]}
    assert links == set(map(tuple, expected.linked[0].nonzero().tolist()))
    shown = page.evaluate(
        "[...document.querySelectorAll('td.linked')].map(cell => [Number(cell.dataset.i), Number(cell.dataset.j)])"
    )
    assert {(i, j) for i, j in shown} == links
    page.click("button.word[data-side=target][data-index='5']")
    page.wait_for_selector("#why .why")
    page.wait_for_selector("#layers canvas")
    assert page.locator("#layers canvas").count() == 3
    page.wait_for_selector("#space circle")
    subwords(page, pair, Graph(made.folder, encoder).decision(pair, granularity="subword"), encoder)
    page.fill("#source", "ein " * 200)
    page.wait_for_function(
        "() => document.querySelector('#problem').textContent.includes('the encoder takes 128')"
    )
    assert [entry for entry in seen if not entry.startswith(served.url)] == []
    served.server.shutdown()


def subwords(page: Page, pair: Sequence[Sequence[str]], expected: Any, encoder: TorchEncoder) -> None:
    """The pair aligned by its pieces, as Python does it, and drawn under the words."""
    found = answered(page, "/subwords", pair)
    np.testing.assert_allclose(found["share"], expected.unit_share[0].numpy(), atol=1e-4)
    assert found["links"] == expected.unit_linked[0].nonzero().tolist()
    for side, words in zip(("source", "target"), pair, strict=True):
        spelled = encoder.subwords.spelled(words)
        assert found[side] == [piece for pieces in spelled for piece in pieces]
        assert found[f"{side}_words"] == [k for k, pieces in enumerate(spelled) for _ in pieces]
    page.select_option("#shape", "subwords")
    page.wait_for_selector("table.subwords thead .piece")
    assert page.locator("table.subwords td.linked").count() == len(found["links"])
    assert page.locator("table.subwords thead .piece").count() == len(found["target"])
    page.select_option("#shape", "auto")


def test_what_a_page_cannot_do_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="unigram pieces alone, and its tokenizer is WordPiece"):
        otkit.export(make_tiny_encoder(), "web", output=tmp_path / "page", **EASY)
    with pytest.raises(OutputError, match=r"the graph needs 0\.00\d+ MB, and a page may load 0\.001"):
        otkit.export(unigram_encoder(), "web", output=tmp_path / "page", max_graph_mb=0.001, **EASY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_sample_encoder_has_pythons_links_on_gold(page: Page, tmp_path: Path) -> None:
    """The graph for three languages and English is at most 25 MB, and 99 of 100 links are those of Python."""
    texts = [f"sample_data/parallel/{name}-en.train.tsv" for name in ("de", "fr", "zh")]
    made = otkit.export(None, "web", output=tmp_path / "page", trim_vocab=texts)
    assert made.bytes <= 25e6
    served = Served(made.folder)
    opened(page, served.url)
    document = json.loads((made.folder / "assets" / "tokenizer.json").read_text("utf-8"))
    assert len(document["model"]["vocab"]) < 40_000
    graph = Graph(made.folder, trimmed(texts))
    shared = both = 0
    for name in ("de", "fr", "zh"):
        for pair in read_gold(Path(f"sample_data/gold/{name}-en.dev.tsv"), format="tsv"):
            here = {tuple(link[:2]) for link in asked(page, (pair.source, pair.target))["links"]}
            there = set(map(tuple, graph.decision((pair.source, pair.target)).linked[0].nonzero().tolist()))
            shared, both = shared + 2 * len(here & there), both + len(here) + len(there)
    assert shared / both >= 0.99
    served.server.shutdown()


def trimmed(texts: Sequence[str]) -> TorchEncoder:
    from otkit.api.export import _lines
    from otkit.exports.trim import trim_vocabulary

    return trim_vocabulary(otkit.open_encoder(None, device="cpu"), _lines([Path(text) for text in texts]))[0]
