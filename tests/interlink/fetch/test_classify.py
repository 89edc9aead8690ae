"""What sites say in words, and what their exceptions say by kind, gives the right class."""

from __future__ import annotations

import errno

import pytest

pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")

from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError, UserNotLive

from interlink.errors import StageError
from interlink.fetch.classify import classify


def as_raised(cause: Exception) -> Exception:
    """The error as it leaves yt-dlp: wrapped in a DownloadError with its text."""
    try:
        try:
            raise cause
        except Exception as error:
            raise DownloadError(f"ERROR: {error}", (type(error), error, error.__traceback__)) from error
    except DownloadError as wrapped:
        return wrapped


def class_of(error: Exception) -> str:
    found = classify(as_raised(error), None, None)
    assert isinstance(found, StageError)
    return found.error_class


@pytest.mark.parametrize(
    ("words", "error_class"),
    [
        ("Private video. Sign in if you've been granted access to this video", "gone"),
        ("Video unavailable. This video is private", "gone"),
        ("Video unavailable", "gone"),
        ("Video unavailable. This video has been removed by the uploader", "gone"),
        ("This video is no longer available because the YouTube account has been terminated.", "gone"),
        ("Sign in to confirm you’re not a bot. Use --cookies-from-browser", "blocked"),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", "blocked"),
        ("Join this channel to get access to members-only content", "blocked"),
        ("The uploader has not made this video available in your country", "blocked"),
        ("Video unavailable. This content isn't available, try again later.", "throttled"),
        ("This live event will begin in 3 hours.", "unsupported"),
        ("This video is DRM protected", "unsupported"),
        ("No video formats found!", "no_media"),
        ("Requested format is not available. Use --list-formats for a list of available formats", "no_video"),
        ("Unable to extract player data", "unsupported"),
    ],
)
def test_the_words_of_a_site(words: str, error_class: str):
    assert class_of(ExtractorError(words, expected=True, video_id="x")) == error_class


def test_words_in_the_id_of_a_video_decide_nothing():
    error = ExtractorError("Unable to extract data", expected=True, video_id="private-premium-removed", ie="generic")
    assert class_of(error) == "unsupported"


def test_kinds_of_exceptions_decide_before_words():
    assert class_of(GeoRestrictedError("not here", countries=["DE"])) == "blocked"
    assert class_of(UnsupportedError("http://a/private-video")) == "no_media"
    assert class_of(UserNotLive(video_id="x")) == "unsupported"


def test_our_own_exceptions_stay_what_they_are():
    ours = KeyError("x")
    assert classify(ours, None, None) is ours


def test_a_full_disk_is_not_the_fault_of_the_site():
    found = classify(as_raised(OSError(errno.ENOSPC, "No space left on device")), None, None)
    assert isinstance(found, OSError)
    assert found.errno == errno.ENOSPC


def test_the_message_is_fit_for_a_row():
    found = classify(as_raised(ExtractorError("Cannot parse data", video_id="x", ie="site")), None, None)
    assert str(found) == "[site] x: Cannot parse data"
