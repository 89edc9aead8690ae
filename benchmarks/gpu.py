"""What a GPU makes of the trainer: `python -m benchmarks gpu [--json OUT] [--resume OUT] [--minutes 5]`.

Part a: a step of tiny twins of CosMo, COSMOS and CuMo against fp32 on the CPU, in every precision; experts in one
grouped product against the loop; recomputation; DDP and FSDP2 on one rank; checkpoints between GPU and CPU; then
samples/s, memory and MFU of a plain CLIP and of COSMOS at three batch sizes, and compiled. MFU is a share of the matrix
rate that the same run measures. Everything is made on the spot: JPEG in tars, random weights, no files of models.

`--device cpu --tiny` runs the same code with small sizes. Each measurement is one line of JSON in OUT, written when it
is done, and has a limit of time; `--resume OUT` keeps the lines of measurements that are done. `--needs` lists what an
image with torch, transformers, pyarrow and Pillow lacks. It imports no decoder of video, no Ray, no downloader.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

NEEDS = (
    "pydantic", "pydantic-core", "annotated-types", "typing-inspection", "simplejpeg", "webdataset", "braceexpand",
    "open_clip_torch", "ftfy", "wcwidth", "charset-normalizer", "langcodes", "typer", "rich",
)  # fmt: skip

Line = dict[str, Any]


class OutOfTime(BaseException):
    """A measurement took longer than its limit. Not an Exception, which a library would take for its own."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTime in the block when it has taken so long."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def done_before(path: Path | None) -> dict[str, Line]:
    """The lines of an earlier run by name, without those that failed or ran out of time."""
    if path is None or not path.is_file():
        return {}
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:  # the last line of a run that was killed
            continue
    return {line["name"]: line for line in lines if line["result"] in ("ok", "wrong", "out of memory")}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("--part", choices=["a"], default="a")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="small sizes, for a CPU")
    parser.add_argument("--minutes", type=float, default=5.0, help="no measurement begins or goes on after them")
    parser.add_argument("--only", default="", help="measurements whose name contains this")
    parser.add_argument("--json", type=Path, help="file for one line of JSON for each measurement")
    parser.add_argument("--resume", type=Path, help="such a file: what is done in it is not measured again")
    parser.add_argument("--needs", action="store_true", help="print the packages to carry to the machine")
    given = parser.parse_args(arguments)
    if given.needs:
        print("\n".join(NEEDS))
        return
    begun = time.monotonic()
    lines = run(given, begun + 60 * given.minutes)
    print_table(lines)
    if any(line["result"] == "wrong" for line in lines):
        sys.exit(1)


def run(given: argparse.Namespace, end: float) -> list[Line]:
    """Every measurement: its line, kept, measured, or with the reason why not."""
    from benchmarks.gpu_measures import Bench, measurements

    earlier = done_before(given.resume)
    out = (given.json or given.resume or Path("gpu.jsonl")).open("a")
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="gpu-") as scratch, out:
        bench = Bench(given.device, given.tiny, Path(scratch))
        for one in measurements(bench):
            if given.only not in one.name:
                continue
            if one.name in earlier:
                lines.append(earlier[one.name])
                bench.learn(earlier[one.name])
                continue
            line = measured(one, bench, end)
            bench.learn(line)
            lines.append(line)
            print(json.dumps(line), file=out, flush=True)
            print(f"{line['name']}: {line['result']} ({line['seconds']:.1f} s)", file=sys.stderr, flush=True)
    return lines


def measured(one: Any, bench: Any, end: float) -> Line:
    """The line of one measurement. Nothing that goes wrong in it stops the others."""
    import torch

    line: Line = {"name": one.name, "part": "a", "device": bench.name, "tiny": bench.tiny, "seconds": 0.0}
    left = end - time.monotonic()
    if left <= 0:
        return {**line, "result": "no time left"}
    begun = time.monotonic()
    try:
        with limit(min(left, one.seconds)):
            found = one.run()
        line |= {"result": "ok" if found.pop("right", True) else "wrong", **found}
    except OutOfTime:
        line |= {"result": "out of time"}
    except torch.OutOfMemoryError:
        line |= {"result": "out of memory"}
    except Exception as error:
        line |= {"result": "failed", "error": f"{type(error).__name__}: {error}"[:500]}
    bench.clear()
    return {**line, "seconds": round(time.monotonic() - begun, 3)}


def print_table(lines: list[Line]) -> None:
    rows = [("measurement", "result", "s", "numbers")]
    for line in lines:
        about = {k: v for k, v in line.items() if k not in ("name", "part", "device", "tiny", "result", "seconds")}
        numbers = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in about.items())
        rows.append((line["name"], line["result"], f"{line['seconds']:.1f}", numbers))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]).rstrip())
