"""What a build's own bookkeeping costs as ids grow: `python -m benchmarks control_plane [--ids 1000,10000,100000]`.

For each number of ids a list of HowTo100M's shape is made and collected into a new root, collected again with nothing
new, and the source rows of its partitions are read. Each size runs in a process of its own, so that memory is its own.
HowTo100M has 1,238,911 ids. Stages, `status` and resuming are not measured yet.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

_READ = 2000  # partitions whose rows are read, in order


def measure(ids: int) -> dict[str, float]:
    """CPU seconds, the largest resident memory in MB, files and megabytes of the generation."""
    from interlink.fetch.counts import SourceCounts
    from interlink.runtime.workspace import Workspace
    from interlink.stages.collect import SourceSettings, scan
    from interlink.storage import Storage

    with tempfile.TemporaryDirectory() as name:
        listed, root = Path(name) / "howto100m.csv", Storage(str(Path(name) / "root"))
        _write_list(listed, ids)
        took = {}
        for what in ("collect", "collect_again"):
            counts, began = SourceCounts(), time.process_time()
            new, _ = Workspace(root).append(scan(SourceSettings(path=str(listed)), counts), 0, counts)
            took[what] = time.process_time() - began
            assert new == (ids if what == "collect" else 0)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        space = Workspace(root)
        partitions = space.partitions()[:_READ]
        began = time.process_time()
        for partition, _ in partitions:
            space.source_rows(partition)
        each = 1000 * (time.process_time() - began) / len(partitions)
        files = list((Path(name) / "root" / "generations").iterdir())
        size = sum(file.stat().st_size for file in files) / 1e6
    return {"ids": ids, **took, "memory_mb": memory, "rows_ms": each, "files": len(files), "megabytes": size}


def _write_list(path: Path, ids: int) -> None:
    with path.open("w") as file:
        file.write("video_id,category_1,category_2,rank,task_id\n")
        for number in range(ids):
            name = base64.urlsafe_b64encode(hashlib.sha256(str(number).encode()).digest())[:11].decode()
            file.write(f"{name},Food and Entertaining,Recipes,{number % 300},{number % 23000}\n")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks control_plane", description=__doc__)
    parser.add_argument("--ids", default="1000,10000,100000", help="numbers of ids, with commas between them")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    found = []
    for ids in map(int, given.ids.split(",")):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(measure, (ids,)))
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return
    print("| ids | collect, CPU s | again, CPU s | memory, MB | rows of a partition, ms | files | MB |")
    print("|---|---|---|---|---|---|---|")
    for one in found:
        print(
            f"| {one['ids']:,} | {one['collect']:.1f} | {one['collect_again']:.1f} | {one['memory_mb']:.0f} "
            f"| {one['rows_ms']:.2f} | {one['files']:,} | {one['megabytes']:.1f} |"
        )
