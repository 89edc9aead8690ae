"""Scores the captions of a build of a sample world against its truth. Costs nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlink.sample import world
from interlink.sample.renderer import TRUTH

PARTS = (*world.Combination._fields, "all")


@dataclass(frozen=True)
class Judged:
    """clips: number of judged clips; right: for each of PARTS, how many clips name it and no other of its kind."""

    clips: int
    right: Mapping[str, int]

    def share(self, part: str) -> float:
        return self.right[part] / self.clips if self.clips else 0.0


def judge(folder: Path, documents: Iterable[Mapping[str, Any]]) -> Judged:
    """Compares captions of documents with the videos in `folder`: each with the act at the middle of its clip."""
    videos = json.loads((folder / TRUTH).read_text(encoding="utf-8"))["videos"]
    right: Counter[str] = Counter(dict.fromkeys(PARTS, 0))
    clips = 0
    for document in documents:
        steps = videos[Path(document["source"]["path"]).stem]["steps"]
        for clip in document["clips"]:
            middle = (clip["start"] + clip["end"]) / 2
            step = next(step for step in steps if step["start"] <= middle <= step["end"])
            drawn = world.Combination(step["object"], step["colour"], step["action"])
            named = world.parts(clip["caption"] or "")
            clips += 1
            right.update(name for name, own, found in zip(drawn._fields, drawn, named, strict=True) if own == found)
            right["all"] += named == drawn
    return Judged(clips, right)
