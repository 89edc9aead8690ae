"""Whole builds with tiny models: other thresholds score nothing anew, duplicates go, killed captions are paid once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from builds import locked, make, start, sums, tables
from caption_server import CaptionServer
from interlink.api import Build
from interlink.stages.score import Score

STAGES = "stages=[download, transcribe, keyframes, caption, narrate, score, sketch, select, interleave, shard]"


def sets_of(server: CaptionServer, *more: str) -> tuple[str, ...]:
    chat = [f"base_url={server.url}", "model=m", "api_key_env=''", "longest_wait=0.05"]
    caption = ["caption.engine=openai", *(f"caption.openai.{one}" for one in chat)]
    narrate = [*(f"narrate.openai.{one}" for one in chat), "narrate.checks.names=false"]
    return (*caption, *narrate, *more)


def rows(build: Build, stage: str) -> dict[str, dict[str, Any]]:
    prints = locked(build.workspace).fingerprints
    return {
        key: row
        for name, _ in build.workspace.partitions()
        for key, row in build.workspace.partition(stage, prints[stage], name).rows().items()
    }


@pytest.fixture(scope="module")
def clip_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    from tiny_checkpoints import save_clip

    name, weights = save_clip(tmp_path_factory.mktemp("clip"))
    return ("score.engine=open_clip", f"score.open_clip.model={name}", f"score.open_clip.pretrained={weights}",
            "score.vectors=true", "score.open_clip.device=cpu")  # fmt: skip


def test_another_threshold_makes_no_score_anew(
    sample_clips: Path, tmp_path: Path, clip_sets: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaptionServer() as server:
        build = make(tmp_path / "root", sample_clips, STAGES, *sets_of(server, *clip_sets))
        first = build.run()
        asked = len(server.bodies)
    assert first.status.documents >= 6 and asked > 20
    scores = sorted(c["similarity"] for row in rows(build, "score").values() for c in row["clips"])
    middle = (scores[len(scores) // 2 - 1] + scores[len(scores) // 2]) / 2
    before = {path: digest for path, digest in tables(build.workspace).items() if "/interleave/" not in path}

    def refuse(*_: Any) -> None:
        raise AssertionError("a score is made anew")

    monkeypatch.setattr(Score, "process", refuse)
    monkeypatch.setattr(Score, "open", refuse)
    again = Build(None, tmp_path / "root", ["executor.kind=inline", f"filter.similarity={middle}"])
    began = time.process_time()
    again.run(stages=["interleave", "shard"])  # the server is gone: nothing could be asked either
    assert time.process_time() - began < 5

    left = [one for row in rows(again, "interleave").values() for one in row["left_out"] if one["what"] == "clip"]
    assert {one["reason"] for one in left} == {"low_similarity"}
    assert sorted(one["value"] for one in left) == [score for score in scores if score < middle]
    assert all(one["value"] < middle for one in left)
    assert again.verify() == []
    after = tables(again.workspace)
    assert before.items() <= {p: d for p, d in after.items() if "/interleave/" not in p}.items()

    found = again.why(next(iter(rows(again, "interleave"))))
    facts = {name for clip in found.clips for name in clip.facts}
    assert {"caption.caption", "narrate.narration", "score.similarity", "score.agreement"} <= facts
    assert any(step.settings.get("filter.similarity") == middle for step in found.steps)


@pytest.mark.slow
def test_policies_of_the_same_tables_are_builds_side_by_side(
    sample_clips: Path, tmp_path: Path, clip_sets: Sequence[str]
) -> None:
    with CaptionServer() as server:
        build = make(tmp_path / "root", sample_clips, STAGES, *sets_of(server, *clip_sets))
        build.run(limit=3)
    for policy in ("temporal", "sentence", "step", "next_utterance", "assignment"):
        other = Build(None, tmp_path / "root", [f"interleave.policy={policy}", "interleave.assignment.threshold=-1"])
        other.run(stages=["interleave", "shard"], limit=3)
        assert other.verify() == []
        assert list(other.documents())


@pytest.mark.slow
def test_planted_duplicates_go_whatever_the_order_of_the_list(sample_clips: Path, tmp_path: Path) -> None:
    """The copies are shortened and encoded anew, and have no subtitles: only their frames can tell."""
    clips = tmp_path / "clips"
    shutil.copytree(sample_clips, clips)
    originals = sorted(sample_clips.glob("*.mp4"))[:2]
    for path in originals:
        _encode_anew(path, clips / f"copy-of-{path.name}")
    found = []
    for order in (1, -1):
        listing = tmp_path / f"list{order}.txt"
        listing.write_text("\n".join(str(path) for path in sorted(clips.glob("*.mp4"))[::order]))
        root = tmp_path / f"root{order}"
        stages = "stages=[download, transcribe, keyframes, caption, score, sketch, select, interleave, shard]"
        build = make(root, clips, stages, "source.kind=list", f"source.path={listing}", "interleave.require_text=false")
        status = build.run().status
        assert status.stages["select"].reasons == {"duplicate": 2}
        assert status.documents == 6
        found.append({key: (row["duplicate_of"], row["duplicate_by"]) for key, row in rows(build, "select").items()
                      if row["status"] == "dropped"})  # fmt: skip
        assert not build.run().worked
    assert found[0] == found[1]
    for key, (other, by) in found[0].items():
        assert by == "frames"
        stems = {name.replace("copy-of-", "").rpartition("-")[0] for name in (key, other)}
        assert len(stems) == 1, f"{key} is not a copy of {other}"


@pytest.mark.slow
def test_a_later_copy_moves_no_decision_and_no_document_of_old_partitions(sample_clips: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    shutil.copytree(sample_clips, clips)
    stages = "stages=[download, transcribe, keyframes, caption, score, sketch, select, interleave, shard]"
    build = make(tmp_path / "root", clips, stages)
    build.run()
    before = tables(build.workspace)
    for path in sorted(sample_clips.glob("*.mp4"))[2:4]:
        _encode_anew(path, clips / f"copy-of-{path.name}")
    outcome = make(tmp_path / "root", clips, stages).run()
    assert outcome.new == 2
    assert outcome.status.stages["select"].reasons == {"duplicate": 2}
    after = tables(build.workspace)
    rows_before = {p: d for p, d in before.items() if not p.endswith("summary.json")}
    assert rows_before.items() <= after.items()


@pytest.mark.slow
@pytest.mark.ray
def test_under_ray_the_whole_build_is_judged_the_same(sample_clips: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    shutil.copytree(sample_clips, clips)
    path = sorted(sample_clips.glob("*.mp4"))[0]
    _encode_anew(path, clips / f"copy-of-{path.name}")
    stages = "stages=[download, transcribe, keyframes, caption, score, sketch, select, interleave, shard]"
    found = []
    for kind in ("inline", "ray"):
        build = make(tmp_path / kind, clips, stages, f"executor.kind={kind}", "executor.cpus=2")
        assert build.run().status.stages["select"].reasons == {"duplicate": 1}
        found.append((tables(build.workspace), sums(build)))
    assert found[0] == found[1]


@pytest.mark.processes
def test_killed_in_mid_caption_no_answer_is_paid_twice(sample_clips: Path, tmp_path: Path) -> None:
    concurrency = 3
    with CaptionServer() as server:
        server.delay = 0.08
        stages = "stages=[download, transcribe, keyframes, caption, interleave, shard]"
        sets = (stages, *sets_of(server, f"caption.openai.concurrency={concurrency}", "executor.kind=inline"))
        kills = 0
        while True:
            seen = len(server.bodies)
            process = start(tmp_path / "root", sample_clips, *sets)
            while kills < 3 and process.poll() is None and len(server.bodies) < seen + 7:
                time.sleep(0.005)
            if kills < 3 and process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                process.communicate()
                continue
            out, _ = process.communicate(timeout=120)
            assert process.returncode == 0, out.decode()
            break
        asked = server.seen
        clips = Build(None, tmp_path / "root").status().clips
        again = [image for image, count in asked.items() if count > 1]
        # Only what was on its way when the process died can be asked for again.
        assert kills == 3
        assert len(again) <= kills * concurrency
        assert len(server.bodies) <= clips + kills * concurrency
        # The cache holds what the rows hold: with the rows gone the stage pays nothing.
        paid = len(server.bodies)
        before = sums(tmp_path / "root")
        for made in ("tables/caption", "tables/interleave", "tables/shard", "shards"):
            shutil.rmtree(tmp_path / "root" / made)
        process = start(tmp_path / "root", sample_clips, *sets)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out.decode()
        assert len(server.bodies) == paid
        assert sums(tmp_path / "root") == before


def test_fresh_asks_anew_and_a_key_is_nowhere(
    sample_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "sk-telling-123")
    with CaptionServer(key="sk-telling-123") as server:
        sets = [one.replace("api_key_env=''", "api_key_env=SECRET_KEY") for one in sets_of(server)]
        stages = "stages=[download, transcribe, keyframes, caption, narrate, interleave, shard]"
        build = make(tmp_path / "root", sample_clips, stages, *sets)
        build.run(limit=1)
        asked = len(server.bodies)
        build.run(limit=1, fresh=["narrate"], confirm=lambda redo: True)
        captions = len([body for body in server.bodies if isinstance(body["messages"][-1]["content"], list)])
        assert len(server.bodies) - asked == asked - captions  # the narrations again, no caption
    for path in (tmp_path / "root").rglob("*"):
        if path.is_file():
            assert b"sk-telling-123" not in path.read_bytes(), path
    told = json.dumps(list(build.documents()))
    assert "127.0.0.1" not in told


def _encode_anew(source: Path, target: Path) -> None:
    """The same pictures at another quality, without the last half second."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        shown = given.streams.video[0]
        stream = made.add_stream("libx264", rate=shown.average_rate)
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        stream.options = {"crf": "33", "preset": "veryfast"}
        end = float(shown.duration * shown.time_base) - 0.5
        for frame in given.decode(shown):
            if frame.time <= end:
                made.mux(stream.encode(av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")))
        made.mux(stream.encode())
