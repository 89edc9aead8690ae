"""Clips and their frames as rows of the table `keyframes`."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from interlink.stage import Blob

if TYPE_CHECKING:
    from interlink.media.choose import Chosen
    from interlink.segment.clips import Clip


def clip_row(clip: Clip) -> dict[str, Any]:
    prints = [each.candidate.still.jpeg().print for each in clip.chosen]
    return {
        "start": clip.start,
        "end": clip.end,
        "motion": clip.motion,
        "talking": clip.talking,
        "print": round(statistics.median_low(prints), 4) if prints else None,
        "sharpness": None if clip.sharpness is None else round(clip.sharpness, 3),
        "light": None if clip.light is None else round(clip.light, 4),
        "frames": [_frame_row(each) for each in clip.chosen],
    }


def _frame_row(chosen: Chosen) -> dict[str, Any]:
    candidate, image = chosen.candidate, chosen.candidate.still.jpeg()
    return {
        "time": candidate.time,
        "width": image.width,
        "height": image.height,
        "sharpness": round(candidate.sharpness, 3),
        "novelty": round(chosen.novelty, 6),
        "light": round(candidate.light, 4),
        "settled": candidate.settled,
        "print": round(image.print, 4),
        "spoken": chosen.spoken,
        "image": Blob(image.data, ".jpg"),
    }


def span_rows(spans: list[tuple[float, float]]) -> list[dict[str, float]]:
    return [{"start": start, "end": end} for start, end in spans]
