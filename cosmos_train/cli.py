"""The commands: parse, call, print. Heavy imports happen inside them, so `--help` answers at once."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from cosmos_train.errors import UserError

app = typer.Typer(
    help="Pretrain multimodal models on interleaved shards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.")
]


Out = Annotated[Path | None, typer.Option(help="Folder for checkpoints and metrics; default runs/<recipe's name>.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the latest checkpoint in --out (or start).")]
Which = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a bundled recipe: tiny_cosmo.")
]


class Part(str, Enum):
    teacher = "teacher"
    student = "student"


class Backend(str, Enum):
    torchrun = "torchrun"
    ray = "ray"


@app.command()
def run(recipe: Which, settings: Set = None, out: Out = None, resume: Resume = False) -> None:
    """Train a recipe in this process. Started by torchrun or `launch`, this is one rank of several.

    Example: cosmos_train run tiny_cosmo --set data.shards=build --out runs/first

    Example: cosmos_train run tiny_cosmos_full --set data.shards=build --set cosmos:train.steps=200 --out runs/full
    """
    from rich.console import Console

    from cosmos_train import chain as chains
    from cosmos_train import recipe as recipes
    from cosmos_train.launch import restarted

    if path := chains.find(recipe):
        if "RANK" in os.environ:
            raise UserError(f"{recipe} is a chain: its stages are started one by one", "use cosmos_train launch", 2)
        _run_chain(path, settings or [], out, 1)
        return
    loaded = recipes.load(recipe, settings or [])
    from cosmos_train.trainer import train

    console = Console()
    result = train(loaded, out or Path("runs") / loaded.name, resume or restarted(), console)
    if int(os.environ.get("RANK", "0")):
        return
    how = "stopped by a signal; go on with --resume" if result.stopped else "done"
    console.print(f"{how}: step {result.step} after {result.seconds:.0f} s", soft_wrap=True, highlight=False)
    if result.bad_samples:
        console.print(f"{result.bad_samples} samples could not be used", highlight=False)
    for name in ("checkpoint", "metrics.jsonl", "tensorboard"):
        path = result.checkpoint if name == "checkpoint" else result.out / name
        console.print(f"  {name:<14}{path}", soft_wrap=True, highlight=False)


def _run_chain(path: Path, settings: list[str], out: Path | None, processes: int) -> None:
    """All stages that are not done; what is done is found by itself, so `--resume` says nothing here."""
    from rich.console import Console

    from cosmos_train import chain as chains

    console = Console()

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False)

    chain = chains.load(path)
    stages = chains.plan(chain, out or Path("runs") / chain.name, settings)
    train = chains.train_here if processes == 1 else chains.train_in(processes)
    numbers = chains.run(stages, say, train)
    if numbers is None:
        say("stopped by a signal; the same command goes on")
        return
    for stage in stages:
        say(f"  {stage.name:<14}{stage.folder}")
    say(f"done after {numbers['chain_seconds']:.0f} s")


@app.command()
def launch(
    recipe: Which,
    settings: Set = None,
    out: Out = None,
    resume: Resume = False,
    nproc: Annotated[
        str, typer.Option(help="Processes on this node, one per GPU; with ray: in all, or LEAST:MOST.")
    ] = "1",
    nnodes: Annotated[str, typer.Option(help="Nodes, or LEAST:MOST; run the same command on each.")] = "1",
    rdzv: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where several nodes meet: one of them.")] = "",
    job: Annotated[str, typer.Option(help="A name that the nodes of one run share.")] = "cosmos_train",
    restarts: Annotated[int, typer.Option(min=0, help="Times to start again from the latest checkpoint.")] = 0,
    grace: Annotated[int, typer.Option(min=1, help="Seconds that processes have to save and end.")] = 30,
    backend: Annotated[Backend, typer.Option(help="What starts the processes.")] = Backend.torchrun,
    address: Annotated[str, typer.Option(help="Of a running Ray cluster; empty: this machine.")] = "",
) -> None:
    """Train a recipe in several processes, on one node or more. The recipe is the same as for `run`.

    Example: cosmos_train launch --nproc 8 my_cosmo.yaml --out runs/big
    """
    from cosmos_train import chain as chains
    from cosmos_train import launch as launcher
    from cosmos_train import recipe as recipes
    from cosmos_train.stream.settings import rows_of

    if path := chains.find(recipe):
        least, most = launcher.bounds(nproc, "--nproc")
        if backend is Backend.ray or nnodes != "1" or least != most:
            raise UserError(f"{recipe} is a chain: its stages run on one node", "give --nproc alone", 2)
        _run_chain(path, settings or [], out, most)
        return
    loaded = recipes.load(recipe, settings or [])  # mistakes are told once, before anything starts
    folder = out or Path("runs") / loaded.name
    if backend is Backend.ray:
        launcher.launch_with_ray(loaded, folder, launcher.bounds(nproc, "--nproc"), restarts, resume, address)
        print(f"done: see {folder}")
        return
    least, most = launcher.bounds(nproc, "--nproc")
    if least != most:
        raise UserError(f"--nproc {nproc}: torchrun starts a fixed number per node", "vary --nnodes, or use ray", 2)
    nodes = launcher.Nodes.parse(nnodes, rdzv, job)
    if nodes.least == nodes.most:  # told once, rather than by every process
        rows_of(loaded.data, loaded.train.batch_size, most * nodes.most)
    arguments = ["run", recipe, "--out", str(folder), *(["--resume"] if resume else [])]
    arguments += [part for setting in settings or [] for part in ("--set", setting)]
    launcher.launch(arguments, most, nodes, restarts, grace)


@app.command()
def replay(
    record: Annotated[Path, typer.Argument(help="What the loss guard wrote: OUT/guard/step-….")],
    settings: Set = None,
    nproc: Annotated[int, typer.Option(min=1, help="Processes; as many as the run had, to be equal to the bit.")] = 1,
) -> None:
    """Take a recorded step again, without changing anything, and compare its loss.

    Example: cosmos_train replay runs/first/guard/step-00000123
    """
    if nproc > 1 and "RANK" not in os.environ:
        from cosmos_train import launch as launcher

        arguments = ["replay", str(record), *(part for setting in settings or [] for part in ("--set", setting))]
        launcher.launch(arguments, nproc, launcher.Nodes(), 0, 30)
        return
    from rich.console import Console

    from cosmos_train.replay import replay as take_again

    found = take_again(record, settings or [], Console(stderr=True))
    if int(os.environ.get("RANK", "0")):
        return
    then = found.recorded
    print(f"step {then.step}: {then.reason}")
    print(f"  recorded  loss {then.loss!r}  gradient norm {then.gradient_norm!r}  ({then.world} processes)")
    print(f"  now       loss {found.loss!r}  gradient norm {found.gradient_norm!r}  ({found.world} processes)")


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A run's folder (its latest checkpoint) or one checkpoint.")],
    settings: Set = None,
    candidates: Annotated[int, typer.Option(min=2, help="Distinct texts to choose among.")] = 64,
    draws: Annotated[int, typer.Option(min=1, help="Random draws of so many clips.")] = 10,
    max_clips: Annotated[int, typer.Option(min=2, help="Clips to look at, from the first on.")] = 2048,
    probe: Annotated[bool, typer.Option("--probe", help="Caption the clips; what is right, slot by slot?")] = False,
    slots: Annotated[
        Path | None, typer.Option(help="JSON: {slot: {value: [words]}}; default: the sample world's.")
    ] = None,
    task: Annotated[str, typer.Option(help="A benchmark: coco-caption, vqav2, …; needs --data.")] = "",
    data: Annotated[Path | None, typer.Option(help="Folder with the benchmark's annotations and media.")] = None,
    shots: Annotated[
        list[int] | None, typer.Option(min=0, help="Demonstrations of the task; may be repeated. Default 0.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="default, cosmo, or a YAML file; change it by --set protocol.KEY=VALUE.")
    ] = "default",
    predictions: Annotated[
        Path | None, typer.Option(help="Folder to keep what the model said; a run cut off goes on from it.")
    ] = None,
    part: Annotated[Part, typer.Option(help="Which half of a COSMOS is judged.")] = Part.teacher,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a checkpoint: on shards it has not seen, by a probe of its captions, or on a benchmark.

    Example: cosmos_train evaluate runs/first --set data.shards=heldout

    Example: cosmos_train evaluate runs/first --task coco-caption --data coco --shots 0 --shots 4 --protocol cosmo

    Example: cosmos_train evaluate runs/cosmos --task imagenet-classify --data imagenet --part student
    """
    import json

    from rich.console import Console

    if task:
        from cosmos_train.evaluate import run as evaluation

        if data is None:
            raise UserError(f"--task {task} needs the folder that holds it", "give it: --data DIR", 2)
        found = evaluation.evaluate_task(
            checkpoint, task, data, shots or [0], protocol, settings or [], predictions, part=part.value
        )
        if as_json:
            print(json.dumps(evaluation.as_json(found), indent=1))
        else:
            evaluation.print_results(found, Console())
        return
    if probe:
        from cosmos_train.evaluate import run as evaluation
        from cosmos_train.evaluate import watch

        if watch.kind_of(checkpoint) != "cosmo":
            numbers = watch.ask_once(checkpoint, settings or [], slots, max_clips, candidates, draws)
            if as_json:
                print(json.dumps(numbers, indent=1))
            else:
                evaluation.print_numbers(numbers, Console())
            return
        said = evaluation.evaluate_probe(checkpoint, settings or [], slots, max_clips, candidates, draws)
        if as_json:
            print(json.dumps(asdict(said), indent=1))
        else:
            evaluation.print_probe(said, Console())
        return
    from cosmos_train.evaluate.scores import evaluate as score

    scores = score(checkpoint, settings or [], candidates, draws, max_clips)
    if as_json:
        print(json.dumps(asdict(scores), indent=1))
        return
    from cosmos_train.report import print_scores

    print_scores(scores, Console())


@app.command()
def generate(
    checkpoint: Annotated[Path, typer.Argument(help="A run's folder (its latest checkpoint) or one checkpoint.")],
    images: Annotated[list[Path], typer.Argument(help="JPEG files: the frames of one clip, in order.")],
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest caption, tokens.")] = 40,
    beams: Annotated[int, typer.Option(min=1, help="Width of the beam search; 1 is greedy.")] = 1,
) -> None:
    """Caption one clip.

    Example: cosmos_train generate runs/first frame0.jpg frame1.jpg
    """
    from cosmos_train.evaluate.generate import caption_files

    print(caption_files(checkpoint, images, max_tokens, beams))


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A run's folder (its latest checkpoint) or one checkpoint.")],
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    average: Annotated[bool, typer.Option("--average", help="The averaged weights (train.ema_decay).")] = False,
    part: Annotated[Part, typer.Option(help="Which half of a COSMOS becomes a plain open_clip model.")] = Part.teacher,
) -> None:
    """Write a model as a folder that is whole in itself: safetensors, configs, tokenizer, preprocessing.

    Example: cosmos_train export runs/first exported
    """
    from cosmos_train.export import export as write

    print(write(checkpoint, out, average, part.value))


@app.command()
def retrieve(
    checkpoint: Annotated[Path, typer.Argument(help="Of a COSMOS: a run's folder, or one checkpoint.")],
    settings: Set = None,
    candidates: Annotated[int, typer.Option(min=2, help="Distinct captions to choose among.")] = 64,
    draws: Annotated[int, typer.Option(min=1, help="Random draws of so many pictures.")] = 10,
    max_scenes: Annotated[int, typer.Option(min=2, help="Pictures to look at, from the first on.")] = 2048,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score student and teacher of a COSMOS on shards it has not seen: R@1, pictures to captions and back.

    Example: cosmos_train retrieve runs/cosmos --set data.shards=heldout
    """
    from cosmos_train.evaluate.views import evaluate as score

    found = score(checkpoint, settings or [], candidates=candidates, draws=draws, max_scenes=max_scenes)
    if as_json:
        import json

        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    for one in found:
        for name, way in (("picture to caption", one.image_to_text), ("caption to picture", one.text_to_image)):
            print(
                f"{one.part}, {name}: R@1 {way.recall:.3f} ± {way.error:.3f} of {way.candidates} "
                f"(shuffled {way.shuffled:.3f}, chance {way.chance:.3f}; {one.scenes} scenes, {one.bad} bad)"
            )


@app.command()
def attend(
    checkpoint: Annotated[Path, typer.Argument(help="Of a COSMOS: a run's folder, or one checkpoint.")],
    image: Annotated[Path, typer.Argument(help="A JPEG, PNG or WebP.")],
    caption: Annotated[str, typer.Argument(help="What is said of it.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("attention.png"),
    part: Annotated[Part, typer.Option(help="Whose attention.")] = Part.student,
) -> None:
    """Draw where in a picture a caption looks, and which words the picture looks at.

    Example: cosmos_train attend runs/cosmos picture.jpg "a red cup on a table"
    """
    from cosmos_train.attend import attend as draw

    found = draw(checkpoint, image, caption, out, part.value)
    words = sorted(zip(found.weights.tolist(), found.tokens, strict=True), reverse=True)[:5]
    print(f"{out}: similarity {found.similarity:.3f}; looks most at {', '.join(repr(word) for _, word in words)}")


@app.command()
def upcycle(
    checkpoint: Annotated[Path, typer.Argument(help="A run's folder (its latest checkpoint) or one checkpoint.")],
    out: Annotated[Path, typer.Argument(help="A new folder: a checkpoint to begin with (train.start_from).")],
    experts: Annotated[int, typer.Option(min=2, help="Experts in each block.")] = 4,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Experts that a token is sent to.")] = 2,
    places: Annotated[
        str,
        typer.Option(help="Which networks, by comma: vision, connector, text, language; default: all but language."),
    ] = "",
) -> None:
    """Turn a dense model's feed-forward networks into experts that are copies of them; check that it stays the same.

    Example: cosmos_train upcycle runs/tiny_cumo_stage2 runs/upcycled --experts 4 --top-k 2
    """
    from cosmos_train.upcycle import settings_for
    from cosmos_train.upcycle import upcycle as make

    found = make(checkpoint, out, settings_for(checkpoint, experts, top_k, places))
    print(f"{found.checkpoint}: {found.blocks} blocks of {experts} experts, {top_k} in use")
    print(f"  parameters  {found.dense / 1e6:.2f} M -> {found.sparse / 1e6:.2f} M, {found.active / 1e6:.2f} M in use")
    for dtype, difference in found.differences.items():
        print(f"  outputs     differ by at most {difference:.1e} in {dtype}: the same function")


@app.command(name="pack-llava")
def pack_llava(
    listed: Annotated[Path, typer.Argument(help="LLaVA's json: a list of records with conversations.")],
    pictures: Annotated[Path, typer.Argument(help="The folder that the records' `image` is relative to.")],
    out: Annotated[Path, typer.Argument(help="A new folder for the shards.")],
) -> None:
    """Write LLaVA's records and their pictures as shards that a CuMo learns from.

    Example: cosmos_train pack-llava blip_laion_cc_sbu_558k.json images shards/llava558k
    """
    from cosmos_train.stream.talk.convert import pack_llava as pack

    found = pack(listed, pictures, out)
    print(f"{out}: {found.records} records, {found.pictures} with a picture")
    for reason, count in sorted(found.left_out.items()):
        print(f"  left out {count}: {reason} (first: {found.example[reason]})")


@app.command()
def ablate(
    path: Annotated[Path, typer.Argument(metavar="ABLATIONS", help="A YAML file: pipelines/ablations.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder with a folder for each run, and the table.")],
    settings: Set = None,
    only: Annotated[list[str] | None, typer.Option(help="Train this variant alone; may be repeated.")] = None,
) -> None:
    """Train variants of a recipe with several seeds, and compare them. Runs that are done are not done again.

    Example: cosmos_train ablate pipelines/ablations.yaml --out ablations
    """
    from rich.console import Console

    from cosmos_train import ablate as ablations

    console = Console(stderr=True)
    read = ablations.load(path, settings or [])
    lines = ablations.ablate(read, out, lambda text: console.print(text, highlight=False, soft_wrap=True), only or [])
    print(ablations.markdown(lines, read), end="")
    found = ablations.expectations(read, out)
    for one in found:
        print(one)
    if not all(one.holds for one in found):
        raise typer.Exit(1)


@app.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(help="Folders of training runs.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("curves.png"),
) -> None:
    """Draw the curves of training runs: losses, retrieval and captions on held-out clips, gates.

    Example: cosmos_train plot runs/first --out curves.png
    """
    from cosmos_train.plot import plot as draw

    print(draw(runs, out))


@app.command()
def size(recipe: Which, settings: Set = None) -> None:
    """Count a recipe's parameters and operations, without weights and without data.

    Example: cosmos_train size cosmo_2b
    """
    from rich.console import Console

    from cosmos_train import recipe as recipes
    from cosmos_train.report import sizes

    Console().print(sizes(recipes.load(recipe, settings or [])))


@app.command()
def index(recipe: Which, settings: Set = None) -> None:
    """Write sidecars beside the shards of a recipe: where samples lie, and their tokens, by which rows are packed.

    Example: cosmos_train index my_cosmo.yaml
    """
    from rich.console import Console

    from cosmos_train import recipe as recipes

    loaded = recipes.load(recipe, settings or [])
    from cosmos_train.stream.index_command import index_recipe, tokenizer_for

    console = Console()
    index_recipe(loaded, tokenizer_for(loaded), lambda one: console.print(str(one), soft_wrap=True, highlight=False))


@app.command()
def doctor(
    shards: Annotated[list[str], typer.Argument(help="A build, a folder, a tar, a glob, or several.")],
    samples_per_second: Annotated[float, typer.Option(min=0.1, help="What one GPU takes.")] = 500.0,
    image_size: Annotated[int, typer.Option(min=16, help="Side of the frames that the model sees, pixels.")] = 224,
    clips_per_sample: Annotated[int, typer.Option(min=1, help="As data.clips_per_sample.")] = 2,
    frames_per_clip: Annotated[int, typer.Option(min=1, help="As data.frames_per_clip.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to look.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what one core does of each step from storage to batch; say what binds and how many workers a GPU needs.

    Example: cosmos_train doctor shards --samples-per-second 800
    """
    from cosmos_train.stream.doctor import diagnose, show
    from cosmos_train.stream.settings import DataSettings

    data = DataSettings(
        shards=shards, clips_per_sample=clips_per_sample, frames_per_clip=frames_per_clip, image={"size": image_size}
    )
    found = diagnose(data, None, samples_per_second, seconds)
    if as_json:
        import json

        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    from rich.console import Console

    show(found, Console())


@app.command()
def keys() -> None:
    """List everything a recipe may hold, with defaults.

    Example: cosmos_train keys
    """
    from rich.console import Console
    from rich.table import Table

    from cosmos_train import recipe as recipes

    table = Table("key", "default", "meaning", box=None)
    for name, default, meaning in recipes.describe():
        table.add_row(name, default, meaning)
    Console().print(table)


def main() -> None:
    """Entry point: what a person can mend is printed as two lines; exit codes 0, 1 (failed), 2 (wrong usage)."""
    # Threads that wait for each other spin by default: on shared cores that was measured to cost ten times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(prog_name="cosmos_train")
    except UserError as error:
        print(f"error: {error.what}", file=sys.stderr)
        if error.do:
            print(f"  {error.do}", file=sys.stderr)
        sys.exit(error.code)
