"""The learning rate by step, the groups of the optimiser, and the number type of the forward pass."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from cosmos_train.recipe import OptimiserSettings, Recipe
from cosmos_train.train.optim import build_optimiser, learning_rate, set_learning_rate
from cosmos_train.train.precision import autocast, compute_dtype

CPU = torch.device("cpu")


def test_the_rate_rises_in_a_line_and_falls_in_a_cosine() -> None:
    settings = OptimiserSettings(lr=2.0, warmup_steps=4, final_lr_share=0.1)
    found = [learning_rate(step, 14, settings) for step in range(14)]
    assert found[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    for step in range(4, 14):
        wanted = 0.2 + 1.8 * (1 + math.cos(math.pi * (step - 4) / 10)) / 2
        assert found[step] == pytest.approx(wanted)
    assert found[9] == pytest.approx(1.1)  # half-way
    assert learning_rate(14, 14, settings) == pytest.approx(0.2)
    assert learning_rate(40, 14, settings) == pytest.approx(0.2)  # a run that goes on keeps the last rate


def test_without_a_warm_up_the_first_step_has_the_full_rate() -> None:
    settings = OptimiserSettings(lr=2.0, warmup_steps=0, final_lr_share=0.0)
    assert [learning_rate(step, 2, settings) for step in range(2)] == pytest.approx([2.0, 1.0])
    assert learning_rate(0, 0, settings) == 2.0
    same = OptimiserSettings(lr=2.0, warmup_steps=3, final_lr_share=0.0)
    assert learning_rate(3, 3, same) == 2.0  # nothing but warm-up


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 3)
        self.norm = nn.LayerNorm(3)
        self.attention_gate = nn.Parameter(torch.zeros(1))
        self.frozen = nn.Linear(3, 3).requires_grad_(False)


SETTINGS = OptimiserSettings(lr=1e-2, weight_decay=0.3, gate_lr_scale=20, betas=(0.8, 0.7), eps=1e-5)


def test_only_matrices_decay_and_gates_have_their_own_rate() -> None:
    model = Model()
    optimiser = build_optimiser(model, SETTINGS, CPU)
    decayed, others, gates = optimiser.param_groups
    assert decayed["params"] == [model.body.weight]
    assert others["params"] == [model.body.bias, model.norm.weight, model.norm.bias]
    assert gates["params"] == [model.attention_gate]
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.3, 0.0, 0.0]
    for group in optimiser.param_groups:
        assert (group["lr"], group["betas"], group["eps"], group["fused"]) == (1e-2, (0.8, 0.7), 1e-5, True)
    set_learning_rate(optimiser, 0.5)
    assert [group["lr"] for group in optimiser.param_groups] == [0.5, 0.5, 10.0]
    assert not build_optimiser(model, SETTINGS, torch.device("meta")).param_groups[0]["fused"]


def test_a_family_says_which_weights_decay_but_gates_never_do() -> None:
    model = Model()
    decayed, others, gates = build_optimiser(model, SETTINGS, CPU, lambda name, p: "weight" not in name).param_groups
    assert decayed["params"] == [model.body.bias, model.norm.bias]
    assert others["params"] == [model.body.weight, model.norm.weight]
    assert gates["params"] == [model.attention_gate]


@pytest.mark.parametrize(
    ("precision", "device", "dtype"),
    [("auto", "cpu", torch.float32), ("auto", "cuda", torch.bfloat16), ("fp32", "cuda", torch.float32),
     ("bf16", "cpu", torch.bfloat16), ("fp16", "cpu", torch.float16)],
)  # fmt: skip
def test_the_number_type_is_the_recipes_and_auto_depends_on_the_device(
    precision: str, device: str, dtype: torch.dtype, tiny: Callable[..., Recipe]
) -> None:
    recipe = tiny(train__precision=precision)
    assert compute_dtype(recipe, torch.device(device)) == dtype
    if device == "cpu":
        x = torch.ones(2, 2)
        with autocast(recipe, CPU) as entered:
            assert (x @ x).dtype == dtype
        assert (entered is None) == (dtype == torch.float32)  # fp32 needs no context
