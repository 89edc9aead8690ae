"""Run by test_accumulate_processes.py, once per rank: the gradients of steps whose batches are shared out over ranks.

Argument: a folder with tokenizer.json and a folder per case, which holds the recipe, each rank's batches, and then what
each rank found.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from cosmos_train.families.base import StepContext
from cosmos_train.families.cosmo.accumulate import accumulate
from cosmos_train.families.cosmo.model import build_cosmo
from cosmos_train.families.cosmo.objective import compute
from cosmos_train.recipe import Recipe, load
from cosmos_train.stream.batch import Batch, Media, Pairs, Rows
from cosmos_train.stream.tokenizer import BEGIN, END, PAD, Tokenizer


class Whole(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return compute(self.model, *args, **kwargs)


def step(recipe: Recipe, words: Tokenizer, batches: list[Batch], several: bool = False) -> dict[str, torch.Tensor]:
    """The gradients of a step, and under `losses` its losses and number of tokens."""
    torch.manual_seed(0)
    model = build_cosmo(recipe, words)
    for name, parameter in model.named_parameters():
        if name.endswith("_gate"):
            torch.nn.init.constant_(parameter, 1.0)
    whole: Any = Whole(model)
    if several:
        whole = torch.nn.parallel.DistributedDataParallel(whole, find_unused_parameters=True)
    losses = accumulate(
        whole,
        batches,
        recipe.objective,
        StepContext(
            nullcontext,
            lambda loss: loss.backward(),
            lambda last: whole.no_sync() if several and not last else nullcontext(),
        ),
    )
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    numbers = (losses.total, losses.language, losses.contrastive, losses.tokens)
    return found | {"losses": torch.tensor([float(number) for number in numbers])}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", f"file://{folder / 'meet'}", timedelta(seconds=200), world_size=size, rank=rank)
    words = Tokenizer.load(folder / "tokenizer.json", {"begin": BEGIN, "end": END, "pad": PAD})
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        batches = [
            Batch(
                rows=Rows(**one["rows"]), media=Media(**one["media"]), pairs=Pairs(**one["pairs"]), row_of=one["row_of"]
            )
            for one in torch.load(case / f"batches-{rank}.pt", weights_only=True)
        ]
        torch.save(step(load(str(case / "recipe.yaml")), words, batches, True), case / f"found-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
