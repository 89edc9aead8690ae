"""Batches: the CPU prepares the next one while the model works, and nothing is lost where memory runs out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from interlink.engines.local import Batches
from interlink.errors import StageError

Work = Callable[[Sequence[int], list[int]], list[str]]


def say(batch: Sequence[int], prepared: list[int]) -> list[str]:
    assert prepared == [10 * one for one in batch]
    return [str(one) for one in batch]


def tens(batch: Sequence[int]) -> list[int]:
    if 13 in batch:
        raise StageError("unreadable", "thirteen")
    return [10 * one for one in batch]


def lost(one: int, fault: StageError) -> str:
    return f"{one} {fault.error_class}"


def batches(size: int, work: Work = say, ahead: int = 1) -> Batches[int, list[int], str]:
    return Batches(size, "numbers", tens, work, lost, ahead)


def test_the_next_batch_is_prepared_while_the_model_works() -> None:
    following = threading.Event()
    prepared: list[Sequence[int]] = []

    def prepare(batch: Sequence[int]) -> list[int]:
        prepared.append(batch)
        if batch[0] == 2:
            following.set()
        return tens(batch)

    def work(batch: Sequence[int], ready: list[int]) -> list[str]:
        assert batch[0] != 0 or following.wait(10), "nothing was prepared meanwhile"
        assert len(prepared) <= batch[0] // 2 + 2  # and no more than one ahead
        return say(batch, ready)

    found = Batches(2, "numbers", prepare, work, lost, 1).run(range(8))
    assert list(found) == [str(n) for n in range(8)]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_without_memory_batches_shrink_and_everything_is_answered_once(ahead: int) -> None:
    sizes = []

    def small(batch: Sequence[int], ready: list[int]) -> list[str]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise RuntimeError("CUDA out of memory")
        return say(batch, ready)

    group = batches(8, small, ahead)
    assert list(group.run(range(20, 40))) == [str(n) for n in range(20, 40)]
    assert group.size == 2 and sizes[:3] == [8, 4, 2]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_what_cannot_be_prepared_fails_alone(ahead: int) -> None:
    answers = list(batches(4, ahead=ahead).run(range(10, 17)))
    assert sorted(answers) == ["10", "11", "12", "13 unreadable", "14", "15", "16"]


def test_a_stream_that_has_nothing_yet_is_not_waited_for() -> None:
    """Where answers lead to questions, as in narrate."""
    answered: list[str] = []

    def questions() -> Iterator[int | None]:
        yield 1
        yield None  # there is no other before this one is answered
        assert answered == ["1"]
        yield 2

    for answer in batches(4, ahead=0).run(questions()):
        answered.append(answer)
    assert answered == ["1", "2"]
