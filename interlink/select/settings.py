"""The settings of sketch (the summary of a video) and of select (the decisions from all summaries)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from interlink.settings import Settings, added


class SketchSettings(Settings):
    """How the concepts of a video are found."""

    concepts: tuple[str, ...] = Field(
        (), description="words and phrases that are concepts; empty = the content words of title and captions"
    )


class SelectSettings(Settings):
    """Which videos stay. The thresholds apply to sketches, so that other thresholds recompute no sketch."""

    duplicate_frames: float | None = Field(
        10.0, ge=0, le=64, description="videos with frames that differ in at most this many of 64 bits are duplicates"
    )
    duplicate_text: float | None = Field(
        0.7, ge=0, le=1, description="videos with texts of at least this estimated Jaccard similarity are duplicates"
    )
    duplicate_vectors: float | None = Field(
        None, ge=-1, le=1, description="… or with mean vectors of at least this cosine (needs score.vectors)"
    )
    lowest_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="drop this share with the least image–text similarity (TL;DR: 0.5; needs an engine)",
    )
    cap: int = Field(0, ge=0, description="videos of a concept that stay on average (MetaCLIP's t); 0 = no balancing")
    unmatched: Literal["keep", "drop"] = Field("keep", description="balancing: videos that name no concept")
    clusters: int = Field(0, ge=0, description="k of k-means over mean vectors (needs score.vectors); 0 = none")
    keep_share: float = Field(
        1.0, gt=0, le=1, description="share of every cluster that stays, evenly spread by distance to its centre"
    )
    evaluation_sets: dict[Literal["ids", "texts", "pictures"], tuple[str, ...]] = added(
        {},
        "benchmarks whose items are dropped: files of ids and of texts (a line each), folders of pictures; texts are "
        "compared as by duplicate_text (0.7 if that is off)",
    )
    evaluation_bits: float = added(
        4.0,
        "evaluation_sets: a frame that differs from a picture in at most this many of 64 bits is like it",
        ge=0,
        le=64,
    )
