"""The probe of a COSMOS: do held-out pictures find their captions and the right word, and where does it look?

For student and teacher: R@1 both ways among captions, and zero-shot questions (`swaps`): a sentence of the picture's
own caption with one word swapped for each other value of its slot. With pictures to fit on, the same by a linear probe
(ridge regression on the pooled picture). Each with chance, and with another document's picture. For the student's
pooler: where sentences look (`pointing`), by kind of sentence, or by size of box if the shard gives no kinds. Costs
both towers once per scene, and the text tower once per distinct sentence.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.errors import UserError
from cosmos_train.evaluate.clips import Embedded
from cosmos_train.evaluate.functions import Ask
from cosmos_train.evaluate.pointing import Pointed, Region, attention, covered, regions_of, written
from cosmos_train.evaluate.scores import retrieval
from cosmos_train.evaluate.slots import Slots
from cosmos_train.evaluate.swaps import SAMPLE_WORLD, Asked, Table, ask, load_questions
from cosmos_train.families.cosmos.model import Cosmos, Student
from cosmos_train.recipe import Recipe
from cosmos_train.stream.corpus import BadDocument
from cosmos_train.stream.decode import decode
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.talk.corpus import squared
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.captions import Scene
from cosmos_train.stream.views.pictures import Pixels
from cosmos_train.stream.views.samples import SceneCorpus

_AT_ONCE = 64
_LONGEST = 5  # largest number of sentences of a caption
_RIDGE = 1e-3  # ridge penalty, relative to the features' mean square


@dataclass(frozen=True)
class Seen:
    """A scene of the probe. asked: by question; regions: sentences, and the boxes of the things they name."""

    picture: Pixels
    caption: str
    document: str
    asked: dict[str, Asked]
    regions: tuple[Region, ...]


class ViewProbe:
    """Scenes of held-out shards, kept decoded: 3 S² bytes each."""

    def __init__(
        self, data: DataSettings, tokenizer: Tokenizer, table: Table, questions: Path = SAMPLE_WORLD, most: int = 256,
        fit_on: DataSettings | None = None, fit: int = 0,
    ) -> None:  # fmt: skip
        """fit_on, fit: shards, and the number of their pictures to fit linear probes on. UserError without scenes."""
        self.tokenizer = tokenizer
        self.table = table
        self.questions = load_questions(questions, table)
        self.scenes = list(self._read(data, most))
        self.fitted = list(self._read(fit_on, fit)) if fit_on is not None and fit else []
        if len({scene.document for scene in self.scenes}) < 2:
            raise UserError("a probe needs pictures of at least two documents", "give more documents")

    def _read(self, data: DataSettings, most: int) -> list[Seen]:
        corpus = SceneCorpus(data)
        found: list[Seen] = []
        for number in range(corpus.size):
            members = corpus.reader.read_many([number])[0]
            try:
                scenes = corpus.document(number, members).fixed
                boxes = regions_of(json.loads(bytes(members["json"]))) if not isinstance(members, Exception) else []
                for place, scene in enumerate(scenes[: most - len(found)]):
                    assert isinstance(scene, Scene)
                    picture = squared(decode(scene.images[0], data.image), data.image.size, False)
                    asked = {
                        name: one
                        for name, question in self.questions.items()
                        if (one := ask(question, scene.sentences, self.table)) is not None
                    }
                    regions = boxes[place] if len(boxes) == len(scenes) else ()
                    caption = ". ".join(scene.sentences[:_LONGEST])
                    found.append(Seen(picture, caption, corpus.key(number), asked, regions))
            except (BadDocument, ValueError, KeyError, TypeError):
                continue  # the training stream reports bad samples; a probe uses the others
            if len(found) >= most:
                break
        return found

    @torch.no_grad()
    def ask(self, model: Cosmos, candidates: int = 64, draws: int = 10, seed: int = 0) -> dict[str, float]:
        """Flat, as metrics of a training run: `probe/…` of the student, `probe/teacher/…` of the teacher."""
        before = model.training
        model.eval()
        try:
            found = self._half(model, model.student, candidates, draws, seed)
            for name, value in self._half(model, model.teacher, candidates, draws, seed).items():
                if not name.endswith(("_chance", "_shuffled")):
                    found[f"teacher/{name}"] = value
            for size, pointed in self._pointed(model).items():
                found |= {f"{size}_{name}" if size else name: value for name, value in pointed.numbers().items()}
        finally:
            model.train(before)
        return {f"probe/{name}": value for name, value in found.items()}

    def _half(self, model: Cosmos, half: Student, candidates: int, draws: int, seed: int) -> dict[str, float]:
        images = self._images(model, half, self.scenes)
        known = self._images(model, half, self.fitted) if self.fitted else None
        texts = self._texts(half, [scene.caption for scene in self.scenes])
        documents = [scene.document for scene in self.scenes]
        embedded = Embedded(images, texts, [scene.caption for scene in self.scenes], documents)
        found: dict[str, float] = {}
        for name, one in (
            ("image_to_text", embedded), ("text_to_image", replace(embedded, media=texts, text=images)),
        ):  # fmt: skip
            ranked = retrieval(one, candidates, draws, seed)
            found |= {name: ranked.recall, f"{name}_shuffled": ranked.shuffled, f"{name}_chance": ranked.chance}
        others = moved(documents, seed)
        for name in self.questions:
            rows = [number for number, scene in enumerate(self.scenes) if name in scene.asked]
            if rows:
                asked = [self.scenes[row].asked[name] for row in rows]
                found |= self._answered(name, half, asked, images[rows], images[[others[row] for row in rows]])
                fitted_on = [number for number, scene in enumerate(self.fitted) if name in scene.asked]
                if known is not None and fitted_on:
                    own = torch.tensor([self.fitted[row].asked[name].own for row in fitted_on])
                    fitted = linear(known[fitted_on], own, images[rows])
                    truth = torch.tensor([one.own for one in asked])
                    found[f"linear_{name}"] = float((fitted == truth).float().mean())
        return found

    def _answered(
        self, name: str, half: Student, asked: Sequence[Asked], images: Tensor, others: Tensor
    ) -> dict[str, float]:
        texts = self._texts(half, [text for one in asked for text in one.texts])
        choices = torch.unflatten(texts, 0, (len(asked), -1))
        own = torch.tensor([one.own for one in asked])

        def right(pictures: Tensor) -> float:
            scores = torch.einsum("ne,nce->nc", pictures, choices)
            best = scores.gather(1, own[:, None])
            return float(((scores >= best).sum(1) == 1).float().mean())  # ties count against the model

        chance = Counter(own.tolist()).most_common(1)[0][1] / len(asked)
        return {name: right(images), f"{name}_shuffled": right(others), f"{name}_chance": chance}

    def _pointed(self, model: Cosmos) -> dict[str, Pointed]:
        """By kind of sentence; if sentences have no kind, by size of box: "" for boxes of at least a tenth of the
        picture, "small" for others; and for things that no sentence of the picture names: `untold`."""
        found: dict[str, Pointed] = {}
        side = model.student.visual.size // model.student.visual.patch
        for first in range(0, len(self.scenes), _AT_ONCE):
            scenes = self.scenes[first : first + _AT_ONCE]
            asked = [(row, region) for row, scene in enumerate(scenes) for region in scene.regions]
            if not asked:
                continue
            pictures = np.stack([scene.picture for scene in scenes])
            maps = attention(model, self.tokenizer, pictures, [(row, region.text) for row, region in asked])
            for (row, region), looked in zip(asked, maps, strict=True):
                for box in dict.fromkeys(one.box for one in scenes[row].regions):
                    inside = covered(box, side)
                    kind = region.kind or ("" if inside.sum() >= side**2 / 10 else "small")
                    found.setdefault(kind, Pointed()).add(looked, inside, named=box == region.box)
        return found

    def _images(self, model: Cosmos, half: Student, scenes: Sequence[Seen]) -> Tensor:
        """(N, E): unit vectors."""
        found = []
        for first in range(0, len(scenes), _AT_ONCE):
            pixels = torch.from_numpy(np.stack([scene.picture for scene in scenes[first : first + _AT_ONCE]]))
            pooled, _ = half.visual(model.normalised(pixels.to(model.pixel_mean.device)))
            found.append(F.normalize(pooled.float(), dim=-1).cpu())
        return torch.cat(found)

    def _texts(self, half: Student, texts: Sequence[str]) -> Tensor:
        """Unit vectors; encodes each distinct text once."""
        distinct = list(dict.fromkeys(texts))
        found = []
        for first in range(0, len(distinct), _AT_ONCE):
            ids = written(distinct[first : first + _AT_ONCE], self.tokenizer, half.context)
            pooled, _ = half.read(ids.to(half.text_projection.device), half.end)
            found.append(F.normalize(pooled.float(), dim=-1).cpu())
        place = {text: number for number, text in enumerate(distinct)}
        return torch.cat(found)[[place[text] for text in texts]]


def make_probe(recipe: Recipe, heldout: DataSettings, tokenizer: Tokenizer, slots: Slots) -> Ask:
    """The probe of a COSMOS in training."""
    settings = recipe.probe
    questions = Path(settings.questions) if settings.questions else SAMPLE_WORLD
    _, learned = recipe.data.named()[0]
    probe = ViewProbe(heldout, tokenizer, slots.table, questions, settings.clips, learned, settings.fit)

    def ask(model: Cosmos, device: torch.device) -> dict[str, float]:
        return probe.ask(model, settings.candidates, settings.draws)

    return ask


def linear(known: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
    """Labels (M,) of features (M, E) by ridge regression of one-hot labels (N,) on features (N, E), standardised."""
    mean, deviation = known.mean(0), known.std(0).clamp(min=1e-6)
    rows, new = (known - mean) / deviation, (asked - mean) / deviation
    wanted = F.one_hot(labels).to(rows.dtype)
    mean_label, ridge = wanted.mean(0), _RIDGE * len(rows)
    if rows.shape[1] > len(rows):  # the same solution in the dual form, which is smaller
        weights = rows.T @ torch.linalg.solve(rows @ rows.T + ridge * torch.eye(len(rows)), wanted - mean_label)
    else:
        weights = torch.linalg.solve(rows.T @ rows + ridge * torch.eye(rows.shape[1]), rows.T @ (wanted - mean_label))
    found: Tensor = (new @ weights + mean_label).argmax(-1)
    return found


def moved(documents: Sequence[str], seed: int) -> list[int]:
    """For each scene one of another document, drawn at random (the same in every call)."""
    random = np.random.default_rng(seed)
    keys = np.array(documents)
    return [int(random.choice(np.flatnonzero(keys != key))) for key in keys]
