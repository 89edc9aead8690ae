"""What a GPU does with the trainer and the caption engine: `python -m benchmarks gpu [--part a|b] [--minutes 5]`.

Part a: correctness of the tiny models against fp32 on the CPU, then the speed of contrastive and COSMOS steps. Part b:
CosMo-2B, CuMo stage 3, decoding of pictures, captions by a transformers model; it goes on in part a's JSON (--resume).
One JSON line per measurement as it ends, and a table at last. All weights are random: nothing is downloaded, and no
video library is imported. `--device cpu --tiny` runs the same code in a minute.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

# Packages, in addition to torch, transformers, tokenizers, numpy, pillow, pyarrow, fsspec, pyyaml and rich, and the
# modules that they are imported as.
NEEDS = {
    "pydantic": "pydantic", "pydantic-core": "pydantic_core", "annotated-types": "annotated_types",
    "typing-inspection": "typing_inspection", "simplejpeg": "simplejpeg", "webdataset": "webdataset",
    "braceexpand": "braceexpand", "open-clip-torch": "open_clip", "timm": "timm", "ftfy": "ftfy", "wcwidth": "wcwidth",
    "charset-normalizer": "charset_normalizer", "langcodes": "langcodes",
}  # fmt: skip


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("--part", choices=["a", "b"], action="append", help="both, if left out")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="small models and batches: a test of this script")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each part; what is left then is skipped")
    parser.add_argument("--json", type=Path, help="file to append results to")
    parser.add_argument("--resume", type=Path, help="results of an earlier run: not measured again")
    parser.add_argument("--only", action="append", default=[], help="measurements with this in their name")
    parser.add_argument("--needs", action="store_true", help="list the packages to bring along, and which are missing")
    given = parser.parse_args(arguments)
    if given.needs:
        for package, module in NEEDS.items():
            print(f"{package}\t{'here' if find_spec(module) else 'missing'}")
        return
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no GPU that torch can use here; --device cpu --tiny tests the script")
    from benchmarks import gpu_checks, gpu_feed, gpu_rows, gpu_speed

    parts = {
        "a": [*gpu_checks.rows(), *gpu_speed.rows_a()],
        "b": [*gpu_speed.rows_b(), *gpu_feed.rows()],
    }
    done = gpu_rows.read(given.resume)
    out = given.json or given.resume
    folder = Path(tempfile.mkdtemp())
    results = []
    try:
        setup = gpu_rows.Setup(given.device, given.tiny, folder)
        for part in given.part or ["a", "b"]:
            rows = [row for row in parts[part] if not given.only or any(word in row.name for word in given.only)]
            results += gpu_rows.measure(rows, setup, given.minutes, out, done)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(gpu_rows.table(results))
    print(gpu_feed.verdict([*done.values(), *results]))
    for one in results:
        if one.get("kernels"):
            print(f"{one['name']}: {one['kernels']}")
    failed = [one["name"] for one in results if one.get("holds") is False or "error" in one]
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")
