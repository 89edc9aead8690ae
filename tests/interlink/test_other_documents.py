"""Builds of pairs and web pages: the same documents and shards as of videos, whatever they came as."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

import img2dataset_stand_in
from builds import locked, sums
from interlink.api import Build
from interlink.fetch.img2dataset import PROGRAM
from interlink.release import ReleaseSettings


def build_of(kind: str, root: Path, source: Path, *sets: str) -> Build:
    return Build(kind, root, [f"source.path={source}", "executor.kind=inline", *sets])


def picture(seed: int, form: str = "JPEG", size: tuple[int, int] = (80, 60)) -> bytes:
    """A picture like no other: blocks of colours drawn by its seed."""
    drawn = random.Random(seed)
    small = Image.new("RGB", (8, 6))
    small.putdata([tuple(drawn.randrange(256) for _ in range(3)) for _ in range(48)])  # type: ignore[arg-type]
    buffer = io.BytesIO()
    small.resize(size, Image.Resampling.NEAREST).save(buffer, form)
    return buffer.getvalue()


def rows(build: Build, stage: str) -> dict[str, dict[str, Any]]:
    prints = locked(build.workspace).fingerprints
    return {
        key: row
        for name, _ in build.workspace.partitions()
        for key, row in build.workspace.partition(stage, prints[stage], name).rows().items()
    }


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A list of twelve pictures in several formats, one of them turned by its EXIF, and three that cannot be used."""
    folder = tmp_path / "list"
    (folder / "pictures").mkdir(parents=True)
    lines = []
    for number in range(12):
        form = ("JPEG", "PNG", "WEBP")[number % 3]
        (folder / "pictures" / f"{number}.{form.lower()}").write_bytes(picture(number, form, (600, 450)))
        lines.append({"path": f"pictures/{number}.{form.lower()}", "raw_caption": f"thing number {number}",
                      "shortIB_captions": [f"a thing {number}.", "on a table"]})  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    Image.new("RGB", (400, 300), "red").save(folder / "pictures" / "0.jpeg", exif=exif)
    (folder / "pictures" / "broken.jpg").write_bytes(picture(99)[:200])
    lines += [{"path": path, "raw_caption": "x"} for path in ("pictures/broken.jpg", "pictures/gone.jpg")]
    (folder / "pictures" / "untold.png").write_bytes(picture(98, "PNG"))
    lines.append({"path": "pictures/untold.png"})
    (folder / "list.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder / "list.jsonl"


def test_pairs_become_documents_of_one_picture_and_its_text(pairs: Path, tmp_path: Path) -> None:
    columns = "annotations.clips.columns=[raw_caption, shortIB_captions]"
    build = build_of("pairs", tmp_path / "root", pairs, columns, "source.dataset=mine")
    status = build.run().status
    assert status.documents == 12 and build.verify() == []
    assert status.stages["download"].errors == {"gone": 1}
    assert status.stages["keyframes"].errors == {"unreadable": 1}
    assert status.stages["annotations"].reasons == {"not_annotated": 1}
    documents = {document["source"]["path"]: document for document in build.documents()}
    document = documents["pictures/5.webp"]
    assert [segment["type"] for segment in document["segments"]] == ["frames", "text"]
    assert document["segments"][1]["text"] == "thing number 5. a thing 5. on a table."
    assert document["source"]["dataset"] == "mine" and document["provenance"]["models"] == {"caption": "source list"}
    frame = rows(build, "keyframes")[documents["pictures/0.jpeg"]["id"]]["clips"][0]["frames"][0]
    assert (frame["width"], frame["height"]) == (256, 341)  # upright, and no larger than the recipe says
    assert sums(build) == sums(built(build_of("pairs", tmp_path / "again", pairs, columns, "source.dataset=mine")))
    assert not build.run().worked

    build.release(["pairs", "obelics"], str(tmp_path / "release"), ReleaseSettings(val_share=0))
    assert (tmp_path / "release" / "pairs" / "train" / "00000.tar").exists()


def built(build: Build) -> Build:
    build.run()
    return build


def test_cosmos_reads_every_sentence_of_a_recaptioned_pair(pairs: Path, tmp_path: Path) -> None:
    from cosmos_train.stream.views.captions import scenes
    from cosmos_train.stream.views.settings import ViewSettings
    from interlink.shards import read_index, read_sample
    from interlink.storage import Storage

    build = built(
        build_of("pairs", tmp_path / "root", pairs, "annotations.clips.columns=[raw_caption, shortIB_captions]")
    )
    (name,) = sums(build)
    folder = Storage(str(tmp_path / "root" / locked(build.workspace).shards))
    entry = read_index(folder.full(name))[0]
    (scene,) = scenes(read_sample(folder, name, entry), ("caption",), ViewSettings())
    number = scene.sentences[0].rpartition(" ")[2]
    assert scene.sentences == (f"thing number {number}", f"a thing {number}", "on a table")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-in for img2dataset is asked for."""
    program = tmp_path / "img2dataset"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{img2dataset_stand_in.__file__}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(PROGRAM, str(program))
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "asked"))
    return tmp_path / "asked"


@pytest.mark.processes
def test_what_a_killed_build_has_is_not_asked_for_again(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"http://x/{n}" for n in range(500)]  # in shards of 200
    (tmp_path / "l.csv").write_text("url,caption\n" + "".join(f"{url},words\n" for url in urls))
    sets = [f"source.path={tmp_path / 'l.csv'}", "executor.kind=inline", "executor.flush_seconds=0.1"]
    command = [
        sys.executable,
        "-m",
        "interlink",
        "build",
        "pairs",
        "--root",
        str(tmp_path / "root"),
    ]
    environment = {**os.environ, "STAND_IN": "hang:2", "STAND_IN_PIDS": str(tmp_path / "pids")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen([*command, *(f"--set={one}" for one in sets)], env=environment)
    try:
        until = time.monotonic() + 60
        while committed(tmp_path / "root") < 200:
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert set(log.read_text().split()) == set(urls)
    kept = committed(tmp_path / "root")
    log.unlink()
    status = build_of("pairs", tmp_path / "root", tmp_path / "l.csv").run(stages=["download"]).status
    assert status.stages["download"].ok == 500
    assert len(log.read_text().split()) == 500 - kept <= 300


def committed(root: Path) -> int:
    """Rows in the parts of open partitions."""
    return sum(pq.read_metadata(path).num_rows for path in root.glob("tables/download/*/*/part-*.parquet"))


@pytest.mark.processes
def test_a_retry_asks_only_for_what_failed(tmp_path: Path, log: Path) -> None:
    urls = [f"http://x/{n}" for n in range(5)] + ["http://x/error/HTTP_Error_404", "http://x/error/HTTP_Error_429"]
    (tmp_path / "l.csv").write_text("url,caption\n" + "".join(f"{url},words\n" for url in urls))
    build = build_of("pairs", tmp_path / "root", tmp_path / "l.csv", "retry.base_seconds=0", "retry.max_attempts=2")
    status = build.run().status
    assert status.documents == 5 and build.verify() == []
    assert status.stages["download"].errors == {"gone": 1, "throttled": 1}
    asked = log.read_text().split()
    assert sorted(asked) == sorted([*urls, urls[-1]])  # what may pass by itself is asked for again
    build.retry(["throttled"])
    assert set(log.read_text().split()[len(asked) :]) == {urls[-1]}


@pytest.mark.processes
def test_another_picture_than_the_lists_is_gone(tmp_path: Path, log: Path) -> None:
    right = hashlib.sha256(img2dataset_stand_in.picture(0)).hexdigest()  # of the one URL that is asked for
    for name, wanted, errors in (("right", right, {}), ("wrong", "0" * 64, {"gone": 1})):
        (tmp_path / f"{name}.csv").write_text(f"url,caption,sha256\nhttp://x/1,words,{wanted}\n")
        sets = "download.images.hash_column=sha256"
        build = build_of("pairs", tmp_path / name, tmp_path / f"{name}.csv", sets)
        assert build.run(stages=["collect", "download"]).status.stages["download"].errors == errors


def test_pages_keep_the_order_of_texts_and_pictures(tmp_path: Path) -> None:
    def base64_of(seed: int) -> dict[str, str]:
        return {"image_base64": base64.b64encode(picture(seed)).decode()}

    obelics = {"texts": ["lead", None, "about it", "and more", None, None, "last"],
               "image_info": [None, base64_of(1), None, None, base64_of(2), base64_of(3), None]}  # fmt: skip
    mmc4 = {"url": "http://page/2", "text_list": ["zero", "one"],
            "image_info": [{**base64_of(4), "matched_text_index": 1}]}  # fmt: skip
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, [obelics, mmc4, {"texts": ["words"]}, {"a": 1}])))
    build = build_of("pages", tmp_path / "root", tmp_path / "pages.jsonl")
    status = build.run().status
    assert status.documents == 2 and build.verify() == []
    assert status.stages["download"].reasons == {"no_images": 1}
    assert status.stages["download"].errors == {"unreadable": 1}

    def shape(document: dict[str, Any]) -> list[str]:
        return [segment.get("text", f"{len(segment.get('images', ()))} pictures") for segment in document["segments"]]

    found = {document["source"]["url"]: document for document in build.documents()}
    assert shape(found[""]) == ["lead", "1 pictures", "about it and more", "1 pictures", "1 pictures", "last"]
    assert shape(found["http://page/2"]) == ["zero", "1 pictures", "one"]


def test_a_page_goes_on_without_the_pictures_that_are_gone(tmp_path: Path) -> None:
    infos = [{"image_base64": base64.b64encode(picture(1)).decode()}, {"image_name": "nowhere.jpg"}]
    page = {"texts": [None, "one", None, "two"], "image_info": [infos[0], None, infos[1], None]}
    (tmp_path / "pages.jsonl").write_text(json.dumps(page))
    build = build_of("pages", tmp_path / "root", tmp_path / "pages.jsonl")
    assert build.run().status.documents == 1
    (row,) = rows(build, "download").values()
    assert row["partial"] and "1 of 2 pictures are missing" in row["message"]
    assert [p["problem"][:8] for p in row["pictures"]] == ["", "no_media"]
    (document,) = build.documents()
    assert [clip["caption"] for clip in document["clips"]] == ["one two"]


@pytest.fixture
def clip_sets(tmp_path: Path) -> tuple[str, ...]:
    from tiny_checkpoints import save_clip

    name, weights = save_clip(tmp_path / "clip")
    return (f"score.open_clip.model={name}", f"score.open_clip.pretrained={weights}", "score.open_clip.device=cpu")


def test_pairs_are_selected_by_similarity_and_from_clusters(tmp_path: Path, clip_sets: tuple[str, ...]) -> None:
    lines = []
    for number in range(24):
        (tmp_path / f"{number}.png").write_bytes(picture(number, "PNG", (64, 64)))
        lines.append({"id": f"p{number}", "path": f"{number}.png", "caption": f"a thing called {number} on a table"})
    Image.open(tmp_path / "3.png").save(tmp_path / "copy.jpg", quality=80)  # the same picture with other words
    lines.append({"id": "copy", "path": "copy.jpg", "caption": "something else entirely"})
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sets = (*clip_sets, "select.clusters=3", "select.keep_share=0.5")
    build = build_of("select_pairs", tmp_path / "root", tmp_path / "l.jsonl", *sets)
    status = build.run().status
    assert build.verify() == []

    found, sketches = rows(build, "select"), rows(build, "sketch")
    by = {key: row["reason"] for key, row in found.items() if row["status"] == "dropped"}
    duplicates = {key: row["duplicate_of"] for key, row in found.items() if row["reason"] == "duplicate"}
    assert duplicates in ({"copy": "p3"}, {"p3": "copy"})  # the first in the build's order stays

    left = sorted((key for key in found if key not in duplicates), key=lambda key: sketches[key]["similarity"])
    assert {key for key, reason in by.items() if reason == "low_similarity"} == set(left[:12])

    clusters: dict[int, list[tuple[float, str]]] = {}
    for key in left[12:]:
        clusters.setdefault(found[key]["cluster"], []).append((found[key]["distance"], key))
    assert 1 < len(clusters) <= 3
    for inside in clusters.values():
        inside.sort()
        kept = [place for place, (_, key) in enumerate(inside) if key not in by]
        assert len(kept) == max(1, round(len(inside) / 2))
        wanted = [(2 * n + 1) * len(inside) // (2 * len(kept)) for n in range(len(kept))]
        assert kept == wanted  # evenly spread from the centre outwards
    assert set(by.values()) == {"duplicate", "low_similarity", "not_selected"}
    assert status.documents == 25 - len(by)
    assert {document["id"] for document in build.documents()} == set(found) - set(by)

    other = Build(None, tmp_path / "root", ["select.lowest_share=0", "select.clusters=0", "executor.kind=inline"])
    assert other.run(stages=["select", "interleave", "shard"]).status.documents == 24  # nothing is scored anew
