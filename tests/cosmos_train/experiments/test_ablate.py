"""Ablations: every run once, whatever interrupts; a difference is one only beyond two standard errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cosmos_train import recipe as recipes
from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.experiments import ablate as ablations
from cosmos_train.recipe import Recipe


@pytest.fixture
def plan(tiny: Callable[..., Recipe], tmp_path: Path) -> Path:
    """Two variants of a recipe of two steps, two seeds."""
    (tmp_path / "recipe.yaml").write_text(recipes.dump(tiny(train__steps=2, train__save_every=2)))
    path = tmp_path / "ablations.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "recipe": str(tmp_path / "recipe.yaml"), "set": ["train.batch_size=2"], "seeds": [0, 1],
                "measures": {"loss": "loss", "language": "words"}, "baseline": "both",
                "variants": {"both": {}, "words-only": {"set": ["objective.contrastive_weight=0"], "paper": "worse"}},
            }
        )
    )  # fmt: skip
    return path


def quiet(_: str) -> None: ...


def result(out: Path, variant: str, seed: int, **numbers: float) -> None:
    folder = out / variant / f"seed-{seed}"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"numbers": numbers}))


def test_every_run_is_trained_once_and_the_table_compares(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["ablate", str(plan), "--out", str(out), "--only", "both"])
    assert done.exit_code == 0, done.output
    assert "| both | 2 of 2 |" in done.stdout
    assert "| words-only | 0 of 2 |" in done.stdout
    first = {path: path.read_bytes() for path in out.rglob("result.json")}
    assert len(first) == 2
    assert json.loads((out / "both" / "seed-1" / "result.json").read_text())["numbers"]["step"] == 2
    done = CliRunner().invoke(app, ["ablate", str(plan), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert len(list(out.rglob("result.json"))) == 4
    assert all(path.read_bytes() == content for path, content in first.items())
    table = (out / "table.md").read_text()
    assert table == done.stdout
    assert table.splitlines()[-1].endswith("| worse |")
    loss = {seed: recipes.load(str(out / "words-only" / f"seed-{seed}" / "recipe.yaml")) for seed in (0, 1)}
    assert [(one.seed, one.objective.contrastive_weight) for one in loss.values()] == [(0, 0.0), (1, 0.0)]


def test_a_run_cut_off_goes_on_from_its_checkpoint(plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cosmos_train.train import trainer

    train, calls = trainer.train, []

    def cut(recipe: Recipe, out: Path, **arguments: Any) -> Any:
        """The first run is stopped by a signal after its first step."""
        calls.append(out)
        if len(calls) == 1:
            import os
            import signal

            return train(recipe, out, observe=lambda *_: os.kill(os.getpid(), signal.SIGTERM), **arguments)
        return train(recipe, out, **arguments)

    monkeypatch.setattr(trainer, "train", cut)
    read = ablations.load(plan, ["train.steps=4"])
    lines = ablations.ablate(read, tmp_path / "out", quiet)
    assert [line.done for line in lines] == [0, 0]
    assert len(calls) == 1
    lines = ablations.ablate(read, tmp_path / "out", quiet)
    assert [line.done for line in lines] == [2, 2]
    assert "resuming after step 2" in (calls[0] / "log.txt").read_text()


def test_a_difference_under_two_errors_is_none(plan: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        result(tmp_path, "both", seed, loss=0.5 + 0.1 * seed, language=0.5 + 0.01 * seed)
        result(tmp_path, "words-only", seed, loss=0.6 + 0.1 * seed, language=0.6 + 0.01 * seed)
    base, other = ablations.table(ablations.load(plan), tmp_path)
    assert base.cells["loss"].verdict == ""
    assert other.cells["loss"].verdict == "no difference"
    assert other.cells["language"].verdict == "+0.100"
    assert other.cells["loss"].difference is not None
    assert other.cells["loss"].difference.error == pytest.approx(0.05 * 2**0.5)


def test_one_run_is_no_comparison(plan: Path, tmp_path: Path) -> None:
    result(tmp_path, "both", 0, loss=0.5)
    result(tmp_path, "words-only", 0, loss=0.9)
    _, other = ablations.table(ablations.load(plan), tmp_path)
    assert other.cells["loss"].verdict == "one run"
    assert "language" not in other.cells


def test_what_is_expected_is_asserted_over_the_runs(plan: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(plan.read_text()) | {"expect": {"both": {"seen": "chance"}}}
    plan.write_text(yaml.safe_dump(values))
    read = ablations.load(plan)
    assert ablations.expectations(read, tmp_path) == []
    for seed, (seen, chance) in enumerate(((0.30, 0.10), (0.34, 0.10))):
        result(tmp_path, "both", seed, seen=seen, chance=chance)
    (found,) = ablations.expectations(read, tmp_path)
    assert found.holds and str(found) == "both: seen 0.320 ± 0.020 above chance 0.100 ± 0.000: holds"
    for name, seen in (("other", 0.12), ("below", 0.05)):
        for seed in (0, 1):
            result(tmp_path / name, "both", seed, seen=seen + 0.04 * seed, chance=0.10)
        (found,) = ablations.expectations(read, tmp_path / name)
        assert not found.holds and str(found).endswith("does not hold")
    result(tmp_path / "several", "both", 0, seen=0.3, chance=0.1, others=0.4)
    plan.write_text(yaml.safe_dump(values | {"expect": {"both": {"seen": ["chance", "others"]}}}))
    several = ablations.expectations(ablations.load(plan), tmp_path / "several")
    assert [(one.above, one.other.value) for one in several] == [("chance", 0.1), ("others", 0.4)]
    plan.write_text(yaml.safe_dump(values | {"expect": {"neither": {}}}))
    with pytest.raises(UserError, match="`expect` names neither"):
        ablations.load(plan)


def test_the_command_fails_where_an_expectation_does(plan: Path, tmp_path: Path) -> None:
    expected = {"both": {"loss": "language"}, "words-only": {"language": "loss"}}
    plan.write_text(yaml.safe_dump(yaml.safe_load(plan.read_text()) | {"expect": expected, "seeds": [0]}))
    done = CliRunner().invoke(app, ["ablate", str(plan), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "both: loss" in done.stdout and "does not hold" in done.stdout  # words-only: its loss is its language loss
    assert (tmp_path / "out" / "curves.png").stat().st_size > 1000


def test_a_failed_run_is_reported_and_the_others_go_on(plan: Path, tmp_path: Path) -> None:
    said: list[str] = []
    read = ablations.load(plan, ["train.steps=1"])
    broken = read.variants["words-only"].model_copy(update={"set": ["data.shards=nowhere"]})
    read = read.model_copy(update={"variants": {**read.variants, "words-only": broken}, "seeds": [0]})
    lines = ablations.ablate(read, tmp_path / "out", said.append)
    assert [line.done for line in lines] == [1, 0]
    assert any(text.startswith("  failed: ") and "nowhere" in text for text in said)


@pytest.mark.parametrize("name", ["cosmos_or_clip", "cumo_or_dense", "full_or_alone"])
def test_the_comparisons_that_come_along_are_valid(name: str, tmp_path: Path) -> None:
    read = ablations.load(Path(__file__).parents[3] / "pipelines" / f"{name}.yaml")
    found = {run.variant: run for run in ablations.runs(read, tmp_path) if run.seed == 0}
    assert len(read.seeds) >= 5 and read.baseline in found
    data = {run.recipe.data.shards for run in found.values()}
    assert len(data) == 1 and len({str(run.recipe.probe.shards) for run in found.values()}) == 1
    if name == "cumo_or_dense":
        experts, dense = found["experts"], found["dense"]
        assert [one.folder for one in experts.stages[:2]] == [one.folder for one in dense.stages[:2]]
        assert experts.recipe.train == dense.recipe.train and not dense.recipe.model.experts.count
    if name == "full_or_alone":
        full, alone = (
            [stage.recipe for stage in found[one].stages if stage.recipe] for one in ("full", "alone-in-stages")
        )
        for ours, theirs in zip(full[1:], alone, strict=True):  # without COSMOS
            assert ours.optimiser == theirs.optimiser and ours.train.steps == theirs.train.steps
            assert ours.data == theirs.data and ours.train.batch_size == theirs.train.batch_size
        assert sum(stage.train.steps for stage in alone) == found["alone"].recipe.train.steps
    if name == "cosmos_or_clip":
        assert found["clip"].recipe.train.steps == found["cosmos"].recipe.train.steps
        assert found["clip"].recipe.objective.distill_weight == 0


def test_the_comparison_of_attention_asks_more_than_chance(tmp_path: Path) -> None:
    read = ablations.load(Path(__file__).parents[3] / "pipelines" / "cosmos_attention.yaml")
    found = {run.variant: run.recipe for run in ablations.runs(read, tmp_path)}
    assert len(read.seeds) >= 5 and list(found) == ["subject", "all-told", "coloured"]
    assert read.expect["subject"]["probe/name_overlap"] == ["probe/name_overlap_chance", "probe/name_unnamed_overlap"]
    assert len({str(recipe.train) + str(recipe.model) for recipe in found.values()}) == 1


def test_the_ablations_that_come_along_are_valid(tmp_path: Path) -> None:
    read = ablations.load(Path(__file__).parents[3] / "pipelines" / "ablations.yaml")
    found = {run.variant: run.recipe for run in ablations.runs(read, tmp_path)}
    assert list(found) == list(read.variants)
    assert [name for name, _ in found["no-pairs"].data.named()] == ["interleaved"]
    assert [name for name, _ in found["no-interleaved"].data.named()] == ["pairs"]
    base = found[read.baseline]
    for recipe in found.values():
        same = (recipe.train.steps, recipe.train.batch_size, recipe.train.accumulation, recipe.probe)
        assert same == (base.train.steps, base.train.batch_size, base.train.accumulation, base.probe)


def test_mistakes_are_reported_before_anything_is_trained(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="there is no variant neither"):
        ablations.ablate(ablations.load(plan), out, quiet, ["neither"])
    with pytest.raises(UserError, match=r"did you mean train\.steps"):
        ablations.ablate(ablations.load(plan, ["train.stepz=1"]), out, quiet)
    with pytest.raises(UserError, match="cannot be read"):
        ablations.load(tmp_path / "none.yaml")
    values = yaml.safe_load(plan.read_text())
    for wrong, what in (
        ({"baseline": "other"}, "`baseline` is not a variant"),
        ({"variants": {"both": {}, "../x": {}}}, "a folder name"),
        ({"seedz": [1]}, "seedz"),
    ):
        plan.write_text(yaml.safe_dump(values | wrong))
        with pytest.raises(UserError, match=what):
            ablations.load(plan)
    plan.write_text(yaml.safe_dump(values))
    ablations.ablate(ablations.load(plan), out, quiet, ["both"])
    with pytest.raises(UserError, match="a run with other settings"):
        ablations.ablate(ablations.load(plan, ["train.batch_size=4"]), out, quiet)
