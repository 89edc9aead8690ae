"""The block `keyframes` of a recipe: how clips are found, and which frames and files of them are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from interlink.segment.settings import SegmentSettings
from interlink.settings import added, operational


class KeyframesSettings(SegmentSettings):
    min_clip: float = Field(0.3, ge=0, description="seconds; a shorter clip is joined with its neighbour")
    max_clip: float = Field(20.0, gt=0, le=3600, description="seconds; a longer clip is divided")
    frames_per_clip: int = Field(3, ge=1, le=64, description="most frames of a clip")
    min_novelty: float = Field(
        0.015, ge=0, le=1, description="least distance (0..1) of a `best` frame to the ones already chosen in its clip"
    )
    choice: Literal["best", "middle", "uniform"] = Field(
        "best",
        description="which frames of a clip: sharp, well exposed ones that differ (best), the middle one (middle), or "
        "`frames_per_clip` at even distances (uniform); the last two read the file twice",
    )
    speech_weight: float = added(
        0.0, "multiply the quality of a `best` frame during speech by (1 + this); needs transcribe", ge=0, le=10
    )
    faces: Literal["none", "mtcnn"] = added(
        "none",
        "detector of faces for a clip's `talking`, which is null without one: a picture a second is searched; "
        "needs transcribe, and the weights of facenet-pytorch",
    )
    decode: Literal["sparse", "full"] = Field(
        "sparse", description="decode keyframes and groups that may contain a cut (sparse), or every picture (full)"
    )
    short_side: int = Field(256, ge=16, description="pixels of the shorter side of a frame; never scaled up")
    quality: int = Field(90, ge=1, le=100, description="JPEG quality")
    clip_files: Literal["none", "copy", "exact"] = added(
        "none",
        "each clip as an mp4: copied from keyframe to keyframe (codecs that mp4 cannot hold are encoded), or "
        "encoded to hold exactly its pictures",
    )
    clip_height: int = added(360, "pixels of the shorter side of clips cut exactly; never scaled up", ge=16)
    clip_audio: Literal["none", "m4a", "flac"] = added(
        "none", "each clip's sound as a file: AAC (m4a) or lossless (flac)"
    )
    clip_megabytes: int = added(512, "most megabytes of a video's clip files; later clips have none (too_large)", ge=1)
    max_seconds: float = Field(0.0, ge=0, description="longer videos fail as too_long; 0 = no limit")
    deadline_seconds: float = operational(
        60.0, "an item counts as stalled after this many seconds, plus …", since_rule=2, gt=0
    )
    deadline_per_second: float = operational(4.0, "… this many per second of video, if stated", since_rule=2, ge=0)
    deadline_per_megabyte: float = operational(30.0, "… but at most this many per megabyte", since_rule=2, ge=0)

    def unread(self) -> frozenset[str]:
        # Codecs that cannot be copied are encoded.
        pictures, sound = self.clip_files != "none", self.clip_audio != "none"
        unused = [] if pictures else ["clip_height"]
        return super().unread().union(unused if pictures or sound else [*unused, "clip_megabytes"])

    @model_validator(mode="after")
    def _lengths_agree(self) -> KeyframesSettings:
        if self.min_clip > self.max_clip / 2:
            raise ValueError(f"min_clip ({self.min_clip}) must be at most half of max_clip ({self.max_clip})")
        return self
