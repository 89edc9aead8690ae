"""How much of a video goes into one document: samples neighbouring clips, thins frames and cuts texts.

Every document stays within every budget. What a budget removes is reported as left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

from interlink.ids import keyed_hash
from interlink.interleave.evidence import ClipEvidence, trimmed
from interlink.interleave.filters import LeftOut
from interlink.interleave.settings import InterleaveSettings

T = TypeVar("T")


def sampled(clips: Sequence[T], count: int, seed: int, item_id: str) -> tuple[int, int]:
    """The places [begin, end) of `count` neighbouring clips, drawn by the keyed hash of the id, or all."""
    if not count or len(clips) <= count:
        return 0, len(clips)
    begin = int(keyed_hash(seed, f"clips:{item_id}")[:15], 16) % (len(clips) - count + 1)
    return begin, begin + count


def fitted(clip: ClipEvidence, settings: InterleaveSettings) -> tuple[ClipEvidence, list[LeftOut]]:
    """The clip reduced to the budgets of a clip and of a document, and what was left out for that."""
    left: list[LeftOut] = []
    limits = [limit for limit in (settings.images_per_clip, settings.max_images) if limit]
    most = min(limits, default=0)
    if most and len(clip.frames) > most:
        frames = tuple(clip.frames[(2 * n + 1) * len(clip.frames) // (2 * most)] for n in range(most))
        left += [LeftOut("frame", clip.number, "image_budget", f.number) for f in clip.frames if f not in frames]
        clip = replace(clip, frames=frames)
    if settings.max_tokens and (tokens := clip.tokens()) > settings.max_tokens:
        clip = trimmed(clip, settings.max_tokens)
        left.append(LeftOut("text", clip.number, "token_budget", value=float(tokens - clip.tokens())))
    return clip, left


def cut(clips: Sequence[ClipEvidence], settings: InterleaveSettings) -> list[Sequence[ClipEvidence]]:
    """The fewest documents of near-equal length within all limits; every clip alone is within them (`fitted`)."""
    most_clips = settings.clips_per_document or len(clips)
    costs = [(len(clip.frames), clip.tokens() if settings.max_tokens else 0) for clip in clips]
    limits = (settings.max_images, settings.max_tokens)
    count = -(-len(clips) // most_clips)
    while True:
        edges = [n * len(clips) // count for n in range(count + 1)]
        sums = [[sum(cost[kind] for cost in costs[a:b]) for kind in (0, 1)] for a, b in pairwise(edges)]
        if all(not limit or total <= limit for one in sums for total, limit in zip(one, limits, strict=True)):
            return [clips[a:b] for a, b in pairwise(edges)]
        count += 1  # ends at one clip per document at the latest
