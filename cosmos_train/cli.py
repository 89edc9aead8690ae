"""The commands: parse, call, print. Heavy imports happen inside them, so `--help` answers at once."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cosmos_train.evaluate.scores import Scores

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


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a bundled recipe: tiny_cosmo.")],
    settings: Set = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and metrics; default runs/<recipe's name>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the latest checkpoint in --out.")] = False,
) -> None:
    """Train a recipe.

    Example: cosmos_train run tiny_cosmo --set data.shards=build --out runs/first
    """
    from rich.console import Console

    from cosmos_train import recipe as recipes

    loaded = recipes.load(recipe, settings or [])
    from cosmos_train.trainer import train

    console = Console()
    result = train(loaded, out or Path("runs") / loaded.name, resume, console)
    how = "stopped by a signal; go on with --resume" if result.stopped else "done"
    console.print(f"{how}: step {result.step} after {result.seconds:.0f} s", soft_wrap=True, highlight=False)
    if result.bad_samples:
        console.print(f"{result.bad_samples} samples could not be used", highlight=False)
    for name in ("checkpoint", "metrics.jsonl", "tensorboard"):
        path = result.checkpoint if name == "checkpoint" else result.out / name
        console.print(f"  {name:<14}{path}", soft_wrap=True, highlight=False)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A run's folder (its latest checkpoint) or one checkpoint.")],
    settings: Set = None,
    candidates: Annotated[int, typer.Option(min=2, help="Distinct texts to choose among.")] = 64,
    draws: Annotated[int, typer.Option(min=1, help="Random draws of so many clips.")] = 10,
    max_clips: Annotated[int, typer.Option(min=2, help="Clips to look at, from the first on.")] = 2048,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a checkpoint on shards it has not seen: retrieval, and what the frames are worth to the language model.

    Example: cosmos_train evaluate runs/first --set data.shards=heldout
    """
    from cosmos_train.evaluate.scores import evaluate as score

    scores = score(checkpoint, settings or [], candidates, draws, max_clips)
    if as_json:
        import json

        print(json.dumps(asdict(scores), indent=1))
        return
    _print_scores(scores)


@app.command()
def generate(
    checkpoint: Annotated[Path, typer.Argument(help="A run's folder (its latest checkpoint) or one checkpoint.")],
    images: Annotated[list[Path], typer.Argument(help="JPEG files: the frames of one clip, in order.")],
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest caption, tokens.")] = 40,
) -> None:
    """Caption one clip, greedily.

    Example: cosmos_train generate runs/first frame0.jpg frame1.jpg
    """
    from cosmos_train.evaluate.generate import caption_files

    print(caption_files(checkpoint, images, max_tokens))


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


def _print_scores(scores: Scores) -> None:
    from rich.console import Console
    from rich.table import Table

    found, language = scores.retrieval, scores.language
    table = Table("on material not seen", "score", "± s.e.", "without its frames", box=None)
    table.add_row(
        f"R@1, frames to text, of {found.candidates} ({found.draws} draws)",
        f"{found.recall:.3f}",
        f"{found.error:.3f}",
        f"{found.shuffled:.3f} shuffled, {found.chance:.3f} chance ({found.recall / found.chance:.1f}x)",
    )
    table.add_row(
        f"language loss, nats per token ({language.samples} samples)",
        f"{language.own_frames:.3f}",
        f"{language.error:.3f}",
        f"{language.shuffled_frames:.3f} shuffled ({language.shuffled_frames - language.own_frames:+.3f})",
    )
    console = Console()
    console.print(f"{scores.checkpoint}, step {scores.step}, {scores.clips} clips", soft_wrap=True, highlight=False)
    console.print(table)


def main() -> None:
    """Entry point: what a person can mend is printed as two lines; exit codes 0, 1 (failed), 2 (wrong usage)."""
    from cosmos_train.errors import UserError

    # Threads that wait for each other spin by default: on shared cores that was measured to cost ten times the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(prog_name="cosmos_train")
    except UserError as error:
        print(f"error: {error.what}", file=sys.stderr)
        if error.do:
            print(f"  {error.do}", file=sys.stderr)
        sys.exit(error.code)
