"""Losses against formulas written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cosmos_train.losses.contrastive import contrastive_loss, siglip_loss
from cosmos_train.losses.language import language_loss, token_losses
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.stream.batch import IGNORED


def test_language_loss_is_the_summed_log_probability_of_the_next_learned_token() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 5, 7))
    labels = np.array([[IGNORED, 3, IGNORED, 6, 2], [IGNORED, IGNORED, 1, IGNORED, IGNORED]])
    expected = 0.0
    for row, place in ((0, 1), (0, 3), (0, 4), (1, 2)):
        before = logits[row, place - 1]
        expected -= before[labels[row, place]] - np.log(np.exp(before).sum())
    found, tokens = language_loss(torch.from_numpy(logits).float(), torch.from_numpy(labels))
    assert tokens == 4
    assert abs(float(found) - expected) < 1e-5
    per_token = token_losses(torch.from_numpy(logits).float(), torch.from_numpy(labels))
    assert abs(float(per_token.sum()) - expected) < 1e-5
    assert per_token.shape == (2, 4)
    assert int((per_token != 0).sum()) == 4


@pytest.mark.parametrize("mixed", [True, False])
def test_language_losses_are_computed_in_fp32_from_logits_of_half_precision(mixed: bool) -> None:
    """bf16 has 8 bits: a sum over 200 tokens in it would be wrong in the second digit."""
    torch.manual_seed(0)
    logits = torch.randn(4, 51, 30).bfloat16()
    labels = torch.randint(0, 30, (4, 51))
    exact = F.cross_entropy(logits[:, :-1].double().flatten(0, 1), labels[:, 1:].flatten(), reduction="none")
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        summed, tokens = language_loss(logits, labels)
        each = token_losses(logits, labels)
    assert tokens == 200
    assert summed.dtype == each.dtype == torch.float32
    assert float(summed) == pytest.approx(float(exact.sum()), rel=1e-6)
    assert torch.allclose(each.double().flatten(), exact, atol=1e-5)


def reference(media: np.ndarray, text: np.ndarray, scale: float, group: list[int]) -> float:
    """Symmetric InfoNCE, one softmax at a time, leaving out others that say the same."""
    total = 0.0
    for queries, keys in ((media, text), (text, media)):
        for i in range(len(queries)):
            logits = {j: scale * queries[i] @ keys[j] for j in range(len(keys)) if j == i or group[j] != group[i]}
            total -= logits[i] - np.log(sum(np.exp(value) for value in logits.values()))
    return total / (2 * len(media))


def test_contrastive_loss_equals_the_formula() -> None:
    torch.manual_seed(0)
    media, text = (F.normalize(torch.randn(6, 8, dtype=torch.float64), dim=-1) for _ in range(2))
    for group in ([0, 1, 2, 3, 4, 5], [0, 1, 0, 2, 2, 0]):
        found = contrastive_loss(media, text, torch.tensor(10.0, dtype=torch.float64), torch.tensor(group))
        assert abs(float(found) - reference(media.numpy(), text.numpy(), 10.0, group)) < 1e-12


def test_the_sigmoid_loss_equals_the_formula() -> None:
    """The mean over clips of the summed -log sigmoid(±(scale · media · text + bias)), without equal captions."""
    torch.manual_seed(0)
    media, text = (F.normalize(torch.randn(5, 8, dtype=torch.float64), dim=-1) for _ in range(2))
    scale, bias = torch.tensor(7.0, dtype=torch.float64), torch.tensor(-2.0, dtype=torch.float64)
    for group in ([0, 1, 2, 3, 4], [0, 1, 0, 2, 1]):
        total = 0.0
        for i in range(5):
            for j in range(5):
                logit = float(7 * media[i] @ text[j] - 2)
                if i == j:
                    total += np.log1p(np.exp(-logit))
                elif group[i] != group[j]:
                    total += np.log1p(np.exp(logit))
        found = siglip_loss(media, text, scale, bias, torch.tensor(group))
        assert float(found) == pytest.approx(total / 5, rel=1e-12)


def test_equal_captions_are_no_negatives() -> None:
    """Given twins whose embeddings agree, the guard lets the loss go to zero; without it, it cannot."""
    one = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=-1)
    guarded = contrastive_loss(one, one, torch.tensor(50.0), torch.tensor([0, 0, 1]))
    unguarded = contrastive_loss(one, one, torch.tensor(50.0), torch.tensor([0, 1, 2]))
    assert float(guarded) < 1e-6
    assert float(unguarded) > 0.4


def test_gradients_of_the_guarded_loss_are_finite() -> None:
    media = torch.randn(3, 4, requires_grad=True)
    contrastive_loss(media, torch.randn(3, 4), torch.tensor(5.0), torch.tensor([0, 0, 0])).backward()
    assert media.grad is not None
    assert torch.isfinite(media.grad).all()


def test_without_settings_the_papers_losses_are_used() -> None:
    teacher = {"momentum": 0.999, "schedule": "constant", "order": "after_step"}
    released = ("single_pairs", "mean_of_batches", "own_process", "no_guard")
    assert ObjectiveSettings().model_dump() == {
        "language_weight": 1.0,
        "contrastive_weight": 1.0,
        "contrastive": "infonce",
        "pairs": "first",
        "pool": "step",
        "clip_weight": 1.0,
        "distill_weight": 1.0,
        "teacher": teacher,
        "balance_weight": 0.1,
        "router_z_weight": 0.01,
        "paper_compat": dict.fromkeys(released, False),
    }
