"""Two processes that share a step's batches have the gradients of one process that has them all."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from cosmos_train.recipe import Recipe, dump
from cosmos_train.stream.batch import BadSample, Batch, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.tokenizer import Tokenizer

SCRIPT = Path(__file__).parent / "two_ranks.py"
Tiny = Callable[..., Recipe]
MakeSamples = Callable[..., list[Sample]]
CASES: dict[str, dict[str, Any]] = {
    "infonce": {"objective__contrastive": "infonce", "objective__pairs": "every"},
    "siglip": {"objective__contrastive": "siglip", "objective__pairs": "first"},
    "own": {"objective__paper_compat": {"own_process": True}, "objective__pairs": "every", "objective__pool": "batch"},
}


def alone() -> Any:
    """The script's own `step`, to run in this process."""
    spec = importlib.util.spec_from_file_location("two_ranks", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.step


def prepare(case: Path, recipe: Recipe, ranks: Sequence[list[Batch]]) -> None:
    case.mkdir()
    (case / "recipe.yaml").write_text(dump(recipe))
    for rank, batches in enumerate(ranks):
        # The losses need no names, and plain tensors are all that is read back.
        parts = ("rows", "media", "pairs")
        plain = [{part: vars(getattr(one, part)) for part in parts} | {"row_of": one.row_of} for one in batches]
        torch.save(plain, case / f"batches-{rank}.pt")


def run_two(folder: Path) -> None:
    started = []
    for rank in range(2):
        env = os.environ | {"RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, str(SCRIPT), str(folder)]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
    said = [process.communicate(timeout=250)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)


@pytest.mark.processes
def test_two_ranks_have_the_gradients_of_one(
    tiny: Tiny, words: Tokenizer, make_samples: MakeSamples, tmp_path: Path
) -> None:
    """Given unequal numbers of pairs, captions that are equal across ranks, and a rank whose batch is all bad."""
    samples = make_samples(9)
    samples[6] = Sample("twin", samples[0].texts, samples[6].frames[:1], samples[6].times[:1])

    def batch(items: Sequence[Sample | BadSample]) -> Batch:
        return collate(items, words, 64)

    shared = [[batch(samples[:3]), batch(samples[3:5])], [batch(samples[5:9]), batch([BadSample("bad", "gone")])]]
    halves = [[batch(samples[:4])], [batch(samples[4:])]]
    words.save(tmp_path / "tokenizer.json")
    for name, settings in CASES.items():
        prepare(tmp_path / name, tiny(**settings), halves if name == "own" else shared)
    run_two(tmp_path)
    step = alone()
    for name in ("infonce", "siglip"):
        one = step(tiny(**CASES[name]), words, [batch(samples)])
        norm = torch.stack([value.norm() for key, value in one.items() if key != "losses"]).norm()
        for rank in range(2):
            found = torch.load(tmp_path / name / f"found-{rank}.pt", weights_only=True)
            assert found.keys() == one.keys()
            for key, expected in one.items():
                assert (found[key] - expected).abs().max() < 1e-5 * (1 if key == "losses" else norm), (name, key)
            assert float(found["log_scale"]) == pytest.approx(float(one["log_scale"]), rel=1e-5)
        assert abs(float(one["log_scale"])) > 1e-3
    # As released: each process contrasts its own pairs, and the gradients are the mean of theirs.
    found = torch.load(tmp_path / "own" / "found-0.pt", weights_only=True)
    recipe = tiny(**CASES["own"], objective__language_weight=0.0)
    each = [step(recipe, words, half) for half in halves]
    contrastive = float(sum(one["losses"][2] for one in each) / 2)
    assert float(found["losses"][2]) == pytest.approx(contrastive, rel=1e-5)
    assert float(found["log_scale"]) == pytest.approx(float(sum(one["log_scale"] for one in each) / 2), rel=1e-5)
    assert float(found["losses"][2]) < float(step(recipe, words, [batch(samples)])["losses"][2]), "fewer candidates"
