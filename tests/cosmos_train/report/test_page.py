"""The report of training runs as a file: its numbers are those of metrics.jsonl, whatever happened to the run."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.evaluate.stored import Evaluation, Score, store
from cosmos_train.recipe import Recipe
from cosmos_train.report.page import page, write
from cosmos_train.report.runs import load
from cosmos_train.report.sections import time_shares

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e&\x07"


def embedded(made: str) -> dict[str, Any]:
    """The page's data, as its script reads it."""
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', made, re.DOTALL)
    return json.loads(found)  # type: ignore[no-any-return]


def run_at(folder: Path, lines: Sequence[dict[str, Any] | str], recipe: dict[str, Any] | None = None) -> Path:
    """A run's folder with these lines of metrics, and a checkpoint if there is a recipe."""
    folder.mkdir(parents=True)
    written = [line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines]
    (folder / "metrics.jsonl").write_text("".join(written))
    if recipe is not None:
        checkpoint = folder / "checkpoints" / "step-00000004"
        checkpoint.mkdir(parents=True)
        (checkpoint / "state.json").write_text("{}")
        (checkpoint / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def logged(steps: int, **more: float) -> list[dict[str, Any]]:
    return [
        {
            "step": step, "loss": 3 / step, "language": 2 / step, "learning_rate": 1e-4 * step, "samples": 8.0 * step,
            "seconds": 0.1 * step, "time/data": 0.25, "time/compute": 0.75, "bottleneck": "data-bound: try more",
            **more,
        }
        for step in range(1, steps + 1)
    ]  # fmt: skip


def drawn(run: Path) -> dict[str, dict[str, list[Any]]]:
    curves: dict[str, dict[str, list[Any]]] = embedded(page(load([run])))["runs"][0]["curves"]
    return curves


def test_the_numbers_of_a_trained_run_are_those_of_its_metrics(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    """The whole way: a run that the trainer wrote, the command, the file, read back."""
    from rich.console import Console

    from cosmos_train.train.trainer import train

    train(tiny(train__steps=6, train__log_every=2), tmp_path / "run", console=Console(quiet=True))
    done = CliRunner().invoke(app, ["report", str(tmp_path / "run"), "-o", str(tmp_path / "sub" / "report.html")])
    assert done.exit_code == 0, done.output
    found = embedded((tmp_path / "sub" / "report.html").read_text())["runs"][0]
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    for name, curve in found["curves"].items():
        assert curve == {"s": [2, 4, 6], "v": [line[name] for line in lines]}, name
    assert {"loss", "gradient_norm", "time/compute"} <= found["curves"].keys()
    assert found["axes"]["samples"] == {"s": [2, 4, 6], "v": [8, 16, 24]}
    assert found["axes"]["seconds"]["v"] == [line["seconds"] for line in lines]
    assert sorted(found["axes"]["seconds"]["v"]) == found["axes"]["seconds"]["v"]


def test_samples_and_seconds_go_on_when_a_run_is_resumed(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    from rich.console import Console

    from cosmos_train.train.trainer import train

    quiet = Console(quiet=True)
    for steps in (4, 6):
        train(tiny(train__steps=steps, train__log_every=2), tmp_path / "run", resume=steps > 4, console=quiet)
    axes = load([tmp_path / "run"])[0].axes
    assert list(axes["samples"].values) == [8, 16, 24]
    assert list(axes["seconds"].values) == sorted(axes["seconds"].values)


def test_a_killed_run_with_half_a_line_and_lines_that_are_no_metrics(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", [*logged(3), "[1]\n", "not json\n", '{"loss": 1}\n', '{"step": 4, "loss": 0.'])
    assert drawn(run)["loss"] == {"s": [1, 2, 3], "v": [3, 1.5, 1]}
    made = page(load([run]))
    assert "the last line of its metrics is incomplete" in made
    assert "3 lines of its metrics cannot be read" in made
    assert "its recipe is unknown" in made


def test_steps_that_were_repeated_after_a_resume_replace_the_earlier_ones(tmp_path: Path) -> None:
    again = [{"step": step, "loss": 10.0 + step} for step in (3, 4, 5)]
    run = run_at(tmp_path / "run", [*logged(6), *again])
    assert drawn(run)["loss"] == {"s": [1, 2, 3, 4, 5], "v": [3, 1.5, 13, 14, 15]}
    assert drawn(run)["language"]["s"] == [1, 2]
    assert "resumed once from an earlier step" in page(load([run]))


def test_a_probe_line_joins_the_line_of_its_step(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", [*logged(2), {"step": 2, "probe/colour": 0.5, "probe/colour_chance": 0.25}])
    assert drawn(run)["probe/colour"] == {"s": [2], "v": [0.5]}
    panels = {one["name"]: one["lines"] for g in embedded(page(load([run])))["groups"] for one in g["panels"]}
    assert panels["probe/colour"] == ["probe/colour", "probe/colour_chance"]
    assert "probe/colour_chance" not in panels


@pytest.mark.parametrize("written", ["null", "NaN", "Infinity", "1e999", str(10**400)])
def test_a_loss_that_is_not_finite_is_a_gap_and_is_named(written: str, tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", [*logged(2), f'{{"step": 3, "loss": {written}}}\n', {"step": 4, "loss": 1}])
    assert drawn(run)["loss"] == {"s": [1, 2, 3, 4], "v": [3, 1.5, None, 1]}
    assert "loss is not finite at step 3" in page(load([run]))


def test_older_runs_get_their_axes_from_rates_and_time_left(tmp_path: Path) -> None:
    """0.5 s a step and 16 samples a second: 8 samples a step."""
    lines = [
        {"step": step, "loss": 1.0, "samples_per_second": 16.0, "seconds_left": 0.5 * (6 - step)} for step in (2, 4, 6)
    ]
    run = load([run_at(tmp_path / "run", lines, {"name": "x", "train": {"steps": 6}})])[0]
    assert list(run.axes["seconds"].values) == pytest.approx([1, 2, 3])
    assert list(run.axes["samples"].values) == pytest.approx([16, 32, 48])
    assert any("computed from its rates" in note for note in run.notes)
    assert load([run_at(tmp_path / "none", [{"step": 1, "loss": 1.0}])])[0].axes == {}


def test_only_settings_that_differ_are_compared(tmp_path: Path) -> None:
    base = {"name": "a", "model": {"kind": "cosmo"}, "optimiser": {"lr": 0.001}, "train": {"steps": 4}}
    other = {**base, "model": {"kind": "acme"}, "optimiser": {"lr": 0.01}, "extra": {"key": [1, 2]}}
    runs = [run_at(tmp_path / "a", logged(4), base), run_at(tmp_path / "b", logged(4, words=9.0), other)]
    made = page(load(runs))
    compared = re.findall(r"<code>([^<]*)</code>", made.partition('id="recipe"')[2].partition("<details>")[0])
    assert compared == ["model.kind", "optimiser.lr", "extra.key"]
    assert "2 of 5 settings are the same" in made
    assert "acme" in made  # a third-party family: its recipe and its numbers need no code of it
    assert "words" in embedded(made)["runs"][1]["curves"]


def test_a_run_with_nothing_but_a_checkpoint_and_one_with_nothing_at_all(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", [], {"name": "a", "train": {"steps": 4}})
    (run / "metrics.jsonl").unlink()
    made = page(load([run]))
    assert "no metrics" in made
    assert embedded(made)["groups"] == []
    (tmp_path / "empty").mkdir()
    for folder, said in (("empty", "has metrics.jsonl and checkpoints"), ("no/where", "folders of training runs")):
        with pytest.raises(UserError, match="holds no training run") as caught:
            load([run, tmp_path / folder])
        assert said in caught.value.do and caught.value.code == 2
    run_at(tmp_path / "chain" / "first", logged(1))
    with pytest.raises(UserError) as caught:
        load([tmp_path / "chain"])
    assert str(tmp_path / "chain" / "first") in caught.value.do


def test_a_broken_path_is_two_lines(tmp_path: Path) -> None:
    run = run_at(tmp_path / "run", logged(1))
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "file" / "report.html"):
        with pytest.raises(UserError):
            write([run], out)


def test_what_a_run_holds_stays_text(tmp_path: Path) -> None:
    """Names, numbers' names, recipes, captions, results: none becomes markup, and none ends the data's block."""
    lines = [{"step": 1, "loss": 1.0, HOSTILE: 2.0, "bottleneck": HOSTILE}]
    run = run_at(tmp_path / "a<b>&'\"", lines, {"name": HOSTILE, HOSTILE: HOSTILE})
    (run / "probe").mkdir()
    said = {"key": HOSTILE, "truth": HOSTILE, "said": HOSTILE, "picture": "../../metrics.jsonl"}
    (run / "probe" / "samples.jsonl").write_text(json.dumps({"step": 1, "samples": [said]}) + "\n")
    score = Score(HOSTILE, 1.0, 0.5, warning=HOSTILE, split=HOSTILE)
    store(Evaluation("vqav2", str(run / "checkpoints" / "step-00000004"), 4, [score], [HOSTILE]))
    made = page(load([run]))
    assert "<img" not in made
    assert made.count("</script>") == 3  # the data, uPlot, the report's own
    assert "\u202e" not in made and "\x07" not in made
    assert embedded(made)["runs"][0]["curves"][HOSTILE] == {"s": [1], "v": [2]}


def test_the_policy_allows_the_pages_own_scripts_and_nothing_else(tmp_path: Path) -> None:
    made = page(load([run_at(tmp_path / "run", logged(2))]))
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', made)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    for kind, pattern in (("script-src", r"<script>(.*?)</script>"), ("style-src", r"<style>(.*?)</style>")):
        sources = re.findall(pattern, made, re.DOTALL)
        hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in sources]
        assert rules[kind].split() == hashes and len(hashes) == 2
    assert not re.search(r'(?:src|href|action)="(?!#|data:)', made)
    assert " style=" not in made and " onclick=" not in made
    assert made == page(load([tmp_path / "run"]))  # the same run, the same bytes


def test_runs_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    runs = [run_at(tmp_path / one / "run", logged(1)) for one in ("a", "b")]
    assert [run.name for run in load(runs)] == ["a/run", "b/run"]
    assert [run.name for run in load([runs[0], runs[0]])] == ["run", "run (1)"]


def test_time_shares_weigh_windows_by_their_seconds(tmp_path: Path) -> None:
    lines = [{"step": 1, "seconds": 1.0, "time/data": 1.0}, {"step": 2, "seconds": 4.0, "time/data": 0.2}]
    assert time_shares(load([run_at(tmp_path / "run", lines)])[0])["data"] == pytest.approx((1 + 3 * 0.2) / 4)


def test_sections_show_exposure_samples_and_evaluations(tmp_path: Path) -> None:
    mixture = {"exposure/web/realised": 0.75, "exposure/web/planned": 0.7, "exposure/web/passes": 1.5}
    runs = [run_at(tmp_path / name, logged(4, **mixture)) for name in ("a", "b")]
    for place, run in enumerate(runs):
        (run / "probe").mkdir()
        (run / "probe" / "x.jpg").write_bytes(b"jpeg")
        rows = [{"key": "doc", "truth": "a red square", "said": f"caption {place}", "picture": "x.jpg"}]
        lines = [json.dumps({"step": step, "samples": rows}) for step in (2, 4, 4)]
        (run / "probe" / "samples.jsonl").write_text("\n".join(lines) + '\n{"step": 5, "sam')
        score = Score("accuracy", 50.0 + 20 * place, 2.0, 25.0, unit="%", shots=4)
        store(Evaluation("vqav2", str(run / "checkpoints" / "step-00000004"), 4, [score]))
    made = page(load(runs))
    assert "75.0%" in made and "70.0%" in made and ">24<" in made  # samples: 8 a step, 4 steps, three quarters
    assert made.count("a red square") == 1  # one sample, captioned by both runs
    assert "caption 0" in made and "caption 1" in made and made.count("data:image/jpeg") == 1
    assert '<strong class="once">70.00 % ± 2</strong>' in made and '<span class="once">50.00 % ± 2</span>' in made
    assert "46.1 to 53.9" in made and "4 shots" in made


def test_the_command_needs_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, cosmos_train.report.page; assert not {'torch', 'PIL', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_value_that_is_finite_has_a_number() -> None:
    from cosmos_train.report.html import number

    assert [number(one) for one in (None, math.nan, 0.0, 12345.678, 0.00012345, 1234567.0)] == [
        "–", "–", "0", "12,346", "0.0001234", "1,234,567",
    ]  # fmt: skip
