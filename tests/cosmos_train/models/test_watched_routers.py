"""A Mixtral's own routers report their decisions in training, in full precision."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from cosmos_train.models.routers import routing_of, watch_routers
from cosmos_train.models.routing import record_routing, routers


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


def test_a_mixtrals_routers_report_their_calls_in_training() -> None:
    torch.manual_seed(0)
    lm = Lm("mixtral")
    assert watch_routers(lm) == 2
    first, _ = lm.routers
    tokens = torch.randn(20, 6)
    lm.eval()
    with record_routing(lm) as calls:
        first(tokens)
    assert calls.blocks() == {}
    lm.train()
    with record_routing(lm) as calls:
        logits, _, choice = first(tokens)
    first(tokens)  # after the pass: not counted
    (name,) = calls.blocks()
    assert name == "routers.0.watch"
    for stored, wanted in zip(calls.blocks()[name], routing_of(logits, choice), strict=True):
        assert torch.equal(torch.as_tensor(stored), torch.as_tensor(wanted, dtype=torch.as_tensor(stored).dtype))


@pytest.mark.parametrize("family", ["llama", None])
def test_other_language_models_are_not_watched(family: str | None) -> None:
    lm = Lm(family)
    assert watch_routers(lm) == 0
    assert routers(lm) == {}


def test_losses_are_computed_in_fp32_from_logits_of_half_precision() -> None:
    torch.manual_seed(0)
    logits = torch.randn(300, 5).bfloat16()
    choice = logits.topk(2).indices
    with torch.autocast("cpu", torch.bfloat16):
        found = routing_of(logits, choice)
    exact = routing_of(logits.double(), choice)
    assert exact.z.dtype == torch.float64
    assert found.tokens == exact.tokens == 300
    for one, other in zip(found[:3], exact[:3], strict=True):
        assert one.dtype == torch.float32
        assert torch.allclose(one.double(), other, rtol=1e-6)
