"""Learning the sample world: render, build, train tiny_cosmo, score it on combinations never seen, export, caption.

    python pipelines/learn.py [--out learn] [--videos 1500] [--set train.threads=1]

The steps are commands, printed before they run; what is there already is not made again. At the end the exported model
captions videos of another seed, in a build, and its captions are compared with what was drawn; how well it finds them
to fit is kept with its weights, so that it knows clips of its kind. docs/explanation/cosmo.md has the figures. The
model that comes with interlink (interlink/assets/sample-world) was made so.
"""

from __future__ import annotations

import argparse
import math
import shlex
import subprocess
import sys
import time
from pathlib import Path

from interlink.api import Build
from interlink.engines import familiar
from interlink.sample.judge import PARTS, judge

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
    fits: list[float] = []
    for split in ("train", "heldout"):
        clips, root = out / "clips" / f"{split}-new", out / f"{split}-captioned"
        _sample(clips, CAPTIONED_VIDEOS, split, CAPTIONED_SEED)
        _build(clips, root, "--set", f"caption.engine=checkpoint:{exported}")
        print(f"{split} combinations, seed {CAPTIONED_SEED}, captioned by {exported}: {_right(clips, root)}")
        fits += _fits(root)
    least = familiar.calibrate(exported, fits, f"sample world, seed {CAPTIONED_SEED}, both splits")
    print(f"{exported}: {100 * familiar.FALSE_ALARMS:.0f} % of {len(fits)} clips fit less than {least:.4f}")


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
    arguments = ("sample", "--set", f"source.path={clips}", "--root", str(root))
    _say("interlink", "build", *arguments, *more, made=root / "shards")


def _fits(root: Path) -> list[float]:
    """How well captions and frames of a build fit, as the captioner itself finds."""
    workspace = Build(None, str(root)).workspace
    fingerprint = (workspace.lock() or {})["fingerprints"]["caption"]
    found = []
    for name, _ in workspace.partitions():
        for row in workspace.partition("caption", fingerprint, name).rows().values():
            found += [clip["fit"] for clip in row["clips"] or () if clip["fit"] is not None]
    return found


def _right(clips: Path, root: Path) -> str:
    """In how many clips of a build the caption names what was drawn at the clip's middle, part by part."""
    judged = judge(clips, Build(None, str(root)).documents())
    shares = [(part, judged.share(part)) for part in PARTS]
    lines = [f"{part} {share:.3f} ± {math.sqrt(share * (1 - share) / judged.clips):.3f}" for part, share in shares]
    return f"{', '.join(lines)} of {judged.clips} clips"


if __name__ == "__main__":
    main()
