"""What was answered is not asked again: by content, for one model and prompt, until `--fresh` asks anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from interlink.engines.cache import AnswerCache, CachedCaptioner
from interlink.engines.captioner import ClipCaption, ClipRequest, Identity
from interlink.errors import StageError
from interlink.storage import Storage

WHO = Identity("openai", "m", "r", "say {speech}", {"max_tokens": 5})


class Paid:
    """An engine that counts; it works on four requests at once and answers the last first."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def open(self) -> Identity:
        return WHO

    def close(self) -> None: ...

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        held: list[ClipRequest] = []
        for request in requests:
            self.asked.append((request.id, request.clip))
            held.append(request)
            if len(held) == 4:
                yield from self._answers(held)
                held = []
        yield from self._answers(held)

    def _answers(self, held: list[ClipRequest]) -> Iterator[ClipCaption]:
        for request in reversed(held):
            if request.speech == "no":
                yield ClipCaption(request.id, request.clip, flag="refused")
            elif request.speech == "net":
                yield ClipCaption(request.id, request.clip, error=StageError("network", "gone"))
            else:
                yield ClipCaption(request.id, request.clip, f"told {request.frames[0].decode()} {request.speech}")


def request(name: str, clip: int = 0, frame: bytes = b"x", speech: str = "") -> ClipRequest:
    return ClipRequest(name, clip, (frame, b"y"), (1.0, 2.0), 0.0, 5.0, speech)


def ask(
    folder: Path, requests: list[ClipRequest], who: Identity = WHO, fresh: int = 0
) -> tuple[Paid, list[ClipCaption]]:
    engine = Paid()
    cache = AnswerCache(Storage(str(folder)), "caption", who, fresh)
    answers = list(CachedCaptioner(engine, cache, who.prompt).caption(iter(requests)))
    assert sorted((a.id, a.clip) for a in answers) == sorted((r.id, r.clip) for r in requests)
    return engine, sorted(answers, key=lambda answer: (answer.id, answer.clip))


def test_the_same_clip_is_asked_for_once_whatever_its_name(tmp_path: Path) -> None:
    many = [request(f"v{n}", frame=b"%d" % n) for n in range(150)]
    first, answers = ask(tmp_path, many)
    assert len(first.asked) == 150
    mixed = [request(f"w{n}", frame=b"%d" % n) for n in range(0, 300, 2)]  # the second half is new
    second, others = ask(tmp_path, mixed)
    assert len(second.asked) == 75
    assert {a.caption for a in others} >= {a.caption for a in answers if int(a.id[1:]) % 2 == 0}


@pytest.mark.parametrize(
    ("other", "who", "fresh"),
    [
        (request("v", frame=b"z"), WHO, 0),
        (request("v", speech="stir"), WHO, 0),
        (replace(request("v"), times=(1.0, 3.0)), WHO, 0),
        (request("v"), replace(WHO, revision="s"), 0),
        (request("v"), replace(WHO, prompt="tell {speech}"), 0),
        (request("v"), replace(WHO, parameters={"max_tokens": 6}), 0),
        (request("v"), WHO, 1),
    ],
)
def test_what_differs_is_asked_anew(tmp_path: Path, other: ClipRequest, who: Identity, fresh: int) -> None:
    ask(tmp_path, [request("v")])
    assert ask(tmp_path, [other], who, fresh)[0].asked == [("v", 0)]
    assert ask(tmp_path, [other], who, fresh)[0].asked == []


def test_times_count_from_the_first_frame(tmp_path: Path) -> None:
    ask(tmp_path, [request("v")])
    assert ask(tmp_path, [replace(request("w"), times=(41.0, 42.0))])[0].asked == []


def test_refusals_and_faults_are_not_kept(tmp_path: Path) -> None:
    odd = [request("v", 0, b"a", "no"), request("v", 1, b"b", "net")]
    assert [a.flag for a in ask(tmp_path, odd)[1]] == ["refused", ""]
    assert len(ask(tmp_path, odd)[0].asked) == 2


def test_a_file_cut_short_is_asked_again(tmp_path: Path) -> None:
    ask(tmp_path, [request("v")])
    (found,) = (tmp_path / "cache").rglob("*.json")
    found.write_text('{"text": "to')
    assert len(ask(tmp_path, [request("v")])[0].asked) == 1
    assert ask(tmp_path, [request("v")])[0].asked == []
