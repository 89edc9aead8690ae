"""sketch: summarises a video in about 1 kB, for decisions over the whole build. Reads tables, no pixels.

The map step before select, which reads only sketches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from interlink.select.concepts import Concepts
from interlink.select.minhash import of_frames, of_text, pack
from interlink.select.settings import SketchSettings
from interlink.settings import Settings
from interlink.shards.document import join
from interlink.stage import Context, Item, PerItem, Resources, Row

FEW_WORDS = 30  # spoken words below which captions and narrations are added


class Sketch(PerItem):
    """Makes the sketch of one video. The schema is tables.SKETCH."""

    name: ClassVar[str] = "sketch"
    version: ClassVar[int] = 1
    settings_class: ClassVar[type[Settings]] = SketchSettings

    def __init__(self, settings: SketchSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._concepts = Concepts(settings.concepts)

    @staticmethod
    def needs(settings: SketchSettings) -> tuple[str, ...]:
        return ("download", "transcribe", "caption", "score")

    @staticmethod
    def uses(settings: SketchSettings) -> tuple[str, ...]:
        return ("narrate",)

    @staticmethod
    def resources(settings: SketchSettings) -> Resources:
        return Resources(cpus=0.5)

    def process(self, item: Item) -> Row:
        rows, score = item.rows, item.rows["score"]
        speech = join(sentence["text"] for sentence in rows["transcribe"]["sentences"])
        described = join(clip["caption"] or "" for clip in rows["caption"]["clips"])
        if "narrate" in rows:
            described = join([described, *(clip["narration"] or "" for clip in rows["narrate"]["clips"])])
        title = rows["collect"]["title"] or rows["download"]["title"] or ""
        similarities = [clip["similarity"] for clip in score["clips"] if clip["similarity"] is not None]
        hashes = [frame["hash"] for frame in score["frames"] if frame["hash"] is not None]
        fields: dict[str, Any] = {
            "frames": of_frames(hashes),
            "hashes": pack(hashes),
            "text": of_text(speech if len(speech.split()) >= FEW_WORDS else join([speech, described])),
            "vector": _mean(score["frames"]),
            "similarity": round(sum(similarities) / len(similarities), 4) if similarities else None,
            "concepts": self._concepts.of(join([title, described])),
        }
        return Row(item.id, fields)


def _mean(frames: Sequence[Mapping[str, Any]]) -> bytes:
    """Mean of the frames' vectors, float16; empty if there are none."""
    import numpy as np

    vectors = [np.frombuffer(frame["vector"], np.float16) for frame in frames if frame["vector"]]
    if not vectors:
        return b""
    data: bytes = np.stack(vectors).astype(np.float64).mean(axis=0).astype(np.float16).tobytes()
    return data
