"""Regions of each clip in the format of documents, from the regions table. Costs microseconds per region."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from interlink.shards.document import join

Region = dict[str, Any]  # the fields of `interlink.shards.document.Region`


def regions_of_clips(
    clips: Sequence[Mapping[str, Any]], found: Mapping[str, Any], clean: Callable[[list[str]], str] = join
) -> list[tuple[Region, ...]]:
    """The regions of each clip's frames, in order of time; boxes as shares of the frame's width and height.

    clips: of the keyframes table; found: a row of the regions table; clean: is applied to every text.
    """
    of_clip: list[list[Region]] = [[] for _ in clips]
    for seen in found["frames"]:
        frame = clips[seen["clip"]]["frames"][seen["frame"]]
        for region in seen["regions"]:
            if text := clean([region["text"]]):
                score = {} if region["score"] is None else {"score": region["score"]}
                box = _shares(region["box"], frame["width"], frame["height"])
                of_clip[seen["clip"]].append({"box": box, "text": text, **score, "time": frame["time"]})
    return [tuple(sorted(regions, key=lambda region: region["time"])) for regions in of_clip]


def _shares(box: Mapping[str, float], width: int, height: int) -> list[float]:
    sides = (box["left"] / width, box["top"] / height, box["right"] / width, box["bottom"] / height)
    return [round(min(max(side, 0.0), 1.0), 4) for side in sides]
