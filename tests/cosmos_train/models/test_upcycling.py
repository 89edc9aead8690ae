"""Experts from dense networks: which networks are known, where they are looked for, and what the copies keep."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.errors import UserError
from cosmos_train.models.moe import MixtureMlp, expert_layers, mixtures, upcycled
from cosmos_train.models.routing import Routing, record_routing
from cosmos_train.models.settings import ExpertSettings
from cosmos_train.models.towers import Mlp, Transformer


class Gated(nn.Module):
    """As the feed-forward network of Llama and Mistral is."""

    def __init__(self, activation: str | None = "silu") -> None:
        super().__init__()
        self.config = SimpleNamespace() if activation is None else SimpleNamespace(hidden_act=activation)
        self.gate_proj, self.up_proj = nn.Linear(16, 24, bias=False), nn.Linear(16, 24, bias=False)
        self.down_proj = nn.Linear(24, 16, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))  # type: ignore[no-any-return]


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Theirs(nn.Module):
    """As open_clip's network is: the activation is a module, its type says which."""

    def __init__(self, gelu: nn.Module) -> None:
        super().__init__()
        self.c_fc, self.gelu, self.c_proj = nn.Linear(16, 24), gelu, nn.Linear(24, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(self.gelu(self.c_fc(x)))  # type: ignore[no-any-return]


def connector(*middle: nn.Module, bias: bool = True) -> nn.Sequential:
    return nn.Sequential(nn.Linear(16, 24, bias=bias), *middle, nn.Linear(24, 12, bias=bias))


@pytest.mark.parametrize(
    "dense",
    [Gated("silu"), Gated("swish"), Gated(None), Theirs(QuickGELU()), Theirs(nn.GELU()), Mlp(16, 24, True),
     Mlp(16, 24), connector(nn.GELU()), connector(nn.GELU(), bias=False)],
    ids=["silu", "swish", "no activation named", "quick by type", "gelu by type", "quick", "gelu", "connector",
         "without biases"],
)  # fmt: skip
def test_a_known_network_becomes_experts_with_its_function(dense: nn.Module) -> None:
    torch.manual_seed(0)
    dense = dense.double().eval()
    sparse = upcycled(dense, 3, 2)
    assert sparse is not None
    assert (sparse.experts, sparse.top_k, sparse.sample_wise, sparse.training) == (3, 2, True, False)
    x = torch.randn(2, 5, 16, dtype=torch.float64)
    assert torch.allclose(sparse(x), dense(x), atol=1e-12)


def half_known(name: str) -> nn.Module:
    """With one of two layers of open_clip's network, or two of three of a gated one."""
    found = Theirs(nn.GELU()) if name.startswith("c_") else Gated()
    delattr(found, name)
    return found


@pytest.mark.parametrize(
    "dense",
    [half_known("c_fc"), half_known("c_proj"), half_known("gate_proj"), half_known("down_proj"), Gated("relu"),
     connector(nn.ReLU()), connector(nn.GELU(), nn.Dropout()), nn.Sequential(nn.Linear(4, 4)),
     nn.Sequential(nn.Identity(), nn.GELU(), nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Tanh()),
     MixtureMlp(16, 24, 16, 2, 1, "gelu", True), nn.Linear(4, 4)],
)  # fmt: skip
def test_other_networks_are_left_alone(dense: nn.Module) -> None:
    assert upcycled(dense, 3, 2) is None


@pytest.mark.parametrize("learns", [True, False])
def test_experts_learn_if_and_only_if_their_network_did(learns: bool) -> None:
    dense = Mlp(16, 24).requires_grad_(learns).train(learns)
    sparse = upcycled(dense, 3, 2)
    assert sparse is not None
    assert {name: p.requires_grad for name, p in sparse.named_parameters()} == dict.fromkeys(
        ("gate.weight", "first", "second", "first_bias", "second_bias"), learns
    )
    assert sparse.training is learns


def test_more_experts_in_use_than_there_are_is_refused() -> None:
    for top_k in (0, 4):
        with pytest.raises(ValueError, match=f"top_k {top_k} is more than the 3 experts"):
            MixtureMlp(8, 16, 8, 3, top_k, "gelu", True)
    assert MixtureMlp(8, 16, 8, 3, 3, "gelu", True).top_k == 3


def layer(mlp: nn.Module) -> nn.Module:
    found = nn.Module()
    found.mlp = mlp
    return found


class Half(nn.Module):
    """The parts of a student, or of a model that has no halves."""

    def __init__(self) -> None:
        super().__init__()
        self.visual, self.vision = Transformer(16, 1, 2, 24), Transformer(16, 1, 2, 24)
        self.transformer = Transformer(16, 1, 2, 24)
        self.language, self.lm = nn.Sequential(layer(Gated())), nn.Sequential(layer(Gated()), layer(Gated("relu")))
        self.connector, self.projection = connector(nn.GELU()), layer(Mlp(16, 24))


class Halves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.student, self.teacher = Half(), Half()


NAMES = {
    "vision": {"visual.resblocks.0.mlp", "vision.resblocks.0.mlp"},
    "text": {"transformer.resblocks.0.mlp"},
    "language": {"language.0.mlp", "lm.0.mlp"},
}


@pytest.mark.parametrize("place", ["vision", "text", "language", "connector"])
def test_experts_take_the_networks_of_their_place(place: Any) -> None:
    model = Half()
    names = NAMES.get(place, {"connector"})
    assert expert_layers(model, ExpertSettings(count=3, top_k=1, places=[place])) == len(names)
    found = {name: one for name, one in model.named_modules() if isinstance(one, MixtureMlp)}
    assert found.keys() == names
    for one in found.values():
        assert (one.experts, one.top_k) == (3, 1)
        assert one.sample_wise == (place in ("vision", "connector"))  # texts are balanced all together


def test_student_and_teacher_have_the_same_places_but_a_connector_is_the_models_own() -> None:
    model = Halves()
    assert expert_layers(model, ExpertSettings(count=2, top_k=1, places=["vision", "text"])) == 6
    assert len(mixtures(model.student)) == len(mixtures(model.teacher)) == 3
    with pytest.raises(UserError, match="Halves has no feed-forward networks in connector") as caught:
        expert_layers(model, ExpertSettings(count=2, top_k=1, places=["connector"]))
    assert caught.value.code == 2


def test_router_losses_are_means_within_a_place_summed_over_places() -> None:
    model = Half()
    with record_routing(model) as calls:
        pass
    assert calls.losses() is None
    expert_layers(model, ExpertSettings(count=2, top_k=1, places=["vision", "text", "connector"]))
    numbers = {"visual": 1.0, "vision": 3.0, "transformer": 10.0, "connector": 100.0}
    with record_routing(model) as calls:
        for name, one in model.named_modules():
            if isinstance(one, MixtureMlp):
                value = numbers[name.partition(".")[0]]
                one.report(Routing(torch.tensor(value), torch.tensor(1000 * value), torch.ones(2) / 2))
    losses = calls.losses()
    assert losses is not None
    assert [float(loss) for loss in losses] == [2 + 10 + 100, 1000 * (2 + 10 + 100)]
    assert len(calls.blocks()) == 4
