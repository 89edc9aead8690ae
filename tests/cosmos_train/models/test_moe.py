"""Mixtures of experts: against the original's connector, a loop over tokens, and the dense network they come from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.errors import UserError
from cosmos_train.models.moe import (
    MixtureMlp,
    expert_layers,
    grouped,
    mixtures,
    upcycled,
)
from cosmos_train.models.routing import Routing, record_routing, utilisation
from cosmos_train.models.settings import ExpertSettings
from cosmos_train.models.towers import Mlp, Transformer
from golden import config_of


def drawn(experts: int = 4, top_k: int = 2, activation: Any = "gelu", bias: bool = True) -> MixtureMlp:
    torch.manual_seed(experts)
    block = MixtureMlp(8, 16, 12, experts, top_k, activation, bias).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block


def called(block: MixtureMlp, tokens: Tensor) -> tuple[Tensor, Routing]:
    """A block's output and what it reports."""
    with record_routing(block) as calls:
        found = block(tokens)
    return found, calls.blocks()[""]


def by_token(block: MixtureMlp, tokens: Tensor) -> Tensor:
    """Each token by itself, expert by expert."""
    first = block.first.unflatten(0, (block.experts, -1))
    second = block.second.unflatten(0, (block.experts, -1))
    rows = []
    for token in tokens.flatten(0, -2):
        chances = (block.gate.weight @ token).softmax(0)
        best = chances.argsort(descending=True)[: block.top_k]
        row = 0
        for expert in best.tolist():
            inner = first[expert] @ token
            if block.first_bias is not None:
                inner = inner + block.first_bias.unflatten(0, (block.experts, -1))[expert]
            if block.activation == "swiglu":
                gate, value = inner.chunk(2)
                inner = F.silu(gate) * value
            else:
                inner = F.gelu(inner)
            out = second[expert] @ inner
            if block.second_bias is not None:
                out = out + block.second_bias.unflatten(0, (block.experts, -1))[expert]
            row = row + out * chances[expert] / chances[best].sum()
        rows.append(row)
    return torch.stack(rows).reshape(*tokens.shape[:-1], -1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_connector_is_the_originals(shared_data: Path, dtype: torch.dtype) -> None:
    golden = np.load(shared_data / "golden" / "cumo_connector_moe.npz")
    about = config_of(golden)
    experts, width = golden["gate_weight"].shape
    out, inner = golden["experts_0_2_weight"].shape
    top_k, activation = about.get("top_k", 2), about.get("activation", "gelu")
    block = MixtureMlp(width, inner, out, experts, top_k, activation, True).to(dtype)

    def stacked(name: str) -> Tensor:
        return torch.cat([torch.tensor(golden[f"experts_{expert}_{name}"]) for expert in range(experts)])

    with torch.no_grad():
        block.gate.weight.copy_(torch.tensor(golden["gate_weight"]))
        for parameter, name in zip(
            (block.first, block.first_bias, block.second, block.second_bias),
            ("0_weight", "0_bias", "2_weight", "2_bias"),
            strict=True,
        ):
            assert parameter is not None
            parameter.copy_(stacked(name))
    x = torch.tensor(golden["x"]).to(dtype).requires_grad_()
    y, routing = called(block, x)
    total = y.square().mean() + 0.1 * routing.balance + 0.01 * routing.z
    total.backward()
    assert x.grad is not None and block.gate.weight.grad is not None
    pairs = {
        "y": y, "balance_loss": routing.balance, "router_z_loss": routing.z, "total": total, "grad_x": x.grad,
        "grad_gate": block.gate.weight.grad,
    }  # fmt: skip
    for name, found in pairs.items():
        assert (found.double() - torch.tensor(golden[name])).abs().max() < 1e-6, name


@pytest.mark.parametrize(
    ("experts", "top_k", "activation", "bias"),
    [(4, 2, "gelu", True), (3, 1, "gelu", False), (5, 5, "gelu", True), (4, 2, "swiglu", False)],
)
def test_it_is_what_a_loop_over_tokens_gives_with_its_gradients(
    experts: int, top_k: int, activation: Any, bias: bool
) -> None:
    block, x = drawn(experts, top_k, activation, bias), torch.randn(2, 9, 8, dtype=torch.float64, requires_grad=True)
    wanted, found = by_token(block, x), block(x)
    assert torch.allclose(wanted, found, atol=1e-12)
    weights = torch.randn_like(wanted)
    inputs = [x, *block.parameters()]
    for one, other in zip(
        torch.autograd.grad((wanted * weights).sum(), inputs),
        torch.autograd.grad((found * weights).sum(), inputs),
        strict=True,
    ):
        assert torch.allclose(one, other, atol=1e-10)


def test_grouped_products_are_those_of_slices_also_where_an_expert_gets_nothing() -> None:
    block = drawn().float()
    with torch.no_grad():
        block.gate.weight.zero_()
        block.gate.weight[1] = 5.0
        block.gate.weight[2] = -5.0
    x = torch.rand(1, 40, 8) + 0.1  # everything likes expert 1, nothing expert 2
    found, routing = called(block, x)
    assert torch.allclose(found.double(), block.double()(x.double()), atol=1e-5)
    assert routing.used[2] == 0
    block.float()(x).square().sum().backward()
    assert block.first.grad is not None
    gradients = block.first.grad.unflatten(0, (4, -1))
    assert gradients[2].abs().sum() == 0
    assert gradients[1].abs().sum() > 0


def test_balance_is_one_at_uniform_and_z_is_the_square_of_ln_e_at_zero_logits() -> None:
    block = drawn()
    with torch.no_grad():
        block.gate.weight.zero_()
    _, routing = called(block, torch.randn(3, 8, 8, dtype=torch.float64))
    assert routing.z.item() == pytest.approx(math.log(4) ** 2, rel=1e-12)
    # Uniform: each expert is the best of as many tokens as any other, and no more likely on the whole.
    with torch.no_grad():
        block.gate.weight.copy_(torch.eye(4, 8))
    tokens = torch.eye(4, 8, dtype=torch.float64).repeat(2, 1)[None]
    assert called(block, tokens)[1].balance.item() == pytest.approx(1.0, rel=1e-12)


def test_balance_is_of_each_picture_by_itself() -> None:
    """Two pictures that use two experts each are unbalanced, though together they use all alike."""
    block = drawn(top_k=1)
    with torch.no_grad():
        block.gate.weight.copy_(20 * torch.eye(4, 8))
    eye = torch.eye(4, 8, dtype=torch.float64)
    pictures = torch.stack([eye[:2], eye[2:]])
    assert called(block, pictures)[1].balance.item() == pytest.approx(2.0, rel=1e-6)
    block.sample_wise = False
    assert called(block, pictures)[1].balance.item() == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_upcycling_keeps_the_function_whatever_the_gate_says(dtype: torch.dtype, error: float) -> None:
    torch.manual_seed(0)

    class Gated(nn.Module):
        """As the feed-forward network of Llama and Mistral is."""

        def __init__(self) -> None:
            super().__init__()
            self.config = type("config", (), {"hidden_act": "silu"})
            self.gate_proj, self.up_proj = nn.Linear(16, 40, bias=False), nn.Linear(16, 40, bias=False)
            self.down_proj = nn.Linear(40, 16, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))  # type: ignore[no-any-return]

    networks = [
        Mlp(16, 64), Mlp(16, 64, quick=True), nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 24)), Gated(),
    ]  # fmt: skip
    x = torch.randn(2, 10, 16, dtype=dtype)
    for dense in networks:
        dense = dense.to(dtype).eval()
        sparse = upcycled(dense, 4, 2)
        assert sparse is not None
        with torch.no_grad():
            sparse.gate.weight.mul_(30)
            assert (sparse(x) - dense(x)).abs().max() < error, type(dense)
    assert upcycled(nn.Linear(3, 3), 4, 2) is None


def test_places_are_found_by_name_and_those_that_are_not_there_are_refused() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vision = Transformer(16, 2, 2, 32)
            self.transformer = Transformer(16, 3, 2, 32)
            self.connector = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 24))

        def forward(self, x: Tensor) -> Tensor:
            return self.connector(self.transformer(self.vision(x)))  # type: ignore[no-any-return]

    model = Model()
    assert expert_layers(model, ExpertSettings(count=3, places=["vision", "connector"])) == 3
    assert len(mixtures(model)) == 3
    with record_routing(model) as calls:
        model.train()(torch.randn(2, 5, 16))
    losses = calls.losses()
    assert losses is not None
    balance, z = losses
    routings = list(calls.blocks().values())
    tower = sum(one.balance for one in routings[:2]) / 2
    assert balance.item() == pytest.approx(float(tower + routings[2].balance))  # a mean within a place, a sum over them
    assert z.item() > 0
    used = utilisation(model)
    assert [one.shape for one in used] == [(3,)] * 3
    assert torch.stack(used).sum(1).tolist() == [10.0] * 3  # tokens
    with pytest.raises(UserError, match="has no feed-forward networks in language"):
        expert_layers(model, ExpertSettings(count=3, places=["language"]))


def test_the_gate_is_computed_in_fp32_under_autocast() -> None:
    """In bf16 its logits would be wrong in the third digit, and tokens would change experts."""
    block = drawn(8).float()
    tokens = torch.randn(4, 50, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found, routing = called(block, tokens)
    assert found.dtype == torch.bfloat16
    assert routing.z.dtype == routing.balance.dtype == torch.float32
    logits = tokens.double() @ block.gate.weight.double().T
    best, chances = F.one_hot(logits.argmax(-1), 8).double(), logits.softmax(-1)
    assert float(routing.z) == pytest.approx(float(logits.logsumexp(-1).square().mean()), rel=1e-6)
    balance = 64 * (chances.mean(1) * best.mean(1)).mean()
    assert float(routing.balance) == pytest.approx(float(balance), rel=1e-5)
    used = F.one_hot(logits.topk(2, -1).indices, 8).double().mean((0, 1, 2))
    assert torch.allclose(routing.used.double(), used, atol=1e-6)


def test_half_precision_runs_one_grouped_product_with_the_experts_biases() -> None:
    torch.manual_seed(0)
    ends = torch.tensor([3, 3, 10], dtype=torch.int32)
    for width, out in ((16, 8), (12, 8), (16, 6)):  # rows of 16 bytes or not
        rows, matrices, biases = torch.randn(10, width), torch.randn(3, out, width), torch.randn(3, out)
        expert = torch.tensor([0] * 3 + [2] * 7)
        plain = torch.einsum("nd,nod->no", rows, matrices[expert])
        for bias, wanted in ((None, plain), (biases, plain + biases[expert])):
            half = grouped(rows.bfloat16(), matrices.bfloat16(), None if bias is None else bias.bfloat16(), ends)
            assert half.dtype == torch.bfloat16
            assert torch.allclose(half.float(), wanted, atol=0.15)
            assert torch.allclose(grouped(rows, matrices, bias, ends), wanted, atol=1e-5)


@pytest.mark.parametrize("biased", [True, False])
def test_the_compilers_shapes_are_those_of_the_products(biased: bool) -> None:
    rows, matrices, biases = torch.randn(10, 12), torch.randn(3, 6, 12), torch.randn(3, 6) if biased else None
    ends = torch.tensor([3, 3, 10], dtype=torch.int32)
    forward, backward = torch.ops.cosmos_train.by_expert, torch.ops.cosmos_train.by_expert_backward
    torch.library.opcheck(forward.default, (rows, matrices, biases, ends), test_utils="test_faketensor")
    torch.library.opcheck(backward.default, (torch.randn(10, 6), rows, matrices, ends), test_utils="test_faketensor")


def test_rows_of_tokens_without_items_are_balanced_together_and_evaluation_keeps_nothing() -> None:
    block = drawn(top_k=1)
    tokens = torch.randn(12, 8, dtype=torch.float64)
    _, alone = called(block, tokens)
    block.sample_wise = False
    _, together = called(block, tokens[None])
    assert alone.balance.item() == pytest.approx(together.balance.item(), rel=1e-12)
    with record_routing(block.eval()) as calls:
        block(tokens)
    assert calls.blocks() == {}


def test_it_compiles_without_a_break() -> None:
    block = drawn().float().eval()
    x = torch.randn(2, 6, 8)
    explained = torch._dynamo.explain(block)(x)
    assert explained.graph_break_count == 0, explained.break_reasons
