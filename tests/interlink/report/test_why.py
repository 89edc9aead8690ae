"""`interlink why`: every stage, its reason, the frames, and where the documents lie."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from builds import locked, make
from interlink.api import Build
from interlink.errors import UserError
from interlink.ids import nearest
from interlink.shards import parse


@pytest.fixture(scope="module")
def build(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Three videos of the sample world: one told, one without a word (dropped), one that is no video (failed)."""
    folder = tmp_path_factory.mktemp("why")
    clips = folder / "clips"
    clips.mkdir()
    told, silent = sorted(sample_clips.glob("*.mp4"))[:2]
    for file in sample_clips.glob(f"{told.stem}.*"):
        shutil.copy(file, clips / file.name.replace(told.stem, "told"))
    shutil.copy(silent, clips / "silent.mp4")
    (clips / "broken.mp4").write_bytes(b"no video at all")
    made = make(folder / "root", clips)
    made.run()
    return made


@pytest.fixture
def item(build: Build) -> Callable[[str], str]:
    """The id of the video with this name."""

    def find(name: str) -> str:
        rows = (row for p, _ in build.workspace.partitions() for row in build.workspace.source_rows(p).values())
        return next(str(row["id"]) for row in rows if row["path"] == f"{name}.mp4")

    return find


def test_a_document_is_told_from_its_source_to_its_bytes(build: Build, item: Callable[[str], str]) -> None:
    found = build.why(item("told"))
    assert {step.stage: step.outcome for step in found.steps} == dict.fromkeys(
        ("collect", "download", "transcribe", "keyframes", "caption", "interleave", "shard"), "ok"
    )
    keyframes = next(step for step in found.steps if step.stage == "keyframes")
    assert keyframes.settings["min_novelty"] == 0.015
    assert keyframes.attempts == 1
    assert keyframes.seconds > 0
    (placed,) = found.documents
    sample = parse(build.workspace.storage.read_range(placed.shard, placed.offset, placed.size))
    document = json.loads(sample["json"])
    assert document["id"] == placed.key == item("told")
    # Every frame that is used is the picture of that name, byte for byte.
    used = {name: frame for clip in found.clips for frame in clip.frames for name in frame.used}
    assert set(used) == {f"{placed.key}.{name}" for name in sample if name != "json"}
    for name, frame in used.items():
        data = build.workspace.storage.read_range(frame.file, frame.offset, frame.size)
        assert data == sample[name.partition(".")[2]]
        assert 0 <= frame.novelty <= 1
    captions = {clip.facts["caption.caption"] for clip in found.clips}
    assert captions == {clip["caption"] for clip in document["clips"]}
    assert found.verdict == "in 1 document"


def test_a_drop_tells_its_reason_and_what_was_never_reached(build: Build, item: Callable[[str], str]) -> None:
    found = build.why(item("silent"))
    steps = {step.stage: step for step in found.steps}
    assert (steps["interleave"].outcome, steps["interleave"].why) == ("dropped", "no_text")
    assert "has text" in steps["interleave"].message
    assert (steps["shard"].outcome, steps["shard"].message) == ("unreached", "interleave is not ok")
    assert found.verdict == "no document: dropped at interleave (no_text)"
    assert found.clips
    assert all(not clip.documents and not frame.used for clip in found.clips for frame in clip.frames)


def test_a_shard_that_is_gone_does_not_keep_the_rest_untold(sample_clips: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "root", sample_clips)
    made.run(limit=1)
    (document,) = made.documents()
    for file in (tmp_path / "root" / "shards").glob("*/*.*"):
        file.unlink()
    (placed,) = made.why(document["id"]).documents
    assert "there is no shard" in placed.problem
    assert placed.problem in "\n".join(made.why(document["id"]).lines())


def test_a_failure_tells_its_class_and_message(build: Build, item: Callable[[str], str]) -> None:
    found = build.why(item("broken"))
    steps = {step.stage: step for step in found.steps}
    assert (steps["keyframes"].outcome, steps["keyframes"].why) == ("failed", "unreadable")
    assert "broken.mp4" in steps["keyframes"].message
    assert steps["caption"].outcome == steps["interleave"].outcome == "unreached"
    assert found.verdict == f"no document: failed at {found.stopped} (unreadable)"
    assert found.clips == ()


def test_what_is_not_done_yet_is_pending(sample_clips: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "root", sample_clips)
    made.run(["collect", "download"])
    name = next(iter(made.workspace.known_ids()))
    steps = {step.stage: step.outcome for step in made.why(name).steps}
    assert steps["download"] == "ok"
    assert steps["keyframes"] == "pending"
    assert steps["interleave"] == "unreached"
    assert "has not done it" in made.why(name).verdict


def test_a_retry_that_is_open_is_pending_again(sample_clips: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "root", sample_clips)
    made.run(limit=1)
    (partition, _), *_ = made.workspace.partitions(1)
    (name,) = list(made.workspace.source_rows(partition))[:1]
    prints = locked(made.workspace).fingerprints
    made.workspace.partition("caption", prints["caption"], partition).reopen(9, [name])
    assert {step.stage: step.outcome for step in made.why(name).steps}["caption"] == "pending"


@pytest.mark.parametrize("ending", ["", "-000"])
def test_a_document_key_and_a_path_name_the_item_too(build: Build, item: Callable[[str], str], ending: str) -> None:
    assert build.why(item("told") + ending).id == item("told")
    assert build.why("told.mp4").id == build.why("told").id == item("told")


def test_an_unknown_id_names_the_nearest(build: Build, item: Callable[[str], str]) -> None:
    known = item("told")
    with pytest.raises(UserError, match="no item or document") as caught:
        build.why(known[:-1] + ("0" if known[-1] != "0" else "1"))
    assert caught.value.do.startswith(f"nearest: {known}")
    assert nearest("zzz", ["told-1", "silent-2"]) == []


def test_frames_become_one_picture(build: Build, item: Callable[[str], str], tmp_path: Path) -> None:
    found = build.why(item("told"), tmp_path / "sheets")
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == [f"{found.id}.png"]
    picture = Image.open(io.BytesIO((tmp_path / "sheets" / f"{found.id}.png").read_bytes()))
    assert picture.height > 150 * len(found.clips)
    build.why(item("broken"), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_lines_and_the_json_tell_the_same(build: Build, item: Callable[[str], str]) -> None:
    found = build.why(item("told"))
    text, data = "\n".join(found.lines()), json.loads(json.dumps(found.json()))
    assert [step["stage"] for step in data["steps"]] == [step.stage for step in found.steps]
    for told in (found.id, "sharpness", "min_novelty 0.015", found.documents[0].shard, data["verdict"]):
        assert told in text
