"""A Mixtral's own routers store their decisions in training, in full precision."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from cosmos_train.models.routers import routing_of, watch_routers


class TopKRouter(nn.Module):
    """With the outputs of Hugging Face's router of the same name."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 5, bias=False)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.gate(tokens)
        weights, choice = logits.softmax(-1).topk(2)
        return logits, weights, choice


class Lm(nn.Module):
    def __init__(self, family: str | None) -> None:
        super().__init__()
        self.config = SimpleNamespace(model_type=family) if family else SimpleNamespace()
        self.routers = nn.ModuleList([TopKRouter(), TopKRouter()])


def test_a_mixtrals_routers_store_the_last_call_in_training() -> None:
    torch.manual_seed(0)
    lm = Lm("mixtral")
    assert watch_routers(lm) == 2
    first, second = lm.routers
    assert first.routing is None and second.routing is None
    tokens = torch.randn(20, 6)
    lm.eval()
    first(tokens)
    assert first.routing is None
    lm.train()
    logits, _, choice = first(tokens)
    assert second.routing is None
    for stored, wanted in zip(first.routing, routing_of(logits, choice), strict=True):
        assert torch.equal(stored, wanted)


@pytest.mark.parametrize("family", ["llama", None])
def test_other_language_models_are_not_watched(family: str | None) -> None:
    lm = Lm(family)
    assert watch_routers(lm) == 0
    assert not any(hasattr(router, "routing") for router in lm.routers)


def test_losses_are_computed_in_fp32_from_logits_of_half_precision() -> None:
    torch.manual_seed(0)
    logits = torch.randn(300, 5).bfloat16()
    choice = logits.topk(2).indices
    with torch.autocast("cpu", torch.bfloat16):
        found = routing_of(logits, choice)
    exact = routing_of(logits.double(), choice)
    assert exact.z.dtype == torch.float64
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == torch.float32
        assert torch.allclose(one.double(), other, rtol=1e-6)
