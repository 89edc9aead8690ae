"""Runs a function on several ranks of one gloo group, each a fork of this process: no library is imported again."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch._dynamo  # the first exchange with gradients needs it: once here, not in each rank
import torch.distributed as dist

Work = Callable[[int], Any]


def on_ranks(count: int, work: Work) -> list[Any]:
    """The result of work(rank) of each rank. It must be made of plain values and of tensors without gradients."""
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        processes = [fork.Process(target=_rank, args=(rank, count, work, folder), daemon=True) for rank in range(count)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            process.kill()
        assert [process.exitcode for process in processes] == [0] * count
        return [torch.load(f"{folder}/{rank}.pt") for rank in range(count)]


def _rank(rank: int, count: int, work: Work, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", timedelta(seconds=30), world_size=count, rank=rank)
    torch.save(work(rank), f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
