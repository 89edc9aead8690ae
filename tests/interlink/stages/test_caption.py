"""caption: every clip of every video told once, clips of many videos mixed, a row for each video."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from caption_server import CaptionServer, caption_of
from interlink.engines.openai import PROMPT
from interlink.errors import UserError
from interlink.stage import Context, Item, Row
from interlink.stages.caption import Caption, CaptionSettings
from interlink.storage import Storage
from telling import Video, jpeg, make_items, simple_video, through_table


def caption(items: Sequence[Item], **options: Any) -> dict[str, Row]:
    stage = Caption(CaptionSettings(**options), items[0].context)
    stage.open()
    try:
        rows = list(stage.run(iter(items)))
    finally:
        stage.close()
    assert len(rows) == len(items)
    for row in rows:
        if row.status == "ok":
            through_table("caption", {"id": row.id, **row.fields})
    return {row.id: row for row in rows}


def told(row: Row) -> list[str]:
    assert row.status == "ok", row.message
    assert [clip["clip"] for clip in row.fields["clips"]] == list(range(len(row.fields["clips"])))
    return [clip["caption"] for clip in row.fields["clips"]]


def server_settings(server: CaptionServer, **options: Any) -> dict[str, Any]:
    fast = {"max_attempts": 2, "longest_wait": 0.05, "concurrency": 4}
    return {"engine": "openai", "openai": {"base_url": server.url, "model": "m", "api_key_env": "", **fast, **options}}


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def test_the_transcript_engine_tells_what_is_said(root: Storage) -> None:
    silent = Video("silent", [(0, 10, [1])])
    rows = caption(make_items(root, [simple_video("a"), Video("none", []), silent]))

    assert told(rows["a"]) == ["now step 0.", "now step 1.", "now step 2."]
    assert rows["none"].fields["clips"] == []
    assert rows["silent"].fields["clips"] == [
        {"clip": 0, "caption": "", "flag": "no_speech", "fit": None, "tokens": None}
    ]
    assert not any(row.partial for row in rows.values())
    assert rows["a"].fields["engine"] == "transcript"
    assert rows["a"].fields["parameters"] == "{}"


def test_the_transcript_engine_reads_no_frame(root: Storage) -> None:
    items = make_items(root, [simple_video("a")])
    root.delete(f"{items[0].folders['keyframes']}/blobs.tar")

    assert caption(items)["a"].status == "ok"


def test_a_server_tells_each_clip_from_its_own_frames(root: Storage) -> None:
    with CaptionServer() as server:
        server.delay = 0.05
        rows = caption(make_items(root, [simple_video(name) for name in "abcde"]), **server_settings(server))

    seeds = iter(range(30))
    for name in "abcde":
        expected = [caption_of([jpeg(next(seeds)), jpeg(next(seeds))], PROMPT) for _ in range(3)]
        assert told(rows[name]) == expected
    fields = rows["a"].fields
    assert (fields["engine"], fields["model"], len(fields["prompt_hash"])) == ("openai", "m", 16)
    assert json.loads(fields["parameters"])["max_tokens"] == 256
    assert server.most_at_once > 1


def test_what_is_written_in_the_frames_can_be_asked_along(root: Storage) -> None:
    [item] = make_items(root, [simple_video("a", clips=2)])
    box = {"left": 0.0, "top": 0.0, "right": 9.0, "bottom": 9.0}
    frames = [
        {"clip": 1, "frame": n, "lines": [{"text": text, "score": 1.0, "box": box} for text in texts]}
        for n, texts in enumerate((["Step 2:", "Stir"], ["Stir"]))
    ]
    rows = {**item.rows, "ocr": through_table("ocr", {"frames": frames, "lines": []})}
    with CaptionServer() as server:
        caption([replace(item, rows=rows)], prompt="Written: {ocr}.", **server_settings(server))
        asked = sorted(body["messages"][-1]["content"][-1]["text"] for body in server.bodies)

    assert asked == ["Written: .", "Written: Step 2:; Stir."]
    assert "ocr" in Caption.needs(CaptionSettings(prompt="Written: {ocr}."))
    assert "ocr" not in Caption.needs(CaptionSettings(prompt="Said: {speech}."))


def test_clips_of_several_videos_share_a_batch_and_rows_come_as_they_are_ready(root: Storage) -> None:
    items = make_items(root, [simple_video(str(n), clips=1) for n in range(12)])
    taken: list[str] = []

    def source() -> Iterator[Item]:
        for item in items:
            taken.append(item.id)
            yield item

    with CaptionServer() as server:
        server.delay = 0.05
        stage = Caption(CaptionSettings(**server_settings(server)), Context(root))
        stage.open()
        rows = stage.run(source())
        first = next(rows)
        assert first.status == "ok"
        assert 1 <= len(taken) <= 5
        assert len(list(rows)) == 11
        stage.close()
    assert server.most_at_once > 1


def test_a_clip_that_is_refused_leaves_its_video_partial(root: Storage) -> None:
    bad = jpeg(2)
    for fault, flag in (("refuse", "refused"), ("empty", "empty"), ("400", "error")):
        with CaptionServer(lambda image, fault=fault: [fault] if image == bad else ["ok"]) as server:
            row = caption(make_items(root, [simple_video("a")]), **server_settings(server))["a"]

        assert row.partial and row.status == "ok"
        assert "1 of 3 clips" in row.message
        assert [clip["flag"] for clip in row.fields["clips"]] == ["", flag, ""]
        assert row.fields["clips"][1]["caption"] == ""


def test_a_video_that_is_refused_whole_is_a_model_failure(root: Storage) -> None:
    for fault in ("refuse", "400"):
        with CaptionServer(lambda image, fault=fault: [fault]) as server:
            row = caption(make_items(root, [simple_video("a")]), **server_settings(server))["a"]

        assert (row.status, row.error_class) == ("failed", "model")
        assert "3 clips" in row.message


@pytest.mark.parametrize(("fault", "error_class"), [("429:0.01", "throttled"), ("500", "network"), ("drop", "network")])
def test_a_video_hit_by_a_passing_fault_fails_alone_so_that_it_is_tried_again(
    root: Storage, fault: str, error_class: str
) -> None:
    bad = jpeg(8)  # in the second video
    with CaptionServer(lambda image: [fault] if image == bad else ["ok"]) as server:
        rows = caption(make_items(root, [simple_video(name) for name in "abc"]), **server_settings(server))

    assert [(rows[n].status, rows[n].error_class) for n in "abc"] == [("ok", ""), ("failed", error_class), ("ok", "")]


def test_a_frame_that_is_gone_fails_its_video_alone(root: Storage) -> None:
    lost = make_items(root, [simple_video("lost")], "000-00001")
    root.delete(f"{lost[0].folders['keyframes']}/blobs.tar")
    items = [*make_items(root, [simple_video("a")]), *lost, *make_items(root, [simple_video("b")], "000-00002")]

    with CaptionServer() as server:
        rows = caption(items, **server_settings(server))

    assert [(rows[n].status, rows[n].error_class) for n in ("a", "lost", "b")] == [
        ("ok", ""),
        ("failed", "unreadable"),
        ("ok", ""),
    ]


def test_a_local_checkpoint_tells_the_same_each_time(root: Storage, tmp_path: Path) -> None:
    from tiny_checkpoints import save_blip2

    model = save_blip2(tmp_path / "tiny")
    items = make_items(root, [simple_video("a"), Video("b", [(0, 5, []), (5, 9, [6])])])
    options = {"engine": "transformers", "prompt": "a photo of"}
    settings = {"model": str(model), "max_new_tokens": 5}

    one = caption(items, **options, transformers={**settings, "batch_size": 8})
    two = caption(items, **options, transformers={**settings, "batch_size": 1})

    assert one == two
    assert all(told(one["a"]))
    assert [clip["flag"] for clip in one["b"].fields["clips"]] == ["no_frames", "length"]  # five tokens are few
    assert one["a"].fields["model"] == "tiny" and str(tmp_path) not in str(one)


def test_settings_refuse_unknown_engines_and_keys() -> None:
    with pytest.raises(UserError, match="no caption engine 'transcripts'") as caught:
        CaptionSettings(engine="transcripts")
    assert "'transcript'" in caught.value.do
    with pytest.raises(ValidationError, match="modle"):
        CaptionSettings(transformers={"modle": "x"})  # type: ignore[arg-type]


def test_only_a_model_on_a_gpu_asks_for_one() -> None:
    wanted = {
        "transcript": CaptionSettings(),
        "cpu": CaptionSettings(engine="transformers", transformers={"device": "cpu"}),  # type: ignore[arg-type]
        "gpu": CaptionSettings(engine="transformers", transformers={"device": "cuda"}),  # type: ignore[arg-type]
        "server": CaptionSettings(engine="openai"),
    }
    assert {name: Caption.resources(s).gpus for name, s in wanted.items()} == {
        "transcript": 0,
        "cpu": 0,
        "gpu": 1,
        "server": 0,
    }
    assert Caption.resources(wanted["server"]).workers == 1
