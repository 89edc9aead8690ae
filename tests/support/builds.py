"""Small builds of the sample world for end-to-end tests."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interlink.api import Build
from interlink.runtime.lock import Lock
from interlink.runtime.workspace import Workspace

SAMPLE = "sample"


def make(root: str | Path, clips: Path, *sets: str, **storage: Any) -> Build:
    """A build of `clips` below `root`; inline unless `sets` say otherwise."""
    return Build(SAMPLE, root, [f"source.path={clips}", "executor.kind=inline", *sets], **storage)


def locked(space: Workspace) -> Lock:
    """The lock of a root that was built."""
    lock = space.lock()
    assert lock is not None
    return lock


def sums(build: Build | Path | str) -> dict[str, str]:
    """sha256 of every shard by name."""
    space = build.workspace if isinstance(build, Build) else Build(None, build).workspace
    folder = locked(space).shards
    names = [name for name in space.storage.names(folder) if name.endswith(".tar")]
    return {name: hashlib.sha256(space.storage.read(f"{folder}/{name}")).hexdigest() for name in names}


def tables(space: Workspace) -> dict[str, str]:
    """sha256 of every committed table and its blobs, by path; attempts and seconds are not part of them."""
    return {path: hashlib.sha256(space.storage.read(path)).hexdigest() for path in _walk(space, "tables")}


def _walk(space: Workspace, folder: str) -> Iterator[str]:
    for name in space.storage.names(folder):
        path = f"{folder}/{name}"
        if name == "ledger.json":
            continue
        if "." in name:
            yield path
        else:
            yield from _walk(space, path)


def start(root: Path, clips: Path, *sets: str) -> subprocess.Popen[bytes]:
    """The same build as a process of its own, as a person would start it."""
    command = [sys.executable, "-m", "interlink", "build", SAMPLE, "--root", str(root)]
    for assignment in (f"source.path={clips}", *sets):
        command += ["--set", assignment]
    path = os.pathsep.join(p for p in sys.path if p)
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
