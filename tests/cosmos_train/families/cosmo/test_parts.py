"""The full-size recipes, built without weights, hold what the paper's models hold where that can be known."""

from __future__ import annotations

import pytest
import torch

from cosmos_train.families.cosmo.family import CosMoFamily
from cosmos_train.families.cosmo.parts import PARTS, count
from cosmos_train.recipe import load

# Millions: learnable, total, cross-attention blocks, the paper's learnable and total.
FULL = {
    "cosmo_2b": (212.54, 1831.5, 6),
    "cosmo_3.4b": (234.82, 3313.9, 4),
    "cosmo_8b": (487.31, 8032.2, 4),
    "cos_moe": (347.85, 47353.8, 4),
}
TWINS = {
    "cosmo_2b": "tiny_cosmo",
    "cosmo_3.4b": "tiny_cosmo_3.4b",
    "cosmo_8b": "tiny_cosmo_8b",
    "cos_moe": "tiny_cos_moe",
}


@pytest.mark.parametrize("name", FULL)
def test_a_full_size_recipe_has_the_counted_parameters(name: str) -> None:
    model = CosMoFamily().plan(load(name))
    assert {p.device.type for p in model.parameters()} == {"meta"}
    found = count(model)
    learnable, total, blocks = FULL[name]
    assert sum(part.learnable for part in found.values()) / 1e6 == pytest.approx(learnable, abs=0.01)
    assert sum(part.total for part in found.values()) / 1e6 == pytest.approx(total, abs=0.1)
    assert len(model.language.blocks) == blocks
    assert sum(part.total for part in found.values()) == sum(p.numel() for p in model.parameters())
    assert found["vision"].learnable == found["language, first half"].learnable == 0
    assert {p.dtype for p in model.language.lm.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


@pytest.mark.parametrize("name", TWINS)
def test_its_tiny_twin_has_the_same_parts(name: str) -> None:
    full, tiny = CosMoFamily().plan(load(name)), CosMoFamily().plan(load(TWINS[name]))
    assert type(full.language.lm) is type(tiny.language.lm)
    assert set(count(full)) == set(count(tiny)) == set(PARTS)
    assert sum(part.total for part in count(tiny).values()) < 4e6
