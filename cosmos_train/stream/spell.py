"""A sample as tokens, and which of them are learned: the paper's spelling, and its two rules of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_train.stream.tokenizer import END_OF_CHUNK, VISUAL, Tokenizer

IGNORED = -100  # label of tokens that no loss is taken on


@dataclass(frozen=True)
class Words:
    """A sample as tokens: all of them and their labels, those of each clip alone, and where each clip ends."""

    tokens: NDArray[np.int64]
    labels: NDArray[np.int64]
    clips: list[list[int]]
    ends: list[int]


def clip_ids(text: str, tokenizer: Tokenizer, has_frames: bool = True) -> list[int]:
    """`<visual>text<|endofchunk|>`: one clip as the language model sees it; without frames or text, less of it."""
    if "<" in text:  # words that look like markers must not become them: there would be a `<visual>` without frames
        for marker in (VISUAL, END_OF_CHUNK, *tokenizer.names.values()):
            text = text.replace(marker, " ")
    if not has_frames:
        return tokenizer.encode(text)
    return [tokenizer.visual, *tokenizer.encode(text), tokenizer.end_of_chunk] if text else [tokenizer.visual]


def spell(
    texts: Sequence[str], seen: Sequence[bool], page: bool, tokenizer: Tokenizer, longest: int, learn_lead: bool
) -> Words:
    """`<s>`, each clip, `</s>`, cut at `longest` tokens. seen: whether a clip has frames; page: of a web page.

    Learned are words, `<|endofchunk|>` and `</s>`; not `<s>` and `<visual>`. Of a page nothing is learned between an
    `<|endofchunk|>` and the next `<visual>`, so not `</s>` either: what was cut out of it rarely ends there. Nor is,
    unless learn_lead, text before the first `<visual>`.
    """
    clips = [clip_ids(text, tokenizer, there) for text, there in zip(texts, seen, strict=True)]
    ends, end = [], 1
    for ids in clips:
        end += len(ids)
        ends.append(end)
    tokens = np.array([tokenizer.begin, *(i for ids in clips for i in ids), tokenizer.end][:longest], np.int64)
    labels = np.where(tokens == tokenizer.visual, IGNORED, tokens)
    labels[:1] = IGNORED
    for there, begin, end in zip(seen, [1, *ends], ends, strict=False):
        if not there and not learn_lead:
            labels[begin:end] = IGNORED
    if page:
        labels[1 + sum(map(len, clips)) :] = IGNORED
    return Words(tokens, labels, clips, ends)
