"""The moving average of the weights: its formula, its order after the step, and what a checkpoint keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from cosmos_train.errors import UserError
from cosmos_train.models.ema import MovingAverage
from cosmos_train.recipe import Recipe
from cosmos_train.train.starting import load_model
from cosmos_train.train.trainer import Trainer, train

Tiny = Callable[..., Recipe]
QUIET = Console(quiet=True)


def test_it_follows_the_formula_and_starts_faster() -> None:
    layer = nn.Linear(3, 2)
    average = MovingAverage(layer, 0.9)
    expected = layer.weight.detach().double()
    for step in range(1, 200):
        with torch.no_grad():
            layer.weight.add_(torch.sin(torch.arange(6.0) + step).reshape(2, 3))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * layer.weight.detach().double()
    assert torch.allclose(average.tensors["weight"].double(), expected, atol=1e-5)


def test_it_averages_what_learns_and_leaves_the_weights_alone() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False))
    average = MovingAverage(model, 0.5)
    before = [p.clone() for p in model.parameters()]
    average.update(1)
    assert set(average.tensors) == {"0.weight", "0.bias"}
    assert all(torch.equal(one, two) for one, two in zip(before, model.parameters(), strict=True))


def test_it_sees_the_weights_after_each_step_and_survives_a_resume(tiny: Tiny, tmp_path: Path) -> None:
    """Against an average taken by hand over the weights that each step left; half of the way after a resume."""
    recipe = tiny(train__steps=8, train__ema_decay=0.8, train__save_every=4)
    by_hand: dict[str, torch.Tensor] = {}
    for steps in (4, 8):
        trainer = Trainer(recipe.model_copy(update={"train": recipe.train.model_copy(update={"steps": steps})}),
                          tmp_path / "run", True, QUIET)  # fmt: skip
        if not by_hand:
            by_hand.update({name: p.detach().clone() for name, p in trainer.model.named_parameters()})

        def observe(
            step: int, *_: object, trainer: Trainer = trainer, average: dict[str, torch.Tensor] = by_hand
        ) -> None:
            decay = min(0.8, (1 + step) / (10 + step))
            for name, p in trainer.model.named_parameters():
                average[name] = decay * average[name] + (1 - decay) * p.detach()

        trainer.run(observe)
    _, averaged = load_model(tmp_path / "run", average=True)
    _, plain = load_model(tmp_path / "run")
    for name, p in averaged.named_parameters():
        assert torch.allclose(p, by_hand[name], atol=1e-6), name
    assert not torch.equal(averaged.project_text.weight, plain.project_text.weight)


def test_asking_for_an_average_that_was_not_kept_is_said(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(train__steps=1), tmp_path / "run", console=QUIET)
    with pytest.raises(UserError, match="holds no moving average") as caught:
        load_model(tmp_path / "run", average=True)
    assert "train.ema_decay" in caught.value.do


def test_an_average_begun_later_starts_from_the_weights(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(train__steps=1), tmp_path / "run", console=QUIET)
    trainer = Trainer(tiny(train__steps=2, train__ema_decay=0.99), tmp_path / "run", True, QUIET)
    assert trainer.learner.average is not None
    for name, p in trainer.model.named_parameters():
        assert torch.equal(trainer.learner.average.tensors[name], p), name
