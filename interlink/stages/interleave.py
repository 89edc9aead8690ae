"""interleave: clips become documents in which frames and text alternate. Text only, no pixels: about 0.1 ms per clip.

Which clips stay, how a long video is cut into documents, and where speech goes are settings; nothing is drawn by
chance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

from pydantic import Field

from interlink.engines.speech import Speech, speech_of_clips
from interlink.errors import Dropped
from interlink.shards.document import Clip, Document, Frames, Provenance, Source, Text, image_name, join
from interlink.shards.names import document_keys
from interlink.stage import Context, Item, PerItem, Resources, Row, Settings


class InterleaveSettings(Settings):
    """How clips become documents."""

    policy: Literal["clip"] = Field("clip", description="clip: for each clip its frames, then its texts")
    include_speech: bool = Field(
        True, description="add what is said in a clip after its caption (never the same text twice)"
    )
    require_text: bool = Field(True, description="leave out clips that have no text")
    require_frames: bool = Field(True, description="leave out clips that have no frame")
    min_clips: int = Field(1, ge=1, description="fewest clips left for a video to become a document")
    clips_per_document: int = Field(
        8, ge=0, description="most clips of a document; longer videos give several of near-equal length (0 = no limit)"
    )
    max_images: int = Field(
        0, ge=0, description="most images of a document; clips with more keep evenly spaced ones (0 = no limit)"
    )


@dataclass(frozen=True)
class _Told:
    """A clip that stays: its number in the keyframes table, its frames (number there, time), its texts."""

    number: int
    start: float
    end: float
    frames: tuple[tuple[int, float], ...]
    caption: str
    speech: Speech
    tells_speech: bool  # as a segment of its own

    @property
    def has_text(self) -> bool:
        return bool(self.caption) or self.tells_speech


class Interleave(PerItem):
    """Documents of one video."""

    name: ClassVar[str] = "interleave"
    version: ClassVar[int] = 1
    settings_class: ClassVar[type[Settings]] = InterleaveSettings

    def __init__(self, settings: InterleaveSettings, context: Context) -> None:
        self.settings = settings
        self.context = context

    @staticmethod
    def needs(settings: InterleaveSettings) -> tuple[str, ...]:
        return ("download", "transcribe", "keyframes", "caption")

    @staticmethod
    def resources(settings: InterleaveSettings) -> Resources:
        return Resources(cpus=0.5)

    def process(self, item: Item) -> Row:
        """Raises Dropped: no_clips, no_frames, no_text or few_clips."""
        kept = self._clips(item.rows)
        chunks = self._cut(kept)
        keys = document_keys(item.id, len(chunks))
        source = _source(item.id, item.rows)
        provenance = self._provenance(item.rows["caption"])
        documents = [self._document(k, c, source, provenance) for k, c in zip(keys, chunks, strict=True)]
        return Row(item.id, {"documents": documents})

    def _clips(self, rows: Mapping[str, Mapping[str, Any]]) -> list[_Told]:
        clips = rows["keyframes"]["clips"]
        captions = {row["clip"]: join([row["caption"] or ""]) for row in rows["caption"]["clips"]}
        speech = speech_of_clips(clips, rows["transcribe"]["sentences"])
        told = [self._told(n, clip, captions.get(n, ""), speech[n]) for n, clip in enumerate(clips)]
        if not told:
            raise Dropped("no_clips", "the video has no clips")
        pictured = [clip for clip in told if clip.frames or not self.settings.require_frames]
        if not pictured:
            raise Dropped("no_frames", f"none of {len(told)} clips has a frame")
        kept = [clip for clip in pictured if clip.has_text or not self.settings.require_text]
        kept = [clip for clip in kept if clip.frames or clip.has_text]
        if not kept:
            raise Dropped("no_text", f"none of {len(pictured)} clips has text")
        if len(kept) < self.settings.min_clips:
            raise Dropped(
                "few_clips", f"{len(kept)} of {len(told)} clips are left, {self.settings.min_clips} are wanted"
            )
        return kept

    def _told(self, number: int, clip: Mapping[str, Any], caption: str, speech: Speech) -> _Told:
        frames = sorted(enumerate(frame["time"] for frame in clip["frames"]), key=lambda pair: (pair[1], pair[0]))
        most = self.settings.max_images
        if most and len(frames) > most:
            frames = [frames[(2 * n + 1) * len(frames) // (2 * most)] for n in range(most)]
        tells_speech = self.settings.include_speech and speech.text not in ("", caption)
        return _Told(number, clip["start"], clip["end"], tuple(frames), caption, speech, tells_speech)

    def _cut(self, clips: Sequence[_Told]) -> list[Sequence[_Told]]:
        """The fewest documents of near-equal length that keep both limits."""
        most_clips = self.settings.clips_per_document or len(clips)
        most_images = self.settings.max_images
        count = -(-len(clips) // most_clips)
        while True:
            edges = [n * len(clips) // count for n in range(count + 1)]
            chunks = [clips[a:b] for a, b in pairwise(edges)]
            if not most_images or all(sum(len(clip.frames) for clip in c) <= most_images for c in chunks):
                return chunks
            count += 1  # ends at one clip a document, which _told has kept within the limit

    def _provenance(self, caption: Mapping[str, Any]) -> Provenance:
        model = caption["model"] or caption["engine"]
        if caption["revision"]:
            model = f"{model}@{caption['revision']}"
        prompt = caption["prompt_hash"]
        return Provenance(
            recipe=self.context.recipe,
            fingerprint=self.context.fingerprints[self.name],
            models={"caption": model},
            prompts={"caption": prompt} if prompt else {},
        )

    def _document(self, key: str, clips: Sequence[_Told], source: Source, provenance: Provenance) -> dict[str, Any]:
        segments: list[Frames | Text] = []
        images: list[dict[str, Any]] = []
        for number, clip in enumerate(clips):
            if clip.frames:
                names = [image_name(len(images) + n) for n in range(len(clip.frames))]
                segments.append(Frames(images=names, times=[time for _, time in clip.frames], clip=number))
                images += [
                    {"name": name, "clip": clip.number, "frame": frame}
                    for name, (frame, _) in zip(names, clip.frames, strict=True)
                ]
            if clip.caption:
                segments.append(Text(text=clip.caption, role="caption", start=clip.start, end=clip.end, clip=number))
            if clip.tells_speech:
                said = clip.speech
                segments.append(Text(text=said.text, role="speech", start=said.start, end=said.end, clip=number))
        document = Document(
            id=key,
            source=source,
            segments=segments,
            clips=[Clip(start=c.start, end=c.end, caption=c.caption, speech=c.speech.text) for c in clips],
            provenance=provenance,
        )
        return {
            "key": key,
            "document": document.dump(),
            "images": images,
            "clips": len(clips),
            "text_tokens": document.text_tokens(),
        }


def _source(item_id: str, rows: Mapping[str, Mapping[str, Any]]) -> Source:
    """What the source list says goes before what the site says."""
    listed, fetched = rows["collect"], rows["download"]
    told = json.loads(fetched["info"] or "{}")
    path = PurePosixPath(listed["path"] or "")
    return Source(
        video_id=listed["video_id"] or item_id,
        url=fetched["url"] or "",
        path=path.name if path.is_absolute() else (listed["path"] or ""),
        title=listed["title"] or fetched["title"] or "",
        category=listed["category"] or "",
        licence=listed["licence"] or told.get("licence") or told.get("license") or "",
        dataset=listed["dataset"] or "",
    )
