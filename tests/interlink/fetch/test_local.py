"""Files on a disk: their sums, and the subtitles that belong to them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from interlink.errors import StageError
from interlink.fetch.local import Sidecars, digest, irregular
from interlink.subtitles.files import SUFFIXES


def nothing() -> None: ...


def test_the_sum_is_of_all_bytes(tmp_path: Path):
    data = os.urandom(3_000_000)
    (tmp_path / "a.mp4").write_bytes(data)
    calls: list[None] = []
    assert digest(tmp_path / "a.mp4", lambda: calls.append(None)) == (hashlib.sha256(data).hexdigest(), 3_000_000)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("name", "error_class"), [("absent.mp4", "gone"), ("folder.mp4", "unreadable"), ("pipe.mp4", "unreadable")]
)
def test_what_is_no_file_has_its_class(tmp_path: Path, name: str, error_class: str):
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(StageError) as caught:
        digest(tmp_path / name, nothing)
    assert caught.value.error_class == error_class
    assert name in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(tmp_path: Path):
    (tmp_path / "a.mp4").touch(mode=0)
    with pytest.raises(StageError) as caught:
        digest(tmp_path / "a.mp4", nothing)
    assert caught.value.error_class == "unreadable"


def test_a_file_above_the_limit_is_too_large(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"123")
    with pytest.raises(StageError) as caught:
        digest(tmp_path / "a.mp4", nothing, most_bytes=2)
    assert caught.value.error_class == "too_large"


def test_subtitles_of_every_format_that_is_read_are_found(tmp_path: Path):
    names = [f"cut.en{suffix}" for suffix in SUFFIXES]
    for name in names:
        (tmp_path / name).write_text(name)
    found, _ = Sidecars().find(tmp_path, "cut")
    assert {subtitle.name for subtitle in found} == set(names)
    assert {".vtt", ".srt", ".json3", ".srv1", ".srv2", ".srv3", ".ttml", ".sbv", ".ssa", ".ass"} <= set(SUFFIXES)


def test_subtitles_are_found_by_stem_and_language(tmp_path: Path):
    for name in ("cut.vtt", "cut.en.vtt", "cut.pt-BR.SRT", "cut.chapters.vtt", "cut2.vtt", "cut.en.txt", "cut.mp4"):
        (tmp_path / name).write_text(name)
    found, lost = Sidecars().find(tmp_path, "cut")
    assert [(s.name, s.language, s.data.decode()) for s in found] == [
        ("cut.en.vtt", "en", "cut.en.vtt"),
        ("cut.pt-BR.SRT", "pt-BR", "cut.pt-BR.SRT"),
        ("cut.vtt", "", "cut.vtt"),
    ]
    assert lost == []


def test_a_stem_with_dots_is_not_taken_for_a_language(tmp_path: Path):
    (tmp_path / "part.one.en.vtt").write_text("x")
    sidecars = Sidecars()
    assert [s.language for s in sidecars.find(tmp_path, "part.one")[0]] == ["en"]
    assert sidecars.find(tmp_path, "part")[0] == []


def test_a_subtitle_that_cannot_be_read_is_reported(tmp_path: Path):
    (tmp_path / "cut.vtt").mkdir()
    found, lost = Sidecars().find(tmp_path, "cut")
    assert found == []
    assert lost == ["cut.vtt: Is a directory"]


def test_only_what_is_there_and_no_file_is_irregular(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x")
    assert irregular(tmp_path / "a") == irregular(tmp_path / "absent") == irregular(tmp_path) == ""
    assert irregular(Path("/dev/null")) == "a device, not a file"


def test_the_longest_stem_of_a_media_file_claims_a_subtitle(tmp_path: Path):
    for name in ("clip.mp4", "clip.part.mp4", "clip.part.en.srt", "clip.en.srt", "clip.part2.srt", "clip_de.srt"):
        (tmp_path / name).write_text(name)
    sidecars = Sidecars(("mp4",))
    assert [s.name for s in sidecars.find(tmp_path, "clip")[0]] == ["clip.en.srt", "clip_de.srt"]
    assert [s.name for s in sidecars.find(tmp_path, "clip.part")[0]] == ["clip.part.en.srt"]


def test_in_another_folder_the_stems_of_the_media_still_claim(tmp_path: Path):
    (tmp_path / "media").mkdir()
    (tmp_path / "subtitles").mkdir()
    for name in ("v.mp4", "v.en.mp4"):
        (tmp_path / "media" / name).touch()
    (tmp_path / "subtitles" / "v.en.srt").touch()
    sidecars = Sidecars(("mp4",))
    assert sidecars.find(tmp_path / "subtitles", "v", tmp_path / "media")[0] == []
    assert len(sidecars.find(tmp_path / "subtitles", "v.en", tmp_path / "media")[0]) == 1


def test_pipes_and_links_to_themselves_are_never_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "cut.en.srt")
    (tmp_path / "cut.de.srt").symlink_to("cut.de.srt")
    found, lost = Sidecars().find(tmp_path, "cut")
    assert found == []
    assert [message.split(":")[0] for message in lost] == ["cut.de.srt", "cut.en.srt"]
    assert lost[1] == "cut.en.srt: not a regular file; skipped"


def test_subtitles_that_belong_to_nothing_are_known(tmp_path: Path):
    names = ("talk.mp4", "talk.en.srt", "talk.chapters.vtt", "talk-en_sub2.srt", "other.srt", "talk.smi", "notes.txt")
    for name in (*names, "left.out.mp4", "left.out.en.srt"):
        (tmp_path / name).touch()
    sidecars = Sidecars(("mp4",))
    assert sidecars.unclaimed(tmp_path, ["talk"]) == ["other.srt", "talk-en_sub2.srt", "talk.smi"]
    assert sidecars.unclaimed(tmp_path / "absent", ["talk"]) == []
