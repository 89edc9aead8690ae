"""source.exclude_ids: a video or clip that it names is in no document, in a new root and in a finished one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from builds import make
from interlink.api import Build
from interlink.errors import UserError
from interlink.select.excluded import Excluded


def ids_of(build: Build) -> dict[str, str]:
    """Path in the source folder -> id."""
    return {row["path"]: row["id"] for row in build.workspace.source_columns(["id", "path"])}


def texts(build: Build) -> dict[str, list[Any]]:
    """Video -> the clips of its documents: their times."""
    found: dict[str, list[Any]] = {}
    for document in build.documents():
        found.setdefault(document["source"]["video_id"], []).extend(
            (clip["start"], clip["end"]) for clip in document["clips"]
        )
    return found


@pytest.fixture(scope="module")
def clips(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("three")
    for video in sorted(sample_clips.glob("*.mp4"))[:3]:
        for path in sample_clips.glob(f"{video.stem}.*"):
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_finished_build_loses_what_is_excluded_and_gets_it_back(clips: Path, tmp_path: Path) -> None:
    build = make(tmp_path / "root", clips)
    build.run()
    before = texts(build)
    shards = build.workspace.lock().shards  # type: ignore[union-attr]
    names = ids_of(build)
    gone, cut = sorted(names)[0], sorted(names)[1]
    file = tmp_path / "ids.txt"
    file.write_text(f"# taken down\n\n{gone}\n{names[cut]}\t0\n")

    excluding = make(tmp_path / "root", clips, f"source.exclude_ids={file}")
    outcome = excluding.run()
    assert outcome.changed == ("interleave", "shard")
    assert outcome.status.stages["interleave"].reasons["excluded"] == 1
    assert outcome.status.stages["interleave"].lost["clips excluded"] == 1
    assert outcome.status.stages["download"].ok == 3
    wanted = {key: value for key, value in before.items() if key != names[gone]}
    wanted[names[cut]] = before[names[cut]][1:]
    assert texts(excluding) == wanted
    why = excluding.why(names[gone])
    assert why.stopped == "interleave"
    assert ("excluded", "source.exclude_ids names it") in [(step.why, step.message) for step in why.steps]

    # Another run goes on from the root alone, and reads the file again.
    file.write_text(f"{names[cut]}\t0\n")
    again = Build(None, tmp_path / "root")
    again.run()
    assert texts(again)[names[gone]] == before[names[gone]]

    back = make(tmp_path / "root", clips, "source.exclude_ids=")
    back.run()
    assert texts(back) == before
    assert back.workspace.lock().shards == shards  # type: ignore[union-attr]


def test_what_is_excluded_from_the_beginning_is_not_fetched_until_it_is_admitted(clips: Path, tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    first, *_ = sorted(path.name for path in clips.glob("*.mp4"))
    file.write_text(f"{first}\nnobody\n{first[:-1]}\n")
    build = make(tmp_path / "root", clips, f"source.exclude_ids={file}")
    outcome = build.run()
    download = outcome.status.stages["download"]
    assert (download.ok, download.dropped, dict(download.reasons)) == (2, 1, {"excluded": 1})
    assert outcome.status.stages["keyframes"].ok == 2
    assert outcome.status.unknown_excluded == ["nobody", f"{first[:-1]} (did you mean {first}?)"]
    assert outcome.status.json()["unknown_excluded"] == ["nobody", first[:-1]]

    admitted = make(tmp_path / "root", clips, "source.exclude_ids=")
    outcome = admitted.run()
    assert (outcome.status.stages["download"].ok, outcome.status.stages["interleave"].ok) == (3, 3)
    whole = make(tmp_path / "whole", clips)
    whole.run()
    assert texts(admitted) == texts(whole)


def test_names_are_ids_site_ids_or_paths_and_clips_are_counted_from_0(tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_text("﻿an-id\r\nsite\t3\nsite\t0\nfolder/a video.mp4\n#tag\n# comment\n", encoding="utf-8")
    found = Excluded.read(str(file))
    assert found.videos == {"an-id", "folder/a video.mp4", "#tag"}
    assert found.has("an-id", {}) and found.has("x", {"path": "folder/a video.mp4"})
    assert not found.has("site", {"video_id": "site"})
    assert found.clips_of("x", {"video_id": "site"}) == {0, 3}
    assert found.clips_of("an-id", {"video_id": None}) == set()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"good\nid\tx\n", "line 2: 'id\\\\tx' is not an id"),
        (b"id\t-1\n", "line 1: .* is not an id, or an id, a tab and the number of a clip"),
        (b"id\t1\t2\n", "line 1: "),
        (b"\t1\n", "line 1: "),
        (b"good\n\xff\n", r"is not UTF-8 \(line 2\)"),
        (None, "cannot read .*: No such file"),
    ],
)
def test_a_file_that_cannot_be_understood_stops_the_build(
    data: bytes | None, message: str, clips: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ids.txt"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        make(tmp_path / "root", clips, f"source.exclude_ids={file}").run()
    assert error.value.code == 2
