"""A sample as tokens and labels: the paper's layout, and its two rules for labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_train.stream.tokenizer import Tokenizer

IGNORED = -100  # label of tokens without a loss


@dataclass(frozen=True)
class TokenizedSample:
    """A sample as tokens (l,) and their labels (l,); the tokens of each clip alone, and the end of each clip."""

    tokens: NDArray[np.int64]
    labels: NDArray[np.int64]
    clips: list[list[int]]
    ends: list[int]


def tokenize_clip(text: str, tokenizer: Tokenizer, has_frames: bool = True) -> list[int]:
    """`<visual>text<|endofchunk|>`: the tokens of one clip, without the parts for missing frames or text."""
    text = tokenizer.without_markers(text)  # else a text could add a `<visual>` without frames
    if not has_frames:
        return tokenizer.encode(text)
    return [tokenizer.visual, *tokenizer.encode(text), tokenizer.end_of_chunk] if text else [tokenizer.visual]


def tokenize_sample(
    texts: Sequence[str], has_frames: Sequence[bool], page: bool, tokenizer: Tokenizer, longest: int, learn_lead: bool
) -> TokenizedSample:
    """`<s>`, each clip, `</s>`, cut at `longest` tokens. has_frames: of each clip; page: whether it is from a web page.

    Words, `<|endofchunk|>` and `</s>` are learned; `<s>` and `<visual>` are not. In a page, nothing is learned between
    an `<|endofchunk|>` and the next `<visual>`, and `</s>` neither, because a cut piece of a page rarely ends there.
    Text before the first `<visual>` is learned only with learn_lead.
    """
    clips = [tokenize_clip(text, tokenizer, there) for text, there in zip(texts, has_frames, strict=True)]
    ends, end = [], 1
    for ids in clips:
        end += len(ids)
        ends.append(end)
    tokens = np.array([tokenizer.begin, *(i for ids in clips for i in ids), tokenizer.end][:longest], np.int64)
    labels = np.where(tokens == tokenizer.visual, IGNORED, tokens)
    labels[:1] = IGNORED
    for there, begin, end in zip(has_frames, [1, *ends], ends, strict=False):
        if not there and not learn_lead:
            labels[begin:end] = IGNORED
    if page:
        labels[1 + sum(map(len, clips)) :] = IGNORED
    return TokenizedSample(tokens, labels, clips, ends)
