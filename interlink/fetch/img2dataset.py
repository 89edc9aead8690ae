"""Fetches pictures by URL with the program img2dataset: writes its URL list, reads its tars and status tables.

It starts in some seconds, then sends requests to `threads` servers at once. It runs under the guard of the build
(interlink.fetch.guarded), at a limited rate per host. Pictures are kept as served, without re-encoding. Results are
read shard by shard while it runs, so that a kill loses only the shards in work and the last finished one. The executor
retries.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from interlink.errors import Dropped, StageError, UserError
from interlink.fetch.status import class_of_status
from interlink.settings import Settings, operational

PROGRAM = "INTERLINK_IMG2DATASET"  # environment variable: its path, if it has a separate environment
GUARD = "INTERLINK_GUARD"  # environment variable: see interlink.fetch.guarded
SHARD = 200  # pictures per shard
PROCESSES = 2  # while one waits for the slowest server of its shard, another continues
START_SECONDS = 120.0  # time for its imports
_POLL_SECONDS = 0.2
_NETWORK = re.compile(r"timed out|urlopen error|reset|refused|IncompleteRead|unreachable|closed connection", re.I)


class ImageSettings(Settings):
    """The settings of img2dataset."""

    threads: int = operational(32, "pictures requested at once", ge=1, le=1024)
    timeout_seconds: int = operational(20, "seconds for one picture", ge=1)
    user_agent: str = operational("", "token that img2dataset adds to its user agent, also for X-Robots-Tag rules")
    opt_out: bool = Field(
        True, description="drop pictures with an X-Robots-Tag of noai, noimageai, noindex or noimageindex (opted_out)"
    )
    max_megabytes: float = Field(20.0, gt=0, description="larger pictures fail as too_large (10^6 bytes)")
    requests_per_second: float = operational(20.0, "most requests a second to one host", gt=0)
    hash_column: str = Field(
        "", description="column of the list with the picture's sha256 (DataComp); other content fails as gone"
    )


@dataclass(frozen=True)
class Fetched:
    """The result for one URL: its bytes, or the reason (StageError, Dropped). number: its index in the request."""

    number: int
    data: bytes = b""
    error: Exception | None = None


def program() -> list[str]:
    """The command that starts img2dataset. Raises UserError if it is not installed."""
    named = os.environ.get(PROGRAM, "")
    if named:
        if not os.access(named, os.X_OK):
            raise UserError(f"{PROGRAM} is {named}, which is not a program", "set it to the path of img2dataset", 2)
        return [named]
    installed = Path(sys.executable).with_name("img2dataset")
    found = str(installed) if installed.is_file() else shutil.which("img2dataset")
    if not found:
        do = f"pip install img2dataset in a separate environment, and set {PROGRAM} to its bin/img2dataset"
        raise UserError("the source has pictures by URL, but img2dataset is not installed", do)
    return [found]


def fetch(urls: Sequence[str], folder: Path, settings: ImageSettings, reach: Mapping[str, Any]) -> Iterator[Fetched]:
    """Yields one Fetched per URL, as shards are finished. folder: empty; the caller removes it.

    reach: the hosts that it may reach (interlink.fetch.reach). A URL without a result is `crash`, or `stalled` if no
    shard was finished for too long. Raises UserError if the program runs without the guard.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    command = program()
    listed, out = folder / "list.parquet", folder / "out"
    pq.write_table(pa.table({"url": list(urls), "item": list(range(len(urls)))}), listed)
    most = START_SECONDS + settings.timeout_seconds * (2 + PROCESSES * -(-min(SHARD, len(urls)) // settings.threads))
    asked = set(range(len(urls)))
    end = "stalled"
    environment = _guarded(folder, settings, reach)
    with _running([*command, *_arguments(listed, out, settings)], folder / "log", environment) as process:
        seen: set[str] = set()
        moved = time.monotonic()
        while time.monotonic() - moved < most:
            ended = process.poll() is not None  # before listing, so that no finished shard is missed
            for name in _finished(out, seen):
                _check_guarded(folder, process.pid)
                for one in _read(out / name, settings):
                    asked.discard(one.number)
                    yield one
                moved = time.monotonic()
            if ended:
                end = "crash"
                break
            time.sleep(_POLL_SECONDS)
        status = process.poll()
    why = f"img2dataset ended ({status}) without a result: {_tail(folder / 'log')}"
    if end == "stalled":
        why = f"img2dataset has finished no shard for {most:.0f} s"
    for number in sorted(asked):
        yield Fetched(number, error=StageError(end, why))


def explain(status: str, message: str) -> Exception:
    """The exception for img2dataset's `status` and `error_message`."""
    found = re.search(r"HTTP Error (\d{3})", message)
    if found:
        return StageError(class_of_status(int(found[1])), message)
    if "is not a public address" in message or "is not the proxy" in message:
        return StageError("blocked", message)
    if re.search(r"more than \d+ bytes", message):
        return StageError("too_large", message)
    if "X-Robots-Tag" in message:
        return Dropped("opted_out", message)
    if status == "failed_to_resize":
        return StageError("unreadable", message)
    if _NETWORK.search(message):
        return StageError("network", message)
    if "unknown url type" in message or "no host given" in message or "control characters" in message:
        return StageError("no_media", message)
    return StageError("network", message or status)


class _running:
    """Runs the program; leaving the block kills it with all its children."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self._command, self._log, self._environment = command, log, environment

    def __enter__(self) -> subprocess.Popen[bytes]:
        quiet = {"WANDB_MODE": "disabled", "NO_ALBUMENTATIONS_UPDATE": "1"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "interlink.fetch.leash", *self._command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **quiet, **self._environment},
            )
        return self._process

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _guarded(folder: Path, settings: ImageSettings, reach: Mapping[str, Any]) -> dict[str, str]:
    """The environment in which each Python process runs interlink.fetch.guarded first."""
    bounds = {
        "guard": {**reach, "local_sockets": True},  # its own processes talk through them
        "requests_per_second": settings.requests_per_second / PROCESSES,
        "burst": max(1.0, settings.requests_per_second / PROCESSES),
        "most_bytes": int(settings.max_megabytes * 1e6),
        "most_seconds": 3.0 * settings.timeout_seconds,
    }
    path = folder / "guard.json"
    path.write_text(json.dumps(bounds))
    path.chmod(0o600)  # a proxy may have a password
    first = str(Path(__file__).with_name("guarded"))
    others = os.environ.get("PYTHONPATH", "")
    return {GUARD: str(path), "PYTHONPATH": os.pathsep.join(filter(None, [first, others])), **_proxies(reach)}


def _proxies(reach: Mapping[str, Any]) -> dict[str, str]:
    """The proxy of the recipe in the variables that urllib reads; the environment's own otherwise."""
    if not reach["only_proxy"]:
        return {}
    (proxy,) = reach["proxies"]
    return {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""}


def _check_guarded(folder: Path, leash: int) -> None:
    if not {path.name for path in folder.glob("guarded-*")} - {f"guarded-{leash}"}:
        raise UserError(
            "img2dataset runs without the guard that keeps it away from internal addresses",
            f"set {PROGRAM} to a program whose Python reads PYTHONPATH",
        )


def _arguments(listed: Path, out: Path, settings: ImageSettings) -> list[str]:
    options = {
        "url_list": listed,
        "input_format": "parquet",
        "url_col": "url",
        "save_additional_columns": '["item"]',
        "output_folder": out,
        "output_format": "webdataset",
        "number_sample_per_shard": SHARD,
        "processes_count": PROCESSES,
        "thread_count": max(1, settings.threads // PROCESSES),
        "timeout": settings.timeout_seconds,
        "retries": 0,
        "disable_all_reencoding": True,
        "extract_exif": False,
        "compute_hash": None,
        "enable_wandb": False,
        "max_shard_retry": 0,
    }
    if settings.user_agent:
        options["user_agent_token"] = settings.user_agent
    if not settings.opt_out:
        options["disallowed_header_directives"] = "[]"
    return [f"--{name}={value}" for name, value in options.items()]


def _finished(out: Path, seen: set[str]) -> list[str]:
    """Finished shards, each once: those with statistics, which img2dataset writes last."""
    try:
        names = sorted(p.name.removesuffix("_stats.json") for p in out.iterdir() if p.name.endswith("_stats.json"))
    except FileNotFoundError:
        return []
    new = [name for name in names if name not in seen and (out / f"{name}.parquet").exists()]
    seen.update(new)
    return new


def _read(shard: Path, settings: ImageSettings) -> Iterator[Fetched]:
    """The pictures and failures of one finished shard, in the order of its table."""
    import pyarrow.parquet as pq

    from interlink.shards import tar

    columns = ["key", "item", "status", "error_message"]
    rows = pq.ParquetFile(shard.with_suffix(".parquet")).read(columns=columns).to_pylist()
    with shard.with_suffix(".tar").open("rb") as file:
        places = {}
        for member in tar.members(file):
            key, _, suffix = member.name.partition(".")
            if suffix not in ("json", "txt"):
                places[key] = member
        for row in sorted(rows, key=lambda row: int(row["item"])):
            number = int(row["item"])
            member_ = places.get(row["key"])
            if row["status"] != "success" or member_ is None:
                yield Fetched(number, error=explain(row["status"] or "", row["error_message"] or ""))
            elif member_.size > settings.max_megabytes * 1e6:
                yield Fetched(number, error=StageError("too_large", f"{member_.size} bytes"))
            else:
                file.seek(member_.data)
                yield Fetched(number, file.read(member_.size))


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "its log is empty"
