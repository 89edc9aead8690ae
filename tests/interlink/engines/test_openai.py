"""The openai engine against a real server on loopback that misbehaves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from caption_server import CaptionServer, caption_of
from interlink.engines.captioner import ClipCaption, ClipRequest
from interlink.engines.openai import PROMPT, OpenAI
from interlink.engines.settings import OpenAISettings, TransformersSettings
from interlink.engines.transformers import Transformers
from interlink.errors import UserError
from telling import jpeg


def request(number: int, frames: int = 1, **told: str) -> ClipRequest:
    images = tuple(jpeg(number * 10 + n) for n in range(frames))
    return ClipRequest("film", number, images, tuple(map(float, range(frames))), 0, 10, **told)


@contextmanager
def engine(server: CaptionServer, prompt: str = "", **options: Any) -> Iterator[OpenAI]:
    values = {
        "base_url": server.url,
        "model": "m",
        "api_key_env": "",
        "max_attempts": 3,
        "longest_wait": 0.3,
        **options,
    }
    made = OpenAI(OpenAISettings(**values), prompt)
    made.open()
    try:
        yield made
    finally:
        made.close()


def answer(script: Sequence[str], **options: Any) -> tuple[ClipCaption, CaptionServer]:
    with CaptionServer(lambda image: script) as server, engine(server, **options) as captioner:
        (found,) = captioner.caption([request(0)])
        return found, server


def test_every_clip_gets_the_answer_to_its_own_images() -> None:
    with CaptionServer() as server, engine(server, concurrency=5) as captioner:
        requests = [request(n, 1 + n % 3) for n in range(25)]
        answers = {a.clip: a for a in captioner.caption(iter(requests))}

    assert {n: a.caption for n, a in answers.items()} == {r.clip: caption_of(r.frames, PROMPT) for r in requests}
    assert all(a.flag == "" and a.error is None for a in answers.values())
    body = server.bodies[0]
    assert (body["model"], body["temperature"], body["seed"], body["max_tokens"]) == ("m", 0.0, 0, 256)


def test_a_server_around_a_real_model_tells_what_the_model_tells(qwen: Path) -> None:
    settings = TransformersSettings(model=str(qwen), max_new_tokens=6, max_frames=2, device="cpu", ahead=0)
    model = Transformers(settings, "{speech} {title}")
    model.open()
    asked = [request(n, 2, speech="stir", title=f"soup {n % 2}") for n in range(6)]
    by_itself = {one.clip: one.caption for one in model.caption(asked)}
    served = Transformers(settings, "{speech}")
    served.open()
    one_by_one = threading.Lock()

    def see(images: Sequence[bytes], prompt: str) -> str:
        with one_by_one:
            [found] = served.caption([ClipRequest("v", 0, tuple(images), (0.0, 1.0), 0, 10, speech=prompt)])
        return found.caption

    with CaptionServer() as server, engine(server, "{speech} {title}") as captioner:
        server.see = see
        answers = list(captioner.caption(asked))

    assert {one.clip: one.caption for one in answers} == by_itself
    assert len(set(by_itself.values())) > 1
    assert all(one.tokens == len(one.caption.split()) for one in answers)


def test_title_and_speech_go_into_the_prompt_and_frames_are_thinned() -> None:
    with CaptionServer() as server, engine(server, "{title}: {speech}?", max_frames=2) as captioner:
        asked = request(1, 5, title="Soup {speech}", speech="stir")
        (found,) = captioner.caption([asked])

    assert found.caption == caption_of([asked.frames[1], asked.frames[3]], "Soup {speech}: stir?")


def test_requests_are_concurrent_but_bounded() -> None:
    with CaptionServer() as server, engine(server, concurrency=4) as captioner:
        server.delay = 0.05
        assert len(list(captioner.caption(request(n) for n in range(24)))) == 24

    assert server.most_at_once == 4


def test_no_more_is_read_than_is_in_flight() -> None:
    read = []

    def source() -> Iterator[ClipRequest]:
        for n in range(20):
            read.append(n)
            yield request(n)

    with CaptionServer() as server, engine(server, concurrency=3) as captioner:
        answers = captioner.caption(source())
        next(answers)
        assert len(read) <= 4
        answers.close()


def test_429_is_waited_out_as_the_server_asks_by_everyone() -> None:
    first = jpeg(0)
    with (
        CaptionServer(lambda image: ["429:0.6", "ok"] if image == first else ["ok"]) as server,
        engine(server, concurrency=1, longest_wait=5) as captioner,
    ):
        began = time.monotonic()
        answers = list(captioner.caption(request(n) for n in range(3)))

    assert [a.error for a in answers] == [None] * 3
    assert time.monotonic() - began >= 0.6
    assert server.times[1] - server.times[0] >= 0.6
    assert server.seen[first] == 2


def test_while_the_server_wants_patience_no_other_request_is_sent() -> None:
    first = jpeg(0)
    with (
        CaptionServer(lambda image: ["429:0.8", "ok"] if image == first else ["ok"]) as server,
        engine(server, concurrency=2, longest_wait=5) as captioner,
    ):
        server.delay = 0.1
        answers = list(captioner.caption(request(n) for n in range(8)))

    assert [a.error for a in answers] == [None] * 8
    early = [at for at in server.times if at < server.times[0] + 0.8]
    assert len(early) <= 3  # the two that were sent at once, and one that may pass while the 429 is on its way


def test_429_without_end_is_throttled_with_what_the_server_asked() -> None:
    found, server = answer(["429:0.2"])

    assert found.error is not None
    assert (found.error.error_class, found.error.retry_after) == ("throttled", 0.2)
    assert "slow down" in str(found.error) and "after 3 attempts" in str(found.error)
    assert sum(server.seen.values()) == 3


@pytest.mark.parametrize("fault", ["500", "502", "503", "garbage", "html", "cut", "drop", "408"])
def test_a_fault_that_passes_is_tried_again(fault: str) -> None:
    found, server = answer([fault, fault, "ok"])

    assert found.caption == caption_of([jpeg(0)], PROMPT)
    assert sum(server.seen.values()) == 3


@pytest.mark.parametrize(
    ("fault", "error_class", "tries"),
    [
        ("500", "network", 3),
        ("503", "throttled", 3),
        ("drop", "network", 3),
        ("garbage", "model", 3),
        ("html", "model", 3),
        ("cut", "model", 3),
        ("400", "model", 1),
        ("422", "model", 1),
    ],
)
def test_a_fault_that_stays_has_its_class(fault: str, error_class: str, tries: int) -> None:
    found, server = answer([fault])

    assert found.error is not None and found.error.error_class == error_class
    assert found.caption == ""
    assert sum(server.seen.values()) == tries


def test_a_slow_answer_is_given_up_and_asked_again() -> None:
    found, server = answer(["hang:2", "ok"], timeout=0.4)

    assert found.caption
    assert sum(server.seen.values()) == 2
    found, _ = answer(["hang:2"], timeout=0.2, max_attempts=2)
    assert found.error is not None and found.error.error_class == "network"
    assert "no answer within 0.2 s" in str(found.error)


@pytest.mark.parametrize(
    ("script", "flag"), [("empty", "empty"), ("null", "empty"), ("refuse", "refused"), ("filter", "refused")]
)
def test_an_answer_that_says_nothing_is_flagged_and_not_paid_twice(script: str, flag: str) -> None:
    found, server = answer([script])

    assert (found.caption, found.flag, found.error) == ("", flag, None)
    assert sum(server.seen.values()) == 1


def test_a_caption_cut_at_the_token_limit_is_kept_with_its_flag() -> None:
    found, _ = answer(["length"])

    assert found.caption and found.flag == "length"


def test_a_clip_without_frames_asks_nobody() -> None:
    with CaptionServer() as server, engine(server) as captioner:
        (found,) = captioner.caption([request(0, 0)])

    assert found.flag == "no_frames" and not server.bodies


def test_a_server_that_is_not_there_is_a_network_failure() -> None:
    with CaptionServer() as server:
        url = server.url
    with engine(server, base_url=url, max_attempts=2) as captioner:
        (found,) = captioner.caption([request(0)])

    assert found.error is not None and found.error.error_class == "network"


@pytest.mark.parametrize("path", ["", "/wrong"])
def test_wrong_settings_stop_everything_and_the_key_is_never_told(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-very-secret-123"
    monkeypatch.setenv("MY_KEY", secret)
    caplog.set_level(logging.DEBUG)
    with (
        CaptionServer(key="another") as server,
        engine(server, api_key_env="MY_KEY", base_url=server.url + path) as made,
    ):
        identity = made.open()
        with pytest.raises(UserError) as caught:
            list(made.caption(request(n) for n in range(4)))

    assert "401" in caught.value.what or "404" in caught.value.what
    assert "caption.openai" in caught.value.do
    assert secret not in f"{caught.value} {identity} {caplog.text} {made.settings}"


def test_the_right_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "right")
    with CaptionServer(key="right") as server, engine(server, api_key_env="MY_KEY") as captioner:
        (found,) = captioner.caption([request(0)])
    assert found.caption


def test_a_missing_key_or_model_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UserError, match="MY_KEY"):
        OpenAI(OpenAISettings(model="m", api_key_env="MY_KEY"), "").open()
    with pytest.raises(UserError, match="has no model"):
        OpenAI(OpenAISettings(), "").open()
