"""What an engine does by itself: whole batches alone are asked for, and the first is not counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import pytest

from interlink.engines.captioner import ClipCaption, ClipRequest, Identity
from interlink.engines.ceiling import measure_ceiling
from interlink.errors import StageError, UserError

CLIPS = [ClipRequest("a", n, (b"x",), (0.0,), 0, 1, title="soup") for n in range(3)]


class Clocked:
    """Takes two seconds for a batch of four by a clock of its own; twenty for the first."""

    def __init__(self, fault: StageError | None = None) -> None:
        self.now = 100.0
        self.fault = fault
        self.batches: list[list[ClipRequest]] = []
        self.closed = False

    def open(self) -> Identity:
        self.now += 7
        return Identity("clocked", "m", "r")

    def close(self) -> None:
        self.closed = True

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        source = iter(requests)
        while batch := list(islice(source, 4)):
            self.now += 2 if self.batches else 20
            self.batches.append(batch)
            for request in batch:
                yield ClipCaption(request.id, request.clip, "told", error=self.fault, tokens=10)


def test_the_first_batch_warms_up_and_the_rest_is_the_rate() -> None:
    engine = Clocked()
    found = measure_ceiling(engine, CLIPS, 4, 40, lambda: engine.now)

    assert found.clips_per_second == pytest.approx(2.0)
    assert found.tokens_per_second == pytest.approx(20.0)
    assert (found.engine, found.model, found.revision, found.opening) == ("clocked", "m", "r", 7.0)
    assert {len(batch) for batch in engine.batches} == {4}
    assert engine.now - 107 == pytest.approx(40, abs=2)
    asked = [request.title for batch in engine.batches for request in batch]
    assert len(set(asked)) == len(asked)
    assert engine.closed


def test_four_batches_are_asked_for_however_little_time_there_is() -> None:
    engine = Clocked()
    assert measure_ceiling(engine, CLIPS, 4, 0.0, lambda: engine.now).clips == 12


def test_an_engine_that_answers_nothing_says_why() -> None:
    engine = Clocked(StageError("model", "it refuses"))
    with pytest.raises(UserError, match="answered 0 of 16 clips: it refuses"):
        measure_ceiling(engine, CLIPS, 4, 0.0, lambda: engine.now)
    assert engine.closed
