"""A hostile site: each item ends in its class, nothing asks the canary, nothing is written outside the root."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")
pytest.importorskip("Cryptodome", reason="pycryptodomex (the extra `download`) is not installed")

from hostile_server import BURNING, SECRET, SITE, Hostile
from interlink.fetch import pool
from interlink.stage import Context, Item, Row
from interlink.stages.download import Download, DownloadSettings
from interlink.storage import Storage

pytestmark = pytest.mark.processes
CLIP = b"\x00\x00\x00\x18ftypmp42" + bytes(30_000)


@pytest.fixture
def site() -> Iterator[Hostile]:
    with Hostile(CLIP) as running:
        yield running


def fetched(folder: Path, site: Hostile, paths: list[str], **settings: Any) -> dict[str, Row]:
    """Path -> the row of the stage `download`."""
    given = {"concurrency": 16, "requests_per_second": 500, "burst": 500, "max_megabytes": 4, "max_seconds": 3600}
    given |= {"timeout_seconds": 2, "stall_seconds": 12, "allow_hosts": (site.host,), "proxy": "", **settings}
    context = Context(Storage(str(folder)))
    stage = Download(DownloadSettings(**given), context)

    def item(path: str) -> Item:
        source = {"kind": "url", "uri": site.url(path), "title": "", "video_id": ""}
        return Item(path.strip("/").replace("/", "-").replace(".", "-"), "000", {"collect": source}, {}, context)

    by_id = {item(path).id: path for path in paths}
    stage.open()
    try:
        return {by_id[row.id]: row for row in stage.run(item(path) for path in paths)}
    finally:
        stage.close()


def outcome(row: Row) -> str:
    return "partial" if row.partial else row.error_class or row.status


def test_each_behaviour_ends_in_its_class_and_the_canary_is_never_asked(site: Hostile, tmp_path: Path) -> None:
    root = tmp_path / "a" / "b" / "c" / "root"
    rows = fetched(root, site, list(SITE))

    assert {path: outcome(row) for path, row in rows.items()} == SITE
    assert site.canary_hits == []
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and root not in path.parents]
    assert outside == []
    assert not any(path.name.startswith("outside") for path in root.rglob("*"))
    assert not list((root / ".scratch").glob("download-*"))
    kept = b"".join(subtitle["data"].data for row in rows.values() for subtitle in row.fields.get("subtitles", []))
    assert SECRET.encode() not in kept
    assert all("\n" not in row.message and len(row.message) < 1500 for row in rows.values())
    assert max(site.hits[path] for path in SITE if path.startswith("/status/")) <= 3, (
        "one attempt asks a path a few times at most"
    )


def test_a_page_that_burns_its_process_costs_no_other_transfer(
    site: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SILENCE", 4.0)
    slow = [f"/slow.mp4?{n}" for n in range(5)]
    began = time.monotonic()
    rows = fetched(tmp_path / "root", site, [BURNING, *slow], concurrency=6, stall_seconds=60)

    assert {path: outcome(row) for path, row in rows.items()} == {BURNING: "stalled", **dict.fromkeys(slow, "ok")}
    assert "kept its process busy" in rows[BURNING].message
    assert time.monotonic() - began < 60
