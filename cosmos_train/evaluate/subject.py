"""A CosMo under evaluation: a model with its tokenizer, and a cache of encoded media.

Costs one pass of vision tower and resampler per picture or video, once for all prompts with it as long as the cache has
room.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cosmos_train.evaluate import preprocess
from cosmos_train.evaluate.media import Clip, Unreadable, load
from cosmos_train.evaluate.readers.folder import DataFolder, Example, Media
from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer

_READERS = 8  # threads that decode, at most
_AT_ONCE = 64  # pictures or videos in one pass of the visual tower


@dataclass(frozen=True)
class Subject:
    """checkpoint, step: the source of the weights, for the record."""

    model: CosMo
    tokenizer: Tokenizer
    recipe: Recipe
    device: torch.device
    checkpoint: str = ""
    step: int = 0

    def asked(self) -> AbstractContextManager[None]:
        """A context: evaluation mode, no gradients, the recipe's precision; restores training mode at the end."""
        return evaluating(self.model, self.recipe, self.device)


@contextmanager
def evaluating(model: nn.Module, recipe: Recipe, device: torch.device) -> Iterator[None]:
    """As `Subject.asked`, for any model."""
    from cosmos_train.train.precision import autocast

    before = model.training
    model.eval()
    try:
        # Not inference_mode: tensors that a module caches here would fail in later training.
        with torch.no_grad(), autocast(recipe, device):
            yield
    finally:
        model.train(before)


def load_subject(path: Path, settings: list[str]) -> Subject:
    """Loads the checkpoint at `path` with `key=value` changes to its recipe. Raises UserError if there is none."""
    from cosmos_train import recipe as recipes
    from cosmos_train.train.parallel import device_of
    from cosmos_train.train.starting import load_model

    trained, model = load_model(path)
    recipe = recipes.build(trained.recipe.model_dump(), settings, str(trained.folder))
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    return Subject(model, trained.tokenizer, recipe, device_of(trained.recipe), str(trained.folder), trained.step)


@dataclass(frozen=True)
class Seen:
    """One encoded picture or video: latents (n, D) that text attends to, and its unit vector (E,)."""

    latents: Tensor
    vector: Tensor


class Gallery:
    """Media of a benchmark, encoded on first use."""

    def __init__(
        self, subject: Subject, data: DataFolder, frames: int, cache_megabytes: int, pictures: preprocess.Name = "own"
    ) -> None:
        self.subject = subject
        image = subject.recipe.data.image
        self._preprocess = preprocess.choose(pictures, image, preprocess.as_trained(image))
        self.data = data
        self.frames = frames
        self._room = cache_megabytes * 1_000_000
        self._kept: dict[Media, Seen] = {}

    def present(self, example: Example) -> bool:
        """Whether the example's media exist in the folder; they may still be unreadable."""
        return self.data.media(example.media.name) is not None

    def see(self, examples: Sequence[Example]) -> list[Seen | Unreadable]:
        """Each example's media, or the error of reading them. Inside `subject.asked()`."""
        wanted = {example.media: None for example in examples if example.media not in self._kept}
        new: dict[Media, Seen | Unreadable] = {}
        clips: dict[Media, Clip] = {}
        with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as readers:
            for media, read in zip(wanted, readers.map(self._read, wanted), strict=True):
                if isinstance(read, Unreadable):
                    new[media] = read
                else:
                    clips[media] = read
        for some in (list(clips)[first : first + _AT_ONCE] for first in range(0, len(clips), _AT_ONCE)):
            for media, seen in zip(some, self._encode([clips[one] for one in some]), strict=True):
                new[media] = seen
                size = sum(one.numel() * one.element_size() for one in (seen.latents, seen.vector))
                if size <= self._room:
                    self._room -= size
                    self._kept[media] = seen
        return [new[example.media] if example.media in new else self._kept[example.media] for example in examples]

    def _read(self, media: Media) -> Clip | Unreadable:
        path = self.data.media(media.name)
        if path is None:
            return Unreadable(f"{media.name} is not in {self.data.root}")
        try:
            return load(path, media, self.frames, self._preprocess)
        except Unreadable as error:
            return error

    def _encode(self, clips: list[Clip]) -> list[Seen]:
        model, device = self.subject.model, self.subject.device
        most = max(len(times) for _, times in clips)
        mask = torch.zeros(len(clips), 1, most, dtype=torch.bool)
        when = torch.zeros(len(clips), 1, most)
        for row, (_, times) in enumerate(clips):
            mask[row, 0, : len(times)] = True
            when[row, 0, : len(times)] = torch.from_numpy(times)
        frames = torch.from_numpy(np.concatenate([frames for frames, _ in clips]))
        media = model.encode_media(frames.to(device), mask.to(device), when.to(device))
        vectors = model.media_embedding(media.query)
        return [Seen(tokens[0], vector) for tokens, vector in zip(media.tokens, vectors, strict=True)]
