"""The order of samples: a permutation of each epoch, given by seed and epoch alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_train.stream.order import Order


@given(size=st.integers(1, 700), seed=st.integers(0, 2**31), epoch=st.integers(0, 50))
def test_every_unit_comes_once(size: int, seed: int, epoch: int) -> None:
    order = Order(size, seed, epoch)
    assert sorted(order[p] for p in range(size)) == list(range(size))


def test_the_order_never_changes_between_versions() -> None:
    """A checkpoint's position means something only as long as this holds."""
    order = Order(10, seed=1, epoch=0)
    assert [order[p] for p in range(10)] == [9, 3, 4, 1, 6, 2, 7, 0, 5, 8]


def test_seed_and_epoch_give_other_orders() -> None:
    orders = {tuple(Order(50, seed, epoch)[p] for p in range(50)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_neighbours_are_scattered() -> None:
    size = 1000
    order = Order(size, 0, 0)
    near = sum(abs(order[p] - order[p + 1]) < 10 for p in range(size - 1))
    assert near < 60  # about 20 by chance, 999 unshuffled


def test_a_huge_epoch_costs_nothing_to_open() -> None:
    order = Order(10**12, 0, 0)
    assert 0 <= order[10**11] < 10**12


def test_positions_outside_are_refused() -> None:
    with pytest.raises(IndexError):
        Order(5, 0, 0)[5]
    with pytest.raises(ValueError, match="at least one"):
        Order(0, 0, 0)
