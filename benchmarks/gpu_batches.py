"""Models with random weights, and batches made of random pixels and words, for `python -m benchmarks gpu`.

No file is read: tokenizers are trained on invented words, weights are drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.gpu_rows import Setup
from cosmos_train import recipe as recipes
from cosmos_train.families.registry import family_of
from cosmos_train.models.pretrained import PlannedVocabulary
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import Sample
from cosmos_train.stream.collate import Placed, collate, collate_packed
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import ViewBatch
from cosmos_train.train.learner import Learner
from cosmos_train.train.parallel import World

WORDS = ("cut", "fold", "stir", "pour", "press", "lift", "turn", "the", "red", "blue", "paper", "dough", "twice", "now")


def tokenizer() -> Tokenizer:
    draw = np.random.default_rng(0)
    return Tokenizer.train((" ".join(draw.choice(WORDS, 12)) for _ in range(200)), 320)


def learner(recipe: Recipe, device: str, world: World | None = None) -> Learner:
    """The recipe's model on the device, with the optimiser and contexts of a run. The weights of a tiny model are drawn
    on the CPU, so that they are the same on every device; those of a large one on its device, which is faster."""
    family = family_of(recipe)
    torch.manual_seed(0)
    views = recipe.data.form == "views"
    words: Any = PlannedVocabulary(recipe.model.language.vocabulary, begin=1, end=2) if views else tokenizer()
    with torch.device("cpu" if recipe.name.startswith("tiny") else device):
        model = family.build(recipe, words, weights=False)
    where = torch.device(device)
    model = model.to(where).train()
    return Learner(recipe, family, model, world or World(0, 1, 1, where))


def load(name: str, setup: Setup, *sets: str) -> Recipe:
    """A bundled recipe without its shards and start."""
    return recipes.load(name, [f"train.device={setup.device}", "train.threads=0", *sets])


def batch_of(recipe: Recipe, rows: int, packed: int = 0) -> Any:
    """A batch of `rows` samples in the recipe's form. packed: tokens of a row that samples share; 0 = not packed."""
    if recipe.data.form == "views":
        return _views(recipe, rows)
    if recipe.data.form == "talk":
        return _talk(recipe, rows)
    return _documents(recipe, rows, packed)


def _views(recipe: Recipe, rows: int) -> ViewBatch:
    views, size = recipe.data.views, recipe.data.image.size
    draw = torch.Generator().manual_seed(0)

    def pixels(count: int, side: int) -> torch.Tensor:
        return torch.randint(0, 256, (count, rows, 3, side, side), dtype=torch.uint8, generator=draw)

    length, texts = recipe.data.max_tokens, views.global_views + views.local_views
    tokens = torch.randint(3, recipe.model.language.vocabulary, (texts, rows, length), generator=draw)
    # Long captions fill the row, short ones a third of it, as those of the recipe's data do.
    ends = torch.where(torch.arange(texts)[:, None] < views.global_views, length - 1, length // 3).expand(texts, rows)
    place = torch.arange(length)
    tokens = tokens.masked_fill(place > ends[..., None], 0).masked_fill(place == ends[..., None], 2)
    tokens[..., 0] = 1
    return ViewBatch(
        images=pixels(views.global_views, size),
        crops=pixels(views.local_views, views.local_size),
        texts=tokens,
        keys=tuple(map(str, range(rows))),
    )


def _sample(number: int, clips: int, frames: int, size: int, words: int, draw: np.random.Generator) -> Sample:
    texts = tuple(" ".join(draw.choice(WORDS, words)) for _ in range(clips))
    pixels = tuple(draw.integers(0, 256, (frames, 3, size, size), np.uint8) for _ in range(clips))
    return Sample(str(number), texts, pixels, tuple(tuple(float(f) for f in range(frames)) for _ in range(clips)))


def _documents(recipe: Recipe, rows: int, packed: int) -> Any:
    words, draw, size = tokenizer(), np.random.default_rng(0), recipe.data.image.size
    clips, frames, longest = 3, 3, 128
    if recipe.name.startswith("tiny"):
        clips, frames, longest = recipe.data.clips_per_sample, recipe.data.frames_per_clip, recipe.data.max_tokens
    samples = [_sample(number, clips, frames, size, longest // (2 * clips), draw) for number in range(rows)]
    if not packed:
        return collate(samples, words, longest)
    length = collate(samples[:1], words, longest).rows.tokens.shape[1]
    each = packed // length
    placed = [Placed(number // each, number % each * length, length, one) for number, one in enumerate(samples)]
    return collate_packed(placed, -(-rows // each), words, packed)


def _talk(recipe: Recipe, rows: int) -> Any:
    from cosmos_train.stream.talk.batch import collate_talk

    draw, size = np.random.default_rng(0), recipe.data.image.size
    samples = []
    for number in range(rows):
        texts = (" ".join(draw.choice(WORDS, 12)), " ".join(draw.choice(WORDS, 40)))
        pixels = (draw.integers(0, 256, (1, 3, size, size), np.uint8),)
        samples.append(Sample(str(number), texts, pixels, ((0.0,),)))
    return collate_talk(samples, tokenizer(), recipe.data.talk, recipe.data.max_tokens, size, "")
