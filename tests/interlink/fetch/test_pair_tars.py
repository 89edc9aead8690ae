"""Tars that img2dataset, open_clip's users and we write, as the source of a build of pairs."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from interlink.api import Build
from interlink.errors import UserError
from interlink.fetch import pairs
from interlink.fetch.counts import SourceCounts
from interlink.storage import Storage
from releasing import make, put, simple

Members = dict[str, bytes]


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), (40 * number, 90, 200)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_tar(path: Path, samples: list[tuple[str, Members]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for key, members in samples:
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return path


def img2dataset(number: int) -> tuple[str, Members]:
    """As img2dataset 1.47 writes a sample, with a licence column."""
    about = {
        "key": f"{number:09d}",
        "caption": f"thing {number}",
        "url": "http://a/b",
        "license": "CC0",
        "status": "success",
    }
    return f"{number:09d}", {
        "jpg": picture(number), "txt": f"thing {number}".encode(), "json": json.dumps(about, indent=4).encode(),
    }  # fmt: skip


def texts_of(source: Path, root: Path) -> list[str]:
    sets = [f"source.path={source}", "executor.kind=inline", "annotations.clips.columns=[caption]"]
    build = Build("pairs", root, sets)
    build.run()
    assert build.verify() == []
    return sorted(clip["caption"] for document in build.documents() for clip in document["clips"])


def test_a_folder_of_img2datasets_tars_becomes_documents(tmp_path: Path) -> None:
    write_tar(tmp_path / "data" / "00000.tar", [img2dataset(n) for n in range(3)])
    write_tar(tmp_path / "data" / "00001.tar", [img2dataset(n) for n in range(3, 5)])
    (tmp_path / "data" / "00000.parquet").write_bytes(b"the table next to it")
    assert texts_of(tmp_path / "data", tmp_path / "root") == [f"thing {n}" for n in range(5)]


def test_pairs_without_json_have_their_txt(tmp_path: Path) -> None:
    """As users of open_clip write them, in folders inside the tar."""
    samples = [(f"train/{n:05d}", {"jpg": picture(n), "txt": f"a {n}\n".encode()}) for n in range(2)]
    found = texts_of(write_tar(tmp_path / "a.tar", samples), tmp_path / "root")
    assert found == ["a 0", "a 1"]


def test_our_own_pairs_are_read_back(tmp_path: Path) -> None:
    make(put(Storage(str(tmp_path / "old")), [simple(0)]), tmp_path / "out", "pairs", val_share=0.0)
    found = texts_of(tmp_path / "out" / "pairs", tmp_path / "root")
    assert found == ["A hand does step 0."] * 2 + ["A hand does step 1."] * 2


def test_rows_have_the_origin_and_what_is_no_pair_fails_alone(tmp_path: Path) -> None:
    samples = [img2dataset(1), ("x", {"txt": b"words"}), ("y", {"jpg": picture(2), "json": b"[1]"})]
    path = write_tar(tmp_path / "a.tar", samples)
    first, second, third = pairs.scan(path, (), {}, tmp_path, SourceCounts())
    assert (first.fields["path"], first.fields["licence"]) == ("a.tar/000000001.jpg", "CC0")
    assert (second.status, third.status) == ("failed", "failed")
    assert "has no picture, but txt" in second.message and "is a list, not an object" in third.message


def test_a_damaged_tar_among_others_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar" * 300)
    with tarfile.open(tmp_path / "b.tar", "w") as file:
        for name, data in (("0.jpg", picture(0)), ("0.txt", b"a cup")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    damaged, whole = pairs.scan(tmp_path, (), {}, tmp_path, SourceCounts())
    assert (damaged.status, damaged.error_class) == ("failed", "unreadable") and "a.tar" in damaged.message
    assert whole.status == "ok"


def test_a_tar_that_is_damaged_and_a_folder_without_tars_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar" * 300)
    with pytest.raises(UserError, match=r"a\.tar cannot be read"):
        list(pairs.scan(tmp_path / "a.tar", (), {}, tmp_path, SourceCounts()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there are no tars"):
        list(pairs.scan(tmp_path / "empty", (), {}, tmp_path, SourceCounts()))


def test_videos_in_tars_are_a_source_of_a_build(sample_clips: Path, tmp_path: Path) -> None:
    """As video2dataset writes them: mp4, txt and json; the json's caption is a column of the list."""
    from interlink.stages.collect import SourceSettings
    from interlink.stages.collect import scan as collect

    first, second = sorted(sample_clips.glob("*.mp4"))[:2]
    samples = [
        (f"{n:08d}", {"mp4": path.read_bytes(), "txt": b"a hand", "json": json.dumps({"videoid": f"v{n}"}).encode()})
        for n, path in enumerate((first, second))
    ]
    write_tar(tmp_path / "data" / "00000.tar", [*samples, ("x", {"jpg": picture(0)})])
    rows = list(collect(SourceSettings(path=str(tmp_path / "data"))))
    assert [row.status for row in rows] == ["ok", "ok", "failed"]
    assert json.loads(rows[0].fields["metadata"])["caption"] == "a hand"
    build = Build("folder", tmp_path / "root", [f"source.path={tmp_path / 'data'}", "executor.kind=inline"])
    status = build.run().status
    assert (status.stages["download"].ok, status.stages["keyframes"].ok) == (2, 2)
    (folder,) = (tmp_path / "root").glob("media")
    assert sorted(path.read_bytes() for path in folder.iterdir()) == sorted(p.read_bytes() for p in (first, second))
