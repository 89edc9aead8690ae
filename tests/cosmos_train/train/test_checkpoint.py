"""Checkpoints: whole or absent, and `latest` finds the newest whole one."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch
from rich.console import Console

from cosmos_train import recipe as recipes
from cosmos_train.cli import main
from cosmos_train.errors import UserError
from cosmos_train.families.cosmo.model import build_cosmo
from cosmos_train.recipe import Recipe
from cosmos_train.train import checkpoint
from cosmos_train.train.checkpoint import Saver
from cosmos_train.train.starting import load_model
from cosmos_train.train.trainer import Trainer, train

Tiny = Callable[..., Recipe]
QUIET = Console(quiet=True)


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
    assert str(first.learner.optimiser.state_dict()) == str(second.learner.optimiser.state_dict())
    _, model = load_model(saved)
    tied = model.language.lm
    assert tied.get_input_embeddings().weight is tied.get_output_embeddings().weight


def test_damage_and_absence_are_named(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint in"):
        checkpoint.load(tmp_path / "nothing")
    folder = saved / "checkpoints" / "step-00000008"
    [tensors] = folder.glob("*.safetensors")
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="step-00000008 is damaged"):
        load_model(saved)
    tensors.unlink()
    with pytest.raises(UserError, match="step-00000008"):
        load_model(saved)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load(saved)


def test_another_models_checkpoint_is_refused_with_what_differs(saved: Path, tiny: Tiny) -> None:
    loaded = checkpoint.load(saved)
    for settings, said in (
        ({"model__embedding_width": 16}, r"project_media\.weight is \(32, 48\), not \(16, 48\)"),
        ({"model__resampler__depth": 2}, r"resampler\.layers\.1\..* is missing; .* and \d+ more"),
    ):
        model = build_cosmo(tiny(**settings), loaded.tokenizer)
        with pytest.raises(UserError, match=f"of another model: .*{said}"):
            checkpoint.restore(loaded, model)


def test_a_save_in_the_background_is_of_the_moment_it_was_asked_for(saved: Path, tiny: Tiny, tmp_path: Path) -> None:
    """The weights change while they are written: what was staged is what is saved."""
    trainer = Trainer(tiny(train__steps=9), saved, True, QUIET)
    saver = Saver(tmp_path / "other", trainer.recipe, trainer.tokenizer, trainer.world)
    tensors = checkpoint.tensors_of(trainer.model, trainer.learner.optimiser)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    saver.save(trainer.state(), tensors)
    with torch.no_grad():
        for tensor in tensors.values():
            tensor.zero_()
    assert saver.wait() == tmp_path / "other" / "checkpoints" / "step-00000008"
    saver.close()
    checkpoint.restore(checkpoint.load(tmp_path / "other"), trainer.model, trainer.learner.optimiser)
    after = checkpoint.tensors_of(trainer.model, trainer.learner.optimiser)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_unwritable_folder_is_said_and_the_previous_checkpoint_stays(saved: Path, tiny: Tiny) -> None:
    (saved / "checkpoints").rename(saved / "kept")
    (saved / "checkpoints").write_text("in the way")
    trainer = Trainer(tiny(), saved.parent / "fresh", False, QUIET)
    with (
        closing(Saver(saved, trainer.recipe, trainer.tokenizer, trainer.world)) as saver,
        pytest.raises(UserError, match=r"cannot save a checkpoint to .*step-00000000: .*exists") as caught,
    ):
        saver.save(trainer.state(), checkpoint.tensors_of(trainer.model))
    assert "free disk space" in caught.value.do


def test_a_full_disk_ends_the_run_with_what_to_do_and_the_previous_checkpoint_loads(
    saved: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Writes fail half-way through the file (a limit on its size stands for the disk's)."""
    (saved / "recipe.yaml").write_text(recipes.dump(tiny(train__steps=200, train__save_every=2)))
    arguments = ["cosmos_train", "run", str(saved / "recipe.yaml"), "--out", str(saved), "--resume"]
    monkeypatch.setattr(sys, "argv", arguments)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))  # Python passes over the signal that says so
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "cannot save a checkpoint to" in said
    assert "File too large" in said
    assert "earlier checkpoints are intact: free disk space" in said
    assert "Traceback" not in said
    assert checkpoint.load(saved).state.step == 8
    load_model(saved)
    assert not list((saved / "checkpoints").glob(".tmp-step*"))


@pytest.mark.processes
def test_a_kill_while_a_checkpoint_is_written_leaves_the_previous(saved: Path, tiny: Tiny) -> None:
    """The file is half written, the pointer old: killed there, the run goes on from the checkpoint before."""
    (saved / "recipe.yaml").write_text(recipes.dump(tiny(train__steps=9)))
    code = (
        "import os, signal, sys\n"
        "from torch.distributed.checkpoint import HuggingFaceStorageWriter as Writer\n"
        "from cosmos_train.cli import main\n"
        "write = Writer.write_data\n"
        "def killed(self, plan, planner):\n"
        "    write(self, plan, planner)\n"
        "    [file] = [f for f in os.listdir(self.path) if f.endswith('.safetensors')]\n"
        "    os.truncate(os.path.join(self.path, file), 1000)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Writer.write_data = killed\n"
        f"sys.argv = ['cosmos_train', 'run', {str(saved / 'recipe.yaml')!r}, '--out', {str(saved)!r}, '--resume']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.returncode == -9, done.stderr
    assert list((saved / "checkpoints").glob(".tmp-step-00000009/*.safetensors"))  # it was hit half-way
    assert checkpoint.load(saved).state.step == 8
    assert train(tiny(train__steps=9), saved, True, QUIET).step == 9
    assert not list((saved / "checkpoints").glob(".tmp-*"))
