"""The numbers that are logged of routing, and the alarm for its collapse."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cosmos_train.families.routing import alarm, routing_numbers
from cosmos_train.models.routing import Router
from forked import on_ranks


def model(*shares: list[float]) -> nn.Module:
    """Blocks whose experts got these shares of their tokens."""
    found = nn.ModuleList()
    for share in shares:
        block = Router()
        block.used = torch.tensor(share)
        found.append(block)
    return found


def entropy(*shares: float) -> float:
    return -sum(share * math.log(share) for share in shares if share) / math.log(len(shares))


def test_shares_are_relative_to_even_ones_over_all_blocks() -> None:
    found = routing_numbers(model([0.5, 0.3, 0.19, 0.01], [0.52, 0.48]))
    assert found == pytest.approx(
        {
            "experts/blocks": 2, "experts/least_used": 0.04, "experts/most_used": 2.0, "experts/starved": 1,
            "experts/evenness": entropy(0.5, 0.3, 0.19, 0.01),
        }, rel=1e-5,
    )  # fmt: skip


def test_an_expert_with_a_tenth_of_its_share_is_not_starved() -> None:
    assert routing_numbers(model([0.9625, 0.0375, 0.0, 0.0]))["experts/starved"] == 2
    assert routing_numbers(model([0.95, 0.025, 0.025, 0.0]))["experts/starved"] == 1
    assert routing_numbers(model([0.5, 0.5], [1.0, 0.0]))["experts/evenness"] == pytest.approx(0)
    assert routing_numbers(model([1.0]))["experts/evenness"] == 0


def test_two_ranks_report_the_mean_of_their_shares() -> None:
    shares = ([[1.0, 0.0], [0.2, 0.8, 0.0]], [[0.5, 0.5], [0.4, 0.2, 0.4]])
    found = on_ranks(2, lambda rank: routing_numbers(model(*shares[rank])))
    together = routing_numbers(model([0.75, 0.25], [0.3, 0.5, 0.2]))
    for one in found:
        assert one == pytest.approx(together, rel=1e-5)


def test_the_alarm_says_how_many_experts_starve() -> None:
    warning = alarm({"experts/starved": 1.0, "experts/most_used": 3.54})
    assert "1 experts get less than a tenth" in warning
    assert "the fullest 3.5 times it" in warning
    assert alarm({"experts/starved": 0.0, "experts/most_used": 1.0}) == ""
    assert alarm({"loss": 1.0}) == ""
