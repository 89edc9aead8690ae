"""The prompt of one example: demonstrations, then the question, as token ids and media in order.

Costs tokenising. The demonstrations of an example depend only on the seed and its id, not on batches, the order of
examples, or interruptions.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from string import Formatter
from typing import Protocol as Interface
from typing import TypeVar

from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import Example
from cosmos_train.evaluate.readers.images import MEME_LABELS
from cosmos_train.evaluate.tasks import Task
from cosmos_train.stream.tokenizer import VISUAL, Tokenizer

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Prompt:
    """tokens: `<s>`, demonstrations, question. media: the examples with the pictures for the `<visual>` tokens.

    labels: token ids of each label, if labels are compared.
    """

    example: Example
    tokens: tuple[int, ...]
    media: tuple[Example, ...]
    labels: tuple[tuple[int, ...], ...] = ()


class Demonstrations(Interface):
    """The source of demonstrations."""

    def choose(self, example: Example, count: int) -> list[Example]: ...


class RandomDemonstrations:
    """Drawn without replacement from a query set that is itself drawn once."""

    def __init__(self, training: Sequence[Example], query_set: int, seed: int) -> None:
        self.query_set = draw(training, query_set, seed)
        self.seed = seed

    def choose(self, example: Example, count: int) -> list[Example]:
        """Never the example itself, in case the two splits share it."""
        others = [one for one in self.query_set if one.id != example.id or one.media != example.media]
        return random_of(self.seed, example.id).sample(others, min(count, len(others)))


def random_of(seed: int, key: str) -> Random:
    """An independent generator for every key: equal on every machine."""
    return Random(int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:8], "big"))


def draw(examples: Sequence[Drawn], count: int, seed: int) -> list[Drawn]:
    """`count` of the examples (0: all), drawn without replacement, in their order."""
    if not count or count >= len(examples):
        return list(examples)
    return [examples[number] for number in sorted(random_of(seed, "draw").sample(range(len(examples)), count))]


class Writer:
    """Writes prompts of one task under one protocol."""

    def __init__(self, task: Task, protocol: Protocol, tokenizer: Tokenizer) -> None:
        self.task = task
        self.protocol = protocol
        self.tokenizer = tokenizer
        self.template: str = getattr(protocol.prompts, task.kind)

    def demonstrations(self, shots: int) -> int:
        """The number of texts before the question: at 0 shots, demonstrations without their picture."""
        if shots:
            return shots
        if self.task.video and self.task.kind == "question":
            return self.protocol.zero_shot_texts_video_qa
        return self.protocol.zero_shot_texts

    def write(self, example: Example, shown: Sequence[Example], shots: int) -> Prompt:
        ids = [self.tokenizer.begin]
        for one in shown:
            ids += self._ids(self._filled(one, self.answer(one)), pictures=shots > 0)
            ids.append(self.tokenizer.end_of_chunk)
        media = (*shown, example) if shots else (example,)
        asked = self._filled(example, None)
        question = self._ids(asked)
        if self.task.kind != "meme":
            return Prompt(example, (*ids, *question), media)
        whole = [self._ids(self._filled(example, label)) for label in MEME_LABELS]
        shared = 0
        while shared < len(question) and all(
            one[shared : shared + 1] == question[shared : shared + 1] for one in whole
        ):
            shared += 1
        labels = tuple(tuple(one[shared:]) for one in whole)
        return Prompt(example, (*ids, *question[:shared]), media, labels)

    def answer(self, example: Example) -> str:
        """The answer that a demonstration shows."""
        if self.task.kind == "caption":
            return example.references[0]
        if self.task.kind == "meme":
            return example.label
        said = [forms[0] for forms in example.answers]
        return said[0] if self.protocol.demonstrated_answer == "first" else Counter(said).most_common(1)[0][0]

    def text(self, reference: str) -> tuple[int, ...]:
        """A text to embed: `<s>`, the filled template, `<|endofchunk|>`, as in training."""
        pieces = _fill(self.template, {"text": reference})
        return (self.tokenizer.begin, *self._ids(pieces), self.tokenizer.end_of_chunk)

    def _filled(self, example: Example, answer: str | None) -> list[tuple[str, bool]]:
        fields = {"question": example.question, "text": example.text}
        if answer is not None:
            return _fill(self.template, {**fields, "answer": answer})
        pieces = _fill(self.template.removesuffix("{answer}"), fields)
        if pieces and not pieces[-1][1]:
            pieces[-1] = (pieces[-1][0].rstrip(), False)  # the space belongs to the first token of the answer
        return pieces

    def _ids(self, pieces: Sequence[tuple[str, bool]], pictures: bool = True) -> list[int]:
        ids: list[int] = []
        for text, special in pieces:
            if special:
                ids += [self.tokenizer.visual] if pictures else []
            elif text:
                ids += self.tokenizer.encode(text)
        return ids


def _fill(template: str, fields: dict[str, str]) -> list[tuple[str, bool]]:
    """(text, False) and (VISUAL, True) in order. "<visual>" in the value of a field is plain text."""
    pieces: list[tuple[str, bool]] = []

    def add(text: str) -> None:
        if pieces and not pieces[-1][1]:
            pieces[-1] = (pieces[-1][0] + text, False)
        else:
            pieces.append((text, False))

    for literal, field, _, _ in Formatter().parse(template):
        for number, part in enumerate(literal.split(VISUAL)):
            if number:
                pieces.append((VISUAL, True))
            add(part)
        if field is not None:
            add(fields[field].strip())
    return pieces
