"""A host is asked as often as agreed, less when it refuses, and not at all while it asks for patience."""

from __future__ import annotations

import pytest

from interlink.errors import StageError
from interlink.fetch.pacing import Pacer, Request, Turns


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def seconds_for(requests: int, pacer: Pacer, clock: Clock, host: str = "a") -> float:
    began = clock.now
    for _ in range(requests):
        pacer.wait(host, clock)
    return clock.now - began


def test_after_the_burst_requests_come_at_the_rate(clock: Clock):
    pacer = Pacer(requests_per_second=2, burst=4, patience=60, clock=clock)
    assert seconds_for(4, pacer, clock) == 0
    assert seconds_for(10, pacer, clock) == pytest.approx(5.0)


def test_hosts_do_not_wait_for_each_other(clock: Clock):
    pacer = Pacer(requests_per_second=1, burst=1, patience=60, clock=clock)
    seconds_for(5, pacer, clock, "a")
    assert seconds_for(1, pacer, clock, "b") == 0


def test_refusals_slow_a_host_down_and_answers_bring_it_back(clock: Clock):
    pacer = Pacer(requests_per_second=8, burst=1, patience=60, clock=clock)
    for _ in range(3):
        pacer.refused("a")
    seconds_for(1, pacer, clock)
    assert seconds_for(4, pacer, clock) == pytest.approx(4.0)  # 8 / 2³ a second
    for _ in range(16):
        pacer.answered("a")
    assert seconds_for(8, pacer, clock) == pytest.approx(1.0)


def test_a_host_is_never_given_up_by_being_slowed(clock: Clock):
    pacer = Pacer(requests_per_second=32, burst=1, patience=60, clock=clock)
    for _ in range(50):
        pacer.refused("a")
    seconds_for(1, pacer, clock)
    assert seconds_for(2, pacer, clock) == pytest.approx(2.0)


def test_retry_after_silences_the_whole_host_until_it_is_over(clock: Clock):
    pacer = Pacer(requests_per_second=100, burst=10, patience=60, clock=clock)
    pacer.refused("a", retry_after=20)
    assert seconds_for(1, pacer, clock) == pytest.approx(20)
    assert seconds_for(1, pacer, clock, "b") == 0


def test_beyond_patience_the_request_is_given_back_with_the_seconds_that_are_left(clock: Clock):
    pacer = Pacer(requests_per_second=100, burst=10, patience=60, clock=clock)
    pacer.refused("a", retry_after=500)
    clock.sleep(100)
    with pytest.raises(StageError) as caught:
        pacer.wait("a", clock)
    assert caught.value.error_class == "throttled"
    assert caught.value.retry_after == pytest.approx(400)


def test_tokens_come_back_at_the_rate_and_never_beyond_the_burst(clock: Clock):
    pacer = Pacer(requests_per_second=2, burst=4, patience=60, clock=clock)
    seconds_for(4, pacer, clock)
    clock.sleep(1.0)
    assert seconds_for(2, pacer, clock) == 0
    assert pacer.take("a") == pytest.approx(0.5)
    clock.sleep(1000.0)
    assert seconds_for(4, pacer, clock) == 0
    assert pacer.take("a") == pytest.approx(0.5)


def test_a_first_request_is_taken_from_a_full_burst(clock: Clock):
    pacer = Pacer(requests_per_second=2, burst=1, patience=60, clock=clock)
    assert [pacer.take("a"), pacer.take("a")] == [0.0, pytest.approx(0.5)]


def test_patience_ends_after_its_seconds(clock: Clock):
    pacer = Pacer(requests_per_second=1, burst=1, patience=60, clock=clock)
    pacer.refused("a", retry_after=60)
    assert pacer.take("a") == 60
    pacer.refused("a", retry_after=60.5)
    with pytest.raises(StageError, match=r"a asks clients to wait 60 s"):
        pacer.take("a")


def test_the_longest_of_several_rests_holds_and_a_rest_of_more_than_a_day_is_ignored(clock: Clock):
    pacer = Pacer(requests_per_second=1, burst=1, patience=10**9, clock=clock)
    pacer.refused("a", retry_after=30)
    pacer.refused("a", retry_after=10)
    pacer.refused("a", retry_after=0)
    pacer.refused("a", retry_after=-5)
    assert pacer.take("a") == 30
    pacer.refused("a", retry_after=24 * 3600 + 1)
    assert pacer.take("a") == 30
    pacer.refused("a", retry_after=24 * 3600)
    assert pacer.take("a") == 24 * 3600


def test_an_answer_adds_a_sixteenth_of_the_full_rate_and_no_more_than_all(clock: Clock):
    pacer = Pacer(requests_per_second=16, burst=1, patience=60, clock=clock)
    pacer.refused("a")
    pacer.answered("a")
    pacer.take("a")
    assert pacer.take("a") == pytest.approx(1 / 9)
    for _ in range(50):
        pacer.answered("a")
    clock.sleep(1)
    pacer.take("a")
    assert pacer.take("a") == pytest.approx(1 / 16)


def test_turns_come_in_order_at_the_pacers_rate(clock: Clock) -> None:
    turns = Turns(Pacer(requests_per_second=2, burst=1, patience=60, clock=clock))
    granted: list[str] = []
    for name in "abc":
        turns.ask("host", Request(name, lambda refusal, name=name: granted.append(name)))

    assert turns.give() == pytest.approx(0.5)
    assert granted == ["a"]
    clock.sleep(0.5)
    turns.give()
    assert granted == ["a", "b"]
    clock.sleep(0.5)
    assert turns.give() == float("inf")
    assert granted == ["a", "b", "c"]


def test_a_dead_process_gets_no_turn_and_gives_none_back(clock: Clock) -> None:
    turns = Turns(Pacer(requests_per_second=2, burst=2, patience=60, clock=clock))
    granted: list[str] = []
    owners = {"a": object(), "b": object()}
    for name in "abab":
        turns.ask("host", Request(owners[name], lambda refusal, name=name: granted.append(name)))
    turns.give()
    turns.forget(owners["a"])
    turns.give()
    assert granted == ["a", "b"], "the turns that the dead one had are spent"
    clock.sleep(0.5)
    turns.give()
    assert granted == ["a", "b", "b"]


def test_a_host_that_asks_for_too_much_patience_refuses_all_that_wait(clock: Clock) -> None:
    pacer = Pacer(requests_per_second=2, burst=2, patience=60, clock=clock)
    turns = Turns(pacer)
    refusals: list[StageError | None] = []
    pacer.refused("host", retry_after=100)
    for _ in range(3):
        turns.ask("host", Request(None, refusals.append))

    assert turns.give() == float("inf")
    assert [refusal.error_class if refusal else "" for refusal in refusals] == ["throttled"] * 3
