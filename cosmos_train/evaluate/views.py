"""Retrieval by a COSMOS's student or teacher on held-out shards: plain pictures against captions, both ways.

Inference is that of a CLIP: the middle square of a picture, the joined sentences of its pool, cosines. Costs one
forward pass of the towers per scene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.evaluate.clips import Embedded
from cosmos_train.evaluate.scores import Retrieval, retrieval
from cosmos_train.families.cosmos.model import Cosmos, Student
from cosmos_train.stream.corpus import BadDocument
from cosmos_train.stream.decode import decode
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.talk.corpus import squared
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import PADDING, tokenize_caption
from cosmos_train.stream.views.captions import Scene
from cosmos_train.stream.views.pictures import Pixels
from cosmos_train.stream.views.samples import SceneCorpus
from cosmos_train.train.parallel import device_of
from cosmos_train.train.starting import load_any

_AT_ONCE = 64
_LONGEST = 5  # largest number of sentences of a caption


@dataclass(frozen=True)
class ViewScores:
    """Scores of one half of a model. scenes: number of scored scenes; bad: number of unreadable documents."""

    checkpoint: str
    step: int
    part: str
    scenes: int
    bad: int
    image_to_text: Retrieval
    text_to_image: Retrieval


def evaluate(
    path: Path, settings: list[str], parts: tuple[str, ...] = ("student", "teacher"), candidates: int = 64,
    draws: int = 10, max_scenes: int = 2048, seed: int = 0,
) -> list[ViewScores]:  # fmt: skip
    """Scores each half of the COSMOS at `path` on the shards in `settings` (`data.shards=…`).

    Raises UserError if it is not a COSMOS, or the shards hold fewer than two distinct captions.
    """
    trained, model = load_any(path)
    if not isinstance(model, Cosmos):
        raise UserError(f"{path} is not a COSMOS", "for a CosMo: cosmos_train evaluate", 2)
    recipe = recipes.build(trained.recipe.model_dump(), settings, str(trained.folder))
    model.to(device_of(recipe))
    _, data = recipe.data.named()[0]
    found = []
    for part in parts:
        half: Student = getattr(model, part)
        embedded, bad = embed(model, half, data, trained.tokenizer, max_scenes)
        ways = (embedded, replace(embedded, media=embedded.text, text=embedded.media))
        both = [retrieval(one, candidates, draws, seed) for one in ways]
        found.append(ViewScores(str(trained.folder), trained.step, part, len(embedded.texts), bad, *both))
    return found


@torch.no_grad()
def embed(model: Cosmos, half: Student, data: DataSettings, tokenizer: Tokenizer, most: int) -> tuple[Embedded, int]:
    """Unit vectors of the first frame of each scene and of its caption; and the number of bad documents."""
    device = model.pixel_mean.device
    pictures, captions, documents, bad = _scenes(data, most)
    images, texts = [], []
    for first in range(0, len(captions), _AT_ONCE):
        pixels = torch.from_numpy(np.stack(pictures[first : first + _AT_ONCE])).to(device)
        tokens = torch.full((len(pixels), half.context), PADDING, dtype=torch.long)
        for row, caption in enumerate(captions[first : first + _AT_ONCE]):
            ids = tokenize_caption(caption, tokenizer, half.context)
            tokens[row, : len(ids)] = torch.tensor(ids)
        images.append(F.normalize(half.visual(model.normalised(pixels))[0], dim=-1).cpu())
        texts.append(F.normalize(half.texts(tokens.to(device)).pooled, dim=-1).cpu())
    if not images:
        raise UserError(
            f"none of {len(bad)} documents holds a readable scene, for example {bad[0]}",
            "fix these samples, or give other shards: --set data.shards=…",
        )
    return Embedded(torch.cat(images), torch.cat(texts), captions, documents), len(bad)


def _scenes(data: DataSettings, most: int) -> tuple[list[Pixels], list[str], list[str], list[str]]:
    """Pictures, captions and documents' keys of the first scenes; and the errors of bad documents."""
    corpus = SceneCorpus(data)
    pictures: list[Pixels] = []
    captions: list[str] = []
    documents: list[str] = []
    bad: list[str] = []
    for number in range(corpus.size):
        try:
            for scene in corpus.document(number).fixed[: most - len(captions)]:
                assert isinstance(scene, Scene)
                frame = decode(scene.images[0], data.image)
                pictures.append(squared(frame, data.image.size, False))
                captions.append(". ".join(scene.sentences[:_LONGEST]))
                documents.append(corpus.key(number))
        except (BadDocument, ValueError) as error:
            reason = error.reason if isinstance(error, BadDocument) else f"its picture {error}"
            bad.append(f"{corpus.key(number)}: {reason} (in {corpus.shard(number)})")
        if len(captions) >= most:
            break
    return pictures, captions, documents, bad
