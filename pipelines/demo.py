"""The whole way in one go: render videos, build them on a local Ray, train a tiny CosMo on the shards, look at it.

Clips are captioned by the model that comes with interlink; how often it is right is printed, as the truth is known.

    python pipelines/demo.py [--out demo] [--videos 120] [--heldout 40]

Every step is also a command; it is printed before it runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from interlink.api import Build, Outcome
from interlink.recipe import ExecutorSettings
from interlink.report.pictures import draw_document
from interlink.report.progress import BuildProgress
from interlink.sample import render
from interlink.sample.judge import PARTS, judge
from interlink.shards import read_index, read_sample, resolve
from interlink.shards.index import split as split_path

CAPTIONER = "caption.engine=checkpoint:sample-world"
console = Console()


def main() -> None:
    """Runs the demo below --out, from scratch each time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--videos", type=int, default=120, help="videos to train on")
    parser.add_argument("--heldout", type=int, default=40, help="videos of combinations never seen in training")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    out: Path = options.out
    _fresh(out)
    seconds: dict[str, float] = {}

    with _timed(seconds, "render"):
        _sample(out / "clips" / "train", options.videos, options.seed, "train")
        _sample(out / "clips" / "heldout", options.heldout, options.seed, "heldout")
    with _timed(seconds, "build"):
        train, heldout = _builds(out)
    with _timed(seconds, "train"):
        _train(out)
    with _timed(seconds, "evaluate"):
        scores = _evaluate(out)
    picture = _picture(out)

    table = Table(title="demo", box=None, pad_edge=False)
    for column in ("split", "videos", "documents", "clips", "frames", "tokens", "dropped", "failed", "shards"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for name, outcome in (("train", train), ("heldout", heldout)):
        table.add_row(name, *_row(outcome))
    console.print(table)
    console.print("seconds: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()), highlight=False)
    console.print(_captions_table(out))
    console.print(_scores_table(scores))
    for what, path in (
        ("shards", Path(resolve(str(out / "train"))[0]).parent),
        ("model", out / "tiny_cosmo"),
        ("scores", out / "scores.json"),
        ("a document as a picture", picture),
    ):
        console.print(f"{what}: {path}", highlight=False, soft_wrap=True)
    console.print(f"all in {time.monotonic() - began:.0f} s", highlight=False)
    console.print(f"look at it: interlink view {out / 'train'} {out / 'heldout'}", highlight=False, soft_wrap=True)


def _fresh(out: Path) -> None:
    import shutil

    marker = out / ".demo"
    if out.exists() and not marker.exists():
        sys.exit(f"{out} exists and is not a demo's folder; give another --out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    marker.touch()


class _timed:
    """Adds the seconds of a block to a table."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.name] = time.monotonic() - self.began


def _say(command: str) -> None:
    console.print(f"[bold]$ {command}[/]", highlight=False, soft_wrap=True)


def _sample(folder: Path, videos: int, seed: int, split: Literal["train", "heldout"]) -> None:
    _say(f"interlink sample {folder} --videos {videos} --seed {seed} --split {split}")
    render(folder, videos, seed, split)


def _builds(out: Path) -> tuple[Outcome, Outcome]:
    """Both builds on one local Ray: starting it costs more than a small build."""
    from interlink.runtime.ray import cluster

    with cluster(ExecutorSettings()):
        return _build(out, "train"), _build(out, "heldout")


def _build(out: Path, split: str) -> Outcome:
    clips, root = out / "clips" / split, out / split
    _say(f"interlink build sample --set source.path={clips} --set {CAPTIONER} --root {root}")
    build = Build("sample", root, sets=[f"source.path={clips}", CAPTIONER, "executor.kind=ray"])
    with BuildProgress(console) as progress:
        outcome = build.run(report=progress.report)
    problems = build.verify()
    if problems:
        sys.exit(f"{root}: {problems[0]}")
    return outcome


def _train(out: Path) -> None:
    settings = [f"data.shards={out / 'train'}", "train.steps=250"]  # the way there; pipelines/learn.py goes to its end
    command = ["run", "tiny_cosmo", *(part for one in settings for part in ("--set", one))]
    command += ["--out", str(out / "tiny_cosmo")]
    _say("cosmos_train " + " ".join(command))
    subprocess.run([sys.executable, "-m", "cosmos_train", *command], check=True)


def _evaluate(out: Path) -> dict[str, Any]:
    command = ["evaluate", str(out / "tiny_cosmo"), "--set", f"data.shards={out / 'heldout'}", "--json"]
    _say("cosmos_train " + " ".join(command))
    said = subprocess.run(
        [sys.executable, "-m", "cosmos_train", *command], check=True, stdout=subprocess.PIPE, text=True
    )
    scores: dict[str, Any] = json.loads(said.stdout)
    (out / "scores.json").write_text(json.dumps(scores, indent=1))
    return scores


def _captions_table(out: Path) -> Table:
    """In how many clips the captions name what was drawn."""
    table = Table(title="captions that name the right …", box=None, pad_edge=False)
    for column in ("split", "clips", *PARTS):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in ("train", "heldout"):
        judged = judge(out / "clips" / split, Build(None, out / split).documents())
        table.add_row(split, str(judged.clips), *(f"{judged.share(part):.3f}" for part in PARTS))
    return table


def _scores_table(scores: dict[str, Any]) -> Table:
    """What the model has learned from the pictures, against chance and wrong pictures."""
    found, language = scores["retrieval"], scores["language"]
    table = Table(title="on videos never seen", box=None, pad_edge=False)
    for column in ("score", "with its own frames", "with another document's frames", "chance"):
        table.add_column(column, justify="left" if column == "score" else "right")
    table.add_row(
        f"image → text retrieval R@1 of {found['candidates']}",
        f"{found['recall']:.3f} ± {found['error']:.3f}",
        f"{found['shuffled']:.3f}",
        f"{found['chance']:.3f}",
    )
    table.add_row("language-model loss", f"{language['own_frames']:.3f}", f"{language['shuffled_frames']:.3f}", "")
    return table


def _picture(out: Path) -> Path:
    """The first document of the first shard, drawn."""
    shard = resolve(str(out / "train"))[0]
    members = read_sample(*split_path(shard), read_index(shard)[0])
    document = json.loads(members.pop("json"))
    path = out / "document.png"
    draw_document(document, members, path)
    return path


def _row(outcome: Outcome) -> list[str]:
    status = outcome.status
    dropped = sum(stage.dropped for stage in status.stages.values())
    errors = [f"{name} {count}" for stage in status.stages.values() for name, count in stage.errors.items()]
    numbers = [status.stages["collect"].ok, status.documents, status.clips, status.frames, status.text_tokens, dropped]
    return [*map(str, numbers), ", ".join(errors) or "0", str(status.shards)]


if __name__ == "__main__":
    main()
