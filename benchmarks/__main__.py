"""`python -m benchmarks NAME`: makes what it needs below `--folder`, runs, prints. Progress goes to stderr."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    if sys.argv[1:2] == ["kts"]:  # needs no clips
        from benchmarks import kts

        kts.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=["keyframes", "sweep", "kts"])
    parser.add_argument("--part", choices=["speed", "accuracy", "memory", "all"], default="all")
    parser.add_argument("--clips", type=Path, default=HERE.parents[1] / "shared" / "data" / "clips")
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build" / "benchmarks", help="for the materials")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each contender; the least CPU time counts")
    parser.add_argument(
        "--also", action="append", default=[], help="one more contender of the accuracy table: transnet"
    )
    parser.add_argument("--json", action="store_true", help="print JSON to stdout")
    parser.add_argument("--lines", action="store_true", help="print the ffmpeg lines that made the materials")
    given = parser.parse_args()
    if not given.clips.is_dir():
        parser.error(f"real clips are not on this machine: {given.clips} is absent (--clips)")

    from benchmarks import keyframes, sweep
    from benchmarks.materials import Maker

    maker = Maker(given.clips, given.folder)
    if given.name == "sweep":
        print(json.dumps(sweep.run(maker, given.folder), indent=1))
        return
    report = {}
    if given.part in ("speed", "all"):
        report["speed"] = keyframes.speed(maker, given.clips / "his_girl_friday.mp4", given.repeat)
    if given.part in ("accuracy", "all"):
        report["accuracy"] = keyframes.accuracy(maker, given.folder, tuple(given.also))
    if given.part in ("memory", "all"):
        report["memory"] = keyframes.memory(maker, given.clips)
    if given.lines:
        print("\n".join(dict.fromkeys(maker.lines)))
    if given.json:
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
