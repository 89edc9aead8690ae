"""Training jobs in several processes that are ranks of each other, and what each step saw, for tests.

`start(jobs, n)` from a test; the processes run this file. A diary line is a step: its loss, the digests of its global
batches. `kill: {rank: step}` ends that rank as hard as can be, after that step.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

Job = dict[str, Any]  # recipe, out, diary: paths; resume: bool; kill: {rank: step}


def start(jobs: list[Job], ranks: int) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, __file__, json.dumps(jobs)],
            env=os.environ | meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(ranks)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]


def finish(processes: list[subprocess.Popen[str]], timeout: float = 240) -> list[tuple[int, str]]:
    """(exit code, stderr) of each, in order of rank."""
    return [(process.wait(), said) for process in processes for _, said in [process.communicate(timeout=timeout)]]


def read_diary(path: Path) -> dict[int, tuple[list[str], float]]:
    """step -> digests of its global batches, loss. A step done again after a kill counts as it was done last."""
    lines = (json.loads(line) for line in path.read_text().splitlines())
    return {line["step"]: (line["digests"], line["loss"]) for line in lines}


def here(job: Job) -> None:
    """The same job as one process: this one, which has imported already what it takes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _train(job, 0, 1)
    finally:
        torch.set_num_threads(threads)


def _train(job: Job, rank: int, size: int) -> None:
    import torch.distributed as dist
    from rich.console import Console

    from cosmos_train import recipe as recipes
    from cosmos_train.stream.batch import Batch, digest
    from cosmos_train.train.trainer import train

    kill = {int(who): step for who, step in job.get("kill", {}).items()}

    def observe(step: int, batches: list[Batch], loss: float) -> None:
        found: list[Any] = [None] * size
        if size > 1:
            dist.all_gather_object(found, batches)
        else:
            found = [batches]
        if rank == 0:
            digests = [digest(*parts) for parts in zip(*found, strict=True)]
            with Path(job["diary"]).open("a") as diary:
                diary.write(json.dumps({"step": step, "digests": digests, "loss": loss}) + "\n")
        if kill.get(rank) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    train(recipes.load(job["recipe"]), Path(job["out"]), job.get("resume", False), Console(quiet=True), observe)


def main() -> None:
    import torch
    import torch.distributed as dist

    from cosmos_train.errors import UserError

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    if size > 1:
        dist.init_process_group("gloo")
    for job in json.loads(sys.argv[1]):
        try:
            _train(job, rank, size)
        except UserError as error:
            print(f"error: {error.what}", file=sys.stderr, flush=True)
            os._exit(1)  # the others are gone: nothing is left to say goodbye to
    if size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
