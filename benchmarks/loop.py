"""What the training loop costs over bare steps: `python -m benchmarks loop [--pairs 60] [--json]`.

In one process, bare and full steps take turns on the same batches, each with its own copy of the model. Bare: forward,
losses, backward, clipping, optimiser. Full: all that `cosmos_train run` does from one step to the next (counting,
judging, metrics, TensorBoard), with batches that are decoded already: what reading costs is the loader's to tell.
CPU time of the whole process, so that what others run on the machine does not count.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_WARM = 5  # pairs that do not count
_RESAMPLED = 2000  # bootstrap draws of the median
_KEPT = 4  # batches, used in turn


@dataclass(frozen=True)
class Overhead:
    """Ratios of CPU time, full over bare: their median with its 95 % interval, and that of the sums."""

    pairs: int
    bare_ms: float
    full_ms: float
    median: float
    low: float
    high: float
    of_sums: float


def measure(pairs: int, batch_size: int, threads: int) -> Overhead:
    """tiny_cosmo's model and settings, at so many samples a step."""
    import torch
    from rich.console import Console

    from cosmos_train import recipe as recipes
    from cosmos_train.train.trainer import Trainer

    with tempfile.TemporaryDirectory() as folder:
        shards = documents(Path(folder) / "shards")
        settings = [
            f"data.shards={shards}", f"train.batch_size={batch_size}", f"train.threads={threads}",
            f"train.steps={pairs + _WARM + 1}", "train.save_every=1000000", "train.log_every=10",
        ]  # fmt: skip
        recipe = recipes.load("tiny_cosmo", settings)
        quiet = Console(file=io.StringIO())
        full, bare = (Trainer(recipe, Path(folder) / name, False, quiet) for name in ("full", "bare"))
        batches = [full.stream.next() for _ in range(_KEPT)]
        full.stream = _Canned(full.stream, batches)  # type: ignore[assignment]
        bare.model.train()
        times: list[tuple[float, float]] = []
        began = 0.0

        def after(step: int, taken: list[Any], _: float) -> None:
            """Called by the loop when its step is done: ends the full step's time, takes a bare one."""
            nonlocal began
            middle = time.process_time()
            _bare_step(bare, taken[0])
            end = time.process_time()
            if step > _WARM and step < recipe.train.steps:
                times.append((end - middle, middle - began))
            began = time.process_time()

        full.run(after)
    torch.set_num_threads(1)
    return _summary(times)


def _bare_step(trainer: Any, batch: Any) -> None:
    import torch

    from cosmos_train.families.cosmo import objective as objective

    settings = trainer.recipe.objective
    outputs = objective.compute(trainer.model, batch, settings)
    language = outputs.language / objective.learned_tokens(batch)
    loss = settings.language_weight * language + settings.contrastive_weight * objective.contrast(outputs, settings)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainer.learner.learning, trainer.recipe.optimiser.clip_norm)
    trainer.learner.optimiser.step()
    trainer.learner.optimiser.zero_grad(set_to_none=True)
    float(loss.detach())


class _Canned:
    """A stream that hands out batches which are there already."""

    def __init__(self, stream: Any, batches: list[Any]) -> None:
        self._stream = stream
        self._batches = batches
        self._given = 0

    def next(self) -> Any:
        self._given += 1
        return self._batches[self._given % len(self._batches)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _summary(times: list[tuple[float, float]]) -> Overhead:
    ratios = [full / bare for bare, full in times]
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(_RESAMPLED))
    return Overhead(
        len(times),
        1000 * statistics.median(bare for bare, _ in times),
        1000 * statistics.median(full for _, full in times),
        statistics.median(ratios),
        medians[int(0.025 * _RESAMPLED)],
        medians[int(0.975 * _RESAMPLED)],
        sum(full for _, full in times) / sum(bare for bare, _ in times),
    )


def documents(folder: Path) -> Path:
    """Documents of three clips with two frames each, in shards."""
    import numpy as np
    from PIL import Image

    from interlink.shards import ShardWriter
    from interlink.storage import Storage

    draw = np.random.default_rng(0)
    words = ["cut", "fold", "stir", "pour", "press", "lift", "turn", "the", "red", "blue", "paper", "dough", "twice"]
    with ShardWriter(Storage(str(folder)), "", lambda n: f"{n:03d}.tar", 50_000_000) as writer:
        for number in range(64):
            images, segments, clips = [], [], []
            for clip in range(3):
                names = [f"{clip}{frame}.jpg" for frame in range(2)]
                for name in names:
                    data = io.BytesIO()
                    Image.fromarray(draw.integers(0, 255, (96, 128, 3), np.uint8)).save(data, "JPEG")
                    images.append((name, data.getvalue()))
                text = " ".join(draw.choice(words, 12))
                span = {"start": 10.0 * clip, "end": 10.0 * clip + 8}
                segments.append(
                    {"type": "frames", "images": names, "times": [10.0 * clip, 10.0 * clip + 4], "clip": clip}
                )
                segments.append({"type": "text", "text": text, "role": "caption", "clip": clip, **span})
                clips.append({**span, "caption": text})
            document = {"format_version": "1", "id": f"d{number}", "segments": segments, "clips": clips, "source": {}}
            writer.add(f"d{number}", [("json", json.dumps(document).encode()), *images], 6, 3, 36)
    return folder


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks loop", description=__doc__)
    parser.add_argument("--pairs", type=int, default=60, help="pairs of steps that count")
    parser.add_argument("--batch-size", type=int, default=32, help="samples a step")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    found = measure(given.pairs, given.batch_size, given.threads)
    if given.json:
        json.dump(asdict(found), sys.stdout, indent=1)
        print()
        return
    print(
        f"{found.pairs} pairs: bare {found.bare_ms:.1f} ms, full {found.full_ms:.1f} ms of CPU a step; "
        f"median ratio {found.median:.4f} (95 %: {found.low:.4f} to {found.high:.4f}), of sums {found.of_sums:.4f}"
    )
