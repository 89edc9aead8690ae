"""Filters clips and frames by thresholds on columns of the tables. What is left out has a reason and a value.

A clip without a score does not pass a threshold on that score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from interlink.fetch.exclusions import EXCLUDED
from interlink.interleave.evidence import ClipEvidence, FrameAt
from interlink.interleave.settings import FilterSettings, InterleaveSettings

UNFAMILIAR = "unfamiliar"  # flag of a caption whose model knows nothing like the clip


@dataclass(frozen=True)
class LeftOut:
    """Something that is in no document. what: clip, frame or text; frame: its index in the keyframes table, or None.

    value: the number that was compared with the threshold, if there is one.
    """

    what: str
    clip: int
    reason: str
    frame: int | None = None
    value: float | None = None

    def row(self) -> dict[str, Any]:
        return {"what": self.what, "clip": self.clip, "frame": self.frame, "reason": self.reason, "value": self.value}


def judge(clip: ClipEvidence, settings: InterleaveSettings) -> LeftOut | None:
    """Why a clip is left out, by the first rule that it breaks; None where it stays."""
    if settings.require_frames and not clip.frames:
        return LeftOut("clip", clip.number, "no_frames")
    if not clip.roles and (settings.require_text or not clip.frames):
        return LeftOut("clip", clip.number, "no_text")
    rules = settings.filter
    if clip.caption_flag == UNFAMILIAR and not rules.unfamiliar:
        return LeftOut("clip", clip.number, UNFAMILIAR)
    if rules == _NOTHING:
        return None
    seconds = clip.end - clip.start
    quality, scores = clip.quality, clip.scores or {}
    for reason, value, wanted, is_least in (
        ("short", seconds, rules.shortest or None, True),
        ("long", seconds, rules.longest or None, False),
        ("blurred", quality.get("sharpness"), rules.sharpness, True),
        ("dark", quality.get("light"), rules.darkest, True),
        ("bright", quality.get("light"), rules.brightest, False),
        ("still", quality.get("motion"), rules.motion, True),
        ("talking_head", quality.get("talking") or 0.0, rules.talking, False),
        ("printed", quality.get("print") or 0.0, rules.printed, False),
        ("few_tokens", clip.tokens() if rules.tokens else None, rules.tokens or None, True),
        ("low_similarity", scores.get("similarity"), rules.similarity, True),
        ("low_agreement", scores.get("agreement"), rules.agreement, True),
        ("unsafe", scores.get("safety"), rules.safety, False),
    ):
        if wanted is None:
            continue
        if value is None or (value < wanted if is_least else value > wanted):
            return LeftOut("clip", clip.number, reason, value=value)
    if clip.flag and set(clip.flag.split(",")) & set(rules.flags):
        return LeftOut("clip", clip.number, "flagged")
    return None


def without_excluded(
    clips: Sequence[ClipEvidence], excluded: Sequence[int]
) -> tuple[list[ClipEvidence], list[LeftOut]]:
    """The clips without those of these numbers, which `source.exclude_ids` names."""
    kept = [clip for clip in clips if clip.number not in excluded]
    return kept, [LeftOut("clip", clip.number, EXCLUDED) for clip in clips if clip.number in excluded]


def without_duplicates(
    clips: Sequence[ClipEvidence], score: Mapping[str, Any], most_bits: int
) -> tuple[list[ClipEvidence], list[LeftOut]]:
    """The clips with only the first of frames that look alike (hashes that differ in at most `most_bits` bits)."""
    hashes = {(f["clip"], f["frame"]): f["hash"] for f in score["frames"] or ()}
    seen: list[int] = []
    kept: list[ClipEvidence] = []
    left: list[LeftOut] = []
    for clip in clips:
        frames: list[FrameAt] = []
        for frame in clip.frames:
            found = hashes.get((clip.number, frame.number))
            nearest = (
                min((((found ^ other) & _BITS).bit_count() for other in seen), default=65) if found is not None else 65
            )
            if nearest <= most_bits:
                left.append(LeftOut("frame", clip.number, "duplicate_frame", frame.number, float(nearest)))
                continue
            if found is not None:
                seen.append(found)
            frames.append(frame)
        kept.append(clip if len(frames) == len(clip.frames) else replace(clip, frames=tuple(frames)))
    return kept, left


_NOTHING = FilterSettings()
_BITS = 2**64 - 1  # tables store hashes as signed numbers
