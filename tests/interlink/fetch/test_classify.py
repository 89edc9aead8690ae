"""What sites say in words, and what their exceptions say by kind, gives the right class."""

from __future__ import annotations

import errno
import io
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")

from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    PostProcessingError,
    UnsupportedError,
    UserNotLive,
)

from interlink.errors import StageError
from interlink.fetch.classify import classify, is_refusal, retry_after
from interlink.fetch.faults import SetupFault
from interlink.fetch.guard import BlockedAddress


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
        ("The page needs to be reloaded.", "throttled"),
        ("Something went wrong", "throttled"),
        ("Failed to extract any player response", "network"),
        ("fragment 3 not found, unable to continue", "network"),
        ("This video is currently being processed. Check back later", "network"),
        ("Precondition check failed.", "blocked"),
        ("Playback on other websites has been disabled by the video owner", "blocked"),
        ("The following content may contain suicide or self-harm topics", "blocked"),
        ("This video isn’t available anymore", "gone"),
        ("This page doesn’t exist", "gone"),
        ("Account suspended", "gone"),
        ("The playlist does not exist.", "gone"),
        ("Incomplete YouTube ID abc. URL https://youtu.be/abc looks truncated.", "no_media"),
        ("This channel does not have a videos tab", "no_media"),
        ("The downloaded file is empty", "no_media"),
        ("ffmpeg exited with code 1", "unreadable"),
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


def answer(status: int, loop: bool = False, **headers: str) -> HTTPError:
    """An HTTP error as yt-dlp raises it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPError(Response(io.BytesIO(b""), "http://a/x", named, status=status), redirect_loop=loop)


def test_a_status_decides_before_words():
    found = classify(as_raised(answer(429, Retry_After="7")), None, None)
    assert isinstance(found, StageError)
    assert (found.error_class, found.retry_after) == ("throttled", 7.0)
    found = classify(as_raised(answer(403, Retry_After="7")), None, None)
    assert isinstance(found, StageError)
    assert (found.error_class, found.retry_after) == ("blocked", None)
    assert class_of(answer(404)) == "gone"
    assert class_of(answer(302, loop=True)) == "no_media"


def test_statuses_outside_the_standard_have_a_class_too():
    found = {status: class_of(answer(status)) for status in (416, 421, 509, 529, 999)}
    assert found == {416: "network", 421: "network", 509: "throttled", 529: "throttled", 999: "blocked"}


def test_an_internal_address_is_blocked():
    try:
        raise TransportError(cause=BlockedAddress("10.0.0.1 (port 80) is not a public address"))
    except TransportError as error:
        found = classify(as_raised(error), None, None)
    assert isinstance(found, StageError)
    assert found.error_class == "blocked"


def test_the_last_warnings_are_kept_and_faults_of_the_set_up_are_known():
    warnings = ["No supported JavaScript runtime could be found"]
    found = classify(as_raised(ExtractorError("No video formats found!")), None, None, warnings)
    assert isinstance(found, SetupFault)
    assert str(found).endswith("(yt-dlp warned: No supported JavaScript runtime could be found)")
    assert isinstance(
        classify(as_raised(ExtractorError("Requested format is not available", expected=True)), None, None), SetupFault
    )
    gone = classify(as_raised(ExtractorError("Private video", expected=True)), None, None, warnings)
    assert not isinstance(gone, SetupFault)


def test_an_exception_that_an_extractor_did_not_foresee_is_unsupported_in_one_line():
    from yt_dlp.utils import strip_jsonp

    try:
        strip_jsonp(None)
    except TypeError as error:
        found = classify(error, None, None)
    assert isinstance(found, StageError)
    assert found.error_class == "unsupported"
    assert "\n" not in str(found)


def test_each_kind_of_error_has_its_class():
    assert class_of(TransportError("reset")) == "network"
    assert class_of(ContentTooShortError(5, 9)) == "network"
    assert class_of(RequestError("no handler")) == "unsupported"
    assert class_of(PostProcessingError("cannot merge")) == "unreadable"


def test_the_newest_network_error_decides_where_only_its_text_is_left():
    wrapped = as_raised(DownloadError("private video"))
    found = classify(wrapped, answer(429), None)
    assert isinstance(found, StageError)
    assert found.error_class == "throttled"
    assert class_of(DownloadError("private video")) == "gone"


def test_the_words_of_a_site_decide_before_an_earlier_network_error():
    found = classify(as_raised(ExtractorError("Private video", expected=True)), answer(429), None)
    assert isinstance(found, StageError)
    assert found.error_class == "gone"


def test_a_body_that_fell_silent_is_stalled():
    silent = TransportError("timed out")
    found = classify(as_raised(silent), None, silent)
    assert isinstance(found, StageError)
    assert found.error_class == "stalled"
    other = classify(as_raised(TransportError("timed out")), None, silent)
    assert isinstance(other, StageError)
    assert other.error_class == "network"


def test_a_failure_of_ours_inside_stays_what_it_is():
    ours = StageError("too_large", "more than 5 bytes")
    assert classify(as_raised(ours), None, None) is ours


def test_what_nobody_knows_is_unsupported():
    assert class_of(DownloadError("odd")) == "unsupported"
    assert class_of(ExtractorError("odd", expected=True)) == "unsupported"
    assert class_of(TimeoutError("odd")) == "unsupported"


def test_the_error_that_a_download_error_carries_decides():
    inner = answer(404)
    found = classify(DownloadError("odd", (HTTPError, inner, None)), None, None)
    assert isinstance(found, StageError)
    assert found.error_class == "gone"


def test_only_the_words_of_yt_dlp_decide():
    error = DownloadError("odd")
    error.__cause__ = ValueError("private video")
    found = classify(error, None, None)
    assert isinstance(found, StageError)
    assert found.error_class == "unsupported"


def test_a_message_is_cut_at_five_hundred_characters():
    found = classify(DownloadError("x " * 600), None, None)
    assert len(str(found)) == 500


def test_retry_after_is_a_number_or_a_date():
    assert retry_after(answer(429, Retry_After=" 12 ")) == 12.0
    assert retry_after(answer(429)) is None
    assert retry_after(answer(429, Retry_After="soon")) is None
    assert retry_after(answer(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")) == 0.0
    ahead = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=100))
    assert retry_after(answer(429, Retry_After=ahead)) == pytest.approx(100, abs=5)


def test_refusals_are_the_statuses_that_ask_for_fewer_requests():
    asked = [status for status in (400, 401, 402, 403, 404, 410, 429, 500, 502, 503, 504) if is_refusal(answer(status))]
    assert asked == [401, 403, 429, 503]
