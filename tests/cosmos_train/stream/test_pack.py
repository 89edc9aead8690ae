"""Packing within a window, and which source comes next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_train.stream.mixture import Mixture, Part
from cosmos_train.stream.pack import pack

SIZES = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), min_size=1, max_size=80)


@given(sizes=SIZES, seed=st.integers(0, 99))
def test_every_sample_lies_once_within_both_budgets_and_none_overlap(sizes: list[tuple[int, int]], seed: int) -> None:
    rows = pack(sizes, 64, 10, seed, 0)
    assert sorted(slot.number for row in rows for slot in row) == list(range(len(sizes)))
    for row in rows:
        assert sum(slot.images for slot in row) <= 10
        end = 0
        for slot in row:
            assert slot.start == end
            assert (slot.tokens, slot.images) == sizes[slot.number]
            end += slot.tokens
        assert end <= 64


@given(sizes=SIZES)
def test_no_two_rows_could_have_been_one(sizes: list[tuple[int, int]]) -> None:
    rows = pack(sizes, 64, 10, 0, 0)
    for number, one in enumerate(rows):
        for other in rows[number + 1 :]:
            together = [slot for row in (one, other) for slot in row]
            assert sum(s.tokens for s in together) > 64 or sum(s.images for s in together) > 10


def test_typical_rows_are_nearly_full() -> None:
    import random

    draw = random.Random(0)
    sizes = [(draw.randint(20, 128), 3) for _ in range(512)]
    rows = pack(sizes, 1024, 64, 0, 0)
    assert sum(tokens for tokens, _ in sizes) / (1024 * len(rows)) > 0.92


def test_what_is_larger_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than a row"):
        pack([(65, 0)], 64, 10, 0, 0)


def parts(*weights: float) -> list[Part]:
    return [
        Part(str(n), weight, 1000, {"samples": 8.0, "tokens": 100.0, "images": 8.0}) for n, weight in enumerate(weights)
    ]


@given(weights=st.lists(st.floats(0.05, 20), min_size=1, max_size=6), batches=st.integers(1, 400))
def test_no_source_is_ever_a_batch_ahead_of_its_share(weights: list[float], batches: int) -> None:
    mixture = Mixture.plan(parts(*weights), "weighted", "samples", "min")
    given_out = [0] * len(weights)
    for number in range(1, batches + 1):
        given_out[mixture.next(given_out)] += 1
        for share, count in zip(mixture.shares, given_out, strict=True):
            assert count < share * number + 1 + 1e-6
    for share, count in zip(mixture.shares, given_out, strict=True):
        assert count > share * batches - len(weights)


def test_equal_shares_take_turns() -> None:
    for count in (2, 3, 6, 7):
        mixture = Mixture.plan(parts(*range(1, count + 1)), "round_robin", "samples", "min")
        given_out = [0] * count
        found = []
        for _ in range(5 * count):
            found.append(mixture.next(given_out))
            given_out[found[-1]] += 1
        assert found == list(range(count)) * 5


def test_a_share_of_tokens_takes_fewer_batches_of_long_samples() -> None:
    long = Part("long", 1.0, 1000, {"samples": 8.0, "tokens": 400.0, "images": 8.0})
    short = Part("short", 1.0, 1000, {"samples": 8.0, "tokens": 100.0, "images": 8.0})
    assert Mixture.plan([long, short], "weighted", "tokens", "min").shares == pytest.approx((0.2, 0.8))
