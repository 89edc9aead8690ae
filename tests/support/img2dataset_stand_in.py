"""A program that takes img2dataset's arguments and leaves its files, for what the real one does rarely: dying, hanging.

Pictures are made, not fetched. What it does is in the environment variable STAND_IN: `die:K` ends after K
shards with status 3, `hang:K` goes silent after K shards and starts a child that hangs too. `fetch:0` really fetches
them, as the real one does: with urllib, in a process that it spawns.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (number * 37 % 256, number * 91 % 256, 60)).save(buffer, "JPEG")
    return buffer.getvalue()


def main() -> None:
    options = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
    out, size = Path(options["output_folder"]), int(options["number_sample_per_shard"])
    what, _, after = os.environ.get("STAND_IN", "").partition(":")
    out.mkdir(parents=True)
    rows = pq.read_table(options["url_list"]).to_pylist()
    if told := os.environ.get("STAND_IN_LOG"):
        with Path(told).open("a") as log:
            log.writelines(f"{row['url']}\n" for row in rows)
    if what == "fetch":
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            fetched.update(pool.map(fetch, [row["url"] for row in rows]))
        what = ""
    for number in range(0, -(-len(rows) // size)):
        if what and number == int(after):
            print("the machine is out of patience", flush=True)
            if what == "hang":
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
                (Path(os.environ["STAND_IN_PIDS"])).write_text(f"{os.getpid()} {child.pid}")
                time.sleep(600)
            sys.exit(3)
        write(out / f"{number:05d}", rows[number * size : (number + 1) * size])
        if what == "hang":
            time.sleep(2)  # shards come one by one: rows are flushed when others come after them


fetched: dict[str, str] = {}  # URL -> what went wrong, or nothing


def fetch(url: str) -> tuple[str, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            answer.read()
    except Exception as error:
        return url, str(error)
    return url, ""


def write(shard: Path, rows: list[dict[str, str]]) -> None:
    told = []
    with tarfile.open(f"{shard}.tar", "w") as file:
        for place, row in enumerate(rows):
            key, problem = f"{shard.name}{place:04d}", fetched.get(row["url"], "")
            if "/error/" in row["url"]:
                problem = row["url"].rpartition("/")[2].replace("_", " ")
            elif not problem:
                member(file, f"{key}.jpg", picture(int(row["item"])))
                member(file, f"{key}.json", json.dumps({"key": key}).encode())
            told.append({**row, "key": key, "status": "failed_to_download" if problem else "success",
                         "error_message": problem or None})  # fmt: skip
    pq.write_table(pa.Table.from_pylist(told[::-1]), f"{shard}.parquet")
    Path(f"{shard}_stats.json").write_text("{}")


def member(file: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    file.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main()
