"""Clip files of a build in its releases: pairs, conversations, and a note where a format leaves them out."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cosmos_train.stream.formats import read
from interlink.storage import Storage
from releasing import Made_, filmed, make, put, simple


@pytest.fixture
def documents() -> list[Made_]:
    """Two filmed clips with text, one without text, and a document without clip files."""
    first = filmed(filmed(simple(0, clips=3), 0, b"first", b"heard"), 1, b"silent")
    first.document.clips[1].caption = first.document.clips[1].speech = None
    return [filmed(first, 2, b"third"), simple(1)]


def released(documents: list[Made_], tmp_path: Path, *formats: str) -> Path:
    make(put(Storage(str(tmp_path / "root")), documents), tmp_path / "out", *formats, val_share=0.0)
    return tmp_path / "out"


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as file:
        return {one.name: file.extractfile(one).read() for one in file}  # type: ignore[union-attr]


def test_videos_are_tars_as_video2dataset_writes_them(documents: list[Made_], tmp_path: Path) -> None:
    folder = released(documents, tmp_path, "videos") / "videos" / "train"
    found = members(folder / "00000.tar")
    assert list(found) == [
        *(f"doc0-c000.{suffix}" for suffix in ("mp4", "m4a", "txt", "json")),
        *(f"doc0-c002.{suffix}" for suffix in ("mp4", "txt", "json")),
    ]
    assert (found["doc0-c000.mp4"], found["doc0-c000.m4a"], found["doc0-c002.mp4"]) == (b"first", b"heard", b"third")
    assert found["doc0-c000.txt"] == b"A hand does step 0."
    about = json.loads(found["doc0-c002.json"])
    assert (about["start"], about["end"], about["video_start"], about["video_end"]) == (10.0, 15.0, 9.5, 15.0)
    assert (about["videoid"], about["status"], about["original_caption"]) == ("video0", "success", "now step 2")
    assert pq.read_table(folder / "00000.parquet").to_pylist() == [json.loads(found["doc0-c000.json"]), about]
    assert json.loads((folder / "num_samples.json").read_text()) == {"00000.tar": 2}


def test_our_trainer_reads_the_videos(documents: list[Made_], tmp_path: Path) -> None:
    folder = released(documents, tmp_path, "videos") / "videos" / "train"
    found = {name.partition(".")[2]: data for name, data in members(folder / "00000.tar").items() if "c000" in name}
    document = read(found, ("caption",), 0.2, 0.0)
    assert document.video == b"first"
    assert [(clip.text, clip.span) for clip in document.fixed] == [("A hand does step 0.", (0.0, float("inf")))]


def test_llava_next_finds_its_placeholder(documents: list[Made_], tmp_path: Path) -> None:
    """Its training code knows `<image>` alone, also for videos; Qwen-VL's wants `<video>`."""
    options = {"llava-video": {"placeholder": "image"}}
    make(
        put(Storage(str(tmp_path / "root")), documents), tmp_path / "out", "llava-video", val_share=0.0, options=options
    )
    entries = json.loads((tmp_path / "out" / "llava-video" / "train.json").read_text())
    assert [entry["conversations"][0]["value"].partition("\n")[0] for entry in entries] == ["<image>", "<image>"]


def test_a_video_has_a_conversation_in_both_layouts(documents: list[Made_], tmp_path: Path) -> None:
    out = released(documents, tmp_path, "llava-video", "messages-video")
    entries = json.loads((out / "llava-video" / "train.json").read_text())
    assert [entry["id"] for entry in entries] == ["doc0-000", "doc0-002"]
    for entry, data in zip(entries, (b"first", b"third"), strict=True):
        question, answer = entry["conversations"]
        assert question == {"from": "human", "value": "<video>\nWhat happens in this part of the video?"}
        assert answer["from"] == "gpt" and "<video>" not in answer["value"]
        assert (out / "llava-video" / "videos" / entry["video"]).read_bytes() == data
    sets = json.loads((out / "llava-video" / "qwen_vl.json").read_text())
    assert sets == {"told_train": {"annotation_path": "train.json", "data_path": "videos"}}
    lines = [json.loads(line) for line in (out / "messages-video" / "train.jsonl").read_text().splitlines()]
    for line, data in zip(lines, (b"first", b"third"), strict=True):
        (path,) = line["videos"]
        assert (out / "messages-video" / path).read_bytes() == data
        assert [turn["role"] for turn in line["messages"]] == ["user", "assistant"]
        assert line["messages"][0]["content"].count("<video>") == 1
    info = json.loads((out / "messages-video" / "dataset_info.json").read_text())["told_train"]
    assert info["columns"] == {"messages": "messages", "videos": "videos"}


def test_formats_with_every_file_carry_the_clip_files(documents: list[Made_], tmp_path: Path) -> None:
    out = released(documents, tmp_path, "datasets", "obelics", "parquet")
    row, without = pq.read_table(out / "datasets").to_pylist()
    assert [(file["name"], file["bytes"]) for file in row["files"]] == [
        (f"doc0.{name}", data) for name, data in documents[0].files.items()
    ]
    assert without["files"] == []
    found = members(out / "obelics" / "train-00000.tar")
    assert {name: data for name, data in found.items() if name.endswith(("mp4", "m4a"))} == {
        f"doc0.{name}": data for name, data in documents[0].files.items()
    }
    shards = Storage(str(tmp_path / "root" / "shards" / "f1"))
    row, _ = pq.read_table(out / "parquet").to_pylist()
    places = {file["name"]: shards.read_range(file["shard"], file["offset"], file["size"]) for file in row["files"]}
    assert places == documents[0].files


def test_what_a_format_leaves_out_is_named(documents: list[Made_], tmp_path: Path) -> None:
    storage = put(Storage(str(tmp_path / "root")), documents)
    made = make(storage, tmp_path / "out", "howto", "pairs", "obelics")
    (note,) = made.notes
    assert note == "howto, pairs: without the 4 video and sound files of clips; they are in obelics"
    assert "without the 4 video and sound files of clips" in (tmp_path / "out" / "README.md").read_text()
    assert json.loads((tmp_path / "out" / "RELEASE.json").read_text())["notes"] == [note]
    (note,) = make(storage, tmp_path / "out2", "howto").notes
    assert note.endswith("no format of this release carries them")


def test_a_build_without_clip_files_says_how_to_get_them(tmp_path: Path) -> None:
    storage = put(Storage(str(tmp_path / "root")), [simple(0)])
    made = make(storage, tmp_path / "out", "videos")
    assert made.formats == {"videos": {}}
    assert made.notes == [
        "videos: no records. The build has no clip files: set keyframes.clip_files and shard.clip_files"
    ]


def test_a_shard_without_a_named_clip_file_is_refused(documents: list[Made_], tmp_path: Path) -> None:
    from interlink.errors import UserError

    del documents[0].files["c0.m4a"]
    with pytest.raises(UserError, match=r"clip file c0\.m4a is missing"):
        released(documents, tmp_path, "howto")


def test_chat_messages_show_pictures_before_their_question(documents: list[Made_], tmp_path: Path) -> None:
    from PIL import Image

    out = released(documents, tmp_path, "messages") / "messages"
    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    rows = pq.read_table(out / "train-00000.parquet").to_pylist()
    for line, row, made in zip(lines, rows, documents, strict=True):
        turns = [(text, pictures) for *_, text, pictures in made.told_clips()]
        assert line["id"] == row["id"] == made.document.id
        assert [turn["content"] for turn in line["messages"][1::2]] == [text for text, _ in turns]
        assert [turn["content"].count("<image>") for turn in line["messages"][::2]] == [len(p) for _, p in turns]
        shown = [data for _, pictures in turns for _, data in pictures]
        assert [(out / path).read_bytes() for path in line["images"]] == shown
        assert [image["bytes"] for image in row["images"]] == shown
        assert all(Image.open(io.BytesIO(data)).size == (48, 32) for data in shown)
        for asked, answered, (text, pictures) in zip(row["messages"][::2], row["messages"][1::2], turns, strict=True):
            assert [part["type"] for part in asked["content"]] == ["image"] * len(pictures) + ["text"]
            assert answered == {"role": "assistant", "content": [{"type": "text", "text": text}]}
    info = json.loads((out / "dataset_info.json").read_text())["told_train"]
    assert (out / info["file_name"]).is_file() and info["formatting"] == "sharegpt"


@pytest.mark.parametrize(("form", "entries", "name"), [("document", 2, "llava-document"), ("clip", 4, "llava")])
def test_the_old_setting_is_accepted_with_one_note(
    documents: list[Made_], tmp_path: Path, form: str, entries: int, name: str
) -> None:
    storage = put(Storage(str(tmp_path / "root")), [simple(0), simple(1)])
    made = make(storage, tmp_path / "out", "llava", val_share=0.0, conversation=form)
    assert len(json.loads((tmp_path / "out" / "llava" / "train.json").read_text())) == entries
    assert made.notes == [f"--set conversation={form} is deprecated: use --format {name}"]
