"""Subtitle files that belong to no item are counted by `interlink status`, with an example."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from interlink.recipe import Recipe
from interlink.report.status import Status
from interlink.report.terminal import print_status
from interlink.report.unclaimed import Unclaimed, UnclaimedSubtitles


def row(path: Path, video_id: str = "id") -> dict[str, Any]:
    return {"kind": "file", "uri": str(path), "video_id": video_id}


def look(rows: list[dict[str, Any]], *sets: str) -> Unclaimed:
    found = UnclaimedSubtitles(Recipe.load("folder", ["source.path=x", *sets]).blocks)
    for each in rows:
        found.add(each)
    return found.found()


def test_a_misnamed_file_next_to_a_video_is_counted(tmp_path: Path) -> None:
    for name in ("talk.mp4", "talk.en.srt", "talk-en_sub2.srt", "talks.vtt"):
        (tmp_path / name).touch()

    assert look([row(tmp_path / "talk.mp4")]) == Unclaimed(2, "talk-en_sub2.srt")
    assert look([row(tmp_path / "absent" / "talk.mp4")]) == Unclaimed()


def test_files_of_the_folder_for_subtitles_count_too(tmp_path: Path) -> None:
    folder = tmp_path / "subtitles"
    folder.mkdir()
    for name in ("talk.srt", "WAaKRUoY6Io.en.srt", "misnamed.srt"):
        (folder / name).touch()

    found = look([row(tmp_path / "talk.mp4", "WAaKRUoY6Io")], f"download.subtitles_path={folder}")

    assert found == Unclaimed(1, "misnamed.srt")


def test_status_shows_the_count_and_an_example() -> None:
    status = Status({}, unclaimed=Unclaimed(3, "talk-en_sub2.srt"))
    text = io.StringIO()

    print_status(Console(file=text, width=200), status, [])

    assert "subtitle files that belong to no item: 3, such as talk-en_sub2.srt" in text.getvalue()
    assert json.loads(json.dumps(status.json()))["unclaimed_subtitles"] == {"files": 3, "example": "talk-en_sub2.srt"}
    assert Status({}).json()["unclaimed_subtitles"] == {"files": 0, "example": ""}
