"""Conversations by number, and samples of them by position.

A sample of a shard is LLaVA's record (`conversations` in the json, with a picture or without), or one of our documents:
each of its clips becomes a picture, a question and its text. Costs as `stream.loader`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cosmos_train.stream.batch import Sample
from cosmos_train.stream.corpus import BadDocument, Corpus
from cosmos_train.stream.decode import decode
from cosmos_train.stream.formats import IMAGES, Clip, Document, decoded, read
from cosmos_train.stream.index import Lengths
from cosmos_train.stream.loader import Place, Samples
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.talk.prompts import IMAGE, Turn, tokenize_turns
from cosmos_train.stream.tar import Members
from cosmos_train.stream.tokenizer import Tokenizer
from interlink.shards.tar import Notes
from interlink.values import text_of

# Questions for our documents. As in LLaVA's first stage, several wordings of the same request.
QUESTIONS = (
    "Describe the picture.", "What does the picture show?", "What is happening here?", "Say what can be seen.",
    "What is done in this picture?", "Give a short description of the picture.",
)  # fmt: skip
_MEAN = (122, 116, 104)  # CLIP's mean colour
_WORD = "< image >"  # replaces IMAGE used as a word
_ASKED = {"human", "user"}
_ANSWERED = {"gpt", "assistant"}


@dataclass(frozen=True)
class Talk(Clip):
    """A picture (at most one of `images`) and turns about it; without turns, a question is drawn for `text`."""

    turns: tuple[Turn, ...] = ()


def turns_of(conversation: Any, pictured: bool) -> tuple[Turn, ...]:
    """Parses LLaVA's list of `from` and `value`. Raises ValueError if questions and answers do not alternate."""
    if not isinstance(conversation, list) or not conversation:
        raise ValueError(f"its conversations are no list of turns, but {type(conversation).__name__}")
    if not all(isinstance(one, dict) and {"from", "value"} <= one.keys() for one in conversation):
        raise ValueError("its conversations lack `from` or `value`")
    roles = [text_of(one["from"]) for one in conversation]
    if roles[0] not in _ASKED:  # as LLaVA: leave out turns before the first question
        conversation, roles = conversation[1:], roles[1:]
    said = [text_of(one["value"]) for one in conversation]
    found = []
    for number in range(0, len(said) - 1, 2):
        if roles[number] not in _ASKED or roles[number + 1] not in _ANSWERED:
            raise ValueError("its turns do not go from question to answer and back")
        if not said[number + 1]:
            raise ValueError("an answer is empty")
        found.append(Turn(said[number], said[number + 1]))
    if not found:
        raise ValueError("its conversations hold no answer")
    # LLaVA's marker begins or ends a question. Elsewhere, in a conversation without a picture, it is a word (e.g.
    # HTML).
    named = [IMAGE in turn.asked if pictured else _shows(turn.asked) for turn in found]
    if sum(named) > pictured:
        mentions = sum(turn.asked.count(IMAGE) for turn in found)
        raise ValueError(f"its turns name {mentions} pictures, {'one may be shown' if pictured else '0 is there'}")
    if not pictured:
        return tuple(Turn(turn.asked.replace(IMAGE, _WORD).strip(), turn.answered) for turn in found)
    # LLaVA puts the picture first in the question that names it; if none does, it is shown with the first question.
    shown = named.index(True) if any(named) else 0
    asked = [turn.asked.replace(IMAGE, "").strip() for turn in found]
    asked[shown] = f"{IMAGE}\n{asked[shown]}".strip()
    return tuple(Turn(text, turn.answered) for text, turn in zip(asked, found, strict=True))


def _shows(asked: str) -> bool:
    return asked.strip().startswith(IMAGE) or asked.strip().endswith(IMAGE)


class TalkCorpus(Corpus):
    def __init__(self, data: DataSettings, setting: str) -> None:
        self._talk, self._longest = data.talk, data.max_tokens
        super().__init__(data.shards, data.text, 1, setting=setting)

    def document(self, number: int, members: Members | Exception | None = None) -> Document:
        if members is None:
            members = self.reader.read_many([number])[0]
        if isinstance(members, Exception):
            raise BadDocument(self.key(number), str(members) or type(members).__name__) from members
        try:
            about = json.loads(decoded(members, "json")) if "json" in members else {}
            if isinstance(about, dict) and "conversations" in about:
                return Document((_llava(about, members),))
            found = read(members, self.text, 0.0, 0.0).fixed
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise BadDocument(self.key(number), f"is no conversation ({type(error).__name__}: {error})") from error
        talks = tuple(Talk(one.text, one.times, one.images) for one in found if one.images and one.text)
        if not talks:
            raise BadDocument(self.key(number), "holds neither conversations nor pictures with texts")
        return Document(talks)

    def _clip_count(self, document: int, notes: dict[str, Notes]) -> int:
        return 1

    def count(self, clips: Sequence[Clip], tokenizer: Tokenizer) -> list[tuple[int, int]]:
        """(tokens, pictures) of each conversation."""
        found = []
        for clip in clips:
            assert isinstance(clip, Talk)
            turns = clip.turns or (Turn(f"{IMAGE}\n{QUESTIONS[0]}", clip.text),)
            try:
                found.append(
                    (len(tokenize_turns(turns, tokenizer, self._talk, self._longest).ids), len(clip.images[:1]))
                )
            except ValueError:
                found.append((1, 0))
        return found


def _llava(about: dict[str, Any], members: Members) -> Talk:
    picture = next((bytes(members[suffix]) for suffix in IMAGES if suffix in members), b"")
    if about.get("image") and not picture:
        raise ValueError(f"its picture {about['image']} is not in the shard")
    turns = turns_of(about["conversations"], bool(picture))
    text = " ".join(part for turn in turns for part in (turn.asked.replace(IMAGE, ""), turn.answered))
    return Talk(text, (0.0,) if picture else (), (picture,) if picture else (), turns=turns)


class TalkSamples(Samples):
    """`texts` of a sample: questions and answers in turn; `frames`: one of (1, 3, S, S), or of (0, 3, S, S)."""

    _lengths: Lengths | None = None
    _window: tuple[int, NDArray[np.int64]] | None = None
    _rows = 0
    _accumulation = 1

    def group(self, lengths: Lengths, rows: int, accumulation: int) -> None:
        """From now on, each batch of `rows` has similar samples, or each step of `accumulation` batches."""
        self._lengths, self._rows, self._accumulation = lengths, rows, accumulation

    def place(self, position: int) -> Place:
        if self._lengths is None:
            return super().place(position)
        by_step = self.data.talk.group_by == "modality"
        together = self._rows * (self._accumulation if by_step else 1)  # samples that are shuffled as one
        size = -(-self._rows * self.data.talk.group_batches // together) * together
        number, inside = divmod(position, size)
        if self._window is None or self._window[0] != number:
            self._window = (number, self._grouped(number, size, together, by_step))
        return super().place(int(self._window[1][inside]))

    def _grouped(self, number: int, size: int, together: int, by_step: bool) -> NDArray[np.int64]:
        """The positions of a window, cut into groups of similar samples that are shuffled: sorted by modality and
        length; or of one modality and any length, with halves, quarters, … of equal total length."""
        assert self._lengths is not None
        positions = np.arange(number * size, (number + 1) * size)
        places = [super(TalkSamples, self).place(int(position)) for position in positions]
        at = np.array([int(self._lengths.first[one.document]) + one.window for one in places])
        tokens, pictured = self._lengths.tokens[at].astype(np.int64), self._lengths.frames[at]
        keys = (positions, pictured) if by_step else (positions, -tokens, pictured)
        batches = np.lexsort(keys).reshape(-1, together)
        if by_step:
            batches = np.stack([evened(batch, tokens) for batch in batches])
        batches = positions[batches]
        shuffled: NDArray[np.int64] = batches[np.random.default_rng((self.seed, number, 3)).permutation(len(batches))]
        return shuffled.reshape(-1)

    def _sample(self, place: Place, members: Members | Exception | None, most: int | None) -> Sample:
        document = self._document(place.document, members)
        random = np.random.default_rng((self.seed, place.epoch, place.document, place.window))
        there = len(document.fixed)
        whole = self.corpus.units_of(place.document) == 1
        talk = document.fixed[int(random.integers(there)) if whole else min(place.window, there - 1)]
        assert isinstance(talk, Talk)
        size, key = self.data.image.size, self.corpus.key(place.document)
        pixels = np.zeros((0, 3, size, size), np.uint8)
        if talk.images:
            try:
                frame = decode(talk.images[int(random.integers(len(talk.images)))], self.data.image)
            except ValueError as error:
                raise BadDocument(key, f"its picture {error}") from error
            pixels = squared(frame, size, self.data.talk.pad)[None]
        turns = talk.turns or (Turn(f"{IMAGE}\n{QUESTIONS[int(random.integers(len(QUESTIONS)))]}", talk.text),)
        return Sample(key, tuple(part for one in turns for part in (one.asked, one.answered)), (pixels,), ((),))


def evened(batch: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """The batch in an order whose halves, and halves of halves, have about equal total lengths.

    The longest go to the shorter half first, as in LLaVA. By halves, so that the order holds for any number of
    processes.
    """
    if len(batch) < 2:
        return batch
    room = [-(-len(batch) // 2), len(batch) // 2]
    halves: list[list[int]] = [[], []]
    totals = [0, 0]
    for one in batch[np.argsort(-tokens[batch], kind="stable")].tolist():
        half = min((0, 1), key=lambda side: (len(halves[side]) == room[side], totals[side]))
        halves[half].append(one)
        totals[half] += int(tokens[one])
    return np.concatenate([evened(np.asarray(half, np.int64), tokens) for half in halves])


def squared(frame: NDArray[np.uint8], size: int, pad: bool) -> NDArray[np.uint8]:
    """A picture (H, W, 3) as (3, size, size): with borders of the mean colour, or its middle square."""
    picture = Image.fromarray(frame)
    width, height = picture.size
    side = max(width, height) if pad else min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    if pad and width != height:
        whole = Image.new("RGB", (side, side), _MEAN)
        whole.paste(picture, ((side - width) // 2, (side - height) // 2))
        picture, left, top = whole, 0, 0
    resized = picture.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return np.asarray(resized, np.uint8).transpose(2, 0, 1)
