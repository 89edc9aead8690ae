"""Commands that train a recipe or describe it: run, launch, replay, ablate, size, keys."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from cosmos_train.commands.options import Set, Which
from cosmos_train.errors import UserError

Out = Annotated[Path | None, typer.Option(help="Folder for checkpoints and metrics; default runs/<recipe's name>.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Resume from the latest checkpoint in --out, or start if there is none.")
]


class Backend(str, Enum):
    torchrun = "torchrun"
    ray = "ray"


def run(recipe: Which, settings: Set = None, out: Out = None, resume: Resume = False) -> None:
    """Train a recipe in this process. When started by torchrun or `launch`, this process is one rank of several.

    Example: cosmos_train run tiny_cosmo --set data.shards=build --out runs/first

    Example: cosmos_train run tiny_cosmos_full --set data.shards=build --set cosmos:train.steps=200 --out runs/full
    """
    from rich.console import Console

    from cosmos_train import recipe as recipes
    from cosmos_train.experiments import chain as chains
    from cosmos_train.families.registry import family_of
    from cosmos_train.train.launch import restarted

    if path := chains.find(recipe):
        if "RANK" in os.environ:
            raise UserError(f"{recipe} is a chain, and chains cannot run under torchrun", "use cosmos_train launch", 2)
        _run_chain(path, settings or [], out, 1)
        return
    loaded = recipes.load(recipe, settings or [])
    family_of(loaded)
    from cosmos_train.train.trainer import train

    console = Console()
    result = train(loaded, out or Path("runs") / loaded.name, resume or restarted(), console)
    if int(os.environ.get("RANK", "0")):
        return
    how = "stopped by a signal; resume with --resume" if result.stopped else "done"
    console.print(f"{how}: step {result.step} after {result.seconds:.0f} s", soft_wrap=True, highlight=False)
    if result.bad_samples:
        console.print(f"{result.bad_samples} samples could not be used", highlight=False)
    for name in ("checkpoint", "metrics.jsonl", "tensorboard"):
        path = result.checkpoint if name == "checkpoint" else result.out / name
        console.print(f"  {name:<14}{path}", soft_wrap=True, highlight=False)


def _run_chain(path: Path, settings: list[str], out: Path | None, processes: int) -> None:
    """Runs the stages that are not done. Finished stages are always detected, so `--resume` has no effect here."""
    from rich.console import Console

    from cosmos_train.experiments import chain as chains

    console = Console()

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False)

    chain = chains.load(path)
    stages = chains.plan(chain, out or Path("runs") / chain.name, settings)
    train = chains.train_here if processes == 1 else chains.train_in(processes)
    numbers = chains.run(stages, say, train)
    if numbers is None:
        say("stopped by a signal; run the same command to resume")
        return
    for stage in stages:
        say(f"  {stage.name:<14}{stage.folder}")
    say(f"done after {numbers['chain_seconds']:.0f} s")


def launch(
    recipe: Which,
    settings: Set = None,
    out: Out = None,
    resume: Resume = False,
    nproc: Annotated[
        str, typer.Option(help="Processes on this node, one per GPU. With ray: total number, or LEAST:MOST.")
    ] = "1",
    nnodes: Annotated[str, typer.Option(help="Number of nodes, or LEAST:MOST. Run the same command on each.")] = "1",
    rdzv: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address of the rendezvous on one of the nodes.")] = "",
    job: Annotated[str, typer.Option(help="Name of the run, the same on all nodes.")] = "cosmos_train",
    restarts: Annotated[int, typer.Option(min=0, help="Number of restarts from the latest checkpoint.")] = 0,
    grace: Annotated[int, typer.Option(min=1, help="Seconds that processes have to save and exit.")] = 30,
    backend: Annotated[Backend, typer.Option(help="What starts the processes.")] = Backend.torchrun,
    address: Annotated[str, typer.Option(help="Address of a running Ray cluster. Empty: this machine.")] = "",
) -> None:
    """Train a recipe in several processes, on one node or more. The recipe is the same as for `run`.

    Example: cosmos_train launch --nproc 8 my_cosmo.yaml --out runs/big
    """
    from cosmos_train import recipe as recipes
    from cosmos_train.experiments import chain as chains
    from cosmos_train.families.registry import family_of
    from cosmos_train.stream.settings import rows_of
    from cosmos_train.train import launch as launcher

    if path := chains.find(recipe):
        least, most = launcher.bounds(nproc, "--nproc")
        if backend is Backend.ray or nnodes != "1" or least != most:
            raise UserError(f"{recipe} is a chain: chains run on one node only", "give --nproc alone", 2)
        _run_chain(path, settings or [], out, most)
        return
    loaded = recipes.load(recipe, settings or [])  # mistakes are reported once, before anything starts
    family_of(loaded)
    folder = out or Path("runs") / loaded.name
    if backend is Backend.ray:
        launcher.launch_with_ray(loaded, folder, launcher.bounds(nproc, "--nproc"), restarts, resume, address)
        print(f"done: see {folder}")
        return
    least, most = launcher.bounds(nproc, "--nproc")
    if least != most:
        raise UserError(
            f"--nproc {nproc}: torchrun starts a fixed number per node",
            "give a range to --nnodes, or use --backend ray",
            2,
        )
    nodes = launcher.Nodes.parse(nnodes, rdzv, job)
    if nodes.least == nodes.most:  # reported once, rather than by every process
        rows_of(loaded.data, loaded.train.passes(most * nodes.most)[0], most * nodes.most)
    arguments = ["run", recipe, "--out", str(folder), *(["--resume"] if resume else [])]
    arguments += [part for setting in settings or [] for part in ("--set", setting)]
    launcher.launch(arguments, most, nodes, restarts, grace)


def replay(
    record: Annotated[Path, typer.Argument(help="A record of the loss guard: OUT/guard/step-….")],
    settings: Set = None,
    nproc: Annotated[
        int, typer.Option(min=1, help="Number of processes. The result is bit-equal with the run's number.")
    ] = 1,
) -> None:
    """Recompute a recorded step, without changing anything, and compare its loss.

    Example: cosmos_train replay runs/first/guard/step-00000123
    """
    if nproc > 1 and "RANK" not in os.environ:
        from cosmos_train.train import launch as launcher

        arguments = ["replay", str(record), *(part for setting in settings or [] for part in ("--set", setting))]
        launcher.launch(arguments, nproc, launcher.Nodes(), 0, 30)
        return
    from rich.console import Console

    from cosmos_train.train.replay import replay as take_again

    found = take_again(record, settings or [], Console(stderr=True))
    if int(os.environ.get("RANK", "0")):
        return
    then = found.recorded
    print(f"step {then.step}: {then.reason}")
    print(f"  recorded  loss {then.loss!r}  gradient norm {then.gradient_norm!r}  ({then.world} processes)")
    print(f"  now       loss {found.loss!r}  gradient norm {found.gradient_norm!r}  ({found.world} processes)")


def ablate(
    path: Annotated[Path, typer.Argument(metavar="ABLATIONS", help="A YAML file: pipelines/ablations.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder for the table and a folder per run.")],
    settings: Set = None,
    only: Annotated[list[str] | None, typer.Option(help="Train only this variant; may be repeated.")] = None,
) -> None:
    """Train variants of a recipe with several seeds, and compare them. Finished runs are skipped.

    Example: cosmos_train ablate pipelines/ablations.yaml --out ablations
    """
    from rich.console import Console

    from cosmos_train.experiments import ablate as ablations

    console = Console(stderr=True)
    read = ablations.load(path, settings or [])
    lines = ablations.ablate(read, out, lambda text: console.print(text, highlight=False, soft_wrap=True), only or [])
    print(ablations.markdown(lines, read), end="")
    found = ablations.expectations(read, out)
    for one in found:
        print(one)
    if not all(one.holds for one in found):
        raise typer.Exit(1)


def size(recipe: Which, settings: Set = None) -> None:
    """Count a recipe's parameters and operations. Needs no weights and no data.

    Example: cosmos_train size cosmo_2b
    """
    from rich.console import Console

    from cosmos_train import recipe as recipes
    from cosmos_train.commands.tables import sizes

    Console().print(sizes(recipes.load(recipe, settings or [])))


def keys() -> None:
    """List all settings of a recipe, with defaults.

    Example: cosmos_train keys
    """
    from rich.console import Console
    from rich.table import Table

    from cosmos_train import recipe as recipes

    table = Table("key", "default", "meaning", box=None)
    for name, default, meaning in recipes.describe():
        table.add_row(name, default, meaning)
    Console().print(table)
