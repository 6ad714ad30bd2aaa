"""Small pairs whose pictures are known, and random ones in many scripts."""

from __future__ import annotations

import numpy as np

from otkit.reports.html import Page, PagePair, Variant
from otkit.reports.view import GoldLinks, GridView

_TEXTS = {
    "de": "Die Bundesregierung hat gestern nach langen Verhandlungen mit den Ländern beschlossen , dass "
    "Donaudampfschifffahrtsgesellschaften mehr zahlen .",
    "zh": "政府 昨天 在 北京 与 各 省 进行 了 长时间 的 谈判 之后 决定 增加 公共交通 资金 。",
    "ar": "قررت الحكومة أمس في برلين بعد مُفَاوَضَاتٍ طويلة مع الولايات زيادة الأموال المخصصة للنقل .",
    "hi": "सरकार ने कल लंबी बातचीत के बाद सार्वजनिक परिवहन के लिए धन बढ़ाने का निर्णय लिया ।",
}
SENTENCES = {language: text.split() for language, text in _TEXTS.items()}


def small_view(**changes: object) -> GridView:
    """Das ist ein Haus . / This is a house: one split word, one word without a partner."""
    shares = np.array(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 0.8, 0.1, 0.0],
            [0.0, 0.3, 0.6, 0.0],
            [0.0, 0.0, 0.0, 0.9],
            [0.0, 0.0, 0.04, 0.0],
        ]
    )
    settings: dict[str, object] = {
        "source": ("Das", "ist", "ein", "Haus", "."),
        "target": ("This", "is", "a", "house"),
        "shares": shares,
        "links": ((0, 0), (1, 1), (2, 2), (3, 3)),
        "source_no_partner": np.array([0.0, 0.0, 0.0, 0.0, 0.9]),
        "target_no_partner": np.zeros(4),
        "score": 0.25,
    }
    return GridView(**{**settings, **changes})  # type: ignore[arg-type]


def random_view(
    source: str, target: str, size: tuple[int, int], seed: int, *, gold: bool = False
) -> GridView:
    """Words of two languages repeated to the sizes wanted, with random shares, links and null mass."""
    rng = np.random.default_rng(seed)
    words = [
        tuple(SENTENCES[language][k % len(SENTENCES[language])] for k in range(count))
        for language, count in zip((source, target), size, strict=True)
    ]
    cells = [(int(i), int(j)) for i, j in np.argwhere(rng.random(size) < 0.1)]
    return GridView(
        source=words[0],
        target=words[1],
        shares=rng.random(size) ** 3,
        links=tuple(cells),
        source_no_partner=rng.random(size[0]) ** 2,
        target_no_partner=rng.random(size[1]) ** 2,
        score=float(rng.random()),
        gold=GoldLinks(frozenset([*cells[::2], (0, 0)]), frozenset(cells[::3])) if gold else None,
        caption=f"model {seed}",
    )


def big_page(pairs: int) -> Page:
    """A corpus of that many pairs of 10 to 29 words, two models, four scripts."""
    languages = list(SENTENCES)
    views = [
        tuple(
            random_view(languages[k % 4], languages[k // 4 % 4], (10 + k % 20, 12 + k % 17), k + 9999 * z)
            for z in (0, 1)
        )
        for k in range(pairs)
    ]
    return Page(
        "corpus",
        (Variant("one"), Variant("two")),
        tuple(PagePair(k + 1, pair) for k, pair in enumerate(views)),
    )
