"""A build from a list of URLs, some of them bad: each lands in its class, and `retry` fetches what then works."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from builds import SAMPLE, locked
from http_server import MediaServer
from interlink.api import Build
from interlink.errors import UserError

CLASSES = {
    "/clip.mp4": "ok",
    "/page.html": "ok",
    "/status/403.mp4": "blocked",
    "/status/404.mp4": "gone",
    "/throttled.mp4": "throttled",
    "/stall.mp4": "stalled",
    "/truncated.mp4": "network",
    "/plain.html": "no_media",
}


def outcomes(build: Build, stage: str) -> dict[str, str]:
    """Path of the URL -> ok or the failure's class."""
    found = {}
    prints = locked(build.workspace).fingerprints
    for name, _ in build.workspace.partitions():
        source = build.workspace.source_rows(name)
        for key, row in build.workspace.partition(stage, prints[stage], name).rows().items():
            path = "/" + source[key]["uri"].split("/", 3)[3]
            found[path] = row["error_class"] or row["status"]
    return found


@pytest.mark.processes
def test_every_url_lands_in_its_class_and_retry_fetches_what_then_works(sample_clips: Path, tmp_path: Path) -> None:
    clip = next(sample_clips.glob("*.mp4")).read_bytes()
    with MediaServer(clip) as server:
        urls = tmp_path / "urls.txt"
        urls.write_text("\n".join(server.url(path) for path in CLASSES))
        sets = [f"source.path={urls}", "executor.kind=inline", "download.stall_seconds=2", "retry.base_seconds=0.05"]
        sets += ["retry.longest_seconds=0.2", "retry.max_attempts=2", "download.requests_per_second=50", "name=urls"]
        sets += ["download.allow_hosts=[127.0.0.1]"]
        sets += ["download.patience_seconds=3", "interleave.require_text=false", "source.kind=list"]
        build = Build(SAMPLE, tmp_path / "root", sets)
        outcome = build.run()
        assert outcomes(build, "download") == CLASSES
        assert outcome.status.documents == 2
        assert server.hits["/status/404.mp4"] == 1, "what does not retry by itself is asked once"

        before, hits = outcomes(build, "keyframes"), server.hits["/clip.mp4"]
        server.stop_misbehaving.set()
        status = build.retry(["throttled"]).status
        assert outcomes(build, "download") == {**CLASSES, "/throttled.mp4": "ok"}
        assert outcomes(build, "keyframes") == {**before, "/throttled.mp4": "ok"}
        assert status.documents == 3
        assert build.verify() == []
        assert server.hits["/clip.mp4"] == hits, "what was fetched is not fetched again"
    media = build.workspace.storage.names("media")
    assert len(media) == 3
    assert not list((tmp_path / "root" / ".scratch").iterdir())


SECRETS = [f"c4n4ry{n}x" for n in range(10)]


def contents(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder as text: tables through a reader, since their pages are compressed."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix == ".parquet":
            yield path, json.dumps(pq.ParquetFile(path).read().to_pylist(), default=repr)
        elif path.is_file():
            yield path, path.read_bytes().decode("latin-1")


@pytest.mark.processes
def test_secrets_of_urls_and_recipes_stay_in_the_generations(sample_clips: Path, tmp_path: Path) -> None:
    clip = next(sample_clips.glob("*.mp4")).read_bytes()
    cookies = tmp_path / f"{SECRETS[0]}.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n")
    with MediaServer(clip) as server:
        urls = tmp_path / "urls.txt"
        host = server.url("").removeprefix("http://")
        urls.write_text(
            f"{server.url('/clip.mp4')}?token={SECRETS[1]}&part=1\n"
            f"{server.url('/page.html')}?X-Amz-Signature={SECRETS[2]}&sig=%2B{SECRETS[3]}\n"
            f"{server.url('/status/404.mp4')}?access_token={SECRETS[4]}\n"
            f"{server.url('/plain.html')}?session={SECRETS[5]}\n"
            f"http://{SECRETS[6]}:{SECRETS[7]}@{host}/clip.mp4\n"
            f"{server.url('/moved_signed.mp4')}?to=/status/410.mp4?sig={SECRETS[8]}\n"
        )
        headers = f"download.ydl_options={{http_headers: {{Authorization: Bearer {SECRETS[9]}}}}}"
        sets = [f"source.path={urls}", "executor.kind=inline", headers, f"download.cookies={cookies}", "name=urls"]
        sets += ["source.kind=list", "download.allow_hosts=[127.0.0.1]", "interleave.require_text=false"]
        sets += ["download.requests_per_second=50"]
        build = Build(SAMPLE, tmp_path / "root", sets)
        build.run()
        build.release(["parquet"], str(tmp_path / "release"))

    assert build.status().documents == 2
    leaks = {
        (path.relative_to(tmp_path).as_posix(), secret)
        for folder in ("root", "release")
        for path, text in contents(tmp_path / folder)
        for secret in SECRETS
        if secret in text and path.parent.name != "generations"
    }
    assert leaks == set()
    assert not any(secret in json.dumps(build.why(item).json()) for item in ids(build) for secret in SECRETS)
    (generation,) = (tmp_path / "root" / "generations").glob("*.parquet")
    assert stat.S_IMODE(generation.stat().st_mode) == 0o600
    assert {row["url"].rpartition("/")[2] for row in rows(build)} >= {"clip.mp4?part=1", "page.html"}

    with pytest.raises(UserError, match="does not store download"):
        Build(None, tmp_path / "root").run()


def ids(build: Build) -> list[str]:
    return [key for name, _ in build.workspace.partitions() for key in build.workspace.source_rows(name)]


def rows(build: Build) -> Iterator[dict[str, str]]:
    prints = locked(build.workspace).fingerprints
    for name, _ in build.workspace.partitions():
        for row in build.workspace.partition("download", prints["download"], name).rows().values():
            if row["status"] == "ok":
                yield row
