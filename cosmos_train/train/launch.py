"""Starting the processes of a run: on this node by torchrun's agent, on several by its rendezvous, or by Ray Train.

Each of them runs the same `cosmos_train run RECIPE`; what differs is in its environment (RANK, WORLD_SIZE, …). When one
dies the others are ended, and with restarts left all start again from the latest checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe

RESTARTS = "TORCHELASTIC_RESTART_COUNT"


@dataclass(frozen=True)
class Nodes:
    """Of how many nodes a run is (least to most: elastic between them), and where they meet.

    rendezvous: HOST:PORT of the node that the others find first; empty for one node. job: the same name on all of them.
    """

    least: int = 1
    most: int = 1
    rendezvous: str = ""
    job: str = "cosmos_train"

    @classmethod
    def parse(cls, text: str, rendezvous: str, job: str) -> Nodes:
        """`2`, or `1:4` for any number from 1 to 4. Raises UserError."""
        least, most = bounds(text, "--nnodes")
        if most > 1 and not rendezvous:
            raise UserError("several nodes need a place to meet", "give --rdzv HOST:PORT, the same on all nodes", 2)
        return cls(least, most, rendezvous, job)


def bounds(text: str, option: str) -> tuple[int, int]:
    """`4` or `2:4` as least and most."""
    least, colon, most = text.partition(":")
    try:
        found = int(least), int(most if colon else least)
    except ValueError:
        found = (0, 0)
    if not 1 <= found[0] <= found[1]:
        raise UserError(f"{option} {text} is no number of at least 1, nor LEAST:MOST", f"for example {option} 2", 2)
    return found


def restarted() -> bool:
    """Whether this process was started again after one of its run died."""
    return int(os.environ.get(RESTARTS, "0")) > 0


def launch(arguments: Sequence[str], processes: int, nodes: Nodes, restarts: int, grace_seconds: int) -> None:
    """Runs `python -m cosmos_train ARGUMENTS` in so many processes on this node; returns when all are done.

    Raises UserError with the first death among them. The others are asked to end (SIGTERM), and after grace_seconds
    made to. A SIGTERM to this process goes to all of them, which save and end; it is then raised as UserError.
    """
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    alone = nodes.most == 1 and not nodes.rendezvous
    config = LaunchConfig(
        min_nodes=nodes.least,
        max_nodes=nodes.most,
        nproc_per_node=processes,
        run_id=nodes.job,
        rdzv_backend="c10d",
        rdzv_endpoint=nodes.rendezvous or "127.0.0.1:0",
        local_addr="127.0.0.1" if alone else None,
        max_restarts=restarts,
        shutdown_timeout=grace_seconds,
        logs_specs=DefaultLogsSpecs(),
    )
    # One store for all starts would tell those of a second start where the dead of the first were to be found.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # what torch warns of, it says once a process
    try:
        elastic_launch(config, sys.executable)("-m", "cosmos_train", *arguments)
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        see = "see its message above; then " if first.exitcode > 0 else ""  # of a signal it could not speak
        raise UserError(
            f"rank {rank} {_how(first.exitcode)}; the others were ended", f"{see}go on with --resume"
        ) from error
    except SignalException as error:
        raise UserError(
            f"stopped by {error.sigval.name}, which all processes were sent to save and end", "go on with --resume", 143
        ) from error


def _how(code: int) -> str:
    """A process's end in words: its exit code, negative for a signal."""
    if code >= 0:
        return f"failed (exit code {code})"
    name = signal.Signals(-code).name
    hint = ", as when memory runs out" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"


def launch_with_ray(
    recipe: Recipe, out: Path, workers: tuple[int, int], restarts: int, resume: bool, address: str
) -> None:
    """Trains on a Ray cluster, with workers from least to most as it has room; restarts from the latest checkpoint.

    `out` must be a path that every node reaches. Raises UserError when Ray is missing, or the run failed more than
    `restarts` times.
    """
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"  # read when ray.train is imported: elastic workers are in V2
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError
    except ImportError as error:
        raise UserError(
            f"Ray Train is not at hand: {error}", "pip install 'ray[train]', or leave out --backend"
        ) from error
    from cosmos_train import recipe as recipes
    from cosmos_train.train import checkpoint
    from cosmos_train.train.parallel import device_of

    out = out.resolve()
    if checkpoint.latest(out) is not None and not resume:
        raise UserError(f"{out} holds a run already", "go on with --resume, or give another --out", 2)
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address or None, log_to_driver=True, include_dashboard=False)
    try:
        trainer = TorchTrainer(
            _ray_worker,
            train_loop_config={"recipe": recipes.dump(recipe), "out": str(out)},
            scaling_config=ScalingConfig(
                num_workers=workers[0] if workers[0] == workers[1] else workers,
                use_gpu=device_of(recipe).type == "cuda",
            ),
            run_config=RunConfig(
                name="ray", storage_path=str(out), failure_config=FailureConfig(max_failures=restarts)
            ),
        )
        trainer.fit()
    except TrainingFailedError as error:
        reason = [line for line in str(error).splitlines() if line.strip()]
        raise UserError(
            f"training failed {restarts + 1} times: {reason[-1].strip()}", "mend it, then go on with --resume"
        ) from error
    finally:
        if ours:
            ray.shutdown()


def _ray_worker(settings: dict[str, str]) -> None:
    """One rank. Whether it is the first start or not, the latest checkpoint is where the run stands."""
    import yaml

    from cosmos_train import recipe as recipes
    from cosmos_train.train.trainer import train

    recipe = recipes.build(yaml.safe_load(settings["recipe"]), [], "the recipe")
    train(recipe, Path(settings["out"]), resume=True)
