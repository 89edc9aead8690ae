"""Subtitle files next to the media of a build that belong to no item, so that a misnamed file does not stay unseen.

Costs a listing of each folder that the items lie in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from interlink.fetch.local import Sidecars
from interlink.recipe import StageBlock
from interlink.stages.collect import MEDIA_EXTENSIONS
from interlink.stages.download import DownloadSettings


@dataclass(frozen=True)
class Unclaimed:
    """files: how many. example: the name of one, or empty."""

    files: int = 0
    example: str = ""


NONE_UNCLAIMED = Unclaimed()


class UnclaimedSubtitles:
    """Takes the rows of `collect` one by one, and then looks into their folders."""

    def __init__(self, blocks: Sequence[StageBlock]) -> None:
        self._stems: defaultdict[Path, set[str]] = defaultdict(set)
        self._further = [
            Path(block.settings.subtitles_path).expanduser().absolute()
            for block in blocks
            if isinstance(block.settings, DownloadSettings) and block.settings.subtitles_path
        ]

    def add(self, row: Mapping[str, Any]) -> None:
        if row["kind"] == "file":
            path = Path(row["uri"])
            self._stems[path.parent].add(path.stem)
        if row["kind"] in ("file", "url"):
            for folder in self._further:
                self._stems[folder] |= {PurePosixPath(row["uri"]).stem, row["video_id"]}

    def found(self) -> Unclaimed:
        """Files of other videos in the folders do not count, even if the build leaves those out."""
        sidecars = Sidecars(MEDIA_EXTENSIONS)
        names = [name for folder, stems in sorted(self._stems.items()) for name in sidecars.unclaimed(folder, stems)]
        return Unclaimed(len(names), names[0].encode("utf-8", "backslashreplace").decode() if names else "")
