"""Clips as files: from a video through keyframes' rows into shards, with the times that the files really hold."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from interlink.fingerprints import acting
from interlink.media.probe import describe, open_media
from interlink.runtime.partition import Partition
from interlink.shards import manifest
from interlink.shards.document import load
from interlink.shards.verify import verify
from interlink.stage import Context, Item, Row
from interlink.stages.interleave import Interleave, InterleaveSettings
from interlink.stages.keyframes import Keyframes
from interlink.stages.keyframes_settings import KeyframesSettings
from interlink.stages.shard import Shard, ShardSettings
from interlink.storage import Storage
from interlink.tables import SCHEMAS
from telling import FINGERPRINTS, through_table


def watch(root: Storage, media: Path, **settings: Any) -> Row:
    context = Context(root, recipe="test", fingerprints=FINGERPRINTS)
    download = {"media": str(media), "subtitles": [], "size": 0, "info": "{}", "title": "", "url": ""}
    item = Item("video", "000-00000", {"collect": {}, "download": download}, {}, context)
    stage = Keyframes(KeyframesSettings(frames_per_clip=1, **settings), context)
    stage.open()
    (row,) = stage.run(iter([item]))
    assert row.status == "ok", row.message
    return row


def sharded(root: Storage, media: Path, row: Row, **settings: Any) -> list[dict[str, Any]]:
    """The samples that webdataset reads, after `verify` found nothing wrong."""
    import webdataset

    folder = "tables/keyframes/cccccccccccc/000-00000"
    partition = Partition(root, folder, SCHEMAS["keyframes"])
    stored = kept(partition, row)
    clips = stored["clips"]
    rows = {
        "collect": {"video_id": "video", "path": media.name},
        "download": {"media": str(media), "title": "", "url": "", "info": "{}"},
        "transcribe": {"sentences": []},
        "caption": {
            "engine": "e",
            "model": "m",
            "revision": "",
            "prompt_hash": "",
            "clips": [{"clip": n, "caption": f"Step {n}.", "flag": ""} for n in range(len(clips))],
        },
    }
    context = Context(root, recipe="test", fingerprints=FINGERPRINTS)
    tables: dict[str, Any] = {name: through_table(name, fields) for name, fields in rows.items()}
    item = Item("video", "000-00000", {**tables, "keyframes": stored}, {"keyframes": folder}, context)
    (told,) = Interleave(InterleaveSettings(), context).run(iter([item]))
    assert told.status == "ok", told.message
    tables = {**item.rows, "interleave": through_table("interleave", told.fields)}
    (placed,) = Shard(ShardSettings(**settings), context).run(
        iter([Item("video", "000-00000", tables, item.folders, context)])
    )
    assert placed.status == "ok" and not placed.partial, placed.message
    shards = f"shards/{FINGERPRINTS['shard']}"
    names = sorted({each["shard"] for each in placed.fields["shards"]})
    manifest.commit(root, shards, manifest.build_manifest(root, shards, names))
    assert verify(root, shards).problems == []
    return list(webdataset.WebDataset([root.full(f"{shards}/{name}") for name in names], shardshuffle=False))


def kept(partition: Partition, row: Row) -> dict[str, Any]:
    """The row with its blobs in one tar, as the store leaves it."""
    from interlink.runtime.partition import _Tar

    tar = _Tar(partition.storage, "blobs.tar")
    fields: dict[str, Any] = tar.keep(row.id, row.fields)
    assert tar.file is not None and tar.path is not None
    tar.file.write(bytes(1024))
    tar.file.close()
    partition.storage.put(f"{partition.folder}/blobs.tar", tar.path)
    return through_table("keyframes", fields)


def first_picture(data: bytes) -> np.ndarray[Any, Any]:
    with av.open(io.BytesIO(data)) as container:
        return next(container.decode(video=0)).reformat(64, 36, format="gray").to_ndarray().astype(int)


def picture_at(media: Path, time: float) -> np.ndarray[Any, Any]:
    with open_media(media) as container:
        video = describe(container, media).video
        assert video is not None
        for frame in container.decode(container.streams[video.index]):
            if frame.pts is not None and round(float(frame.pts * frame.time_base), 6) >= time:
                return frame.reformat(64, 36, format="gray").to_ndarray().astype(int)
    raise AssertionError(f"no picture at {time}")


@pytest.mark.parametrize(
    ("how", "name"),
    [("copy", "bikes_hard_cuts.mp4"), ("exact", "bikes_hard_cuts.mp4"), ("copy", "nasa_webb_multistream.mp4")],
)
def test_a_shard_holds_each_clip_as_a_file_that_begins_where_it_says(
    shared_data: Path, tmp_path: Path, how: str, name: str
) -> None:
    media, root = shared_data / "clips" / name, Storage(str(tmp_path))
    row = watch(root, media, clip_files=how, clip_height=120)

    samples = sharded(root, media, row, clip_files=True)

    clips = [(sample, clip) for sample in samples for clip in load(sample["json"]).clips]
    assert len(clips) == len(row.fields["clips"]) > 0
    for sample, clip in clips:
        (file,) = clip.files or ()
        assert file.how == how
        assert (file.start, file.end) == (clip.start, clip.end) or how == "copy"
        assert file.start <= clip.start and file.end >= clip.end
        apart = np.abs(first_picture(sample[file.name]) - picture_at(media, file.start)).mean()
        assert apart < (0.5 if how == "copy" else 6)


def test_a_codec_that_mp4_does_not_hold_is_cut_exactly_and_says_so(shared_data: Path, tmp_path: Path) -> None:
    from interlink.media.clipfile import cut_clip

    short = tmp_path / "short.mp4"
    cut_clip(shared_data / "clips" / "bikes_hard_cuts.mp4", short, 0.0, 1.0, 64)
    media = tmp_path / "old.mkv"
    with av.open(str(short)) as source, av.open(str(media), "w") as target:
        stream = target.add_stream("vp8", rate=25, width=64, height=64)
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            plain = frame.reformat(64, 64, format="yuv420p")
            plain.pts, plain.time_base = number, Fraction(1, 25)
            target.mux(stream.encode(plain))
        target.mux(stream.encode())

    row = watch(Storage(str(tmp_path)), media, clip_files="copy", segmenter="fixed")

    assert row.fields["codec"] == "vp8"
    assert {clip["video"]["how"] for clip in row.fields["clips"]} == {"exact"}
    assert all(clip["video"]["file"] for clip in row.fields["clips"])


def test_sound_that_is_there_becomes_a_file_and_sound_that_is_not_a_reason(shared_data: Path, tmp_path: Path) -> None:
    root = Storage(str(tmp_path))
    media = shared_data / "clips" / "nasa_webb_multistream.mp4"
    row = watch(root, media, clip_audio="flac")
    (sample, *_) = sharded(root, media, row, clip_files=True)
    (file,) = load(sample["json"]).clips[0].files or ()
    assert (file.name, file.how) == ("c0.flac", "flac")
    with av.open(io.BytesIO(sample["c0.flac"])) as container:
        seconds = sum(frame.samples / frame.rate for frame in container.decode(audio=0))
    assert seconds == pytest.approx(file.end - file.start, abs=0.1)

    mute = watch(root, shared_data / "clips" / "bikes_hard_cuts.mp4", clip_audio="m4a", segmenter="fixed")
    assert all(clip["audio"]["problem"].startswith("no_media") for clip in mute.fields["clips"])


def test_files_beyond_the_limit_are_left_out_with_their_reason(shared_data: Path, tmp_path: Path) -> None:
    from interlink.media.clipblobs import add_files

    clips: list[dict[str, Any]] = [{"start": 0.0, "end": 1.0}, {"start": 1.0, "end": 2.0}]
    add_files(shared_data / "clips" / "bikes_hard_cuts.mp4", clips, "exact", "none", 64, 10)
    assert [clip["video"]["problem"].split(":")[0] for clip in clips] == ["too_large", "too_large"]


def test_recipes_without_files_keep_their_settings_and_their_shards(shared_data: Path, tmp_path: Path) -> None:
    assert not {name for name in acting(KeyframesSettings()) if name.startswith("clip_")}
    assert acting(ShardSettings()) == {"target_megabytes": 128}
    media, root = shared_data / "clips" / "bikes_hard_cuts.mp4", Storage(str(tmp_path))
    row = watch(root, media, clip_files="copy")

    (sample, *_) = sharded(root, media, row)

    assert not [name for name in sample if name.endswith(".mp4")]
    assert b'"files"' not in sample["json"]
