"""The random state that a batch's second pass draws from again; contrastive batches without negatives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from cosmos_train.families.accumulation import NO_NEGATIVES, RandomState, without_negatives
from cosmos_train.families.cosmo.family import CosMoFamily
from cosmos_train.recipe import Recipe
from cosmos_train.train.trainer import train


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_restored_state_draws_the_same_numbers(kind: str) -> None:
    if kind == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    device = torch.device(kind)
    state = RandomState.now(device)
    first = torch.rand(4), torch.rand(4, device=device)
    state.restore()
    again = torch.rand(4), torch.rand(4, device=device)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert (state.cuda is None) == (kind == "cpu")


def test_a_contrastive_batch_of_one_pair_is_said(tiny: Callable[..., Recipe]) -> None:
    (said,) = without_negatives(tiny(train__batch_size=1), 1, 100)
    assert "a contrastive batch of data has one pair" in said and "train.batch_size" in said
    assert without_negatives(tiny(train__batch_size=2), 1, 100) == []
    assert without_negatives(tiny(train__batch_size=2), 1, 1) != []  # the same sample twice
    assert without_negatives(tiny(train__batch_size=1), 1, 100, pairs_per_sample=2) == []
    together = {"train__batch_size": 1, "train__accumulation": 4}
    assert without_negatives(tiny(**together), 1, 100) == []
    assert without_negatives(tiny(**together, objective__pool="batch"), 1, 100) != []
    apart = tiny(train__batch_size=2, objective__paper_compat={"own_process": True})
    assert without_negatives(apart, 2, 100) != [] and without_negatives(apart, 1, 100) == []


def test_a_contrastive_loss_of_0_is_said_once(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    family = CosMoFamily()
    recipe = tiny()
    assert family.remarks(recipe, {"contrastive": 0.0}) == [NO_NEGATIVES]
    assert family.remarks(recipe, {"contrastive": 0.1}) == family.remarks(recipe, {}) == []
    assert family.remarks(tiny(objective__contrastive_weight=0), {"contrastive": 0.0}) == []
    console = Console(record=True, width=400)
    one = tiny(data__clips_per_sample=1, train__batch_size=1, train__steps=2, train__log_every=1)
    train(one, tmp_path / "run", console=console)
    said = console.export_text()
    assert said.count("has one pair and no negatives") == said.count("the contrastive loss is 0") == 1


def test_a_cosmo_that_contrasts_nothing_says_nothing(tiny: Callable[..., Recipe]) -> None:
    recipe = tiny(train__batch_size=1, objective__pairs="first")
    assert CosMoFamily().cautions(recipe, 1, 100)
    assert CosMoFamily().cautions(tiny(train__batch_size=1, objective__contrastive_weight=0), 1, 100) == []
    assert CosMoFamily().cautions(tiny(train__batch_size=1, objective__pairs="every"), 1, 100) == []
