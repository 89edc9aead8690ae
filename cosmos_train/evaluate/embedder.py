"""Models for retrieval, classification and compositional sets: pictures and texts in one space.

A COSMOS's student or teacher, or any plain CLIP (`Pair`), and a CosMo's contrastive halves (`CosMoEmbedder`). Costs one
pass of the vision tower per picture and one of the text tower per text.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.evaluate import preprocess
from cosmos_train.evaluate.decoder import check_length
from cosmos_train.evaluate.media import Decode, Unreadable, look
from cosmos_train.evaluate.prompts import Writer
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import DataFolder, Example, Media
from cosmos_train.evaluate.subject import Gallery, Seen, Subject, evaluating
from cosmos_train.families.cosmos.model import Student
from cosmos_train.models.pixels import CLIP_MEAN, CLIP_STD
from cosmos_train.recipe import Recipe
from cosmos_train.stream.decode import Frame, decode_exactly
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import PADDING, tokenize_caption

_READERS = 8  # threads that decode, at most
_TEXTS = 256  # in one pass


class Embedder(Interface):
    """part: which half of a model it is, if it has several."""

    @property
    def checkpoint(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def part(self) -> str: ...

    def asked(self) -> AbstractContextManager[None]:
        """A context: evaluation mode, without gradients. Call the other methods inside it."""

    def see(self, data: DataFolder, media: Sequence[Media]) -> list[Tensor | Unreadable]:
        """The unit vector (E,) of each picture or video, on the CPU, or the error of reading it."""

    def read(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (N, E) of texts, on the CPU."""


@dataclass(frozen=True)
class Pair:
    """A vision and a text tower. frames: per video; their mean is its vector. template: wraps each text. pictures:
    their preprocessing, open_clip's by default."""

    half: Student
    tokenizer: Tokenizer
    recipe: Recipe
    device: torch.device
    checkpoint: str = ""
    step: int = 0
    part: str = ""
    frames: int = 1
    template: str = "{text}"
    pictures: preprocess.Name = "own"

    def asked(self) -> AbstractContextManager[None]:
        return evaluating(self.half, self.recipe, self.device)

    def see(self, data: DataFolder, media: Sequence[Media]) -> list[Tensor | Unreadable]:
        with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as readers:
            looked = list(readers.map(lambda one: self._look(data, one), media))
        shown = [pixels for pixels in looked if not isinstance(pixels, Unreadable)]
        if not shown:
            return [one for one in looked if isinstance(one, Unreadable)]
        pixels = torch.from_numpy(np.concatenate(shown)).to(self.device)
        vectors = F.normalize(self.half.visual(self.normalised(pixels))[0].float(), dim=-1).cpu()
        several = iter(torch.split(vectors, [len(one) for one in shown]))
        return [one if isinstance(one, Unreadable) else F.normalize(next(several).mean(0), dim=0) for one in looked]

    def read(self, texts: Sequence[str]) -> Tensor:
        found = []
        for first in range(0, len(texts), _TEXTS):
            filled = [self.template.replace("{text}", text) for text in texts[first : first + _TEXTS]]
            tokenized = [tokenize_caption(text, self.tokenizer, self.half.context) for text in filled]
            tokens = torch.full((len(tokenized), self.half.context), PADDING, dtype=torch.long)
            for row, ids in enumerate(tokenized):
                tokens[row, : len(ids)] = torch.tensor(ids)
            # Skip everything after the end token: the tower is causal.
            longest = max(map(len, tokenized))
            pooled = self.half.read(tokens[:, :longest].to(self.device), self.half.end)[0]
            found.append(F.normalize(pooled.float(), dim=-1).cpu())
        return torch.cat(found)

    def normalised(self, pixels: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) as normalised pixels for the tower."""
        own = self.recipe.model.vision
        expected = own.mean or CLIP_MEAN, own.std or CLIP_STD
        mean, std = (255 * torch.tensor(one, device=self.device).view(3, 1, 1) for one in expected)
        return (pixels - mean) / std

    def frame(self, data: DataFolder, media: Media) -> Frame:
        """A picture at its full size. Raises Unreadable."""
        return self._frames(data, media, decode_exactly)[0]

    @property
    def _preprocess(self) -> preprocess.Preprocess:
        image = self.recipe.data.image
        if self.pictures == "training":  # `crop` of the stream is a CosMo's
            return preprocess.squares(image)
        return preprocess.choose(self.pictures, image, preprocess.open_clip(image))

    def _look(self, data: DataFolder, media: Media) -> NDArray[np.uint8] | Unreadable:
        try:
            return self._preprocess.shape(self._frames(data, media))
        except Unreadable as error:
            return error

    def _frames(self, data: DataFolder, media: Media, decode: Decode | None = None) -> list[Frame]:
        path = data.media(media.name)
        if path is None:
            raise Unreadable(f"{media.name} is not in {data.root}")
        return look(path, media, self.frames, decode or self._preprocess.decode)[0]


def _gallery(subject: Subject, data: DataFolder, protocol: Protocol) -> Gallery:
    return Gallery(subject, data, protocol.frames, 0, protocol.pictures)


class CosMoEmbedder:
    """A CosMo: frames by its resampler's query, texts by the first half of its language model.

    writer: of a task; its template wraps each text.
    """

    part = ""

    def __init__(self, subject: Subject, writer: Writer, protocol: Protocol) -> None:
        self._subject, self._writer, self._protocol = subject, writer, protocol
        self._galleries: dict[Path, Gallery] = {}

    @property
    def checkpoint(self) -> str:
        return self._subject.checkpoint

    @property
    def step(self) -> int:
        return self._subject.step

    def asked(self) -> AbstractContextManager[None]:
        return self._subject.asked()

    def see(self, data: DataFolder, media: Sequence[Media]) -> list[Tensor | Unreadable]:
        gallery = self._galleries.setdefault(data.root, _gallery(self._subject, data, self._protocol))
        seen = gallery.see([Example("", one) for one in media])
        return [one.vector.float().cpu() if isinstance(one, Seen) else one for one in seen]

    def read(self, texts: Sequence[str]) -> Tensor:
        subject, found = self._subject, []
        spelled = [self._writer.text(text) for text in texts]
        check_length(subject.model, max(len(text) for text in spelled))
        for first in range(0, len(spelled), 8 * self._protocol.batch_size):
            batch = spelled[first : first + 8 * self._protocol.batch_size]
            width = max(len(text) for text in batch)
            tokens = torch.full((len(batch), width), subject.tokenizer.pad)
            mask = torch.zeros(len(batch), width, dtype=torch.bool)
            for row, text in enumerate(batch):
                tokens[row, : len(text)] = torch.tensor(text)
                mask[row, : len(text)] = True
            encoded = subject.model.encode_text(tokens.to(subject.device), mask.to(subject.device))
            found.append(encoded.float().cpu())
        return torch.cat(found)
