"""The fast tokenizers, which keep words apart, of the families without subwords: transformers has only slow ones."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

__all__ = ["NEEDS_NO_FILE", "fast_tokenizer"]

NEEDS_NO_FILE = frozenset({"ByT5Tokenizer", "canine"})
"""Kinds of tokenizers and of encoders that have no vocabulary to read."""

_PAD, _CLS, _SEP, _MASK = map(
    chr, (0, 0xE000, 0xE001, 0xE003)
)  # CANINE's: the last three are for private use
_UNKNOWN = "\ufffd"  # what Unicode puts for a character that it does not know
# The planes of Unicode that hold characters, to a page above the last that is assigned, and the tags of its 15th. All
# the others would take ten seconds and a gigabyte.
_ASSIGNED = ((0, 0xD800), (0xE000, 0x34000), (0xE0000, 0xE1000))


def fast_tokenizer(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The same tokenizer in its fast form, where it is one of bytes or of characters; any other as it is."""
    from transformers import ByT5Tokenizer, CanineTokenizer

    if isinstance(tokenizer, ByT5Tokenizer):
        return _bytes(tokenizer.model_max_length)
    if isinstance(tokenizer, CanineTokenizer):
        return _code_points(tokenizer.model_max_length)
    return tokenizer


def _bytes(limit: int) -> PreTrainedTokenizerFast:
    """ByT5's pieces are the bytes of the text."""
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    special = ["<pad>", "</s>", "<unk>"]
    letters: dict[int, str] = bytes_to_unicode()  # type: ignore[no-untyped-call]
    vocab = {token: number for number, token in enumerate(special)}
    vocab |= {letters[byte]: byte + len(special) for byte in range(256)}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    backend.add_special_tokens(special)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=limit,
    )


def _code_points(limit: int) -> PreTrainedTokenizerFast:
    """CANINE's pieces are the code points of the text; one that Unicode has not assigned is U+FFFD here."""
    from transformers import PreTrainedTokenizerFast

    points = chain.from_iterable(range(*plane) for plane in _ASSIGNED)
    backend = Tokenizer(
        models.BPE(vocab={chr(point): point for point in points}, merges=[], unk_token=_UNKNOWN)
    )
    backend.decoder = decoders.Fuse()
    ends = [(token, ord(token)) for token in (_CLS, _SEP)]
    backend.post_processor = processors.TemplateProcessing(single=f"{_CLS} $A {_SEP}", special_tokens=ends)
    backend.add_special_tokens([_PAD, _CLS, _SEP, _MASK])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        pad_token=_PAD,
        cls_token=_CLS,
        sep_token=_SEP,
        mask_token=_MASK,
        unk_token=_UNKNOWN,
        model_max_length=limit,
    )
