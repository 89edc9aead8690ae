"""Plans of batches: which source, which samples, which rank's rows; planned and realised shares."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cosmos_train.recipe import Recipe
from cosmos_train.stream.loader import Samples
from cosmos_train.stream.mixture import Counts, Exposure, Mixture, Part
from cosmos_train.stream.order import Order
from cosmos_train.stream.pack import Slot, pack
from cosmos_train.stream.plan import Planner, StreamState, pack_window
from cosmos_train.stream.stream import open_data
from cosmos_train.stream.tokenizer import Tokenizer

LONG = Part("long", 1.0, 100, {"samples": 5.0, "tokens": 400.0, "images": 20.0})
SHORT = Part("short", 3.0, 90, {"samples": 10.0, "tokens": 100.0, "images": 10.0})


@pytest.mark.parametrize(
    ("kind", "unit", "shares"),
    [("round_robin", "samples", (1 / 2, 1 / 2)), ("weighted", "samples", (2 / 5, 3 / 5)),
     ("weighted", "tokens", (1 / 13, 12 / 13)), ("weighted", "images", (1 / 7, 6 / 7))],
)  # fmt: skip
def test_weights_are_shares_of_a_unit(kind: Any, unit: Any, shares: tuple[float, float]) -> None:
    assert Mixture.plan([LONG, SHORT], kind, unit, "min").shares == pytest.approx(shares)


def test_an_epoch_is_of_the_first_source_to_end_of_the_last_or_of_all_samples() -> None:
    """At shares of 2/5 and 3/5 a batch holds 2 long and 6 short samples on average."""
    found = {epoch: Mixture.plan([LONG, SHORT], "weighted", "samples", epoch) for epoch in ("min", "max", "weighted")}
    lengths = {epoch: mixture.epoch_batches for epoch, mixture in found.items()}
    assert lengths == pytest.approx({"min": 90 / 6, "max": 100 / 2, "weighted": 190 / 8})
    assert found["min"].parts == (LONG, SHORT)


def test_the_source_furthest_behind_comes_next_and_ties_go_to_the_first() -> None:
    mixture = Mixture((LONG, SHORT, SHORT), (0.5, 0.25, 0.25), 1.0)
    given, found = [0, 0, 0], []
    for _ in range(8):
        found.append(mixture.next(given))
        given[found[-1]] += 1
    assert found == [0, 1, 2, 0, 0, 1, 2, 0]


def test_thirds_take_turns_in_spite_of_rounding_errors() -> None:
    mixture = Mixture((LONG,) * 3, (1 / 3 - 1e-12, 1 / 3, 1 / 3 + 1e-12), 1.0)
    assert [mixture.next(given) for given in ((0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1))] == [0, 1, 2, 0]


def test_exposure_compares_planned_with_realised_shares() -> None:
    mixture = Mixture((LONG, SHORT), (0.25, 0.75), 1.0)
    exposure = Exposure(mixture, "tokens", [Counts(50, 300, 8), Counts(45, 100, 2)])
    assert exposure.rows() == [
        {"source": "long", "planned": pytest.approx(100 / 175), "realised": 0.75, "samples": 50, "tokens": 300,
         "images": 8, "passes": 0.5},
        {"source": "short", "planned": pytest.approx(75 / 175), "realised": 0.25, "samples": 45, "tokens": 100,
         "images": 2, "passes": 0.5},
    ]  # fmt: skip
    before = Exposure(mixture, "samples", [Counts(), Counts()]).rows()
    assert [row["realised"] for row in before] == [0, 0]
    assert (Counts().samples, Counts().tokens, Counts().images) == (0, 0, 0)


def test_a_state_is_integers_per_source() -> None:
    assert StreamState.start(2) == StreamState((0, 0), (0, 0), (0, 0), (0, 0))
    state = StreamState((1, 2), (3, 4), (5, 6), (7, 8))
    assert state.to_dict() == {"batches": [1, 2], "samples": [3, 4], "window": [5, 6], "row": [7, 8]}
    assert StreamState.from_dict({**state.to_dict(), "later": [9]}) == state


def test_rows_are_filled_with_the_sample_that_fits_best() -> None:
    """Both budgets of 10 run out together: after (6, 2), (2, 7) suits better than the larger (4, 1)."""
    rows = pack([(4, 1), (6, 2), (2, 7), (2, 0)], 10, 10, 0, 0)
    assert sorted(rows, key=len) == [
        [Slot(0, 0, 4, 1)],
        [Slot(2, 0, 2, 7), Slot(1, 2, 6, 2), Slot(3, 8, 2, 0)],
    ]
    assert pack([(10, 10), (10, 10)], 10, 10, 0, 0)  # as large as a row
    for size in ((11, 0), (1, 11)):
        with pytest.raises(ValueError, match=f"a sample of {size[0]} tokens and {size[1]} frames is larger than a row"):
            pack([(1, 1), size], 10, 10, 0, 0)


def test_the_order_of_rows_is_drawn_by_seed_and_window() -> None:
    sizes = [(10, number) for number in range(9)]
    for seed, window in ((0, 0), (1, 0), (0, 1)):
        order = Order(9, seed, window)
        filled = [slot.number for row in pack(sizes, 10, 10, seed, window) for slot in row]
        assert filled == [8 - order[place] for place in range(9)]


@pytest.fixture
def planner(tiny: Callable[..., Recipe], make_shards: Callable[..., Path]) -> Callable[..., Planner]:
    """Of two sources with 4 and 6 rows a batch; packed or not."""
    long = make_shards("long", documents=9, seed=1)
    short = make_shards("short", documents=14, seed=2, clips=1, frames=1)

    def make(rank: int = 0, world_size: int = 1, state: StreamState | None = None, packed: bool = False) -> Planner:
        pack = {"data__pack": {"tokens": 96, "images": 8, "window": 10}, "data__max_tokens": 64} if packed else {}
        recipe = tiny(data__shards="", data__sources={
            "long": {"shards": str(long)}, "short": {"shards": str(short), "clips_per_sample": 1},
        }, **pack)  # fmt: skip
        data = open_data(recipe.data)
        samples = [Samples(corpus, one, 3 + n) for n, (corpus, (_, one)) in
                   enumerate(zip(data.corpora, data.sources, strict=True))]  # fmt: skip
        tokens = Tokenizer.train(data.texts(), 400)
        lengths = [corpus.lengths(tokens) if packed else None for corpus in data.corpora]
        mixture = Mixture((LONG, SHORT), (0.5, 0.5), 1.0)
        return Planner(samples, lengths, mixture, [4, 6], rank, world_size, state or StreamState.start(2))

    return make


def numbers(rows: Any) -> list[list[int]]:
    return [[slot.number for slot in row] for row in rows]


def test_plain_rows_count_on_and_each_rank_takes_its_slice(planner: Callable[..., Planner]) -> None:
    first, second = (list(itertools.islice(planner(rank, 2), 4)) for rank in range(2))
    assert [request.source for request in first] == [0, 1, 0, 1]
    assert [numbers(request.rows) for request in first] == [[[0], [1]], [[0], [1], [2]], [[4], [5]], [[6], [7], [8]]]
    assert [numbers(request.rows) for request in second] == [
        [[2], [3]], [[3], [4], [5]], [[6], [7]], [[9], [10], [11]],
    ]  # fmt: skip
    assert first[0].rows[0] == (Slot(0, 0, 64, 0),)
    for one, other in zip(first, second, strict=True):
        assert one.after == other.after
    assert first[2].after == StreamState((2, 1), (8, 6), (0, 0), (0, 0))


def test_planning_ahead_keeps_the_order_and_a_state_is_enough_to_go_on(planner: Callable[..., Planner]) -> None:
    for packed in (False, True):
        whole = planner(packed=packed)
        requests = list(itertools.islice(whole, 7))
        assert [one.after for one in whole.planned] == [one.after for one in requests]
        assert all(one.rows == () for one in whole.planned)
        assert whole.state == requests[-1].after
        later = planner(state=requests[2].after, packed=packed)
        assert list(itertools.islice(later, 4)) == requests[3:]
        assert whole.plan(requests[3].after) == requests[4]  # a function of the state alone


def test_packed_rows_are_those_of_one_window_after_the_other(planner: Callable[..., Planner]) -> None:
    made = planner(packed=True)
    requests = [request for request in itertools.islice(made, 12) if request.source == 1]
    rows = [row for request in requests for row in request.rows]
    windows = [pack_window(made.samples[1], made.lengths[1], number) for number in range(40)]
    assert numbers(rows) == numbers(itertools.chain(*windows))[: len(rows)]
    assert len(rows) == 6 * len(requests)
    ends = list(itertools.accumulate(map(len, windows)))
    for number, request in enumerate(requests, 1):
        window = next(place for place, end in enumerate(ends) if end > 6 * number)
        assert request.after.window[1] == window
        assert request.after.row[1] == 6 * number - (ends[window - 1] if window else 0)
        assert request.after.samples[1] == sum(map(len, rows[: 6 * number]))
    assert max(request.after.window[1] for request in requests) > 1
    held = made.window(1, 3)
    assert made.window(1, 3) is held and made.window(1, 4) is not held
    assert made.window(1, 3) == held


def test_a_window_holds_its_samples_by_position(planner: Callable[..., Planner]) -> None:
    made = planner(packed=True)
    for source, window in ((0, 0), (1, 3)):
        slots = [slot for row in made.window(source, window) for slot in row]
        assert sorted(slot.number for slot in slots) == list(range(10 * window, 10 * window + 10))
        lengths = made.lengths[source]
        assert lengths is not None
        for slot in slots:
            assert (slot.tokens, slot.images) == made.samples[source].size(slot.number, lengths)
    with pytest.raises(ValueError, match="packing needs lengths"):
        pack_window(made.samples[0], None, 0)


def test_windows_are_shuffled_by_their_sources_seed(planner: Callable[..., Planner]) -> None:
    made = planner(packed=True)
    lengths = made.lengths[1]
    assert lengths is not None
    sizes = [made.samples[1].size(position, lengths) for position in range(20, 30)]
    expected = pack(sizes, 96, 8, 4, 2)
    assert numbers(made.window(1, 2)) == [[20 + slot.number for slot in row] for row in expected]
