"""The loss guard: what it calls a spike, what it keeps of one, and that the step can be taken again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from cosmos_train.errors import UserError
from cosmos_train.recipe import GuardSettings, Recipe
from cosmos_train.train import checkpoint
from cosmos_train.train.guard import Guard, Moments
from cosmos_train.train.replay import replay
from cosmos_train.train.trainer import Trainer, train
from interlink.shards import read_index, read_sample, resolve
from interlink.shards.index import split

Tiny = Callable[..., Recipe]
QUIET = Console(quiet=True)


def test_moments_are_those_of_the_losses_and_forget_slowly() -> None:
    moments = Moments(window=50)
    losses = [5 + math.sin(number) for number in range(50)]
    for loss in losses:
        moments.add(loss)
    assert moments.mean == pytest.approx(sum(losses) / 50)
    assert moments.variance == pytest.approx(torch.tensor(losses).var(unbiased=False).item(), rel=1e-5)
    for _ in range(500):
        moments.add(1.0)
    assert moments.mean == pytest.approx(1.0, abs=1e-3)


def test_a_spike_is_judged_only_after_a_window_and_by_its_deviations() -> None:
    guard = Guard(GuardSettings(window=20, spike=6))
    assert not guard.judge(1e6, 1.0, False).reason
    guard = Guard(GuardSettings(window=20, spike=6))
    for number in range(40):
        assert not guard.judge(2 + 0.1 * math.sin(number), 1.0, False).reason
    assert not guard.judge(2.3, 1.0, False).reason
    spike = guard.judge(4.0, 1.0, False)
    assert re.match(r"the loss 4 is .* deviations above its mean 2", spike.reason)
    assert not spike.skip and not spike.stop


def test_what_is_no_number_stops_or_is_left_out_a_few_times() -> None:
    strict = Guard(GuardSettings())
    assert strict.judge(math.nan, 1.0, False).stop
    patient = Guard(GuardSettings(max_skipped=2))
    assert [patient.judge(1.0, math.inf, False).stop for _ in range(3)] == [False, False, True]
    scaled = Guard(GuardSettings())
    assert not scaled.judge(1.0, math.inf, True).reason  # fp16: the loss scale is halved, nothing is wrong
    assert scaled.judge(math.nan, math.inf, True).stop


def test_its_numbers_go_on_from_a_checkpoint() -> None:
    settings = GuardSettings(window=5)
    whole, cut = Guard(settings), Guard(settings)
    for loss in (1.0, 2.0, 3.0, 2.5, 1.5):
        whole.judge(loss, 1.0, False)
        cut.judge(loss, 1.0, False)
        cut = Guard(settings, json.loads(json.dumps(cut.numbers())))
    assert cut.moments == whole.moments


def poison(trainer: Trainer, at: int) -> None:
    """From step `at` on the media projection is NaN, as after a bad update."""
    if trainer.step == at - 1:
        torch.nn.init.constant_(trainer.model.project_media.weight, float("nan"))


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_made_it(
    tiny: Tiny, shards: Path, tmp_path: Path
) -> None:
    trainer = Trainer(tiny(train__save_every=2), tmp_path / "run", False, QUIET)
    seen: dict[int, set[str]] = {}

    def observe(step: int, batches: list[object], _: float) -> None:
        poison(trainer, 4)

    fetch = trainer._fetch
    trainer._fetch = lambda window: note(fetch(window))  # type: ignore[method-assign]

    def note(fetched: tuple[list[object], object]) -> tuple[list[object], object]:
        seen[trainer.step + 1] = {key for batch in fetched[0] for key in batch.keys}  # type: ignore[attr-defined]
        return fetched

    with pytest.raises(UserError, match=r"the loss is not finite at step 4 \(samples doc") as caught:
        trainer.run(observe)
    assert "--resume" in caught.value.do
    assert checkpoint.load(tmp_path / "run").state.step == 2  # the last good one
    record = tmp_path / "run" / "guard" / "step-00000004"
    [tar] = resolve([str(record / "samples-00000.tar")])
    storage, name = split(tar)
    entries = read_index(tar)
    assert {entry.key for entry in entries} == seen[4]
    [original] = [entry for entry in read_index(resolve([str(shards)])[0]) if entry.key == entries[0].key] or [None]
    if original:
        assert read_sample(storage, name, entries[0]) == read_sample(*split(resolve([str(shards)])[0]), original)
    report = json.loads((record / "report.json").read_text())
    assert (report["step"], report["loss"]) == (4, "nan")
    again = replay(record, [], QUIET)
    assert math.isnan(again.loss)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoints", "guard", "metrics.jsonl", "tensorboard",
    ]  # fmt: skip


@pytest.mark.parametrize(("action", "steps"), [("record", 12), ("skip", 12), ("stop", 9)])
def test_a_spike_is_recorded_and_its_step_replays_to_the_bit(
    tiny: Tiny, tmp_path: Path, action: str, steps: int
) -> None:
    settings = {"train__steps": 12, "guard__window": 5, "guard__on_spike": action, "train__accumulation": 2,
                "model__language__config__dropout": 0.1}  # fmt: skip
    trainer = Trainer(tiny(**settings), tmp_path / "run", False, QUIET)
    losses: dict[int, float] = {}

    def observe(step: int, _: list[object], loss: float) -> None:
        losses[step] = loss
        if step == 9:  # the tenth step's weights are not those that were learned
            with torch.no_grad():
                trainer.model.language.lm.get_output_embeddings().weight.mul_(20)

    if action == "stop":
        with pytest.raises(UserError, match="deviations above its mean"):
            trainer.run(observe)
    else:
        trainer.run(observe)
    assert max(losses) == steps
    record = tmp_path / "run" / "guard" / "step-00000010"
    found = replay(record, [], QUIET)
    assert found.loss == found.recorded.loss > 1.5 * losses[9]
    assert found.gradient_norm == found.recorded.gradient_norm
    assert replay(record, ["train.precision=bf16"], QUIET).loss == pytest.approx(found.loss, rel=0.05)


def test_records_are_few_and_steps_may_be_left_out(tiny: Tiny, tmp_path: Path) -> None:
    trainer = Trainer(tiny(guard__max_skipped=99, guard__max_records=2), tmp_path / "run", False, QUIET)
    poison(trainer, 1)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    result = trainer.run()
    assert result.step == 8
    assert sorted(path.name for path in (tmp_path / "run" / "guard").iterdir()) == ["step-00000001", "step-00000002"]
    for name, p in trainer.model.named_parameters():
        assert torch.equal(p, before[name]) or name == "project_media.weight"
    assert result.numbers["skipped_steps"] == 1  # of the last line's one step


def test_a_folder_that_is_no_record_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(train__steps=1), tmp_path / "run", console=QUIET)
    with pytest.raises(UserError, match="is not a record of a step"):
        replay(tmp_path / "run", [], QUIET)
