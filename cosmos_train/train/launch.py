"""Starts the processes of a run: on one node by torchrun's agent, on several by its rendezvous, or by Ray Train.

Each process runs the same `cosmos_train run RECIPE`; the environment differs (RANK, WORLD_SIZE, …). When one dies, the
others are stopped; if restarts are left, all start again from the latest checkpoint.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe

RESTARTS = "TORCHELASTIC_RESTART_COUNT"
RENDEZVOUS_SECONDS = 8  # in which a store that is there has answered


@dataclass(frozen=True)
class Nodes:
    """The number of nodes of a run (least to most: elastic between them), and their rendezvous.

    rendezvous: HOST:PORT on one of the nodes; empty for a single node. job: the same name on all nodes.
    """

    least: int = 1
    most: int = 1
    rendezvous: str = ""
    job: str = "cosmos_train"

    @classmethod
    def parse(cls, text: str, rendezvous: str, job: str) -> Nodes:
        """Parses `2`, or `1:4` for any number from 1 to 4. Raises UserError."""
        least, most = bounds(text, "--nnodes")
        if most > 1 and not rendezvous:
            raise UserError("several nodes need a rendezvous", "give --rdzv HOST:PORT, the same on all nodes", 2)
        return cls(least, most, rendezvous, job)


def bounds(text: str, option: str) -> tuple[int, int]:
    """Parses `4` or `2:4` as least and most."""
    least, colon, most = text.partition(":")
    try:
        found = int(least), int(most if colon else least)
    except ValueError:
        found = (0, 0)
    if not 1 <= found[0] <= found[1]:
        raise UserError(
            f"{option} {text} is neither a number of at least 1 nor LEAST:MOST", f"for example {option} 2", 2
        )
    return found


def restarted() -> bool:
    """Whether this process was restarted after a process of its run died."""
    return int(os.environ.get(RESTARTS, "0")) > 0


def launch(arguments: Sequence[str], processes: int, nodes: Nodes, restarts: int, grace_seconds: int) -> None:
    """Runs `python -m cosmos_train ARGUMENTS` in `processes` processes on this node; returns when all are done.

    Raises UserError with the first failure. The others get SIGTERM, and after `grace_seconds` SIGKILL. A SIGTERM to
    this process is forwarded to all of them; they save and exit, and this function raises UserError.
    """
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if nodes.rendezvous:
        _check_rendezvous(nodes.rendezvous)
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
    # With one store for all starts, a restart would read the keys that dead processes left.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch repeats its warnings in every process
    try:
        elastic_launch(config, sys.executable)("-m", "cosmos_train", *arguments)
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        see = (
            "see its message above; then " if first.exitcode > 0 else ""
        )  # a process killed by a signal prints no message
        raise UserError(
            f"rank {rank} {_how(first.exitcode)}; the others were stopped", f"{see}resume with --resume"
        ) from error
    except SignalException as error:
        raise UserError(
            f"stopped by {error.sigval.name}; all processes received it to save and exit", "resume with --resume", 143
        ) from error


def _check_rendezvous(endpoint: str) -> None:
    """Raises UserError where another program answers at `host:port`: torch would wait for it for minutes.

    Nobody there is fine: the first node opens the port.
    """
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--rdzv {endpoint!r} is not host:port", "for example --rdzv node0:29400", 2)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return
    # In a thread: against a program that accepts and says nothing, torch's own timeout does not count.
    asked = threading.Thread(target=_ask_store, args=(host, int(port), answered := threading.Event()), daemon=True)
    asked.start()
    asked.join(RENDEZVOUS_SECONDS)
    if not answered.is_set():
        raise UserError(
            f"another program uses the port of --rdzv {endpoint}", "choose a free port, the same on every node"
        )


def _ask_store(host: str, port: int, answered: threading.Event) -> None:
    from torch import distributed

    try:
        distributed.TCPStore(  # type: ignore[attr-defined]
            host, port, is_master=False, timeout=timedelta(seconds=RENDEZVOUS_SECONDS), wait_for_workers=False
        )
    except RuntimeError:  # also DistError
        return
    answered.set()


def _how(code: int) -> str:
    """How a process ended: its exit code, negative for a signal."""
    if code >= 0:
        return f"failed (exit code {code})"
    name = signal.Signals(-code).name
    hint = ", typical when memory runs out" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


def launch_with_ray(
    recipe: Recipe, out: Path, workers: tuple[int, int], restarts: int, resume: bool, address: str
) -> None:
    """Trains on a Ray cluster that has room for some of `workers` (least, most). Restarts from the latest checkpoint.

    `out` must be a path that every node reaches. Raises UserError if Ray is missing, or the run failed more than
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
            f"Ray Train cannot be imported: {error}", "pip install 'ray[train]', or omit --backend"
        ) from error
    from cosmos_train import recipe as recipes
    from cosmos_train.train import checkpoint
    from cosmos_train.train.parallel import device_of

    out = out.resolve()
    if checkpoint.latest(out) is not None and not resume:
        raise UserError(f"{out} holds a run already", "resume with --resume, or give another --out", 2)
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
            f"training failed {restarts + 1} times: {reason[-1].strip()}", "fix the cause, then resume with --resume"
        ) from error
    finally:
        if ours:
            ray.shutdown()


def _ray_worker(settings: dict[str, str]) -> None:
    """One rank. Always resumes: the latest checkpoint holds the run's progress, at the first start and at restarts."""
    import yaml

    from cosmos_train import recipe as recipes
    from cosmos_train.train.trainer import train

    recipe = recipes.build(yaml.safe_load(settings["recipe"]), [], "the recipe")
    train(recipe, Path(settings["out"]), resume=True)
