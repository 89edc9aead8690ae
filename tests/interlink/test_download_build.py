"""A build from a list of URLs, some of them bad: each lands in its class, and `retry` fetches what then works."""

from __future__ import annotations

from pathlib import Path

import pytest

from builds import SAMPLE, locked
from http_server import MediaServer
from interlink.api import Build

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
