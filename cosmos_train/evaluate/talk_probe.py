"""The probe of a CuMo: held-out pictures, asked for a description; whether the answer is right, slot by slot.

The truth is what the picture's own text in the shards says, as in `probe`. Beside each score the same with another
document's answer, and chance. Costs the tower and the prompt once per picture, and a token's pass per token (the LM's
cache); made once, a probe holds its pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_train.errors import UserError
from cosmos_train.evaluate.probe import EVERY, slot_numbers, slot_score
from cosmos_train.evaluate.slots import Said, Slots
from cosmos_train.evaluate.talker import Talker
from cosmos_train.evaluate.view_probe import moved
from cosmos_train.stream.corpus import BadSample
from cosmos_train.stream.decode import decode
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.talk.corpus import QUESTIONS, Talk, TalkCorpus, squared
from cosmos_train.stream.views.pictures import Pixels

_AT_ONCE = 64


@dataclass(frozen=True)
class _Picture:
    pixels: Pixels  # (3, S, S)
    truth: Said
    document: str


class TalkProbe:
    """Pictures of shards that are not trained on, kept decoded: 3 S² bytes each."""

    def __init__(self, data: DataSettings, slots: Slots, most: int = 256) -> None:
        """Raises UserError where no picture's text fills every slot."""
        self.slots = slots
        self.pictures: list[_Picture] = []
        corpus = TalkCorpus(data, "probe.shards")
        for number in range(corpus.size):
            try:
                for talk in corpus.document(number).fixed:
                    assert isinstance(talk, Talk)
                    truth = slots.read(talk.text)
                    if None not in truth and talk.images:
                        frame = squared(decode(talk.images[0], data.image), data.image.size, data.talk.pad)
                        self.pictures.append(_Picture(frame, truth, corpus.key(number)))
            except (BadSample, ValueError):
                continue  # the stream of training counts and names those; a probe asks of the others
            if len(self.pictures) >= most:
                break
        self.pictures = self.pictures[:most]
        if len({one.document for one in self.pictures}) < 2:
            raise UserError(
                f"of fewer than two documents a text says all of {', '.join(slots.names)}",
                "give held-out shards of the sample world, or a table of slots that fits: probe.slots",
            )

    def ask(self, talker: Talker, max_tokens: int = 40, seed: int = 0) -> dict[str, float]:
        """Flat, as metrics of a training run: probe/object, probe/object_shuffled, probe/object_chance, …"""
        prompt = talker.spell(QUESTIONS[0])
        answers: list[str] = []
        with talker.asked():
            for first in range(0, len(self.pictures), _AT_ONCE):
                pixels = [one.pixels for one in self.pictures[first : first + _AT_ONCE]]
                answers += talker.answer(pixels, [prompt] * len(pixels), max_tokens)
        said = [self.slots.read(answer) for answer in answers]
        truth = [one.truth for one in self.pictures]
        blind = [said[other] for other in moved([one.document for one in self.pictures], seed)]
        scores = {
            name: slot_score([one[n] for one in truth], [one[n] for one in said], [one[n] for one in blind])
            for n, name in enumerate(self.slots.names)
        }
        scores[EVERY] = slot_score(truth, said, blind)
        return {f"probe/{name}": value for name, value in slot_numbers(scores).items()}
