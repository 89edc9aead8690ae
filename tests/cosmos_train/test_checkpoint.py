"""Checkpoints: whole or absent, and `latest` finds the newest whole one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from cosmos_train import checkpoint
from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.trainer import Trainer, load_model, train

Tiny = Callable[..., Recipe]


@pytest.fixture
def saved(tiny: Tiny, tmp_path: Path) -> Path:
    train(tiny(train__steps=8, train__save_every=2), tmp_path / "run", console=Console(quiet=True))
    return tmp_path / "run"


def test_old_ones_are_pruned_and_the_pointer_names_the_newest(saved: Path) -> None:
    names = sorted(path.name for path in (saved / "checkpoints").iterdir())
    assert names == ["latest", "step-00000006", "step-00000008"]
    assert checkpoint.latest(saved) == saved / "checkpoints" / "step-00000008"


def test_half_written_folders_and_a_lost_pointer_are_no_harm(saved: Path) -> None:
    (saved / "checkpoints" / ".tmp-step-00000010").mkdir()
    (saved / "checkpoints" / "latest").unlink()
    assert checkpoint.load(saved).state.step == 8
    (saved / "checkpoints" / "latest").write_text("step-00000099\n")
    assert checkpoint.load(saved).state.step == 8


def test_weights_and_optimiser_come_back_bit_equal(tiny: Tiny, saved: Path) -> None:
    first, second = (Trainer(tiny(train__steps=9), saved, True, Console(quiet=True)) for _ in range(2))
    for one, two in zip(first.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        assert torch.equal(one, two)
    assert str(first.optimiser.state_dict()) == str(second.optimiser.state_dict())
    _, model = load_model(saved)
    tied = model.language.lm
    assert tied.get_input_embeddings().weight is tied.get_output_embeddings().weight


def test_damage_and_absence_are_named(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint in"):
        checkpoint.load(tmp_path / "nothing")
    folder = saved / "checkpoints" / "step-00000008"
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="step-00000008"):
        load_model(saved)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load(saved)
