"""ocr: the text on the frames that were chosen, with places and times."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from builds import locked, make
from caption_server import CaptionServer, caption_of
from interlink.api import Build
from interlink.engines.reader import Box, FrameRequest, make_reader
from interlink.engines.reader_caption import PROMPT, lines_of
from interlink.errors import UserError
from interlink.stage import Item, Row
from interlink.stages.ocr import Ocr, OcrSettings
from interlink.storage import Storage
from telling import Video, jpeg, make_items, simple_video, through_table

needs_rapidocr = pytest.mark.skipif(
    not (importlib.util.find_spec("rapidocr") and importlib.util.find_spec("onnxruntime")),
    reason="rapidocr and onnxruntime (the extra `ocr`) are not installed",
)


def read(items: Sequence[Item], **options: Any) -> dict[str, Row]:
    stage = Ocr(OcrSettings(**options), items[0].context)
    stage.open()
    try:
        rows = list(stage.run(iter(items)))
    finally:
        stage.close()
    assert len(rows) == len(items)
    for row in rows:
        if row.status == "ok":
            through_table("ocr", {"id": row.id, **row.fields})
    return {row.id: row for row in rows}


def server_settings(server: CaptionServer, **options: Any) -> dict[str, Any]:
    openai = {"base_url": server.url, "model": "m", "api_key_env": "", "max_attempts": 2, "longest_wait": 0.05}
    return {"engine": "caption", "caption": {"engine": "openai", "prompt": "read", "openai": openai}, **options}


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


# -- with a caption engine --------------------------------------------------------------------------------------------


def test_a_caption_engine_reads_every_frame_by_itself(root: Storage) -> None:
    with CaptionServer() as server:
        rows = read(make_items(root, [simple_video("a"), Video("none", [])]), **server_settings(server))

    fields = rows["a"].fields
    assert [(frame["clip"], frame["frame"]) for frame in fields["frames"]] == [(c, f) for c in range(3) for f in (0, 1)]
    texts = [frame["lines"][0] for frame in fields["frames"]]
    assert texts == [{"text": caption_of([jpeg(n)], "read"), "score": None, "box": None} for n in range(6)]
    assert [line["start"] for line in fields["lines"]] == [1.0, 2.0, 11.0, 12.0, 21.0, 22.0]
    assert (fields["engine"], fields["model"], len(fields["prompt_hash"])) == ("openai", "m", 16)
    assert rows["none"].fields["frames"] == rows["none"].fields["lines"] == []


def test_no_more_frames_of_a_clip_are_read_than_asked_for(root: Storage) -> None:
    with CaptionServer() as server:
        rows = read(make_items(root, [simple_video("a", frames=5)]), **server_settings(server, frames_per_clip=1))

    assert [(frame["clip"], frame["frame"]) for frame in rows["a"].fields["frames"]] == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize("fault", ["refuse", "400"])
def test_a_frame_that_cannot_be_read_leaves_its_video_partial(root: Storage, fault: str) -> None:
    bad = jpeg(2)
    with CaptionServer(lambda image: [fault] if image == bad else ["ok"]) as server:
        row = read(make_items(root, [simple_video("a")]), **server_settings(server))["a"]

    assert row.status == "ok" and row.partial and "1 of 6 frames" in row.message
    assert (1, 0) not in [(frame["clip"], frame["frame"]) for frame in row.fields["frames"]]


def test_a_server_that_is_down_leaves_the_video_to_another_try(root: Storage) -> None:
    with CaptionServer(lambda image: ["503"]) as server:
        row = read(make_items(root, [simple_video("a")]), **server_settings(server))["a"]

    assert (row.status, row.error_class) == ("failed", "throttled")


def test_lost_frames_fail_their_video_and_no_other(root: Storage) -> None:
    items = make_items(root, [simple_video("a")]) + make_items(root, [simple_video("b")], partition="000-00001")
    root.delete(f"{items[0].folders['keyframes']}/blobs.tar")

    with CaptionServer() as server:
        rows = read(items, **server_settings(server))

    assert (rows["a"].status, rows["a"].error_class) == ("failed", "unreadable")
    assert rows["b"].status == "ok"


def test_a_transcription_is_split_into_lines() -> None:
    assert [line.text for line in lines_of("Add salt | 500 g flour |  \n `Bake`")] == [
        "Add salt",
        "500 g flour",
        "Bake",
    ]
    assert lines_of("NONE") == lines_of("None.") == lines_of("") == ()
    assert [line.text for line in lines_of("None | None of it")] == ["None", "None of it"]
    assert "|" in PROMPT


def test_an_unknown_engine_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError) as refused:
        OcrSettings(engine="rapid_ocr")
    assert "rapidocr" in str(refused.value.do)


def test_an_engine_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rapidocr", None)
    with pytest.raises(UserError) as refused:
        make_reader("rapidocr", OcrSettings().rapidocr).open()
    assert "interlink[ocr]" in refused.value.do


# -- with an OCR model ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_rapidocr
def test_the_titles_of_the_sample_world_are_read_where_and_when_they_are_shown(
    sample_clips: Path, tmp_path: Path
) -> None:
    build = make(tmp_path / "root", sample_clips, "stages=[download, transcribe, keyframes, ocr]")
    build.run()
    videos = json.loads((sample_clips / "truth.json").read_text())["videos"]
    keyframes, ocr = table(build, "keyframes"), table(build, "ocr")

    shown = read = strange = 0
    for name, row in ocr.items():
        lines = list(row["lines"])
        frames = [frame for clip in keyframes[name]["clips"] for frame in clip["frames"]]
        for title in videos[row["id"].rpartition("-")[0]]["titles"]:
            times = [frame["time"] for frame in frames if title["start"] <= frame["time"] < title["end"]]
            if not times:
                continue
            shown += 1
            same = [line for line in lines if line["text"] == title["text"] and line["start"] in times]
            read += len(same)
            for line in same:
                box = Box(**line["box"])
                assert box.overlap(Box(*title["box"])) > 0.9
                assert line["end"] in times and line["score"] > 0.9
                lines.remove(line)
        strange += len(lines)

    assert shown >= 3
    assert read == shown, f"{read} of {shown} titles were read"
    assert strange <= 0.02 * sum(len(row["frames"]) for row in ocr.values())


def table(build: Build, stage: str) -> dict[str, Any]:
    """The committed rows of a stage by id."""
    space = build.workspace
    fingerprint = locked(space).fingerprints[stage]
    rows: dict[str, Any] = {}
    for partition, _ in space.partitions():
        rows |= space.partition(stage, fingerprint, partition).rows()
    return rows


@needs_rapidocr
def test_what_is_no_jpeg_is_the_error_of_its_frame_alone() -> None:
    reader = make_reader("rapidocr", OcrSettings().rapidocr)
    reader.open()

    answers = list(reader.read([FrameRequest("a", 0, b"no jpeg"), FrameRequest("a", 1, jpeg(1))]))

    assert answers[0].error is not None and answers[0].error.error_class == "unreadable"
    assert answers[1].error is None and answers[1].lines == ()
