"""Starting several processes: torchrun's agent and Ray Train; who dies takes the others along, and says so."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.train import checkpoint
from cosmos_train.train import launch as launching
from cosmos_train.train.launch import Nodes, bounds

Tiny = Callable[..., Recipe]


def begin(recipe: Path, out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cosmos_train", "launch", *arguments, str(recipe), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_step(out: Path, step: int, process: subprocess.Popen[str], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        path = out / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        if lines and lines[-1].endswith("}") and json.loads(lines[-1])["step"] >= step:
            return
        if process.poll() is not None:
            raise AssertionError(f"it ended before step {step}:\n{process.communicate()[0]}")
        time.sleep(0.05)
    process.kill()
    raise TimeoutError(f"step {step} was not reached:\n{process.communicate()[0]}")


@pytest.fixture
def endless(tiny: Tiny, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipes.dump(tiny(train__steps=100_000, train__save_every=100_000)))
    return path


def ranks_of(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """RANK -> process, of those that are running."""
    found = [child for child in psutil.Process(process.pid).children() if "run" in child.cmdline()]
    return {child.environ()["RANK"]: child for child in found}


@pytest.mark.processes
@pytest.mark.slow
def test_a_rank_that_dies_takes_the_others_along_and_all_start_again_as_often_as_allowed(
    endless: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = begin(endless, out, "--nproc", "2", "--restarts", "1", "--set", "train.save_every=2")
    wait_for_step(out, 5, process)
    first = ranks_of(process)
    assert first.keys() == {"0", "1"}
    first["1"].kill()
    wait_for_step(out, 12, process)  # the second start, from the latest checkpoint
    second = ranks_of(process)
    assert second.keys() == {"0", "1"}
    assert not any(child.is_running() for child in first.values())
    second["1"].kill()
    killed = time.monotonic()
    said, _ = process.communicate(timeout=60)
    assert time.monotonic() - killed < 60
    assert process.returncode == 1
    assert "error: rank 0 of 2 stops: another process is gone or does not answer" in said
    assert "resuming after step" in said
    assert "error: rank 1 was killed by SIGKILL" in said
    assert "Traceback" not in said
    assert not any(child.is_running() for child in second.values())
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))
    assert checkpoint.load(out).state.step >= 10


@pytest.mark.processes
def test_sigterm_to_the_launcher_saves(endless: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = begin(endless, out, "--nproc", "2", "--set", "parallel.mode=fsdp")
    wait_for_step(out, 3, process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopped by a signal; resume with --resume" in said
    saved = checkpoint.load(out).state
    assert saved.step >= 3
    assert saved.world == 2


@pytest.mark.slow
@pytest.mark.ray
def test_ray_runs_the_same_recipe_and_goes_on_after_a_worker_died(tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "run"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipes.dump(tiny(train__steps=150, train__save_every=20)))
    process = begin(recipe, out, "--backend", "ray", "--nproc", "1:2", "--restarts", "1")
    wait_for_step(out, 25, process)
    ours = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
    workers = [
        child
        for child in psutil.process_iter(["pid", "cmdline"])
        if child.pid in ours and "ray::RayTrainWorker" in " ".join(child.info["cmdline"] or [])
    ]
    assert workers
    os.kill(workers[-1].pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=250)
    assert process.returncode == 0, said
    assert checkpoint.load(out).state.step == 150
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 151))


@pytest.mark.parametrize(("text", "found"), [("2", (2, 2)), ("1:4", (1, 4))])
def test_bounds(text: str, found: tuple[int, int]) -> None:
    assert bounds(text, "--nproc") == found


@pytest.mark.parametrize("text", ["0", "two", "4:2", ":", "1:2:3"])
def test_bounds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--nproc .* is neither a number of at least 1") as caught:
        bounds(text, "--nproc")
    assert caught.value.code == 2


def test_several_nodes_need_a_place_to_meet() -> None:
    with pytest.raises(UserError, match="need a rendezvous"):
        Nodes.parse("2", "", "job")
    assert Nodes.parse("1:2", "head:29500", "job") == Nodes(1, 2, "head:29500", "job")


def test_a_rendezvous_at_a_port_of_another_program_is_refused_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "RENDEZVOUS_SECONDS", 1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        endpoint = f"127.0.0.1:{other.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(UserError, match=f"another program uses the port of --rdzv {endpoint}"):
            launching._check_rendezvous(endpoint)
        assert time.monotonic() - began < 20
    launching._check_rendezvous(endpoint)  # nobody is there: the first node opens it
    with pytest.raises(UserError, match="is not host:port"):
        launching._check_rendezvous("node0")


def test_a_store_of_the_run_itself_is_no_other_program() -> None:
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    launching._check_rendezvous(f"127.0.0.1:{store.port}")
