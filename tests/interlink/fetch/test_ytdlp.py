"""One transfer with the real yt-dlp from a server on loopback: limits, pace, choice of subtitles, messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")

from yt_dlp.utils import ExtractorError

from http_server import VTT, MediaServer
from interlink.errors import StageError
from interlink.fetch import session as sessions
from interlink.fetch import ytdlp
from interlink.fetch.pacing import Pacer
from interlink.fetch.session import Session, is_timeout
from interlink.fetch.transfers import Transfer
from interlink.fetch.ytdlp import Fetched, Wishes, _check, _choose, _one_video, _options

CLIP = b"\x00\x00\x00\x18ftypmp42" + bytes(200_000)


@pytest.fixture(scope="module")
def server() -> Iterator[MediaServer]:
    with MediaServer(CLIP) as running:
        yield running


def wishes(folder: Path, **changes: Any) -> Wishes:
    given = {
        "max_height": 360,
        "most_bytes": 1e9,
        "most_seconds": 1e9,
        "languages": ("en",),
        "automatic_subtitles": True,
        "timeout": 5.0,
        "cookies": "",
        "proxy": "",
        "cache": folder / "cache",
        "extra": {},
        **changes,
    }
    return Wishes(**given)


class Paced(Pacer):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(1000, 1000, 5)
        self.waited: list[str] = []
        self.refusals: list[tuple[str, float | None]] = []
        self.successes = 0

    def wait(self, name: str, sleep: Any) -> None:
        self.waited.append(name)
        super().wait(name, sleep)

    def refused(self, name: str, retry_after: float | None = None) -> None:
        self.refusals.append((name, retry_after))

    def answered(self, name: str) -> None:
        self.successes += 1


def fetch(server: MediaServer, folder: Path, path: str, pacer: Pacer | None = None, **changes: Any) -> Fetched:
    folder.mkdir(exist_ok=True)
    return ytdlp.fetch(server.url(path), folder, wishes(folder.parent, **changes), Transfer(), pacer or Paced())


def failure(server: MediaServer, folder: Path, path: str, pacer: Pacer | None = None, **changes: Any) -> StageError:
    with pytest.raises(StageError) as caught:
        fetch(server, folder, path, pacer, **changes)
    return caught.value


def host(server: MediaServer) -> str:
    return server.url("").removeprefix("http://")


def test_a_body_of_unannounced_length_is_counted_while_it_is_read(server: MediaServer, tmp_path: Path) -> None:
    found = fetch(server, tmp_path / "a", "/unannounced.mp4", most_bytes=len(CLIP))

    assert found.file.read_bytes() == CLIP
    error = failure(server, tmp_path / "b", "/unannounced.mp4", most_bytes=len(CLIP) - 1)
    assert (error.error_class, str(error)) == ("too_large", f"more than {len(CLIP) - 1} bytes, the limit of the recipe")


def test_a_body_of_announced_length_is_refused_before_it_is_read(server: MediaServer, tmp_path: Path) -> None:
    assert fetch(server, tmp_path / "a", "/clip.mp4", most_bytes=len(CLIP)).file.stat().st_size == len(CLIP)
    assert failure(server, tmp_path / "b", "/clip.mp4", most_bytes=len(CLIP) - 1).error_class == "too_large"


def test_pages_and_subtitles_do_not_count_towards_the_limit_of_the_medium(server: MediaServer, tmp_path: Path) -> None:
    found = fetch(server, tmp_path / "a", "/captioned.html", most_bytes=len(CLIP), languages=("en", "ko"))

    assert found.file.read_bytes() == CLIP
    assert [(one.name, one.language, one.data) for one in found.subtitles] == [
        ("subtitles.en.vtt", "en", VTT.encode()),
        ("subtitles.ko.vtt", "ko", VTT.encode()),
    ]


def test_the_title_and_what_is_known_come_along(server: MediaServer, tmp_path: Path) -> None:
    found = fetch(server, tmp_path / "a", "/page.html")

    assert found.title.startswith("Stir")
    assert set(json.loads(found.info)) == {"id", "extractor"}
    assert found.lost == []


@pytest.mark.parametrize("words", ["Sign in to confirm you're not a bot", "Too many requests. Try again later"])
def test_a_page_that_refuses_in_words_slows_the_pace(
    server: MediaServer, tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Session, url: str, download: bool) -> None:
        raise ExtractorError(words, expected=True)

    monkeypatch.setattr(Session, "extract_info", refuse)
    pacer = Paced()

    with pytest.raises(StageError):
        ytdlp.fetch("http://ann:pass@Site.example:81/x", tmp_path, wishes(tmp_path), Transfer(), pacer)
    assert pacer.refusals == [("site.example:81", None)]


@pytest.mark.parametrize("sent", [None, {}, {"requested_downloads": [{"filepath": "/nowhere/media.mp4"}, {}]}])
def test_a_site_that_lists_a_video_but_sends_none_has_no_medium(
    server: MediaServer, tmp_path: Path, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = {"url": server.url("/clip.mp4"), "vcodec": "h264"}
    monkeypatch.setattr(Session, "extract_info", lambda self, url, download: info)
    monkeypatch.setattr(Session, "process_ie_result", lambda self, info, download: sent)

    error = failure(server, tmp_path / "a", "/clip.mp4")

    assert (error.error_class, str(error)) == ("no_media", "the site lists a video but sent none")


def test_a_video_that_is_gone_does_not_slow_the_pace(
    server: MediaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Session, url: str, download: bool) -> None:
        raise ExtractorError("Private video", expected=True)

    monkeypatch.setattr(Session, "extract_info", refuse)
    pacer = Paced()

    assert failure(server, tmp_path / "a", "/clip.mp4", pacer).error_class == "gone"
    assert pacer.refusals == []


def test_a_status_slows_the_pace_once_and_every_request_waits_its_turn(server: MediaServer, tmp_path: Path) -> None:
    pacer = Paced()
    failure(server, tmp_path / "a", "/status/403.mp4", pacer)
    assert set(pacer.waited) == {host(server)}
    assert len(pacer.refusals) == len(pacer.waited) - pacer.successes >= 1

    pacer = Paced()
    assert failure(server, tmp_path / "b", "/status/429.mp4?after=7", pacer).retry_after == 7
    assert set(pacer.refusals) == {(host(server), 7.0)}

    pacer = Paced()
    failure(server, tmp_path / "c", "/status/404.mp4", pacer)
    assert pacer.refusals == []

    pacer = Paced()
    fetch(server, tmp_path / "d", "/clip.mp4", pacer)
    assert pacer.successes == len(pacer.waited) >= 1


def test_messages_name_no_folder_of_this_machine(tmp_path: Path) -> None:
    error = ytdlp._without(tmp_path, StageError("network", f"cannot write {tmp_path}/media.mp4", 3.0))

    assert (str(error), error.error_class, error.retry_after) == ("cannot write media.mp4", "network", 3.0)


@pytest.mark.parametrize(
    ("path", "error_class"),
    [
        ("/empty.mp4", "no_media"),
        ("/page_as_clip.mp4", "no_media"),
        ("/notes.txt", "no_media"),
        ("/song.mp3", "no_video"),
        ("/plain.html", "no_media"),
        ("/truncated.mp4", "network"),
        ("/loop.mp4", "no_media"),
    ],
)
def test_what_is_no_video_has_its_class(server: MediaServer, tmp_path: Path, path: str, error_class: str) -> None:
    assert failure(server, tmp_path / "a", path).error_class == error_class


def test_only_http_is_fetched(tmp_path: Path) -> None:
    for url in ("ftp://a/b.mp4", "file:///etc/passwd"):
        with pytest.raises(StageError) as caught:
            ytdlp.fetch(url, tmp_path, wishes(tmp_path), Transfer(), Paced())
        assert caught.value.error_class == "unsupported"


def test_of_several_videos_the_first_is_taken_and_the_others_are_reported() -> None:
    nested = {"_type": "playlist", "entries": [None, {"_type": "multi_video", "entries": [{"id": "a"}, {"id": "b"}]}]}

    assert _one_video({"id": "x"}) == ({"id": "x"}, [])
    assert _one_video({"_type": "playlist", "entries": [{"id": "a"}]}) == ({"id": "a"}, [])
    assert _one_video(nested) == ({"id": "a"}, ["the page has 2 videos; only the first was fetched"])
    assert _one_video({"_type": "playlist", "playlist_count": 9, "entries": [{"id": "a"}]})[1] == [
        "the page has 9 videos; only the first was fetched"
    ]
    for empty in (None, {"_type": "playlist", "entries": []}, {"_type": "playlist"}):
        with pytest.raises(StageError, match="has no video"):
            _one_video(empty)


def checked(folder: Path, kind: str = "", **info: Any) -> str:
    with Session({"quiet": True}, Transfer(), Paced(), 1e9) as session:
        session.content_types["u"] = kind
        try:
            _check({"url": "u", **info}, wishes(folder, most_seconds=60), session)
        except StageError as error:
            return error.error_class
    return ""


@pytest.mark.parametrize(
    ("info", "error_class"),
    [
        ({}, ""),
        ({"is_live": True}, "unsupported"),
        ({"live_status": "is_upcoming"}, "unsupported"),
        ({"live_status": "post_live"}, "unsupported"),
        ({"live_status": "was_live"}, ""),
        ({"duration": 60}, ""),
        ({"duration": 60.5}, "too_long"),
        ({"duration": None}, ""),
        ({"vcodec": "none"}, "no_video"),
        ({"vcodec": "h264"}, ""),
        ({"requested_formats": [{"vcodec": "h264"}, {"vcodec": "none"}]}, ""),
        ({"requested_formats": [{"vcodec": "none"}, {"vcodec": "none"}]}, "no_video"),
        ({"ext": "unknown_video", "kind": "text/html"}, "no_media"),
        ({"ext": "unknown_video", "kind": "application/pdf"}, "no_media"),
        ({"ext": "unknown_video", "kind": "application/octet-stream"}, ""),
        ({"ext": "unknown_video", "url": "other"}, ""),
        ({"ext": "mp4", "kind": "text/html"}, ""),
    ],
)
def test_what_cannot_be_used_is_refused_before_it_is_fetched(
    tmp_path: Path, info: dict[str, Any], error_class: str
) -> None:
    assert checked(tmp_path, **info) == error_class


def tracks(*codes: str, ext: str = "vtt") -> dict[str, Any]:
    return {code: [{"ext": ext, "code": code}] for code in codes}


def codes(found: list[tuple[str, str, dict[str, Any]]]) -> list[str]:
    return [code for _, code, _ in found]


def test_the_original_then_the_plain_code_then_a_region_is_chosen() -> None:
    assert codes(_choose(tracks("en", "en-orig", "en-GB"), ("en",), "x")) == ["en-orig"]
    assert codes(_choose(tracks("en-GB", "en"), ("en",), "x")) == ["en"]
    assert codes(_choose(tracks("en-US", "en-GB", "english"), ("en",), "x")) == ["en-GB"]
    assert codes(_choose(tracks("ko", "de", "en"), ("en", "fr", "de"), "x")) == ["en", "de"]
    assert codes(_choose(tracks("en"), ("en", "en"), "x")) == ["en"]
    assert codes(_choose(tracks("en"), (), "x")) == []


def test_a_track_without_a_language_is_chosen_where_it_is_the_only_one() -> None:
    assert codes(_choose(tracks("und"), ("en",), "x")) == ["und"]
    assert codes(_choose(tracks("und"), (), "x")) == []
    assert codes(_choose(tracks("und", "ko"), ("en",), "x")) == []
    assert codes(_choose(tracks("und", "en"), ("en",), "x")) == ["en"]


def test_only_formats_that_can_be_read_are_chosen_in_the_order_of_preference() -> None:
    several = {"en": [{"ext": "ttml"}, {"ext": "json3"}, {"ext": "vtt"}], "live_chat": [{"ext": "json3"}], "de": None}

    assert _choose(several, ("en", "de", "live_chat"), "subtitles") == [("subtitles", "en", {"ext": "vtt"})]
    assert _choose(tracks("en", ext="lrc"), ("en",), "x") == []


def subtitles_of(server: MediaServer, folder: Path, **info: Any) -> tuple[list[tuple[str, str, bytes]], list[str]]:
    automatic = info.pop("automatic", True)
    lost: list[str] = []
    asked = wishes(folder, languages=("en", "de"), automatic_subtitles=automatic)
    with Session(_options(folder, asked), Transfer(), Paced(), 1e9) as session:
        found = ytdlp._subtitles(info, folder, asked, session, lost)
    return [(one.name, one.language, one.data) for one in found], lost


def test_automatic_subtitles_fill_in_for_missing_languages(server: MediaServer, tmp_path: Path) -> None:
    own = {"en-GB": [{"ext": "vtt", "data": "own"}]}
    heard = {"en": [{"ext": "vtt", "data": "heard"}], "de": [{"ext": "srt", "data": "gehört"}]}

    assert subtitles_of(server, tmp_path, subtitles=own, automatic_captions=heard) == (
        [("subtitles.en-GB.vtt", "en-GB", b"own"), ("automatic.de.srt", "de", "gehört".encode())],
        [],
    )
    assert subtitles_of(server, tmp_path, subtitles=own, automatic_captions=heard, automatic=False)[0] == [
        ("subtitles.en-GB.vtt", "en-GB", b"own")
    ]
    assert subtitles_of(server, tmp_path, subtitles={"und": [{"ext": "vtt", "data": "x"}]})[0] == [
        ("subtitles.und.vtt", "", b"x")
    ]


def test_a_lost_subtitle_is_reported_and_one_that_may_come_fails_the_item(server: MediaServer, tmp_path: Path) -> None:
    gone = {"en": [{"ext": "vtt", "url": server.url("/status/404.vtt")}], "de": [{"ext": "vtt", "data": "x"}]}

    assert subtitles_of(server, tmp_path, subtitles=gone) == (
        [("subtitles.de.vtt", "de", b"x")],
        ["subtitles.en.vtt: gone"],
    )
    for status in (429, 500):
        later = {"en": [{"ext": "vtt", "url": server.url(f"/status/{status}.vtt")}]}
        with pytest.raises(Exception, match=str(status)):
            subtitles_of(server, tmp_path, subtitles=later)


def test_what_the_recipe_asks_for_reaches_yt_dlp_and_cannot_undo_what_is_ours(tmp_path: Path) -> None:
    found = _options(tmp_path, wishes(tmp_path, extra={"format": "b", "quiet": False}, proxy=None, timeout=7.0))

    assert (found["format"], found["quiet"], found["socket_timeout"]) == ("b", True, 7.0)
    assert "res:360" in found["format_sort"]
    assert not {"proxy", "cookiefile"} & set(found)
    other = _options(tmp_path, wishes(tmp_path, proxy="", cookies="# Netscape"))
    assert (other["proxy"], other["cookiefile"].read()) == ("", "# Netscape")
    never = ("retries", "extractor_retries", "file_access_retries", "continuedl", "geo_bypass")
    assert [other[name] for name in never] == [0, 0, 0, False, False]
    assert other["fragment_retries"] == 1
    assert not other["skip_unavailable_fragments"]
    assert all(other[name] for name in ("no_warnings", "noprogress", "noplaylist"))


def test_a_timeout_is_found_among_the_causes() -> None:
    def nested(depth: int, inner: BaseException) -> BaseException:
        for _ in range(depth):
            outer = ValueError("x")
            outer.__cause__ = inner
            inner = outer
        return inner

    assert is_timeout(nested(0, TimeoutError()))
    assert is_timeout(nested(2, OSError("The read timed out")))
    assert not is_timeout(nested(2, OSError("reset")))
    assert not is_timeout(None)
    assert (is_timeout(nested(7, TimeoutError())), is_timeout(nested(8, TimeoutError()))) == (True, False)


def test_a_page_without_end_is_no_medium(server: MediaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for most, fits in ((len(CLIP), True), (len(CLIP) - 1, False)):
        monkeypatch.setattr(sessions, "MOST_TEXT_BYTES", most)
        with Session({"quiet": True, "proxy": ""}, Transfer(), Paced(), 1e9) as session:
            response = session.urlopen(server.url("/clip.mp4"))
            if fits:
                assert response.read() == CLIP
                assert session.received == len(CLIP)
            else:
                with pytest.raises(StageError, match="a page of more than"):
                    response.read()


def test_reads_are_short_so_that_progress_is_seen(server: MediaServer) -> None:
    with Session({"quiet": True, "proxy": ""}, Transfer(), Paced(), 1e9) as session:
        response = session.urlopen(server.url("/clip.mp4"))
        assert len(response.read(10)) == 10
        assert 0 < len(response.read(10**6)) <= 1 << 16
        assert session.content_types == {server.url("/clip.mp4"): "video/mp4"}
