"""What a child hands to its parent is data, never code."""

from __future__ import annotations

import json
from pathlib import Path

from interlink.fetch import answer
from interlink.fetch.local import Subtitle
from interlink.fetch.ytdlp import Fetched


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    subtitles = [Subtitle("media.en.vtt", "en", b"WEBVTT\n\xff\x00"), Subtitle("media.vtt", "", b"")]
    found = Fetched(tmp_path / "media.mp4", "Brötchen \ud800", '{"duration": 3}', subtitles, ["media.de.vtt: 404"])
    answer.write(tmp_path, found)
    assert answer.read(tmp_path) == found


def test_a_file_outside_the_folder_is_never_named(tmp_path: Path) -> None:
    answer.write(tmp_path, Fetched(tmp_path / "media.mp4", "", "{}"))
    path = tmp_path / answer.NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), "file": "../../etc/passwd"}))
    assert answer.read(tmp_path).file == tmp_path / "passwd"
