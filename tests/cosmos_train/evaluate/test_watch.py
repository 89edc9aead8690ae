"""A run is probed on the way: at its steps, on other shards, without a change to what it learns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.train.trainer import train
from pages import undocumented

SLOTS = {"colour": {name: [name] for name in ("red", "green", "blue", "yellow", "purple", "white")}}


@pytest.fixture
def probed(tiny: Callable[..., Recipe], make_shards: Callable[..., Path], tmp_path: Path) -> Callable[..., Recipe]:
    (tmp_path / "slots.json").write_text(json.dumps(SLOTS))
    other = make_shards("other", documents=6, seed=9)

    def make(**settings: Any) -> Recipe:
        probe = {"every": 3, "shards": str(other), "slots": str(tmp_path / "slots.json"), "max_tokens": 4}
        return tiny(**{f"probe__{name}": value for name, value in probe.items()}, **settings)

    return make


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_probes_are_logged_at_their_steps_and_at_the_end(probed: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = probed(train__steps=7, train__log_every=7)
    train(recipe, tmp_path / "run", console=Console(quiet=True))
    found = {line["step"]: line for line in lines(tmp_path / "run") if "probe/colour" in line}
    assert not undocumented(tmp_path / "run" / "metrics.jsonl")
    assert sorted(found) == [3, 6, 7]
    for line in found.values():
        assert 0 <= line["probe/colour"] <= 1
        assert line["probe/colour_chance"] < 0.6
        assert 1 / 6 <= line["probe/retrieval_chance"] < 1
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("probe/retrieval")] == [3, 6, 7]


def test_a_probe_changes_nothing_of_what_is_learned(probed: Callable[..., Recipe], tmp_path: Path) -> None:
    def losses(every: int) -> list[float]:
        recipe = probed(train__steps=6)
        recipe = recipe.model_copy(update={"probe": recipe.probe.model_copy(update={"every": every})})
        found: list[float] = []
        out = tmp_path / f"run{every}"
        train(recipe, out, console=Console(quiet=True), observe=lambda _, __, loss: found.append(loss))
        return found

    assert losses(0) == losses(2)


def test_a_probe_without_shards_or_of_another_world_is_reported_before_training(
    probed: Callable[..., Recipe], tiny: Callable[..., Recipe], shards: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="`every` needs `shards`"):
        tiny(probe__every=3)
    with pytest.raises(UserError, match="object, colour, action"):
        train(tiny(probe__every=3, probe__shards=str(shards)), tmp_path / "run", console=Console(quiet=True))
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
