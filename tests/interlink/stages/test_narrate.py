"""narrate: clip after clip inside a video, many videos at once, on a real server and a real (tiny) language model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from caption_server import CaptionServer
from interlink.errors import UserError
from interlink.stage import Item, Row
from interlink.stages.narrate import Narrate, NarrateSettings
from interlink.storage import Storage
from telling import Video, make_items, simple_video, through_table

PLAIN = {"names": False, "repetition": 1.0, "most_tokens": 0}


def narrate(items: Sequence[Item], **options: Any) -> dict[str, Row]:
    stage = Narrate(NarrateSettings(**options), items[0].context)
    stage.open()
    try:
        rows = list(stage.run(iter(items)))
    finally:
        stage.close()
    assert sorted(row.id for row in rows) == sorted(item.id for item in items)
    for row in rows:
        if row.status == "ok":
            through_table("narrate", {"id": row.id, **row.fields})
    return {row.id: row for row in rows}


def of_server(server: CaptionServer, **options: Any) -> dict[str, Any]:
    fast = {"max_attempts": 2, "longest_wait": 0.05, "concurrency": 4}
    chat = {"base_url": server.url, "model": "m", "api_key_env": "", **fast, **options.pop("openai", {})}
    return {"engine": "openai", "openai": chat, "checks": PLAIN, "cache": False, **options}


def told(row: Row) -> list[str]:
    assert row.status == "ok", row.message
    return [clip["narration"] for clip in row.fields["clips"]]


def prompts(server: CaptionServer) -> list[str]:
    return [body["messages"][-1]["content"] for body in server.bodies]


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def step_writer(prompt: str) -> str:
    """Tells which step the prompt asks for: `told N`."""
    return "told {} here".format(re.findall(r"Said: now step (\d+)", prompt)[-1])


def test_each_clip_is_told_with_what_was_told_before(root: Storage) -> None:
    (item,) = make_items(root, [simple_video("film", clips=4)])
    item = replace(item, rows={**item.rows, "collect": {**item.rows["collect"], "title": "Fried rice"}})
    with CaptionServer() as server:
        server.write = step_writer
        row = narrate([item], **of_server(server, history_clips=2))["film"]

    assert told(row) == [f"told {n} here" for n in range(4)]
    asked = prompts(server)
    assert all("Title: Fried rice" in prompt and "Seen: A hand does step" in prompt for prompt in asked)
    assert "first clip" in asked[0] and "told" not in asked[0].replace("was told", "")
    assert "told 1 here\ntold 2 here\n" in asked[3] and "told 0" not in asked[3]
    assert "Written:" not in asked[0]
    assert server.bodies[0]["messages"][0]["role"] == "system"
    assert len(row.fields["prompt_hash"]) == 16
    assert json.loads(row.fields["parameters"])["history"] == {"clips": 2, "tokens": 600}


def test_history_keeps_to_its_tokens_the_latest_first(root: Storage) -> None:
    with CaptionServer() as server:
        server.write = step_writer
        narrate(make_items(root, [simple_video("film", clips=4)]), **of_server(server, history_tokens=3))

    assert "told 2 here" in prompts(server)[3] and "told 1" not in prompts(server)[3]


def test_videos_are_told_side_by_side_and_each_in_its_order(root: Storage) -> None:
    videos = [simple_video(name, clips=3) for name in "abcdef"]
    with CaptionServer() as server:
        server.delay = 0.03
        server.write = step_writer
        rows = narrate(make_items(root, videos), **of_server(server))

    assert server.most_at_once == 4
    for row in rows.values():
        assert told(row) == ["told 0 here", "told 1 here", "told 2 here"]


def test_a_bad_answer_is_asked_for_once_more_with_what_was_wrong(root: Storage) -> None:
    def write(prompt: str) -> str:
        if "step 0" in prompt and "cannot be used" not in prompt:
            return "I'm sorry, I cannot see this."
        return "I'm sorry, I cannot see this either." if "step 1" in prompt else "A hand does it."

    with CaptionServer() as server:
        server.write = write
        row = narrate(make_items(root, [simple_video("film", clips=2)]), **of_server(server, history_clips=0))["film"]

    assert [(c["narration"][:8], c["flag"], c["asked"]) for c in row.fields["clips"]] == [
        ("A hand d", "", 2),
        ("I'm sorr", "refusal", 2),
    ]
    assert len(server.bodies) == 4
    assert "I'm sorry, I cannot see this.\nIt cannot be used: it was a refusal." in prompts(server)[1]
    assert "1 of 2 clips are flagged" in row.message and not row.partial


def test_clips_of_which_nothing_is_known_are_not_asked_for(root: Storage) -> None:
    video = Video("film", [(0, 5, [1]), (5, 9, [6])], [("stir it", 6, 7)])
    empty = Video("empty", [(0, 5, [1])])
    with CaptionServer() as server:
        rows = narrate(make_items(root, [video, empty, Video("none", [])]), **of_server(server))

    assert [(c["flag"], c["asked"]) for c in rows["film"].fields["clips"]] == [("no_evidence", 0), ("", 1)]
    assert told(rows["empty"]) == [""] and told(rows["none"]) == []
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("fault", "status", "error_class"),
    [("429:0.01", "failed", "throttled"), ("drop", "failed", "network"), ("cut", "ok", ""), ("filter", "ok", "")],
)
def test_faults_of_the_server_cost_a_video_or_a_clip(root: Storage, fault: str, status: str, error_class: str) -> None:
    with CaptionServer(lambda prompt: [fault] if b"step 1" in prompt and b"zz" in prompt else ["ok"]) as server:
        videos = [simple_video("a"), simple_video("zz"), simple_video("b")]
        for video in videos:
            video.collect["title"] = video.id
        rows = narrate(make_items(root, videos), **of_server(server, history_clips=0))

    assert (rows["zz"].status, rows["zz"].error_class) == (status, error_class)
    assert rows["a"].status == rows["b"].status == "ok"
    if status == "ok":
        assert rows["zz"].partial
        assert [c["narration"] == "" for c in rows["zz"].fields["clips"]] == [False, True, False]


def test_what_was_answered_is_not_asked_again(root: Storage) -> None:
    items = make_items(root, [simple_video(name) for name in "abc"])
    for item in items:
        item.rows["collect"]["title"] = item.id
    with CaptionServer() as server:
        options = of_server(server, cache=True)
        first = narrate(items, **options)
        asked = len(server.bodies)
        again = narrate([*items, *make_items(root, [simple_video("d")], "000-00001")], **options)

    assert asked == 9 and len(server.bodies) == 12
    assert {name: again[name] for name in "abc"} == first
    with CaptionServer() as server:  # another model has answered nothing
        narrate(items, **of_server(server, cache=True, openai={"model": "other"}))
        assert len(server.bodies) == 9


def test_many_known_answers_come_as_they_are_ready(root: Storage) -> None:
    items = make_items(root, [simple_video(f"v{n}", clips=1) for n in range(40)])
    with CaptionServer() as server:
        options = of_server(server, cache=True)
        narrate(items, **options)
        stage = Narrate(NarrateSettings(**options), items[0].context)
        stage.open()
        taken: list[str] = []
        rows = stage.run(taken.append(item.id) or item for item in items)  # type: ignore[func-returns-value]
        next(rows)
        assert len(taken) < 20
        assert len(list(rows)) == 39
        stage.close()


def test_style_none_asks_nobody(root: Storage) -> None:
    row = narrate(make_items(root, [simple_video("a")]), style="none")["a"]

    assert told(row) == ["", "", ""]
    assert row.fields["engine"] == "none"


def test_a_template_of_your_own_is_used_and_hashed(root: Storage) -> None:
    with CaptionServer() as server:
        items = make_items(root, [simple_video("a")])
        own = narrate(items, **of_server(server, prompt="## first\nTell: {speech}"))["a"]
        other = narrate(items, **of_server(server))["a"]

    assert prompts(server)[:3] == [f"Tell: now step {n}." for n in range(3)]
    assert len(server.bodies[0]["messages"]) == 1
    assert own.fields["prompt_hash"] != other.fields["prompt_hash"]


def test_a_local_language_model_writes_the_same_in_any_batch(root: Storage, tmp_path: Path) -> None:
    from tiny_checkpoints import save_llama

    model = save_llama(tmp_path / "writer")
    items = make_items(root, [simple_video("a", clips=2), simple_video("b", clips=1)])
    local = {"model": str(model), "max_new_tokens": 6}
    options = {"engine": "transformers", "checks": PLAIN, "cache": False, "style": "dense"}

    one = narrate(items, **options, transformers={**local, "batch_size": 4})
    two = narrate(items, **options, transformers={**local, "batch_size": 1})

    assert one == two
    assert all(told(one["a"])) and one["a"].fields["model"] == "writer"
    assert one["a"].fields["revision"].startswith("folder-")
    assert str(tmp_path) not in str(one)
    with pytest.raises(UserError, match=r"the model folder .* does not exist"):
        narrate(items, engine="transformers", transformers={"model": str(tmp_path / "none")})


def test_a_prompt_that_the_model_has_no_room_for_fails_by_name(root: Storage, tmp_path: Path) -> None:
    from tiny_checkpoints import save_llama

    model = save_llama(tmp_path / "writer", room=64)
    row = narrate(
        make_items(root, [simple_video("a", clips=1)]), engine="transformers", transformers={"model": str(model)}
    )["a"]

    assert (row.status, row.error_class) == ("failed", "model")
    assert "reduce the history" in row.message
