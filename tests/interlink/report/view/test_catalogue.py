"""The catalogue holds what the tables hold, is made whole or not at all, and brought up to date by parts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from builds import locked
from interlink.api import Build
from interlink.report.view import fill, make, place
from interlink.report.view.catalogue import Catalogue, open_current, update
from interlink.report.view.funnel import video_funnel
from interlink.report.view.opened import DATABASE
from interlink.runtime.workspace import Workspace
from interlink.storage import Storage


def space(root: Path) -> Workspace:
    return Workspace(Storage(str(root)))


def content(catalogue: Catalogue) -> dict[str, object]:
    """All of it, without the numbers that only order its rows."""
    found: dict[str, object] = {
        "items": [tuple(row)[1:] for row in catalogue.rows("SELECT * FROM items ORDER BY number")],
        "docs": [tuple(row)[1:] for row in catalogue.rows("SELECT * FROM docs ORDER BY partition, key")],
        "words": sorted(
            row[0]
            for row in catalogue.rows(
                "SELECT key FROM docs JOIN words ON words.rowid = docs.number WHERE words MATCH 'the'"
            )
        ),
        "meta": {row[0]: row[1] for row in catalogue.rows("SELECT name, value FROM meta")},
    }
    for group in ("clips", "frames", "docs"):
        arrays = getattr(catalogue, group)
        found |= {f"{group}.{name}": arrays[name].tobytes() for name in arrays if name != "number" or group != "docs"}
    return found


def test_the_catalogue_counts_what_status_counts(root: Path) -> None:
    build, catalogue = Build(None, root), update(space(root))
    status = build.status()
    assert catalogue.meta("status") == json.loads(json.dumps(status.json()))
    assert len(catalogue.docs["clips"]) == status.documents
    assert [int(catalogue.docs[name].sum()) for name in ("clips", "frames", "tokens")] == [
        status.clips, status.frames, status.text_tokens,
    ]  # fmt: skip
    funnel = catalogue.meta("clip_funnel")
    assert funnel["used"] == status.clips
    assert funnel["cut"] == funnel["used"] + funnel["stopped"] + sum(funnel["left_out"].values())
    # An item that fails at two stages side by side is shown at its first stop.
    stages = {stage.name: stage for stage in video_funnel(catalogue.meta("status"), catalogue.meta("stops"))}
    assert (stages["transcribe"].failed, stages["keyframes"].failed) == (1, 1)
    assert [stop.why for stop in stages["transcribe"].stops] == ["unreadable"]
    assert stages["keyframes"].stops == ()


def test_every_document_has_its_clips_scores_text_and_frames(root: Path) -> None:
    build, catalogue = Build(None, root), update(space(root))
    documents = {document["id"]: document for document in build.documents()}
    rows = catalogue.rows("SELECT * FROM docs")
    assert {row["key"] for row in rows} == set(documents)
    place_of = {int(number): n for n, number in enumerate(catalogue.docs["number"])}
    for row in rows:
        document = documents[row["key"]]
        inside = np.flatnonzero(catalogue.clips["document"] == place_of[row["number"]])
        assert [round(float(catalogue.clips["start"][n]), 6) for n in inside] == [c["start"] for c in document["clips"]]
        assert row["lead"].startswith(next(s["text"] for s in document["segments"] if s["type"] == "text")[:20])
        images = [image for s in document["segments"] if s["type"] == "frames" for image in s["images"]]
        assert len(json.loads(row["cover"])) == min(6, len(images))
    # Each frame's bytes are a JPEG.
    for partition in catalogue.partitions:
        for n in range(partition.first["frames"], partition.first["frames"] + partition.count["frames"]):
            size = int(catalogue.frames["size"][n])
            data = build.workspace.storage.read_range(partition.blobs, int(catalogue.frames["offset"][n]), size)
            assert data[:2] == b"\xff\xd8"
            assert data[-2:] == b"\xff\xd9"


def test_a_second_update_changes_nothing_and_an_incremental_one_equals_one_from_scratch(
    copied: Callable[[], Path], sample_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied()
    first = update(space(root))
    assert update(space(root)).folder == first.folder
    before = content(first)
    build = Build(None, root)
    clips = Path(build.recipe.base.source.path)
    extra = clips.parent / "more"
    shutil.copytree(clips, extra)
    for file in sample_clips.glob(f"{sorted(sample_clips.glob('*.mp4'))[3].stem}.*"):
        shutil.copy(file, extra / f"another{''.join(file.suffixes[-2:]) if file.suffix == '.vtt' else file.suffix}")
    Build(None, root, [f"source.path={extra}"]).run()

    read: list[str] = []
    monkeypatch.setattr(
        make, "content", lambda tables, name, *rest: (read.append(name), fill.content(tables, name, *rest))[1]
    )
    updated = update(space(root))
    incremental = content(updated)

    assert incremental != before
    assert 0 < len(read) < len(updated.partitions)
    assert len(list((root / "view").iterdir())) == 3  # the one catalogue, `current` and the lock
    shutil.rmtree(root / "view")
    assert content(update(space(root))) == incremental


def test_rows_of_an_earlier_version_are_judged_by_the_stages_own_functions(copied: Callable[[], Path]) -> None:
    root = copied()
    expected = content(update(space(root)))
    shutil.rmtree(root / "view")
    for path in (root / "tables" / "interleave").rglob("rows-*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["judged"]), path)

    assert content(update(space(root))) == expected


def test_a_catalogue_that_is_killed_while_it_is_made_is_harmless(copied: Callable[[], Path]) -> None:
    root = copied()
    code = (
        "import sys, signal\n"
        "from interlink.report.view import arrays, catalogue\n"
        "from interlink.runtime.workspace import Workspace\n"
        "from interlink.storage import Storage\n"
        "def half(folder, groups):\n"
        "    (folder / 'clips.start.npy').write_bytes(b'half')\n"
        "    print('writing', flush=True)\n"
        "    signal.pause()\n"
        "arrays.write = half\n"
        "catalogue.update(Workspace(Storage(sys.argv[1])))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, env=os.environ)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    workspace = space(root)
    assert open_current(workspace, locked(workspace)) is None
    assert list((root / "view").glob(".tmp-*"))
    made = update(workspace)
    assert len(made.docs["clips"]) == Build(None, root).status().documents
    assert not list((root / "view").glob(".tmp-*"))


def test_a_damaged_catalogue_or_one_of_another_version_is_made_again(copied: Callable[[], Path]) -> None:
    root = copied()
    first = update(space(root))
    (first.folder / DATABASE).write_bytes(b"no database")
    assert update(space(root)).meta("name") == "sample"


def test_a_root_that_is_read_only_has_its_catalogue_in_the_cache(
    copied: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = copied()
    monkeypatch.setattr(os, "access", lambda *_: False)  # tests may run as root, who may write everywhere
    made = update(space(root))
    assert made.folder.is_relative_to(tmp_path / "cache")
    assert place.current(place.folder_of(Storage(str(root)))) == made.folder


def test_a_build_goes_on_with_and_without_a_catalogue(copied: Callable[[], Path]) -> None:
    root = copied()
    update(space(root))
    started = time.monotonic()
    assert not Build(None, root).run().worked
    assert Build(None, root).outdated() == []
    assert time.monotonic() - started < 60
