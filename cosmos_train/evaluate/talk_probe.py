"""The probe of a CuMo: asks for a description of held-out pictures; scores the answers slot by slot.

The picture's own text in the shards gives the truth, as in `probe`. Next to each score: the score of another document's
answer, and chance. With pictures to fit on, ridge regressions also predict each slot from the tower's tokens and from
the connector's output, an upper bound for the language model's input. Costs the tower and the prompt once per picture,
and a token's pass per token (the LM's cache); a probe keeps its pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cosmos_train.errors import UserError
from cosmos_train.evaluate.functions import Ask, Captioned, Probed
from cosmos_train.evaluate.probe import EVERY, SHOWN, jpeg, slot_numbers, slot_score
from cosmos_train.evaluate.slots import Said, Slots
from cosmos_train.evaluate.talker import Talker
from cosmos_train.evaluate.view_probe import linear, moved
from cosmos_train.families.cumo.model import CuMo
from cosmos_train.recipe import Recipe
from cosmos_train.stream.corpus import BadDocument
from cosmos_train.stream.decode import decode
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.talk.corpus import QUESTIONS, Talk, TalkCorpus, squared
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.pictures import Pixels

_AT_ONCE = 64


@dataclass(frozen=True)
class _Picture:
    pixels: Pixels  # (3, S, S)
    text: str
    truth: Said
    document: str


class TalkProbe:
    """Pictures of held-out shards, kept decoded: 3 S² bytes each."""

    def __init__(
        self, data: DataSettings, slots: Slots, most: int = 256, fit_on: DataSettings | None = None, fit: int = 0
    ) -> None:
        """fit_on, fit: shards, and the number of their pictures to fit linear probes on.

        Raises UserError if no picture's text fills every slot.
        """
        self.slots = slots
        self.pictures = list(self._read(data, most))
        self.fitted = list(self._read(fit_on, fit)) if fit_on is not None and fit else []
        if len({one.document for one in self.pictures}) < 2:
            raise UserError(
                f"fewer than two documents have a text with all of {', '.join(slots.names)}",
                "give held-out shards of the sample world, or a fitting table of slots: probe.slots",
            )

    def _read(self, data: DataSettings, most: int) -> Iterator[_Picture]:
        corpus = TalkCorpus(data, "probe.shards")
        found = 0
        for number in range(corpus.size):
            try:
                talks = corpus.document(number).fixed
            except (BadDocument, ValueError):
                continue  # the training stream reports bad samples; a probe uses the others
            for talk in talks:
                assert isinstance(talk, Talk)
                truth = self.slots.read(talk.text)
                if found < most and None not in truth and talk.images:
                    try:
                        frame = decode(talk.images[0], data.image)
                    except (BadDocument, ValueError):
                        continue
                    yield _Picture(squared(frame, data.image.size, data.talk.pad), talk.text, truth, corpus.key(number))
                    found += 1
            if found >= most:
                break

    def ask(self, talker: Talker, max_tokens: int = 40, seed: int = 0) -> dict[str, float]:
        """Flat, as metrics of a training run: probe/object, probe/object_shuffled, probe/object_chance, …"""
        return self.score(talker, self.answers(talker, max_tokens), seed)

    def answers(self, talker: Talker, max_tokens: int = 40) -> list[str]:
        """The model's description of each picture."""
        prompt = talker.tokenize(QUESTIONS[0])
        found: list[str] = []
        with talker.asked():
            for first in range(0, len(self.pictures), _AT_ONCE):
                pixels = [one.pixels for one in self.pictures[first : first + _AT_ONCE]]
                found += talker.answer(pixels, [prompt] * len(pixels), max_tokens)
        return found

    def samples(self, answers: Sequence[str]) -> tuple[Captioned, ...]:
        """The first few pictures with their answers."""
        return tuple(
            Captioned(one.document, one.text, answer, jpeg(one.pixels))
            for one, answer in zip(self.pictures[:SHOWN], answers, strict=False)
        )

    def score(self, talker: Talker, answers: Sequence[str], seed: int = 0) -> dict[str, float]:
        """Scores `answers`; see `ask`."""
        said = [self.slots.read(answer) for answer in answers]
        truth = [one.truth for one in self.pictures]
        blind = [said[other] for other in moved([one.document for one in self.pictures], seed)]
        scores = {
            name: slot_score([one[n] for one in truth], [one[n] for one in said], [one[n] for one in blind])
            for n, name in enumerate(self.slots.names)
        }
        scores[EVERY] = slot_score(truth, said, blind)
        numbers = slot_numbers(scores)
        if self.fitted:
            with talker.asked():
                numbers |= self._linear(talker)
        return {f"probe/{name}": value for name, value in numbers.items()}

    def _linear(self, talker: Talker) -> dict[str, float]:
        """linear_<slot> from the tower's tokens, linear_connected_<slot> from the language model's input."""
        known, asked = self._seen(talker, self.fitted), self._seen(talker, self.pictures)
        found: dict[str, float] = {}
        for n, name in enumerate(self.slots.names):
            values = {value: place for place, value in enumerate(self.slots.table[name])}
            labels, truth = (
                torch.tensor([values[str(one.truth[n])] for one in part]) for part in (self.fitted, self.pictures)
            )
            for kind, features, new in zip(("linear", "linear_connected"), known, asked, strict=True):
                found[f"{kind}_{name}"] = float((linear(features, labels, new) == truth).float().mean())
        return found

    def _seen(self, talker: Talker, pictures: Sequence[_Picture]) -> tuple[Tensor, Tensor]:
        """(N, tokens · D) of the tower, (N, tokens · D') of the connector."""
        tower, connected = [], []
        with torch.no_grad():
            for first in range(0, len(pictures), _AT_ONCE):
                frames = np.stack([one.pixels for one in pictures[first : first + _AT_ONCE]])
                features = talker.model.features(torch.from_numpy(frames).to(talker.device))
                tower.append(features.flatten(1).float().cpu())
                connected.append(talker.model.connector(features).flatten(1).float().cpu())
        return torch.cat(tower), torch.cat(connected)


def make_probe(recipe: Recipe, heldout: DataSettings, tokenizer: Tokenizer, slots: Slots) -> Ask:
    """The probe of a CuMo in training."""
    settings = recipe.probe
    _, learned = recipe.data.named()[0]
    probe = TalkProbe(heldout, slots, settings.clips, learned, settings.fit)

    def ask(model: CuMo, device: torch.device) -> Probed:
        talker = Talker(model, tokenizer, recipe, device)
        answers = probe.answers(talker, settings.max_tokens)
        return Probed(probe.score(talker, answers), probe.samples(answers))

    return ask
