"""Same input, same bytes, whatever happens on the way; and what is committed stays committed. On whole builds."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builds import locked, make, start, sums, tables
from interlink.api import Build
from interlink.sample import render
from leftovers import left, mark
from tiny_checkpoints import save_blip2


@pytest.fixture(scope="module")
def reference(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The build that others must equal: inline, undisturbed."""
    build = make(tmp_path_factory.mktemp("reference") / "root", sample_clips)
    build.run()
    return build


def test_a_build_ends_with_a_document_for_every_video(reference: Build, sample_clips: Path) -> None:
    status = reference.status()
    videos = json.loads((sample_clips / "truth.json").read_text())["videos"]
    assert status.documents == len(videos)
    assert all(stage.pending == stage.failed == 0 for stage in status.stages.values())
    assert reference.verify() == []


def test_a_second_run_does_nothing(reference: Build) -> None:
    before = tables(reference.workspace)
    began = time.monotonic()
    assert not reference.run().worked
    assert time.monotonic() - began < 15
    assert tables(reference.workspace) == before


def test_the_same_source_listed_elsewhere_gives_the_same_shards(
    reference: Build, sample_clips: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(sample_clips, moved)
    build = make(tmp_path / "root", moved)
    build.run()
    assert sums(build) == sums(reference)


def test_more_videos_make_a_new_generation_and_leave_old_tables_alone(sample_clips: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    shutil.copytree(sample_clips, clips)
    build = make(tmp_path / "root", clips)
    build.run()
    before = tables(build.workspace)
    render(clips, 8, 0)
    outcome = make(tmp_path / "root", clips).run()
    assert (outcome.new, outcome.status.documents) == (2, 8)
    after = tables(build.workspace)
    assert before.items() <= after.items()


def test_a_limit_is_a_prefix_that_later_work_keeps(reference: Build, sample_clips: Path, tmp_path: Path) -> None:
    build = make(tmp_path / "root", sample_clips)
    assert build.run(limit=2).status.documents == 2
    assert build.run().status.documents == 6
    assert sums(build) == sums(reference)


def test_the_same_committed_captions_give_the_same_shards(sample_clips: Path, tmp_path: Path) -> None:
    model = save_blip2(tmp_path / "model")
    sets = (
        "caption.engine=transformers",
        f"caption.transformers.model={model}",
        "caption.transformers.max_new_tokens=4",
    )
    build = make(tmp_path / "root", sample_clips, *sets)
    build.run(limit=2)
    shards, folder = sums(build), Path(build.workspace.storage.url)
    captions = {path: digest for path, digest in tables(build.workspace).items() if "/caption/" in path}
    for made in ("tables/interleave", "tables/shard", "shards"):
        shutil.rmtree(folder / made)
    assert build.run(limit=2).worked
    assert sums(build) == shards
    assert {path: digest for path, digest in tables(build.workspace).items() if "/caption/" in path} == captions


@pytest.mark.slow
@pytest.mark.processes
def test_killed_at_ten_random_moments_the_shards_are_the_same(
    sample_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, journal = tmp_path / "root", tmp_path / "journal"
    monkeypatch.setenv("JOURNAL", str(journal))
    sets = (
        "stages=[download, transcribe, keyframes=journal, caption, interleave, shard]",
        "executor.flush_seconds=0.01",
    )
    undisturbed = make(tmp_path / "undisturbed", sample_clips, *sets)
    undisturbed.run()
    journal.write_text("")
    draw = random.Random(0)
    kills = 0
    while True:
        committed, seen = _committed(root), len(journal.read_text().split())
        process = start(root, sample_clips, *sets, "executor.kind=inline")
        if kills < 10:
            time.sleep(draw.uniform(0.3, 1.6))  # from the first moments of a start to deep in the work
            kills += process.poll() is None
            process.kill()
        out, _ = process.communicate()
        again = set(journal.read_text().split()[seen:]) & committed
        assert not again, f"committed and made again: {again}"
        if process.returncode >= 0:
            assert process.returncode == 0, out.decode()
            if kills == 10:
                break
            shutil.rmtree(root)  # it ended before it could be killed: once more from the start
            journal.write_text("")
    assert sums(root) == sums(undisturbed)


def _committed(root: Path) -> set[str]:
    """Ids with a committed keyframes row."""
    if not (root / "recipe.lock.json").exists():
        return set()
    space = Build(None, root).workspace
    print_ = locked(space).fingerprints["keyframes"]
    return {key for name, _ in space.partitions() for key in space.partition("keyframes", print_, name).load().entries}


@pytest.mark.slow
@pytest.mark.ray
def test_ray_on_one_and_two_cpus_gives_the_same_shards(reference: Build, sample_clips: Path, tmp_path: Path) -> None:
    for cpus in (1, 2):
        build = make(tmp_path / f"root{cpus}", sample_clips, "executor.kind=ray", f"executor.cpus={cpus}")
        build.run()
        assert sums(build) == sums(reference)
        assert tables(build.workspace) == tables(reference.workspace)


@pytest.mark.slow
@pytest.mark.ray
def test_killed_under_ray_the_shards_are_the_same(reference: Build, sample_clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    draw = random.Random(1)
    for _ in range(3):
        process = start(root, sample_clips, "executor.kind=ray")
        time.sleep(draw.uniform(8, 16))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    process = start(root, sample_clips, "executor.kind=ray")
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out.decode()
    assert sums(root) == sums(reference)


@pytest.mark.ray
@pytest.mark.slow
def test_poison_under_ray_costs_four_rows_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = tmp_path / "clips"
    videos = render(clips, 30, 3)
    for path, name in zip(videos, ("segfault", "killer", "hang", "hungry"), strict=False):
        path.rename(clips / f"{name}.mp4")
    token = mark(monkeypatch)
    stages = "stages=[download, transcribe, keyframes=poison, caption, interleave, shard]"
    build = make(tmp_path / "root", clips, "executor.kind=ray", "executor.memory_mb=700", stages)
    status = build.run().status
    found = {}
    for name, _ in build.workspace.partitions():
        print_ = locked(build.workspace).fingerprints["keyframes"]
        for key, row in build.workspace.partition("keyframes", print_, name).rows().items():
            if row["status"] == "failed":
                found[key.split("-")[0]] = row["error_class"]
    assert found == {"segfault": "crash", "killer": "crash", "hang": "stalled", "hungry": "memory"}
    assert status.documents == 26
    assert left(token) == []


@pytest.fixture
def bucket() -> Iterator[dict[str, object]]:
    """A bucket on an S3 server on loopback."""
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    import boto3

    place = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"}
    boto3.client("s3", aws_access_key_id="k", aws_secret_access_key="s", **place).create_bucket(Bucket="bucket")
    options: dict[str, object] = {"key": "k", "secret": "s", "client_kwargs": place}
    yield options
    server.stop()


@pytest.mark.processes
@pytest.mark.slow
def test_a_build_on_object_storage_equals_the_local_one(
    reference: Build, sample_clips: Path, bucket: dict[str, object]
) -> None:
    build = make("s3://bucket/some/root", sample_clips, **bucket)
    build.run()
    assert sums(build) == sums(reference)
    assert tables(build.workspace) == tables(reference.workspace)
    assert build.verify() == []
    assert not make("s3://bucket/some/root", sample_clips, **bucket).run().worked
