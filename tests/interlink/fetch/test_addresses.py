"""One video is one address, however it is written."""

from __future__ import annotations

import pytest

from interlink.fetch.addresses import parse_url


@pytest.mark.parametrize(
    "text",
    [
        "https://www.youtube.com/watch?v=_97kyZVWVG0",
        "http://youtube.com/watch?feature=share&v=_97kyZVWVG0#t=3",
        "https://m.youtube.com/watch?v=_97kyZVWVG0&list=PL123",
        "https://youtu.be/_97kyZVWVG0?si=abc",
        "https://www.youtube.com/embed/_97kyZVWVG0",
        "https://www.youtube-nocookie.com/embed/_97kyZVWVG0",
        "https://www.youtube.com/shorts/_97kyZVWVG0",
        "HTTPS://WWW.YOUTUBE.COM/live/_97kyZVWVG0/",
    ],
)
def test_every_way_to_write_a_youtube_video_is_one_address(text: str):
    address = parse_url(text)
    assert address is not None
    assert address.video_id == "_97kyZVWVG0"
    assert address.url == "https://www.youtube.com/watch?v=_97kyZVWVG0"


def test_a_mirror_that_names_files_by_the_id_keeps_its_url_and_gives_the_id():
    address = parse_url("http://howto100m.inria.fr/dataset/NFsc2pCdBAI.mp4")
    assert address is not None
    assert (address.video_id, address.url) == ("NFsc2pCdBAI", "http://howto100m.inria.fr/dataset/NFsc2pCdBAI.mp4")


def test_other_urls_keep_path_and_query_and_lose_the_fragment():
    address = parse_url("HTTP://User:Pw@Example.ORG:8080/A/Cut%201.MP4?x=Y#t=9")
    assert address is not None
    assert address.url == "http://User:Pw@example.org:8080/A/Cut%201.MP4?x=Y"
    assert (address.video_id, address.stem) == ("", "Cut 1")


@pytest.mark.parametrize("text", ["https://", "http://[::1", "://a/b", "http://a b/c", "http://host:port/x"])
def test_what_is_no_url_is_none(text: str):
    assert parse_url(text) is None


def test_a_channel_or_playlist_is_no_video():
    address = parse_url("https://www.youtube.com/playlist?list=PL123")
    assert address is not None and address.video_id == ""
