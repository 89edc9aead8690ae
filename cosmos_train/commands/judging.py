"""Commands that evaluate models or show what they do: evaluate, generate, retrieve, attend, plot, report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cosmos_train.commands.options import Checkpoint, Json, Part, Set
from cosmos_train.errors import UserError

if TYPE_CHECKING:
    from cosmos_train.evaluate.stored import Evaluation


def evaluate(
    checkpoint: Checkpoint,
    settings: Set = None,
    candidates: Annotated[int, typer.Option(min=2, help="Number of distinct texts to choose from.")] = 64,
    draws: Annotated[int, typer.Option(min=1, help="Number of random draws of --candidates clips.")] = 10,
    max_clips: Annotated[int, typer.Option(min=2, help="Number of clips to score, starting with the first.")] = 2048,
    probe: Annotated[
        bool, typer.Option("--probe", help="Caption the clips and score the captions slot by slot.")
    ] = False,
    slots: Annotated[
        Path | None, typer.Option(help="JSON: {slot: {value: [words]}}; Default: the sample world's.")
    ] = None,
    task: Annotated[str, typer.Option(help="A benchmark: coco-caption, vqav2, …; needs --data.")] = "",
    data: Annotated[Path | None, typer.Option(help="Folder with the benchmark's annotations and media.")] = None,
    shots: Annotated[
        list[int] | None, typer.Option(min=0, help="Demonstrations of the task; may be repeated. Default 0.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="default, cosmo, cosmos, or a YAML file; --set protocol.KEY=VALUE changes it.")
    ] = "default",
    predictions: Annotated[
        Path | None, typer.Option(help="Folder for the model's answers; an interrupted run resumes from it.")
    ] = None,
    part: Annotated[Part, typer.Option(help="Which half of a COSMOS to score.")] = Part.teacher,
    as_json: Json = False,
) -> None:
    """Score a checkpoint on held-out shards, by a probe of its captions, or on a benchmark; keep the scores in the run.

    Example: cosmos_train evaluate runs/first --set data.shards=heldout

    Example: cosmos_train evaluate runs/first --task coco-caption --data coco --shots 0 --shots 4 --protocol cosmo

    Example: cosmos_train evaluate runs/cosmos --task imagenet-classify --data imagenet --part student
    """
    from rich.console import Console

    from cosmos_train.evaluate import run as evaluation
    from cosmos_train.evaluate.stored import Evaluation

    made, show = settings or [], Console()
    if task:
        if data is None:
            raise UserError(f"--task {task} needs the benchmark's folder", "give it with --data DIR", 2)
        found = evaluation.evaluate_task(
            checkpoint, task, data, shots or [0], protocol, made, predictions, part=part.value
        )
        kept = evaluation.evaluation_of(found, made, data)
        return _report(as_json, evaluation.as_json(found), lambda: evaluation.print_results(found, show), kept)
    if probe:
        said = evaluation.probe(checkpoint, made, slots, max_clips, candidates, draws)
        kept = Evaluation("probe", said.checkpoint, said.step, said.scores, made)
        return _report(as_json, said.facts, lambda: said.show(show), kept)
    from cosmos_train.commands.tables import print_scores
    from cosmos_train.evaluate.scores import evaluate as score
    from cosmos_train.evaluate.scores import measures

    scores = score(checkpoint, made, candidates, draws, max_clips)
    kept = Evaluation("shards", scores.checkpoint, scores.step, measures(scores), made)
    return _report(as_json, asdict(scores), lambda: print_scores(scores, show), kept)


def _report(as_json: bool, facts: object, show: Callable[[], None], kept: Evaluation) -> None:
    """Prints the results, and keeps them in the run. A run that cannot be written is no error: they are printed."""
    from cosmos_train.evaluate.stored import store

    if as_json:
        print(json.dumps(facts, indent=1))
    else:
        show()
    try:
        path = store(kept)
    except OSError as error:
        print(f"warning: the results are not stored in the run: {error}", file=sys.stderr)
        return
    if path is not None and not as_json:
        print(f"stored in {path}", file=sys.stderr)


def generate(
    checkpoint: Checkpoint,
    images: Annotated[list[Path], typer.Argument(help="JPEG files: the frames of one clip, in order.")],
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest caption, tokens.")] = 40,
    beams: Annotated[int, typer.Option(min=1, help="Width of the beam search; 1 is greedy.")] = 1,
) -> None:
    """Caption one clip.

    Example: cosmos_train generate runs/first frame0.jpg frame1.jpg
    """
    from cosmos_train.evaluate.generate import caption_files

    print(caption_files(checkpoint, images, max_tokens, beams))


def retrieve(
    checkpoint: Annotated[Path, typer.Argument(help="A COSMOS: a run's folder, or one checkpoint.")],
    settings: Set = None,
    candidates: Annotated[int, typer.Option(min=2, help="Number of distinct captions to choose from.")] = 64,
    draws: Annotated[int, typer.Option(min=1, help="Number of random draws of --candidates pictures.")] = 10,
    max_scenes: Annotated[
        int, typer.Option(min=2, help="Number of pictures to score, starting with the first.")
    ] = 2048,
    as_json: Json = False,
) -> None:
    """Score student and teacher of a COSMOS on held-out shards: R@1, pictures to captions and back.

    Example: cosmos_train retrieve runs/cosmos --set data.shards=heldout
    """
    from cosmos_train.evaluate.views import evaluate as score

    found = score(checkpoint, settings or [], candidates=candidates, draws=draws, max_scenes=max_scenes)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    for one in found:
        for name, way in (("picture to caption", one.image_to_text), ("caption to picture", one.text_to_image)):
            print(
                f"{one.part}, {name}: R@1 {way.recall:.3f} ± {way.error:.3f} of {way.candidates} "
                f"(shuffled {way.shuffled:.3f}, chance {way.chance:.3f}; {one.scenes} scenes, {one.bad} bad)"
            )


def attend(
    checkpoint: Annotated[Path, typer.Argument(help="A COSMOS: a run's folder, or one checkpoint.")],
    image: Annotated[Path, typer.Argument(help="A JPEG, PNG or WebP.")],
    caption: Annotated[str, typer.Argument(help="A caption of the picture.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("attention.png"),
    part: Annotated[Part, typer.Option(help="Which half of the COSMOS.")] = Part.student,
) -> None:
    """Draw where a caption looks in a picture, and which words of the caption the picture attends to.

    Example: cosmos_train attend runs/cosmos picture.jpg "a red cup on a table"
    """
    from cosmos_train.families.cosmos.attend import attend as draw
    from cosmos_train.families.cosmos.model import Cosmos
    from cosmos_train.train.starting import load_any

    trained, model = load_any(checkpoint)
    if not isinstance(model, Cosmos):
        raise UserError(f"{checkpoint} is not a COSMOS: it has no cross-attention poolers", "train one: tiny_cosmos", 2)
    found = draw(model, trained.tokenizer, image, caption, out, part.value)
    words = sorted(zip(found.weights.tolist(), found.tokens, strict=True), reverse=True)[:5]
    print(f"{out}: similarity {found.similarity:.3f}; looks most at {', '.join(repr(word) for _, word in words)}")


def plot(
    runs: Annotated[list[Path], typer.Argument(help="Folders of training runs.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("curves.png"),
) -> None:
    """Draw the curves of training runs: losses, retrieval and captions on held-out clips, gates.

    Example: cosmos_train plot runs/first --out curves.png
    """
    from cosmos_train.experiments.plot import plot as draw

    print(draw(runs, out))


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of training runs, of any family.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="HTML file to write.")] = Path("report.html"),
) -> None:
    """Compare training runs in one HTML file: curves, time, exposure, probe samples, evaluations, recipe differences.

    The file opens without a network and can be sent to others.

    Example: cosmos_train report runs/first runs/second -o report.html
    """
    from cosmos_train.report.page import write

    print(write(runs, out))
