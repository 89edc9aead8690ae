"""Losses over several processes are those of one process that has all pairs, and so are their gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.families.accumulation import mean_over_processes
from cosmos_train.losses.contrastive import contrastive_loss, siglip_loss
from cosmos_train.losses.gather import gather, gather_rows
from forked import on_ranks

SIZES = (3, 0, 2)  # pairs of each rank
GROUPS = torch.tensor([4, 7, 4, 9, 7])  # two captions are equal across ranks, two on one


def drawn() -> list[Tensor]:
    """Media and texts of all ranks."""
    torch.manual_seed(0)
    return [F.normalize(torch.randn(5, 8, dtype=torch.float64), dim=-1) for _ in range(2)]


def own(rank: int) -> slice:
    return slice(sum(SIZES[:rank]), sum(SIZES[: rank + 1]))


def siglip(media: Tensor, text: Tensor, scale: Tensor, group: Tensor, everywhere: bool) -> Tensor:
    return siglip_loss(media, text, scale, torch.tensor(-1.5, dtype=torch.float64), group, everywhere)


def losses(part: slice, everywhere: bool = True) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Each loss of a part of the pairs, and its gradients at media, text and scale."""
    found = []
    for loss_of in (contrastive_loss, siglip):
        media, text = (one[part].clone().requires_grad_() for one in drawn())
        scale = torch.tensor(6.0, dtype=torch.float64, requires_grad=True)
        loss = loss_of(media, text, scale, GROUPS[part], everywhere)
        found.append((loss.detach(), *torch.autograd.grad(loss, [media, text, scale])))
    return found


def exchanged(rank: int) -> dict[str, Any]:
    media, text = (one[own(rank)] for one in drawn())
    found, alone = gather(media, text, GROUPS[own(rank)], True), gather(media, text, GROUPS[own(rank)], False)
    mean = mean_over_processes({"one": torch.tensor(float(rank)), "two": torch.tensor(3.0 * rank)})
    return {
        "all": losses(own(rank)),
        "own": losses(own(rank), everywhere=False),
        "pairs": (found.media.detach(), found.text.detach(), found.group, found.first),
        "alone": (alone.media, alone.text, alone.group, alone.first),
        "mean": mean,
    }


def test_losses_of_ranks_are_those_of_all_pairs_together() -> None:
    found = on_ranks(3, exchanged)
    media, text = drawn()
    for number, (loss, *gradients) in enumerate(losses(slice(None))):
        ranks = [one["all"][number] for one in found]
        assert float(sum(one[0] for one in ranks) / 3) == pytest.approx(float(loss), rel=1e-12)
        for place, gradient in enumerate(gradients[:2], 1):
            assert torch.allclose(torch.cat([one[place] for one in ranks]) / 3, gradient, atol=1e-13)
        assert float(sum(one[3] for one in ranks) / 3) == pytest.approx(float(gradients[2]), rel=1e-10)
    for rank, one in enumerate(found):
        for pair, wanted in zip(one["pairs"], (media, text, GROUPS, sum(SIZES[:rank])), strict=True):
            assert torch.equal(torch.as_tensor(pair), torch.as_tensor(wanted))
        wanted = (media[own(rank)], text[own(rank)], GROUPS[own(rank)], 0)
        for pair, value in zip(one["alone"], wanted, strict=True):
            assert torch.equal(torch.as_tensor(pair), torch.as_tensor(value))
        for (loss, *_), (expected, *_) in zip(one["own"], losses(own(rank)), strict=True):
            assert float(loss) == pytest.approx(float(expected), rel=1e-12)
        assert {name: float(value) for name, value in one["mean"].items()} == {"one": 1.0, "two": 3.0}


def rows_of(rank: int) -> tuple[Tensor, int, Tensor]:
    rows = (torch.arange(2.0 * SIZES[rank]).reshape(-1, 2) + 10 * rank).requires_grad_()
    every, first = gather_rows(rows)
    (gradient,) = torch.autograd.grad((every * (rank + 1) * torch.arange(1.0, 6)[:, None]).sum(), rows)
    return every.detach(), first, gradient


def test_rows_are_in_the_order_of_ranks_and_their_gradients_add_up_at_their_owners() -> None:
    found = on_ranks(3, rows_of)
    expected = torch.cat([torch.arange(2.0 * size).reshape(-1, 2) + 10 * rank for rank, size in enumerate(SIZES)])
    for rank, (every, first, gradient) in enumerate(found):
        assert torch.equal(every, expected)
        assert first == sum(SIZES[:rank])
        assert torch.equal(gradient, 6 * torch.arange(1.0, 6)[own(rank), None].expand(-1, 2))


@pytest.mark.parametrize("everywhere", [True, False])
def test_one_pair_has_no_negatives(everywhere: bool) -> None:
    """InfoNCE has nothing to choose from; the sigmoid still has its positive."""
    one = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    scale = torch.tensor(3.0, dtype=torch.float64)
    assert float(contrastive_loss(one, one, scale, GROUPS[:1], everywhere)) == 0
    found = siglip(one, one, scale, GROUPS[:1], everywhere)
    assert float(found) == pytest.approx(float(torch.tensor(-1.5).exp().log1p()))


def test_no_pairs_cost_nothing_and_have_gradients() -> None:
    for loss_of in (contrastive_loss, siglip):
        for everywhere in (True, False):
            none = torch.zeros(0, 4, dtype=torch.float64, requires_grad=True)
            loss = loss_of(none, none, torch.tensor(2.0, dtype=torch.float64), GROUPS[:0], everywhere)
            loss.backward()
            assert float(loss.detach()) == 0
            assert none.grad is not None


def none_of(rank: int) -> tuple[float, int, int]:
    none = torch.zeros(0, 8, dtype=torch.float64, requires_grad=True)
    loss = contrastive_loss(none, none, torch.tensor(2.0, dtype=torch.float64), GROUPS[:0])
    loss.backward()  # type: ignore[no-untyped-call]
    every, first = gather_rows(none)
    return float(loss.detach()), len(every), first


def test_ranks_without_any_pairs_exchange_nothing() -> None:
    assert on_ranks(2, none_of) == [(0.0, 0, 0)] * 2


def test_a_mean_over_one_process_is_the_value() -> None:
    found = mean_over_processes({"one": torch.tensor(2.0), "two": torch.tensor(5.0)})
    assert {name: float(value) for name, value in found.items()} == {"one": 2.0, "two": 5.0}
