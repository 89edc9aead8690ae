"""Learning the sample world: render, build, train tiny_cosmo, score it on combinations never seen, export, caption.

    python pipelines/learn.py [--out learn] [--videos 1500] [--set train.threads=1]

The steps are commands, printed before they run; what is there already is not made again. At the end the exported model
captions videos of another seed, in a build, and its captions are compared with what was drawn. docs/cosmo.md has the
figures.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from interlink.api import Build
from interlink.sample import world

RECIPE = Path(__file__).parent / "sample.yaml"
HELDOUT_VIDEOS, CAPTIONED_VIDEOS, CAPTIONED_SEED = 240, 60, 1


def main() -> None:
    """Goes the whole way below --out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("learn"))
    parser.add_argument("--videos", type=int, default=1500, help="videos to train on")
    parser.add_argument("--set", action="append", default=[], help="a setting of the training recipe, key=value")
    options = parser.parse_args()
    out: Path = options.out
    run, exported = out / "tiny_cosmo", out / "captioner"
    for split, videos in (("train", options.videos), ("heldout", HELDOUT_VIDEOS)):
        _sample(out / "clips" / split, videos, split, 0)
        _build(out / "clips" / split, out / split)
    settings = [f"data.shards={out / 'train'}", "probe.every=50", f"probe.shards={out / 'heldout'}", *options.set]
    changes = [part for setting in settings for part in ("--set", setting)]
    _say("cosmos_train", "run", "tiny_cosmo", *changes, "--out", str(run), made=run / "checkpoints" / "latest")
    _say("cosmos_train", "plot", str(run), "--out", str(out / "curves.png"))
    _say("cosmos_train", "evaluate", str(run), "--probe", "--set", f"data.shards={out / 'heldout'}")
    _say("cosmos_train", "export", str(run), str(exported), made=exported)
    size = sum(path.stat().st_size for path in exported.iterdir())
    print(f"{exported}: {size / 1e6:.2f} MB")
    for split in ("train", "heldout"):
        clips, root = out / "clips" / f"{split}-new", out / f"{split}-captioned"
        _sample(clips, CAPTIONED_VIDEOS, split, CAPTIONED_SEED)
        _build(clips, root, "--set", f"caption.engine=checkpoint:{exported}")
        print(f"{split} combinations, seed {CAPTIONED_SEED}, captioned by {exported}: {_right(clips, root)}")


def _say(*command: str, made: Path | None = None) -> None:
    """Runs a command of ours, unless what it makes is there."""
    if made is not None and made.exists():
        return
    print("$ " + shlex.join(command), flush=True)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", *command], check=True)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)


def _sample(folder: Path, videos: int, split: str, seed: int) -> None:
    arguments = ("--videos", str(videos), "--split", split, "--seed", str(seed))
    _say("interlink", "sample", str(folder), *arguments, made=folder / "truth.json")


def _build(clips: Path, root: Path, *more: str) -> None:
    arguments = (str(RECIPE), "--set", f"source.path={clips}", "--root", str(root))
    _say("interlink", "build", *arguments, *more, made=root / "shards")


def _right(clips: Path, root: Path) -> str:
    """In how many clips of a build the caption names what was drawn at the clip's middle, part by part."""
    videos = json.loads((clips / "truth.json").read_text())["videos"]
    right: Counter[str] = Counter()
    asked = 0
    for document in Build(None, str(root)).documents():
        steps = videos[Path(document["source"]["path"]).stem]["steps"]
        for clip in document["clips"]:
            middle = (clip["start"] + clip["end"]) / 2
            step = next(step for step in steps if step["start"] <= middle <= step["end"])
            drawn = world.Combination(step["object"], step["colour"], step["action"])
            said = world.parts(clip["caption"] or "")
            asked += 1
            right.update(name for name, own, told in zip(drawn._fields, drawn, said, strict=True) if own == told)
            right["all"] += said == drawn
    shares = [(name, right[name] / asked) for name in (*world.Combination._fields, "all")]
    shown = ", ".join(f"{name} {share:.3f} ± {math.sqrt(share * (1 - share) / asked):.3f}" for name, share in shares)
    return f"{shown} of {asked} clips"


if __name__ == "__main__":
    main()
