"""COSMOS's losses: against the original's numbers, and against its double loop written out in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.families.cosmos.distill import Views, cosmos_losses

NAMES = (
    "student_image", "student_text", "cross_image", "cross_text", "teacher_image", "teacher_text", "logit_scale",
    "distill_logit_scale",
)  # fmt: skip


def nce(one: Tensor, other: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE of rows, from its definition."""
    logits = scale * one @ other.T
    own = torch.arange(len(one))
    return -(logits.log_softmax(1)[own, own].mean() + logits.log_softmax(0)[own, own].mean()) / 2


def double_loop(views: Views) -> tuple[Tensor, Tensor, int]:
    """Both losses as the paper's formulas say them, pair by pair; how many pairs there were."""
    clip = [
        nce(views.image[i], views.text[m], views.scale)
        for i in range(len(views.teacher_image))
        for m in range(len(views.text))
    ]
    families = []
    for cross in (views.cross_image, views.cross_text):
        for taught in (views.teacher_image, views.teacher_text):
            pairs = [nce(feature, target.detach(), views.distill_scale) for feature in cross for target in taught]
            families.append(torch.stack(pairs).mean())
    pairs = len(clip) + 4 * len(views.cross_image) * len(views.teacher_image)
    return torch.stack(clip).mean(), torch.stack(families).mean(), pairs


def drawn(rows: int, dtype: torch.dtype = torch.float64, globals_: int = 2, locals_: int = 6, width: int = 8) -> Views:
    draw = torch.Generator().manual_seed(rows)

    def unit(count: int) -> Tensor:
        found = F.normalize(torch.randn(count, rows, width, generator=draw, dtype=dtype), dim=-1)
        return found.requires_grad_()

    every = globals_ + locals_
    scales = [torch.tensor([value], dtype=dtype, requires_grad=True) for value in (9.0, 13.0)]
    return Views(*(unit(every) for _ in range(4)), *(unit(globals_) for _ in range(2)), *scales)


def test_losses_and_gradients_are_the_originals(shared_data: Path) -> None:
    golden = np.load(shared_data / "golden" / "cosmos_loss.npz")
    inputs = [torch.tensor(golden[name]).requires_grad_() for name in NAMES]
    found = cosmos_losses(Views(*inputs))
    assert found.clip.item() == pytest.approx(float(golden["clip_loss"]), abs=1e-12)
    assert found.distill.item() == pytest.approx(float(golden["distill_loss"]), abs=1e-12)
    (found.clip + found.distill).backward()
    for name, given in zip(NAMES, inputs, strict=True):
        if name.startswith("teacher"):
            assert given.grad is None
        else:
            assert given.grad is not None
            assert (given.grad - torch.tensor(golden[f"grad_{name}"])).abs().max() < 1e-12, name


@pytest.mark.parametrize(("globals_", "locals_"), [(2, 6), (1, 3), (2, 0)])
def test_one_product_is_the_mean_of_all_pairs(globals_: int, locals_: int) -> None:
    views = drawn(5, globals_=globals_, locals_=locals_)
    found = cosmos_losses(views)
    clip, distill, pairs = double_loop(views)
    assert pairs == (80 if (globals_, locals_) == (2, 6) else pairs)
    assert found.clip.item() == pytest.approx(clip.item(), rel=1e-12)
    assert found.distill.item() == pytest.approx(distill.item(), rel=1e-12)
    wanted = torch.autograd.grad(clip + 3 * distill, [*views[:4], *views[6:]])
    got = torch.autograd.grad(found.clip + 3 * found.distill, [*views[:4], *views[6:]])
    for one, other in zip(wanted, got, strict=True):
        assert torch.allclose(one, other, atol=1e-13)


def test_local_crops_of_images_are_not_contrasted() -> None:
    views = drawn(4)
    clip = cosmos_losses(views).clip
    (gradient,) = torch.autograd.grad(clip, [views.image])
    assert gradient[:2].abs().sum() > 0
    assert gradient[2:].abs().sum() == 0


def test_perfect_features_cost_next_to_nothing_and_none_cost_nothing() -> None:
    rows = torch.eye(6, dtype=torch.float64)
    views = Views(
        *(rows.expand(8, 6, 6),) * 4, *(rows.expand(2, 6, 6),) * 2, torch.tensor([100.0]), torch.tensor([100.0])
    )
    assert max(found.item() for found in cosmos_losses(views)) < 1e-40
    empty = drawn(0)
    found = cosmos_losses(empty)
    assert (found.clip.item(), found.distill.item()) == (0, 0)
    (found.clip + found.distill).backward()
