"""Views by position: as `stream.loader`, but a sample is one picture with its crops and captions.

A sample is drawn from (seed, epoch, document, scene) alone, so a stream can resume anywhere at once.
"""

from __future__ import annotations

import json

import numpy as np

from cosmos_train.stream.batch import Sample
from cosmos_train.stream.corpus import BadDocument, Corpus
from cosmos_train.stream.decode import decode
from cosmos_train.stream.formats import Document
from cosmos_train.stream.loader import Place, Samples
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.tar import Members
from cosmos_train.stream.views.captions import Scene, crops, scenes
from cosmos_train.stream.views.pictures import views
from interlink.shards.tar import Notes


class SceneCorpus(Corpus):
    """Pictures with pools of sentences: the scenes of our documents, or one per sample."""

    def __init__(self, data: DataSettings, setting: str = "data.shards") -> None:
        self._views = data.views
        super().__init__(data.shards, data.text, 1, setting=setting)

    def document(self, number: int, members: Members | Exception | None = None) -> Document:
        if members is None:
            members = self.reader.read_many([number])[0]
        if isinstance(members, Exception):
            raise BadDocument(self.key(number), str(members) or type(members).__name__) from members
        try:
            found = scenes(members, self.text, self._views)
        except (KeyError, TypeError, ValueError, AttributeError, json.JSONDecodeError) as error:
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise BadDocument(self.key(number), reason) from error
        if not found:
            raise BadDocument(self.key(number), "has no sentence about a picture")
        return Document(found)

    def _clip_count(self, document: int, notes: dict[str, Notes]) -> int:
        """Without an index a sample counts as one scene; if it has several, each epoch draws one."""
        return 1


class ViewSamples(Samples):
    """`texts` of a sample: its captions, long ones first; `frames`: (large crops, small crops)."""

    def _sample(self, place: Place, members: Members | Exception | None, most: int | None) -> Sample:
        document = self._document(place.document, members)
        random = np.random.default_rng((self.seed, place.epoch, place.document, place.window))
        there = len(document.fixed)
        known = int(self.corpus.units_of(place.document))
        number = int(random.integers(there)) if known == 1 else min(place.window, there - 1)
        scene = document.fixed[number]
        assert isinstance(scene, Scene)
        key = self.corpus.key(place.document)
        which = int(random.integers(len(scene.images)))
        try:
            frame = decode(scene.images[which], self.data.image)
        except ValueError as error:
            raise BadDocument(key, f"its picture {error}") from error
        settings = self.data.views
        captions = crops(scene.sentences, settings, random)
        return Sample(key, captions, views(frame, self.data.image.size, settings, random), ((), ()))
