"""A Mixtral's own routers: losses by independent formulas in float64, gradients, and together with other mixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from cosmos_train.families.cumo.model import CuMo, build_cumo
from cosmos_train.families.cumo.objective import compute
from cosmos_train.families.routing import routing_numbers
from cosmos_train.models.moe import mixtures
from cosmos_train.models.routers import routing_of
from cosmos_train.models.routing import record_routing, routers, utilisation
from cosmos_train.recipe import Recipe
from cosmos_train.stream.stream import open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.trainer import train
from cumo_recipe import cumo_recipe

LANGUAGE = {
    "config": {
        "model_type": "mixtral", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 128,
        "num_local_experts": 5, "num_experts_per_tok": 2, "tie_word_embeddings": False,
    },
    "vocabulary": 400,
}  # fmt: skip
EXPERTS = {"count": 4, "top_k": 2, "places": ["vision", "connector"]}


def test_losses_are_cumos_formulas() -> None:
    torch.manual_seed(0)
    logits = torch.randn(50, 5, dtype=torch.float64)
    found = routing_of(logits, logits.topk(2).indices)
    likely = [[torch.exp(x) / torch.exp(row).sum() for x in row] for row in logits]
    balance = sum(
        sum(row[e] for row in likely) / 50 * sum(int(row.argmax()) == e for row in logits) / 50 for e in range(5)
    )
    assert float(found.balance) == pytest.approx(5 * float(balance), rel=1e-12)
    z = sum(torch.exp(row).sum().log() ** 2 for row in logits) / 50
    assert float(found.z) == pytest.approx(float(z), rel=1e-12)
    assert float(found.used.sum()) == pytest.approx(1)


def test_uniform_routing_costs_1_and_zero_logits_the_square_of_ln_e() -> None:
    logits = torch.zeros(40, 4, dtype=torch.float64)
    choice = torch.stack([torch.arange(40) % 4, (torch.arange(40) + 1) % 4], 1)
    found = routing_of(logits, choice)
    assert float(found.balance) == pytest.approx(1)
    assert float(found.z) == pytest.approx(torch.log(torch.tensor(4.0, dtype=torch.float64)).item() ** 2)
    assert found.used.tolist() == pytest.approx([0.25] * 4)


def built(shards: Path, words: Tokenizer, **settings: Any) -> tuple[CuMo, tuple[torch.Tensor, ...]]:
    recipe = cumo_recipe(shards, model__language=LANGUAGE, **settings)
    torch.manual_seed(0)
    model = build_cumo(recipe, words)
    return model, compute(model, batch_of(recipe, words), recipe.objective)


def batch_of(recipe: Recipe, words: Tokenizer) -> Any:
    return open_stream(recipe, words, open_data(recipe.data)).next()


def test_they_count_beside_the_towers_and_the_connectors(shards: Path, words: Tokenizer) -> None:
    model, (_, balance, z) = built(shards, words, model__experts=EXPERTS)
    names = list(routers(model))
    assert len(names) == 6 and sum(name.startswith("lm.") for name in names) == 3
    assert len(mixtures(model)) == 3
    places: dict[str, list[float]] = {}
    recipe = cumo_recipe(shards, model__language=LANGUAGE, model__experts=EXPERTS)
    batch = batch_of(recipe, words)
    with record_routing(model) as calls:
        model(batch.frames, batch.tokens, batch.token_mask)
    for name, one in calls.blocks().items():
        places.setdefault(name.partition(".")[0], []).append(float(one.balance))
    assert sorted(map(len, places.values())) == [1, 2, 3]
    assert float(balance) == pytest.approx(sum(sum(those) / len(those) for those in places.values()), rel=1e-6)
    (balance + z).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if name.startswith("lm.") and "mlp.gate" in name:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert [len(one) for one in utilisation(model)] == [4, 4, 4, 5, 5, 5]
    assert utilisation(model) == []  # a new count begins
    compute(model, batch, recipe.objective)
    numbers = routing_numbers(model)
    assert numbers["experts/blocks"] == 6
    assert 0 < numbers["experts/evenness"] <= 1.000001


def test_without_experts_of_its_own_they_learn_by_the_language_loss_alone(shards: Path, words: Tokenizer) -> None:
    """As the original: Mixtral's losses begin with the stage that has experts in the tower and connector."""
    model, (_, balance, z) = built(shards, words)
    assert routers(model) == {}
    assert float(balance) == float(z) == 0


def test_a_model_in_evaluation_keeps_nothing(shards: Path, words: Tokenizer) -> None:
    model, _ = built(shards, words, model__experts=EXPERTS)
    utilisation(model)
    model.eval()
    with record_routing(model) as calls:
        model(torch.zeros(0, 3, 32, 32, dtype=torch.uint8), torch.ones(1, 4, dtype=torch.long), torch.ones(1, 4) > 0)
    assert calls.blocks() == {} and utilisation(model) == []


def test_recomputed_blocks_learn_the_same(shards: Path, tmp_path: Path) -> None:
    losses = []
    for every in (0, 1):
        recipe = cumo_recipe(
            shards, model__language=LANGUAGE, model__experts=EXPERTS, train__steps=3,
            parallel__recompute_every=every,
        )  # fmt: skip
        found = train(recipe, tmp_path / f"{every}", False, Console(quiet=True))
        losses.append((found.numbers["loss"], found.numbers["balance"], found.numbers["router_z"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
