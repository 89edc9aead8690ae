"""Downloading from a real server on loopback, by the real yt-dlp: each way to fail lands in its class."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from interlink.errors import UserError
from interlink.settings import marks_of
from interlink.stage import Context, Item, Row
from interlink.stages import download
from interlink.stages.download import Download, DownloadSettings
from interlink.storage import Storage
from interlink.tables import DOWNLOAD

QUICK = {
    "requests_per_second": 1000,
    "burst": 100,
    "timeout_seconds": 10,
    "stall_seconds": 20,
    "patience_seconds": 5,
    "proxy": "",
}
IMPATIENT = {"timeout_seconds": 0.7, "stall_seconds": 1.5}  # for servers that keep silent


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process a test would cost a second each; tests of the pool and of builds have them."""
    if find_spec("yt_dlp") is not None:
        from direct_fetching import DirectPool

        monkeypatch.setattr(download, "Pool", DirectPool)


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    (tmp_path / "root").mkdir()
    return Storage(str(tmp_path / "root"))


def item(root: Storage, item_id: str, uri: str, kind: str = "url", title: str = "", video_id: str = "") -> Item:
    row = {"kind": kind, "uri": uri, "title": title, "video_id": video_id or item_id}
    return Item(item_id, "000", {"collect": row}, {}, Context(root))


def run(root: Storage, items: list[Item], **settings: Any) -> dict[str, Row]:
    stage = Download(DownloadSettings(**{**QUICK, **settings}), Context(root))
    stage.open()
    rows = list(stage.run(iter(items)))
    stage.close()
    assert sorted(row.id for row in rows) == sorted(item.id for item in items)
    return {row.id: row for row in rows}


def fetch(root: Storage, url: str, **settings: Any) -> Row:
    pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")
    return run(root, [item(root, "x", url)], **settings)["x"]


def files_of(root: Storage) -> list[str]:
    found = []
    for parent, folders, names in os.walk(root.url):
        folders[:] = [name for name in folders if name != "yt-dlp"]
        found += [str(Path(parent, name).relative_to(root.url)) for name in names]
    return sorted(found)


# -- files that are here ----------------------------------------------------------------------------------------


def test_a_local_file_stays_where_it_is_and_brings_its_subtitles(root: Storage, tmp_path: Path):
    clip = tmp_path / "cut.mp4"
    clip.write_bytes(b"bytes")
    (tmp_path / "cut.en.vtt").write_text("WEBVTT")
    row = run(root, [item(root, "cut-1", str(clip), "file", title="Cut")])["cut-1"]
    assert row.status == "ok"
    assert set(row.fields) == {name for name, _ in DOWNLOAD}
    assert row.fields["media"] == str(clip)
    assert (row.fields["sha256"], row.fields["size"]) == (hashlib.sha256(b"bytes").hexdigest(), 5)
    (subtitle,) = row.fields["subtitles"]
    assert (subtitle["name"], subtitle["language"]) == ("cut.en.vtt", "en")
    assert (subtitle["data"].data, subtitle["data"].suffix) == (b"WEBVTT", ".vtt")
    assert files_of(root) == []


def test_subtitles_may_lie_in_a_folder_of_their_own_by_stem_or_video_id(root: Storage, tmp_path: Path):
    (tmp_path / "cut.mp4").write_bytes(b"x")
    (tmp_path / "subs").mkdir()
    (tmp_path / "subs" / "cut.vtt").write_text("by stem")
    (tmp_path / "subs" / "WAaKRUoY6Io.en.vtt").write_text("by id")
    items = [
        item(root, "a", str(tmp_path / "cut.mp4"), "file"),
        item(root, "b", str(tmp_path / "cut.mp4"), "file", video_id="WAaKRUoY6Io"),
    ]
    rows = run(root, items, subtitles_path=str(tmp_path / "subs"))
    assert [s["data"].data for s in rows["a"].fields["subtitles"]] == [b"by stem"]
    assert [s["data"].data for s in rows["b"].fields["subtitles"]] == [b"by id"]


def test_a_file_that_is_not_there_any_more_is_gone_and_the_next_goes_on(root: Storage, tmp_path: Path):
    (tmp_path / "b.mp4").write_bytes(b"x")
    items = [item(root, name, str(tmp_path / f"{name}.mp4"), "file") for name in "ab"]
    rows = run(root, items, concurrency=1)
    assert rows["a"].error_class == "gone"
    assert rows["b"].status == "ok"


def test_local_sources_need_no_yt_dlp_and_urls_say_how_to_get_it(root: Storage, tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    code = f"""
import sys
sys.modules["yt_dlp"] = None
from interlink.errors import UserError
from interlink.settings import marks_of
from interlink.stage import Context, Item
from interlink.stages import download
from interlink.stages.download import Download, DownloadSettings
from interlink.storage import Storage
context = Context(Storage({root.url!r}))
stage = Download(DownloadSettings(), context)
stage.open()
def rows(kind, uri):
    source = {{"kind": kind, "uri": uri, "title": "", "video_id": "a"}}
    return list(stage.run(iter([Item("a", "0", {{"collect": source}}, {{}}, context)])))
assert rows("file", {str(tmp_path / "a.mp4")!r})[0].status == "ok"
try:
    rows("url", "http://127.0.0.1/a.mp4")
except UserError as error:
    assert "pip install 'interlink[download]'" in error.do
else:
    raise AssertionError("no UserError")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# -- what works over HTTP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/clip.mp4", "/moved.mp4", "/page.html"])
def test_direct_files_redirects_and_pages_give_the_medium_whole(root: Storage, media_server: Any, path: str):
    row = fetch(root, media_server.url(path))
    assert (row.status, row.partial, row.message) == ("ok", False, "")
    assert set(row.fields) == {name for name, _ in DOWNLOAD}
    assert row.fields["media"] == "media/x.mp4"
    assert root.read("media/x.mp4") == media_server.clip
    assert row.fields["sha256"] == hashlib.sha256(media_server.clip).hexdigest()
    assert row.fields["size"] == len(media_server.clip)
    assert row.fields["url"] == media_server.url(path)
    assert json.loads(row.fields["info"])["extractor"]
    assert files_of(root) == ["media/x.mp4"]


def test_a_page_with_captions_gives_those_of_the_wanted_languages(root: Storage, media_server: Any):
    row = fetch(root, media_server.url("/captioned.html"), subtitle_languages=("en", "fr"))
    assert row.fields["title"].startswith("Stir")
    (subtitle,) = row.fields["subtitles"]
    assert (subtitle["name"], subtitle["language"]) == ("subtitles.en.vtt", "en")
    assert b"stir the pot" in subtitle["data"].data
    assert "/ko.vtt" not in media_server.hits


def test_lost_captions_are_told_and_the_medium_is_kept(root: Storage, media_server: Any):
    row = fetch(root, media_server.url("/lost_captions.html"))
    assert (row.status, row.partial) == ("ok", True)
    assert "subtitles.en.vtt: gone" in row.message


def test_throttled_captions_fail_the_item_before_the_medium_is_fetched(root: Storage, media_server: Any):
    row = fetch(root, media_server.url("/throttled_captions.html"))
    assert row.error_class == "throttled"
    assert "/clip.mp4" not in media_server.hits


def test_of_a_page_with_two_videos_the_first_is_taken_and_the_row_says_so(root: Storage, media_server: Any):
    row = fetch(root, media_server.url("/two.html"))
    assert (row.status, row.partial) == ("ok", True)
    assert "2 videos" in row.message


def test_the_title_of_the_source_list_goes_before_the_site_s(root: Storage, media_server: Any):
    pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")
    rows = run(root, [item(root, "x", media_server.url("/page.html"), title="Ours")])
    assert rows["x"].fields["title"] == "Ours"


# -- what fails over HTTP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "error_class"),
    [
        ("/status/401", "blocked"),
        ("/status/403", "blocked"),
        ("/status/451", "blocked"),
        ("/status/404", "gone"),
        ("/status/410", "gone"),
        ("/broken.html", "gone"),
        ("/status/429", "throttled"),
        ("/status/503", "throttled"),
        ("/status/500", "network"),
        ("/truncated.mp4", "network"),
        ("/reset.mp4", "network"),
        ("/unanswered.mp4", "network"),
        ("/stall.mp4", "stalled"),
        ("/trickle.mp4", "stalled"),
        ("/plain.html", "no_media"),
        ("/notes.txt", "no_media"),
        ("/empty.mp4", "no_media"),
        ("/page_as_clip.mp4", "no_media"),
        ("/loop.mp4", "no_media"),
        ("/song.mp3", "no_video"),
        ("/live.m3u8", "unsupported"),
        ("/vod.m3u8", "gone"),  # a stream with a hole is not taken
    ],
)
def test_each_way_to_fail_lands_in_its_class(root: Storage, media_server: Any, path: str, error_class: str):
    silent = path in ("/unanswered.mp4", "/stall.mp4", "/trickle.mp4")
    row = fetch(root, media_server.url(path), **(IMPATIENT if silent else {}))
    assert (row.status, row.error_class) == ("failed", error_class), row.message
    assert root.url not in row.message
    assert [name for name in files_of(root) if not name.startswith(".scratch")] == []


def test_nobody_at_the_port_is_network(root: Storage):
    assert fetch(root, "http://127.0.0.1:9/a.mp4").error_class == "network"


def test_a_name_that_does_not_resolve_is_network(root: Storage):
    assert fetch(root, "http://no-such-host.invalid/a.mp4").error_class == "network"


def test_only_http_is_fetched(root: Storage):
    assert fetch(root, "ftp://127.0.0.1/a.mp4").error_class == "unsupported"


def test_a_truncated_body_is_network_with_python_s_own_http_too(
    root: Storage, media_server: Any, monkeypatch: pytest.MonkeyPatch
):
    ytdlp = pytest.importorskip("interlink.fetch.ytdlp", reason="yt-dlp (the extra `download`) is not installed")
    build = ytdlp.Session.build_request_director
    monkeypatch.setattr(
        ytdlp.Session,
        "build_request_director",
        lambda self, handlers, *rest: build(self, [h for h in handlers if h.RH_KEY == "Urllib"], *rest),
    )
    assert fetch(root, media_server.url("/truncated.mp4")).error_class == "network"
    assert fetch(root, media_server.url("/clip.mp4")).status == "ok"


def test_a_medium_above_the_limit_is_too_large_before_it_is_read(root: Storage, media_server: Any):
    row = fetch(root, media_server.url("/clip.mp4"), max_megabytes=len(media_server.clip) / 1e6 - 1e-6)
    assert row.error_class == "too_large"
    assert fetch(root, media_server.url("/clip.mp4"), max_megabytes=len(media_server.clip) / 1e6).status == "ok"


def test_a_stream_above_the_limit_of_seconds_is_too_long(root: Storage, media_server: Any):
    assert fetch(root, media_server.url("/vod.m3u8"), max_seconds=17).error_class == "too_long"


def test_a_failed_transfer_leaves_what_was_there_before(root: Storage, media_server: Any):
    root.write("media/x.mp4", b"earlier")
    fetch(root, media_server.url("/truncated.mp4"))
    assert root.read("media/x.mp4") == b"earlier"


# -- manners ----------------------------------------------------------------------------------------------------


def test_a_throttled_item_says_how_long_to_wait_and_works_later(root: Storage, media_server: Any):
    row = fetch(root, media_server.url("/throttled.mp4?after=2"))
    assert (row.error_class, row.retry_after) == ("throttled", 2)
    media_server.stop_misbehaving.set()
    assert fetch(root, media_server.url("/throttled.mp4?after=2")).status == "ok"


def test_one_run_makes_one_attempt(root: Storage, media_server: Any):
    fetch(root, media_server.url("/status/503"))
    fetch(root, media_server.url("/truncated.mp4"))
    assert media_server.hits["/status/503"] == 1
    assert media_server.hits["/truncated.mp4"] == 2  # one look at what it is, one transfer


def test_a_host_that_asks_for_patience_beyond_ours_is_not_asked_again(root: Storage, media_server: Any):
    pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")
    items = [item(root, "first", media_server.url("/throttled.mp4?after=60"))]
    items += [item(root, f"later-{n}", media_server.url("/clip.mp4")) for n in range(3)]
    rows = run(root, items, concurrency=1)
    assert {row.error_class for row in rows.values()} == {"throttled"}
    assert all(50 < (row.retry_after or 0) <= 60 for row in rows.values())
    assert "/clip.mp4" not in media_server.hits


def test_many_transfers_run_at_once_and_a_stalled_one_holds_up_nobody(root: Storage, media_server: Any):
    pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")
    items = [item(root, "stalled", media_server.url("/stall.mp4"))]
    items += [item(root, f"clip-{n}", media_server.url("/clip.mp4")) for n in range(6)]
    stage = Download(DownloadSettings(**{**QUICK, "concurrency": 3, "timeout_seconds": 4}), Context(root))
    stage.open()
    rows: Iterator[Row] = stage.run(iter(items))
    order = [row.id for row in rows]
    assert order[-1] == "stalled" and len(order) == 7
    assert files_of(root) == [f"media/clip-{n}.mp4" for n in range(6)]


def test_folders_of_killed_processes_are_removed_and_those_of_the_living_kept(root: Storage):
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    host = os.uname().nodename
    dead, alive = (root.scratch() / f"download-{host}-{pid}-abc" for pid in (child.pid, os.getpid()))
    other = root.scratch() / "download-elsewhere-1-abc"
    for folder in (dead, alive, other):
        folder.mkdir()
    Download(DownloadSettings(), Context(root)).open()
    assert [folder.exists() for folder in (dead, alive, other)] == [False, True, True]


# -- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["exec_cmd", "postprocessors", "external_downloader", "cookiesfrombrowser", "outtmpl"])
def test_a_recipe_cannot_make_yt_dlp_run_or_write_anything(name: str):
    with pytest.raises(ValueError, match=name):
        DownloadSettings(ydl_options={name: "x"})


def test_cookies_are_sent_and_the_file_is_not_written(root: Storage, media_server: Any, tmp_path: Path):
    jar = tmp_path / "cookies.txt"
    jar.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tpass\tin\n")
    before = jar.read_bytes()
    assert fetch(root, media_server.url("/members.mp4")).error_class == "blocked"
    assert fetch(root, media_server.url("/members.mp4"), cookies=str(jar)).status == "ok"
    assert jar.read_bytes() == before


@pytest.mark.parametrize("name", ["cookies", "subtitles_path"])
def test_what_the_settings_name_must_be_there(root: Storage, tmp_path: Path, name: str):
    with pytest.raises(UserError) as caught:
        Download(DownloadSettings(**{name: str(tmp_path / "absent")}), Context(root)).open()
    assert "absent" in caught.value.what


def test_how_fast_it_goes_is_no_part_of_what_is_built():
    operational = {name for name, field in DownloadSettings.model_fields.items() if marks_of(field).operational}
    assert {"concurrency", "requests_per_second", "stall_seconds", "proxy"} <= operational
    assert not operational & {"max_height", "subtitle_languages", "ydl_options", "max_megabytes"}
